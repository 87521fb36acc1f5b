// kmalloc and its relatives: sizes, alignment, zeros, ksize, large objects, pages.
import assert from 'node:assert/strict';
import test from 'node:test';
import { GFP, Heap } from 'modslab';
import {
  allRefused,
  assertFilled,
  assertSound,
  exhaust,
  fill,
  isZero,
  MIB,
  refused,
  smallHeap,
  wrong,
} from './support/heap.js';

const SIZES = [0, 1, 7, 8, 9, 16, 17, 32, 33, 63, 64, 65, 96, 97, 128, 192, 193, 256, 512, 1000, 1024, 2048];
const LARGE = [2049, 4096, 4097, 8192, 10_000, 65_536, 100_000, 262_144];

test('objects of all sizes are distinct, do not overlap, and keep what is written to all of ksize', () => {
  const heap = smallHeap();
  const objects = [...SIZES, ...LARGE, ...SIZES].map((size): [number, number] => [size, heap.kmalloc(size)]);
  for (const [size, address] of objects) {
    assert.ok(address > 0 && heap.ksize(address) >= Math.max(1, size));
    fill(heap, address, heap.ksize(address));
  }
  for (const [, address] of objects) assertFilled(heap, address, heap.ksize(address));
  assertSound(heap);
  for (const [, address] of objects) heap.kfree(address);
  assert.equal(heap.meminfo().live, 0);
  assertSound(heap);
});

for (const pageSize of [4096, 16_384, 65_536]) {
  test(`objects are aligned to 8, to 16 from 16 bytes up, powers of two to themselves (pages of ${pageSize})`, () => {
    const heap = smallHeap({ pageSize, size: 2 * MIB, maxSize: 8 * MIB });
    for (let size = 1; size <= 2 * pageSize; size += size < 300 ? 1 : 251) {
      const address = heap.kmalloc(size);
      assert.equal(address % (size < 16 ? 8 : 16), 0, `size ${size}`);
      heap.kfree(address);
    }
    for (let size = 8; size <= pageSize; size *= 2) {
      for (let i = 0; i < 20; i++) assert.equal(heap.kmalloc(size) % size, 0, `size ${size}`);
    }
  });
}

test('kmalloc(0) gives a unique address that can be freed once', () => {
  const heap = smallHeap();
  const addresses = Array.from({ length: 100 }, () => heap.kmalloc(0));
  assert.equal(new Set(addresses).size, 100);
  assert.ok(!addresses.includes(0));
  for (const address of addresses) heap.kfree(address);
  refused(heap, 'EDOUBLEFREE', () => heap.kfree(addresses[0]));
});

test('a size is a whole number from 0 to kmallocMaxSize', () => {
  const heap = smallHeap();
  const max = heap.kmallocMaxSize;
  const calls: ((size: number) => unknown)[] = [
    (size) => heap.kmalloc(size),
    (size) => heap.kzalloc(size),
    (size) => heap.kmalloc(size, GFP.NOWAIT),
    (size) => heap.kcalloc(1, size),
    (size) => heap.kmallocAligned(size, 8),
    (size) => heap.kmallocNode(size, 0, 0),
    (size) => heap.krealloc(0, size),
    (size) => heap.kmallocBulk(size, new Uint32Array(3)),
  ];
  for (const call of calls) {
    const badSizes = [-1, 0.5, 64.5, Number.NaN, Number.POSITIVE_INFINITY, max + 1, 2 ** 32, 2 ** 32 + 8];
    allRefused(
      heap,
      RangeError,
      badSizes.map((size) => () => call(size)),
    );
    allRefused(
      heap,
      TypeError,
      ['64', null, undefined, {}, [64], true, 64n].map((size) => () => call(wrong<number>(size))),
    );
  }
  assert.equal(Math.log2(max) % 1, 0);
  assert.notEqual(heap.kmalloc(max), 0);
});

test('kmallocMaxSize is the largest power of two not above half of maxSize', () => {
  const of = (maxSize: number): number => Heap.create({ size: MIB, maxSize }).kmallocMaxSize;
  assert.deepEqual(
    [2, 3, 4, 7, 8, 16].map((n) => of(n * MIB) / MIB),
    [1, 1, 2, 2, 4, 8],
  );
  assert.equal(Heap.create().kmallocMaxSize, 128 * MIB);
});

test('the general caches have the sizes that the contract names, whatever the page size', () => {
  for (const pageSize of [4096, 8192, 65_536]) {
    const heap = smallHeap({ pageSize, size: 2 * MIB });
    const names = heap.caches().map(({ name }) => name);
    for (const size of [32, 64, 128, 256]) assert.ok(names.includes(`kmalloc-${size}`));
    for (const cache of heap.caches()) assert.equal(cache.name, `kmalloc-${cache.size}`);
  }
});

test('page size follows the largest size unless it is given', () => {
  const pageSize = (maxSize: number): number => Heap.create({ size: MIB, maxSize }).pageSize;
  assert.equal(pageSize(MIB), 4096);
  assert.equal(pageSize(256 * MIB), 65_536);
  assert.equal(smallHeap({ pageSize: 32_768 }).pageSize, 32_768);
});

test('kzalloc and kcalloc give zeros over all of ksize, also over memory that was in use', () => {
  const heap = smallHeap({ maxSize: MIB });
  const dirty = [...SIZES, ...LARGE].map((size) => heap.kmalloc(size));
  dirty.push(...exhaust(() => heap.kmalloc(40)), ...exhaust(() => heap.kmalloc(8)));
  heap.u8.fill(0xff, heap.pageSize);
  for (const address of dirty) heap.kfree(address);
  heap.shrink();
  heap.u8.fill(0xff, heap.pageSize);
  for (const size of [...SIZES, ...LARGE]) {
    for (const address of [heap.kzalloc(size), heap.kcalloc(1, size), heap.kmalloc(size, GFP.ZERO)]) {
      assert.ok(address !== 0 && isZero(heap, address, heap.ksize(address)), `size ${size}`);
      fill(heap, address, heap.ksize(address));
      heap.kfree(address);
    }
  }
  assertSound(heap);
});

test('kcalloc multiplies; a product that is too large throws, and so do elements that are no counts', () => {
  const heap = smallHeap();
  assert.ok(heap.ksize(heap.kcalloc(10, 12)) >= 120);
  assert.notEqual(heap.kcalloc(0, 100), 0);
  assert.notEqual(heap.kcalloc(100, 0), 0);
  const products = [
    [2 ** 16, 2 ** 16],
    [2 ** 31, 2],
    [2 ** 32, 2 ** 32],
    [3, 2 ** 31],
    [2, heap.kmallocMaxSize],
    [-1, 8],
    [8, -1],
    [-1, -8],
    [1.5, 2],
    [2, 1.5],
  ];
  allRefused(
    heap,
    RangeError,
    products.map(
      ([n, size]) =>
        () =>
          heap.kcalloc(n, size),
    ),
  );
  refused(heap, TypeError, () => heap.kcalloc(wrong('2'), 2));
});

test('kmallocAligned gives any power of two, small and large', () => {
  const heap = smallHeap({ size: 2 * MIB, maxSize: 8 * MIB });
  const objects: [number, number][] = [];
  for (const size of [0, 1, 24, 100, 3000, 5000]) {
    for (let align = 1; align <= MIB; align *= 2) {
      const address = heap.kmallocAligned(size, align);
      assert.ok(address > 0 && address % align === 0, `size ${size}, alignment ${align}`);
      assert.ok(heap.ksize(address) >= size);
      fill(heap, address, size);
      objects.push([address, size]);
    }
  }
  for (const [address, size] of objects) assertFilled(heap, address, size);
  for (const [address] of objects) heap.kfree(address);
  assert.equal(heap.meminfo().live, 0);
  assertSound(heap);
});

test('an alignment is a power of two up to 2^27; one that the heap cannot give is no memory', () => {
  const heap = smallHeap();
  allRefused(
    heap,
    RangeError,
    [0, 3, -8, 12, 1.5, Number.NaN, 2 ** 28, 2 ** 27 + 1].map(
      (align) => () => heap.kmallocAligned(64, align),
    ),
  );
  refused(heap, TypeError, () => heap.kmallocAligned(64, wrong('8')));
  assert.equal(heap.kmallocAligned(64, 2 ** 27), 0);
  assert.equal(heap.meminfo().size, smallHeap().meminfo().size, 'and the heap does not grow for nothing');
  assertSound(heap);
});

test('ksize is the size of the class, of whole pages for large objects, and 0 for 0', () => {
  const heap = smallHeap();
  const classOf = (size: number): number => heap.ksize(heap.kmalloc(size));
  assert.deepEqual([0, 1, 9, 65, 129, 257, 2048].map(classOf), [8, 8, 16, 96, 192, 384, 2048]);
  assert.deepEqual([2049, 4097, 100_000].map(classOf), [4096, 8192, 102_400]);
  assert.equal(heap.ksize(0), 0);
});

test('kfree of 0 does nothing, as do kvfree, kfreeSensitive and cache.free', () => {
  const heap = smallHeap();
  const before = heap.slabinfo();
  heap.kfree(0);
  heap.kvfree(0);
  heap.kfreeSensitive(0);
  heap.cache('kmalloc-64').free(0);
  assert.deepEqual(heap.slabinfo(), before);
});

test('kfreeSensitive leaves nothing but zeros', () => {
  const heap = smallHeap();
  for (const size of [8, 64, 100, 2048, 5000, 100_000]) {
    const address = heap.kmalloc(size);
    const bytes = heap.ksize(address);
    fill(heap, address, bytes, 1);
    heap.kfreeSensitive(address);
    assert.ok(isZero(heap, address, bytes), `size ${size}`);
    refused(heap, 'EDOUBLEFREE', () => heap.kfreeSensitive(address));
  }
});

test('a freed object is handed out again; a live one never', () => {
  const heap = smallHeap({ maxSize: MIB });
  const first = exhaust(() => heap.kmalloc(64));
  assert.equal(new Set(first).size, first.length);
  for (const address of first) heap.kfree(address);
  const second = exhaust(() => heap.kmalloc(64));
  assert.equal(second.length, first.length);
  assert.deepEqual(new Set(second), new Set(first));
});

test('memory of one size serves every other size after it was freed', () => {
  const heap = smallHeap({ maxSize: MIB });
  const frames = heap.meminfo().total / heap.pageSize;
  for (const size of [8, 2048, 96, 4096, 64, 40_000, 192, 8]) {
    const addresses = exhaust(() => heap.kmalloc(size));
    const capacity = size <= 2048 ? Math.floor(heap.pageSize / (heap.ksize(addresses[0]) || 1)) : 0;
    if (capacity > 0 && heap.pageSize % heap.ksize(addresses[0]) === 0) {
      assert.equal(addresses.length, frames * capacity, `size ${size}`);
    }
    for (const address of addresses) heap.kfree(address);
  }
  heap.shrink();
  assert.equal(heap.meminfo().footprint, 0);
  assertSound(heap);
});

test('kvmalloc gives contiguous memory larger than kmalloc can, and kvfree takes it back', () => {
  const heap = smallHeap();
  const size = heap.kmallocMaxSize + 5000;
  const address = heap.kvmalloc(size);
  assert.ok(address > 0 && heap.ksize(address) >= size);
  fill(heap, address, size);
  const small = heap.kvmalloc(100);
  fill(heap, small, 100);
  assertFilled(heap, address, size);
  assert.equal(heap.kmalloc(64, GFP.NOWAIT) > 0, true);
  refused(heap, 'EINTERIOR', () => heap.kvfree(address + 4096));
  heap.kvfree(address);
  heap.kvfree(small);
  refused(heap, 'EDOUBLEFREE', () => heap.kvfree(address));
  assert.notEqual(heap.kvmalloc(0), 0);
  allRefused(
    heap,
    RangeError,
    [-1, 1.5, Number.NaN, 2 ** 33, heap.meminfo().maxSize + 1].map((bad) => () => heap.kvmalloc(bad)),
  );
  refused(heap, TypeError, () => heap.kvmalloc(wrong('9')));
});

test('allocPages gives pages aligned to their order, of zeros on demand', () => {
  const heap = smallHeap();
  const pages: [number, number][] = [0, 1, 2, 3, 4, 5, 0, 1].map((order) => [heap.allocPages(order), order]);
  for (const [address, order] of pages) {
    assert.ok(address > 0 && address % (heap.pageSize * 2 ** order) === 0, `order ${order}`);
    fill(heap, address, heap.pageSize * 2 ** order);
  }
  for (const [address, order] of pages) assertFilled(heap, address, heap.pageSize * 2 ** order);
  assert.equal(
    heap.meminfo().live,
    pages.reduce((sum, [, order]) => sum + heap.pageSize * 2 ** order, 0),
  );
  for (const [address, order] of pages) heap.freePages(address, order);
  assert.equal(heap.meminfo().live, 0);
  const zeroed = heap.allocPages(5, GFP.ZERO);
  assert.ok(isZero(heap, zeroed, heap.pageSize * 32));
  assertSound(heap);
});

test('freePages takes nothing but the first byte of pages, and their order', () => {
  const heap = smallHeap();
  const pages = heap.allocPages(2);
  const large = heap.kmalloc(4 * heap.pageSize);
  const small = heap.kmalloc(64);
  fill(heap, pages, 4 * heap.pageSize);
  refused(heap, 'EINVAL', () => heap.freePages(pages, 1));
  allRefused(heap, 'EFAULT', [
    () => heap.freePages(pages + 8, 2),
    () => heap.freePages(pages + heap.pageSize, 2),
    () => heap.freePages(large, 2),
    () => heap.freePages(small, 0),
    () => heap.freePages(2 ** 31, 0),
    () => heap.kfree(pages),
    () => heap.ksize(pages),
  ]);
  refused(heap, TypeError, () => heap.freePages(wrong(undefined), 0));
  const orders = [-1, 0.5, 32, Number.NaN];
  allRefused(heap, RangeError, [
    ...orders.map((order) => () => heap.allocPages(order)),
    ...orders.map((order) => () => heap.freePages(pages, order)),
  ]);
  assertFilled(heap, pages, 4 * heap.pageSize);
  heap.freePages(pages, 2);
  const again = refused(heap, 'EFAULT', () => heap.freePages(pages, 2));
  assert.ok(again.message.length > 0);
  assert.equal(heap.allocPages(31), 0);
});

test('gfp is a union of known bits', () => {
  const heap = smallHeap();
  const flags = [512, 1024, -1, 0.5, Number.NaN, 2 ** 31];
  allRefused(heap, 'EINVAL', [
    ...flags.map((gfp) => () => heap.allocPages(0, gfp)),
    ...flags.map((gfp) => () => heap.kmalloc(100_000, gfp)),
    () => heap.kmalloc(64, 512),
  ]);
  refused(heap, TypeError, () => heap.kmalloc(100_000, wrong('ZERO')));
  assert.notEqual(heap.kmalloc(64, GFP.NOWARN | GFP.ACCOUNT | GFP.RECLAIMABLE | GFP.KERNEL), 0);
});
