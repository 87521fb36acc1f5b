// kmem_cache: create, open, allocate, set aside, shrink, destroy, and what each refuses.
import assert from 'node:assert/strict';
import test from 'node:test';
import { GFP, Heap, type KmemCacheOptions, SLAB, SlabError } from 'modslab';
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

const EMPTY = { live: 0, cached: 0, free: 0, slabs: 0, partial: 0 };

test('a cache hands out objects of its size at its alignment', () => {
  const heap = smallHeap();
  for (const [size, align] of [
    [1, 0],
    [24, 0],
    [24, 64],
    [40, 8],
    [100, 128],
    [700, 0],
    [3000, 4096],
    [4096, 0],
    [20_000, 0],
    [70_000, 4096],
  ]) {
    const cache = heap.createCache({ name: `size-${size}-${align}`, size, align });
    assert.equal(cache.size, size);
    const addresses = Array.from({ length: 5 }, () => cache.alloc());
    for (const address of addresses) {
      assert.ok(address > 0 && address % Math.max(align, size < 16 ? 8 : 16) === 0);
      assert.ok(heap.ksize(address) >= size);
      fill(heap, address, size);
    }
    for (const address of addresses) assertFilled(heap, address, size);
    assert.deepEqual([...cache.objects()].sort(), [...addresses].sort());
    for (const address of addresses) cache.free(address);
    cache.destroy();
  }
  assertSound(heap);
  assert.equal(heap.meminfo().footprint, 0);
});

test('HWCACHE_ALIGN gives cache lines, or the part of one that holds the object', () => {
  const heap = smallHeap();
  for (const [size, align] of [
    [100, 64],
    [40, 64],
    [24, 32],
    [10, 16],
  ]) {
    const cache = heap.createCache({ name: `line-${size}`, size, flags: SLAB.HWCACHE_ALIGN });
    for (let i = 0; i < 10; i++) assert.equal(cache.alloc() % align, 0);
  }
});

test('a cache is opened by its name, and both handles are the same cache', () => {
  const heap = smallHeap();
  const created = heap.createCache({ name: 'dentry', size: 192 });
  const opened = heap.cache('dentry');
  assert.deepEqual([opened.name, opened.size], ['dentry', 192]);
  opened.free(created.alloc());
  assert.equal(created.stats().live, 0);
  assert.ok(heap.caches().some(({ name }) => name === 'dentry'));
  refused(heap, 'EINVAL', () => heap.cache('inode'));
  refused(heap, 'EINVAL', () => heap.createCache({ name: 'dentry', size: 8 }));
  refused(heap, 'EINVAL', () => heap.createCache({ name: 'kmalloc-64', size: 64 }));
});

test('objects of a cache are freed by kfree too; those of others are refused by the cache', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'own', size: 64 });
  const other = heap.createCache({ name: 'other', size: 64 });
  const [mine, theirs] = [cache.alloc(), other.alloc()];
  const small = heap.kmalloc(64);
  const large = heap.kmalloc(100_000);
  const error = refused(heap, 'ECACHE', () => cache.free(theirs));
  assert.ok('cache' in error && 'address' in error && error.address === theirs);
  assert.match(error.message, /other.*own/);
  refused(heap, 'ECACHE', () => cache.free(small));
  refused(heap, 'ECACHE', () => cache.free(large));
  refused(heap, 'EINTERIOR', () => cache.free(mine + 16));
  refused(heap, 'EFAULT', () => cache.free(heap.pageSize - 8));
  refused(heap, TypeError, () => cache.free(wrong(undefined)));
  heap.kfree(mine);
  refused(heap, 'EDOUBLEFREE', () => cache.free(mine));
});

test('alloc takes gfp: zeros on demand, over memory that was in use', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'zeroed', size: 100 });
  const dirty = Array.from({ length: 100 }, () => cache.alloc());
  for (const address of dirty) fill(heap, address, 112, 1);
  for (const address of dirty) cache.free(address);
  for (let i = 0; i < 100; i++) assert.ok(isZero(heap, cache.alloc(GFP.ZERO), 100));
  refused(heap, 'EINVAL', () => cache.alloc(1 << 20));
});

test('stats count live, cached and free objects, and slabs', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'counted', size: 512 });
  assert.deepEqual(cache.stats(), EMPTY);
  const addresses = Array.from({ length: 100 }, () => cache.alloc());
  const stats = cache.stats();
  assert.equal(stats.live, 100);
  assert.equal(stats.live + stats.cached + stats.free, stats.slabs * 8);
  for (const address of addresses) cache.free(address);
  assert.equal(cache.stats().live, 0);
  cache.shrink();
  assert.deepEqual(cache.stats(), EMPTY);
});

test('shrink gives back everything cached, and says how many slabs', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'shrunk', size: 1024 });
  const addresses = Array.from({ length: 40 }, () => cache.alloc());
  for (const address of addresses.slice(4)) cache.free(address);
  const before = cache.stats().slabs;
  const released = cache.shrink();
  assert.equal(released, before - cache.stats().slabs);
  assert.ok(cache.stats().slabs <= 4);
  assert.equal(cache.stats().cached, 0);
  assert.equal(cache.shrink(), 0);
  for (const address of addresses.slice(0, 4)) cache.free(address);
  assertSound(heap);
});

test('objects() does not yield what another cache has where a slab of this one was', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'goes', size: 512 });
  const addresses = Array.from({ length: 64 }, () => cache.alloc());
  const iterator = cache.objects()[Symbol.iterator]();
  const seen = [iterator.next().value];
  cache.freeBulk(Uint32Array.from(addresses));
  cache.shrink();
  const other = heap.createCache({ name: 'comes', size: 512 });
  const others = new Set(Array.from({ length: 64 }, () => other.alloc()));
  assert.ok(
    addresses.some((address) => others.has(address)),
    'the frames are used again',
  );
  for (let next = iterator.next(); next.done !== true; next = iterator.next()) seen.push(next.value);
  // Those of the slab that it was in.
  assert.ok(seen.length <= 4096 / 512, `${seen.length} objects`);
  assert.equal(cache.stats().live, 0);
  cache.destroy();
});

test('objects() yields live objects only, and all of them', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'listed', size: 48 });
  const addresses = Array.from({ length: 300 }, () => cache.alloc());
  const live = new Set(addresses);
  addresses.forEach((address, i) => {
    if (i % 3 !== 0) return;
    cache.free(address);
    live.delete(address);
  });
  assert.deepEqual(new Set(cache.objects()), live);
});

test('a sheaf hands out what was set aside, also when there is no memory left', () => {
  const heap = smallHeap({ maxSize: MIB });
  const cache = heap.createCache({ name: 'aside', size: 64 });
  const sheaf = cache.prefill(150);
  assert.equal(sheaf.size, 150);
  assertSound(heap);
  const rest = exhaust(() => heap.kmalloc(8));
  exhaust(() => cache.alloc());
  const addresses = Array.from({ length: 150 }, (_, i) => {
    assert.equal(sheaf.size, 150 - i);
    return sheaf.alloc();
  });
  assert.equal(sheaf.size, 0);
  assert.equal(sheaf.alloc(), 0);
  assert.equal(new Set(addresses).size, 150);
  assert.ok(!addresses.includes(0) && rest.length > 0);
  for (const address of addresses) cache.free(address);
  sheaf.release();
  assertSound(heap);
});

test('release gives back what is left of a sheaf, once', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'released', size: 64 });
  for (const taken of [0, 1, 59, 60, 61, 100]) {
    const sheaf = cache.prefill(100);
    const addresses = Array.from({ length: taken }, () => sheaf.alloc());
    assert.equal(cache.stats().live, taken);
    sheaf.release();
    sheaf.release();
    assert.deepEqual([sheaf.size, sheaf.alloc()], [0, 0]);
    assertSound(heap);
    for (const address of addresses) cache.free(address);
    cache.shrink();
    assert.deepEqual(cache.stats(), EMPTY);
  }
  assert.equal(cache.prefill(0).size, 0);
});

test('prefill sets all aside or throws ENOMEM and sets none aside', () => {
  const heap = smallHeap({ maxSize: MIB });
  const cache = heap.createCache({ name: 'too many', size: 2048 });
  thrownBy('ENOMEM', () => cache.prefill(600));
  assert.equal(cache.stats().cached, 0);
  assertSound(heap);
  allRefused(
    heap,
    RangeError,
    [-1, 1.5, Number.NaN, 1e9].map((n) => () => cache.prefill(n)),
  );
  refused(heap, TypeError, () => cache.prefill(wrong('3')));
  refused(heap, 'EINVAL', () => cache.prefill(1, 1 << 20));
  assert.equal(cache.prefill(510).size, 510, 'all there is');
});

test('prefill uses memory that other caches keep', () => {
  for (const ctor of [undefined, () => {}]) {
    const heap = smallHeap({ maxSize: MIB });
    const hoard = heap.createCache({ name: 'hoard', size: 4096 });
    for (const address of exhaust(() => hoard.alloc())) hoard.free(address);
    const options = { name: 'aside', size: 2048 };
    const cache = heap.createCache(ctor ? { ...options, ctor } : options);
    assert.equal(cache.prefill(510).size, 510, ctor ? 'with a constructor' : 'without');
  }
});

test('destroy refuses while objects live, naming up to ten of them, and the cache stays usable', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'busy', size: 64 });
  const addresses = Array.from({ length: 12 }, () => cache.alloc());
  const error = refused(heap, 'EBUSY', () => cache.destroy());
  const named = error.message.match(/0x[0-9a-f]+/g) ?? [];
  assert.equal(named.length, 10);
  assert.ok(named.every((text) => addresses.includes(Number(text))));
  assert.match(error.message, /'busy'.*12 live/);
  for (const address of addresses.slice(1)) cache.free(address);
  const last = refused(heap, 'EBUSY', () => cache.destroy());
  assert.deepEqual(last.message.match(/0x[0-9a-f]+/g)?.map(Number), [addresses[0]]);
  cache.free(addresses[0]);
  assert.notEqual(cache.alloc(), 0);
});

test('a destroyed cache is gone: its slabs, its name, and every call of its handles', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'gone', size: 64 });
  const handle = heap.cache('gone');
  const address = cache.alloc();
  cache.free(address);
  cache.destroy();
  assert.equal(heap.meminfo().footprint, 0);
  assert.ok(!heap.caches().some(({ name }) => name === 'gone'));
  refused(heap, 'EINVAL', () => heap.cache('gone'));
  for (const each of [cache, handle]) {
    allRefused(heap, 'EINVAL', [
      () => each.alloc(),
      () => each.allocNode(0, 0),
      () => each.free(address),
      () => each.allocBulk(new Uint32Array(2)),
      () => each.freeBulk(new Uint32Array(2)),
      () => each.prefill(1),
      () => each.shrink(),
      () => each.stats(),
      () => [...each.objects()],
      () => each.destroy(),
    ]);
  }
  refused(heap, 'EDOUBLEFREE', () => heap.kfree(address));
  assert.equal(handle.name, 'gone');
});

test('a name is free again after destroy; old handles do not reach the new cache', () => {
  const heap = smallHeap();
  for (let round = 0; round < 300; round++) {
    const old = heap.createCache({ name: 'again', size: 16 + round });
    old.free(old.alloc());
    old.destroy();
    if (round % 50 !== 0) continue;
    const next = heap.createCache({ name: 'again', size: 1000 });
    const address = next.alloc();
    refused(heap, 'EINVAL', () => old.alloc());
    refused(heap, 'EINVAL', () => old.free(address));
    next.free(address);
    next.destroy();
  }
  assertSound(heap);
});

test('a cache that one CPU destroys is gone for the others too, with what they had cached', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  const theirs = other.createCache({ name: 'shared', size: 64 });
  theirs.free(theirs.alloc());
  const before = heap.meminfo().footprint;
  heap.cache('shared').destroy();
  assert.equal(heap.meminfo().footprint, before, 'what the other CPU has cached is still there');
  other.kmalloc(5000);
  assert.equal(heap.meminfo().footprint, 2 * heap.pageSize, 'and comes home at its next slow path');
  thrownBy('EINVAL', () => theirs.alloc());
  assertSound(heap);
  other.detach();
  assertSound(heap);
});

test('what a CPU still hands out of a cache that another has destroyed can be freed, and nothing is left of it', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  const theirs = other.createCache({ name: 'shared', size: 64 });
  theirs.free(theirs.alloc());
  heap.cache('shared').destroy();
  try {
    const address = theirs.alloc(); // The fast path looks at nothing that is shared.
    fill(other, address, 64);
    other.kfree(address);
  } catch (error) {
    assert.ok(error instanceof SlabError && error.code === 'EINVAL');
  }
  other.detach();
  assert.deepEqual([heap.meminfo().live, heap.meminfo().footprint], [0, 0]);
  assertSound(heap);
});

test('a sheaf of a destroyed cache hands out nothing more', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'doomed', size: 64 });
  const sheaf = cache.prefill(10);
  try {
    cache.destroy();
  } catch {
    return; // EBUSY is as good an answer.
  }
  thrownBy('EINVAL', () => sheaf.alloc());
  assert.equal(heap.meminfo().live, 0);
  sheaf.release();
  assert.equal(heap.meminfo().footprint, 0);
});

test("kmalloc's own caches cannot be destroyed, those of the DMA zone included", () => {
  const heap = smallHeap({ dma: { start: 65_536, end: 131_072 } });
  heap.kfree(heap.kmalloc(64, GFP.DMA));
  allRefused(
    heap,
    'EBUSY',
    heap.caches().map((cache) => () => cache.destroy()),
  );
});

test('PANIC: no memory is ENOMEM, not 0', () => {
  const heap = smallHeap({ maxSize: MIB });
  const cache = heap.createCache({ name: 'panicking', size: 4000, flags: SLAB.PANIC });
  const addresses = Array.from({ length: 255 }, () => cache.alloc());
  assert.ok(!addresses.includes(0));
  const error = refused(heap, 'ENOMEM', () => cache.alloc());
  assert.ok('cache' in error && error.cache === 'panicking');
  refused(heap, 'ENOMEM', () => cache.alloc(GFP.NOWAIT));
  cache.free(addresses[0]);
  assert.equal(cache.alloc(), addresses[0]);
});

test('what createCache is asked for must make sense', () => {
  const heap = smallHeap();
  const ok = { name: 'x', size: 64 };
  const create = (options: Partial<KmemCacheOptions>) => () => heap.createCache({ ...ok, ...options });
  allRefused(heap, 'EINVAL', [
    create({ name: '' }),
    create({ name: 'x'.repeat(129) }),
    ...[SLAB.CALL_SITES, SLAB.CACHE_DMA, 1 << 20].map((flags) => create({ flags })),
  ]);
  allRefused(heap, RangeError, [
    ...[0, -1, 1.5, Number.NaN, 2 ** 31].map((size) => create({ size })),
    ...[3, -8, 1.5, 8192, Number.NaN].map((align) => create({ align })),
    ...[1, -2, 0.5].map((node) => create({ node })),
    create({ useroffset: 65 }),
    create({ useroffset: 32, usersize: 33 }),
    create({ ctor: new Uint8Array(65) }),
  ]);
  allRefused(heap, TypeError, [
    create({ size: wrong('64') }),
    create({ size: wrong(undefined) }),
    create({ align: wrong('8') }),
    create({ flags: wrong('PANIC') }),
    create({ ctor: wrong('ctor') }),
    create({ ctor: wrong([1, 2]) }),
  ]);
  assert.notEqual(heap.createCache({ ...ok, useroffset: 32, usersize: 32 }).alloc(), 0);
});

test('flags that Linux has and modslab always or never needs are accepted', () => {
  const heap = smallHeap();
  const flags = SLAB.NO_MERGE | SLAB.CONSISTENCY_CHECKS | SLAB.RECLAIM_ACCOUNT;
  assert.notEqual(heap.createCache({ name: 'flagged', size: 64, flags }).alloc(), 0);
});

test('without a free descriptor createCache throws ENOMEM', () => {
  const heap = smallHeap({ caches: 32 });
  const left = 31 - heap.caches().length;
  const caches = Array.from({ length: left }, (_, i) => heap.createCache({ name: `c${i}`, size: 8 }));
  refused(heap, 'ENOMEM', () => heap.createCache({ name: 'one more', size: 8 }));
  caches[3].destroy();
  assert.notEqual(heap.createCache({ name: 'one more', size: 8 }).alloc(), 0);
});

test('every cache of a full table works', () => {
  const heap = smallHeap({ maxSize: 8 * MIB });
  const left = 255 - heap.caches().length;
  const caches = Array.from({ length: left }, (_, i) => heap.createCache({ name: `c${i}`, size: 8 + i }));
  const addresses = caches.map((cache) => cache.alloc());
  caches.forEach((cache, i) => {
    fill(heap, addresses[i], cache.size);
  });
  caches.forEach((cache, i) => {
    assertFilled(heap, addresses[i], cache.size);
    cache.free(addresses[i]);
    cache.destroy();
  });
  assertSound(heap);
});

test('flags that are no union of bits, and a move that is no function, are refused', () => {
  const heap = smallHeap();
  for (const flags of [Number.NaN, 0.5, 2 ** 32, -1, 2 ** 31])
    refused(heap, 'EINVAL', () => heap.createCache({ name: 'odd', size: 64, flags }));
  refused(heap, TypeError, () => heap.createCache({ name: 'odd', size: 64, flags: wrong('1') }));
  heap.createCache({ name: 'plain', size: 64 });
  refused(heap, TypeError, () => heap.cache('plain', { move: wrong(5) }));
});
