/** threads-exchange at length: 8 workers, 5 million random operations each, nothing corrupted, nothing lost. */

import { test } from 'node:test';
import { mixRound } from './support/rounds.ts';

const MIB = 2 ** 20;
/** Rounds of a heap each, which differ in seed and page size; together 5 million operations of every worker. */
const ROUNDS = 20;
const OPS = 250_000;

for (let round = 0; round < ROUNDS; round++) {
  const pageSize = 2 ** (12 + (round % 5));
  test(`round ${round}: 8 workers, ${OPS} operations each, pages of ${pageSize} bytes`, async () => {
    await mixRound({ size: 2 * MIB, maxSize: 64 * MIB, pageSize }, 8, OPS, 1000 + round);
  });
}
