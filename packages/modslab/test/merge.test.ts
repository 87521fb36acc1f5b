// Merged caches share slabs with kmalloc's, and keep their identity.
import assert from 'node:assert/strict';
import test from 'node:test';
import { GFP, Heap, SLAB } from 'modslab';
import {
  allRefused,
  assertSound,
  exhaust,
  isZero,
  MIB,
  refused,
  smallHeap,
  thrownBy,
} from './support/heap.js';

const mergingHeap = (): Heap => smallHeap({ merge: true });
const isMerged = (heap: Heap, name: string): boolean => !heap.slabinfo().some((row) => row.name === name);

test('without the option nothing merges', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'plain', size: 64 });
  assert.ok(!isMerged(heap, 'plain'));
  assert.notEqual(heap.virtToPage(cache.alloc()).pfn, heap.virtToPage(heap.kmalloc(64)).pfn);
});

test('a merged cache shares slabs, and refuses what is not its own', () => {
  const heap = mergingHeap();
  const [a, b] = ['a', 'b'].map((name) => heap.createCache({ name, size: 60 }));
  assert.ok(isMerged(heap, 'a') && isMerged(heap, 'b'));
  const [mine, theirs, anyone] = [a.alloc(), b.alloc(), heap.kmalloc(64)];
  assert.equal(heap.virtToPage(mine).pfn, heap.virtToPage(theirs).pfn);
  assert.equal(heap.virtToPage(mine).pfn, heap.virtToPage(anyone).pfn);
  refused(heap, 'ECACHE', () => a.free(theirs));
  refused(heap, 'ECACHE', () => a.free(anyone));
  refused(heap, 'ECACHE', () => b.freeBulk(Uint32Array.of(theirs, mine)));
  refused(heap, 'EINTERIOR', () => a.free(mine + 16));
  assert.deepEqual([a.stats().live, b.stats().live, a.size, a.name], [1, 1, 60, 'a']);
  a.free(mine);
  refused(heap, 'EDOUBLEFREE', () => a.free(mine));
  heap.kfree(theirs);
  assert.deepEqual([a.stats().live, b.stats().live], [0, 0]);
  assertSound(heap);
});

test('objects of a merged cache go through every call', () => {
  const heap = mergingHeap();
  const cache = heap.createCache({ name: 'whole', size: 128 });
  const out = new Uint32Array(200);
  assert.equal(cache.allocBulk(out), 200);
  assert.equal(cache.stats().live, 200);
  for (const address of out) heap.view(address, 128).fill(1);
  thrownBy('EDOUBLEFREE', () => cache.freeBulk(Uint32Array.of(out[0], out[0])));
  cache.freeBulk(out);
  assert.ok(isZero(heap, cache.alloc(GFP.ZERO), 128));
  const sheaf = cache.prefill(150);
  const aside = Array.from({ length: 150 }, () => sheaf.alloc());
  assert.equal(sheaf.alloc(), 0);
  assert.equal(cache.stats().live, 151);
  for (const address of aside) cache.free(address);
  const placed = cache.allocNode(0, 0);
  cache.free(placed);
  refused(heap, 'EINVAL', () => cache.objects());
  cache.shrink();
  assertSound(heap);
});

test('destroy drops one reference: others that share the slabs stay whole', () => {
  const heap = mergingHeap();
  const a = heap.createCache({ name: 'a', size: 256 });
  const b = heap.createCache({ name: 'b', size: 256 });
  const mine = a.alloc();
  const theirs = b.alloc();
  const error = refused(heap, 'EBUSY', () => a.destroy());
  assert.match(error.message, /'a' has 1 live/);
  a.free(mine);
  a.destroy();
  allRefused(heap, 'EINVAL', [() => a.alloc(), () => a.free(mine), () => a.stats(), () => a.destroy()]);
  assert.equal(b.stats().live, 1);
  b.free(theirs);
  assert.notEqual(heap.createCache({ name: 'a', size: 256 }).alloc(), 0, 'the name is free again');
  assertSound(heap);
});

test('what has something of its own is not merged', () => {
  const heap = smallHeap({ merge: true, nodes: 2, dma: { start: 65_536, end: 131_072 } });
  const own = {
    constructed: { ctor: () => {} },
    template: { ctor: new Uint8Array(8) },
    device: { flags: SLAB.CACHE_DMA },
    apart: { flags: SLAB.NO_MERGE },
    spread: { flags: SLAB.MEM_SPREAD },
    reclaimed: { flags: SLAB.RECLAIM_ACCOUNT },
    typesafe: { flags: SLAB.TYPESAFE_BY_RCU },
    placed: { node: 1 },
    movable: { move: () => false },
    windowed: { useroffset: 8, usersize: 8 },
    wasteful: { size: 72 },
  };
  for (const [name, options] of Object.entries(own)) {
    const isSupported = !(name === 'typesafe');
    if (!isSupported) continue;
    heap.createCache({ name, size: 64, ...options });
    assert.ok(!isMerged(heap, name), name);
  }
  heap.createCache({ name: 'plain', size: 64, flags: SLAB.PANIC });
  assert.ok(isMerged(heap, 'plain'));
});

test('only so many merge into one cache; the next has slabs of its own', () => {
  const heap = mergingHeap();
  const caches = Array.from({ length: 9 }, (_, i) => heap.createCache({ name: `c${i}`, size: 32 }));
  assert.equal(caches.filter(({ name }) => isMerged(heap, name)).length, 7);
  const addresses = caches.map((cache) => cache.alloc());
  caches.forEach((cache, i) => {
    thrownBy('ECACHE', () => cache.free(addresses[(i + 1) % 9]));
  });
  caches.forEach((cache, i) => {
    cache.free(addresses[i]);
  });
  caches[3].destroy();
  heap.createCache({ name: 'late', size: 32 });
  assert.ok(isMerged(heap, 'late'), 'an alias that was given up is used again');
  assertSound(heap);
});

test('another thread opens a merged cache by its name, and is told its objects from others', () => {
  const heap = mergingHeap();
  const address = heap.createCache({ name: 'shared', size: 64 }).alloc();
  const other = Heap.attach(heap.handle);
  const cache = other.cache('shared');
  const second = other.createCache({ name: 'second', size: 64 });
  thrownBy('ECACHE', () => second.free(address));
  cache.free(address);
  heap.reap(other.cpu);
  assertSound(heap);
  heap.shrink();
  assert.equal(heap.meminfo().footprint, 0);
});

test('a merged cache without memory gives 0, or throws if it panics', () => {
  const heap = smallHeap({ merge: true, maxSize: MIB });
  const cache = heap.createCache({ name: 'full', size: 2048 });
  const panicking = heap.createCache({ name: 'panicking', size: 2048, flags: SLAB.PANIC });
  assert.ok(exhaust(() => cache.alloc()).length > 100);
  thrownBy('ENOMEM', () => panicking.alloc());
});
