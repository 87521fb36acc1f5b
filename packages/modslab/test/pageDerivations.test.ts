// Page allocators derived from page allocators: each one's effect, any stack of them, and the defects of 2006.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { GFP, Heap, SLAB, SlabError } from 'modslab';
import {
  ctorAndDtorForPageAllocator,
  derivePageAllocator,
  dmaifyPageAllocator,
  numactlAllocator,
  type PageAllocator,
  rcuifyPageAllocator,
  reclaimable,
  slabifier,
  unreclaimable,
  vmallocPageAllocator,
} from 'modslab/framework';
import { H_DMA_END, H_DMA_START, nodeOf } from '#src/memory/layout.js';
import { NODE_ANY } from '#src/page/pageAllocator.js';
import { assertSound, exhaust, smallHeap, thrownBy, wrong } from './support/heap.js';
import { internalsOf, spec } from './support/internals.js';

const PAGE = 4096;
const DMA = { start: 64 * PAGE, end: 96 * PAGE };

const zonedHeap = (): Heap =>
  smallHeap({ size: 256 * PAGE, maxSize: 256 * PAGE, nodes: 2, dma: DMA, cpus: 2, caches: 48 });

const inDma = (pfn: number): boolean => pfn * PAGE >= DMA.start && pfn * PAGE < DMA.end;

/** The heap's counted bytes, over all zones. */
function counted(heap: Heap): { reclaimable: number; unreclaimable: number } {
  const zones = heap.zoneinfo();
  return {
    reclaimable: zones.reduce((sum, zone) => sum + zone.slabReclaimable, 0),
    unreclaimable: zones.reduce((sum, zone) => sum + zone.slabUnreclaimable, 0),
  };
}

const footprint = (heap: Heap): number => {
  heap.shrink();
  return heap.meminfo().footprint;
};

test('names are composed, base last (V1 of 2006 had none)', () => {
  const { pageAllocator } = zonedHeap();
  assert.equal(pageAllocator.name, 'page_allocator');
  const stack = rcuifyPageAllocator(dmaifyPageAllocator(unreclaimable(pageAllocator)));
  const whole = ctorAndDtorForPageAllocator(stack, 64, () => {});
  assert.equal(whole.name, 'ctor_dtor:rcu:dma:unreclaimable:page_allocator');
  assert.equal(derivePageAllocator(whole, 'mine', {}).name, `mine:${whole.name}`);
  for (const name of ['', 'a b', 'a:b', wrong<string>(7)])
    thrownBy('EINVAL', () => derivePageAllocator(pageAllocator, name, {}));
});

test('what is not overridden is the base’s; an override of one form meets requests of both', () => {
  const heap = zonedHeap();
  const seen: string[] = [];
  const byOrder = derivePageAllocator(heap.pageAllocator, 'orders', {
    allocate(order, gfp, node) {
      seen.push(`allocate ${order}`);
      return this.base.allocate(order, gfp, node);
    },
    free(pfn, order) {
      seen.push(`free ${order}`);
      this.base.free(pfn, order);
    },
  });
  byOrder.free(byOrder.allocate(2, 0, NODE_ANY), 2);
  byOrder.freeExact(byOrder.allocateExact(4, 4, 0, NODE_ANY), 4);
  assert.deepEqual(seen, ['allocate 2', 'free 2', 'allocate 2', 'free 2']);
  byOrder.freeExact(byOrder.allocateExact(3, 1, 0, NODE_ANY), 3);
  assert.equal(seen.length, 4, 'three frames are no order');
  const exact = derivePageAllocator(heap.pageAllocator, 'exact', {
    allocateExact(frames, alignment, gfp, node) {
      seen.push(`allocateExact ${frames}`);
      return this.base.allocateExact(frames, alignment, gfp, node);
    },
  });
  exact.free(exact.allocate(1, 0, NODE_ANY), 1);
  assert.deepEqual(seen.slice(4), ['allocateExact 2']);
  assert.equal(footprint(heap), 0);
  assertSound(heap);
});

test('a destructor runs a derivation’s own part, then its base’s', () => {
  const ran: string[] = [];
  const destroy = (name: string) => ({
    destructor() {
      ran.push(name);
    },
  });
  const { pageAllocator } = zonedHeap();
  const inner = derivePageAllocator(pageAllocator, 'inner', destroy('inner'));
  derivePageAllocator(rcuifyPageAllocator(inner), 'outer', destroy('outer')).destructor();
  assert.deepEqual(ran, ['outer', 'inner']);
});

test('frames that nobody has published die with their thread', () => {
  const heap = zonedHeap();
  const other = Heap.attach(heap.handle);
  for (const order of [0, 2, 1]) assert.notEqual(other.pageAllocator.allocate(order, 0, NODE_ANY), 0);
  assertSound(heap);
  const { pages } = heap.reap(other.cpu);
  assert.equal(pages, 7);
  assert.equal(heap.meminfo().footprint, 0);
  assertSound(heap);
});

// 2006: `base` argument ignored.
test('reclaimable and unreclaimable ask their base, and count per zone what they gave until it is free', () => {
  const heap = zonedHeap();
  let asked = 0;
  const base = derivePageAllocator(dmaifyPageAllocator(heap.pageAllocator), 'counting', {
    allocateExact(frames, alignment, gfp, node) {
      asked++;
      return this.base.allocateExact(frames, alignment, gfp, node);
    },
  });
  const before = counted(heap);
  const [some, others] = [reclaimable(base), unreclaimable(heap.pageAllocator)];
  const pfn = some.allocate(2, 0, NODE_ANY);
  const odd = others.allocateExact(3, 1, 0, NODE_ANY);
  assert.ok(inDma(pfn) && asked === 1);
  const zone = heap.zoneinfo().find((one) => one.zone === 'DMA');
  assert.equal(zone?.slabReclaimable, 4 * PAGE);
  assert.equal(counted(heap).unreclaimable - before.unreclaimable, 3 * PAGE);
  some.free(pfn, 2);
  others.freeExact(odd, 3);
  assert.deepEqual(counted(heap), before);
});

test('the counts are exact after a death, whatever had been counted', () => {
  const heap = zonedHeap();
  const other = Heap.attach(heap.handle);
  const cache = other.createCache({ name: 'dentry', size: 500, flags: SLAB.RECLAIM_ACCOUNT });
  const address = cache.alloc();
  const slab = 2 ** heap.virtToPage(address).order * PAGE;
  const before = counted(heap).reclaimable;
  reclaimable(other.pageAllocator).allocate(2, 0, NODE_ANY);
  assert.ok(before >= slab);
  assert.equal(counted(heap).reclaimable, before + 4 * PAGE);
  heap.reap(other.cpu);
  heap.shrink();
  assert.equal(counted(heap).reclaimable, slab, 'the slab of a live object stays');
  heap.kfree(address);
  heap.shrink();
  assert.equal(counted(heap).reclaimable, 0);
});

test('caches are counted by their flags, and slabinfo names their page allocators in the order of 2006', () => {
  const heap = zonedHeap();
  const make = (name: string, flags: number): void => {
    heap.createCache({ name, size: 100, flags }).alloc();
  };
  make('plain', 0);
  make('dentry', SLAB.RECLAIM_ACCOUNT);
  make('sighand', SLAB.TYPESAFE_BY_RCU | SLAB.CACHE_DMA);
  const allocators = new Map(heap.slabinfo().map(({ name, allocator }) => [name, allocator]));
  assert.equal(allocators.get('kmalloc-64'), 'unreclaimable:page_allocator');
  assert.equal(allocators.get('plain'), 'unreclaimable:page_allocator');
  assert.equal(allocators.get('dentry'), 'reclaimable:page_allocator');
  assert.equal(allocators.get('sighand'), 'rcu:dma:unreclaimable:page_allocator');
  const bytes = (isReclaimable: boolean): number =>
    heap
      .slabinfo()
      .filter(({ allocator }) => /(^|:)reclaimable/.test(allocator) === isReclaimable)
      .reduce((sum, { slabs, framesPerSlab }) => sum + slabs * framesPerSlab * PAGE, 0);
  assert.deepEqual(counted(heap), { reclaimable: bytes(true), unreclaimable: bytes(false) });
  assert.ok(bytes(true) > 0 && bytes(false) > 0);
});

// 2006: `free` never set.
test('numactl asks its node, adds its flags, and gives back what it got', () => {
  const heap = zonedHeap();
  const { metadata } = internalsOf(heap);
  const pages = numactlAllocator(heap.pageAllocator, 1, GFP.THISNODE);
  const taken = exhaust(() => pages.allocate(0, 0, 0));
  assert.ok(taken.length > 100 && taken.every((pfn) => nodeOf(metadata.layout, pfn) === 1));
  for (const pfn of taken) pages.free(pfn, 0);
  assert.equal(footprint(heap), 0);
  assert.ok(inDma(numactlAllocator(heap.pageAllocator, NODE_ANY, GFP.DMA).allocate(0, 0, NODE_ANY)));
  thrownBy(RangeError, () => numactlAllocator(heap.pageAllocator, 2));
  thrownBy('EINVAL', () => numactlAllocator(heap.pageAllocator, 0, 1 << 20));
  thrownBy('EINVAL', () => numactlAllocator(numactlAllocator(heap.pageAllocator, 0), 1));
});

test('dmaify gives frames of the DMA zone only, and none without one', () => {
  const heap = zonedHeap();
  const pages = dmaifyPageAllocator(heap.pageAllocator);
  const taken = exhaust(() => pages.allocate(1, 0, NODE_ANY));
  assert.equal(taken.length, 16);
  assert.ok(taken.every(inDma));
  thrownBy('EINVAL', () => dmaifyPageAllocator(smallHeap().pageAllocator));
});

// 2006: the mode test read the wrong variable, so constructors always saw ATOMIC; NULL was not checked for.
test('constructors see the flags of the request, run for every object, and not where there are no frames', () => {
  const heap = zonedHeap();
  const made: number[] = [];
  const flags = new Set<number>();
  const gone: number[] = [];
  const pages = ctorAndDtorForPageAllocator(
    heap.pageAllocator,
    1000,
    (address, gfp) => {
      made.push(address);
      flags.add(gfp);
    },
    (address) => gone.push(address),
  );
  const pfn = pages.allocate(1, GFP.RECLAIMABLE, NODE_ANY);
  assert.deepEqual(
    made,
    Array.from({ length: 8 }, (_, i) => pfn * PAGE + i * 1000),
  );
  assert.deepEqual([...flags], [GFP.RECLAIMABLE]);
  assert.equal(pages.allocate(0, GFP.NOWAIT, NODE_ANY), 0, 'no user code in bounded time');
  assert.equal(pages.allocate(12, 0, NODE_ANY), 0);
  assert.equal(made.length, 8);
  pages.free(pfn, 1);
  assert.deepEqual(gone, made);
  assert.equal(footprint(heap), 0);
});

test('a constructor that throws gives its frames back, and the error', () => {
  const heap = zonedHeap();
  let left = 2;
  let destroyed = 0;
  const constructor = (): void => {
    if (left-- === 0) throw new Error('no more');
  };
  const pages = ctorAndDtorForPageAllocator(heap.pageAllocator, 1000, constructor, () => destroyed++);
  assert.throws(() => pages.allocate(0, 0, NODE_ANY), /no more/);
  assert.equal(destroyed, 2);
  assert.equal(footprint(heap), 0);
  thrownBy(RangeError, () => ctorAndDtorForPageAllocator(heap.pageAllocator, 0, undefined));
  thrownBy(TypeError, () => ctorAndDtorForPageAllocator(heap.pageAllocator, 8, wrong(7)));
});

test('rcuify: runs of any length wait for readers, then all their frames come back', () => {
  const heap = zonedHeap();
  const reader = Heap.attach(heap.handle);
  const pages = rcuifyPageAllocator(heap.pageAllocator);
  const runs = [1, 4, 3, 7].map((frames): [number, number] => [
    pages.allocateExact(frames, 1, 0, NODE_ANY),
    frames,
  ]);
  reader.rcuReadLock();
  for (const [pfn, frames] of runs) pages.freeExact(pfn, frames);
  assert.equal(footprint(heap), 15 * PAGE);
  assertSound(heap);
  reader.rcuReadUnlock();
  assert.equal(footprint(heap), 0);
  assertSound(heap);
});

test('stacks that make no sense are refused, with the reason', () => {
  const { pageAllocator } = zonedHeap();
  const dtor = ctorAndDtorForPageAllocator(pageAllocator, 8, undefined, () => {});
  for (const [derive, why] of [
    [() => rcuifyPageAllocator(rcuifyPageAllocator(pageAllocator)), /already/],
    [() => reclaimable(unreclaimable(pageAllocator)), /counted/],
    [() => unreclaimable(rcuifyPageAllocator(unreclaimable(pageAllocator))), /counted/],
    [() => rcuifyPageAllocator(dtor), /destructor/],
    [
      () => ctorAndDtorForPageAllocator(rcuifyPageAllocator(pageAllocator), 8, undefined, () => {}),
      /readers/,
    ],
    [() => vmallocPageAllocator(dtor), /half made/],
    [() => vmallocPageAllocator(vmallocPageAllocator(pageAllocator)), /scattered/],
    [() => ctorAndDtorForPageAllocator(vmallocPageAllocator(pageAllocator), 8, () => {}), /do not/],
  ] as [() => unknown, RegExp][]) {
    assert.match(thrownBy('EINVAL', derive).message, why);
  }
});

test('slabs on a page allocator of one thread’s own: its functions run there, nobody else makes or frees such slabs', () => {
  const heap = zonedHeap();
  const other = Heap.attach(heap.handle);
  const log = { ctor: 0, dtor: 0 };
  const pages = ctorAndDtorForPageAllocator(
    unreclaimable(heap.pageAllocator),
    1000,
    () => {
      log.ctor++;
      heap.kfree(heap.kmalloc(1000));
    },
    () => {
      log.dtor++;
      heap.kfree(heap.kmalloc(2000));
    },
  );
  const slabs = slabifier(pages, internalsOf(heap).slabifier.table);
  const cache = slabs.create(spec('own', 1000));
  const addresses = Array.from({ length: 10 }, () => slabs.alloc(cache, 0));
  assert.ok(log.ctor >= 12 && addresses.every((address) => address !== 0));
  assert.equal(slabs.alloc(cache, GFP.NOWAIT) === 0, log.ctor === 10);
  const { allocator = '' } = other.slabinfo().find(({ name }) => name === 'own') ?? {};
  assert.match(allocator, /another thread/);
  const theirs = other.cache('own');
  assert.equal(thrownBy('EINVAL', () => exhaust(() => theirs.alloc())).message.includes('own'), true);
  const live = [...heap.cache('own').objects()];
  for (const address of live) other.kfree(address);
  other.shrink();
  other.detach();
  heap.shrink();
  assert.equal(log.dtor, 0, 'nobody who does not know the destructor has freed a slab');
  assertSound(heap);
  slabs.shrink(cache);
  assert.equal(log.dtor, log.ctor);
  assert.equal(footprint(heap), 0);
  assertSound(heap);
});

test('a destructor that throws leaves its slab where it is', () => {
  const heap = zonedHeap();
  let isWilling = false;
  const pages = ctorAndDtorForPageAllocator(heap.pageAllocator, 1000, undefined, () => {
    if (!isWilling) throw new Error('not yet');
  });
  const slabs = slabifier(pages, internalsOf(heap).slabifier.table);
  const cache = slabs.create(spec('unwilling', 1000));
  slabs.free(cache, slabs.alloc(cache, 0));
  assert.throws(() => slabs.shrink(cache), /not yet/);
  assertSound(heap);
  isWilling = true;
  slabs.shrink(cache);
  assert.equal(footprint(heap), 0);
  assertSound(heap);
});

test('a user’s own derivation under a slabifier meets every run once, coming and going', () => {
  const heap = zonedHeap();
  const out = new Map<number, number>();
  const pages = derivePageAllocator(heap.pageAllocator, 'ledger', {
    allocateExact(frames, alignment, gfp, node) {
      const pfn = this.base.allocateExact(frames, alignment, gfp, node);
      if (pfn !== 0) out.set(pfn, frames);
      return pfn;
    },
    freeExact(pfn, frames) {
      assert.equal(out.get(pfn), frames);
      out.delete(pfn);
      this.base.freeExact(pfn, frames);
    },
  });
  const slabs = slabifier(pages, internalsOf(heap).slabifier.table);
  const caches = [64, 3000, 20_000].map((size) => slabs.create(spec(`ledger-${size}`, size)));
  const held = caches.flatMap((cache) =>
    Array.from({ length: 5 }, (): [number, number] => [cache, slabs.alloc(cache, 0)]),
  );
  assert.ok(out.size >= 3);
  for (const [cache, address] of held) slabs.free(cache, address);
  for (const cache of caches) slabs.destroy(cache);
  assert.equal(out.size, 0);
  assert.equal(footprint(heap), 0);
  assertSound(heap);
});

/** A derivation of a random stack: how it is made, and what must hold for frames that it gave. */
interface Layer {
  readonly derive: (base: PageAllocator) => PageAllocator;
  readonly holds?: (heap: Heap, frames: number[]) => boolean;
}

const LAYERS: Record<string, Layer> = {
  rcu: { derive: rcuifyPageAllocator },
  dma: { derive: dmaifyPageAllocator, holds: (_heap, frames) => frames.every(inDma) },
  reclaimable: {
    derive: reclaimable,
    holds: (heap, frames) => counted(heap).reclaimable >= frames.length * PAGE,
  },
  unreclaimable: {
    derive: unreclaimable,
    holds: (heap, frames) => counted(heap).unreclaimable >= frames.length * PAGE,
  },
  numactl: {
    derive: (base) => numactlAllocator(base, 0, GFP.THISNODE),
    holds: (heap, frames) => frames.every((pfn) => nodeOf(internalsOf(heap).metadata.layout, pfn) === 0),
  },
  ctor: {
    derive: (base) =>
      ctorAndDtorForPageAllocator(base, 512, (address) => {
        base.frames.data.views().u8[address + 511] = 0xc7;
      }),
    holds: (heap, frames) =>
      frames.every((pfn) => [511, 1023, 4095].every((at) => heap.u8[pfn * PAGE + at] === 0xc7)),
  },
  mine: { derive: (base) => derivePageAllocator(base, 'mine', {}) },
};

/** Derives the stack, the first name innermost; the names that made sense. */
function stackUp(heap: Heap, names: string[]): { pages: PageAllocator; used: string[] } {
  let pages = heap.pageAllocator;
  const used: string[] = [];
  for (const name of names) {
    try {
      pages = LAYERS[name].derive(pages);
      used.push(name);
    } catch (error) {
      assert.ok(error instanceof SlabError && error.code === 'EINVAL');
    }
  }
  return { pages, used };
}

test('any stack behaves like the plain allocator, plus its own effects', () => {
  const names = fc.array(fc.constantFrom(...Object.keys(LAYERS)), { maxLength: 6 });
  const step = fc.record({ free: fc.boolean(), frames: fc.integer({ min: 1, max: 5 }), pick: fc.nat() });
  fc.assert(
    fc.property(names, fc.array(step, { minLength: 5, maxLength: 40 }), (wanted, steps) => {
      const heap = zonedHeap();
      const { pages, used } = stackUp(heap, wanted);
      const runs: [number, number][] = [];
      const taken = new Set<number>();
      for (const { free, frames, pick } of steps) {
        if (free && runs.length > 0) {
          const [[pfn, length]] = runs.splice(pick % runs.length, 1);
          pages.freeExact(pfn, length);
          for (let i = 0; i < length; i++) taken.delete(pfn + i);
          continue;
        }
        const pfn = pages.allocateExact(frames, 1, 0, NODE_ANY);
        if (pfn === 0) {
          assert.ok(used.includes('dma') || used.includes('numactl'), 'only a window runs out');
          continue;
        }
        const run = Array.from({ length: frames }, (_, i) => pfn + i);
        for (const frame of run) {
          assert.ok(!taken.has(frame), 'no frame twice');
          taken.add(frame);
        }
        runs.push([pfn, frames]);
        for (const name of used) assert.ok(LAYERS[name].holds?.(heap, run) ?? true, name);
      }
      assertSound(heap);
      for (const [pfn, length] of runs) pages.freeExact(pfn, length);
      assert.equal(footprint(heap), 0);
      assert.deepEqual(counted(heap), { reclaimable: 0, unreclaimable: 0 });
      assertSound(heap);
    }),
    { numRuns: 60 },
  );
});

test('a slabifier on any stack hands out objects, and every frame comes back', () => {
  const names = fc.array(fc.constantFrom(...Object.keys(LAYERS)), { maxLength: 5 });
  const size = fc.integer({ min: 1, max: 20_000 });
  fc.assert(
    fc.property(names, size, (wanted, bytes) => {
      const heap = zonedHeap();
      const { pages, used } = stackUp(heap, wanted);
      const { table } = internalsOf(heap).slabifier;
      const slabs = slabifier(pages, table);
      const cache = slabs.create(spec('stacked', bytes));
      const addresses = Array.from({ length: 9 }, () => slabs.alloc(cache, 0)).filter(Boolean);
      assert.ok(addresses.length > 0 && new Set(addresses).size === addresses.length);
      if (used.includes('dma')) assert.ok(addresses.every((address) => inDma(Math.floor(address / PAGE))));
      assertSound(heap);
      for (const address of addresses) slabs.free(cache, address);
      slabs.destroy(cache);
      assert.equal(footprint(heap), 0, `${pages.name}, ${bytes} bytes`);
      assertSound(heap);
    }),
    { numRuns: 60 },
  );
});

test('the DMA window of the test is what the heap says', () => {
  const { m } = internalsOf(zonedHeap()).metadata;
  assert.deepEqual([m[H_DMA_START], m[H_DMA_END]], [64, 96]);
});
