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
import { oneLine, type Player, warmPlayer } from './player.ts';
import { ROUND_BEGINS, ROUND_ENDS } from './trace.ts';

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function round(player: Player, calls: number, traceFile: string | undefined): Promise<void> {
  if (traceFile !== undefined) appendFileSync(traceFile, `${ROUND_BEGINS}\n`);
  const values = await player.play(calls);
  if (traceFile !== undefined) appendFileSync(traceFile, `${ROUND_ENDS}\n`);
  say(`round ${calls} ${values.join(' ')}`);
}

async function main(args: readonly string[]): Promise<void> {
  const [allocator = '', , , , traceFile] = args;
  const { player, calls } = await warmPlayer(args);
  say(`ready ${allocator}`);
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === 'round') await round(player, calls, traceFile);
    else if (line === 'quit') break;
  }
  for (const problem of await player.finish()) say(`problem ${oneLine(problem)}`);
  say('done');
}

try {
  await main(process.argv.slice(2));
  process.exitCode = 0;
} catch (error) {
  say(`error ${oneLine(error instanceof Error ? error.message : String(error))}`);
  process.exitCode = 1;
}
// A worker that sleeps on shared memory must not keep the process alive.
process.stdin.destroy();
