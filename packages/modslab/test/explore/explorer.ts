/**
 * The interleaving explorer: runs a scenario, a few CPUs with a few operations each, in every order of their steps within
 * a bound, on the real modules (transform.ts), and audits the heap after every order (audit.ts).
 *
 * A *step* is one access to shared metadata, or to the size of the data buffer. Before each, three moves: go on, switch to
 * another CPU, kill this one. A *schedule* is the list of those moves that are not "go on". The search is depth-first:
 * each run repeats a schedule from the start and then goes on without further moves, noting at each step what else could
 * be done there. What is left out, because it cannot lead to anything new:
 *
 *     switches before a step that no other CPU of the scenario can tell the order of     (no conflict: another access of
 *                                        that location by a CPU alive at that time, one of the two a write)
 *     kills before a step that only reads                       (the memory is the same as after the last write)
 *     what follows a state that was seen before                 (equal memory, equal CPUs, as much left of the bounds)
 *
 * Which locations conflict is learnt: a pass that meets a new one starts again. The last pass has met none.
 *
 * The bounds: *preemptions*, that is switches away from a CPU within an operation (those between operations, at the end
 * of a program and after a kill are free), and *kills*. An operation that takes more than STEPS_MAX steps is taken for one
 * that never ends.
 *
 * Atomics are sequentially consistent in JavaScript. Plain accesses are explored as atomic steps in program order, too. The
 * memory model allows more than that for plain accesses that race: but then by its own words what is read is what some
 * write wrote, in an order that the CPU or the compiler may change. Those reorderings are not explored. What the design
 * relies on across CPUs goes through Atomics; what is plain and shared across CPUs is read again under a claim.
 */

import { Random } from '../support/random.ts';
import { audit, Violation } from './audit.ts';
import type { Scenario } from './scenarios.ts';
import { type Defect, machine, mixInto, type Registers } from './shim.ts';
import { type Actor, type Modules, type Steps, World } from './world.ts';

/** Steps after which an operation is said never to end. */
const STEPS_MAX = 20_000;

export interface Bounds {
  readonly preemptions: number;
  readonly kills: number;
}

export interface Figures {
  readonly scenario: string;
  schedules: number;
  steps: number;
  /** Distinct states at which there was a choice. */
  states: number;
  /** Schedules that led to a state seen before. */
  pruned: number;
  /** Distinct ends that were audited. */
  ends: number;
  passes: number;
  /** Locations whose order matters between two CPUs. */
  conflicts: number;
  /** Whether the whole space within the bounds was explored. */
  complete: boolean;
  /** The first violation, with its schedule. */
  violation: string | undefined;
  /** The schedule, for `replay`. */
  schedule: string | undefined;
}

/** In place of the CPU that runs: none does, and none will; or one is to be chosen. */
const ENDED = -2;
const CHOICE = -1;

/** Schedules at random before the search, and how often they switch and kill: once in so many steps. */
const LEARNT = 400;
const SWITCH_RARITY = 12;
const KILL_RARITY = 400;

const READY = 0;
const DONE = 1;
const DEAD = 2;

/** A move: seq is the number of the step, or of the free choice, that it is made at. */
interface Move {
  readonly parent: Move | undefined;
  readonly seq: number;
  readonly act: number;
}
const KILL = -1;
const PRUNE = -2;
const FAIL = -3;

/** A CPU of the scenario while a schedule runs. */
interface Runner {
  readonly actor: Actor;
  status: number;
  /** Number of its next operation, or of the one under way. */
  next: number;
  operation: Steps<void> | undefined;
  registers: Registers | undefined;
  /** The private state at the beginning of the operation. */
  hash1: number;
  hash2: number;
  /** Steps of this operation; those whose order matters. */
  steps: number;
  conflicts: number;
  /** Kill points passed since its last write. */
  points: string[];
}

/** A set of numbers below 2^53, not 0: open addressing. */
class NumberSet {
  private table: Float64Array = new Float64Array(1 << 16);
  size = 0;

  /** False if it was there already. */
  add(key: number): boolean {
    const { table } = this;
    const mask = table.length - 1;
    let at = (key % 0x7fffffff) & mask;
    while (table[at] !== 0) {
      if (table[at] === key) return false;
      at = (at + 1) & mask;
    }
    table[at] = key;
    this.size++;
    if (this.size * 2 > table.length) this.grow();
    return true;
  }

  private grow(): void {
    const old = this.table;
    this.table = new Float64Array(2 * old.length);
    this.size = 0;
    for (const key of old) if (key !== 0) this.add(key);
  }
}

export interface ExploreOptions {
  readonly bounds: Bounds;
  readonly defect?: (world: World) => Defect;
  /** Schedules after which a scenario is given up. */
  readonly schedulesMax?: number;
  /** Milliseconds after which it is. */
  readonly timeMax?: number;
}

/** Explores one scenario. */
export class Explorer {
  /** Kill points at which a CPU was killed. */
  readonly killedAt: Set<string>;
  readonly figures: Figures;
  private readonly scenario: Scenario;
  private readonly world: World;
  private readonly options: ExploreOptions;
  private readonly runners: Runner[];
  /** Bits of pairs of CPUs by location: who has read and written it while the other was alive; and who conflicts. */
  private readonly readBy: Uint8Array;
  private readonly wroteBy: Uint8Array;
  private readonly conflicts: Uint8Array;
  private grew = false;

  private seen: NumberSet = new NumberSet();
  private ends: NumberSet = new NumberSet();
  private stack: Move[] = [];

  // Of the schedule that runs:
  private moves: Move[] = [];
  private made = 0;
  private seq = 0;
  private current = 0;
  private preemptions = 0;
  private kills = 0;
  private asked = 0;
  private failure: string | undefined;
  private trace: string[] | undefined;
  private tainted = false;
  private finishing = false;
  /** Decides, in a schedule at random; its moves are entered as they are made. */
  private random: Random | undefined;

  constructor(
    modules: Modules,
    scenario: Scenario,
    options: ExploreOptions,
    killedAt: Set<string> = new Set(),
  ) {
    this.scenario = scenario;
    this.options = options;
    this.killedAt = killedAt;
    this.world = new World(modules, { cpus: scenario.programs.length, ...scenario.world }, (world) =>
      scenario.prepare?.(world),
    );
    this.world.mayFail = scenario.mayFail === true;
    machine.open(this.world.metadata.m, this.arrive, options.defect?.(this.world));
    modules.setKillPointHook((name) => this.runners[this.current]?.points.push(name));
    this.runners = this.world.actors.map((actor) => this.runnerOf(actor));
    this.readBy = new Uint8Array(machine.locations);
    this.wroteBy = new Uint8Array(machine.locations);
    this.conflicts = new Uint8Array(machine.locations);
    this.figures = {
      scenario: scenario.name,
      schedules: 0,
      steps: 0,
      states: 0,
      pruned: 0,
      ends: 0,
      passes: 0,
      conflicts: 0,
      complete: false,
      violation: undefined,
      schedule: undefined,
    };
  }

  /** Explores everything within the bounds, up to the first violation. */
  explore(): Figures {
    const { figures, options } = this;
    const began = Date.now();
    this.learn();
    do {
      this.grew = false;
      this.seen = new NumberSet();
      this.stack = [];
      figures.passes++;
      let move: Move | undefined;
      do {
        this.run(move);
        if (figures.schedules >= (options.schedulesMax ?? Number.POSITIVE_INFINITY)) return figures;
        if (
          (figures.schedules & 63) === 0 &&
          Date.now() - began > (options.timeMax ?? Number.POSITIVE_INFINITY)
        )
          return figures;
        move = this.stack.pop();
      } while (move !== undefined && figures.violation === undefined && !this.grew);
    } while (this.grew && figures.violation === undefined);
    figures.complete = figures.violation === undefined;
    figures.conflicts = this.conflicts.reduce((sum, bits) => sum + (bits === 0 ? 0 : 1), 0);
    return figures;
  }

  /** Runs schedules at random, to meet most of the conflicts before the search begins. */
  private learn(): void {
    this.random = new Random(LEARNT);
    for (let i = 0; i < LEARNT && this.figures.violation === undefined; i++) this.run(undefined);
    this.random = undefined;
  }

  /** Runs one schedule again; what it says about each step. */
  replay(schedule: string): { trace: string[]; violation: string | undefined } {
    this.trace = [];
    let move: Move | undefined;
    for (const part of schedule.split(' ').filter((text) => text !== '')) {
      const [seq, act] = part.split(':');
      move = { parent: move, seq: Number(seq), act: act === 'kill' ? KILL : Number(act) };
    }
    this.seen = new NumberSet();
    this.ends = new NumberSet();
    this.run(move);
    const { trace } = this;
    this.trace = undefined;
    return { trace, violation: this.figures.violation };
  }

  /** Runs every program once, and says whether the machine can take all that back. */
  takesBack(): boolean {
    this.restart();
    const ended = this.goThrough();
    this.world.restart(false);
    return ended && this.world.isAtStart();
  }

  private runnerOf(actor: Actor): Runner {
    return {
      actor,
      status: READY,
      next: 0,
      operation: undefined,
      registers: undefined,
      hash1: actor.hash(1),
      hash2: actor.hash(2),
      steps: 0,
      conflicts: 0,
      points: [],
    };
  }

  private restart(): void {
    const { bounds } = this.options;
    this.world.restart(this.tainted);
    this.tainted = false;
    for (const runner of this.runners) {
      runner.status = READY;
      runner.next = 0;
      runner.operation = undefined;
      runner.registers = undefined;
      runner.steps = 0;
      runner.conflicts = 0;
      runner.points.length = 0;
      runner.hash1 = runner.actor.hash(1);
      runner.hash2 = runner.actor.hash(2);
    }
    this.made = 0;
    this.seq = 0;
    this.preemptions = bounds.preemptions;
    this.kills = bounds.kills;
    this.failure = undefined;
    this.finishing = false;
  }

  /** Runs the schedule that ends with `last`, and then on to the end or to a state that was seen before. */
  private run(last: Move | undefined): void {
    const { figures } = this;
    this.moves = [];
    for (let move = last; move !== undefined; move = move.parent) this.moves.push(move);
    this.moves.reverse();
    this.restart();
    figures.schedules++;
    try {
      const ended = this.goThrough();
      // A schedule at random is there for its conflicts only.
      if (this.random === undefined) {
        if (ended) this.end();
        else figures.pruned++;
      }
    } catch (error) {
      this.failure ??= error instanceof Error ? (error.stack ?? error.message) : String(error);
      if (error instanceof Violation) this.failure = error.message;
    }
    figures.steps += this.seq;
    figures.states = this.seen.size;
    if (this.failure === undefined) return;
    figures.violation = this.failure;
    const made = [...this.moves];
    figures.schedule = made.map(({ seq, act }) => `${seq}:${act === KILL ? 'kill' : act}`).join(' ');
  }

  /** False: it came to a state that was seen before. */
  private goThrough(): boolean {
    if (!this.choose()) return false;
    for (;;) {
      const runner = this.runners[this.current];
      const { program } = this.scenarioOf(runner);
      if (runner.operation === undefined && runner.next === program.length) {
        runner.status = DONE;
        if (!this.isAnyReady()) return true;
        if (!this.choose()) return false;
        continue;
      }
      if (this.step(runner)) continue;
      if (this.asked === PRUNE) return false;
      if (this.asked === FAIL) throw new Violation(this.failure ?? 'failed');
      if (this.asked !== KILL) {
        this.switchTo(this.asked);
        continue;
      }
      this.kill(runner);
      if (!this.isAnyReady()) return true;
      if (!this.choose()) return false;
    }
  }

  private scenarioOf(runner: Runner): { program: Scenario['programs'][number] } {
    return { program: this.scenario.programs[runner.actor.index] };
  }

  /** Runs the current CPU up to the end of an operation (true), or to a stop (false). */
  private step(runner: Runner): boolean {
    const { program } = this.scenarioOf(runner);
    const operation = program[runner.next];
    if (runner.operation === undefined) {
      runner.operation = operation.run(runner.actor);
      runner.steps = 0;
      runner.conflicts = 0;
      machine.begin(runner.hash1, runner.hash2);
      this.note(() => `cpu ${runner.actor.index} begins ${operation.text}`);
    } else if (runner.registers !== undefined) {
      machine.restore(runner.registers);
      runner.registers = undefined;
    }
    try {
      if (runner.operation.next().done !== true) return false;
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : '';
      if (operation.allowed?.includes(code) !== true) throw error;
      this.note(() => `cpu ${runner.actor.index}: ${operation.text} throws ${code}`);
    }
    this.note(() => `cpu ${runner.actor.index} has done ${operation.text}`);
    const { actor } = runner;
    actor.taking = 0;
    actor.giving = [];
    runner.operation = undefined;
    runner.next++;
    runner.points.length = 0;
    runner.hash1 = actor.hash(1);
    runner.hash2 = actor.hash(2);
    return true;
  }

  private switchTo(cpu: number): void {
    const from = this.runners[this.current];
    if (from.operation !== undefined) from.registers = machine.save();
    if (from.conflicts > 1) this.preemptions--;
    this.note(() => `switch from cpu ${this.current} to cpu ${cpu}`);
    this.current = cpu;
  }

  private kill(runner: Runner): void {
    for (const point of runner.points) this.killedAt.add(point);
    this.kills--;
    runner.status = DEAD;
    runner.actor.dead = true;
    runner.operation = undefined;
    this.note(() => `cpu ${this.current} is killed`);
  }

  private isAnyReady(): boolean {
    return this.runners.some(({ status }) => status === READY);
  }

  /** A free choice of the CPU to run next. False: this state was seen before. */
  private choose(): boolean {
    const ready = this.runners.filter(({ status }) => status === READY).map(({ actor }) => actor.index);
    this.current = ready[0];
    if (ready.length === 1) return true;
    this.seq++;
    if (this.random !== undefined) {
      this.current = ready[this.random.below(ready.length)];
      this.enter(this.current);
      return true;
    }
    const move = this.moves[this.made];
    if (move !== undefined && move.seq === this.seq) {
      this.made++;
      this.current = move.act;
      return true;
    }
    if (this.made < this.moves.length || this.trace !== undefined) return true;
    if (!this.seen.add(this.key(CHOICE))) return false;
    for (const cpu of ready.slice(1)) this.stack.push(this.moveOf(cpu));
    return true;
  }

  private moveOf(act: number): Move {
    return { parent: this.moves.at(-1), seq: this.seq, act };
  }

  /** The running CPU has come to an access: whether it stops there. */
  private readonly arrive = (location: number, isWrite: boolean): boolean => {
    this.seq++;
    if (this.finishing) return this.tooLong();
    const runner = this.runners[this.current];
    const matters = this.mark(location, isWrite);
    if (matters) runner.conflicts++;
    if (this.trace !== undefined)
      this.note(() => `  ${this.seq} cpu ${this.current} ${this.nameOf(location, isWrite)}`);
    if (this.random !== undefined) return this.chance(this.random);
    const move = this.moves[this.made];
    if (move !== undefined && move.seq === this.seq) {
      this.made++;
      this.asked = move.act;
      return true;
    }
    if (++runner.steps > STEPS_MAX) {
      this.failure = `an operation of cpu ${this.current} does not end`;
      this.asked = FAIL;
      return true;
    }
    const stop =
      this.made >= this.moves.length && this.trace === undefined && this.branch(runner, matters, isWrite);
    if (!stop && isWrite) runner.points.length = 0;
    return stop;
  };

  /** In a schedule at random: whether to stop here. */
  private chance(random: Random): boolean {
    const others = this.runners.filter(
      ({ status, actor }) => status === READY && actor.index !== this.current,
    );
    const mayDie = this.kills > 0 && this.scenario.immortal?.includes(this.current) !== true;
    if (mayDie && random.oneIn(KILL_RARITY)) this.asked = KILL;
    else if (others.length > 0 && random.oneIn(SWITCH_RARITY))
      this.asked = others[random.below(others.length)].actor.index;
    else return false;
    this.enter(this.asked);
    return true;
  }

  private enter(act: number): void {
    this.moves.push(this.moveOf(act));
    this.made++;
  }

  private tooLong(): boolean {
    if (++this.runners[this.current].steps > STEPS_MAX)
      throw new Violation('an operation of the audit does not end');
    return false;
  }

  /** Notes what else could be done at this step. True: the state was seen before, the run can end. */
  private branch(runner: Runner, matters: boolean, isWrite: boolean): boolean {
    // The first step of an operation whose order matters is where its beginning could have been delayed: that is free.
    const canSwitch = matters && (this.preemptions > 0 || runner.conflicts <= 1);
    const canKill = isWrite && this.kills > 0 && this.scenario.immortal?.includes(this.current) !== true;
    if (!canSwitch && !canKill) return false;
    if (!this.seen.add(this.key(this.current))) {
      this.asked = PRUNE;
      return true;
    }
    if (canKill) this.stack.push(this.moveOf(KILL));
    if (canSwitch) {
      for (const { status, actor } of this.runners) {
        if (status === READY && actor.index !== this.current) this.stack.push(this.moveOf(actor.index));
      }
    }
    return false;
  }

  /** Enters an access of the current CPU; whether its order matters to another CPU that is to run. */
  private mark(location: number, isWrite: boolean): boolean {
    const { runners, readBy, wroteBy, conflicts } = this;
    const by = this.current;
    let matters = false;
    for (let other = 0; other < runners.length; other++) {
      if (other === by || runners[other].status === DEAD) continue;
      const pair = 1 << (by + other - 1);
      const way = by < other ? pair : pair << 3;
      const back = by < other ? pair << 3 : pair;
      if (isWrite) wroteBy[location] |= way;
      else readBy[location] |= way;
      if ((conflicts[location] & pair) === 0) {
        const both =
          ((wroteBy[location] & way) !== 0 && ((wroteBy[location] | readBy[location]) & back) !== 0) ||
          ((wroteBy[location] & back) !== 0 && ((wroteBy[location] | readBy[location]) & way) !== 0);
        if (both) {
          conflicts[location] |= pair;
          this.grew = true;
        }
      }
      if ((conflicts[location] & pair) !== 0 && runners[other].status === READY) matters = true;
    }
    return matters;
  }

  /** The state, as a number: memory, CPUs, who runs, what is left of the bounds. */
  private key(running: number): number {
    const high = this.half(1, running);
    const low = this.half(2, running);
    return (high >>> 0) * 0x200000 + (low >>> 11) + 1;
  }

  private half(half: 1 | 2, running: number): number {
    let hash = mixInto(machine.memory(half), this.world.memory.byteLength);
    for (const runner of this.runners) {
      const { actor, status, next, operation, registers } = runner;
      hash = mixInto(hash, status * 64 + next);
      hash = actor.hashHeld(hash);
      if (status === DEAD) continue;
      const isRunning = actor.index === running && operation !== undefined;
      const stopped = half === 1 ? registers?.history1 : registers?.history2;
      const between = half === 1 ? runner.hash1 : runner.hash2;
      hash = mixInto(hash, isRunning ? machine.history(half) : (stopped ?? between));
      if (running === ENDED) continue;
      // Where a CPU stands follows from what it has read; whether it has begun does not, nor whether a switch is free.
      hash = mixInto(hash, (operation === undefined ? 0 : 2) + (runner.conflicts > 1 ? 1 : 0));
    }
    if (running === ENDED) return hash;
    return mixInto(hash, (running + 1) * 4096 + this.preemptions * 64 + this.kills);
  }

  /** All programs have ended, or their CPUs are dead. */
  private end(): void {
    if (!this.ends.add(this.key(ENDED))) return;
    this.figures.ends++;
    this.tainted = true;
    this.finishing = true;
    const dead = this.runners.filter(({ status }) => status === DEAD);
    const living = this.runners.filter(({ status, actor }) => status === DONE && actor.heap !== undefined);
    const mortal = dead.flatMap(({ actor }) => (actor.heap === undefined ? [] : [actor.heap.cpu]));
    audit(
      this.world,
      // A number that a living CPU has now: its former owner has been reaped.
      mortal.filter((cpu) => !living.some(({ actor }) => actor.heap?.cpu === cpu)),
      {
        goOn: () => {
          for (const runner of living) {
            for (const operation of this.scenario.goOn) this.finish(runner, operation.run(runner.actor));
          }
        },
        leave: () => {
          for (const runner of living) {
            for (const sheaf of runner.actor.sheaves) this.finish(runner, sheaf.release());
            this.finish(runner, runner.actor.own.detach());
          }
        },
      },
    );
  }

  /** Runs steps of a living CPU to their end, nobody else in between. */
  private finish<T>(runner: Runner, steps: Steps<T>): T {
    this.current = runner.actor.index;
    runner.steps = 0;
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
    }
  }

  private note(text: () => string): void {
    this.trace?.push(text());
  }

  private nameOf(location: number, isWrite: boolean): string {
    const words = this.world.metadata.m.length;
    const { op, value } = machine.pending();
    const what = isWrite ? `${op} ${value}` : op;
    return `${nameOf(this.world, location, words)} = ${machine.peek(location)}: ${what}`;
  }
}

/** A location as people read it. */
function nameOf(world: World, location: number, words: number): string {
  const { layout } = world.metadata;
  if (location === machine.dataLocation) return 'size of the data';
  if (location >= words) {
    const byte = location - words;
    const region = layout.stateRegions.findLastIndex((start) => start <= byte);
    return region < 0 ? `byte ${byte}` : `state ${byte - layout.stateRegions[region]} of region ${region}`;
  }
  const sections: [string, number, number][] = [
    ['sheaf', layout.sheaves, 256],
    ['barn', layout.barns, layout.barnWords],
    ['partial bitmap', layout.partialBitmaps, layout.bitmapWords],
    ['free bitmap', layout.freeBitmap, layout.bitmapWords],
    ['page', layout.vmemMap, 16],
    ['cache', layout.cacheTable, 64],
    ['cpu record', layout.cpuRecords, 64],
    ['header', 0, 64],
  ];
  const [name, start, length] = sections.find(([, from]) => from <= location) ?? sections[7];
  return `${name} ${Math.floor((location - start) / length)} word ${(location - start) % length}`;
}
