/**
 * What a contestant runs, wherever it runs: a process of Node, Bun or Deno (contestant-process.ts), or a page
 * (contestant-page.ts). One allocator and one workload; rounds of so many calls, their times by the clock of `performance`.
 */

import { createPart, wordsOf } from './context.ts';
import type { Part, Spec } from './kernel.ts';
import { createSubject } from './subjects/load.ts';
import { cannot, type Subject } from './subjects/subject.ts';

const NS_PER_MS = 1e6;
/** Shares of the warm-up: V8 compiles in the first, the second tells how many calls a round needs. */
const WARM_SHARES = 2;

/** What is measured, whatever it consists of. */
interface Player {
  /** One round of so many calls: its values. */
  play(calls: number): number[] | Promise<number[]>;
  /** What is wrong after the last round. */
  finish(): string[] | Promise<string[]>;
}

/** V8 optimises this as a whole, with the one `run` that it ever sees. */
function timed(part: Part, phase: number, calls: number): number {
  const start = performance.now();
  for (let i = 0; i < calls; i++) part.run(phase);
  return (performance.now() - start) * NS_PER_MS;
}

function changed(count: number, allocator: string): string[] {
  return count > 0 && allocator !== 'noop'
    ? [`${count} words of objects were not what had been written`]
    : [];
}

/** Stands where a kernel makes its subjects itself. */
function none(): Subject {
  const use = (): never => cannot('subject of its own');
  const [alloc, zalloc, aligned, realloc, free] = [use, use, use, use, use];
  const [allocBulk, freeBulk, views] = [use, use, use];
  return { alloc, zalloc, aligned, realloc, free, allocBulk, freeBulk, views, problems: () => [] };
}

async function soloPlayer(allocator: string, spec: Spec, subject: Subject): Promise<Player> {
  const part = await createPart(allocator, spec, subject, 0, wordsOf(spec));
  part.prepare?.();
  const phases = Math.max(1, spec.phases);
  const runPhases = (calls: number): number[] =>
    Array.from({ length: phases }, (_, phase) => timed(part, phase, calls));
  return {
    play: part.measure ?? runPhases,
    finish: () => {
      part.finish?.();
      return [...changed(part.corrupted?.() ?? 0, allocator), ...subject.problems()];
    },
  };
}

async function teamPlayer(allocator: string, spec: Spec, subject: Subject): Promise<Player> {
  const { Team } = await import('./team.ts');
  const team = new Team(allocator, spec, subject);
  await team.start();
  return {
    play: async (calls) => {
      const values: number[] = [];
      for (let phase = 0; phase < Math.max(1, spec.phases); phase++)
        values.push(await team.round(phase, calls));
      return values;
    },
    finish: async () => [...changed(await team.finish(), allocator), ...subject.problems()],
  };
}

/** Runs for at least so many milliseconds, looking at the clock ever more rarely; returns nanoseconds for each call. */
async function runFor(player: Player, ms: number): Promise<number> {
  let calls = 0;
  let spent = 0;
  for (let some = 1; spent < ms * NS_PER_MS; some = spent * 4 < ms * NS_PER_MS ? some * 2 : some) {
    const [nanoseconds = 0] = await player.play(some);
    spent += nanoseconds;
    calls += some;
  }
  return calls > 0 ? spent / calls : 1;
}

async function calibrate(player: Player, warmMs: number, roundMs: number): Promise<number> {
  let perCall = 1;
  for (let i = 0; i < WARM_SHARES; i++) perCall = await runFor(player, warmMs / WARM_SHARES);
  return Math.max(1, Math.round((roundMs * NS_PER_MS) / perCall));
}

/** Workloads that are not calibrated warm up by whole rounds; those that must start cold ask for a warm-up of 0 ms. */
async function warmUpWhole(player: Player, warmMs: number): Promise<number> {
  const until = performance.now() + warmMs;
  while (performance.now() < until) await player.play(1);
  return 1;
}

/** What a contestant does when told to, once it is warm. */
export interface Rounds {
  /** One round: its calls, then its values. */
  round(): Promise<number[]>;
  /** What is wrong after the last round. */
  quit(): Promise<string[]>;
}

/** Warms up what `args` (those of contestant-process.ts) ask for. */
export async function warmUp(args: readonly string[]): Promise<Rounds> {
  const [allocator = '', specification = '', roundMs = '', warmMs = ''] = args;
  const spec = JSON.parse(specification) as Spec;
  const subject = spec.makes ? none() : await createSubject(allocator, spec.subject);
  const together = spec.threads > 1;
  const player = await (together ? teamPlayer : soloPlayer)(allocator, spec, subject);
  const calls = await (spec.phases > 0 ? warmUpWhole : calibrate)(player, Number(warmMs), Number(roundMs));
  return {
    round: async () => [calls, ...(await player.play(calls))],
    quit: async () => await player.finish(),
  };
}
