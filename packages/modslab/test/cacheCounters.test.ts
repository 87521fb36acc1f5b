// Counters and attributes of caches: what they count, what follows from them, that they can be cleared.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Heap, type KmemCache, SLAB } from 'modslab';
import { attributeFiles, type CacheAttributes, formatAttributes, imageOf } from 'modslab/stat';
import { assertSound, smallHeap, thrownBy } from './support/heap.ts';
import { Random } from './support/random.ts';

function attributesOf(heap: Heap, name: string): CacheAttributes {
  const found = imageOf(heap)
    .attributes()
    .find((cache) => cache.name === name);
  assert.ok(found, `there is a cache '${name}'`);
  return found;
}

const balances = (heap: Heap, name: string): Record<number, number> =>
  Object.fromEntries(attributesOf(heap, name).countersByCpu.map(({ cpu, balance }) => [cpu, balance]));

/** Allocations and frees of a cache, counted by the test. */
class Counted {
  allocated = 0;
  freed = 0;
  readonly held: number[] = [];
  private readonly cache: KmemCache;

  constructor(cache: KmemCache) {
    this.cache = cache;
  }

  alloc(n: number): void {
    for (let i = 0; i < n; i++) this.held.push(this.cache.alloc());
    this.allocated += n;
  }

  free(n: number, of: Counted = this): void {
    for (const address of of.held.splice(-n)) this.cache.free(address);
    this.freed += n;
  }
}

test('a burst of allocations and one of frees are counted to the sheaf, the balance exactly', () => {
  const heap = Heap.create({ size: 1 << 22, cpus: 2 });
  const cache = heap.createCache({ name: 'burst', size: 64 });
  const counted = new Counted(cache);
  const { sheafCapacity } = attributesOf(heap, 'burst');
  counted.alloc(5000);
  counted.free(4000);
  const { counters } = attributesOf(heap, 'burst');
  assert.equal(counters.balance, 1000);
  const allocations = counters.allocFastpath + counters.allocSlowpath;
  const frees = counters.freeFastpath + counters.freeSlowpath;
  assert.equal(allocations - frees, 1000);
  assert.ok(allocations <= 5000 && allocations > 5000 - sheafCapacity, `${allocations} allocations`);
  assert.ok(counters.allocSlowpath < 200 && counters.allocSlowpath > 10);
  assert.ok(counters.sheafRefill >= 5000 && counters.allocSlab > 0);
});

test('the balance of each CPU is exact whatever it does, objects of other CPUs freed, and bulk, included', () => {
  const heap = smallHeap();
  const caches = [heap, Heap.attach(heap.handle), Heap.attach(heap.handle)];
  const cache = heap.createCache({ name: 'shared', size: 96 });
  const sides = caches.map((each) => new Counted(each.cache('shared')));
  const random = new Random(7);
  const bulk = new Uint32Array(150);
  for (let round = 0; round < 400; round++) {
    const side = sides[random.below(3)];
    if (random.oneIn(2)) side.alloc(random.between(1, 90));
    else {
      const of = sides[random.below(3)];
      side.free(Math.min(of.held.length, random.between(1, 120)), of);
    }
    if (round % 40 === 0) {
      cache.allocBulk(bulk);
      caches[1].cache('shared').freeBulk(bulk);
      sides[0].allocated += bulk.length;
      sides[1].freed += bulk.length;
    }
    if (round % 50 === 7) cache.shrink();
  }
  const node = cache.allocNode(0, 0);
  sides[0].allocated++;
  sides[2].held.push(node);
  const expected = sides.map(({ allocated, freed }) => allocated - freed);
  assert.deepEqual(Object.values(balances(heap, 'shared')), expected);
  const { counters, countersByCpu, objects } = attributesOf(heap, 'shared');
  assert.equal(counters.balance, objects);
  for (const [i, row] of countersByCpu.entries()) {
    assert.ok(row.allocFastpath + row.allocSlowpath <= sides[i].allocated);
    assert.ok(row.freeFastpath + row.freeSlowpath <= sides[i].freed);
  }
  assertSound(heap);
});

test('reaping books what the dead had cached for the dead', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'reaped', size: 96 });
  const victim = Heap.attach(heap.handle);
  const theirs = new Counted(victim.cache('reaped'));
  const ours = new Counted(cache);
  theirs.alloc(100);
  ours.alloc(50);
  ours.free(30, theirs);
  heap.reap(victim.cpu);
  assert.deepEqual(balances(heap, 'reaped'), { [heap.cpu]: 20, [victim.cpu]: 100 });
});

test('counters are cleared, those of one cache or of all; figures that are not counters stay', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'cleared', size: 96 });
  const counted = new Counted(cache);
  counted.alloc(333);
  heap.kmalloc(32);
  heap.clearCounters('cleared');
  assert.deepEqual(attributesOf(heap, 'cleared').countersByCpu, []);
  assert.equal(attributesOf(heap, 'cleared').objects, 333);
  assert.ok(attributesOf(heap, 'kmalloc-32').counters.sheafRefill > 0);
  counted.free(40);
  assert.deepEqual(balances(heap, 'cleared'), { [heap.cpu]: -40 });
  heap.clearCounters();
  assert.deepEqual(attributesOf(heap, 'kmalloc-32').countersByCpu, []);
  assert.ok(heap.counters().allocSlow > 0);
  thrownBy('EINVAL', () => heap.clearCounters('no such cache'));
});

test('a cache that gets the number of a destroyed one begins at 0', () => {
  const heap = smallHeap({ caches: 32 });
  const first = heap.createCache({ name: 'first', size: 200 });
  first.free(first.alloc());
  first.destroy();
  const second = heap.createCache({ name: 'second', size: 80 });
  assert.equal(second.id, first.id);
  assert.deepEqual(attributesOf(heap, 'second').countersByCpu, []);
});

test('a CPU slot that was taken again goes on counting', () => {
  const heap = smallHeap({ cpus: 2 });
  heap.createCache({ name: 'slots', size: 200 });
  for (let i = 1; i <= 3; i++) {
    const other = Heap.attach(heap.handle);
    other.cache('slots').alloc();
    assert.equal(balances(heap, 'slots')[other.cpu], i);
    other.detach();
    assert.equal(balances(heap, 'slots')[1], i);
  }
});

test('frees that wait for readers, objects without a slab, and what finds no barn are counted apart', async () => {
  const heap = Heap.create({ size: 64 * 4096, maxSize: 64 * 4096, pageSize: 4096, cpus: 2 });
  heap.kfreeRcu(heap.kmalloc(500));
  await heap.rcuBarrier();
  const { freeRcu, balance } = attributesOf(heap, 'kmalloc-512').counters;
  assert.deepEqual({ freeRcu, balance }, { freeRcu: 1, balance: 1 });
  // Every second frame free: no slab of several frames can be made.
  const pages: number[] = [];
  for (let page = heap.allocPages(0); page !== 0; page = heap.allocPages(0)) pages.push(page);
  for (const page of pages) if ((page / 4096) % 2 === 0) heap.freePages(page, 0);
  const wide = imageOf(heap)
    .attributes()
    .find(({ pagesPerSlab, objectSize }) => pagesPerSlab > 1 && objectSize <= 4096);
  assert.ok(wide, 'a class with slabs of several pages');
  assert.notEqual(heap.kmalloc(wide.objectSize), 0);
  assert.equal(attributesOf(heap, wide.name).counters.orderFallback, 1);
});

test('attributes say of a cache what its makers know, in the names of sysfs', () => {
  const heap = smallHeap({ nodes: 2 });
  const flags = SLAB.HWCACHE_ALIGN | SLAB.RECLAIM_ACCOUNT | SLAB.TYPESAFE_BY_RCU;
  const cache = heap.createCache({ name: 'dentry', size: 190, flags, usersize: 40, ctor: () => undefined });
  for (let i = 0; i < 100; i++) cache.alloc();
  const attributes = attributesOf(heap, 'dentry');
  assert.equal(attributes.objects, 100);
  assert.equal(attributes.totalObjects, attributes.slabs * attributes.objsPerSlab);
  const files = attributeFiles(attributes);
  assert.deepEqual(
    [
      'object_size',
      'slab_size',
      'align',
      'ctor',
      'destroy_by_rcu',
      'reclaim_account',
      'hwcache_align',
      'cache_dma',
      'usersize',
    ].map((name) => files[name]),
    ['190', '192', '64', 'function', '1', '1', '1', '0', '40'],
  );
  assert.equal(files.allocator, 'rcu:reclaimable:page_allocator');
  assert.match(files.slabs, /^\d+ N0=\d+ N1=\d+$/);
  assert.match(files.sheaf_refill, new RegExp(`^\\d+ C${heap.cpu}=\\d+$`));
  const lines = formatAttributes(attributes).split('\n');
  assert.equal(lines.pop(), '');
  assert.deepEqual(lines, [...lines].sort());
  assert.ok(
    lines.includes(`objs_per_slab:${attributes.objsPerSlab}`) &&
      lines.every((line) => /^[a-z_]+:/.test(line)),
  );
});

test('bytes that were asked for: where owners are tracked', () => {
  const heap = smallHeap({ debug: 'U,kmalloc-96' });
  const objects = Array.from({ length: 10 }, () => heap.kmalloc(70));
  assert.equal(attributesOf(heap, 'kmalloc-96').bytesRequested, 700);
  heap.kfree(objects[0]);
  assert.equal(attributeFiles(attributesOf(heap, 'kmalloc-96')).bytes_requested, '630');
  assert.equal(attributesOf(heap, 'kmalloc-64').bytesRequested, undefined);
});

test('a cache that others are merged with names them', () => {
  const heap = smallHeap({ merge: true });
  heap.createCache({ name: 'alias', size: 120 });
  const merged = imageOf(heap)
    .attributes()
    .filter(({ aliases }) => aliases > 0);
  assert.deepEqual(
    merged.map(({ name, aliasNames }) => [name, aliasNames]),
    [['kmalloc-128', ['alias']]],
  );
});

test('an image has the figures of its heap, and the sheaves and objects that are in it', () => {
  const heap = smallHeap({ nodes: 2, dma: { start: 65_536, end: 131_072 } });
  const other = Heap.attach(heap.handle, { tag: 'other' });
  const addresses = Array.from({ length: 300 }, (_, i) => (i % 3 === 0 ? other : heap).kmalloc(i * 20));
  for (const address of addresses.filter((_, i) => i % 4 === 0)) heap.kfree(address);
  const area = heap.vmalloc(9000);
  assert.ok(area);
  heap.allocPages(1);
  const image = imageOf(heap);
  assert.deepEqual(image.slabinfo(), heap.slabinfo());
  assert.deepEqual(image.meminfo(), heap.meminfo());
  assert.deepEqual(image.buddyinfo(), heap.buddyinfo());
  assert.deepEqual(image.zoneinfo(), heap.zoneinfo());
  assert.deepEqual(image.counters(), heap.counters());
  assert.deepEqual(image.cpus(), heap.cpus());
  assert.ok(!image.hasData && Math.abs(Date.now() - image.time) < 60_000);
  for (let pfn = 1; pfn < image.frames; pfn++)
    assert.deepEqual(image.page(pfn), heap.virtToPage(pfn * image.pageSize), `frame ${pfn}`);
  const cached = image.sheaves().reduce((sum, { objects }) => sum + objects, 0);
  assert.equal(
    cached,
    heap.slabinfo().reduce((sum, row) => sum + row.cached, 0),
  );
  const live = addresses[1];
  const states = image.objects(Math.floor(live / image.pageSize));
  assert.equal(states.find(({ addr }) => addr === live)?.state, 'live');
  assert.equal(image.pageWords(Math.floor(live / image.pageSize)).stride, heap.ksize(live));
  thrownBy(RangeError, () => image.page(image.frames));
  assertSound(heap);
});

test('the map of frames says what each is, whose, and how full', () => {
  const heap = smallHeap();
  const small = heap.kmalloc(64);
  const large = heap.kmalloc(100_000);
  const image = imageOf(heap);
  const map = image.frameMap();
  const at = (address: number): Record<string, number> => {
    const pfn = address / image.pageSize;
    return Object.fromEntries(Object.entries(map).map(([name, array]) => [name, array[Math.floor(pfn)]]));
  };
  const { head, inuse, objects, cache } = at(small);
  assert.equal(head, Math.floor(small / image.pageSize));
  assert.equal(image.cacheName(cache), 'kmalloc-64');
  assert.equal(objects, attributesOf(heap, 'kmalloc-64').objsPerSlab);
  assert.equal(inuse, image.page(head).inuse);
  assert.equal(at(large + image.pageSize).head, large / image.pageSize);
  assert.equal(at(large).objects, 1);
});
