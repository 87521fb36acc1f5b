/**
 * Compaction (2006: `shrink(sc, move_object)`): objects of the sparsest slabs are moved into the fullest, so that slabs
 * become empty and can be released. Whoever has the objects moves them: `move(from, to)` copies one and changes whatever
 * names it, or says that it cannot.
 *
 *     slabs, by live objects:    fullest … … … … … … … sparsest
 *                                to ──▶                ◀── from           until they meet
 *
 * The user's code runs while nothing is half done: no slab is claimed, `from` and `to` are both live objects. Afterwards
 * one of them is freed: `from` if it was moved, else `to`. (2006's loop ran over byte offsets with an object count as its
 * end, and so looked at the first objects of a slab only; and it gave `new_slab` saved interrupt flags for a gfp mask.)
 *
 * Objects in pages that caches share (slab/slob.ts) have no slabs to be sparse: from the highest on, each is moved into the
 * lowest page below its own that has room, as long as there is one.
 *
 * | killed here                              | ⇒ reap does this                                                |
 * |------------------------------------------|-----------------------------------------------------------------|
 * | `to` taken, not yet live                 | puts it back: it stands in the scratch sheaf                    |
 * | in `move`, or before one of both is freed | nothing: both are live objects, as if the user had copied one   |
 */

import { addressOf, entryOf } from '../memory/entry.ts';
import { C_GRANULES, C_OBJECTS, cacheAt } from '../memory/layout.ts';
import { isLive } from '../page/page.ts';
import { firstEntryOf, firstStateAt, stateAt } from './cacheTable.ts';
import { forEachSlab } from './count.ts';
import { isSlob, liveRuns } from './granules.ts';
import type { Address, MoveObject, SlabAllocator } from './slabAllocator.ts';

/** A slab allocator that can be told which slab to take an object from. */
export interface Compactable extends SlabAllocator {
  allocFrom(cache: number, head: number): Address;
  /** The same for objects in slob pages: from any page below frame `limit`. */
  allocBelow(cache: number, limit: number): Address;
}

interface PartialSlab {
  readonly head: number;
  readonly live: readonly Address[];
}

/** Addresses of the live objects of a slab. */
function liveObjects(slabifier: Compactable, cache: number, head: number): Address[] {
  const { m, s, layout } = slabifier.frames.metadata;
  const descriptor = cacheAt(layout, cache);
  const states = firstStateAt(m, descriptor, head);
  const first = firstEntryOf(m, layout.pageShift, descriptor, head);
  const live: Address[] = [];
  for (let index = 0; index < m[descriptor + C_OBJECTS]; index++) {
    if (isLive(s[states + index])) live.push(addressOf(first + Math.imul(index, m[descriptor + C_GRANULES])));
  }
  return live;
}

/** Slabs with live objects and room for more, the fullest first; of equal ones, the lowest first. */
function partialSlabs(slabifier: Compactable, cache: number): PartialSlab[] {
  const { m, layout } = slabifier.frames.metadata;
  const objects = m[cacheAt(layout, cache) + C_OBJECTS];
  const slabs: PartialSlab[] = [];
  forEachSlab(slabifier.frames.metadata, (head, id) => {
    if (id !== cache) return;
    const live = liveObjects(slabifier, cache, head);
    if (live.length > 0 && live.length < objects) slabs.push({ head, live });
  });
  return slabs.sort((a, b) => b.live.length - a.live.length || a.head - b.head);
}

/** Compacts the slabs of a cache; how many objects were moved. Cost: O(frames + objects), and the moves. */
export function compact(slabifier: Compactable, cache: number, move: MoveObject): number {
  if (isSlob(slabifier.frames.metadata, cache)) return compactRuns(slabifier, cache, move);
  const slabs = partialSlabs(slabifier, cache);
  const generation = slabifier.table.generation(cache);
  let moved = 0;
  let fullest = 0;
  for (let sparsest = slabs.length - 1; fullest < sparsest; sparsest--) {
    for (const from of slabs[sparsest].live) {
      if (!isStillLive(slabifier, cache, from)) continue;
      let to = 0;
      while (fullest < sparsest && to === 0) {
        to = slabifier.allocFrom(cache, slabs[fullest].head);
        if (to === 0) fullest++;
      }
      if (to === 0) return moved;
      slabifier.table.debugOf(cache)?.prepare(cache, to, slabifier.objectSize(cache), 0);
      if (moveOne(slabifier, cache, generation, from, to, move)) moved++;
    }
  }
  return moved;
}

/** `compact` of a cache in slob pages. */
function compactRuns(slabifier: Compactable, cache: number, move: MoveObject): number {
  const { metadata } = slabifier.frames;
  const generation = slabifier.table.generation(cache);
  let moved = 0;
  for (const from of liveRuns(metadata, cache).reverse()) {
    if (!isStillLive(slabifier, cache, from)) continue;
    const to = slabifier.allocBelow(cache, from >>> metadata.layout.pageShift);
    if (to === 0) return moved;
    if (moveOne(slabifier, cache, generation, from, to, move)) moved++;
  }
  return moved;
}

function isStillLive(slabifier: Compactable, cache: number, address: Address): boolean {
  const { m, s, layout } = slabifier.frames.metadata;
  return isLive(s[stateAt(m, cacheAt(layout, cache), entryOf(address))]);
}

/** Runs `move`, and frees whichever of both is no longer needed. */
function moveOne(
  slabifier: Compactable,
  cache: number,
  generation: number,
  from: Address,
  to: Address,
  move: MoveObject,
): boolean {
  let moved = false;
  try {
    moved = move(from, to) === true;
  } finally {
    // The user's code may have detached this thread.
    slabifier.frames.cpu.checkOnline();
    if (slabifier.table.generation(cache) === generation) {
      const { table } = slabifier;
      (table.debugOf(cache) ?? slabifier).free(cache, moved ? from : to);
    }
  }
  return moved;
}
