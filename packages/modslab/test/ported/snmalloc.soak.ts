// snmalloc's tests that need time, with its own counts: see ported/snmalloc.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Heap } from 'modslab';
import { assertEmpty } from '../support/accounts.ts';
import { MIB } from './scene.ts';
import { contention, firstOperation, randomWalk } from './snmalloc.ts';

test('first_operation: 233 sizes, on threads that do nothing else', async () => {
  assert.equal(await firstOperation(19, 1, 'lives'), 2796);
});

for (const threads of [8, 4, 2, 1]) {
  test(`perf/contention: ${threads} threads, 2^20 swaps each, 2^18 slots`, async () => {
    await contention(threads, 2 ** 20, 2 ** 18);
  });
}

test('fixed_region: objects of 128 bytes fill a region of 2^28 bytes', () => {
  const heap = Heap.create({ size: 256 * MIB, maxSize: 256 * MIB });
  const addresses = new Uint32Array(2 ** 21);
  let count = 0;
  for (let address = heap.kmalloc(128); address !== 0; address = heap.kmalloc(128))
    addresses[count++] = address;
  // The first frame is never given out.
  assert.equal(count, (256 * MIB - heap.pageSize) / 128);
  heap.kfreeBulk(addresses, count);
  assertEmpty(heap);
});

for (let seed = 0; seed < 4; seed++) {
  test(`fuzzing: a random walk of 500,000 steps, seed ${seed}`, () => {
    const heap = Heap.create({ size: MIB, maxSize: 128 * MIB });
    randomWalk(heap, 500_000, seed);
    assertEmpty(heap);
  });
}
