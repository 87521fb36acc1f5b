/**
 * One allocator, one workload, one process: what the harness starts for every JavaScript contestant (protocol.ts).
 *
 * Arguments: allocator, specification of the workload (`Spec` as JSON), milliseconds of a round, milliseconds of warm-up,
 * and, for `deopt.ts`, the file that V8 traces into: a mark is appended to it on either side of every round.
 */

import { appendFileSync } from 'node:fs';
import process from 'node:process';
import { type Rounds, warmUp } from './player.ts';
import { speak } from './protocol.ts';
import { ROUND_BEGINS, ROUND_ENDS } from './trace.ts';

const marked = (traceFile: string, { round, quit }: Rounds): Rounds => ({
  quit,
  round: async () => {
    appendFileSync(traceFile, `${ROUND_BEGINS}\n`);
    const figures = await round();
    appendFileSync(traceFile, `${ROUND_ENDS}\n`);
    return figures;
  },
});

const args = process.argv.slice(2);
const [allocator = '', , , , traceFile] = args;
await speak(allocator, async (obey) => {
  const rounds = await warmUp(args);
  await obey(traceFile === undefined ? rounds : marked(traceFile, rounds));
});
