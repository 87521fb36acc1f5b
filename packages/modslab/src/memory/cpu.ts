/**
 * CPUs: the threads attached to a heap. Each has a slot (its *CPU number*) and a record in the metadata that nobody
 * else writes in the steady state.
 *
 * The status word is the slot's claim:
 *
 *     31 … 13 generation │ 12 … 2 reaper + 1 │ 1 … 0 status          [A]
 *
 *     OFFLINE ──attach──▶ ONLINE ──detach──▶ LEAVING ──▶ OFFLINE
 *                            └──reap──▶ REAPING ──▶ OFFLINE          (from LEAVING too)
 *
 * The generation rises by one at each attach, so a slot that was taken again is told from the one that was meant.
 *
 * A slot that is ONLINE has the thread's number + 1 in its record, and ATTACHING in its reaper field until that (and the
 * tag) is written. A thread that is ATTACHING has nothing yet, and one that is LEAVING and has cleared its number has nothing
 * any more. Both are *in passage*: whose they are cannot be told, but anybody may reap them at any time. If the thread lives,
 * its last compare-and-swap fails, and it takes another slot, or is gone as it wanted to be.
 *
 * | killed here                       | ⇒ reap does this                                              |
 * |-----------------------------------|---------------------------------------------------------------|
 * | attach: ATTACHING, no tag yet     | as for any dead CPU; the record is empty                      |
 * | detach: LEAVING, half drained     | drains the rest, frees the slot                               |
 * | detach: LEAVING, number cleared   | frees the slot                                                |
 */

import { killPoint } from './assert.ts';
import { invalid, SlabError } from './errors.ts';
import {
  CACHE_COUNTERS_CLEARED,
  CACHE_COUNTERS_WORDS,
  CPU_COUNTERS,
  CPU_FRAMES,
  CPU_SCRATCH,
  CPU_STATUS,
  CPU_TAG,
  CPU_TAG_BYTES,
  CPU_TAG_LENGTH,
  CPU_THREAD,
  cacheCountersAt,
  cpuAt,
  H_CPUS_TAKEN,
  TAG_NUMBER,
  TAG_SET,
  WORD_SHIFT,
} from './layout.ts';
import type { Metadata } from './metadata.ts';
import { decodeText, encodeText } from './text.ts';
import { threadIdOfHost } from './thread.ts';

export const OFFLINE = 0;
export const ONLINE = 1;
export const REAPING = 2;
export const LEAVING = 3;
const STATUS_MASK = 3;
const REAPER_SHIFT = 2;
const REAPER_MASK = 0x7ff;
/** In the reaper field of an ONLINE slot: no CPU's number + 1. */
const ATTACHING = 0x7ff;
const GENERATION_SHIFT = 13;
const GENERATION_MASK = 0x7ffff;

/** Counters that every CPU keeps of its own slow paths, by their index in its record. */
export const COUNTERS = [
  'allocSlow',
  'freeSlow',
  'refill',
  'flush',
  'barnGet',
  'barnPut',
  'slabsAllocated',
  'slabsFreed',
  'framesAllocated',
  'framesFreed',
  'largeAllocated',
  'largeFreed',
  'grown',
  'claimsLost',
  'objectsPended',
  'sheafSwap',
] as const;
export type CounterName = (typeof COUNTERS)[number];
export const N_ALLOC_SLOW = 0;
export const N_FREE_SLOW = 1;
export const N_REFILL = 2;
export const N_FLUSH = 3;
export const N_BARN_GET = 4;
export const N_BARN_PUT = 5;
export const N_SLABS_ALLOCATED = 6;
export const N_SLABS_FREED = 7;
export const N_FRAMES_ALLOCATED = 8;
export const N_FRAMES_FREED = 9;
export const N_LARGE_ALLOCATED = 10;
export const N_LARGE_FREED = 11;
export const N_GROWN = 12;
export const N_CLAIMS_LOST = 13;
export const N_OBJECTS_PENDED = 14;
export const N_SHEAF_SWAP = 15;

/**
 * Counters that every CPU keeps of its own slow paths for each cache, by their index in its row (Linux: `stat_item`). All
 * count bulk operations, so the fast paths have no part in them; stat/cacheCounters.ts derives from them what those did.
 */
export const STAT_ALLOC_SLOWPATH = 0;
export const STAT_FREE_SLOWPATH = 1;
/** Objects taken out of slabs. */
export const STAT_SHEAF_REFILL = 2;
/** Objects put back into slabs. */
export const STAT_SHEAF_FLUSH = 3;
export const STAT_BARN_GET = 4;
export const STAT_BARN_GET_FAIL = 5;
export const STAT_BARN_PUT = 6;
export const STAT_BARN_PUT_FAIL = 7;
export const STAT_ALLOC_SLAB = 8;
export const STAT_FREE_SLAB = 9;
/** A slab could not be had: the object is a run of frames of its own. */
export const STAT_ORDER_FALLBACK = 10;
/** Main changed places with a spare. */
export const STAT_SHEAF_SWAP = 11;
/** Objects that must have been popped from main since it was last seen, for it to be as it is; and pushed. */
export const STAT_POPPED = 12;
export const STAT_PUSHED = 13;
/** Objects freed to wait for a grace period. */
export const STAT_FREE_RCU = 14;
export const STATS = 15;
/** No counter: objects that main had when it was last seen. In the other line: objects in sheaves at the clearing. */
const STAT_LEVEL = 15;
export const STAT_CLEARED_CACHED: number = CACHE_COUNTERS_CLEARED + 15;

export const statusOf = (word: number): number => word & STATUS_MASK;
export const reaperOf = (word: number): number => (word >>> REAPER_SHIFT) & REAPER_MASK;
export const generationOf = (word: number): number => word >>> GENERATION_SHIFT;
export const statusWord = (status: number, reaper: number, generation: number): number =>
  ((generation & GENERATION_MASK) << GENERATION_SHIFT) | (reaper << REAPER_SHIFT) | status;

/** This thread's CPU. */
export class Cpu {
  readonly metadata: Metadata;
  readonly id: number;
  readonly generation: number;
  /** Word offset of the record. */
  readonly record: number;
  /** Word offset of the scratch sheaf. */
  readonly scratch: number;
  /** What this CPU writes into a claim word: its number + 1. */
  readonly owner: number;
  readonly node: number;
  /** Word offset of what it counts of cache 0; that of the others follows. */
  private readonly stats: number;
  /** This thread has called `detach`. */
  left = false;
  /** An allocation of this thread is trying again, after memory was given back. */
  isRetrying = false;

  constructor(metadata: Metadata, id: number, generation: number) {
    this.metadata = metadata;
    this.id = id;
    this.generation = generation;
    this.record = cpuAt(metadata.layout, id);
    this.scratch = this.record + CPU_SCRATCH;
    this.owner = id + 1;
    this.node = id % metadata.layout.nodes;
    this.stats = cacheCountersAt(metadata.layout, id, 0);
  }

  /** Adds to one of this CPU's counters. */
  count(counter: number, by: number = 1): void {
    this.metadata.m[this.record + CPU_COUNTERS + counter] += by;
  }

  /** Adds to one of this CPU's counters of a cache. */
  countOf(cache: number, stat: number, by: number = 1): void {
    this.metadata.m[this.stats + cache * CACHE_COUNTERS_WORDS + stat] += by;
  }

  /**
   * Main of a cache had `before` objects just now, and has `after`: so since it was last seen as many objects at least were
   * popped, or pushed, as it had more, or less, by then.
   */
  countMain(cache: number, before: number, after: number): void {
    const { m } = this.metadata;
    const row = this.stats + cache * CACHE_COUNTERS_WORDS;
    const moved = before - m[row + STAT_LEVEL];
    if (moved > 0) m[row + STAT_PUSHED] += moved;
    else m[row + STAT_POPPED] -= moved;
    m[row + STAT_LEVEL] = after;
  }

  /** Main of a cache is a new one, empty. */
  countFromHere(cache: number): void {
    this.metadata.m[this.stats + cache * CACHE_COUNTERS_WORDS + STAT_LEVEL] = 0;
  }

  /** What one of this CPU's counters of a cache stands at. */
  countedOf(cache: number, stat: number): number {
    return this.metadata.m[this.stats + cache * CACHE_COUNTERS_WORDS + stat];
  }

  /** Books what this CPU has flushed of a cache since its counter stood at `before` for CPU `dead`, which it reaps. */
  bookFlushFor(dead: number, cache: number, before: number): void {
    const { m, layout } = this.metadata;
    const own = this.stats + cache * CACHE_COUNTERS_WORDS + STAT_SHEAF_FLUSH;
    m[cacheCountersAt(layout, dead, cache) + STAT_SHEAF_FLUSH] += m[own] - before;
    m[own] = before;
  }

  /** Counting of a cache begins anew, on all CPUs; `cached`: objects that each has in its sheaves at this moment. */
  clearCountersOf(cache: number, cached: readonly number[] = []): void {
    const { m, layout } = this.metadata;
    for (let id = 0; id < m[H_CPUS_TAKEN]; id++) {
      const row = cacheCountersAt(layout, id, cache);
      for (let stat = 0; stat < STATS; stat++) m[row + CACHE_COUNTERS_CLEARED + stat] = m[row + stat];
      m[row + STAT_CLEARED_CACHED] = cached[id] ?? 0;
    }
  }

  /** What one of this CPU's counters stands at. */
  counted(counter: number): number {
    return this.metadata.m[this.record + CPU_COUNTERS + counter];
  }

  /** Whether this CPU has neither detached nor been reaped. One Atomics.load. */
  isOnline(): boolean {
    const word = Atomics.load(this.metadata.m, this.record + CPU_STATUS);
    return statusOf(word) === ONLINE && generationOf(word) === this.generation;
  }

  /** Throws `ESHUTDOWN` if this CPU has detached or has been reaped. One Atomics.load. */
  checkOnline(): void {
    if (this.isOnline()) return;
    throw new SlabError(
      'ESHUTDOWN',
      `CPU ${this.id} is no longer attached: it detached, or it was reaped as dead`,
    );
  }

  /** Throws `ESHUTDOWN` after `detach`: for calls that touch nothing shared but must not outlive the heap. */
  checkAttached(): void {
    if (this.left) this.checkOnline();
  }

  /** ONLINE → LEAVING; false if the CPU was reaped before. */
  beginLeave(): boolean {
    this.left = true;
    return this.move(ONLINE, LEAVING);
  }

  /** LEAVING → OFFLINE. The record must be empty by now. */
  endLeave(): void {
    clearTag(this.metadata, this.id);
    this.move(LEAVING, OFFLINE);
  }

  private move(from: number, to: number): boolean {
    const at = this.record + CPU_STATUS;
    const old = statusWord(from, 0, this.generation);
    return Atomics.compareExchange(this.metadata.m, at, old, statusWord(to, 0, this.generation)) === old;
  }
}

/**
 * Takes over a slot that somebody has, with everything in it: only where no other thread has the memory, which is a
 * restored heap all of whose slots are taken. Of a CPU that is being reaped there is always one that reaps it.
 */
export function adoptCpu(metadata: Metadata): Cpu {
  const { m, layout } = metadata;
  for (let id = 0; id < layout.cpus; id++) {
    const at = cpuAt(layout, id) + CPU_STATUS;
    const status = statusOf(m[at]);
    if (status !== ONLINE && status !== LEAVING) continue;
    m[at] = statusWord(ONLINE, 0, generationOf(m[at]));
    return new Cpu(metadata, id, generationOf(m[at]));
  }
  throw new SlabError('ECORRUPT', 'every CPU of the heap is being reaped, and none of them reaps');
}

/** Claims a free CPU slot. Throws `ENOCPU` if there is none. Cost: O(CPUs), one compare-and-swap. */
export function attachCpu(metadata: Metadata, tag?: string | number): Cpu {
  const { m, layout } = metadata;
  const encoded = tag === undefined ? undefined : encodeTag(tag);
  const thread = threadIdOfHost();
  for (let id = 0; id < layout.cpus; id++) {
    const at = cpuAt(layout, id) + CPU_STATUS;
    const word = Atomics.load(m, at);
    if (statusOf(word) !== OFFLINE) continue;
    const generation = (generationOf(word) + 1) & GENERATION_MASK;
    const attaching = statusWord(ONLINE, ATTACHING, generation);
    if (Atomics.compareExchange(m, at, word, attaching) !== word) continue;
    for (let taken = Atomics.load(m, H_CPUS_TAKEN); taken <= id; taken = Atomics.load(m, H_CPUS_TAKEN))
      Atomics.compareExchange(m, H_CPUS_TAKEN, taken, id + 1);
    killPoint('cpu.attached');
    if (encoded !== undefined) writeTag(metadata, id, encoded, typeof tag === 'number');
    m[cpuAt(layout, id) + CPU_THREAD] = thread + 1;
    // Taken for dead meanwhile: another slot.
    if (Atomics.compareExchange(m, at, attaching, statusWord(ONLINE, 0, generation)) !== attaching) continue;
    return new Cpu(metadata, id, generation);
  }
  throw new SlabError(
    'ENOCPU',
    `all ${layout.cpus} CPUs are attached: detach or reap one, or create with more cpus`,
  );
}

/**
 * Page frames in use. Exact when all threads are still and the dead are reaped: each slot counts its own, so a killed
 * thread cannot lose an update of another. Cost: O(slots ever taken), plain loads.
 */
export function usedFrames(metadata: Metadata): number {
  const { m, layout } = metadata;
  let used = 0;
  for (let id = 0; id < m[H_CPUS_TAKEN]; id++) used += m[cpuAt(layout, id) + CPU_FRAMES];
  return used;
}

function encodeTag(tag: string | number): Uint8Array {
  if (typeof tag !== 'string' && typeof tag !== 'number') invalid(`a CPU's tag is a string or a number`);
  const bytes = encodeText(String(tag));
  if (bytes.length > CPU_TAG_BYTES)
    invalid(`a CPU's tag has at most ${CPU_TAG_BYTES} bytes, not ${bytes.length}`);
  return bytes;
}

function writeTag(metadata: Metadata, id: number, bytes: Uint8Array, isNumber: boolean): void {
  const record = cpuAt(metadata.layout, id);
  metadata.s.set(bytes, (record + CPU_TAG) << WORD_SHIFT);
  metadata.m[record + CPU_TAG_LENGTH] = bytes.length | TAG_SET | (isNumber ? TAG_NUMBER : 0);
}

/** The number of the host's thread that has a slot; undefined if the slot is in passage (see above), or offline. */
export function readThread(metadata: Metadata, id: number): number | undefined {
  const { m, layout } = metadata;
  const word = Atomics.load(m, cpuAt(layout, id) + CPU_STATUS);
  const thread = m[cpuAt(layout, id) + CPU_THREAD];
  const isAttaching = statusOf(word) === ONLINE && reaperOf(word) === ATTACHING;
  return thread === 0 || isAttaching || statusOf(word) === OFFLINE ? undefined : thread - 1;
}

/** Forgets the tag of CPU `id`, and its thread. */
export function clearTag(metadata: Metadata, id: number): void {
  metadata.m[cpuAt(metadata.layout, id) + CPU_THREAD] = 0;
  metadata.m[cpuAt(metadata.layout, id) + CPU_TAG_LENGTH] = 0;
}

/** The tag that CPU `id` attached with. */
export function readTag(metadata: Metadata, id: number): string | number | undefined {
  const record = cpuAt(metadata.layout, id);
  const word = metadata.m[record + CPU_TAG_LENGTH];
  if ((word & TAG_SET) === 0) return undefined;
  const start = (record + CPU_TAG) << WORD_SHIFT;
  const text = decodeText(metadata.s, start, word & 0xff);
  return (word & TAG_NUMBER) !== 0 ? Number(text) : text;
}
