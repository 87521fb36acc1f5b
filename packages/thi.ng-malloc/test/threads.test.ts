// What @thi.ng/malloc cannot: several threads on one pool.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { MemPool } from '@modslab/thi.ng-malloc';

test('four threads allocate from one pool and free each other’s blocks', async () => {
  const buf = new SharedArrayBuffer(4 * 2 ** 20);
  const pool = new MemPool({ buf, start: 1000 });
  const board = new Int32Array(new SharedArrayBuffer(4 * 64));
  const wrong = await Promise.all(
    [0, 1, 2, 3].map((worker) => {
      const workerData = { handle: pool.handle, board, worker, rounds: 20_000 };
      const thread = new Worker(new URL('./support/poolWorker.js', import.meta.url), { workerData });
      return new Promise<number>((resolve, reject) => thread.on('message', resolve).on('error', reject));
    }),
  );
  assert.deepEqual(wrong, [0, 0, 0, 0]);
  const left = board.filter((block) => block !== 0);
  assert.equal(pool.stats().used.count, left.length);
  assert.ok(left.every((block) => pool.free(block)));
  assert.equal(pool.stats().used.size, 0);
});

test('a pool on a buffer that is not shared has no handle', () => {
  assert.throws(() => new MemPool({ size: 4096 }).handle, { code: 'EINVAL' });
});
