/**
 * `npm run bench:exchanges`: of a million calls of a churn, how many exchange main with a spare sheaf, take a full one from the
 * barn or put one there, or refill from slabs. Counts, not times: the same on any machine. `-- --before COMMIT`: at that commit too.
 */

import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Counters, Heap } from 'modslab';
import { modslabBefore } from './before.ts';
import { churn } from './churnLoop.ts';

const WARM = 1_000_000;
const REPLACEMENTS = 5_000_000;
const COUNTERS: readonly (keyof Counters)[] = ['sheafSwap', 'barnGet', 'barnPut', 'refill'];

function count(): string {
  const heap = Heap.create({ size: 2 ** 26 });
  churn(heap, WARM);
  const before = heap.counters();
  churn(heap, REPLACEMENTS);
  const after = heap.counters();
  const millions = (2 * REPLACEMENTS) / 1e6;
  return COUNTERS.map((name) => `${name} ${((after[name] - before[name]) / millions).toFixed(1)}`).join(', ');
}

const { values } = parseArgs({ options: { before: { type: 'string' } } });
console.log(`of a million calls: ${count()}`);
if (values.before !== undefined) {
  const missing: string[] = [];
  const then = modslabBefore(values.before, missing);
  if (then?.script === undefined) throw new Error(missing.join('; '));
  const { stdout, stderr } = spawnSync(process.execPath, [join(dirname(then.script), 'exchanges.js')], {
    encoding: 'utf8',
  });
  console.log(`${then.name}: ${stdout || stderr}`.trimEnd());
}
