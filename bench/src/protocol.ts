/**
 * The contestant's end of the protocol. It says `ready` after the warm-up and then obeys lines on standard input:
 *
 *   → round              ← round <calls> <value>…
 *   → quit               ← problem <text> (any number), done
 *   any failure          ← error <text>, and the process ends
 *
 * The values are nanoseconds of all the calls, one for each phase of the workload, or whatever else it measures.
 * `native/harness.c` speaks the same, so that the harness need not know which side it talks to. Between two rounds the
 * process waits for input and uses no processor time.
 */

import process from 'node:process';
import { createInterface } from 'node:readline';
import type { Rounds } from './player.ts';

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

const oneLine = (text: string): string => text.replaceAll('\n', ' ');

async function obey(allocator: string, { round, quit }: Rounds): Promise<void> {
  say(`ready ${allocator}`);
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === 'round') say(`round ${(await round()).join(' ')}`);
    else if (line === 'quit') break;
  }
  for (const problem of await quit()) say(`problem ${oneLine(problem)}`);
  say('done');
}

/** A contestant's whole life: `play` warms up what makes the rounds, and gives it to what it is called with. */
export async function speak(
  allocator: string,
  play: (obey: (rounds: Rounds) => Promise<void>) => Promise<void>,
): Promise<void> {
  try {
    await play((rounds) => obey(allocator, rounds));
    process.exitCode = 0;
  } catch (error) {
    say(`error ${oneLine(error instanceof Error ? error.message : String(error))}`);
    process.exitCode = 1;
  }
  // A worker that sleeps on shared memory must not keep the process alive.
  process.stdin.destroy();
}
