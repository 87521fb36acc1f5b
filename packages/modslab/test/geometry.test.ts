// How objects lie in slabs: the reciprocal is exact, objects fit, little is wasted; size classes; sheaf entries.
import assert from 'node:assert/strict';
import test from 'node:test';
import { classesUpTo, classIndex, SIZE_CLASSES_2006 } from '#src/kmalloc/sizeClasses.js';
import { addressOf, entryOf } from '#src/memory/entry.js';
import { SHEAF_CAPACITY } from '#src/memory/layout.js';
import { SLAB } from '#src/slab/flags.js';
import { type SlabGeometry, slabGeometry } from '#src/slab/geometry.js';

const PAGE_SHIFTS = [12, 13, 14, 15, 16];

const indexOf = (g: SlabGeometry, offset: number): number =>
  Math.imul(offset, g.reciprocal) >>> g.reciprocalShift;

/** Sizes whose strides are all there can be in slabs of several objects, for one page size. */
function* allStrides(pageShift: number): Iterable<number> {
  yield 8;
  for (let size = 16; size <= 4 * 2 ** pageShift; size += 16) yield size;
}

test('the reciprocal is exact for every offset of every stride at every page size', () => {
  for (const pageShift of PAGE_SHIFTS) {
    for (const size of allStrides(pageShift)) {
      const g = slabGeometry(size, 0, 0, pageShift);
      if (g.objects === 1) continue;
      const end = 2 ** g.slabShift;
      // The product never leaves 32 bits, so the index rises with the offset: both edges of each object say it all.
      assert.ok((end - 1) * g.reciprocal < 2 ** 32, `stride ${g.stride}, pages of 2^${pageShift}`);
      for (let index = 0; index * g.granules < end; index++) {
        const first = index * g.granules;
        const last = Math.min(end, first + g.granules) - 1;
        if (indexOf(g, first) !== index || indexOf(g, last) !== index) {
          assert.fail(`stride ${g.stride}, pages of 2^${pageShift}: object ${index}`);
        }
      }
    }
  }
});

test('the reciprocal equals a division at each single offset of pages of 4 KiB', () => {
  for (const size of allStrides(12)) {
    const g = slabGeometry(size, 0, 0, 12);
    if (g.objects === 1) continue;
    for (let offset = 0; offset < 2 ** g.slabShift; offset++) {
      if (indexOf(g, offset) !== Math.floor(offset / g.granules))
        assert.fail(`${offset} in stride ${g.stride}`);
    }
  }
});

test('objects fit their slab, are large enough, and their states fit the window', () => {
  for (const pageShift of PAGE_SHIFTS) {
    const pageSize = 2 ** pageShift;
    for (let size = 1; size <= 6 * pageSize; size += size < 600 ? 1 : 97) {
      const g = slabGeometry(size, 0, 0, pageShift);
      assert.ok(g.stride >= size && g.stride - size < 16);
      assert.ok(g.objects >= 1 && g.objects * g.stride <= g.frames * pageSize, `size ${size}`);
      assert.ok(
        g.objects === 1 || (g.objects + 1) * g.stride > g.frames * pageSize,
        'no room is left unused',
      );
      assert.ok(g.objects < 2 ** 14, 'the count fits the claim word');
      assert.ok(g.stateRegion >= 0 && g.stateRegion <= pageShift - 3, 'there is such a region');
      assert.ok(g.objects <= 2 ** g.stateShift, 'states of neighbours do not overlap');
      assert.equal(g.granules * 8, g.stride);
      assert.ok(g.capacity >= 1 && g.capacity <= SHEAF_CAPACITY);
    }
  }
});

test('a slab wastes at most an eighth, or as little as any order and the exact run would', () => {
  const share = (bytes: number, stride: number): number =>
    stride > bytes ? 1 : (bytes - Math.floor(bytes / stride) * stride) / bytes;
  for (const pageShift of PAGE_SHIFTS) {
    const pageSize = 2 ** pageShift;
    for (let size = 8; size <= 6 * pageSize; size += 8) {
      const g = slabGeometry(size, 0, 0, pageShift);
      const used = g.frames * pageSize;
      const waste = (used - g.objects * g.stride) / used;
      const exact = Math.ceil(g.stride / pageSize) * pageSize;
      const best = Math.min(
        ...[1, 2, 4].map((n) => share(n * pageSize, g.stride)),
        (exact - g.stride) / exact,
      );
      assert.ok(waste <= 1 / 8 || waste <= best, `size ${size}: wastes ${waste}, ${best} is possible`);
    }
  }
});

test('alignment: 8, from 16 bytes up 16, what is asked for, a cache line or the part of it that holds the object', () => {
  const align = (size: number, asked = 0, flags = 0): number => slabGeometry(size, asked, flags, 12).align;
  assert.deepEqual(
    [1, 8, 15, 16, 24, 4000].map((size) => align(size)),
    [8, 8, 8, 16, 16, 16],
  );
  assert.deepEqual(
    [1, 64, 4096].map((asked) => align(40, asked)),
    [16, 64, 4096],
  );
  const line = (size: number): number => align(size, 0, SLAB.HWCACHE_ALIGN);
  assert.deepEqual([8, 9, 16, 17, 32, 33, 64, 65, 500].map(line), [8, 16, 16, 32, 32, 64, 64, 64, 64]);
  assert.equal(align(500, 256, SLAB.HWCACHE_ALIGN), 256);
});

test('a size finds the smallest class that holds it', () => {
  for (const pageShift of PAGE_SHIFTS) {
    const classes = classesUpTo(SIZE_CLASSES_2006, 2 ** pageShift / 2);
    assert.equal(classes.at(-1), 2 ** (pageShift - 1), 'up to half a page');
    const index = classIndex(classes);
    for (let size = 0; size <= 2 ** (pageShift - 1); size++) {
      const expected = classes.findIndex((bytes) => bytes >= size);
      if (index[(size + 7) >>> 3] !== expected) assert.fail(`size ${size}`);
    }
  }
});

test('the default table is that of 2006 and has what the contract names', () => {
  assert.deepEqual(
    [...SIZE_CLASSES_2006].sort((a, b) => a - b),
    SIZE_CLASSES_2006,
  );
  for (const size of [32, 64, 96, 128, 192, 256]) assert.ok(SIZE_CLASSES_2006.includes(size));
  assert.ok(SIZE_CLASSES_2006.every((size) => size % 8 === 0));
});

test('an address survives its sheaf entry over all 4 GiB', () => {
  for (const address of [0, 8, 4096, 2 ** 31 - 8, 2 ** 31, 2 ** 32 - 8]) {
    const entry = entryOf(address);
    assert.ok(entry >= 0 && entry < 2 ** 29, 'a small positive integer');
    assert.equal(addressOf(entry), address);
  }
});
