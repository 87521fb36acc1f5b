/** threads-stall at length: at every kill point a worker stands for good while two others do a million operations each. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { skipUnlessChecked } from './support/killpoints.ts';
import { STALL_POINTS, Stalls } from './support/stalls.ts';

const OPS = 1_000_000;
const PASSAGES = [1, 7, 40];
/** A heap grows by more and more, so its largest size is reached in fewer steps than 40. */
const GROWS_AT_LEAST = 7;

for (const point of STALL_POINTS) {
  test(`a worker stands at ${point} while others do ${OPS} operations`, {
    skip: skipUnlessChecked,
  }, async () => {
    const stalls = new Stalls();
    try {
      await stalls.stopAndReap(point, 1, OPS);
      const most = point === 'memory.grown' ? GROWS_AT_LEAST : Number.POSITIVE_INFINITY;
      for (const passage of PASSAGES.filter((n) => n <= most))
        await stalls.stopAndLeave(point, passage, OPS / 50);
      for (let n = 1; n < 200; n = 2 * n + 3) await stalls.stopTheReaper(point, '', n, OPS / 500);
      assert.ok(stalls.reached.has(point));
    } finally {
      await stalls.end();
    }
  });
}
