/**
 * One allocator, one workload, one process: what the harness starts for every JavaScript contestant. It says `ready` after
 * the warm-up and then obeys lines on standard input:
 *
 *   → round              ← round <calls> <value>…
 *   → quit               ← problem <text> (any number), done
 *   any failure          ← error <text>, and the process ends
 *
 * The values are nanoseconds of all the calls, one for each phase of the workload, or whatever else it measures.
 * `native/harness.c` speaks the same, so that the harness need not know which side it talks to. Between two rounds the
 * process waits for input and uses no processor time.
 *
 * Arguments: allocator, specification of the workload (`Spec` as JSON), milliseconds of a round, milliseconds of warm-up,
 * and, for `deopt.ts`, the file that V8 traces into: a mark is appended to it on either side of every round.
 */

import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { createPart, wordsOf } from './context.ts';
import type { Part, Spec } from './kernel.ts';
import { createSubject } from './subjects/load.ts';
import { cannot, type Subject } from './subjects/subject.ts';
import { Team } from './team.ts';
import { ROUND_BEGINS, ROUND_ENDS } from './trace.ts';

/** Shares of the warm-up: V8 compiles in the first, the second tells how many calls a round needs. */
const WARM_SHARES = 2;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** What is measured, whatever it consists of. */
interface Player {
  /** One round of so many calls: its values. */
  play(calls: number): number[] | Promise<number[]>;
  /** What is wrong after the last round. */
  finish(): string[] | Promise<string[]>;
}

/** V8 optimises this as a whole, with the one `run` that it ever sees. */
function timed(part: Part, phase: number, calls: number): number {
  const start = process.hrtime.bigint();
  for (let i = 0; i < calls; i++) part.run(phase);
  return Number(process.hrtime.bigint() - start);
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
  for (let some = 1; spent < ms * 1e6; some = spent * 4 < ms * 1e6 ? some * 2 : some) {
    const [nanoseconds = 0] = await player.play(some);
    spent += nanoseconds;
    calls += some;
  }
  return calls > 0 ? spent / calls : 1;
}

async function calibrate(player: Player, warmMs: number, roundMs: number): Promise<number> {
  let perCall = 1;
  for (let i = 0; i < WARM_SHARES; i++) perCall = await runFor(player, warmMs / WARM_SHARES);
  return Math.max(1, Math.round((roundMs * 1e6) / perCall));
}

/** Workloads that are not calibrated warm up by whole rounds; those that must start cold ask for a warm-up of 0 ms. */
async function warmUpWhole(player: Player, warmMs: number): Promise<number> {
  const until = performance.now() + warmMs;
  while (performance.now() < until) await player.play(1);
  return 1;
}

async function round(player: Player, calls: number, traceFile: string | undefined): Promise<void> {
  if (traceFile !== undefined) appendFileSync(traceFile, `${ROUND_BEGINS}\n`);
  const values = await player.play(calls);
  if (traceFile !== undefined) appendFileSync(traceFile, `${ROUND_ENDS}\n`);
  say(`round ${calls} ${values.join(' ')}`);
}

async function main(args: readonly string[]): Promise<void> {
  const [allocator = '', specification = '', roundMs = '', warmMs = '', traceFile] = args;
  const spec = JSON.parse(specification) as Spec;
  const subject = spec.makes ? none() : await createSubject(allocator, spec.subject);
  const together = spec.threads > 1;
  const player = await (together ? teamPlayer : soloPlayer)(allocator, spec, subject);
  const calls = await (spec.phases > 0 ? warmUpWhole : calibrate)(player, Number(warmMs), Number(roundMs));
  say(`ready ${allocator}`);
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === 'round') await round(player, calls, traceFile);
    else if (line === 'quit') break;
  }
  for (const problem of await player.finish()) say(`problem ${problem.replaceAll('\n', ' ')}`);
  say('done');
}

try {
  await main(process.argv.slice(2));
  process.exitCode = 0;
} catch (error) {
  say(`error ${(error instanceof Error ? error.message : String(error)).replaceAll('\n', ' ')}`);
  process.exitCode = 1;
}
// A worker that sleeps on shared memory must not keep the process alive.
process.stdin.destroy();
