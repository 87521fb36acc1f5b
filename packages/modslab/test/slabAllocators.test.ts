// What every slab allocator must do, checked on the slabifier and on sheaves over it through the one interface.
import assert from 'node:assert/strict';
import test from 'node:test';
import { countSet } from '#src/memory/bitmap.js';
import { N_SHEAF_SWAP, usedFrames } from '#src/memory/cpu.js';
import { addressOf, entryOf } from '#src/memory/entry.js';
import {
  BARN_FULL_MAX,
  C_CAPACITY,
  C_OBJECTS,
  C_PARKED,
  cacheAt,
  HEADER_WORDS,
  PAIR_SHIFT,
  PARKED_MAX,
  pageAt,
  partialAt,
} from '#src/memory/layout.js';
import { CLAIM_PENDING, PAGE_CLAIM } from '#src/page/page.js';
import { NODE_ANY } from '#src/page/pageAllocator.js';
import type { SlabAllocator } from '#src/slab/slabAllocator.js';
import { parkedMax } from '#src/slab/slabifier.js';
import { exhaust, thrownBy } from './support/heap.js';
import { createLayers, type Layers, layersOn, spec } from './support/internals.js';

const ALLOCATORS: [string, (layers: Layers) => SlabAllocator][] = [
  ['slabifier', (layers) => layers.slabifier],
  ['sheaved:slabifier', (layers) => layers.sheaves],
];

const partialSlabs = ({ metadata: { m, layout } }: Layers, cache: number): number =>
  countSet(m, partialAt(layout, cache), 0, layout.maxFrames);

/** The entries `from … to` of sheaf words. */
const entries = ({ metadata: { m } }: Layers, sheaf: number, from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => m[sheaf + ((from + i) << PAIR_SHIFT)]);

for (const [name, of] of ALLOCATORS) {
  test(`${name}: a number of no cache gets no object, and nothing changes`, () => {
    const layers = createLayers();
    const allocator = of(layers);
    const cache = allocator.create(spec('gone', 64));
    allocator.free(cache, allocator.alloc(cache, 0));
    allocator.destroy(cache);
    const before = layers.metadata.m.slice(0, HEADER_WORDS);
    for (const none of [cache, 0, -1, 0.5, Number.NaN, 9999, 2 ** 28, 2 ** 32]) {
      thrownBy('EINVAL', () => allocator.alloc(none, 0));
      thrownBy('EINVAL', () => allocator.alloc(undefined as never, 0));
    }
    assert.deepEqual(layers.metadata.m.slice(0, HEADER_WORDS), before);
  });

  test(`${name}: says its name and its page allocator's`, () => {
    const allocator = of(createLayers());
    assert.equal(allocator.name, name);
    assert.equal(allocator.pageAllocatorName, 'page_allocator');
  });

  test(`${name}: objects are distinct, aligned, inside their slabs, and valid while they live`, () => {
    const layers = createLayers();
    const allocator = of(layers);
    const cache = allocator.create(spec('objects', 40));
    const addresses = Array.from({ length: 300 }, () => allocator.alloc(cache, 0));
    assert.equal(new Set(addresses).size, 300);
    assert.ok(addresses.every((address) => address >= 4096 && address % 16 === 0));
    addresses.sort((a, b) => a - b);
    assert.ok(addresses.every((address, i) => i === 0 || address - addresses[i - 1] >= 48));
    assert.ok(addresses.every((address) => allocator.validPointer(cache, address)));
    assert.equal(allocator.validPointer(cache, addresses[0] + 16), false);
    assert.equal(allocator.objectSize(cache), 40);
    for (const address of addresses) allocator.free(cache, address);
    assert.ok(addresses.every((address) => !allocator.validPointer(cache, address)));
  });

  test(`${name}: counts add up at every moment, and shrink gives all empty slabs back`, () => {
    const layers = createLayers();
    const allocator = of(layers);
    const cache = allocator.create(spec('counted', 256));
    const perSlab = layers.metadata.m[cacheAt(layers.metadata.layout, cache) + C_OBJECTS];
    const addresses: number[] = [];
    for (let round = 0; round < 200; round++) {
      addresses.push(allocator.alloc(cache, 0));
      const counts = allocator.getObjects(cache);
      assert.equal(counts.live, addresses.length);
      assert.equal(counts.live + counts.cached + counts.free, counts.slabs * perSlab);
      assert.ok(counts.partial <= counts.active && counts.active <= counts.slabs);
    }
    for (const address of addresses) allocator.free(cache, address);
    assert.equal(allocator.getObjects(cache).live, 0);
    assert.ok(allocator.shrink(cache) > 0);
    assert.deepEqual(allocator.getObjects(cache), {
      live: 0,
      cached: 0,
      waiting: 0,
      free: 0,
      slabs: 0,
      partial: 0,
      active: 0,
    });
    assert.equal(usedFrames(layers.metadata), 0);
    assert.equal(partialSlabs(layers, cache), 0);
    assert.equal(allocator.shrink(cache), 0);
  });

  test(`${name}: fill takes objects up to what is wanted; drain puts them back and clears the words`, () => {
    const layers = createLayers();
    const allocator = of(layers);
    const cache = allocator.create(spec('filled', 64));
    const sheaf = layers.sheaves.claimSheaf(cache);
    assert.equal(allocator.fill(cache, sheaf, 0, 3, 0, NODE_ANY), 3);
    assert.equal(allocator.fill(cache, sheaf, 3, 7, 0, NODE_ANY), 7);
    assert.equal(new Set(entries(layers, sheaf, 1, 7)).size, 7);
    assert.deepEqual([allocator.getObjects(cache).cached, allocator.getObjects(cache).live], [7, 0]);
    allocator.drain(cache, sheaf, 4, 6);
    assert.deepEqual(entries(layers, sheaf, 4, 6), [0, 0, 0]);
    assert.equal(allocator.getObjects(cache).cached, 4);
    allocator.drain(cache, sheaf, 1, 7);
    assert.deepEqual(entries(layers, sheaf, 1, 7), [0, 0, 0, 0, 0, 0, 0]);
    assert.equal(allocator.getObjects(cache).cached, 0);
    allocator.shrink(cache);
    assert.equal(usedFrames(layers.metadata), 0);
  });

  test(`${name}: fill reports how many it got when memory ends`, () => {
    const layers = createLayers({ frames: 3 });
    const allocator = of(layers);
    const cache = allocator.create(spec('few', 2048));
    const sheaf = layers.sheaves.claimSheaf(cache);
    assert.equal(allocator.fill(cache, sheaf, 0, 7, 0, NODE_ANY), 4);
    allocator.drain(cache, sheaf, 1, 4);
    assert.equal(exhaust(() => allocator.alloc(cache, 0)).length, 4);
  });

  test(`${name}: free refuses what is not a live object of the cache, and changes nothing`, () => {
    const layers = createLayers();
    const allocator = of(layers);
    const cache = allocator.create(spec('mine', 64));
    const other = allocator.create(spec('other', 64));
    const address = allocator.alloc(cache, 0);
    const counts = allocator.getObjects(cache);
    thrownBy('ECACHE', () => allocator.free(other, address));
    thrownBy('EINTERIOR', () => allocator.free(cache, address + 8));
    thrownBy('EFAULT', () => allocator.free(cache, 8));
    assert.deepEqual(allocator.getObjects(cache), counts);
    allocator.free(cache, address);
    thrownBy('EDOUBLEFREE', () => allocator.free(cache, address));
  });

  test(`${name}: a destroyed cache keeps no slab`, () => {
    const layers = createLayers();
    const allocator = of(layers);
    const cache = allocator.create(spec('gone', 64));
    const addresses = Array.from({ length: 100 }, () => allocator.alloc(cache, 0));
    for (const address of addresses) allocator.free(cache, address);
    allocator.destroy(cache);
    assert.equal(usedFrames(layers.metadata), 0);
  });

  test(`${name}: objects of a node, of another when it has none, of no other with THISNODE`, () => {
    const layers = createLayers({ frames: 9, nodes: 2 });
    const allocator = of(layers);
    const cache = allocator.create(spec('noded', 2048));
    const nodeOfObject = (address: number): number => (address < 5 * 4096 ? 0 : 1);
    for (let i = 0; i < 8; i++) assert.equal(nodeOfObject(allocator.allocNode(cache, 128, 1)), 1);
    assert.equal(allocator.allocNode(cache, 128, 1), 0);
    assert.equal(nodeOfObject(allocator.allocNode(cache, 0, 1)), 0);
  });
}

test('objects come from a slab in address order', () => {
  const layers = createLayers();
  const { slabifier, sheaves } = layers;
  const cache = slabifier.create(spec('ordered', 64));
  const sheaf = sheaves.claimSheaf(cache);
  slabifier.fill(cache, sheaf, 0, 7, 0, NODE_ANY);
  const inGranules = [512, 520, 528, 536, 544, 552, 560];
  assert.deepEqual(entries(layers, sheaf, 1, 7), inGranules, 'from frame 1 on');
  slabifier.drain(cache, sheaf, 3, 5);
  assert.equal(slabifier.alloc(cache, 0), addressOf(528), 'the lowest free object is next');
});

test('partial slabs are filled up, the lowest first, before a fresh one is taken', () => {
  const layers = createLayers();
  const { slabifier, metadata } = layers;
  const cache = slabifier.create(spec('partial', 1024));
  const addresses = Array.from({ length: 16 }, () => slabifier.alloc(cache, 0));
  assert.equal(partialSlabs(layers, cache), 0, 'four slabs are full');
  const holes = [addresses[14], addresses[9], addresses[2]];
  for (const address of holes) slabifier.free(cache, address);
  assert.equal(partialSlabs(layers, cache), 3);
  const taken = [1, 2, 3].map(() => slabifier.alloc(cache, 0));
  assert.deepEqual(
    [...taken].sort((a, b) => a - b),
    [...holes].sort((a, b) => a - b),
  );
  assert.equal(partialSlabs(layers, cache), 0);
  assert.equal(usedFrames(metadata), 4);
});

test('only a bounded number of empty slabs is kept, and they are used again', () => {
  const layers = createLayers({ frames: 128 });
  const { slabifier, metadata } = layers;
  const cache = slabifier.create(spec('parked', 1024));
  const addresses = Array.from({ length: 400 }, () => slabifier.alloc(cache, 0));
  for (const address of addresses) slabifier.free(cache, address);
  const kept = parkedMax(1024, 12);
  assert.ok(kept >= 1 && kept <= PARKED_MAX);
  assert.equal(usedFrames(metadata), kept);
  const slots = cacheAt(metadata.layout, cache) + C_PARKED;
  assert.equal([...metadata.m.subarray(slots, slots + PARKED_MAX)].filter((head) => head !== 0).length, kept);
  slabifier.alloc(cache, 0);
  assert.equal(usedFrames(metadata), kept, 'no fresh frame');
});

test('fewer empty slabs are kept where pages are large', () => {
  for (const size of [8, 64, 1024, 2 ** 20]) {
    assert.ok(parkedMax(size, 12) >= 5 && parkedMax(size, 12) <= 10);
    assert.ok(parkedMax(size, 16) >= 1 && parkedMax(size, 16) <= parkedMax(size, 12));
  }
});

test('a slab that somebody else holds is never waited for: objects are left pending, others come from elsewhere', () => {
  const layers = createLayers();
  const other = layersOn(layers.metadata, layers.data);
  const { m, layout } = layers.metadata;
  const cache = layers.slabifier.create(spec('held', 512));
  const addresses = Array.from({ length: 8 }, () => layers.slabifier.alloc(cache, 0));
  const claim = pageAt(layout, 1) + PAGE_CLAIM;
  const looked = other.slabifier.withSlab(cache, 1, () => {
    layers.slabifier.free(cache, addresses[0]);
    layers.slabifier.free(cache, addresses[5]);
    assert.notEqual(m[claim] & CLAIM_PENDING, 0);
    thrownBy('EDOUBLEFREE', () => layers.slabifier.free(cache, addresses[0]));
    const address = layers.slabifier.alloc(cache, 0);
    assert.notEqual(address >>> 12, 1, 'from another slab');
    layers.slabifier.free(cache, address);
    assert.equal(
      layers.slabifier.withSlab(cache, 1, () => assert.fail('it is held')),
      false,
    );
  });
  assert.ok(looked);
  assert.equal(m[claim] & CLAIM_PENDING, 0, 'the holder has collected them');
  const counts = layers.slabifier.getObjects(cache);
  assert.deepEqual([counts.live, counts.partial], [6, 1]);
  const next = [layers.slabifier.alloc(cache, 0), layers.slabifier.alloc(cache, 0)];
  assert.deepEqual(
    next.sort((a, b) => a - b),
    [addresses[0], addresses[5]],
  );
});

test('a slab whose last objects were left pending does not stay for ever', () => {
  const layers = createLayers();
  const other = layersOn(layers.metadata, layers.data);
  const cache = layers.slabifier.create(spec('pended', 512));
  const addresses = Array.from({ length: 8 }, () => layers.slabifier.alloc(cache, 0));
  other.slabifier.withSlab(cache, 1, () => {
    for (const address of addresses) layers.slabifier.free(cache, address);
  });
  assert.equal(layers.slabifier.getObjects(cache).live, 0);
  layers.slabifier.shrink(cache);
  assert.equal(usedFrames(layers.metadata), 0);
});

test('sheaves: an object that was freed last is handed out next', () => {
  const { sheaves } = createLayers();
  const cache = sheaves.create(spec('lifo', 64));
  const addresses = Array.from({ length: 5 }, () => sheaves.alloc(cache, 0));
  for (const address of addresses) sheaves.free(cache, address);
  assert.deepEqual(
    [1, 2, 3, 4, 5].map(() => sheaves.alloc(cache, 0)),
    addresses.reverse(),
  );
});

test('sheaves: full ones go to the barn, up to ten, and another CPU takes them whole', () => {
  const layers = createLayers({ frames: 255 });
  const other = layersOn(layers.metadata, layers.data);
  const { sheaves } = layers;
  const cache = sheaves.create(spec('exchanged', 64));
  const { m, layout } = layers.metadata;
  const capacity = m[cacheAt(layout, cache) + C_CAPACITY];
  const addresses = Array.from({ length: capacity * 16 }, () => sheaves.alloc(cache, 0));
  for (const address of addresses) sheaves.free(cache, address);
  const kept = sheaves.getObjects(cache).cached / capacity;
  assert.equal(kept, BARN_FULL_MAX + 2, 'main, a spare and a full barn; the rest went back to its slabs');
  const before = usedFrames(layers.metadata);
  for (let i = 0; i < capacity * BARN_FULL_MAX; i++) assert.notEqual(other.sheaves.alloc(cache, 0), 0);
  assert.equal(sheaves.getObjects(cache).cached, 2 * capacity);
  assert.equal(usedFrames(layers.metadata), before, 'no slab was touched');
});

test('sheaves: frees and allocations by turns exchange main once, not each time, wherever it stands', () => {
  const layers = createLayers({ frames: 255 });
  const { sheaves, metadata } = layers;
  const cache = sheaves.create(spec('by-turns', 64));
  const capacity = metadata.m[cacheAt(metadata.layout, cache) + C_CAPACITY];
  const swaps = (): number => sheaves.frames.cpu.counted(N_SHEAF_SWAP);
  const live = new Set(Array.from({ length: 3 * capacity }, () => sheaves.alloc(cache, 0)));
  const take = (): void => {
    const address = sheaves.alloc(cache, 0);
    assert.ok(address !== 0 && !live.has(address));
    live.add(address);
  };
  const give = (): void => {
    const [address] = live;
    live.delete(address);
    sheaves.free(cache, address);
  };
  // Wherever main stands: from each number of objects in it, back and forth by up to a quarter of a sheaf.
  for (let level = 0; level <= 2 * capacity; level++) {
    give();
    const before = swaps();
    for (let turn = 1; turn < capacity / 4; turn++) {
      for (let i = 0; i < turn; i++) take();
      for (let i = 0; i < turn; i++) give();
    }
    assert.ok(swaps() - before <= 3, `${swaps() - before} exchanges at level ${level}`);
  }
  assert.equal(sheaves.getObjects(cache).live, live.size);
  assert.ok(sheaves.getObjects(cache).cached > 0);
  sheaves.close(cache);
  sheaves.drainBarns(cache);
  assert.deepEqual([sheaves.getObjects(cache).cached, sheaves.getObjects(cache).live], [0, live.size]);
});

test('sheaves: a barn of another CPU’s objects is left to that one, while there is memory', () => {
  const layers = createLayers({ frames: 300 });
  const other = layersOn(layers.metadata, layers.data);
  const { sheaves, metadata } = layers;
  const cache = sheaves.create(spec('exchanged', 64));
  const capacity = metadata.m[cacheAt(metadata.layout, cache) + C_CAPACITY];
  const addresses = Array.from({ length: capacity * 7 }, () => sheaves.alloc(cache, 0));
  const users = new Set(addresses.map((address) => address >>> 12));
  for (const address of addresses) sheaves.free(cache, address);
  const { cached } = sheaves.getObjects(cache);
  assert.equal(cached, capacity * 7, 'main, a spare, and its half of the barn');
  const theirs = Array.from({ length: 6 * capacity }, () => other.sheaves.alloc(cache, 0));
  assert.ok(sheaves.getObjects(cache).cached >= cached, 'no sheaf was taken');
  assert.ok(
    theirs.some((address) => !users.has(address >>> 12)),
    'a new slab rather than what is the other one’s',
  );
  const kept = sheaves.getObjects(cache).cached;
  const own = Array.from({ length: capacity * 4 }, () => sheaves.alloc(cache, 0));
  assert.equal(sheaves.getObjects(cache).cached, kept - own.length, 'its own sheaves are there for it');
  assert.ok(own.every((address) => users.has(address >>> 12)));
  while (other.sheaves.alloc(cache, 0) !== 0);
  const left = sheaves.getObjects(cache);
  assert.ok(
    left.cached <= 3 * capacity && left.free === 0,
    `${left.cached} cached and ${left.free} free, where nothing else is left`,
  );
});

test('sheaves: a CPU that stays away has its share of a barn only, and another one may use the rest', () => {
  const layers = createLayers({ frames: 300 });
  const other = layersOn(layers.metadata, layers.data);
  const { sheaves, metadata } = layers;
  const cache = sheaves.create(spec('shared', 64));
  const capacity = metadata.m[cacheAt(metadata.layout, cache) + C_CAPACITY];
  for (const { sheaves: own } of [layers, other]) {
    const addresses = Array.from({ length: capacity * 16 }, () => own.alloc(cache, 0));
    for (const address of addresses) own.free(cache, address);
  }
  assert.equal(sheaves.getObjects(cache).cached, 2 * 7 * capacity);
});

test('sheaves: what another CPU has freed comes home to the one that uses its slabs', () => {
  const layers = createLayers({ frames: 300 });
  const other = layersOn(layers.metadata, layers.data);
  const { sheaves, metadata } = layers;
  const cache = sheaves.create(spec('returned', 64));
  const capacity = metadata.m[cacheAt(metadata.layout, cache) + C_CAPACITY];
  const addresses = Array.from({ length: capacity * 8 }, () => sheaves.alloc(cache, 0));
  const before = usedFrames(metadata);
  for (const address of addresses) other.sheaves.free(cache, address);
  const again = Array.from({ length: capacity * 6 }, () => sheaves.alloc(cache, 0));
  assert.equal(usedFrames(metadata), before, 'no new slab');
  assert.ok(again.every((address) => addresses.includes(address)));
});

test('partial slabs: a few slabs’ worth of another CPU’s is left to it, then taken', () => {
  const { metadata, data, slabifier } = createLayers({ frames: 300 });
  const other = layersOn(metadata, data).slabifier;
  const cache = slabifier.create(spec('partial', 64));
  const objects = metadata.m[cacheAt(metadata.layout, cache) + C_OBJECTS];
  const addresses = Array.from({ length: objects * 6 }, () => slabifier.alloc(cache, 0));
  const users = new Set(addresses.map((address) => address >>> 12));
  const isTheirs = (address: number): boolean => users.has(address >>> 12);
  for (const address of addresses.filter((_, i) => i % 8 === 0)) slabifier.free(cache, address);
  const first = Array.from({ length: objects }, () => other.alloc(cache, 0));
  assert.ok(!first.some(isTheirs), 'less than a slab is free in theirs: it makes one');
  for (const address of addresses.filter((_, i) => i % 2 === 1)) slabifier.free(cache, address);
  assert.ok(isTheirs(other.alloc(cache, 0)), 'three slabs’ worth: what is more than one, it takes');
  assert.ok(isTheirs(slabifier.alloc(cache, 0)));
});

test('partial slabs: sparse ones of another CPU are used up before new ones are made', () => {
  const { metadata, data, sheaves } = createLayers({ frames: 2000 });
  const other = layersOn(metadata, data);
  const cache = sheaves.create(spec('sparse', 256));
  const perSlab = metadata.m[cacheAt(metadata.layout, cache) + C_OBJECTS];
  const addresses = Array.from({ length: perSlab * 900 }, () => sheaves.alloc(cache, 0));
  const users = new Set(addresses.map((address) => address >>> 12));
  const kept = new Set<number>();
  for (const address of addresses) {
    if (kept.has(address >>> 12)) sheaves.free(cache, address);
    else kept.add(address >>> 12);
  }
  const before = usedFrames(metadata);
  const theirs = Array.from({ length: perSlab * 450 }, () => other.sheaves.alloc(cache, 0));
  assert.ok(theirs.filter((address) => users.has(address >>> 12)).length > 0.99 * theirs.length - perSlab);
  assert.ok(usedFrames(metadata) <= before + 2);
});

test('sheaves: without a free sheaf in the pool objects come straight from the slabs', () => {
  const layers = createLayers({ frames: 2000 });
  const { sheaves } = layers;
  const cache = sheaves.create(spec('starved', 64));
  const claimed: number[] = [];
  for (let sheaf = sheaves.claimSheaf(cache); sheaf !== 0; sheaf = sheaves.claimSheaf(cache))
    claimed.push(sheaf);
  assert.equal(claimed.length, layers.metadata.layout.sheavesPerCache);
  const addresses = Array.from({ length: 100 }, () => sheaves.alloc(cache, 0));
  assert.equal(new Set(addresses).size, 100);
  for (const address of addresses) sheaves.free(cache, address);
  thrownBy('EDOUBLEFREE', () => sheaves.free(cache, addresses[0]));
  assert.equal(sheaves.getObjects(cache).live, 0);
  for (const sheaf of claimed) sheaves.releaseSheaf(sheaf);
});

test('a slab of one large object takes exactly the frames it needs', () => {
  const layers = createLayers({ frames: 64 });
  const { slabifier, metadata } = layers;
  const cache = slabifier.create(spec('large', 5 * 4096 + 1));
  const address = slabifier.alloc(cache, 0);
  assert.equal(usedFrames(metadata), 6);
  thrownBy('EINTERIOR', () => slabifier.free(cache, address + 4096));
  thrownBy('EINTERIOR', () => slabifier.free(cache, address + 8));
  slabifier.free(cache, address);
  thrownBy('EDOUBLEFREE', () => slabifier.free(cache, address));
  slabifier.shrink(cache);
  assert.equal(usedFrames(metadata), 0);
  assert.ok(entryOf(address) > 0);
});
