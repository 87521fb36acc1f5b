/**
 * mimalloc's test-api, ported from its description, test by test under its names.
 *
 *     malloc-zero malloc-nomem1 malloc-free-null malloc-free-invalid-low calloc-overflow malloc-large calloc0
 *     mi_urealloc_invalid                                                                                   8 tests
 *     posix_memalign1 _no_align _zero _nopow2 _nomem, as kmallocAligned                                     5
 *     malloc-aligned1…5, 7…10, 9a, 12, 13, memalign1, zalloc-aligned-small1, rezalloc_aligned-small1,
 *     rezalloc_aligned_zeros                                                                               16
 *     realloc-null realloc-null-sizezero realloc-sizezero reallocarray-null-sizezero realloc-guarded        5
 *     umalloc1                                                                                              1
 *     heap-os1 heap-os2 heap-many, on caches                                                                3
 *     zero_aligned_first                                                                                    1
 *
 * Exact counts: aligned13 tries every size up to 2,048 (twice MI_SMALL_SIZE_MAX) with every power of two up to the size as
 * alignment, 10 objects each: 204,930 objects; aligned9 every alignment 2^0…2^27 with 8 sizes; realloc-guarded 64 · 1,024
 * reallocations.
 *
 * What differs by contract: what is too large or overflows throws a RangeError here, where mimalloc returns NULL; krealloc to
 * 0 bytes frees and returns 0, as the kernel's does. mimalloc's heaps are answered by caches here: a heap that is destroyed
 * frees its blocks, a cache refuses while objects live. mi_heap_destroy and mi_heap_delete proper, which free all blocks of a
 * heap or hand them on, are what groups do.
 *
 * No counterpart: aligned_at (an alignment at an offset; 2 tests), arena_reserve, realpath and the C library's other
 * functions, the C++ new handlers and STL allocators; aligned6 and 11 are disabled there too. test-api-fill checks debug
 * patterns: the tests of the debug flag P do that here.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Address, GFP, Heap, type HeapOptions } from 'modslab';
import { assertEmpty } from '../support/accounts.ts';
import { assertFilled, fill, isZero, refused, thrownBy } from '../support/heap.ts';

const MIB = 2 ** 20;
const SMALL_SIZE_MAX = 1024;
/** MI_PAGE_MAX_OVERALLOC_ALIGN. */
const OVERALLOC_ALIGN = 2 ** 16;
const MAX_ALIGN_SIZE = 16;

const heapOf = (options: HeapOptions = {}): Heap =>
  Heap.create({ size: MIB, maxSize: 256 * MIB, ...options });

/** The address, aligned, or the test fails. */
function aligned(address: Address, align: number, what = ''): Address {
  assert.ok(address !== 0 && address % align === 0, `${address} should be aligned to ${align} ${what}`);
  return address;
}

/** A test on a heap of its own, on which nothing may be left. */
function check(name: string, act: (heap: Heap) => void, options: HeapOptions = {}): void {
  test(name, () => {
    const heap = heapOf(options);
    act(heap);
    assertEmpty(heap);
  });
}

check('malloc-zero', (heap) => heap.kfree(aligned(heap.kmalloc(0), 8)));
check('malloc-nomem1', (heap) => {
  refused(heap, RangeError, () => heap.kmalloc(2 ** 31));
  refused(heap, RangeError, () => heap.kmalloc(Number.MAX_SAFE_INTEGER));
});
check('malloc-free-null', (heap) => heap.kfree(0));
check('malloc-free-invalid-low', (heap) => refused(heap, 'EFAULT', () => heap.kfree(0x0399_0080)));
check('calloc-overflow', (heap) => {
  refused(heap, RangeError, () => heap.kcalloc(0x1234_5678, Math.floor(Number.MAX_SAFE_INTEGER / 1000)));
  refused(heap, RangeError, () => heap.kcalloc(2 ** 16, 2 ** 16));
});
check('malloc-large', (heap) => heap.kfree(aligned(heap.kmalloc(67_108_872), 16)));
check('calloc0', (heap) => {
  const address = heap.kcalloc(0, 1000);
  assert.ok(address !== 0 && heap.ksize(address) <= 16);
  heap.kfree(address);
});
check('mi_urealloc_invalid', (heap) => {
  const address = heap.kmalloc(64);
  refused(heap, 'EINTERIOR', () => heap.krealloc(address + 3, 32));
  heap.kfree(address);
});

check('posix_memalign1', (heap) => heap.kfree(aligned(heap.kmallocAligned(32, 8), 8)));
check('posix_memalign_no_align', (heap) => void refused(heap, RangeError, () => heap.kmallocAligned(32, 3)));
check('posix_memalign_zero', (heap) => heap.kfree(aligned(heap.kmallocAligned(0, 8), 8)));
check('posix_memalign_nopow2', (heap) => void refused(heap, RangeError, () => heap.kmallocAligned(32, 24)));
check(
  'posix_memalign_nomem',
  (heap) => void refused(heap, RangeError, () => heap.kmallocAligned(2 ** 32, 8)),
);

check('malloc-aligned1', (heap) => heap.kfree(aligned(heap.kmallocAligned(32, 32), 32)));
check('malloc-aligned2', (heap) => heap.kfree(aligned(heap.kmallocAligned(48, 32), 32)));
check('malloc-aligned3', (heap) => {
  const both = [heap.kmallocAligned(48, 32), heap.kmallocAligned(48, 32)];
  for (const address of both.reverse()) heap.kfree(aligned(address, 32));
});
check('malloc-aligned4', (heap) => {
  for (let i = 0; i < 8; i++) heap.kfree(aligned(heap.kmallocAligned(8, 16), 16));
});
check('malloc-aligned5', (heap) => {
  const address = aligned(heap.kmallocAligned(4097, 4096), 4096);
  const usable = heap.ksize(address);
  assert.ok(usable >= 4097 && usable < 16_000, `usable ${usable}`);
  heap.kfree(address);
});
check('malloc-aligned7', (heap) => {
  heap.kfree(aligned(heap.kmallocAligned(1024, OVERALLOC_ALIGN), OVERALLOC_ALIGN));
});
check('malloc-aligned8', (heap) => {
  for (let n = 1; n < 32; n *= 2) {
    heap.kfree(aligned(heap.kmallocAligned(1024, n * OVERALLOC_ALIGN), n * OVERALLOC_ALIGN));
  }
});
check(
  'malloc-aligned9',
  (heap) => {
    const sizes = [
      8,
      512,
      MIB,
      OVERALLOC_ALIGN,
      OVERALLOC_ALIGN + 1,
      2 * OVERALLOC_ALIGN,
      8 * OVERALLOC_ALIGN,
      0,
    ];
    for (let align = 1; align <= 2 ** 27; align *= 2) {
      const addresses = sizes.map((size) => {
        const address = aligned(heap.kmallocAligned(size, align, GFP.ZERO), align, `for ${size} bytes`);
        assert.ok(isZero(heap, address, Math.min(size, 1024)));
        return address;
      });
      for (const address of addresses) heap.kfree(address);
    }
  },
  { maxSize: 2048 * MIB },
);
check('malloc-aligned9a', (heap) => {
  for (let i = 0; i < 2; i++) heap.kfree(aligned(heap.kmallocAligned(MIB, 2, GFP.ZERO), 2));
});
check('malloc-aligned10', (heap) => {
  const addresses: Address[] = [];
  for (let align = 1; align <= 1024; align *= 2) {
    addresses.push(aligned(heap.kmallocAligned(43 + align, align), align));
  }
  for (const address of addresses.reverse()) heap.kfree(address);
});
check('mimalloc-aligned12', (heap) => heap.kfree(aligned(heap.kmallocAligned(0x100, 0x100), 0x100)));
check('mimalloc-aligned13', (heap) => {
  let made = 0;
  const addresses = new Uint32Array(10);
  for (let size = 1; size <= 2 * SMALL_SIZE_MAX; size++) {
    for (let align = 1; align <= size; align *= 2) {
      for (let i = 0; i < addresses.length; i++) {
        addresses[i] = heap.kmallocAligned(size, align);
        if (addresses[i] === 0 || addresses[i] % align !== 0)
          aligned(addresses[i], align, `for ${size} bytes`);
      }
      for (const address of addresses) heap.kfree(address);
      made += addresses.length;
    }
  }
  assert.equal(made, 204_930);
});
check('memalign1', (heap) => {
  for (let i = 0; i < 8; i++) heap.kfree(aligned(heap.kmallocAligned(16, 8), 16));
});
check('zalloc-aligned-small1', (heap) => {
  const address = heap.kmallocAligned(SMALL_SIZE_MAX / 2, MAX_ALIGN_SIZE * 2, GFP.ZERO);
  assert.ok(isZero(heap, aligned(address, 32), SMALL_SIZE_MAX / 2));
  heap.kfree(address);
});
check('rezalloc_aligned-small1', (heap) => {
  const size = SMALL_SIZE_MAX / 2;
  let address = heap.kmallocAligned(size, MAX_ALIGN_SIZE * 2, GFP.ZERO);
  address = heap.krealloc(address, 3 * size, GFP.ZERO);
  assert.ok(isZero(heap, address, 3 * size));
  heap.kfree(address);
});
check('rezalloc_aligned_zeros', (heap) => {
  const n = 1024 * 6;
  let address = heap.kmallocAligned(n, 1024, GFP.ZERO);
  assert.ok(isZero(heap, address, n));
  fill(heap, address, n / 2, 7);
  address = heap.krealloc(address, n / 2, GFP.ZERO);
  assertFilled(heap, address, n / 2, 7);
  address = heap.krealloc(address, n, GFP.ZERO);
  assertFilled(heap, address, n / 2, 7);
  assert.ok(isZero(heap, address + n / 2, n / 2));
  heap.kfree(address);
});

check('realloc-null', (heap) => heap.kfree(aligned(heap.krealloc(0, 4), 8)));
check('realloc-null-sizezero', (heap) => heap.kfree(aligned(heap.krealloc(0, 0), 8)));
check('realloc-sizezero: frees and returns 0', (heap) => {
  const address = heap.kmalloc(4);
  assert.equal(heap.krealloc(address, 0), 0);
  thrownBy('EDOUBLEFREE', () => heap.kfree(address));
});
check('reallocarray-null-sizezero', (heap) => heap.kfree(aligned(heap.krealloc(0, 0 * 16), 8)));
check('realloc-guarded: 64 times 1,024 reallocations', (heap) => {
  let address = 0;
  for (let round = 0; round < 64; round++) {
    for (let i = 0; i < 1024; i++) {
      address = heap.krealloc(address, i * 64);
      if (i > 0) heap.u8[address + i * 64 - 1] = i;
    }
  }
  heap.kfree(address);
});

check('umalloc1', (heap) => {
  for (let size = 1; size <= 32 * MIB; size *= 2) {
    let address = aligned(heap.kmalloc(size), 8);
    const room = heap.ksize(address);
    assert.ok(room >= size);
    address = heap.krealloc(address, size + 1024);
    assert.ok(heap.ksize(address) >= size + 1024);
    heap.kfree(address);
  }
});

check('heap-os1: an object outlives the wish to destroy its cache', (heap) => {
  const cache = heap.createCache({ name: 'os1', size: MIB, align: 2 ** 12 });
  const address = cache.alloc();
  assert.match(refused(heap, 'EBUSY', () => cache.destroy()).message, new RegExp(address.toString(16)));
  cache.free(address);
  cache.destroy();
});
check('heap-os2: a destroyed cache leaves no page behind', (heap) => {
  heap.shrink();
  const before = heap.meminfo().footprint;
  const cache = heap.createCache({ name: 'os2', size: MIB });
  const addresses = Uint32Array.from({ length: 10 }, () => cache.alloc());
  for (const address of addresses) heap.u32[address / 4] = 42;
  cache.freeBulk(addresses);
  cache.destroy();
  assert.equal(heap.meminfo().footprint, before);
});
check(
  'heap-many: 1,000 caches',
  (heap) => {
    const caches = Array.from({ length: 1000 }, (_, i) => heap.createCache({ name: `many-${i}`, size: 32 }));
    const addresses = caches.map((cache) => cache.alloc());
    assert.equal(new Set(addresses).size, 1000);
    for (const [i, cache] of caches.entries()) {
      cache.free(addresses[i]);
      cache.destroy();
    }
  },
  { caches: 1100 },
);

check('zero_aligned_first: as the first call of a CPU', (main) => {
  const dirty = main.kmalloc(4096);
  main.u8.fill(0xff, dirty, dirty + 4096);
  main.kfree(dirty);
  main.shrink();
  const heap = Heap.attach(main.handle);
  const address = aligned(heap.kmallocAligned(4096, 4096, GFP.ZERO), 4096);
  assert.ok(isZero(heap, address, 4096));
  heap.kfree(address);
  heap.detach();
});
