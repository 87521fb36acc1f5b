/**
 * One allocator, one workload, one process: what the harness starts for every JavaScript contestant. It says `ready` after
 * the warm-up and then obeys lines on standard input:
 *
 *   → round              ← round <nanoseconds> <operations>
 *   → quit               ← problem <text> (any number), done
 *   any failure          ← error <text>, and the process ends
 *
 * `native/micro.c` speaks the same, so that the harness need not know which side it talks to. Between two rounds the
 * process waits for input and uses no processor time.
 *
 * Arguments: allocator, workload, milliseconds of a round, milliseconds of warm-up, and, for `deopt.ts`, the file that V8
 * traces into: a mark is appended to it on either side of every round.
 */

import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { createLoop, type Loop } from './loops.ts';
import { remoteLoop } from './remote.ts';
import { createSubject } from './subjects/load.ts';
import type { Subject } from './subjects/subject.ts';
import { ROUND_BEGINS, ROUND_ENDS } from './trace.ts';

/** Shares of the warm-up: V8 compiles in the first, the second tells how many calls a round needs. */
const WARM_SHARES = 2;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function timed(loop: Loop, calls: number): number {
  const start = process.hrtime.bigint();
  for (let i = 0; i < calls; i++) loop.run();
  return Number(process.hrtime.bigint() - start);
}

/** Runs for at least so many milliseconds, looking at the clock ever more rarely; returns nanoseconds for each call. */
function runFor(loop: Loop, ms: number): number {
  let calls = 0;
  let spent = 0;
  for (let some = 1; spent < ms * 1e6; some = spent * 4 < ms * 1e6 ? some * 2 : some) {
    spent += timed(loop, some);
    calls += some;
  }
  return spent / calls;
}

async function warmUp(loop: Loop, warmMs: number, roundMs: number): Promise<number> {
  let perCall = 1;
  for (let i = 0; i < WARM_SHARES; i++) perCall = runFor(loop, warmMs / WARM_SHARES);
  return Math.max(1, Math.round((roundMs * 1e6) / perCall));
}

function round(loop: Loop, calls: number, traceFile: string | undefined): void {
  if (traceFile !== undefined) appendFileSync(traceFile, `${ROUND_BEGINS}\n`);
  const nanoseconds = timed(loop, calls);
  if (traceFile !== undefined) appendFileSync(traceFile, `${ROUND_ENDS}\n`);
  say(`round ${nanoseconds} ${calls * loop.ops}`);
}

async function finish(loop: Loop, subject: Subject): Promise<void> {
  await loop.finish?.();
  for (const problem of subject.problems()) say(`problem ${problem.replaceAll('\n', ' ')}`);
  say('done');
}

async function main(args: readonly string[]): Promise<void> {
  const [allocator = '', workload = '', roundMs = '', warmMs = '', traceFile] = args;
  const subject = await createSubject(allocator);
  const loop = workload === 'remote' ? remoteLoop(subject, allocator) : createLoop(workload, subject);
  await loop.prepare?.();
  const calls = await warmUp(loop, Number(warmMs), Number(roundMs));
  say(`ready ${allocator}`);
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === 'round') round(loop, calls, traceFile);
    else if (line === 'quit') break;
  }
  await finish(loop, subject);
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
