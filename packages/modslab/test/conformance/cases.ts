/**
 * What every slab allocator must do, whatever it is made of: the columns of the conformance matrix, which is printed by
 *
 *     npm run conformance [-- PART…]
 *
 * and runs as part of the tests (conformance.test.ts). Each case runs on a heap of its own; a case says of which stacks it
 * cannot be asked, and why. The last ones are each derivation's own effect.
 */

import assert from 'node:assert/strict';
import { Heap } from 'modslab';
import { adoptCache, type SlabAllocator } from 'modslab/framework';
import { NODE_ANY } from '#src/page/pageAllocator.js';
import { assertFilled, assertSound, exhaust, fill, isZero, thrownBy } from '../support/heap.ts';
import { spec } from '../support/internals.ts';
import { DMA, hasLayer, type Stack, stackHeap } from './stacks.ts';

/** One stack on a heap of its own. */
export interface Scene {
  readonly stack: Stack;
  readonly heap: Heap;
  readonly allocator: SlabAllocator;
}

export interface Case {
  readonly name: string;
  run(scene: Scene): void;
  /** Why this cannot be asked of a stack; '' if it can. */
  unasked(stack: Stack): string;
}

const SIZES: readonly number[] = [8, 24, 64, 700, 3000, 9000];

const asked = (): string => '';
const ofOwnCaches = (stack: Stack): string => (stack.shared ? "its caches are kmalloc's, for all" : '');
const only =
  (layer: string) =>
  (stack: Stack): string =>
    hasLayer(stack, layer) ? '' : `not a ${layer} stack`;

const take = (allocator: SlabAllocator, cache: number, n: number): number[] =>
  Array.from({ length: n }, () => allocator.alloc(cache, 0));

function give(allocator: SlabAllocator, cache: number, addresses: readonly number[]): void {
  for (const address of addresses) allocator.free(cache, address);
}

/** Once all allocators have given back what they keep, nothing of the heap is in use, and it is sound. */
function assertBlank({ heap, allocator }: Scene, ...caches: readonly number[]): void {
  for (const cache of caches) allocator.shrink(cache);
  heap.shrink();
  assert.deepEqual([heap.meminfo().live, heap.meminfo().footprint], [0, 0]);
  assertSound(heap);
}

function names({ stack, allocator }: Scene): void {
  assert.equal(allocator.name, stack.name);
  assert.match(allocator.pageAllocatorName, /page_allocator$/);
}

function objects(scene: Scene): void {
  const { stack, heap, allocator } = scene;
  for (const size of SIZES.filter((each) => !stack.shared || each <= heap.pageSize / 2)) {
    const cache = allocator.create(spec(`objects-${size}`, size));
    const addresses = take(allocator, cache, 60);
    assert.ok(!addresses.includes(0));
    const sorted = [...addresses].sort((a, b) => a - b);
    assert.ok(sorted.every((address, i) => i === 0 || address - sorted[i - 1] >= size));
    assert.ok(addresses.every((address) => address % (size < 16 ? 8 : 16) === 0));
    assert.ok(addresses.every((address) => allocator.validPointer(cache, address)));
    assert.ok(allocator.objectSize(cache) >= size);
    for (const address of addresses) fill(heap, address, size);
    for (const address of addresses) {
      assertFilled(heap, address, size);
      allocator.free(cache, address);
      assert.ok(!allocator.validPointer(cache, address));
    }
    assertBlank(scene, cache);
  }
}

function aligned(scene: Scene): void {
  const { allocator } = scene;
  for (const [size, align] of [
    [64, 0],
    [1024, 0],
    [40, 64],
    [100, 256],
  ]) {
    const cache = allocator.create(spec(`aligned-${size}`, size, { align }));
    const addresses = take(allocator, cache, 40);
    const alignment = align === 0 ? size : align;
    assert.ok(addresses.every((address) => address !== 0 && address % alignment === 0));
    give(allocator, cache, addresses);
    assertBlank(scene, cache);
  }
}

function checks(scene: Scene): void {
  const { stack, heap, allocator } = scene;
  for (const size of [64, 700]) {
    const cache = allocator.create(spec(`checked-${size}`, size));
    const other = allocator.create(spec(`other-${size}`, size));
    const [first, second] = take(allocator, cache, 2);
    thrownBy('EINTERIOR', () => allocator.free(cache, first + 8));
    thrownBy('EFAULT', () => allocator.free(cache, 8));
    if (!stack.shared) thrownBy('ECACHE', () => allocator.free(other, first));
    assert.ok(!allocator.validPointer(cache, first + 8) && allocator.validPointer(cache, first));
    allocator.free(cache, first);
    thrownBy('EDOUBLEFREE', () => allocator.free(cache, first));
    thrownBy('EDOUBLEFREE', () => heap.kfree(first));
    allocator.free(cache, second);
    thrownBy('EDOUBLEFREE', () => allocator.free(cache, second));
    assertBlank(scene, cache, other);
  }
}

function counts(scene: Scene): void {
  const { allocator } = scene;
  const cache = allocator.create(spec('counted', 200));
  const before = allocator.getObjects(cache);
  const addresses = take(allocator, cache, 100);
  const { live, slabs, partial, active } = allocator.getObjects(cache);
  assert.equal(live - before.live, 100);
  assert.ok(slabs > 0 && partial <= active && active <= slabs);
  give(allocator, cache, addresses.slice(10));
  assert.equal(allocator.getObjects(cache).live - before.live, 10);
  give(allocator, cache, addresses.slice(0, 10));
  assert.equal(allocator.getObjects(cache).live, before.live);
  assertBlank(scene, cache);
}

function bulk(scene: Scene): void {
  const { allocator } = scene;
  const cache = allocator.create(spec('bulk', 96));
  const out = new Uint32Array(20);
  assert.equal(allocator.allocBulk(cache, out, 20, 0), 20);
  const twice = Uint32Array.of(out[0], 0, out[1], out[0]);
  thrownBy('EDOUBLEFREE', () => allocator.freeBulk(cache, twice, 4));
  assert.ok(allocator.validPointer(cache, out[1]), 'none was freed');
  allocator.freeBulk(cache, out, 20);
  assert.ok(out.every((address) => !allocator.validPointer(cache, address)));
  assertBlank(scene, cache);
}

/** `dup` and `destroy`: 2006's destroy gave up a merged cache under its other users. */
function references(scene: Scene): void {
  const { stack, allocator } = scene;
  const cache = allocator.create(spec('referenced', 64));
  assert.equal(allocator.dup(cache), cache);
  const address = allocator.alloc(cache, 0);
  allocator.destroy(cache);
  assert.ok(allocator.validPointer(cache, address), 'somebody else uses it');
  if (!stack.shared) {
    thrownBy('EBUSY', () => allocator.destroy(cache));
    assert.ok(allocator.table.isReady(cache));
  }
  allocator.free(cache, address);
  allocator.destroy(cache);
  assert.equal(allocator.table.isReady(cache), stack.shared, 'kmalloc keeps its own');
  assertBlank(scene);
}

/** A destroyed cache's number is another's: its name is not taken, nothing of it is left. */
function renewed(scene: Scene): void {
  const { heap, allocator } = scene;
  const numbers = new Set<number>();
  for (let round = 0; round < 5; round++) {
    const cache = allocator.create(spec('renewed', 48 + 100 * round));
    numbers.add(cache);
    give(allocator, cache, take(allocator, cache, 30));
    allocator.destroy(cache);
    heap.shrink();
  }
  assert.ok(numbers.size < 5);
  assertBlank(scene);
}

function endOfMemory({ heap, allocator }: Scene): void {
  const cache = allocator.create(spec('all', 2000));
  const addresses = exhaust(() => allocator.alloc(cache, 0));
  assert.ok(addresses.length > 100 && new Set(addresses).size === addresses.length);
  assert.equal(allocator.alloc(cache, 0), 0);
  assertSound(heap);
  give(allocator, cache, addresses);
  allocator.shrink(cache);
  heap.shrink();
  assert.equal(exhaust(() => allocator.alloc(cache, 0)).length, addresses.length);
}

function sheafWords(scene: Scene): void {
  const { allocator } = scene;
  const cache = allocator.create(spec('words', 128));
  const { metadata, cpu } = allocator.frames;
  assert.equal(allocator.fill(cache, cpu.scratch, 0, 3, 0, NODE_ANY), 3);
  const entries = [2, 4, 6].map((word) => metadata.m[cpu.scratch + word]);
  assert.equal(new Set(entries).size, 3);
  assert.equal(allocator.getObjects(cache).cached, 3);
  allocator.drain(cache, cpu.scratch, 1, 3);
  assert.ok([2, 4, 6].every((word) => metadata.m[cpu.scratch + word] === 0));
  assert.equal(allocator.getObjects(cache).cached, 0);
  assertBlank(scene, cache);
}

function templates(scene: Scene): void {
  const { heap, allocator } = scene;
  const ctor = Uint8Array.from({ length: 24 }, (_, i) => i + 1);
  const cache = allocator.create(spec('constructed', 40, { ctor }));
  const addresses = take(allocator, cache, 50);
  for (const address of addresses) assert.deepEqual(heap.view(address, 24), ctor);
  give(allocator, cache, addresses);
  assertBlank(scene, cache);
}

function constructors(scene: Scene): void {
  const { heap, allocator } = scene;
  const ctor = (address: number): void => void heap.view(address, 8).fill(7);
  const cache = allocator.create(spec('constructed', 40, { ctor }));
  const addresses = take(allocator, cache, 50);
  for (const address of addresses) assert.ok(heap.view(address, 8).every((byte) => byte === 7));
  give(allocator, cache, addresses);
  assertBlank(scene, cache);
}

function compaction(scene: Scene): void {
  const { heap, allocator } = scene;
  const cache = allocator.create(spec('moved', 200));
  const addresses = take(allocator, cache, 200);
  const kept = new Set(addresses.filter((_, i) => i % 10 === 3));
  give(
    allocator,
    cache,
    addresses.filter((address) => !kept.has(address)),
  );
  allocator.shrink(cache);
  for (const address of kept) fill(heap, address, 200, 5);
  const before = heap.meminfo().footprint;
  allocator.shrink(cache, (from, to) => {
    heap.u8.copyWithin(to, from, from + 200);
    assert.ok(kept.delete(from) && !kept.has(to));
    kept.add(to);
    return true;
  });
  assert.ok(heap.meminfo().footprint < before, 'pages have become empty');
  assert.equal(allocator.getObjects(cache).live, kept.size);
  for (const address of kept) assertFilled(heap, address, 200, 5);
  give(allocator, cache, [...kept]);
  assertBlank(scene, cache);
}

function otherThread(scene: Scene): void {
  const { stack, heap, allocator } = scene;
  const cache = allocator.create(spec('passed', 72));
  const name = allocator.table.name(cache);
  const addresses = take(allocator, cache, 60);
  const other = Heap.attach(heap.handle);
  const theirs = stack.build(other);
  if (!stack.shared) assert.equal(adoptCache(theirs, name), cache);
  for (const address of addresses.slice(0, 30)) other.kfree(address);
  give(theirs, cache, addresses.slice(30));
  const back = take(theirs, cache, 10);
  for (const address of back) heap.kfree(address);
  theirs.shrink(cache);
  other.detach();
  assertBlank(scene, cache);
}

function deadThread({ stack, heap }: Scene): void {
  const victim = Heap.attach(heap.handle);
  const theirs = stack.build(victim);
  const cache = theirs.create(spec('orphaned', 128));
  const addresses = take(theirs, cache, 50);
  give(theirs, cache, addresses.slice(10));
  heap.reap(victim.cpu);
  assertSound(heap);
  if (!stack.shared)
    assert.equal(heap.slabinfo().find(({ name }) => name === 'orphaned')?.objects, 10, stack.name);
}

function dmaZone({ heap, allocator }: Scene): void {
  const cache = allocator.create(spec('device', 2048));
  const addresses = exhaust(() => allocator.alloc(cache, 0));
  const fit = (DMA.end - DMA.start) / (allocator.name.includes('page_slab') ? 4096 : 2048);
  assert.equal(addresses.length, fit);
  assert.ok(addresses.every((address) => address >= DMA.start && address < DMA.end));
  assertSound(heap);
}

function nodes({ stack, heap, allocator }: Scene): void {
  const cache = allocator.create(spec('placed', 512));
  const nodeOf = (address: number): number => heap.virtToPage(address).node;
  assert.equal(nodeOf(allocator.allocNode(cache, 0, 1)), 1);
  assert.equal(nodeOf(allocator.allocNode(cache, 0, 0)), 0);
  const found = new Set(take(allocator, cache, 400).map(nodeOf));
  assert.deepEqual([...found].sort(), stack.variant.includes('bind') ? [1] : [0, 1]);
  assertSound(heap);
}

function gracePeriod(scene: Scene): void {
  const { heap, allocator } = scene;
  const cache = allocator.create(spec('read', 96));
  const reader = Heap.attach(heap.handle);
  const addresses = take(allocator, cache, 40);
  reader.rcuReadLock();
  give(allocator, cache, addresses);
  assert.equal(allocator.getObjects(cache).waiting, 40);
  const others = take(allocator, cache, 40);
  assert.ok(others.every((address) => !addresses.includes(address)));
  thrownBy('EDOUBLEFREE', () => allocator.free(cache, addresses[0]));
  reader.rcuReadUnlock();
  reader.detach();
  give(allocator, cache, others);
  heap.shrink();
  assertBlank(scene, cache);
}

function sharedPages(scene: Scene): void {
  const { heap, allocator } = scene;
  const caches = [8, 24, 40, 100, 300].map((size) => allocator.create(spec(`slob-${size}`, size)));
  const addresses = caches.map((cache) => allocator.allocNode(cache, 0, 0) || allocator.alloc(cache, 0));
  assert.equal(new Set(addresses.map((address) => heap.virtToPage(address).pfn)).size, 1);
  caches.forEach((cache, i) => {
    const wrong = caches[(i + 1) % caches.length];
    thrownBy('ECACHE', () => allocator.free(wrong, addresses[i]));
    allocator.free(cache, addresses[i]);
  });
  assertBlank(scene, ...caches);
}

function wholePages(scene: Scene): void {
  const { heap, allocator } = scene;
  const cache = allocator.create(spec('jumbo', 9000));
  const address = allocator.allocNode(cache, 0, 0);
  assert.deepEqual([address % 4096, heap.meminfo().footprint], [0, 3 * 4096]);
  assert.ok(isZero(heap, address, 9000));
  heap.kfree(address);
  assertBlank(scene, cache);
}

export const CASES: readonly Case[] = [
  { name: 'name', run: names, unasked: asked },
  { name: 'objects', run: objects, unasked: asked },
  { name: 'alignment', run: aligned, unasked: asked },
  { name: 'checked frees', run: checks, unasked: asked },
  { name: 'counts', run: counts, unasked: asked },
  { name: 'bulk', run: bulk, unasked: asked },
  { name: 'references', run: references, unasked: asked },
  { name: 'renewed caches', run: renewed, unasked: ofOwnCaches },
  { name: 'end of memory', run: endOfMemory, unasked: asked },
  {
    name: 'sheaf words',
    run: sheafWords,
    unasked: (stack) => (stack.shared ? 'its sheaves have objects cached already' : ''),
  },
  { name: 'template', run: templates, unasked: ofOwnCaches },
  { name: 'constructor', run: constructors, unasked: ofOwnCaches },
  {
    name: 'compaction',
    run: compaction,
    unasked: (stack) =>
      hasLayer(stack, 'page_slab')
        ? 'a page has one object: nothing to compact'
        : hasLayer(stack, 'rcu')
          ? 'what is moved away from waits for its readers'
          : ofOwnCaches(stack),
  },
  { name: 'other thread', run: otherThread, unasked: asked },
  { name: 'dead thread', run: deadThread, unasked: asked },
  { name: 'dma: zone', run: dmaZone, unasked: only('dma') },
  { name: 'numa: nodes', run: nodes, unasked: only('numa') },
  { name: 'rcu: grace period', run: gracePeriod, unasked: only('rcu') },
  {
    name: 'slob: pages',
    run: sharedPages,
    unasked: (stack) => (hasLayer(stack, 'rcu') ? 'freed objects wait' : only('slob')(stack)),
  },
  { name: 'page_slab: pages', run: wholePages, unasked: only('page_slab') },
];

export type Outcome = 'passed' | 'unasked' | Error;

/** Runs a case on a stack, on a heap of its own. */
export function runCase(stack: Stack, { run, unasked }: Case): Outcome {
  if (unasked(stack) !== '') return 'unasked';
  const heap = stackHeap();
  try {
    run({ stack, heap, allocator: stack.build(heap) });
    return 'passed';
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  } finally {
    heap.detach();
  }
}
