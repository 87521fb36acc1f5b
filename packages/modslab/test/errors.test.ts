// Every way to free against every address that must not be freed: the right error, and nothing has changed.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { type Heap, type KmemCache, SlabError, type SlabErrorCode } from 'modslab';
import {
  allRefused,
  assertFilled,
  assertSound,
  fill,
  MIB,
  refused,
  smallHeap,
  thrownBy,
  wrong,
} from './support/heap.js';

const FREES: [string, (heap: Heap, address: number) => unknown][] = [
  ['kfree', (heap, address) => heap.kfree(address)],
  ['kvfree', (heap, address) => heap.kvfree(address)],
  ['kfreeSensitive', (heap, address) => heap.kfreeSensitive(address)],
  ['ksize', (heap, address) => heap.ksize(address)],
  ['krealloc', (heap, address) => heap.krealloc(address, 5000)],
  ['krealloc to 0', (heap, address) => heap.krealloc(address, 0)],
];

interface Scene {
  heap: Heap;
  cache: KmemCache;
  live: [number, number][];
  bad: [string, number, SlabErrorCode][];
}

/** A heap with objects of every kind, and addresses that are none of a live object's first byte. */
function scene(): Scene {
  const heap = smallHeap();
  const { pageSize } = heap;
  const cache = heap.createCache({ name: 'things', size: 80 });
  const several = heap.createCache({ name: 'several frames', size: 1500 }); // 4 frames a slab.
  const single = heap.createCache({ name: 'one a slab', size: 5 * pageSize });
  const gone = heap.createCache({ name: 'gone', size: 72 });
  const large = heap.kmalloc(5 * pageSize);
  const thing = cache.alloc();
  const middle = Array.from({ length: 10 }, () => several.alloc())[7];
  const one = single.alloc();
  const small = heap.kmalloc(8);
  const pages = heap.allocPages(2);
  const live = [large, thing, middle, one, small].map((a): [number, number] => [a, heap.ksize(a)]);
  const freed = [
    heap.kmalloc(96),
    heap.kmalloc(3 * pageSize),
    gone.alloc(),
    single.alloc(),
    heap.kmalloc(1024),
  ];
  for (const address of freed) heap.kfree(address);
  gone.destroy();
  const freedPages = heap.allocPages(1);
  heap.freePages(freedPages, 1);
  const end = heap.u8.length;
  return {
    heap,
    cache,
    live,
    bad: [
      ['the first page', 8, 'EFAULT'],
      ['behind the end', end, 'EFAULT'],
      ['behind the largest end', 4 * MIB, 'EFAULT'],
      ['the top of the address space', 2 ** 32 - 8, 'EFAULT'],
      ['beyond 32 bits', 2 ** 32 + thing, 'EFAULT'],
      ['a negative number', -8, 'EFAULT'],
      ['a fraction', thing + 0.5, 'EFAULT'],
      ['NaN', Number.NaN, 'EFAULT'],
      ['infinity', Number.POSITIVE_INFINITY, 'EFAULT'],
      ['a page that was never used', end - pageSize, 'EFAULT'],
      ['pages', pages, 'EFAULT'],
      ['inside pages', pages + pageSize + 16, 'EFAULT'],
      ['a byte of an object', thing + 1, 'EINTERIOR'],
      ['a granule of an object', thing + 8, 'EINTERIOR'],
      ['the last byte of an object', thing + 79, 'EINTERIOR'],
      ['inside an object of a slab of several frames', middle + 512, 'EINTERIOR'],
      ['one byte off a small object', small + 4, 'EINTERIOR'],
      ['inside a large object', large + 16, 'EINTERIOR'],
      ['a later page of a large object', large + 2 * pageSize, 'EINTERIOR'],
      ['inside a slab of one object', one + 64, 'EINTERIOR'],
      ['a later page of a slab of one object', one + 3 * pageSize, 'EINTERIOR'],
      ['what a slab has left over', thing - (thing % pageSize) + 51 * 80, 'EINTERIOR'],
      ['an object that is free', freed[0], 'EDOUBLEFREE'],
      ['a large object that is free', freed[1], 'EDOUBLEFREE'],
      ['an object of a destroyed cache', freed[2], 'EDOUBLEFREE'],
      ['a slab of one object that is free', freed[3], 'EDOUBLEFREE'],
      ['an object that was never handed out', cacheNeighbour(freed[4]), 'EDOUBLEFREE'],
      ['pages that are free', freedPages, 'EFAULT'],
    ],
  };
}

/** Another object of the same slab of kmalloc-1024. */
const cacheNeighbour = (address: number): number => (address % 4096 === 0 ? address + 1024 : address - 1024);

for (const [name, free] of FREES) {
  test(`${name} refuses everything but the first byte of a live object`, () => {
    const { heap, live, bad } = scene();
    for (const [address, bytes] of live) fill(heap, address, bytes);
    const before = heap.meminfo().live;
    for (const [what, address, code] of bad) {
      const error = thrownBy(code, () => free(heap, address), what);
      assert.ok(error instanceof SlabError && Object.is(error.address, address), what);
      assert.equal(heap.meminfo().live, before, what);
    }
    assertSound(heap);
    allRefused(
      heap,
      TypeError,
      ['8', null, undefined, {}, [8], true, 8n].map((address) => () => free(heap, wrong<number>(address))),
    );
    for (const [address, bytes] of live) {
      assertFilled(heap, address, bytes);
      heap.kfree(address);
    }
    assertSound(heap);
  });
}

test('cache.free refuses the same, and what belongs to others', () => {
  const { heap, cache, live, bad } = scene();
  const before = heap.meminfo().live;
  for (const [what, address, code] of bad) {
    const expected = code === 'EINTERIOR' ? codeFor(address) : code;
    const error = thrownBy(expected, () => cache.free(address), what);
    assert.ok(error instanceof SlabError && Object.is(error.address, address), what);
    assert.equal(heap.meminfo().live, before, what);
  }
  assertSound(heap);
  // A large object's interior may be told as foreign or as interior.
  function codeFor(address: number): SlabErrorCode {
    const { flags } = heap.virtToPage(address);
    return flags === 'large' ? 'ECACHE' : 'EINTERIOR';
  }
  for (const [address] of live) {
    if (heap.virtToPage(address).cache === 'things') continue;
    refused(heap, 'ECACHE', () => cache.free(address));
  }
});

test('an error of the allocator is an Error with a name, a code and a message that says what to do with it', () => {
  const heap = smallHeap();
  const error = refused(heap, 'EFAULT', () => heap.kfree(8));
  assert.ok(error instanceof SlabError && error instanceof Error);
  assert.deepEqual(
    [error.name, error.code, error.address, 'cache' in error],
    ['SlabError', 'EFAULT', 8, false],
  );
  assert.match(error.message, /0x8/);
  assert.match(error.stack ?? '', /errors\.test/);
});

test('no address of the whole space is freed by mistake', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'odd', size: 56 });
  const live = new Set<number>();
  for (let i = 0; i < 60; i++) live.add(heap.kmalloc(i * 40)).add(cache.alloc());
  const { live: bytes } = heap.meminfo();
  const end = heap.u8.length;
  const address = fc.oneof(fc.nat(end - 1), fc.nat(2 ** 31 - 1), fc.integer(), fc.double());
  fc.assert(
    fc.property(address, (value) => {
      if (live.has(value) || value === 0) return;
      assert.throws(
        () => heap.kfree(value),
        (error) => error instanceof SlabError && ['EFAULT', 'EINTERIOR', 'EDOUBLEFREE'].includes(error.code),
      );
    }),
    { numRuns: 5000 },
  );
  for (let value = heap.pageSize; value < 6 * heap.pageSize; value++) {
    if (!live.has(value)) assert.throws(() => heap.kfree(value), SlabError);
  }
  assert.equal(heap.meminfo().live, bytes);
  assertSound(heap);
});
