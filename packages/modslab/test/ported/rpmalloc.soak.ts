// rpmalloc's stress, thread spam and cross-thread tests with their own counts: see ported/rpmalloc.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crossThread, rpmallocStress, threadSpam } from './rpmalloc.ts';
import { MIB } from './scene.ts';

test('stress: 4 threads, 10,000 bursts of 32, all sizes', async () => {
  const plan = { threads: 4, bursts: 10_000, sizeMax: 5 * MIB, maxSize: 1024 * MIB };
  assert.equal((await rpmallocStress(plan)).made, 1_280_000);
});

test('thread spam: 16 threads of 101 lives, 500 loops of 10 blocks each', async () => {
  assert.equal(await threadSpam(16, 101, 'lives'), 8_080_000);
});

test('cross-thread: a ring of 16 threads, 32 times 20 loops of 200 passes', async () => {
  assert.deepEqual(await crossThread(16, 32, 'lives'), [6_144_000, 2_048_000]);
});
