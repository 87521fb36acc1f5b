// Defects of the patches of 2006 that no other test would have caught; docs/design.md lists all of them with their tests.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GFP } from 'modslab';
import { SIZE_CLASSES_2006, slabGeometry } from 'modslab/framework';
import { assertSound, KIB, MIB, smallHeap } from './support/heap.js';

// V2: the real size was computed from an index already reduced by 3, so a DMA cache had objects of an eighth of the size (a
// row of 64 bytes in the slabinfo of V3's letter); and all of them had one name.
test('every DMA class has the size of its class, a name of its own, and its objects in the DMA zone', () => {
  const dma = { start: MIB, end: 3 * MIB };
  const heap = smallHeap({ size: 4 * MIB, dma, sizeClasses: SIZE_CLASSES_2006 });
  const classes = SIZE_CLASSES_2006.filter((size) => size <= heap.pageSize / 2);
  for (const size of classes) {
    const address = heap.kmalloc(size, GFP.DMA);
    assert.ok(address >= dma.start && address + size <= dma.end);
    assert.equal(heap.ksize(address), size);
    assert.equal(heap.virtToPage(address).cache, `dma-kmalloc-${size}`);
  }
  const rows = heap.slabinfo().filter(({ name }) => name.startsWith('dma-kmalloc-'));
  assert.deepEqual(
    rows.map(({ name, objsize, objects }) => [name, objsize, objects]),
    classes.map((size) => [`dma-kmalloc-${size}`, size, 1]),
  );
  assertSound(heap);
});

// V3: the order of a slab came out as 0 for every power of two from a page on.
test('slabs of objects of a page and more have as many frames as one needs, powers of two too', () => {
  for (let shift = 12; shift <= 20; shift++) {
    const { frames, objects, stride } = slabGeometry(2 ** shift, 0, 0, 12);
    assert.equal(stride, 2 ** shift);
    assert.ok(frames * 4 * KIB >= objects * stride && objects >= 1, `2^${shift}: ${frames} frames`);
  }
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'two pages', size: 8192 });
  const [first, second] = [cache.alloc(), cache.alloc()];
  assert.ok(Math.abs(first - second) >= 8192);
  assertSound(heap);
});

// V3: unregister_slab added the cache to the list once more instead of taking it off.
test('a destroyed cache is in no list any more, and those beside it are, once', () => {
  const heap = smallHeap();
  const caches = ['one', 'two', 'three'].map((name) => heap.createCache({ name, size: 72 }));
  const listed = (): string[][] => [
    heap
      .slabinfo()
      .map(({ name }) => name)
      .filter((name) => !name.startsWith('kmalloc')),
    heap
      .caches()
      .map(({ name }) => name)
      .filter((name) => !name.startsWith('kmalloc')),
  ];
  assert.deepEqual(listed(), Array(2).fill(['one', 'two', 'three']));
  caches[1].destroy();
  assert.deepEqual(listed(), Array(2).fill(['one', 'three']));
  heap.createCache({ name: 'two', size: 24 });
  assert.deepEqual(
    listed().map((names) => [...names].sort()),
    Array(2).fill(['one', 'three', 'two']),
  );
});
