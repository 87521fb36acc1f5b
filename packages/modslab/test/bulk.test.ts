// Bulk calls: all or nothing, in both directions.
import assert from 'node:assert/strict';
import test from 'node:test';
import { GFP, SLAB } from 'modslab';
import { entryOf } from '#src/memory/entry.js';
import { cacheAt } from '#src/memory/layout.js';
import { LIVE, LIVE_MARKED } from '#src/page/page.js';
import { stateAt } from '#src/slab/cacheTable.js';
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
  thrownBy,
  wrong,
} from './support/heap.js';
import { internalsOf } from './support/internals.js';

test('kmallocBulk fills all of an array, or its first n', () => {
  const heap = smallHeap();
  for (const out of [new Uint32Array(200), new Int32Array(200)]) {
    assert.equal(heap.kmallocBulk(40, out), 200);
    assert.equal(new Set(out).size, 200);
    for (const address of out) fill(heap, address, 48);
    for (const address of out) assertFilled(heap, address, 48);
    heap.kfreeBulk(out);
  }
  const out = new Uint32Array(10);
  assert.equal(heap.kmallocBulk(5000, out, 3), 3);
  assert.deepEqual(out.subarray(3), new Uint32Array(7));
  assert.equal(heap.kmallocBulk(64, out, 0), 0);
  heap.kfreeBulk(out);
  assert.equal(heap.meminfo().live, 0);
  assertSound(heap);
});

test('kmallocBulk takes gfp', () => {
  const heap = smallHeap();
  const out = new Uint32Array(50);
  heap.kmallocBulk(64, out);
  for (const address of out) fill(heap, address, 64, 1);
  heap.kfreeBulk(out);
  assert.equal(heap.kmallocBulk(64, out, 50, GFP.ZERO), 50);
  assert.ok(out.every((address) => isZero(heap, address, 64)));
  refused(heap, 'EINVAL', () => heap.kmallocBulk(64, out, 50, 1 << 20));
});

test('without memory for all, kmallocBulk and allocBulk allocate none', () => {
  const heap = smallHeap({ maxSize: MIB });
  const cache = heap.createCache({ name: 'bulk', size: 2000 });
  const out = new Uint32Array(10_000);
  assert.equal(heap.kmallocBulk(2048, out), 0);
  assert.equal(heap.kmallocBulk(10_000, out), 0);
  assert.equal(cache.allocBulk(out), 0);
  assert.equal(heap.meminfo().live, 0);
  assert.ok(out.every((address) => address === 0));
  assertSound(heap);
  assert.equal(exhaust(() => heap.kmalloc(4096)).length, 255, 'all memory is there again');
});

test('an allocBulk that ends with an exception leaves nothing allocated', () => {
  const heap = smallHeap({ maxSize: MIB });
  const panicking = heap.createCache({ name: 'panicking', size: 2048, flags: SLAB.PANIC });
  thrownBy('ENOMEM', () => panicking.allocBulk(new Uint32Array(10_000)));
  assert.equal(panicking.stats().live, 0);
  let calls = 0;
  const failing = heap.createCache({
    name: 'failing',
    size: 64,
    ctor: () => {
      if (++calls > 70) throw new RangeError('ctor');
    },
  });
  thrownBy(RangeError, () => failing.allocBulk(new Uint32Array(200)));
  assert.equal(failing.stats().live, 0);
});

test('a kmallocBulk that ends with an exception leaves nothing allocated', () => {
  const heap = smallHeap({ maxSize: MIB, shared: false });
  thrownBy('EINVAL', () => heap.kmallocBulk(2048, new Uint32Array(10_000), 10_000, GFP.NOFAIL));
  assert.equal(heap.meminfo().live, 0);
  assertSound(heap);
});

test('allocBulk and freeBulk of a cache', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'bulk', size: 40 });
  const out = new Int32Array(300);
  assert.equal(cache.allocBulk(out), 300);
  assert.equal(cache.stats().live, 300);
  cache.freeBulk(out, 100);
  assert.equal(cache.stats().live, 200);
  cache.freeBulk(out.subarray(100));
  assert.equal(cache.stats().live, 0);
  assertSound(heap);
});

test('kfreeBulk frees objects of all kinds together and skips zeros', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'mixed', size: 24 });
  const addresses = [8, 64, 5000, 100_000, 192, 4096].flatMap((size) => [heap.kmalloc(size), 0]);
  addresses.push(cache.alloc(), 0, 0, cache.alloc());
  heap.kfreeBulk(Uint32Array.from(addresses));
  assert.equal(heap.meminfo().live, 0);
  heap.kfreeBulk(new Uint32Array(5));
  heap.kfreeBulk(new Uint32Array(0));
  assertSound(heap);
});

test('if one address is refused, none is freed, wherever it stands and whatever is wrong with it', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'good', size: 64 });
  const large = heap.kmalloc(50_000);
  const freedLarge = heap.kmalloc(50_000);
  const freed = heap.kmalloc(64);
  const pages = heap.allocPages(0);
  heap.kfree(freed);
  heap.kfree(freedLarge);
  const good = [cache.alloc(), large, heap.kmalloc(64), heap.kmalloc(100), heap.kmalloc(2048)];
  for (const address of good) fill(heap, address, heap.ksize(address));
  const bad: [number, 'EFAULT' | 'EINTERIOR' | 'EDOUBLEFREE'][] = [
    [8, 'EFAULT'],
    [2 ** 32 - 8, 'EFAULT'],
    [pages, 'EFAULT'],
    [good[2] + 8, 'EINTERIOR'],
    [good[2] + 1, 'EINTERIOR'],
    [large + 4096, 'EINTERIOR'],
    [freed, 'EDOUBLEFREE'],
    [freedLarge, 'EDOUBLEFREE'],
    [large, 'EDOUBLEFREE'],
    [good[2], 'EDOUBLEFREE'],
    [good[0], 'EDOUBLEFREE'],
  ];
  for (const [address, code] of bad) {
    for (const at of [good.length, 3]) {
      const list = [...good];
      list.splice(at, 0, address);
      const error = refused(heap, code, () => heap.kfreeBulk(Uint32Array.from(list)));
      assert.ok('address' in error && typeof error.address === 'number');
    }
  }
  for (const address of good) assertFilled(heap, address, heap.ksize(address));
  heap.kfreeBulk(Uint32Array.from(good));
  assertSound(heap);
});

test('a refused bulk free leaves no mark behind', () => {
  const heap = smallHeap();
  const { id } = heap.cache('kmalloc-64');
  const { m, s, layout } = internalsOf(heap).metadata;
  const addresses = Array.from({ length: 5 }, () => heap.kmalloc(64));
  thrownBy('EDOUBLEFREE', () => heap.kfreeBulk(Uint32Array.of(...addresses, addresses[2])));
  thrownBy('EFAULT', () => heap.kfreeBulk(Uint32Array.of(...addresses, 8)));
  for (const address of addresses) {
    assert.equal(s[stateAt(m, cacheAt(layout, id), entryOf(address))], LIVE);
  }
});

test('freeBulk of a cache refuses what is not its own', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'own', size: 64 });
  const other = heap.createCache({ name: 'other', size: 64 });
  const [a, b, c] = [cache.alloc(), other.alloc(), cache.alloc()];
  const large = heap.kmalloc(50_000);
  refused(heap, 'ECACHE', () => cache.freeBulk(Uint32Array.of(a, b, c)));
  refused(heap, 'ECACHE', () => cache.freeBulk(Uint32Array.of(a, large)));
  refused(heap, 'EDOUBLEFREE', () => cache.freeBulk(Uint32Array.of(a, c, a)));
  refused(heap, 'EINTERIOR', () => cache.freeBulk(Uint32Array.of(a, c + 8)));
  cache.freeBulk(Uint32Array.of(0, a, 0, c));
  assert.equal(cache.stats().live, 0);
});

test('duplicates far apart in a long list are found', () => {
  const heap = smallHeap();
  const out = new Uint32Array(1001);
  heap.kmallocBulk(16, out, 1000);
  out[1000] = out[0];
  refused(heap, 'EDOUBLEFREE', () => heap.kfreeBulk(out));
  heap.kfreeBulk(out, 1000);
  assert.equal(heap.meminfo().live, 0);
});

test('objects of caches that this CPU never used are freed in bulk', () => {
  const heap = smallHeap();
  const addresses = Array.from({ length: 40 }, (_, i) => heap.kmalloc(8 << (i % 8)));
  heap.shrink(); // Gives up all sheaves.
  refused(heap, 'EDOUBLEFREE', () => heap.kfreeBulk(Uint32Array.of(...addresses, addresses[0])));
  heap.shrink();
  heap.kfreeBulk(Uint32Array.from(addresses));
  assert.equal(heap.meminfo().live, 0);
  assertSound(heap);
});

test('bulk calls take typed arrays of 32 bits and counts that fit them', () => {
  const heap = smallHeap();
  const cache = heap.cache('kmalloc-64');
  for (const out of [[1, 2], new Float64Array(2), undefined, 7]) {
    const array = wrong<Uint32Array>(out);
    allRefused(heap, TypeError, [
      () => heap.kmallocBulk(64, array),
      () => heap.kfreeBulk(array),
      () => cache.allocBulk(array),
      () => cache.freeBulk(array),
    ]);
  }
  for (const n of [-1, 3, 0.5, Number.NaN]) {
    allRefused(heap, RangeError, [
      () => heap.kmallocBulk(64, new Uint32Array(2), n),
      () => heap.kfreeBulk(new Uint32Array(2), n),
      () => cache.allocBulk(new Uint32Array(2), n),
      () => cache.freeBulk(new Uint32Array(2), n),
    ]);
  }
});

test('a mark that a thread killed in a bulk free has left means a live object', () => {
  for (const free of ['kfree', 'kfreeBulk', 'krealloc', 'cache.free'] as const) {
    const heap = smallHeap();
    const address = heap.kmalloc(64);
    const cache = heap.cache('kmalloc-64');
    const { m, s, layout } = internalsOf(heap).metadata;
    s[stateAt(m, cacheAt(layout, cache.id), entryOf(address))] = LIVE_MARKED;
    assertSound(heap);
    assert.equal(heap.meminfo().live, 64);
    assert.deepEqual([...cache.objects()], [address]);
    if (free === 'kfree') heap.kfree(address);
    else if (free === 'kfreeBulk') heap.kfreeBulk(Uint32Array.of(address));
    else if (free === 'krealloc') heap.krealloc(address, 0);
    else cache.free(address);
    assert.equal(heap.meminfo().live, 0, free);
    assertSound(heap);
  }
});
