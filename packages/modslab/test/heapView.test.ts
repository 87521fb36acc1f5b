// A view says of a heap what the heap says of itself, and takes no harm from metadata that makes no sense.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Heap } from 'modslab';
import {
  FRAME,
  FRAME_FLAG,
  type HeapView,
  HOLDER_NONE,
  readView,
  stateName,
  ViewReader,
  viewOf,
} from 'modslab/inspect';
import { readMetadata } from '#src/debug/snapshot.js';
import { HeapView as View } from '#src/stat/heapView.js';
import { Random } from './support/random.ts';

const snapshotView = (heap: Heap): HeapView => readView(heap.snapshot({ data: false })).view;

/** A heap with objects of many sizes, runs, caches, some of it freed again. */
function busyHeap(seed: number): { heap: Heap; live: number[] } {
  const heap = Heap.create({ size: 2 ** 20, maxSize: 2 ** 24, cpus: 4, shared: false });
  const random = new Random(seed);
  const next = (n: number): number => random.below(n);
  const live: number[] = [];
  const cache = heap.createCache({ name: 'point', size: 40 });
  for (let i = 0; i < 6000; i++) {
    const dice = next(10);
    if (dice < 4 && live.length > 0) heap.kfree(live.splice(next(live.length), 1)[0]);
    else if (dice < 9) live.push(heap.kmalloc(8 + next(dice === 8 ? 20_000 : 500)));
    else cache.alloc();
  }
  heap.allocPages(2);
  heap.vmalloc(50_000);
  return { heap, live };
}

describe('heap view', () => {
  for (const seed of [1, 2, 3]) {
    test(`figures are those of meminfo, slabinfo and buddyinfo (${seed})`, () => {
      const { heap } = busyHeap(seed);
      const view = snapshotView(heap);
      const figures = view.figures(view.frames());
      const info = heap.meminfo();
      const { size, maxSize, free, footprint, peakFootprint, live } = info;
      assert.deepEqual(
        { ...figures, caches: 0 },
        { ...figures, caches: 0, size, maxSize, free, footprint, peakFootprint, live },
      );
      assert.deepEqual(view.buddyinfo(), heap.buddyinfo());
      assert.deepEqual(view.counters(), heap.counters());
      for (const row of heap.slabinfo()) {
        const cache = figures.caches.find(({ name }) => name === row.name);
        assert.deepEqual(
          [cache?.live, cache?.cached, cache?.slabs, cache?.partial, cache?.stride],
          [row.objects, row.cached, row.slabs, row.partialSlabs, row.objsize],
          row.name,
        );
      }
      assert.equal(figures.caches.length, heap.slabinfo().length);
    });
  }

  test('frames are what virtToPage says', () => {
    const { heap } = busyHeap(4);
    const view = snapshotView(heap);
    const table = view.frames();
    assert.equal(table.end * table.pageSize, heap.meminfo().size);
    const words = ['free', 'slab', 'slab tail', 'large', 'pages', 'tail', 'waiting', 'vmalloc', ''];
    for (let pfn = table.start; pfn < table.end; pfn++) {
      const page = heap.virtToPage(pfn * table.pageSize);
      const parked = (table.flags[pfn] & FRAME_FLAG.PARKED) !== 0 ? ' parked' : '';
      assert.equal(`${words[table.kind[pfn]]}${parked}`, page.flags, `frame ${pfn}`);
      if (table.kind[pfn] === FRAME.SLAB) {
        assert.equal(view.cacheName(table.cache[pfn]), page.cache);
        assert.equal(table.objects[pfn], page.objects);
        assert.equal(table.live[pfn] + table.cached[pfn] + table.waiting[pfn], page.inuse);
      }
    }
  });

  test('a slab shows every object: its state, and whose sheaf it is in', () => {
    const { heap, live } = busyHeap(5);
    const view = snapshotView(heap);
    const seen = new Set<number>();
    const table = view.frames();
    for (let pfn = table.start; pfn < table.end; pfn++) {
      if (table.kind[pfn] !== FRAME.SLAB) continue;
      const slab = view.slab(pfn);
      assert.ok(slab);
      assert.equal(slab.head, pfn);
      slab.states.forEach((state, i) => {
        if (stateName(state) === 'live') seen.add(slab.base + i * slab.stride);
        assert.equal(slab.holders[i] !== HOLDER_NONE, stateName(state) === 'cached', `object ${i}`);
        if (slab.holders[i] !== HOLDER_NONE)
          assert.ok(slab.holders[i] === heap.cpu || slab.holders[i] === -2);
      });
    }
    const small = live.filter((address) => heap.virtToPage(address).cache !== undefined);
    for (const address of small) assert.ok(seen.has(address));
    assert.equal(view.slab(0), undefined);
    assert.equal(view.slab(table.end), undefined);
  });

  test('objects with red zones are where they are', () => {
    const heap = Heap.create({ size: 2 ** 20, shared: false, debug: 'Z,kmalloc-64' });
    const addresses = Array.from({ length: 20 }, () => heap.kmalloc(64));
    const slab = snapshotView(heap).slab(heap.virtToPage(addresses[0]).pfn);
    assert.ok(slab);
    const live = new Set<number>();
    slab.states.forEach((state, i) => {
      if (stateName(state) === 'live') live.add(slab.base + i * slab.stride);
    });
    for (const address of addresses) assert.ok(live.has(address));
  });

  test('sheaves and CPUs', () => {
    const { heap } = busyHeap(6);
    const view = snapshotView(heap);
    const rows = view.sheaves();
    const cached = heap.slabinfo().reduce((sum, row) => sum + row.cached, 0);
    assert.equal(
      rows.reduce((sum, row) => sum + row.objects, 0),
      cached,
    );
    const [cpu, ...others] = view.cpus(rows);
    assert.deepEqual(others, []);
    assert.equal(cpu.cpu, heap.cpu);
    assert.equal(cpu.status, 'online');
    assert.equal(cpu.counters.refill, heap.counters().refill);
  });

  test('a descriptor says what its words mean', () => {
    const heap = Heap.create({ size: 2 ** 20, shared: false });
    const address = heap.kmalloc(64);
    const view = snapshotView(heap);
    const words = view.words(heap.virtToPage(address).pfn);
    assert.equal(words.length, 16);
    assert.match(words[0].meaning, /^slab of kmalloc-64$/);
    assert.match(words[1].meaning, /^used, \d+ free$/);
    assert.equal(words.find(({ name }) => name === 'STRIDE')?.value, 64);
    assert.deepEqual(view.words(2 ** 30), []);
  });

  test('a view takes no CPU slot and leaves sheaves as they were', () => {
    const { heap } = busyHeap(7);
    const before = heap.snapshot({ data: false });
    snapshotView(heap).frames();
    const after = heap.snapshot({ data: false });
    // All but the header, which has the time.
    assert.deepEqual(after.subarray(64), before.subarray(64));
  });

  test('one reader, one snapshot after the other: each as if it were the first', () => {
    const reader = new ViewReader();
    const heaps = [
      busyHeap(10).heap,
      Heap.create({ size: 2 ** 20, shared: false }),
      busyHeap(11).heap,
      busyHeap(12).heap,
    ];
    for (const heap of heaps) {
      const bytes = heap.snapshot({ data: false });
      const [one, other] = [reader.read(bytes).view, readView(bytes).view];
      assert.deepEqual(one.frames(), other.frames());
      assert.deepEqual(one.sheaves(), other.sheaves());
      const damaged = bytes.slice();
      damaged[damaged.length - 5] ^= 1;
      assert.throws(() => reader.read(damaged), /checksum/);
      assert.deepEqual(one.frames(), other.frames());
    }
  });

  test('a view of a shared heap shows it as it is', () => {
    const heap = Heap.create({ size: 2 ** 20, maxSize: 2 ** 22 });
    const view = viewOf(heap.handle);
    for (let i = 0; i < 3; i++) {
      heap.kmalloc(5000);
      assert.equal(view.figures(view.frames()).live, heap.meminfo().live);
    }
  });

  test('metadata of any content is read without an error, in bounded time', () => {
    const { heap } = busyHeap(8);
    const { metadata } = readMetadata(heap.snapshot({ data: false }));
    const { m, layout } = metadata;
    const random = new Random(9);
    const next = (n: number): number => random.below(n);
    const from = layout.cpuRecords;
    const words = layout.vmemMap + layout.maxFrames * 16 - from;
    for (let round = 0; round < 40; round++) {
      for (let i = 0; i < 300; i++) m[from + next(words)] = next(2) === 0 ? next(2 ** 31) : -next(2 ** 31);
      for (let i = 0; i < 300; i++)
        m[layout.sheaves + next(layout.sheavesPerCache * 256 * 20)] = next(2 ** 31);
      const view = new View(metadata);
      const table = view.frames();
      view.figures(table);
      for (let pfn = 0; pfn < table.end; pfn += 7) {
        view.slab(pfn);
        view.words(pfn);
      }
      view.cpus(view.sheaves());
      view.counters();
    }
  });
});
