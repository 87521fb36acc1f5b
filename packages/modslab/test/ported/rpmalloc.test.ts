// rpmalloc's stress, thread spam and cross-thread tests, short: ported/rpmalloc.ts says what was ported.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMIT } from '../support/thread.ts';
import { crossThread, rpmallocStress, threadSpam } from './rpmalloc.ts';
import { KIB, MIB } from './scene.ts';

test('stress: 4 threads, 1,000 bursts of 32, blocks up to 256 KiB', LIMIT, async () => {
  const plan = { threads: 4, bursts: 1000, sizeMax: 256 * KIB, maxSize: 256 * MIB };
  const { made, crossed } = await rpmallocStress(plan);
  assert.equal(made, 128_000);
  assert.ok(crossed > 0);
});

test('stress: 2 threads, 60 bursts of 32, all sizes', LIMIT, async () => {
  const plan = { threads: 2, bursts: 60, sizeMax: 5 * MIB, maxSize: 768 * MIB };
  assert.equal((await rpmallocStress(plan)).made, 3840);
});

test('thread spam: 2 threads of 4 lives, 500 loops of 10 blocks each', LIMIT, async () => {
  assert.equal(await threadSpam(2, 4, 'rounds'), 40_000);
});

test('cross-thread: a ring of 4 threads, twice 20 loops of 200 passes', LIMIT, async () => {
  assert.deepEqual(await crossThread(4, 2, 'rounds'), [96_000, 32_000]);
});
