/**
 * No call ever waits for another thread. For every kill point, that is, every instant inside a multi-step operation at
 * which a claim is held or something is half done: a worker is stopped there for good, and others do their work.
 *
 * They must come to an end (nothing waits for the one that stands), with memory for everything, contents intact. Validation
 * finds nothing even before anything is reaped. Then the stopped worker is killed and reaped, and what is live is exactly
 * what the board says somebody has, but for what the dead one's last operation had in its hands (support/accounts.ts).
 *
 * Every kill point is visited at its first passage, reaped at once; at a later one, not reaped until others have come,
 * worked and gone; and with a reaper that stops in the middle of the reap, and is reaped by a third thread.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { skipUnlessChecked } from './support/killpoints.ts';
import { STALL_POINTS, Stalls } from './support/stalls.ts';
import { LIMIT } from './support/thread.ts';

const OPS = 4000;
const options = { ...LIMIT, skip: skipUnlessChecked };

test('a worker stopped for good at any kill point holds nobody up, and is reaped', options, async () => {
  const stalls = new Stalls();
  try {
    for (const point of STALL_POINTS) await stalls.stopAndReap(point, 1, OPS);
    assert.deepEqual([...stalls.reached].sort(), [...STALL_POINTS].sort(), 'kill points that were reached');
  } finally {
    await stalls.end();
  }
});

test('a worker stopped for good and not reaped holds nobody up either', options, async () => {
  const stalls = new Stalls();
  try {
    for (const point of STALL_POINTS) await stalls.stopAndLeave(point, 1, OPS / 20);
    assert.deepEqual([...stalls.reached].sort(), [...STALL_POINTS].sort(), 'kill points that were reached');
  } finally {
    await stalls.end();
  }
});

test('a reaper stopped for good at its own kill points is reaped by a third thread', options, async () => {
  const stalls = new Stalls();
  const own = STALL_POINTS.filter((point) => point.startsWith('reap.'));
  try {
    for (const reaperPoint of own) {
      assert.ok(await stalls.stopTheReaper('slab.taken', reaperPoint, 1, OPS / 50), reaperPoint);
    }
  } finally {
    await stalls.end();
  }
});

test('a reaper stopped for good anywhere is reaped by a third thread', options, async () => {
  const stalls = new Stalls();
  // The soak has them all.
  const some = STALL_POINTS.filter((_, i) => i % 3 === 0);
  let stopped = 0;
  try {
    for (const [i, point] of some.entries()) {
      if (await stalls.stopTheReaper(point, '', 1 + (i % 12) ** 2, OPS / 50)) stopped++;
    }
    assert.ok(stopped > some.length / 2, `${stopped} reapers came to where they were to stop`);
  } finally {
    await stalls.end();
  }
});
