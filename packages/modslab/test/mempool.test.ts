// Memory pools: objects in reserve that are there when nothing else is, and are not lost when their thread is.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Heap } from 'modslab';
import {
  assertFilled,
  assertSound,
  exhaust,
  fill,
  MIB,
  refused,
  smallHeap,
  thrownBy,
} from './support/heap.js';
import { killAtEach } from './support/killEach.js';
import { skipUnlessChecked } from './support/killpoints.js';

for (const size of [8, 64, 1000, 2048, 5000, 100_000]) {
  test(`a pool of ${size} bytes: the allocator first, the reserve when there is no memory, refilled first`, () => {
    const heap = smallHeap({ maxSize: 2 * MIB });
    const min = size > 50_000 ? 3 : 20;
    const pool = heap.createMempool(min, size);
    assert.deepEqual([pool.min, pool.reserved], [min, min]);
    assert.ok(pool.size >= size);
    const first = pool.alloc();
    assert.equal(pool.reserved, min, 'the allocator first');
    const hoard = exhaust(() => (pool.reserved < min ? 0 : pool.alloc()));
    assert.equal(pool.reserved, min - 1, 'then the reserve');
    const reserve = exhaust(() => pool.alloc());
    assert.equal(reserve.length, min - 1);
    assert.deepEqual([pool.reserved, pool.alloc()], [0, 0]);
    const all = [first, ...hoard, ...reserve];
    assert.equal(new Set(all).size, all.length);
    for (const address of all) fill(heap, address, size);
    for (const address of all) assertFilled(heap, address, size);
    assertSound(heap);
    for (const [i, address] of all.entries()) {
      pool.free(address);
      assert.equal(pool.reserved, Math.min(min, i + 1));
    }
    assertSound(heap);
    assert.equal(heap.meminfo().live, 0, "what is in reserve is nobody's");
    pool.destroy();
    heap.shrink();
    assert.equal(heap.meminfo().footprint, 0);
    assertSound(heap);
  });
}

test('what a pool gave is freed by anybody, and counted as any object', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  const pool = heap.createMempool(5, 100);
  const address = pool.alloc();
  assert.equal(heap.ksize(address), 128);
  other.kfree(address);
  assert.equal(heap.meminfo().live, 0);
  refused(heap, 'EDOUBLEFREE', () => pool.free(address));
  const another = heap.kmalloc(20);
  refused(heap, 'ECACHE', () => pool.free(another));
  pool.free(0);
  other.detach();
  assertSound(heap);
});

test('resize: larger, smaller, none; without memory it changes nothing', () => {
  const heap = smallHeap({ maxSize: MIB });
  const pool = heap.createMempool(0, 1000);
  for (const min of [10, 300, 125, 124, 3, 0, 200]) {
    pool.resize(min);
    assert.deepEqual([pool.min, pool.reserved], [min, min]);
    assertSound(heap);
  }
  const hoard = exhaust(() => heap.kmalloc(4096));
  refused(heap, 'ENOMEM', () => pool.resize(4000));
  assert.deepEqual([pool.min, pool.reserved], [200, 200]);
  assert.equal(exhaust(() => heap.kmalloc(4096)).length, 0, 'nothing was lost');
  for (const address of hoard) heap.kfree(address);
  for (let i = 0; i < 100; i++) pool.alloc();
  assert.equal(pool.reserved, 200);
  assertSound(heap);
});

test('a pool that there is no memory for, or no sense in, is refused and leaves nothing behind', () => {
  const heap = smallHeap({ maxSize: MIB });
  refused(heap, 'ENOMEM', () => heap.createMempool(2000, 1000));
  for (const min of [-1, 1.5, 10_000_000]) refused(heap, RangeError, () => heap.createMempool(min, 8));
  refused(heap, RangeError, () => heap.createMempool(1, -1));
  heap.shrink();
  assert.equal(heap.meminfo().footprint, 0);
});

test('after destroy a pool throws EINVAL, destroy again is harmless; after detach ESHUTDOWN', () => {
  const heap = smallHeap();
  const pool = heap.createMempool(5, 64);
  pool.destroy();
  pool.destroy();
  for (const call of [() => pool.alloc(), () => pool.free(0), () => pool.resize(3)])
    refused(heap, 'EINVAL', call);
  const other = Heap.attach(heap.handle);
  const theirs = other.createMempool(5, 64);
  other.detach();
  for (const call of [
    () => theirs.alloc(),
    () => theirs.free(0),
    () => theirs.resize(3),
    () => theirs.destroy(),
  ])
    thrownBy('ESHUTDOWN', call);
  assert.equal(heap.meminfo().live, 0);
  assertSound(heap);
});

test('a killed thread loses nothing of its reserve, wherever it is killed', {
  skip: skipUnlessChecked,
}, () => {
  killAtEach<null>({
    prepare: () => null,
    act: (_, victim) => {
      const pool = victim.createMempool(10, 1000);
      pool.resize(4);
      for (const address of [pool.alloc(), pool.alloc()]) pool.free(address);
      const large = victim.createMempool(2, 9000);
      large.free(large.alloc());
    },
    after: (_, heap) => {
      // The two objects that it may have had in its hands when it died.
      for (const cache of heap.caches()) for (const address of [...cache.objects()]) heap.kfree(address);
      heap.shrink();
      assert.equal(heap.meminfo().footprint, 0);
    },
  });
});
