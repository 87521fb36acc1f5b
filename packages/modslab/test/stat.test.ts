// Figures: slabinfo and its two formats, meminfo, buddyinfo, counters, virtToPage.
import assert from 'node:assert/strict';
import test from 'node:test';
import { GFP, Heap, SLAB, type SlabinfoRow } from 'modslab';
import { formatSlabinfo } from 'modslab/stat';
import { assertSound, exhaust, KIB, MIB, refused, smallHeap, thrownBy, wrong } from './support/heap.js';

function row(name: string, numbers: [number, number, number, number, number, number], allocator: string) {
  const [objects, objsize, slabs, partialSlabs, activeSlabs, order] = numbers;
  const rest = { cached: 0, objectsPerSlab: 10, framesPerSlab: 1, sheafCapacity: 60 };
  return { name, objects, objsize, slabs, partialSlabs, activeSlabs, order, allocator, ...rest };
}

/** The sample of the letter that introduced the format (MODSLAB V3 3/5, 2006), and a name that is too long for it. */
const SAMPLE: SlabinfoRow[] = [
  row('sighand_cache', [136, 1664, 19, 6, 1, 0], 'ctor_dtor:rcu:unreclaimable:page_allocator'),
  row('dentry_cache', [13_014, 200, 166, 7, 3, 0], 'reclaimable:page_allocator'),
  row('kmalloc', [2, 131_072, 2, 0, 0, 3], 'unreclaimable:page_allocator'),
  row('a_name_longer_than_its_column', [12_345_678, 8, 1, 0, 0, 10], 'page_allocator'),
];

test('formatSlabinfo 3.0 is the text of 2006, column by column', () => {
  assert.equal(
    formatSlabinfo(SAMPLE, '3.0'),
    `slabinfo - version: 3.0
# name            <objects> <objsize> <num_slabs> <partial_slabs> <active_slabs> <order> <allocator>
sighand_cache             136    1664      19       6       1  0 ctor_dtor:rcu:unreclaimable:page_allocator
dentry_cache            13014     200     166       7       3  0 reclaimable:page_allocator
kmalloc                     2  131072       2       0       0  3 unreclaimable:page_allocator
a_name_longer_than_its_column 12345678       8       1       0       0 10 page_allocator
`,
  );
  assert.equal(formatSlabinfo([], '3.0').split('\n').length, 3);
});

test("formatSlabinfo 2.1 is the kernel's text, column by column", () => {
  const rows = [
    {
      ...row('dentry', [13_014, 192, 650, 7, 640, 0], 'page_allocator'),
      objectsPerSlab: 21,
      sheafCapacity: 28,
    },
    { ...row('kmalloc-8k', [2, 8192, 2, 0, 2, 3], 'x'), objectsPerSlab: 4, framesPerSlab: 8 },
  ];
  assert.equal(
    formatSlabinfo(rows, '2.1'),
    `slabinfo - version: 2.1
# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>
dentry             13014  13650    192   21    1 : tunables   28   28    0 : slabdata    640    650      0
kmalloc-8k             2      8   8192    4    8 : tunables   60   60    0 : slabdata      2      2      0
`,
  );
});

test('there is no other version of slabinfo', () => {
  thrownBy(RangeError, () => formatSlabinfo([], wrong('1.1')));
  thrownBy(RangeError, () => formatSlabinfo([], wrong(3.0)));
});

test('a row of slabinfo counts live objects only, and all slabs', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'rows', size: 500 });
  const rowOf = (): SlabinfoRow => {
    const found = heap.slabinfo().find(({ name }) => name === 'rows');
    assert.ok(found);
    return found;
  };
  assert.deepEqual(rowOf(), {
    name: 'rows',
    objects: 0,
    objsize: 512,
    slabs: 0,
    partialSlabs: 0,
    activeSlabs: 0,
    order: 0,
    allocator: 'unreclaimable:page_allocator',
    cached: 0,
    objectsPerSlab: 8,
    framesPerSlab: 1,
    sheafCapacity: rowOf().sheafCapacity,
  });
  const addresses = Array.from({ length: 41 }, () => cache.alloc());
  const used = rowOf();
  assert.equal(used.objects, 41);
  assert.ok(used.slabs >= 6 && used.activeSlabs <= used.slabs && used.partialSlabs <= used.activeSlabs);
  for (const address of addresses) cache.free(address);
  assert.equal(rowOf().objects, 0);
  assert.ok(rowOf().cached > 0);
  assert.deepEqual(
    heap.slabinfo().map(({ name }) => name),
    heap.caches().map(({ name }) => name),
  );
  assert.match(formatSlabinfo(heap.slabinfo(), '3.0'), /^rows {18} +0 +512 /m);
});

test('partial slabs have free objects and others, active ones have others', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'halves', size: 2048 });
  const addresses = Array.from({ length: 12 }, () => cache.alloc()).sort((a, b) => a - b);
  heap.shrink();
  cache.free(addresses[0]);
  cache.free(addresses[5]);
  heap.shrink();
  const found = heap.slabinfo().find(({ name }) => name === 'halves');
  assert.ok(found);
  assert.deepEqual([found.objects, found.slabs, found.partialSlabs, found.activeSlabs], [10, 6, 2, 6]);
});

test('meminfo adds up: total is footprint and free, live is every object at the size of its class', () => {
  const heap = smallHeap();
  const empty = heap.meminfo();
  assert.deepEqual([empty.footprint, empty.live, empty.free], [0, 0, empty.total]);
  assert.ok(empty.total > 0 && empty.total <= MIB && empty.total % heap.pageSize === 0);
  const addresses = [1, 64, 100, 2048, 3000, 20_000, 0].map((size) => heap.kmalloc(size));
  const pages = heap.allocPages(2);
  const used = heap.meminfo();
  const sizes = addresses.reduce((sum, address) => sum + heap.ksize(address), 0);
  assert.equal(used.live, sizes + 4 * heap.pageSize);
  assert.equal(used.footprint + used.free, used.total);
  assert.ok(used.footprint >= used.live && used.metadata > 0 && used.size <= used.maxSize);
  heap.kfreeBulk(Uint32Array.from(addresses));
  heap.freePages(pages, 2);
  heap.shrink();
  const after = heap.meminfo();
  assert.deepEqual([after.live, after.footprint], [0, 0]);
  assert.equal(after.peakFootprint, used.footprint);
});

test('meminfo follows growth up to maxSize; the peak stays', () => {
  const heap = smallHeap();
  const addresses = exhaust(() => heap.kmalloc(64 * KIB));
  const full = heap.meminfo();
  assert.equal(full.size, full.maxSize);
  assert.ok(full.maxSize <= 4 * MIB && full.maxSize > 4 * MIB - 2 * heap.pageSize);
  for (const address of addresses) heap.kfree(address);
  assert.equal(heap.meminfo().peakFootprint, full.footprint);
});

test('buddyinfo splits the free frames of every node and zone into aligned blocks', () => {
  const heap = smallHeap({ nodes: 2, maxSize: MIB, dma: { start: 64 * KIB, end: 128 * KIB } });
  const rows = heap.buddyinfo();
  assert.deepEqual(
    rows.map(({ node, zone }) => [node, zone]),
    [
      [0, 'DMA'],
      [0, 'Normal'],
      [1, 'Normal'],
    ],
  );
  const frames = (): number[] =>
    heap.buddyinfo().map(({ free }) => free.reduce((sum, count, order) => sum + count * 2 ** order, 0));
  assert.equal(frames()[0], 16);
  assert.deepEqual(rows[0].free.slice(0, 6), [0, 0, 0, 0, 1, 0], 'one block of 16');
  assert.equal(frames().reduce((a, b) => a + b) * heap.pageSize, heap.meminfo().free);
  heap.kmalloc(4096, GFP.DMA);
  assert.deepEqual(heap.buddyinfo()[0].free.slice(0, 5), [1, 1, 1, 1, 0]);
  for (let i = 0; i < 20; i++) heap.kmalloc(i * 1000);
  assert.equal(frames().reduce((a, b) => a + b) * heap.pageSize, heap.meminfo().free);
});

test('counters rise with what the slow paths do, summed over CPUs', () => {
  const heap = smallHeap();
  const zero = heap.counters();
  assert.ok(Object.values(zero).every((count) => count === 0));
  const other = Heap.attach(heap.handle);
  for (const each of [heap, other]) each.kfree(each.kmalloc(64));
  for (const each of [heap, other]) each.kfree(each.kmalloc(100_000));
  const counted = heap.counters();
  assert.equal(counted.largeAllocated, 2);
  assert.equal(counted.largeFreed, 2);
  assert.ok(counted.allocSlow >= 2 && counted.refill >= 2 && counted.slabsAllocated >= 1);
  assert.ok(counted.framesAllocated >= 51);
  other.detach();
  heap.shrink();
  const drained = heap.counters();
  assert.equal(drained.slabsFreed, drained.slabsAllocated);
  assert.equal(drained.framesFreed, drained.framesAllocated);
  for (let i = 0; i < 1000; i++) heap.kfree(heap.kmalloc(64));
  const hot = heap.counters().allocSlow - drained.allocSlow;
  assert.ok(hot <= 2, 'the fast path counts nothing');
});

test('objects of every size, wherever they lie in their slab, are freed on the fast path', () => {
  const heap = smallHeap({ maxSize: 8 * MIB });
  for (let size = 8; size <= 2 * heap.pageSize; size += size < 512 ? 16 : 208) {
    const cache = heap.createCache({ name: `fast-${size}`, size });
    const addresses: number[] = [];
    // The objects of whole slabs, one by one, through a sheaf that always has room.
    const { objects } = heap.virtToPage(addresses[addresses.push(cache.alloc()) - 1]);
    while (addresses.length < 2 * objects) addresses.push(cache.alloc());
    cache.free(addresses[0]);
    const before = heap.counters().freeSlow;
    for (const address of addresses.slice(1)) {
      cache.alloc();
      cache.free(address);
    }
    assert.equal(heap.counters().freeSlow, before, `size ${size}`);
    for (const address of [...cache.objects()]) cache.free(address);
    cache.destroy();
  }
});

test('virtToPage describes any page of the heap', () => {
  const heap = smallHeap({ nodes: 2 });
  const { pageSize } = heap;
  const small = heap.kmalloc(64);
  const slab = heap.virtToPage(small);
  assert.equal(slab.pfn, Math.floor(small / pageSize));
  assert.deepEqual([slab.cache, slab.order, slab.objects, slab.node], ['kmalloc-64', 0, 64, 0]);
  assert.ok(slab.inuse >= 1 && slab.inuse <= 64);
  assert.match(slab.flags, /slab/);
  assert.deepEqual(heap.virtToPage(small + 17), slab, 'any address of the page');

  const several = heap.createCache({ name: 'several', size: 1500 }).alloc();
  const head = heap.virtToPage(several);
  const tail = heap.virtToPage(several + pageSize);
  assert.deepEqual([head.cache, tail.cache, tail.objects], ['several', 'several', head.objects]);
  assert.equal(tail.pfn, head.pfn + 1);
  assert.match(tail.flags, /tail/);

  const large = heap.kmalloc(3 * pageSize);
  for (const [address, flags] of [
    [large, 'large'],
    [large + 2 * pageSize, 'tail'],
  ] as const) {
    const info = heap.virtToPage(address);
    assert.deepEqual([info.flags, info.objects, info.inuse, info.order], [flags, 1, 1, 2]);
    assert.ok(!('cache' in info));
  }
  const pages = heap.virtToPage(heap.allocPages(3));
  assert.deepEqual([pages.flags, pages.order], ['pages', 3]);

  const free = heap.virtToPage(heap.u8.length - 1);
  assert.deepEqual([free.flags, free.order, free.objects, free.inuse], ['free', 0, 0, 0]);
  assert.equal(free.node, 0);
  assert.equal(heap.virtToPage(heap.kmallocNode(64, GFP.THISNODE, 1)).node, 1);
  assertSound(heap);
});

test('an empty slab that is kept is parked, without objects in use', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'parked', size: 2000 });
  const addresses = exhaust(() => cache.alloc(GFP.NOWAIT));
  for (const address of addresses) cache.free(address);
  const parked = addresses
    .map((address) => heap.virtToPage(address))
    .filter(({ flags }) => flags === 'slab parked');
  assert.ok(parked.length > 0 && parked.every(({ inuse, cpu }) => inuse === 0 && cpu === undefined));
});

test('virtToPage refuses addresses outside the heap', () => {
  const heap = smallHeap();
  for (const address of [0, 8, heap.u8.length, 2 ** 32 - 1, 2 ** 32 + 8192, -1, 0.5, Number.NaN]) {
    refused(heap, 'EFAULT', () => heap.virtToPage(address));
  }
  refused(heap, TypeError, () => heap.virtToPage(wrong('8192')));
});

test('DMA caches say so in slabinfo', () => {
  const heap = smallHeap({ dma: { start: 64 * KIB, end: 128 * KIB } });
  heap.createCache({ name: 'device', size: 64, flags: SLAB.CACHE_DMA });
  const found = heap.slabinfo().find(({ name }) => name === 'device');
  assert.equal(found?.allocator, 'dma:unreclaimable:page_allocator');
});
