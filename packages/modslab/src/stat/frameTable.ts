/**
 * The frame table: what every page frame of a heap is, as arrays that a map is drawn from and two moments are compared by.
 * Made in one pass over vmem_map and the object states, from metadata that nobody need keep still: a restored snapshot, or
 * that of a running heap. So no word is trusted: whatever is out of range counts as nothing, and no value read makes the
 * pass longer than the heap is.
 *
 *     kind     by frame: `FRAME`              live, cached, waiting    by slab head: objects in these states
 *     flags    by frame: `FRAME_FLAG` bits    objects                  by slab head: objects that it has room for
 *     cache    by slab frame: number          head                     by frame: first frame of its slab or run
 *     cpu      by slab head: the CPU that holds it, or whose sheaves have most of its cached objects; -1: none
 *
 * In pages that several caches share (slab/granules.ts) the objects counted are granules.
 *
 *     live + cached + waiting ≤ objects       a tail has all of these 0: its head has them
 *
 * The CPU is a majority vote over the entries of all sheaves, one candidate and one count a frame (Boyer and Moore): exact where
 * one CPU has more than half, otherwise one of those that have many.
 *
 * States are counted four at a time where all four are FREE, or all LIVE, which most are.
 */

import {
  C_CAPACITY,
  C_OBJECTS,
  C_STATE_SHIFT,
  C_STATES,
  CACHE_WORDS,
  cacheAt,
  GRANULE_SHIFT,
  H_FRAMES,
  PAIR_SHIFT,
  pageAt,
  SHEAF_CAPACITY,
  SHEAF_TOP,
  SHEAF_WORDS,
  sheavesAt,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import {
  CACHED,
  CLAIM_FROZEN,
  CLAIM_PENDING,
  CONTINUED,
  COUNT_MASK,
  cacheOf,
  isLive,
  isWaiting,
  KIND_LARGE,
  KIND_NONE,
  KIND_PAGES,
  KIND_RCU,
  KIND_SLAB,
  KIND_SLAB_TAIL,
  KIND_TAIL,
  KIND_VMALLOC,
  kindOf,
  LIVE,
  OWNER_PARKED,
  ownerOf,
  PAGE_CLAIM,
  PAGE_FLAGS,
  PAGE_HEAD,
} from '../page/page.ts';
import { CACHE_NONE, cacheStatus, firstStateAt } from '../slab/cacheTable.ts';
import { IN_BARN } from '../slab/sheaves.ts';

/** What a frame is. The numbers are the page descriptor's kinds; RESERVED is a frame that somebody has claimed for no kind. */
export const FRAME: {
  readonly FREE: 0;
  readonly SLAB: 1;
  readonly SLAB_TAIL: 2;
  readonly LARGE: 3;
  readonly PAGES: 4;
  readonly TAIL: 5;
  readonly WAITING: 6;
  readonly VMALLOC: 7;
  readonly RESERVED: 8;
} = {
  FREE: KIND_NONE,
  SLAB: KIND_SLAB,
  SLAB_TAIL: KIND_SLAB_TAIL,
  LARGE: KIND_LARGE,
  PAGES: KIND_PAGES,
  TAIL: KIND_TAIL,
  WAITING: KIND_RCU,
  VMALLOC: KIND_VMALLOC,
  RESERVED: 8,
};

/** Bits of a frame's flags. */
export const FRAME_FLAG: {
  readonly PARKED: 1;
  readonly FROZEN: 2;
  readonly PENDING: 4;
  readonly CLAIMED: 8;
} = {
  /** An empty slab that its cache keeps. */
  PARKED: 1,
  /** A slab that was found damaged. */
  FROZEN: 2,
  /** Objects are waiting to be counted as free. */
  PENDING: 4,
  /** A CPU holds it at this moment. */
  CLAIMED: 8,
};

/** Arrays by frame number, from 0 to `end`; frames before `start` are none of the heap's. */
export interface FrameTable {
  readonly start: number;
  readonly end: number;
  readonly pageSize: number;
  readonly kind: Uint8Array;
  readonly flags: Uint8Array;
  readonly cache: Uint16Array;
  readonly head: Uint32Array;
  readonly live: Uint16Array;
  readonly cached: Uint16Array;
  readonly waiting: Uint16Array;
  readonly objects: Uint16Array;
  readonly cpu: Int16Array;
}

/** Frames that the heap has, as far as its metadata can describe them. */
export function framesOf({ m, layout }: Metadata): number {
  return Math.max(layout.startFrame, Math.min(m[H_FRAMES], layout.maxFrames));
}

function emptyTable(start: number, end: number, pageSize: number): FrameTable {
  return {
    start,
    end,
    pageSize,
    kind: new Uint8Array(end),
    flags: new Uint8Array(end),
    cache: new Uint16Array(end),
    head: new Uint32Array(end),
    live: new Uint16Array(end),
    cached: new Uint16Array(end),
    waiting: new Uint16Array(end),
    objects: new Uint16Array(end),
    cpu: new Int16Array(end).fill(-1),
  };
}

/** Cost: O(frames + objects + sheaves). */
export function frameTable(metadata: Metadata): FrameTable {
  const { layout } = metadata;
  const table = emptyTable(layout.startFrame, framesOf(metadata), 2 ** layout.pageShift);
  for (let pfn = table.start; pfn < table.end; pfn++) readFrame(metadata, table, pfn);
  voteOnCpus(metadata, table);
  return table;
}

function flagsOfClaim(kind: number, claim: number): number {
  const owner = ownerOf(claim);
  let flags = 0;
  if (owner === OWNER_PARKED) flags |= FRAME_FLAG.PARKED;
  else if (owner !== 0) flags |= FRAME_FLAG.CLAIMED;
  if (kind === KIND_SLAB && (claim & CLAIM_FROZEN) !== 0) flags |= FRAME_FLAG.FROZEN;
  if ((claim & CLAIM_PENDING) !== 0) flags |= FRAME_FLAG.PENDING;
  return flags;
}

function readFrame(metadata: Metadata, table: FrameTable, pfn: number): void {
  const { m, layout } = metadata;
  const page = pageAt(layout, pfn);
  const word = m[page + PAGE_FLAGS];
  const claim = m[page + PAGE_CLAIM];
  const kind = kindOf(word);
  table.head[pfn] = pfn;
  if (kind === KIND_NONE || kind > KIND_VMALLOC) {
    table.kind[pfn] = claim === 0 ? FRAME.FREE : FRAME.RESERVED;
    return;
  }
  table.kind[pfn] = kind;
  table.flags[pfn] = flagsOfClaim(kind, claim);
  const owner = ownerOf(claim);
  if (owner !== 0 && owner !== OWNER_PARKED) table.cpu[pfn] = owner - 1;
  const cache = cacheOf(word) < layout.caches ? cacheOf(word) : 0;
  if (kind === KIND_SLAB || kind === KIND_SLAB_TAIL) table.cache[pfn] = cache;
  const head = m[page + PAGE_HEAD];
  if ((kind === KIND_SLAB_TAIL || kind === KIND_TAIL) && head >= table.start && head < pfn)
    table.head[pfn] = head;
  if (kind === KIND_SLAB && cache !== 0) countStates(metadata, table, pfn, cache);
}

/** Where the states of the slab at `pfn` are, and how many; none where the descriptor makes no sense. */
export function statesOf(metadata: Metadata, pfn: number, cache: number): { from: number; objects: number } {
  const { m, s, layout } = metadata;
  const descriptor = cacheAt(layout, cache);
  const objects = m[descriptor + C_OBJECTS];
  const shift = m[descriptor + C_STATE_SHIFT];
  const sound =
    objects > 0 && objects <= COUNT_MASK && shift >= 0 && shift < 32 && m[descriptor + C_STATES] > 0;
  const from = sound ? firstStateAt(m, descriptor, pfn) : -1;
  return from >= 0 && from + objects <= s.length ? { from, objects } : { from: 0, objects: 0 };
}

/** Four LIVE states, read as a word. */
const LIVE_WORD: number = LIVE * 0x01010101;

function countStates(metadata: Metadata, table: FrameTable, pfn: number, cache: number): void {
  const { m, s } = metadata;
  const { from, objects } = statesOf(metadata, pfn, cache);
  const end = from + objects;
  let live = 0;
  let cached = 0;
  let waiting = 0;
  for (let at = from; at < end; ) {
    if ((at & 3) === 0 && at + 4 <= end) {
      const word = m[at >>> 2];
      if (word === 0 || word === LIVE_WORD) {
        if (word !== 0) live += 4;
        at += 4;
        continue;
      }
    }
    const state = s[at++];
    if (isLive(state) || state === CONTINUED) live++;
    else if (state === CACHED) cached++;
    else if (isWaiting(state)) waiting++;
  }
  table.live[pfn] = live;
  table.cached[pfn] = cached;
  table.waiting[pfn] = waiting;
  table.objects[pfn] = objects;
}

/** Calls `visit` with every sheaf that a CPU or a barn has: its cache, its words, its owner. */
export function forEachSheaf(
  { m, layout }: Metadata,
  visit: (cache: number, sheaf: number, owner: number) => void,
): void {
  for (let cache = 1; cache < layout.caches; cache++) {
    const descriptor = layout.cacheTable + cache * CACHE_WORDS;
    const capacity = m[descriptor + C_CAPACITY];
    if (cacheStatus(m[descriptor]) === CACHE_NONE || capacity < 1 || capacity > SHEAF_CAPACITY) continue;
    const first = sheavesAt(layout, cache);
    for (let number = 0; number < layout.sheavesPerCache; number++) {
      const sheaf = first + number * SHEAF_WORDS;
      if (m[sheaf] !== 0) visit(cache, sheaf, m[sheaf]);
    }
  }
}

/** Calls `visit` with the address of every object of a sheaf. */
export function forEachEntry(
  { m, layout }: Metadata,
  cache: number,
  sheaf: number,
  visit: (address: number) => void,
): void {
  const capacity = m[cacheAt(layout, cache) + C_CAPACITY];
  for (let n = 0; n < capacity; n++) {
    const entry = m[sheaf + SHEAF_TOP - (n << PAIR_SHIFT)];
    if (entry !== 0) visit((entry << GRANULE_SHIFT) >>> 0);
  }
}

/** Whether a sheaf's owner word names a CPU. */
export const isCpu = (owner: number, cpus: number): boolean =>
  owner > 0 && owner <= cpus && owner !== IN_BARN;

function voteOnCpus(metadata: Metadata, table: FrameTable): void {
  const { layout } = metadata;
  const votes = new Uint16Array(table.end);
  forEachSheaf(metadata, (cache, sheaf, owner) => {
    if (!isCpu(owner, layout.cpus)) return;
    forEachEntry(metadata, cache, sheaf, (address) => {
      const pfn = address >>> layout.pageShift;
      if (pfn >= table.end) return;
      const head = table.head[pfn];
      if ((table.flags[head] & FRAME_FLAG.CLAIMED) !== 0) return;
      if (votes[head] === 0) table.cpu[head] = owner - 1;
      if (table.cpu[head] === owner - 1) votes[head]++;
      else votes[head]--;
    });
  });
}
