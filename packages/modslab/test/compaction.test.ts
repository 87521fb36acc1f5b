// shrink with a move function: sparse slabs become empty, what is pinned stays, nothing is lost on the way.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Heap, type KmemCache } from 'modslab';
import { setKillPointHook } from 'modslab/debug';
import { assertFilled, assertSound, fill, smallHeap, thrownBy } from './support/heap.js';
import { skipUnlessChecked } from './support/killpoints.js';

/** A user's table of objects, each with a pattern of its own; `move` follows it. */
class Table {
  readonly heap: Heap;
  readonly seeds: Map<number, number> = new Map();
  readonly pinned: Set<number> = new Set();
  moves = 0;

  constructor(heap: Heap) {
    this.heap = heap;
  }

  readonly move = (from: number, to: number): boolean => {
    const seed = this.seeds.get(from);
    if (seed === undefined || this.pinned.has(from)) return false;
    this.heap.u8.copyWithin(to, from, from + SIZE);
    this.seeds.delete(from);
    this.seeds.set(to, seed);
    this.moves++;
    return true;
  };

  /** Allocates so many, then frees all but one in `keepOneIn`. */
  scatter(cache: KmemCache, n: number, keepOneIn: number): void {
    const addresses = Array.from({ length: n }, () => cache.alloc());
    addresses.forEach((address, i) => {
      if (i % keepOneIn !== 0) cache.free(address);
      else {
        fill(this.heap, address, SIZE, i);
        this.seeds.set(address, i);
      }
    });
  }

  check(cache: KmemCache): void {
    for (const [address, seed] of this.seeds) assertFilled(this.heap, address, SIZE, seed);
    assert.deepEqual(new Set(cache.objects()), new Set(this.seeds.keys()));
    assertSound(this.heap);
  }
}

const SIZE = 256;
const PER_SLAB = 16;

function scattered(n = 640, keepOneIn = 10): { heap: Heap; table: Table; cache: KmemCache } {
  const heap = smallHeap();
  const table = new Table(heap);
  const cache = heap.createCache({ name: 'movable', size: SIZE, move: table.move });
  table.scatter(cache, n, keepOneIn);
  return { heap, table, cache };
}

test('objects of sparse slabs are moved into fuller ones until no more slabs are needed than objects fill', () => {
  const { table, cache } = scattered();
  const before = cache.stats().slabs;
  const released = cache.shrink();
  const { live, slabs, cached } = cache.stats();
  assert.deepEqual([live, slabs, cached], [64, 64 / PER_SLAB, 0]);
  assert.equal(released, before - slabs);
  assert.ok(table.moves > 0);
  table.check(cache);
  assert.equal(cache.shrink(), 0, 'a second time there is nothing to do');
});

test('without a move function only empty slabs go', () => {
  const heap = smallHeap();
  const table = new Table(heap);
  const cache = heap.createCache({ name: 'fixed', size: SIZE });
  table.scatter(cache, 640, 10);
  cache.shrink();
  assert.equal(cache.stats().slabs, 40);
  const movable = heap.cache('fixed', { move: table.move });
  movable.shrink();
  assert.equal(cache.stats().slabs, 4);
  table.check(cache);
});

test('pinned objects stay where they are', () => {
  const { table, cache } = scattered();
  const pinned = [...table.seeds.keys()].filter((_, i) => i % 8 === 0);
  for (const address of pinned) table.pinned.add(address);
  cache.shrink();
  for (const address of pinned) assert.ok(table.seeds.has(address));
  assert.ok(cache.stats().slabs <= pinned.length + 4);
  table.check(cache);
});

test('a move function that throws, frees objects or allocates does no harm', () => {
  const { heap, table, cache } = scattered();
  let calls = 0;
  const strange = heap.cache('movable', {
    move: (from, to) => {
      calls++;
      if (calls === 5) throw new Error('mine');
      const extra = cache.alloc();
      cache.free(extra);
      return table.move(from, to);
    },
  });
  assert.throws(() => strange.shrink(), /mine/);
  table.check(cache);
  strange.shrink();
  table.check(cache);
  assert.ok(cache.stats().slabs < 40);
});

test('objects that others free in the meantime are not moved', () => {
  const { heap, table, cache } = scattered();
  const moving = heap.cache('movable', {
    move: (from, to) => {
      const victim = [...table.seeds.keys()].find((address) => address !== from);
      if (victim !== undefined && table.seeds.size > 30) {
        table.seeds.delete(victim);
        heap.kfree(victim);
      }
      return table.move(from, to);
    },
  });
  moving.shrink();
  table.check(cache);
});

test('2006: every object of a slab is looked at, not only the first few', () => {
  const heap = smallHeap();
  const table = new Table(heap);
  const cache = heap.createCache({ name: 'movable', size: SIZE, move: table.move });
  const addresses = Array.from({ length: 3 * PER_SLAB }, () => cache.alloc()).sort((a, b) => a - b);
  // One object in each slab, the last one.
  addresses.forEach((address, i) => {
    if (i % PER_SLAB !== PER_SLAB - 1) cache.free(address);
    else {
      fill(heap, address, SIZE, i);
      table.seeds.set(address, i);
    }
  });
  cache.shrink();
  assert.equal(cache.stats().slabs, 1);
  table.check(cache);
});

test('no slab is claimed while the user’s code runs, and constructed objects are moved too', () => {
  const heap = smallHeap();
  const table = new Table(heap);
  let claimed = 0;
  const cache = heap.createCache({
    name: 'constructed',
    size: SIZE,
    ctor: (address) => heap.view(address, SIZE).fill(0xaa),
    move: (from, to) => {
      if (heap.virtToPage(from).cpu !== undefined || heap.virtToPage(to).cpu !== undefined) claimed++;
      assertSound(heap);
      return table.move(from, to);
    },
  });
  table.scatter(cache, 160, 10);
  cache.shrink();
  assert.deepEqual([claimed, cache.stats().slabs], [0, 1]);
  table.check(cache);
});

test('what move is given must be a function', () => {
  const heap = smallHeap();
  thrownBy(TypeError, () => heap.createCache({ name: 'x', size: 8, move: 1 as unknown as () => boolean }));
});

test('a thread killed at any instant of a compaction loses nothing of others', {
  skip: skipUnlessChecked,
}, () => {
  class Killed extends Error {}
  let steps = Number.POSITIVE_INFINITY;
  for (let kill = 1; kill < steps; kill += 7) {
    const heap = smallHeap();
    const owner = new Table(heap);
    const cache = heap.createCache({ name: 'movable', size: SIZE });
    owner.scatter(cache, 160, 10);
    heap.shrink();
    const other = Heap.attach(heap.handle);
    const moving = other.cache('movable', { move: owner.move });
    let left = kill;
    setKillPointHook(() => {
      if (--left === 0) throw new Killed();
    });
    try {
      moving.shrink();
      steps = kill;
    } catch (error) {
      // A kill runs no `finally`: what the simulated one did after the throw is more than a real one does.
      assert.ok(error instanceof Killed, String(error));
    } finally {
      setKillPointHook(undefined);
    }
    heap.reap(other.cpu);
    for (const [address, seed] of owner.seeds) assertFilled(heap, address, SIZE, seed);
    const live = new Set(cache.objects());
    assert.ok(
      [...owner.seeds.keys()].every((address) => live.has(address)),
      `killed at ${kill}`,
    );
    assert.ok(live.size - owner.seeds.size <= 1, 'at most the copy under way is the dead one’s own');
    assertSound(heap);
  }
});
