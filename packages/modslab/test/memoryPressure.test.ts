// The end of memory, what is tried before it, NOWAIT and NOFAIL, the DMA zone and nodes.
import assert from 'node:assert/strict';
import test from 'node:test';
import { GFP, Heap, SLAB } from 'modslab';
import { assertSound, exhaust, KIB, MIB, picture, refused, smallHeap } from './support/heap.js';

const WAYS: [string, (heap: Heap) => number][] = [
  ['kmalloc', (heap) => heap.kmalloc(64)],
  ['kzalloc', (heap) => heap.kzalloc(512)],
  ['kmalloc of pages', (heap) => heap.kmalloc(40_000)],
  ['kmallocAligned', (heap) => heap.kmallocAligned(64, 16_384)],
  ['kmallocNode', (heap) => heap.kmallocNode(64, 0, 0)],
  ['kvmalloc', (heap) => heap.kvmalloc(700_000)],
  ['allocPages', (heap) => heap.allocPages(3)],
  ['krealloc', (heap) => heap.krealloc(0, 3000)],
];

for (const [name, allocate] of WAYS) {
  test(`${name} returns 0 only after everything cached has been given back and the heap has grown`, () => {
    const heap = smallHeap();
    const hoard = heap.createCache({ name: 'hoard', size: 1000 });
    const addresses = exhaust(() => hoard.alloc());
    assert.equal(heap.meminfo().size, heap.meminfo().maxSize, 'it grew first');
    hoard.freeBulk(Uint32Array.from(addresses));
    const { cached, slabs } = hoard.stats();
    assert.ok(cached > 0 && slabs > 0, 'sheaves, barn and parked slabs hold memory');
    const other = exhaust(() => heap.kmalloc(4096));
    assert.equal(hoard.stats().slabs, 0, 'all of it was given back');
    assert.equal(other.length, heap.meminfo().total / 4096);
    assert.equal(allocate(heap), 0);
    for (const address of other) heap.kfree(address);
    assert.notEqual(allocate(heap), 0);
    assertSound(heap);
  });

  test(`${name} without memory leaves the heap as it was, and usable`, () => {
    const heap = smallHeap({ maxSize: MIB });
    const addresses = exhaust(() => heap.kmalloc(4096));
    const before = picture(heap);
    for (let i = 0; i < 3; i++) assert.equal(allocate(heap), 0);
    assert.deepEqual(picture(heap), before);
    assertSound(heap);
    for (const address of addresses) heap.kfree(address);
    assert.notEqual(allocate(heap), 0);
    assertSound(heap);
  });
}

test('what the barns and another CPU have given up is found too', () => {
  const heap = smallHeap({ maxSize: MIB });
  const other = Heap.attach(heap.handle);
  const cache = other.createCache({ name: 'theirs', size: 512 });
  for (const address of exhaust(() => cache.alloc())) cache.free(address);
  const mine = exhaust(() => heap.kmalloc(4096));
  const kept = cache.stats().slabs;
  assert.equal(mine.length + kept, 255, 'all but what is in the sheaves of the other CPU itself');
  assert.ok(kept <= 56);
  other.detach();
  assert.equal(mine.length + exhaust(() => heap.kmalloc(4096)).length, 255);
});

test('heap.shrink gives everything cached back, and says how many slabs', () => {
  const heap = smallHeap();
  const addresses = [64, 512, 2048].flatMap((size) => Array.from({ length: 300 }, () => heap.kmalloc(size)));
  heap.kfreeBulk(Uint32Array.from(addresses));
  const { footprint } = heap.meminfo();
  assert.ok(footprint > 0);
  assert.equal(heap.shrink(), footprint / heap.pageSize);
  assert.equal(heap.meminfo().footprint, 0);
  assert.equal(heap.shrink(), 0);
  assertSound(heap);
});

test('with NOWAIT or ATOMIC the heap does not grow', () => {
  for (const gfp of [GFP.NOWAIT, GFP.ATOMIC, GFP.NOWAIT | GFP.ZERO]) {
    const heap = smallHeap();
    const { size } = heap.meminfo();
    const cache = heap.createCache({ name: 'bounded', size: 3000 });
    exhaust(() => heap.kmalloc(1024, gfp));
    exhaust(() => cache.alloc(gfp));
    assert.equal(heap.kmalloc(100_000, gfp), 0);
    assert.equal(heap.allocPages(0, gfp), 0);
    assert.equal(heap.kvmalloc(3000, gfp), 0);
    assert.equal(heap.meminfo().size, size);
    assert.notEqual(heap.kmalloc(1024), 0);
    assert.ok(heap.meminfo().size > size);
    assertSound(heap);
  }
});

test('NOFAIL returns memory where there is some; it throws EINVAL where the thread cannot wait for it', () => {
  const heap = smallHeap({ shared: false, maxSize: MIB });
  const cache = heap.createCache({ name: 'unfailing', size: 2048 });
  assert.notEqual(heap.kmalloc(64, GFP.NOFAIL), 0);
  assert.notEqual(cache.alloc(GFP.NOFAIL), 0);
  exhaust(() => heap.kmalloc(4096));
  exhaust(() => cache.alloc());
  exhaust(() => heap.kmalloc(64));
  refused(heap, 'EINVAL', () => heap.kmalloc(64, GFP.NOFAIL));
  refused(heap, 'EINVAL', () => heap.kmalloc(40_000, GFP.NOFAIL));
  refused(heap, 'EINVAL', () => heap.allocPages(2, GFP.NOFAIL));
  refused(heap, 'EINVAL', () => cache.alloc(GFP.NOFAIL));
});

test('NOFAIL for what the heap can never have is refused, on a thread that could wait for ever', () => {
  const heap = smallHeap({ maxSize: MIB });
  refused(heap, 'EINVAL', () => heap.allocPages(20, GFP.NOFAIL));
  refused(heap, 'EINVAL', () => heap.kmallocAligned(8, 2 ** 27, GFP.NOFAIL));
  assert.equal(heap.allocPages(20), 0);
  assert.equal(heap.kmallocAligned(8, 2 ** 27), 0);
  assert.notEqual(heap.allocPages(6, GFP.NOFAIL), 0);
});

test('growth happens in steps, and memory that was freed is used before the heap grows again', () => {
  const heap = smallHeap();
  const { size } = heap.meminfo();
  const addresses = Array.from({ length: 300 }, () => heap.kmalloc(4096));
  const grown = heap.meminfo().size;
  assert.ok(grown > size && heap.counters().grown > 0);
  for (const address of addresses) heap.kfree(address);
  for (let i = 0; i < 300; i++) assert.notEqual(heap.kmalloc(4096), 0);
  assert.equal(heap.meminfo().size, grown);
});

const DMA = { start: 128 * KIB, end: 256 * KIB };
const inDma = (address: number): boolean => address >= DMA.start && address < DMA.end;

test('DMA memory lies in the window that was named, in caches made when they are first used', () => {
  const heap = smallHeap({ dma: DMA });
  const before = heap.caches().length;
  for (const size of [0, 64, 96, 2048, 3000, 20_000]) {
    const address = heap.kmalloc(size, GFP.DMA);
    assert.ok(inDma(address) && heap.ksize(address) >= size, `size ${size}`);
  }
  assert.equal(heap.caches().length, before + 4, 'one for each class that was asked for');
  assert.ok(
    heap.slabinfo().some(({ name, allocator }) => name === 'dma-kmalloc-64' && allocator.startsWith('dma:')),
  );
  assert.ok(inDma(heap.kzalloc(64, GFP.DMA)));
  assert.ok(inDma(heap.kmallocAligned(64, 256, GFP.DMA)));
  assert.ok(inDma(heap.allocPages(1, GFP.DMA)));
  const out = new Uint32Array(10);
  assert.equal(heap.kmallocBulk(64, out, 10, GFP.DMA), 10);
  assert.ok(out.every(inDma));
  const cache = heap.createCache({ name: 'device', size: 100, flags: SLAB.CACHE_DMA });
  assert.ok(inDma(cache.alloc()));
  assertSound(heap);
});

test('the DMA zone ends where its window does, and others use it only when nothing else is left', () => {
  const heap = smallHeap({ dma: DMA, maxSize: MIB });
  const outside = exhaust(() => {
    const address = heap.kmalloc(4096);
    return inDma(address) ? 0 : address;
  });
  assert.equal(outside.length, 255 - 32);
  assert.equal(exhaust(() => heap.kmalloc(4096, GFP.DMA)).length, 31, 'one page of it was used above');
  assert.equal(heap.kmalloc(8, GFP.DMA), 0);
  assertSound(heap);
});

test('an object of the DMA zone is freed like any other', () => {
  const heap = smallHeap({ dma: DMA });
  const address = heap.kmalloc(64, GFP.DMA);
  refused(heap, 'ECACHE', () => heap.cache('kmalloc-64').free(address));
  heap.kfree(address);
  refused(heap, 'EDOUBLEFREE', () => heap.kfree(address));
  assertSound(heap);
});

test('without a DMA zone DMA is EINVAL; a window without a page is refused', () => {
  const heap = smallHeap();
  for (const size of [64, 20_000]) refused(heap, 'EINVAL', () => heap.kmalloc(size, GFP.DMA));
  refused(heap, 'EINVAL', () => heap.allocPages(0, GFP.DMA));
  for (const dma of [
    { start: 4097, end: 8191 },
    { start: 8192, end: 8192 },
    { start: 32 * MIB, end: 33 * MIB },
  ]) {
    assert.throws(() => smallHeap({ dma }), RangeError);
  }
});

test('a cache of the name that a DMA class would have does not become one', () => {
  const heap = smallHeap({ dma: DMA });
  try {
    heap.createCache({ name: 'dma-kmalloc-64', size: 8 });
  } catch {
    return; // A reserved name is as good.
  }
  const [a, b] = [heap.kmalloc(64, GFP.DMA), heap.kmalloc(64, GFP.DMA)];
  assert.ok(inDma(a) && heap.ksize(a) >= 64 && Math.abs(a - b) >= 64);
});

test('memory of a node: the one asked for, another when it has none, no other with THISNODE', () => {
  const heap = smallHeap({ size: MIB, maxSize: MIB, nodes: 4 });
  const nodeOf = (address: number): number => heap.virtToPage(address).node;
  for (let node = 0; node < 4; node++) {
    assert.equal(nodeOf(heap.kmallocNode(64, 0, node)), node);
    assert.equal(nodeOf(heap.kmallocNode(10_000, 0, node)), node);
    const cache = heap.createCache({ name: `home-${node}`, size: 100, node });
    assert.equal(nodeOf(cache.alloc()), node);
    assert.equal(nodeOf(cache.allocNode(0, 3 - node)), 3 - node);
  }
  const all = exhaust(() => heap.kmallocNode(4096, GFP.THISNODE, 2));
  assert.ok(all.every((address) => nodeOf(address) === 2));
  exhaust(() => heap.kmallocNode(64, GFP.THISNODE, 2));
  assert.equal(heap.kmallocNode(4096, GFP.THISNODE, 2), 0);
  assert.notEqual(heap.kmallocNode(4096, 0, 2), 0);
  for (const node of [-1, 4, 0.5, Number.NaN]) {
    refused(heap, RangeError, () => heap.kmallocNode(64, 0, node));
    refused(heap, RangeError, () => heap.cache('kmalloc-64').allocNode(0, node));
  }
  assertSound(heap);
});

test('CPUs have home nodes in turn, where their memory comes from', () => {
  const heap = smallHeap({ maxSize: MIB, nodes: 2 });
  const other = Heap.attach(heap.handle);
  assert.equal(heap.virtToPage(heap.kmalloc(64)).node, 0);
  assert.equal(heap.virtToPage(other.kmalloc(64)).node, 1);
  assert.equal(heap.virtToPage(other.kmalloc(5000, GFP.THISNODE)).node, 1);
  assert.equal(heap.virtToPage(heap.kmalloc(64, GFP.THISNODE)).node, 0);
});

test('a cache gives memory of this node with THISNODE, though its sheaf has others', () => {
  const heap = smallHeap({ maxSize: MIB, nodes: 2 });
  const cache = heap.createCache({ name: 'local', size: 64 });
  cache.free(cache.allocNode(0, 1));
  assert.equal(heap.virtToPage(cache.alloc(GFP.THISNODE)).node, 0);
  assert.equal(heap.virtToPage(cache.allocNode(GFP.THISNODE, 1)).node, 1);
});

test('nodes are as many as there are pages at most', () => {
  assert.throws(() => smallHeap({ nodes: 0 }), RangeError);
  assert.throws(() => smallHeap({ nodes: 65 }), RangeError);
  assert.throws(() => smallHeap({ nodes: 1.5 }), RangeError);
  assert.throws(() => smallHeap({ size: 40 * KIB, maxSize: 40 * KIB, nodes: 20 }), RangeError);
});

test('a kmalloc larger than a zone or a node grows the heap until it fits elsewhere', () => {
  const zoned = smallHeap({ maxSize: 8 * MIB, dma: { start: 768 * KIB, end: MIB } });
  exhaust(() => {
    const address = zoned.kmalloc(4096, GFP.NOWAIT);
    return address < 750 * KIB ? address : 0;
  });
  assert.notEqual(zoned.kmalloc(MIB), 0);
  const noded = smallHeap({ maxSize: 8 * MIB, nodes: 2 });
  const got = exhaust(() => noded.kmalloc(900 * KIB));
  assert.equal(got.length, 8, 'four on each node');
});
