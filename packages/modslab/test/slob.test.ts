/**
 * SLOB: what is special about it. That it does what every allocator must is in conformance/; here is how objects of several
 * caches share pages, what damage is seen, and what is left of one after a thread dies at any instant inside a call.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Heap, type HeapOptions, SLAB } from 'modslab';
import { adoptCache, numaSlab, type SlabAllocator, sheaved, slob } from 'modslab/framework';
import { C_SLOB_PAGES, cacheAt, pageAt } from '#src/memory/layout.js';
import { CONTINUED, FREE, LIVE, PAGE_STATES } from '#src/page/page.js';
import { assertFilled, assertSound, exhaust, fill, KIB, smallHeap, thrownBy } from './support/heap.js';
import { internalsOf, layersOn, spec } from './support/internals.js';
import { killAtEach } from './support/killEach.js';
import { skipUnlessChecked } from './support/killpoints.js';

const TINY: HeapOptions = { size: 64 * KIB, maxSize: 64 * KIB, allocator: 'slob', cpus: 4 };

interface Bench {
  readonly heap: Heap;
  readonly allocator: SlabAllocator;
}

const bench = (options: HeapOptions = {}): Bench => {
  const heap = smallHeap(options);
  return { heap, allocator: slob(heap.pageAllocator) };
};

const take = (allocator: SlabAllocator, cache: number, n: number): number[] =>
  Array.from({ length: n }, () => allocator.alloc(cache, 0));

/** The state bytes of the page that an address lies in, from its first granule on. */
function statesOf(heap: Heap, address: number, granules: number): number[] {
  const { m, s, layout } = internalsOf(heap).metadata;
  const first = m[pageAt(layout, address >>> layout.pageShift) + PAGE_STATES];
  return [...s.subarray(first, first + granules)];
}

test('objects of all sizes lie in one page side by side, each as long as it is', () => {
  const { heap, allocator } = bench();
  const sizes = [24, 8, 40, 100, 8, 16];
  const caches = sizes.map((size, i) => allocator.create(spec(`size-${i}`, size)));
  const addresses = caches.map((cache) => allocator.alloc(cache, 0));
  const base = heap.pageSize;
  // Two objects of 8 bytes of different caches do not share a pair of granules: a pair has one name.
  const places = [0, 24, 32, 80, 72, 192];
  assert.deepEqual(
    addresses.map((address) => address - base),
    places,
  );
  const at = (granule: number): number => statesOf(heap, base, 32)[granule];
  assert.deepEqual([at(0), at(1), at(2), at(3)], [LIVE, CONTINUED, CONTINUED, LIVE]);
  assert.equal(heap.meminfo().live, 24 + 8 + 40 + 104 + 8 + 16);
  assertSound(heap);
});

test('objects of 8 bytes share a pair of granules only with their own', () => {
  const { heap, allocator } = bench();
  const [one, other] = ['one', 'other'].map((name) => allocator.create(spec(name, 8)));
  const mixed = [one, other, one, other].map((cache) => allocator.alloc(cache, 0) - heap.pageSize);
  assert.deepEqual(mixed, [0, 16, 8, 24]);
  thrownBy('ECACHE', () => allocator.free(other, heap.pageSize + 8));
  for (const offset of [0, 8]) allocator.free(one, heap.pageSize + offset);
  assert.equal(allocator.alloc(other, 0), heap.pageSize, 'its pair is nobody’s any more');
  assertSound(heap);
});

test('every byte of an object but its first is refused, with the object that it lies in', () => {
  const { heap, allocator } = bench();
  const cache = allocator.create(spec('long', 200));
  const [, address] = take(allocator, cache, 2);
  for (let offset = 1; offset < 200; offset++) {
    const error = thrownBy('EINTERIOR', () => heap.kfree(address + offset));
    if (offset % 8 === 0) assert.match(error.message, new RegExp(`the object at 0x${address.toString(16)}`));
  }
  heap.kfree(address);
  thrownBy('EDOUBLEFREE', () => heap.kfree(address));
  thrownBy('EDOUBLEFREE', () => heap.kfree(address + 64));
});

test('what cannot share pages has slabs of its own', () => {
  const { heap, allocator } = bench();
  const shares = (more: Parameters<typeof spec>[2], size = 64): boolean => {
    const cache = allocator.create(spec(`cache-${Math.random()}`, size, more));
    const address = allocator.alloc(cache, 0);
    assert.notEqual(address, 0);
    return heap.virtToPage(address).cache === 'slob-pages';
  };
  assert.equal(shares({}), true);
  assert.equal(shares({ ctor: Uint8Array.of(1) }), true);
  assert.equal(shares({ flags: SLAB.MEM_SPREAD }), true);
  assert.equal(shares({}, heap.pageSize), true);
  assert.equal(shares({}, heap.pageSize + 1), false);
  assert.equal(shares({ ctor: () => {} }), false);
  assert.equal(shares({ flags: SLAB.TYPESAFE_BY_RCU }), false);
  assertSound(heap);
});

test('no sheaf is ever opened for such a cache', () => {
  const { heap } = bench();
  const allocator = sheaved(slob(heap.pageAllocator));
  const cache = allocator.create(spec('direct', 64));
  for (const address of take(allocator, cache, 300)) allocator.free(cache, address);
  assert.ok(!allocator.isOpen(cache));
  assert.equal(allocator.getObjects(cache).cached, 0);
});

test('the pages are nobody’s to open, to name so, or to destroy', () => {
  const { heap, allocator } = bench();
  allocator.alloc(allocator.create(spec('user', 64)), 0);
  thrownBy('EBUSY', () => heap.cache('slob-pages').destroy());
  thrownBy('EINVAL', () => heap.createCache({ name: 'slob-pages-dma', size: 64 }));
  assert.equal(heap.slabinfo().find(({ name }) => name === 'user')?.objectsPerSlab, heap.pageSize / 64);
});

test('any thread frees, allocates and opens them: what is special stands in the descriptor', () => {
  const { heap, allocator } = bench();
  const cache = allocator.create(spec('shared', 72));
  const addresses = take(allocator, cache, 80);
  const other = Heap.attach(heap.handle);
  for (const address of addresses.slice(0, 40)) other.kfree(address);
  const handle = other.cache('shared');
  const theirs = Array.from({ length: 40 }, () => handle.alloc());
  assert.ok(
    theirs.every((address) => addresses.includes(address)),
    'first fit',
  );
  assert.deepEqual([...handle.objects()].sort(), [...theirs, ...addresses.slice(40)].sort());
  handle.freeBulk(Int32Array.from(theirs));
  assert.equal(adoptCache(slob(other.pageAllocator), 'shared'), cache);
  const sheaf = handle.prefill(20);
  assertSound(heap);
  assert.ok(handle.stats().cached === 20 && sheaf.alloc() !== 0);
  sheaf.release();
  other.detach();
  assertSound(heap);
});

test('a page that somebody else holds is never waited for; what is freed into it is left pending', () => {
  const { heap, allocator } = bench();
  const { metadata } = internalsOf(heap);
  const other = layersOn(metadata, internalsOf(Heap.attach(heap.handle)).pages.data);
  const cache = allocator.create(spec('held', 200));
  const addresses = take(allocator, cache, 5);
  const pages = metadata.m[cacheAt(metadata.layout, cache) + C_SLOB_PAGES];
  const head = addresses[0] >>> metadata.layout.pageShift;
  const held = other.slabifier.withSlab(pages, head, () => {
    allocator.free(cache, addresses[1]);
    allocator.free(cache, addresses[3]);
    thrownBy('EDOUBLEFREE', () => allocator.free(cache, addresses[1]));
    thrownBy('EINTERIOR', () => allocator.free(cache, addresses[1] + 16));
    const elsewhere = allocator.alloc(cache, 0);
    assert.notEqual(elsewhere >>> metadata.layout.pageShift, head);
    allocator.free(cache, elsewhere);
  });
  assert.ok(held);
  assert.equal(allocator.getObjects(cache).live, 3);
  assert.deepEqual(take(allocator, cache, 2).sort(), [addresses[1], addresses[3]].sort());
  assertSound(heap);
});

test('compaction moves objects down until no page below has room', () => {
  const { heap, allocator } = bench();
  const cache = allocator.create(spec('moved', 200));
  const pinned = allocator.create(spec('pinned', 64));
  const addresses = take(allocator, cache, 200);
  const pin = allocator.alloc(pinned, 0);
  const kept = new Set(addresses.filter((_, i) => i % 7 === 0));
  for (const address of addresses) if (!kept.has(address)) allocator.free(cache, address);
  for (const address of kept) fill(heap, address, 200, 3);
  assert.ok(
    allocator.shrink(cache, (from, to) => {
      assert.ok(to < from);
      heap.u8.copyWithin(to, from, from + 200);
      kept.delete(from);
      kept.add(to);
      return true;
    }) > 5,
  );
  for (const address of kept) assertFilled(heap, address, 200, 3);
  assert.ok(allocator.validPointer(pinned, pin), 'objects of others stay');
  assert.equal(Math.max(...kept) >>> 12, Math.ceil(kept.size / Math.floor(4096 / 208)));
  assertSound(heap);
});

test('validation sees a granule that continues nothing, a wrong name, a wrong length', () => {
  const damage: [RegExp, (states: Uint8Array, first: number) => void][] = [
    [/continues an object that is not there/, (s, first) => s.fill(CONTINUED, first + 20, first + 21)],
    [/is of cache 0/, (s, first) => s.fill(LIVE, first + 2, first + 3)],
    [/has 16 granules/, (s, first) => s.fill(CONTINUED, first + 8, first + 9)],
    [/free objects/, (s, first) => s.fill(FREE, first + 15, first + 16)],
  ];
  for (const [what, doIt] of damage) {
    const { heap, allocator } = bench();
    const cache = allocator.create(spec('hurt', 64));
    const address = take(allocator, cache, 2)[0];
    const { m, s, layout } = internalsOf(heap).metadata;
    doIt(s, m[pageAt(layout, address >>> layout.pageShift) + PAGE_STATES]);
    assert.match(
      heap
        .validate()
        .map(({ message }) => message)
        .join(),
      what,
    );
    assert.equal(heap.reports, 1, 'the page is frozen');
    assert.notEqual(allocator.alloc(cache, 0), 0, 'the rest goes on');
  }
});

/** Of a heap in which nothing is in use: all states are 0, and what lies among them for shared pages. */
function assertBlank(heap: Heap): void {
  const { s, layout } = internalsOf(heap).metadata;
  layout.stateRegions.forEach((from, region) => {
    const bytes = s.subarray(from, from + layout.maxFrames * 2 ** region);
    assert.ok(
      bytes.every((byte) => byte === 0),
      `region ${region}`,
    );
  });
}

test('whatever is allocated and freed, objects never overlap, and all memory comes back', () => {
  const size = fc.oneof(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 4096 }));
  const operations = fc.array(fc.tuple(fc.nat(5), fc.nat(1000)), { maxLength: 150 });
  fc.assert(
    fc.property(fc.array(size, { minLength: 2, maxLength: 6 }), operations, (sizes, ops) => {
      const { heap, allocator } = bench({ size: 128 * KIB, maxSize: 128 * KIB, caches: 48, cpus: 2 });
      const caches = sizes.map((each, i) => allocator.create(spec(`size-${i}`, each)));
      const live: { address: number; kind: number }[] = [];
      for (const [kind, pick] of ops) {
        const index = kind % sizes.length;
        if (pick % 5 < 3) {
          const address = allocator.alloc(caches[index], 0);
          if (address === 0) continue;
          fill(heap, address, sizes[index]);
          live.push({ address, kind: index });
        } else if (live.length > 0) {
          const [gone] = live.splice(pick % live.length, 1);
          assertFilled(heap, gone.address, sizes[gone.kind]);
          allocator.free(caches[gone.kind], gone.address);
        }
      }
      for (const { address, kind } of live) assertFilled(heap, address, sizes[kind]);
      assertSound(heap);
      for (const { address, kind } of live) allocator.free(caches[kind], address);
      heap.shrink();
      assert.equal(heap.meminfo().footprint, 0);
      assertBlank(heap);
      assertSound(heap);
    }),
    { numRuns: 60 },
  );
});

test('a thread that dies at any instant of an allocation, a free, a grace period leaves nothing half done', {
  skip: skipUnlessChecked,
}, () => {
  const SIZES = [8, 24, 200];
  const points = killAtEach<number[]>({
    prepare: (heap, victim) => {
      const allocator = slob(heap.pageAllocator);
      const caches = SIZES.map((size) => allocator.create(spec(`size-${size}`, size)));
      slob(victim.pageAllocator);
      return caches;
    },
    act: (caches, victim) => {
      const allocator = slob(victim.pageAllocator);
      const addresses = caches.flatMap((cache) => take(allocator, cache, 2));
      victim.kfree(addresses[0]);
      victim.kfree(addresses[3]);
      victim.kfreeRcu(addresses[5]);
      victim.shrink();
      allocator.alloc(caches[1], 0);
    },
    after: (caches, heap) => {
      const allocator = slob(heap.pageAllocator);
      for (const [i, cache] of caches.entries()) {
        for (const address of [...heap.cache(`size-${SIZES[i]}`).objects()]) allocator.free(cache, address);
        assert.equal(allocator.getObjects(cache).live, 0);
        allocator.destroy(cache);
      }
      heap.shrink();
      assert.equal(heap.meminfo().footprint, 0);
    },
  });
  for (const point of ['slob.named', 'slob.headed', 'slob.taken', 'slob.shortened'])
    assert.ok(points.has(point), point);
});

test('a thread that dies while it leaves an object pending, or collects it', {
  skip: skipUnlessChecked,
}, () => {
  interface Held {
    readonly address: number;
    readonly pages: number;
    readonly head: number;
  }
  const points = killAtEach<Held>({
    prepare: (heap) => {
      const allocator = slob(heap.pageAllocator);
      const cache = allocator.create(spec('held', 200));
      const [address] = take(allocator, cache, 3);
      const { m, layout } = internalsOf(heap).metadata;
      const pages = m[cacheAt(layout, cache) + C_SLOB_PAGES];
      return { address, pages, head: address >>> layout.pageShift };
    },
    act: ({ address, pages, head }, victim) => {
      const helper = Heap.attach(victim.handle);
      internalsOf(victim).slabifier.withSlab(pages, head, () => helper.kfree(address));
    },
    after: (_, heap) => {
      const cache = heap.cache('held');
      const live = [...cache.objects()];
      assert.ok(live.length === 2 || live.length === 3);
      for (const address of live) cache.free(address);
      heap.shrink();
      assert.equal(heap.meminfo().footprint, 0);
    },
  });
  assert.ok(points.has('slab.pending-entry') && points.has('slob.shortened'));
});

test('a heap of 64 KiB on slob has room for more than nine tenths of its bytes', () => {
  const fits = (options: HeapOptions): number => {
    const heap = Heap.create({ ...TINY, ...options });
    const bytes = exhaust(() => heap.kmalloc(100)).length * 100;
    assertSound(heap);
    return bytes / (64 * KIB);
  };
  assert.ok(fits({}) > 0.85, String(fits({})));
  assert.ok(fits({}) > fits({ allocator: 'slabifier' }));
});

test('kmalloc on slob: every call that the interface has', () => {
  const heap = Heap.create(TINY);
  assert.equal(heap.pageSize, 2048);
  const small = heap.kmalloc(100);
  assert.equal(heap.ksize(small), 112);
  assert.equal(heap.virtToPage(small).cache, 'slob-pages');
  for (const align of [32, 64, 256, 1024]) assert.equal(heap.kmallocAligned(40, align) % align, 0);
  fill(heap, small, 100);
  const moved = heap.krealloc(small, 700);
  assertFilled(heap, moved, 100, small);
  const zeros = heap.kzalloc(300);
  assert.ok(heap.view(zeros, heap.ksize(zeros)).every((byte) => byte === 0));
  const out = new Int32Array(10);
  assert.equal(heap.kmallocBulk(40, out), 10);
  thrownBy('EDOUBLEFREE', () => heap.kfreeBulk(Int32Array.of(out[0], out[1], out[0])));
  heap.kfreeBulk(out);
  const slot = heap.kzalloc(64);
  const linked = heap.allocInto(slot + 12, 200);
  assert.equal(heap.u32[(slot + 12) / 4], linked);
  assert.equal(heap.freeFrom(slot + 12), linked);
  const group = heap.createGroup({ limit: 8192 });
  assert.notEqual(group.kmalloc(64), 0);
  group.free();
  const pool = heap.createMempool(4, 48);
  const cache = heap.createCache({ name: 'texts', size: 48 });
  const text = cache.alloc();
  thrownBy('ECACHE', () => cache.free(moved));
  heap.kfreeRcu(text);
  const other = Heap.attach(heap.handle);
  other.kfree(moved);
  assert.notEqual(other.kmalloc(500), 0);
  heap.reap(other.cpu);
  assertSound(heap);
  pool.destroy();
  thrownBy('EINVAL', () => Heap.create({ ...TINY, allocator: 'slub' as 'slob' }));
});

test('what objects in shared pages are is told of each, not of the page', () => {
  const heap = Heap.create(TINY);
  const told: (string | number | undefined)[][] = [];
  const stops = (['kmalloc', 'kfree', 'kmem_cache_alloc'] as const).map((event) =>
    heap.on(event, ({ cache, allocated }) => told.push([event, cache, allocated])),
  );
  const text = heap.createCache({ name: 'texts', size: 44 }).alloc();
  const address = heap.kmalloc(200);
  const size = heap.ksize(address);
  heap.kfree(heap.kmalloc(8));
  for (const stop of stops) stop();
  assert.deepEqual(told, [
    ['kmem_cache_alloc', 'texts', 48],
    ['kmalloc', `kmalloc-${size}`, size],
    ['kmalloc', 'kmalloc-8', 8],
    ['kfree', 'kmalloc-8', 8],
  ]);
  const listed = heap.leaks().map(({ cache, bytes, addresses }) => [cache, bytes, addresses]);
  assert.deepEqual(listed, [
    [`kmalloc-${size}`, size, [address]],
    ['texts', 44, [text]],
  ]);
  assert.deepEqual(
    heap.leaks({ cache: 'texts' }).map(({ addresses }) => addresses),
    [[text]],
  );
  const { caches, total } = heap.accounting();
  assert.deepEqual(Object.keys(caches).sort(), [`kmalloc-${size}`, 'texts']);
  assert.equal(total.allocated, 48 + size);
});

test('checked access to objects in shared pages', () => {
  const heap = Heap.create(TINY);
  const cache = heap.createCache({ name: 'texts', size: 48, useroffset: 8, usersize: 16 });
  const address = heap.kmalloc(200);
  const text = cache.alloc();
  const checked = heap.checked(address);
  checked.setUint8(heap.ksize(address) - 1, 7);
  assert.equal(checked.getUint8(heap.ksize(address) - 1), 7);
  const beyond = thrownBy('EFAULT', () => checked.getUint8(heap.ksize(address)));
  assert.match(beyond.message, /out-of-bounds.*'kmalloc-\d+'/);
  heap.checked(text).setInt32(8, 1);
  assert.match(thrownBy('EFAULT', () => heap.checked(text).getInt32(24)).message, /usercopy.*'texts'/);
  heap.kfree(address);
  assert.equal(checked.isLive, false);
  assert.match(thrownBy('EFAULT', () => checked.getUint8(0)).message, /use-after-free/);
});

test('numa over slob: pages of the node that is asked for', () => {
  const { heap, allocator } = bench({ nodes: 2 });
  const bound = numaSlab(allocator, { policy: 'bind', nodes: [1] });
  const cache = bound.create(spec('placed', 40));
  assert.ok(take(bound, cache, 200).every((address) => heap.virtToPage(address).node === 1));
  assertSound(heap);
});
