/** threads-kill at length: 10,000 threads killed at random moments, in storms that differ in page size, nodes and seed. */

import { test } from 'node:test';
import { isChecked } from './support/killpoints.ts';
import { storm } from './support/kills.ts';

const MIB = 2 ** 20;
const STORMS = 50;
const KILLS = 200;

for (let i = 0; i < STORMS; i++) {
  const pageSize = 2 ** (12 + (i % 5));
  const nodes = 1 + (i % 3);
  test(`storm ${i}: ${KILLS} kills, pages of ${pageSize} bytes, ${nodes} nodes`, async () => {
    const heap = { size: 2 * MIB, maxSize: 64 * MIB, pageSize, nodes };
    await storm({ kills: KILLS, seed: 100 + i, heap, jitter: isChecked && i % 2 === 1 ? 64 : 0 });
  });
}
