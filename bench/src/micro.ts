/**
 * The micro benchmark, `npm run bench:micro`: the basic workloads of the suite, beside the floor, native malloc in C and
 * @thi.ng/malloc; for the work on the hot path.
 */

import { command } from './command.ts';

process.exitCode = await command(process.argv.slice(2), {
  name: 'bench:micro',
  only: ['pair', 'batch', 'churn', 'bulk', 'remote'],
  subjects: ['modslab', 'floor', 'thi.ng', 'glibc', 'mimalloc', 'jemalloc', 'tcmalloc', 'noop'],
  rounds: 15,
  roundMs: 50,
});
