/**
 * Pages that objects of several caches share (slab/slob.ts): what the state bytes of such a page mean.
 *
 * A *slob page* is a slab of one frame whose "objects" are its granules of 8 bytes. So all that is true of slabs is true of
 * it: its claim word counts FREE granules, it is claimed, parked, recounted and released like any other. Its cache, the
 * *page cache*, has flag SLOB and names itself in C_SLOB_PAGES; caches whose objects lie in it have the flag and name it.
 *
 *     state bytes    one a granule; an object of n granules is a *run*: its head, then n - 1 CONTINUED
 *
 *         FREE  LIVE  CONTINUED  CONTINUED  FREE  FREE  LIVE  LIVE  CONTINUED  FREE …
 *               └──── 24 bytes ────────────┘            8     └─ 16 ─┘
 *
 *     name bytes     one for each two granules: the number of the cache that the object beginning there is of
 *
 *         region pageShift - 4 of the states, in which no byte of this frame is used otherwise (it has its states in region
 *         pageShift - 3). Objects of more than 8 bytes begin at even granules, so a pair has one head. Two objects of 8 bytes
 *         lie in one pair only if they are of one cache. A byte means something while its pair has a head.
 *
 * The holder of the page alone changes FREE, CACHED and CONTINUED ones, and names. Whatever is true of an object's state is
 * true of its head, whose state is the object's: LIVE, CACHED, PENDING, WAITING… A run grows from its head on and shrinks from
 * its end, so at every instant, and after every kill,
 *
 *     state of granule i is CONTINUED  ⇒  i > 0 and the state of granule i - 1 is not FREE
 *     count of the claim word, while unowned  =  number of FREE granules
 *
 * Granule 0 is never CONTINUED. So a loop over a run ends at the end of its page by itself.
 *
 * | killed here                                              | ⇒ reap does this                                        |
 * |----------------------------------------------------------|---------------------------------------------------------|
 * | take: name written, head still FREE                      | nothing: a name without a head means nothing            |
 * | take: entry written, head still FREE                     | drops the entry; recounts                               |
 * | take: head CACHED, none or some CONTINUED                | recounts; puts the run back, as long as it is           |
 * | put back: some of the run FREE from its end, the head not | recounts; puts the rest of the run back, by its entry   |
 * | collect: a PENDING or WAITING run that is shortened so   | recounts; collects the rest of it                       |
 * | an empty page's names partly cleared                     | recounts; releases it again, its names cleared          |
 */

import { killPoint } from '../memory/assert.ts';
import { addressOf, entryOf } from '../memory/entry.ts';
import {
  C_FLAGS,
  C_SLOB_PAGES,
  cacheAt,
  GRANULE_SHIFT,
  H_FRAMES,
  type Layout,
  pageAt,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { CONTINUED, cacheOf, FREE, isLive, KIND_SLAB, kindOf, PAGE_FLAGS } from '../page/page.ts';
import type { Address } from './cacheSpec.ts';
import { SLAB_SLOB } from './flags.ts';

/** Granules of a page. */
export const granulesOf = (layout: Layout): number => 1 << (layout.pageShift - GRANULE_SHIFT);

/** Byte offset of the state of a slob page's first granule. */
export function granuleStatesAt(layout: Layout, pfn: number): number {
  const region = layout.pageShift - GRANULE_SHIFT;
  return layout.stateRegions[region] + (pfn << region);
}

/** Byte offset of a slob page's first name. */
export function namesAt(layout: Layout, pfn: number): number {
  const region = layout.pageShift - GRANULE_SHIFT - 1;
  return layout.stateRegions[region] + (pfn << region);
}

/** Whether the objects of a cache lie in slob pages (or it is their page cache). */
export function isSlob(metadata: Metadata, cache: number): boolean {
  return (metadata.m[cacheAt(metadata.layout, cache) + C_FLAGS] & SLAB_SLOB) !== 0;
}

/** The number of the cache whose slabs the objects of a cache lie in: its own, but for those in slob pages. */
export function slabsOf(metadata: Metadata, cache: number): number {
  return metadata.m[cacheAt(metadata.layout, cache) + C_SLOB_PAGES] || cache;
}

/** The cache that the object beginning at a granule is of. */
export function nameAt(metadata: Metadata, pfn: number, granule: number): number {
  return metadata.s[namesAt(metadata.layout, pfn) + (granule >>> 1)];
}

/** The cache that the object at `address` is of, which lies in a slab of cache `slabs`: another one only in slob pages. */
export function ownerAt(metadata: Metadata, slabs: number, address: Address): number {
  if (!isSlob(metadata, slabs)) return slabs;
  const { pageShift } = metadata.layout;
  const granule = entryOf(address) & (granulesOf(metadata.layout) - 1);
  return nameAt(metadata, address >>> pageShift, granule);
}

export function setName(metadata: Metadata, pfn: number, granule: number, cache: number): void {
  metadata.s[namesAt(metadata.layout, pfn) + (granule >>> 1)] = cache;
}

/** Before a page is released: what a frame leaves behind is zeros. */
export function clearNames(metadata: Metadata, pfn: number): void {
  const names = namesAt(metadata.layout, pfn);
  metadata.s.fill(0, names, names + granulesOf(metadata.layout) / 2);
}

/** Granules of the object whose head's state is at byte offset `head`. */
export function lengthAt(s: Uint8Array, head: number): number {
  let end = head + 1;
  while (s[end] === CONTINUED) end++;
  return end - head;
}

/** Where the state of the object is that a granule, whose state is at byte offset `state`, belongs to. */
export function headOfRun(s: Uint8Array, state: number): number {
  let head = state;
  while (s[head] === CONTINUED) head--;
  return head;
}

/** Frees the granules behind a head, the last one first; how many. None in an ordinary slab. The head itself is the caller's. */
export function freeRest(s: Uint8Array, head: number): number {
  const length = lengthAt(s, head);
  if (length === 1) return 0;
  for (let i = length - 1; i > 0; i--) s[head + i] = FREE;
  killPoint('slob.shortened');
  return length - 1;
}

/** Calls `visit` for each object of a slob page: with the granule that it begins at, its state, and its cache. */
export function forEachHead(
  metadata: Metadata,
  pfn: number,
  visit: (granule: number, state: number, cache: number) => void,
): void {
  const { s, layout } = metadata;
  const states = granuleStatesAt(layout, pfn);
  for (let granule = 0; granule < granulesOf(layout); granule++) {
    const state = s[states + granule];
    if (state !== FREE && state !== CONTINUED) visit(granule, state, nameAt(metadata, pfn, granule));
  }
}

/** Calls `visit` with each slob page that objects of the cache lie in, or may. */
function forEachPage(metadata: Metadata, cache: number, visit: (pfn: number) => void): void {
  const { m, layout } = metadata;
  const pages = m[cacheAt(layout, cache) + C_SLOB_PAGES];
  if (pages === 0) return;
  for (let pfn = layout.startFrame; pfn < m[H_FRAMES]; pfn++) {
    const flags = m[pageAt(layout, pfn) + PAGE_FLAGS];
    if (kindOf(flags) === KIND_SLAB && cacheOf(flags) === pages) visit(pfn);
  }
}

/** Addresses of the live objects of a cache in slob pages, ascending. Cost: O(frames + granules). */
export function liveRuns(metadata: Metadata, cache: number): number[] {
  const { layout } = metadata;
  const live: number[] = [];
  forEachPage(metadata, cache, (pfn) => {
    const first = pfn << (layout.pageShift - GRANULE_SHIFT);
    forEachHead(metadata, pfn, (granule, state, owner) => {
      if (owner === cache && isLive(state)) live.push(addressOf(first + granule));
    });
  });
  return live;
}

/** Whether any object of the cache is in a slob page, in whatever state. Cost: O(frames + granules). */
export function hasRuns(metadata: Metadata, cache: number): boolean {
  let found = false;
  forEachPage(metadata, cache, (pfn) => {
    forEachHead(metadata, pfn, (_granule, _state, owner) => {
      found ||= owner === cache;
    });
  });
  return found;
}
