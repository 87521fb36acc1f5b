/**
 * Objects counted by their state bytes, the truth that every counter is derived from. One pass over the slabs; plain
 * loads, so the figures of a heap in use are those of a moment.
 */

import { C_OBJECTS, cacheAt, H_FRAMES, pageAt } from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { CACHED, cacheOf, isLive, isWaiting, KIND_SLAB, kindOf, PAGE_FLAGS } from '../page/page.ts';
import { firstStateAt } from './cacheTable.ts';
import type { SlabCounts } from './slabAllocator.ts';

/** Calls `visit` with the first frame of every slab, and the number of its cache. */
export function forEachSlab(metadata: Metadata, visit: (head: number, cache: number) => void): void {
  const { m, layout } = metadata;
  const end = m[H_FRAMES];
  for (let pfn = layout.startFrame; pfn < end; pfn++) {
    const flags = m[pageAt(layout, pfn) + PAGE_FLAGS];
    if (kindOf(flags) === KIND_SLAB) visit(pfn, cacheOf(flags));
  }
}

function countSlab(metadata: Metadata, head: number, cache: number, counts: SlabCounts): void {
  const { m, s, layout } = metadata;
  const descriptor = cacheAt(layout, cache);
  const states = firstStateAt(m, descriptor, head);
  const objects = m[descriptor + C_OBJECTS];
  let live = 0;
  let cached = 0;
  let waiting = 0;
  for (let at = states; at < states + objects; at++) {
    if (isLive(s[at])) live++;
    else if (s[at] === CACHED) cached++;
    else if (isWaiting(s[at])) waiting++;
  }
  counts.live += live;
  counts.cached += cached;
  const used = live + cached + waiting;
  counts.waiting += waiting;
  counts.free += objects - used;
  counts.slabs++;
  if (used > 0) counts.active++;
  if (used > 0 && used < objects) counts.partial++;
}

const noObjects = (): SlabCounts => ({
  live: 0,
  cached: 0,
  waiting: 0,
  free: 0,
  slabs: 0,
  partial: 0,
  active: 0,
});

/** Counts of every cache, by number. Cost: O(frames + objects). */
export function countAllObjects(metadata: Metadata): SlabCounts[] {
  const counts = Array.from({ length: metadata.layout.caches }, noObjects);
  forEachSlab(metadata, (head, cache) => countSlab(metadata, head, cache, counts[cache]));
  return counts;
}

/** Counts of one cache. Cost: O(frames + its objects). */
export function countObjects(metadata: Metadata, cache: number): SlabCounts {
  const counts = noObjects();
  forEachSlab(metadata, (head, id) => {
    if (id === cache) countSlab(metadata, head, id, counts);
  });
  return counts;
}
