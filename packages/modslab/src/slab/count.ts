/**
 * Objects counted by their state bytes, the truth that every counter is derived from. One pass over the slabs; plain
 * loads, so the figures of a heap in use are those of a moment.
 */

import { C_OBJECTS, C_STRIDE, cacheAt, GRANULE_SHIFT, H_FRAMES, pageAt } from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { CACHED, cacheOf, FREE, isLive, isWaiting, KIND_SLAB, kindOf, PAGE_FLAGS } from '../page/page.ts';
import { firstStateAt } from './cacheTable.ts';
import { forEachHead, granuleStatesAt, granulesOf, isSlob } from './granules.ts';
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

/**
 * Whether a slab of a cache is one still, asked after its states have been looked at: another thread may have given it back
 * meanwhile, and its frames may be another cache's, whose live objects those were. States follow FLAGS.
 */
export function isSlabOf(metadata: Metadata, head: number, cache: number): boolean {
  const flags = Atomics.load(metadata.m, pageAt(metadata.layout, head) + PAGE_FLAGS);
  return kindOf(flags) === KIND_SLAB && cacheOf(flags) === cache;
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
  if (!isSlabOf(metadata, head, cache)) return;
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

/**
 * A page that caches share: to each its objects, and the page; to the page cache the page, and what is free in it. As
 * `free` objects a cache has those for which there is room in pages that have objects of it already, if they had it alone.
 */
function countPage(metadata: Metadata, head: number, pages: number, counts: readonly SlabCounts[]): void {
  const { m, s, layout } = metadata;
  const states = granuleStatesAt(layout, head);
  let free = 0;
  for (let at = states; at < states + granulesOf(layout); at++) if (s[at] === FREE) free++;
  const owners = new Set([pages]);
  forEachHead(metadata, head, (_granule, state, cache) => {
    if (cache >= counts.length) return;
    owners.add(cache);
    if (isLive(state)) counts[cache].live++;
    else if (state === CACHED) counts[cache].cached++;
    else if (isWaiting(state)) counts[cache].waiting++;
  });
  for (const owner of owners) {
    const stride = m[cacheAt(layout, owner) + C_STRIDE] || 1;
    counts[owner].free += Math.floor((free << GRANULE_SHIFT) / stride);
    counts[owner].slabs++;
    if (free < granulesOf(layout)) counts[owner].active++;
    if (free > 0 && free < granulesOf(layout)) counts[owner].partial++;
  }
}

/** Counts of every cache, by number. Cost: O(frames + objects). */
export function countAllObjects(metadata: Metadata): SlabCounts[] {
  const counts = Array.from({ length: metadata.layout.caches }, noObjects);
  forEachSlab(metadata, (head, cache) => {
    if (isSlob(metadata, cache)) countPage(metadata, head, cache, counts);
    else countSlab(metadata, head, cache, counts[cache]);
  });
  return counts;
}

/** Counts of one cache. Cost: O(frames + its objects). */
export function countObjects(metadata: Metadata, cache: number): SlabCounts {
  if (isSlob(metadata, cache)) return countAllObjects(metadata)[cache];
  const counts = noObjects();
  forEachSlab(metadata, (head, id) => {
    if (id === cache) countSlab(metadata, head, id, counts);
  });
  return counts;
}
