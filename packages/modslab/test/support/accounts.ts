/**
 * The reckoning at the end of a test, when all its threads are still: what the heap says is live is compared with what
 * the board says somebody has, object by object.
 *
 *     every listed object is live, and whole               else the heap has lost it, or given it to nobody
 *     live objects that no list names ≤ `unlisted`         else memory has leaked
 *     footprint after shrink() = frames that live objects lie in
 *
 * Then all of it is freed, and nothing may be left.
 */

import assert from 'node:assert/strict';
import type { Address, Heap } from 'modslab';
import { pageAt } from '#src/memory/layout.js';
import { PAGE_RUN } from '#src/page/page.js';
import type { Board } from './board.ts';
import { internalsOf } from './internals.ts';
import { Objects, orderOf, PAGES } from './objects.ts';

interface Live {
  readonly bytes: number;
  /** The frames that it keeps in use: their first, and how many. */
  readonly head: number;
  readonly frames: number;
  readonly isPages: boolean;
}

/** All live objects, as the heap knows them. */
function survey(heap: Heap): Map<Address, Live> {
  const { metadata } = internalsOf(heap);
  const live = new Map<Address, Live>();
  const rows = new Map(heap.slabinfo().map((row) => [row.name, row]));
  for (const cache of heap.caches()) {
    const row = rows.get(cache.name);
    if (row === undefined) continue;
    const { framesPerSlab, objectsPerSlab } = row;
    for (const address of cache.objects()) {
      const pfn = Math.floor(address / heap.pageSize);
      const head = objectsPerSlab === 1 ? pfn : pfn - (pfn % framesPerSlab);
      live.set(address, { bytes: row.objsize, head, frames: framesPerSlab, isPages: false });
    }
  }
  for (let address = heap.pageSize; address < heap.meminfo().size; address += heap.pageSize) {
    const { pfn, flags } = heap.virtToPage(address);
    if (flags !== 'large' && flags !== 'pages') continue;
    // Not what `ksize` says: with slab debugging a large object's owner may use less than its run of frames.
    const frames = metadata.m[pageAt(metadata.layout, pfn) + PAGE_RUN];
    live.set(address, { bytes: frames * heap.pageSize, head: pfn, frames, isPages: flags === 'pages' });
  }
  return live;
}

/** Frames that the live objects keep in use. */
function framesOf(live: Map<Address, Live>): number {
  const frames = new Map<number, number>();
  for (const { head, frames: count } of live.values()) frames.set(head, count);
  return [...frames.values()].reduce((sum, count) => sum + count, 0);
}

/** The addresses that the board lists: in holdings, those of the dead included, and in slots. */
function listed(board: Board): Set<Address> {
  const addresses = new Set<Address>();
  const add = (list: Int32Array): void => {
    for (const address of list) if (address !== 0) addresses.add(address >>> 0);
  };
  for (let worker = 0; worker < board.plan.workers; worker++) add(board.holdings(worker));
  add(board.slots);
  return addresses;
}

const hex = (address: Address): string => `0x${address.toString(16)}`;

/** Fails unless validation finds nothing. */
export function assertSound(heap: Heap, when: string): void {
  const problems = heap.validate().map(({ code, message }) => `${code} ${message}`);
  assert.deepEqual(problems, [], `validation ${when}`);
}

/** No CPU but the caller's is attached. */
export function assertAlone(heap: Heap): void {
  const others = heap.cpus().filter(({ cpu, online }) => online && cpu !== heap.cpu);
  assert.deepEqual(others, [], 'CPUs that are still attached');
}

/**
 * Compares, frees everything, and asserts that nothing is left. `unlisted`: how many live objects threads killed in the
 * middle of an operation may have had that no list names. The heap's only attached thread must be the caller's.
 */
export function settle(heap: Heap, board: Board, unlisted = 0): void {
  assertSound(heap, 'when all threads are still');
  const live = survey(heap);
  const known = listed(board);
  const lost = [...known].filter((address) => !live.has(address)).map(hex);
  assert.deepEqual(lost, [], 'objects that somebody has and the heap does not know');
  const unknown = [...live.keys()].filter((address) => !known.has(address));
  assert.ok(
    unknown.length <= unlisted,
    `${unknown.length} live objects are nobody's, and at most ${unlisted} may be: ${unknown.slice(0, 10).map(hex)}`,
  );
  const bytes = [...live.values()].reduce((sum, object) => sum + object.bytes, 0);
  assert.equal(heap.meminfo().live, bytes, 'bytes of live objects');
  heap.shrink();
  assert.equal(heap.meminfo().footprint, framesOf(live) * heap.pageSize, 'footprint after shrink');
  freeAll(heap, board, live, known);
  assertEmpty(heap);
}

function freeAll(heap: Heap, board: Board, live: Map<Address, Live>, known: Set<Address>): void {
  const objects = new Objects(heap, board, 0);
  for (const [address, { bytes, isPages }] of live) {
    if (known.has(address)) objects.disown(address);
    else forget(board, address, bytes);
    if (isPages) heap.freePages(address, orderOf(heap, { size: bytes, kind: PAGES }));
    else heap.kfree(address);
  }
  for (let worker = 0; worker < board.plan.workers; worker++) board.holdings(worker).fill(0);
  board.slots.fill(0);
  board.inflight.fill(0);
}

/** Clears the tags that a killed thread has left on an object which it had not finished claiming, or giving back. */
function forget(board: Board, address: Address, bytes: number): void {
  board.tags.fill(0, address / 8, (address + bytes) / 8);
  board.sizes.fill(0, address / 8, (address + bytes) / 8);
}

/** Nothing is live, and after a shrink nothing is in use. The tags of the board, too, must all be gone. */
export function assertEmpty(heap: Heap): void {
  heap.shrink();
  assertSound(heap, 'when everything is freed');
  const { live, footprint } = heap.meminfo();
  assert.equal(live, 0, 'bytes live when everything is freed');
  assert.equal(footprint, 0, 'footprint when everything is freed');
}
