/**
 * Sheaves: the caching derivation (Linux 7.0's percpu sheaves; what the letters of 2006 call a "derived caching
 * allocator"). `sheaved(base)` hands out and takes back objects without any atomic operation.
 *
 * A sheaf is 256 words of shared metadata:
 *
 *     word 0              owner [A]: 0 nobody, empty · CPU + 1 · IN_BARN full, in a barn
 *     words bottom + 2n   object n = 1 … capacity [P]: its entry (granules; 0 none), and the byte offset of its state
 *
 *     bottom = 254 - 2 · capacity: the topmost object of a full sheaf stands in the last two words.
 *
 * A sheaf of n objects has them at 1 … n. The entry at the bottom itself is always 0. So two tests need no load of their
 * own: a pop that finds entry 0 has come to the bottom, and a push whose place is divisible by 256 finds the sheaf full.
 * The offset of the state spares a pop the division; it is written before the entry, so a non-zero entry always has its own.
 *
 * Each cache has a fixed pool of sheaves. While a CPU uses the cache it owns one of them, *main*, and, as need be, *spares*:
 * full ones and empty ones, as many as 64 KiB of objects fill (less in a small heap), and at most one that is *half* full. Main
 * changes places with a spare without any atomic operation. A *barn* for each cache and node keeps up to 10 full ones for everybody, as a bitmap over
 * the pool's numbers; which of them a CPU takes first, affinity.ts says. A sheaf's owner word is its claim; its bit in a barn's
 * bitmap is an index, changed by its owner only:
 *
 *     take from a barn:   owner IN_BARN → me (compare-and-swap); clear the bit
 *     put into a barn:    set the bit; owner me → IN_BARN (store)
 *     give up, empty:     owner me → 0 (store)
 *
 * This CPU's *hot words*, 16 a cache, are in plain memory of its thread: nothing in them is needed to recover.
 *
 *     0 TOP    word offset of main's topmost object     5 GENERATION  of the descriptor
 *     1 LIMIT  capacity; 0: cache not in use            6 SPARES      most spares that there may be, 1 … 8
 *     2 MAIN   word offset of the main sheaf            7 HALF        the half-full spare; without one, the last exchange:
 *     3 FULL   number of full spares                                  0 main was empty, -1 it was full
 *     4 EMPTY  number of empty spares                   8 … 15        the spares: full ones from 8 up, empty ones from 15 down
 *
 *     objects in main = (TOP - (MAIN + bottom)) / 2
 *
 *     push:  state's offset, then entry → [TOP + 2];  state ← CACHED;  TOP ← TOP + 2
 *     pop:   state ← LIVE;  TOP ← TOP - 2;  the entry at the old TOP ← 0
 *
 * The TOP of a cache that is not in use (and that of cache 0, which pages without a slab name) is word 254 of the header,
 * which is 0: nothing to pop, and no room to push.
 *
 * After an exchange main is full or empty, so that the next free or allocation might turn it back: a program that frees and
 * allocates by turns would exchange again and again. So where main was empty after it was full, or the other way round, the full
 * one of the two sheaves is *split*: its upper half goes into the other, which is main from then on, and it becomes the
 * half-full spare. It takes half a sheaf of allocations, or of frees, to come to the next exchange, which is with the half-full
 * spare, and half a sheaf more after that. Programs that allocate many and then free many exchange whole sheaves as before.
 *
 *     split:  the record's SPLIT ← the full sheaf;  its upper half → the empty one;  the half ← 0;  SPLIT ← 0
 *
 * So whatever its last instruction was, *every non-zero entry of a dead CPU's sheaves is an object that nobody has*:
 *
 * | killed here                                    | ⇒ reap does this                            |
 * |------------------------------------------------|---------------------------------------------|
 * | push: entry written, state LIVE                | puts it back: its owner had freed it        |
 * | pop: state LIVE, entry not cleared             | puts it back: nobody had got it             |
 * | split: a half stands in two sheaves            | clears it in the one that SPLIT names       |
 * | barn: claimed, its bit still set               | clears the bit, puts the entries back       |
 * | barn: bit set, owner not yet IN_BARN           | the same                                    |
 * | an empty sheaf claimed                         | owner ← 0                                   |
 */

import { failPoint, killPoint } from '../memory/assert.ts';
import { clearBit, countSet, hasBit, nextSet, setBit } from '../memory/bitmap.ts';
import {
  type Cpu,
  N_ALLOC_SLOW,
  N_BARN_GET,
  N_BARN_PUT,
  N_FREE_SLOW,
  N_SHEAF_SWAP,
  N_SLABS_FREED,
  STAT_ALLOC_SLOWPATH,
  STAT_BARN_GET,
  STAT_BARN_GET_FAIL,
  STAT_BARN_PUT,
  STAT_BARN_PUT_FAIL,
  STAT_FREE_SLOWPATH,
  STAT_SHEAF_SWAP,
} from '../memory/cpu.ts';
import { addressOf, entryOf } from '../memory/entry.ts';
import { invalid } from '../memory/errors.ts';
import type { GfpFlags } from '../memory/gfp.ts';
import {
  BARN_FULL_MAX,
  barnAt,
  C_CAPACITY,
  C_FLAGS,
  C_STATE,
  C_STRIDE,
  CPU_SPLIT,
  cacheAt,
  GRANULE_SHIFT,
  H_EPOCH,
  PAGE_WORDS_SHIFT,
  PAIR_SHIFT,
  pageAt,
  SHEAF_CAPACITY,
  SHEAF_TOP,
  SHEAF_WORDS,
  SHEAF_WORDS_SHIFT,
  sheavesAt,
  WORD_SHIFT,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import {
  CACHE_MASK,
  CACHE_SHIFT,
  CACHED,
  LIVE,
  LIVE_MARKED,
  MARK,
  PAGE_BASE,
  PAGE_FLAGS,
  PAGE_RECIPROCAL,
  PAGE_RECIPROCAL_SHIFT,
  PAGE_STATES,
  PAGE_STRIDE,
} from '../page/page.ts';
import { type FrameAllocator, NODE_ANY } from '../page/pageAllocator.ts';
import { barnShare, isOthersSheaf, leftToOthers } from './affinity.ts';
import { allocBulk, freeBulk } from './bulk.ts';
import { type CacheTable, cacheGeneration, stateAt } from './cacheTable.ts';
import { giveUpCache } from './destroy.ts';
import { SLAB, SLAB_DEBUG, SLAB_LOCAL_PAGES, SLAB_SLOB } from './flags.ts';
import { checkObject } from './object.ts';
import type {
  Address,
  AddressArray,
  CacheSpec,
  MoveObject,
  SlabAllocator,
  SlabCounts,
} from './slabAllocator.ts';
import { adoptCreated, refuseStack } from './stack.ts';

/** Owner of a full sheaf that a barn keeps: no CPU's number + 1. */
export const IN_BARN = 0x7ff;

/** Hot words of a cache begin at its number shifted by this: what the FLAGS of its pages hold (page/page.ts). */
export const HOT_SHIFT: number = CACHE_SHIFT;
export const TOP = 0;
export const LIMIT = 1;
const MAIN = 2;
export const FULL = 3;
export const EMPTY = 4;
const GENERATION = 5;
const SPARES = 6;
export const HALF = 7;
/** What HALF holds while there is no half-full spare. */
export const WAS_EMPTY = 0;
const WAS_FULL = -1;
/** No generation. */
const SEALED = -1;
export const HOT_WORDS: number = 1 << HOT_SHIFT;
const FIRST_SPARE = 8;
const LAST_SPARE: number = HOT_WORDS - 1;
/** Words of a cache in `own`: more than BARN_FULL_MAX. */
const OWN_SHIFT = 4;
const SPARES_MAX: number = LAST_SPARE - FIRST_SPARE + 1;
/** Bytes of objects that the full spares of one cache may hold: a burst of as many needs no atomic operation. */
const SPARE_BYTES: number = 2 ** 16;
/** But no more than this share of a small heap: 1/256, a cache. */
const SPARE_SHARE_SHIFT = 8;
/** Flags of caches whose objects never pass through sheaves. */
const NO_SHEAVES: number = SLAB.ACCOUNT | SLAB_SLOB | SLAB_DEBUG;
/** From one object of a sheaf to the next. */
const PAIR: number = 1 << PAIR_SHIFT;
/** The top of a sheaf that is full and empty at once: that of caches which this CPU does not use. */
export const TOP_CLOSED: number = SHEAF_TOP;
/** The low bits of a place behind the last one of a sheaf are 0. */
const PLACE_MASK: number = SHEAF_WORDS - 1;

/** A free sheaf of a cache's pool, claimed; 0 if there is none. */
export function claimSheafOf(metadata: Metadata, cpu: Cpu, cache: number): number {
  const { m, layout } = metadata;
  const pool = sheavesAt(layout, cache);
  // Every CPU begins at its own two, so that it finds a free one at once, and on lines that it has had before.
  for (let i = 0; i < layout.sheavesPerCache; i++) {
    const sheaf = pool + (((2 * cpu.id + i) % layout.sheavesPerCache) << SHEAF_WORDS_SHIFT);
    if (m[sheaf] === 0 && Atomics.compareExchange(m, sheaf, 0, cpu.owner) === 0) {
      killPoint('sheaf.claimed');
      return sheaf;
    }
  }
  return 0;
}

/** Gives up an empty sheaf of this CPU. */
export function giveUpSheaf(m: Int32Array, sheaf: number): void {
  Atomics.store(m, sheaf, 0);
}

export class Sheaves implements SlabAllocator {
  readonly name: string;
  readonly pageAllocatorName: string;
  readonly base: SlabAllocator;
  readonly frames: FrameAllocator;
  readonly table: CacheTable;
  private readonly metadata: Metadata;
  readonly m: Int32Array;
  private readonly s: Uint8Array;
  private readonly cpu: Cpu;
  /** This thread's hot words of all caches. */
  protected readonly hot: Int32Array;
  /** Sheaves that this thread has put into barns last, 16 words a cache: how many, and their numbers, the last one last. */
  private readonly own: Int32Array;
  private epoch: number;
  private isSealed = false;

  constructor(base: SlabAllocator) {
    const { metadata, cpu } = base.frames;
    this.metadata = metadata;
    this.frames = base.frames;
    this.m = metadata.m;
    this.s = metadata.s;
    this.cpu = cpu;
    this.base = base;
    this.table = base.table;
    this.name = `sheaved:${base.name}`;
    this.pageAllocatorName = base.pageAllocatorName;
    this.hot = new Int32Array(metadata.layout.caches << HOT_SHIFT);
    this.own = new Int32Array(metadata.layout.caches << OWN_SHIFT);
    for (let slot = 0; slot < this.hot.length; slot += HOT_WORDS) this.hot[slot | TOP] = TOP_CLOSED;
    this.epoch = this.m[H_EPOCH];
  }

  /** The fast path of allocation: an object of main, or 0 if it has none. No Atomics; a line of a sheaf, one of states. */
  pop(slot: number): Address {
    const { hot, m } = this;
    const top = hot[slot | TOP];
    const entry = m[top];
    if (entry === 0) return 0;
    this.s[m[top | 1]] = LIVE;
    hot[slot | TOP] = top - PAIR;
    m[top] = 0;
    return (entry << GRANULE_SHIFT) >>> 0;
  }

  /**
   * The fast path of freeing: takes back `address`, which lies in the page that `page` describes, of the cache at `slot`,
   * if it passes all checks and main has room; false leaves everything to the slow path. No Atomics; the line of the
   * page descriptor, one of states, one of a sheaf.
   */
  push(slot: number, page: number, address: Address): boolean {
    const { hot, m, s } = this;
    const top = (hot[slot | TOP] + PAIR) | 0;
    if ((top & PLACE_MASK) === 0) return false;
    const offset = (address - m[page | PAGE_BASE]) | 0;
    const index = Math.imul(offset >>> GRANULE_SHIFT, m[page | PAGE_RECIPROCAL]) >>> PAGE_RECIPROCAL_SHIFT;
    const state = (m[page | PAGE_STATES] + index) | 0;
    if (Math.imul(index, m[page | PAGE_STRIDE]) !== offset || s[state] !== LIVE) return false;
    m[top | 1] = state;
    m[top] = address >>> GRANULE_SHIFT;
    s[state] = CACHED;
    hot[slot | TOP] = top;
    return true;
  }

  /** `pop` into out[from … n - 1] while main has objects; the index behind the last one. */
  popBulk(slot: number, out: AddressArray, from: number, n: number): number {
    const { hot, m, s } = this;
    let top = hot[slot | TOP];
    let i = from;
    for (; i < n; i++) {
      const entry = m[top];
      if (entry === 0) break;
      s[m[top | 1]] = LIVE;
      out[i] = entry << GRANULE_SHIFT;
      m[top] = 0;
      top = (top - PAIR) | 0;
    }
    // Only now: this thread alone reads it, and nothing in it is needed to recover.
    hot[slot | TOP] = top;
    return i;
  }

  /**
   * `push` of the first n addresses (zeros are skipped), of the cache at `expected` (0: of any); the index of the first
   * one that was refused, or for which main has no room. Neighbours that lie in one page share its lookup.
   */
  pushBulk(addresses: AddressArray, n: number, expected: number): number {
    const { hot, m, s } = this;
    const { pageShift, maxFrames, vmemMap } = this.metadata.layout;
    let lastPfn = 0;
    let slot = 0;
    let top = hot[TOP];
    let page = 0;
    let i = 0;
    for (; i < n; i++) {
      const address = addresses[i] | 0;
      if (address === 0) continue;
      const pfn = address >>> pageShift;
      if (pfn !== lastPfn) {
        if (pfn >= maxFrames) break;
        hot[slot | TOP] = top;
        page = (vmemMap + (pfn << PAGE_WORDS_SHIFT)) | 0;
        slot = m[page | PAGE_FLAGS] & CACHE_MASK;
        top = hot[slot | TOP];
        lastPfn = pfn;
        if (expected !== 0 && slot !== expected) break;
      }
      const place = (top + PAIR) | 0;
      if ((place & PLACE_MASK) === 0) break;
      const offset = (address - m[page | PAGE_BASE]) | 0;
      const index = Math.imul(offset >>> GRANULE_SHIFT, m[page | PAGE_RECIPROCAL]) >>> PAGE_RECIPROCAL_SHIFT;
      const state = (m[page | PAGE_STATES] + index) | 0;
      if (Math.imul(index, m[page | PAGE_STRIDE]) !== offset || s[state] !== LIVE) break;
      top = place;
      m[top | 1] = state;
      m[top] = address >>> GRANULE_SHIFT;
      s[state] = CACHED;
    }
    hot[slot | TOP] = top;
    return i;
  }

  /** `push` with its checks of an object whose state is `own`, not LIVE: one of a merged cache (kmalloc/merge.ts). */
  pushMarked(slot: number, page: number, address: Address, own: number): boolean {
    const { m, s } = this;
    const offset = (address - m[page | PAGE_BASE]) | 0;
    const index = Math.imul(offset >>> GRANULE_SHIFT, m[page | PAGE_RECIPROCAL]) >>> PAGE_RECIPROCAL_SHIFT;
    const state = (m[page | PAGE_STATES] + index) | 0;
    if (Math.imul(index, m[page | PAGE_STRIDE]) !== offset || s[state] !== own) return false;
    s[state] = LIVE;
    if (this.push(slot, page, address) || this.pushSpare(slot, page, address)) return true;
    s[state] = own;
    return false;
  }

  /** The checks of `push`, of an object of a cache that this CPU has sheaves of. */
  holdsLive(slot: number, page: number, address: Address): boolean {
    const { hot, m, s } = this;
    const offset = (address - m[page | PAGE_BASE]) | 0;
    const index = Math.imul(offset >>> GRANULE_SHIFT, m[page | PAGE_RECIPROCAL]) >>> PAGE_RECIPROCAL_SHIFT;
    if (hot[slot | LIMIT] === 0 || Math.imul(index, m[page | PAGE_STRIDE]) !== offset) return false;
    return s[(m[page | PAGE_STATES] + index) | 0] === LIVE;
  }

  /** After `pop` found nothing: once more, if a spare has objects. Still no Atomics. */
  popSpare(slot: number): Address {
    if (this.hot[slot | FULL] === 0 && this.hot[slot | HALF] <= 0) return 0;
    this.takeObjects(slot);
    return this.pop(slot);
  }

  /** After `push` was refused: once more, if that was because main is full and a spare has room. Still no Atomics. */
  pushSpare(slot: number, page: number, address: Address): boolean {
    if ((this.hot[slot | EMPTY] === 0 && this.hot[slot | HALF] <= 0) || !this.isFull(slot)) return false;
    this.takeRoom(slot);
    return this.push(slot, page, address);
  }

  /** The same where no spare is empty: makes room, and pushes. False if there is more to it. */
  pushSlow(slot: number, page: number, address: Address): boolean {
    if (!this.isFull(slot) || !this.holdsLive(slot, page, address)) return false;
    this.cpu.count(N_FREE_SLOW);
    this.makeRoom(slot >>> HOT_SHIFT, slot);
    return this.push(slot, page, address);
  }

  /** Undoes the last `push` of a cache, which nothing has followed. */
  unpush(slot: number): void {
    const { hot, m } = this;
    const top = hot[slot | TOP];
    this.s[m[top | 1]] = LIVE;
    hot[slot | TOP] = top - PAIR;
    m[top] = 0;
  }

  /** Objects of main. */
  protected mainCount(slot: number): number {
    return (this.hot[slot | TOP] - this.bottomOf(slot, this.hot[slot | MAIN])) >> PAIR_SHIFT;
  }

  /** Where main has no object left: the place below its first. */
  private bottomOf(slot: number, sheaf: number): number {
    return sheaf + SHEAF_TOP - (this.hot[slot | LIMIT] << PAIR_SHIFT);
  }

  private isFull(slot: number): boolean {
    return ((this.hot[slot | TOP] + PAIR) & PLACE_MASK) === 0;
  }

  private isEmpty(slot: number): boolean {
    return this.hot[slot | TOP] === this.bottomOf(slot, this.hot[slot | MAIN]);
  }

  /**
   * Marks a live object as one of a bulk free, so that a second mention of it is seen. The mark alone changes nothing:
   * `unmark` takes it back. The object has been checked.
   */
  mark(cache: number, address: Address): void {
    const { m, s, metadata } = this;
    s[stateAt(m, cacheAt(metadata.layout, cache), entryOf(address))] |= MARK;
  }

  isMarked(cache: number, address: Address): boolean {
    const { m, s, metadata } = this;
    return (s[stateAt(m, cacheAt(metadata.layout, cache), entryOf(address))] & MARK) !== 0;
  }

  /** The opposite of `mark`. */
  unmark(cache: number, address: Address): void {
    const { m, s, metadata } = this;
    s[stateAt(m, cacheAt(metadata.layout, cache), entryOf(address))] &= ~MARK;
  }

  create(spec: CacheSpec): number {
    return adoptCreated(this, this.base.create(spec));
  }

  alloc(cache: number, gfp: GfpFlags): Address {
    const slot = cache << HOT_SHIFT;
    // Beyond the hot words a number of no cache would find whatever there is.
    const address = slot >>> 0 < this.hot.length ? this.pop(slot) : 0;
    return address || this.allocSlow(cache, gfp);
  }

  allocNode(cache: number, gfp: GfpFlags, node: number): Address {
    this.cpu.checkOnline();
    this.table.checkReady(cache);
    return this.base.allocNode(cache, gfp, node);
  }

  /** `pop`, after an exchange with a spare if there is need, of a cache that has this generation still; else 0. */
  allocOf(slot: number, generation: number): Address {
    return this.hot[slot | GENERATION] === generation ? this.pop(slot) || this.popSpare(slot) : 0;
  }

  /** `push` in the same manner; false leaves everything to the slow path. */
  freeOf(slot: number, generation: number, address: Address): boolean {
    const { layout } = this.metadata;
    const pfn = address >>> layout.pageShift;
    if (pfn >= layout.maxFrames || address >>> 0 !== address) return false;
    const page = pageAt(layout, pfn);
    if ((this.m[page | PAGE_FLAGS] & CACHE_MASK) !== slot || this.hot[slot | GENERATION] !== generation)
      return false;
    return this.push(slot, page, address) || this.pushSpare(slot, page, address);
  }

  /** Fast path as `kfree`'s: no Atomics, all checks. */
  free(cache: number, address: Address): void {
    const slot = cache << HOT_SHIFT;
    if (this.freeOf(slot, this.hot[slot | GENERATION], address)) return;
    this.enterSlowPath();
    this.takeBack(checkObject(this.metadata, address, cache, this.table), address);
  }

  allocBulk(cache: number, out: AddressArray, n: number, gfp: GfpFlags): number {
    return allocBulk(this, cache, out, n, gfp);
  }

  freeBulk(cache: number, addresses: AddressArray, n: number): void {
    freeBulk(this, cache, addresses, n);
  }

  dup(cache: number): number {
    return this.base.dup(cache);
  }

  /** Allocation with an empty main: spare, barn, slabs, in this order. 0 without memory. */
  allocSlow(cache: number, gfp: GfpFlags): Address {
    this.enterSlowPath();
    this.table.checkReady(cache);
    this.cpu.count(N_ALLOC_SLOW);
    this.cpu.countOf(cache, STAT_ALLOC_SLOWPATH);
    const slot = cache << HOT_SHIFT;
    // A pass fails only after it made a slab, whose constructor may have used up what there was: bounded all the same.
    for (let attempt = 0; attempt < 8; attempt++) {
      if (!this.open(cache)) return this.base.allocNode(cache, gfp, NODE_ANY);
      if (this.isEmpty(slot)) this.refill(cache, slot, gfp);
      const address = this.pop(slot);
      if (address !== 0) return address;
      if (!this.base.construct(cache, gfp, NODE_ANY)) return 0;
      // The constructor is the user's: it may have detached this thread, or destroyed the cache.
      this.enterSlowPath();
      if (!this.table.isReady(cache)) invalid('the cache was destroyed by its own constructor');
    }
    return 0;
  }

  /** Every check of a free, with its error; then room is made, and the object taken back. `expected` 0: any cache. */
  freeSlow(address: Address, expected: number): void {
    this.enterSlowPath();
    this.cpu.count(N_FREE_SLOW);
    const cache = this.checked(address, expected);
    this.cpu.countOf(cache, STAT_FREE_SLOWPATH);
    const own = this.table.allocatorOf(cache);
    if (own === undefined) this.takeBack(cache, address);
    else own.free(cache, address);
  }

  /** The cache of a live object; what slab debugging knows about any other address goes with the error. */
  private checked(address: Address, expected: number): number {
    try {
      return checkObject(this.metadata, address, expected, this.table);
    } catch (error) {
      this.table.debugAllocator?.explain(error);
      throw error;
    }
  }

  /** Takes back a live object that has been checked: into main, after room has been made, or into its slab. */
  private takeBack(cache: number, address: Address): void {
    const { m, s, metadata } = this;
    // What a merged cache handed out is from here on an object like the others.
    s[stateAt(m, cacheAt(metadata.layout, cache), entryOf(address))] = LIVE;
    const slot = cache << HOT_SHIFT;
    // An object of a cache that this CPU has not used yet is another one's, and may share a line with what that one uses:
    // it goes home, so that it is not the first to be handed out here. From the next one on, frees are to be fast.
    const isOpen = this.isOpen(cache);
    if (this.open(cache) && isOpen) {
      if (this.isFull(slot)) this.makeRoom(cache, slot);
      const page = pageAt(this.metadata.layout, address >>> this.metadata.layout.pageShift);
      if (this.push(slot, page, address)) return;
    }
    this.base.free(cache, address);
  }

  fill(cache: number, sheaf: number, have: number, want: number, gfp: GfpFlags, node: number): number {
    return this.base.fill(cache, sheaf, have, want, gfp, node);
  }

  construct(cache: number, gfp: GfpFlags, node: number): boolean {
    return this.base.construct(cache, gfp, node);
  }

  drain(cache: number, sheaf: number, from: number, to: number): void {
    this.base.drain(cache, sheaf, from, to);
  }

  validPointer(cache: number, address: Address): boolean {
    return this.base.validPointer(cache, address);
  }

  objectSize(cache: number): number {
    return this.base.objectSize(cache);
  }

  getObjects(cache: number): SlabCounts {
    return this.base.getObjects(cache);
  }

  /** Puts what this CPU and the barns have cached back into the slabs, then shrinks those. */
  shrink(cache: number, move?: MoveObject): number {
    this.enterSlowPath();
    const before = this.cpu.counted(N_SLABS_FREED);
    this.close(cache);
    this.drainBarns(cache);
    this.table.debugOf(cache)?.releaseHeld(cache);
    this.base.shrink(cache, move);
    return this.cpu.counted(N_SLABS_FREED) - before;
  }

  destroy(cache: number): void {
    if (!giveUpCache(this, cache)) return;
    this.close(cache);
    this.drainBarns(cache);
    this.table.debugOf(cache)?.releaseHeld(cache);
    this.base.destroy(cache);
  }

  /** Gives up this CPU's sheaves of every cache. */
  closeAll(): void {
    for (let cache = 1; cache < this.metadata.layout.caches; cache++) this.close(cache);
  }

  /** For detach: gives up all sheaves; what was the last of a destroyed cache is released. */
  leave(): void {
    killPoint('cpu.leaving');
    this.closeAll();
    for (let cache = 1; cache < this.metadata.layout.caches; cache++) {
      if (!this.table.isReady(cache) && !this.table.isDying(cache)) continue;
      this.releasePrefilled(cache);
      if (this.table.isDying(cache)) this.base.shrink(cache);
    }
  }

  /** Puts back what prefilled sheaves of this CPU still hold. */
  private releasePrefilled(cache: number): void {
    const { m, metadata, cpu } = this;
    const pool = sheavesAt(metadata.layout, cache);
    for (let i = 0; i < metadata.layout.sheavesPerCache; i++) {
      const sheaf = pool + (i << SHEAF_WORDS_SHIFT);
      if (m[sheaf] !== cpu.owner) continue;
      this.base.drain(cache, sheaf, 1, SHEAF_CAPACITY);
      this.releaseSheaf(sheaf);
    }
  }

  /**
   * Everything that is cached anywhere within reach goes back to the page allocator; without `userCode`, not where that is
   * one of a single thread, with functions of the user's.
   */
  drainAll(userCode: boolean): void {
    const { m, metadata } = this;
    this.closeAll();
    for (const cache of this.table.ready()) {
      this.drainBarns(cache);
      this.table.debugOf(cache)?.releaseHeld(cache);
      const isLocal = (m[cacheAt(metadata.layout, cache) + C_FLAGS] & SLAB_LOCAL_PAGES) !== 0;
      if (userCode || !isLocal) this.base.shrink(cache);
    }
  }

  /** The generation of the descriptor that this CPU's hot words at `slot` are of; 0: not in use. */
  generationOf(slot: number): number {
    return this.hot[slot | GENERATION];
  }

  /** While sealed, handles of caches find another generation than theirs, so every call goes the slow way. */
  seal(isSealed: boolean): void {
    const { hot, m, metadata } = this;
    this.isSealed = isSealed;
    for (let cache = 1; cache < metadata.layout.caches; cache++) {
      // A number is not given to another cache while this CPU has sheaves of it.
      const generation = cacheGeneration(m[cacheAt(metadata.layout, cache) + C_STATE]);
      if (this.isOpen(cache)) hot[(cache << HOT_SHIFT) | GENERATION] = isSealed ? SEALED : generation;
    }
  }

  /** Whether this CPU has sheaves of the cache. */
  isOpen(cache: number): boolean {
    return this.hot[(cache << HOT_SHIFT) | LIMIT] !== 0;
  }

  /** A free sheaf of the cache's pool, claimed; 0 if there is none. For main, spare and prefilled sheaves. */
  claimSheaf(cache: number): number {
    if (failPoint('sheaf')) return 0;
    return claimSheafOf(this.metadata, this.cpu, cache);
  }

  /** Puts what sheaves of this CPU hold back, and gives them up. */
  releaseAll(cache: number, owned: readonly number[]): void {
    for (const sheaf of owned) {
      this.base.drain(cache, sheaf, 1, SHEAF_CAPACITY);
      this.releaseSheaf(sheaf);
    }
    if (this.table.isDying(cache)) this.base.shrink(cache);
  }

  /** Gives up an empty sheaf of this CPU. */
  releaseSheaf(sheaf: number): void {
    giveUpSheaf(this.m, sheaf);
  }

  /** What every slow path begins with: still attached? has a cache been destroyed that this CPU has sheaves of? */
  enterSlowPath(): void {
    this.cpu.checkOnline();
    const epoch = this.m[H_EPOCH];
    if (epoch === this.epoch) return;
    this.epoch = epoch;
    this.table.debugAllocator?.releaseStale();
    for (let cache = 1; cache < this.metadata.layout.caches; cache++) {
      if (this.isOpen(cache) && !this.table.isReady(cache)) {
        this.close(cache);
        this.base.shrink(cache);
      }
    }
  }

  /**
   * Fills in this CPU's hot words of a cache at its first use. False if the pool has no sheaf left, or if the cache is a
   * charged one, in pages that caches share, or one with slab debugging: their objects never pass through sheaves.
   */
  open(cache: number): boolean {
    const { hot, m } = this;
    const slot = cache << HOT_SHIFT;
    if (hot[slot | LIMIT] !== 0) return true;
    const descriptor = cacheAt(this.metadata.layout, cache);
    if ((m[descriptor + C_FLAGS] & NO_SHEAVES) !== 0) return false;
    killPoint('sheaf.opening');
    const main = this.claimSheaf(cache);
    if (main === 0) return false;
    hot[slot | MAIN] = main;
    hot[slot | FULL] = 0;
    hot[slot | EMPTY] = 0;
    hot[slot | HALF] = WAS_EMPTY;
    hot[slot | GENERATION] = this.isSealed ? SEALED : cacheGeneration(m[descriptor + C_STATE]);
    hot[slot | SPARES] = this.sparesFor(descriptor);
    hot[slot | LIMIT] = m[descriptor + C_CAPACITY];
    hot[slot | TOP] = this.bottomOf(slot, main);
    this.cpu.countFromHere(cache);
    return true;
  }

  /** Drains this CPU's sheaves of a cache and gives them up. */
  close(cache: number): void {
    const { hot } = this;
    const slot = cache << HOT_SHIFT;
    const limit = hot[slot | LIMIT];
    if (limit === 0) return;
    const main = hot[slot | MAIN];
    const bottom = this.bottomOf(slot, main);
    const count = (hot[slot | TOP] - bottom) >>> PAIR_SHIFT;
    this.cpu.countMain(cache, count, 0);
    const spares = hot.slice(slot + HALF, slot + HOT_WORDS);
    hot.fill(0, slot, slot + HOT_WORDS);
    hot[slot | TOP] = TOP_CLOSED;
    this.base.drain(cache, bottom, 1, count);
    this.releaseSheaf(main);
    for (const spare of spares) {
      if (spare <= 0) continue;
      this.base.drain(cache, spare, 1, SHEAF_CAPACITY);
      this.releaseSheaf(spare);
    }
  }

  /** How many spares a CPU may have of the cache that `descriptor` describes. */
  private sparesFor(descriptor: number): number {
    const { m, metadata } = this;
    const { layout } = metadata;
    const share = (layout.maxFrames * 2 ** layout.pageShift) / 2 ** SPARE_SHARE_SHIFT;
    const sheafBytes = m[descriptor + C_CAPACITY] * m[descriptor + C_STRIDE];
    const spares = Math.floor(Math.min(SPARE_BYTES, share) / sheafBytes);
    return Math.max(1, Math.min(SPARES_MAX, spares));
  }

  /** `mark` with the checks of `push`; false leaves it to the slow form. */
  markChecked(page: number, address: Address): boolean {
    const { m, s } = this;
    const offset = (address - m[page | PAGE_BASE]) | 0;
    const index = Math.imul(offset >>> GRANULE_SHIFT, m[page | PAGE_RECIPROCAL]) >>> PAGE_RECIPROCAL_SHIFT;
    const state = (m[page | PAGE_STATES] + index) | 0;
    if (Math.imul(index, m[page | PAGE_STRIDE]) !== offset || s[state] !== LIVE) return false;
    s[state] = LIVE_MARKED;
    return true;
  }

  private drainMain(cache: number, slot: number): void {
    const { hot } = this;
    const bottom = this.bottomOf(slot, hot[slot | MAIN]);
    const count = (hot[slot | TOP] - bottom) >>> PAIR_SHIFT;
    hot[slot | TOP] = bottom;
    this.cpu.countMain(cache, count, 0);
    this.base.drain(cache, bottom, 1, count);
  }

  /** Main is empty: a spare with objects, a full sheaf of the barn, or objects from slabs. */
  private refill(cache: number, slot: number, gfp: GfpFlags): void {
    const { hot } = this;
    if (hot[slot | FULL] !== 0 || hot[slot | HALF] > 0) {
      this.takeObjects(slot);
      return;
    }
    hot[slot | HALF] = WAS_EMPTY;
    const others = leftToOthers(this.metadata);
    let full = this.takeFromBarn(cache, this.cpu.node, others > 0);
    if (full === 0) {
      const bottom = this.bottomOf(slot, hot[slot | MAIN]);
      const count = this.base.fill(cache, bottom, 0, hot[slot | LIMIT], gfp, NODE_ANY);
      if (count === 0 && others > 0) full = this.takeFromBarn(cache);
      if (full === 0) {
        hot[slot | TOP] = bottom + (count << PAIR_SHIFT);
        this.cpu.countOf(cache, STAT_BARN_GET_FAIL);
        this.cpu.countMain(cache, 0, count);
        return;
      }
    }
    this.cpu.countMain(cache, 0, hot[slot | LIMIT]);
    const empty = hot[slot | MAIN];
    hot[slot | MAIN] = full;
    hot[slot | TOP] = full + SHEAF_TOP;
    if (this.spares(slot) < hot[slot | SPARES]) this.addEmptySpare(slot, empty);
    else this.releaseSheaf(empty);
  }

  /** Main is full: a spare with room, one more spare, room in the barn, or the slabs. */
  private makeRoom(cache: number, slot: number): void {
    const { hot } = this;
    if (hot[slot | EMPTY] === 0 && hot[slot | HALF] <= 0) {
      const hasRoom = this.spares(slot) < hot[slot | SPARES];
      const empty = hasRoom || this.barnHasRoom(cache, hot[slot | MAIN]) ? this.claimSheaf(cache) : 0;
      if (empty === 0) {
        hot[slot | HALF] = WAS_FULL;
        this.cpu.countOf(cache, STAT_BARN_PUT_FAIL);
        this.drainMain(cache, slot);
        return;
      }
      if (!hasRoom) {
        hot[slot | HALF] = WAS_FULL;
        const full = hot[slot | MAIN];
        hot[slot | MAIN] = empty;
        hot[slot | TOP] = this.bottomOf(slot, empty);
        this.cpu.countMain(cache, hot[slot | LIMIT], 0);
        this.putIntoBarn(cache, full);
        return;
      }
      this.addEmptySpare(slot, empty);
    }
    this.takeRoom(slot);
  }

  private spares(slot: number): number {
    const { hot } = this;
    return hot[slot | FULL] + hot[slot | EMPTY] + (hot[slot | HALF] > 0 ? 1 : 0);
  }

  private addFullSpare(slot: number, full: number): void {
    const { hot } = this;
    hot[slot + FIRST_SPARE + hot[slot | FULL]++] = full;
  }

  private addEmptySpare(slot: number, empty: number): void {
    const { hot } = this;
    hot[slot + LAST_SPARE - hot[slot | EMPTY]++] = empty;
  }

  /** Main is empty, and there is a spare with objects: the half-full one, or the full one that was put away last. */
  private takeObjects(slot: number): void {
    const { hot } = this;
    const empty = hot[slot | MAIN];
    if (hot[slot | HALF] > 0) {
      this.takeHalf(slot, WAS_EMPTY);
      this.addEmptySpare(slot, empty);
      this.countSwap(slot, 0);
      return;
    }
    const at = slot + FIRST_SPARE + --hot[slot | FULL];
    const full = hot[at];
    hot[at] = 0;
    if (hot[slot | HALF] === WAS_FULL) {
      this.split(slot, full, empty);
    } else {
      hot[slot | MAIN] = full;
      hot[slot | TOP] = full + SHEAF_TOP;
      this.addEmptySpare(slot, empty);
    }
    this.countSwap(slot, 0);
  }

  /** Main is full, and there is a spare with room: the half-full one, or an empty one. */
  private takeRoom(slot: number): void {
    const { hot } = this;
    const full = hot[slot | MAIN];
    if (hot[slot | HALF] > 0) {
      this.takeHalf(slot, WAS_FULL);
      this.addFullSpare(slot, full);
      this.countSwap(slot, hot[slot | LIMIT]);
      return;
    }
    const at = slot + LAST_SPARE - --hot[slot | EMPTY];
    const empty = hot[at];
    hot[at] = 0;
    if (hot[slot | HALF] === WAS_EMPTY) {
      this.split(slot, full, empty);
    } else {
      hot[slot | MAIN] = empty;
      hot[slot | TOP] = this.bottomOf(slot, empty);
      this.addFullSpare(slot, full);
    }
    this.countSwap(slot, hot[slot | LIMIT]);
  }

  /** The half-full spare is main from here on. */
  private takeHalf(slot: number, last: number): void {
    const { hot } = this;
    const half = hot[slot | HALF];
    hot[slot | MAIN] = half;
    hot[slot | TOP] = this.bottomOf(slot, half) + ((hot[slot | LIMIT] >> 1) << PAIR_SHIFT);
    hot[slot | HALF] = last;
  }

  /** The upper half of a full sheaf goes into an empty one, which is main from here on; the other is the half-full spare. */
  private split(slot: number, full: number, empty: number): void {
    const { hot, m, s, cpu } = this;
    const stay = (hot[slot | LIMIT] >> 1) << PAIR_SHIFT;
    const upper = (this.bottomOf(slot, full) + stay + PAIR) << WORD_SHIFT;
    const end = (full + SHEAF_WORDS) << WORD_SHIFT;
    m[cpu.record + CPU_SPLIT] = full;
    killPoint('sheaf.splitting');
    s.copyWithin((this.bottomOf(slot, empty) + PAIR) << WORD_SHIFT, upper, end);
    killPoint('sheaf.split');
    s.fill(0, upper, end);
    killPoint('sheaf.split-cleared');
    m[cpu.record + CPU_SPLIT] = 0;
    hot[slot | HALF] = full;
    hot[slot | MAIN] = empty;
    hot[slot | TOP] = empty + SHEAF_TOP - stay;
  }

  /** Counts an exchange of main, which had `before` objects. */
  private countSwap(slot: number, before: number): void {
    const cache = slot >>> HOT_SHIFT;
    this.cpu.count(N_SHEAF_SWAP);
    this.cpu.countOf(cache, STAT_SHEAF_SWAP);
    this.cpu.countMain(cache, before, this.mainCount(slot));
  }

  /** Whether this node's barn may have a full sheaf of this CPU's. */
  private barnHasRoom(cache: number, sheaf: number): boolean {
    const { m, metadata, cpu } = this;
    const { layout } = metadata;
    const barn = barnAt(layout, cache, cpu.node);
    if (countSet(m, barn, 0, layout.sheavesPerCache) >= BARN_FULL_MAX) return false;
    const others = leftToOthers(metadata);
    if (others === 0 || isOthersSheaf(metadata, cpu, cache, sheaf)) return true;
    return this.countOwn(cache, barn) < barnShare(others);
  }

  /** How many of the sheaves that this CPU remembers are in a barn still. */
  private countOwn(cache: number, barn: number): number {
    const { m, own } = this;
    const at = cache << OWN_SHIFT;
    let count = 0;
    for (let i = 1; i <= own[at]; i++) if (hasBit(m, barn, own[at + i])) count++;
    return count;
  }

  private putIntoBarn(cache: number, sheaf: number): void {
    const { m, metadata, cpu } = this;
    const number = (sheaf - sheavesAt(metadata.layout, cache)) >>> SHEAF_WORDS_SHIFT;
    setBit(m, barnAt(metadata.layout, cache, cpu.node), number);
    killPoint('barn.put-bit');
    Atomics.store(m, sheaf, IN_BARN);
    cpu.count(N_BARN_PUT);
    cpu.countOf(cache, STAT_BARN_PUT);
    this.remember(cache, number);
    // Destroyed in the meantime: whoever did that may have emptied the barn before the sheaf was in it.
    if (!this.table.isReady(cache)) this.drainBarns(cache);
  }

  /**
   * A full sheaf from a node's barn, claimed, or 0: if it can be, one that this CPU has put there; else another one, unless
   * `leaves` and its objects had better be left to another CPU.
   */
  private takeFromBarn(cache: number, node: number = this.cpu.node, leaves = false): number {
    const { m, metadata, cpu, own } = this;
    const { layout } = metadata;
    const barn = barnAt(layout, cache, node);
    const first = sheavesAt(layout, cache);
    const at = cache << OWN_SHIFT;
    while (own[at] > 0) {
      const number = own[at + own[at]--];
      // By now it may be in another node's barn.
      if (hasBit(m, barn, number) && this.claimFull(cache, first + (number << SHEAF_WORDS_SHIFT)))
        return first + (number << SHEAF_WORDS_SHIFT);
    }
    const end = layout.sheavesPerCache;
    for (let number = nextSet(m, barn, 0, end); number < end; number = nextSet(m, barn, number + 1, end)) {
      const sheaf = first + (number << SHEAF_WORDS_SHIFT);
      if (leaves && isOthersSheaf(metadata, cpu, cache, sheaf)) continue;
      if (this.claimFull(cache, sheaf)) return sheaf;
    }
    return 0;
  }

  /** Makes a full sheaf of a barn this CPU's; false if it is not in one any more. */
  private claimFull(cache: number, sheaf: number): boolean {
    const { m, cpu } = this;
    if (m[sheaf] !== IN_BARN || Atomics.compareExchange(m, sheaf, IN_BARN, cpu.owner) !== IN_BARN)
      return false;
    killPoint('barn.taken');
    this.forgetInBarn(cache, sheaf);
    cpu.count(N_BARN_GET);
    cpu.countOf(cache, STAT_BARN_GET);
    return true;
  }

  /** A sheaf that this CPU has put into a barn, by its number; the one put there first is forgotten if there are too many. */
  private remember(cache: number, number: number): void {
    const { own } = this;
    const at = cache << OWN_SHIFT;
    if (own[at] === BARN_FULL_MAX) own.copyWithin(at + 1, at + 2, at + 1 + own[at]--);
    own[at + ++own[at]] = number;
  }

  /** Clears the bits that a sheaf of this CPU has in barns. */
  forgetInBarn(cache: number, sheaf: number): void {
    const { m, metadata } = this;
    const { layout } = metadata;
    const number = (sheaf - sheavesAt(layout, cache)) >>> SHEAF_WORDS_SHIFT;
    for (let node = 0; node < layout.nodes; node++) {
      const barn = barnAt(layout, cache, node);
      if (hasBit(m, barn, number)) clearBit(m, barn, number);
    }
  }

  /** Empties the barns of a cache into its slabs. */
  drainBarns(cache: number): void {
    const { metadata } = this;
    for (let node = 0; node < metadata.layout.nodes; node++) {
      for (let sheaf = this.takeFromBarn(cache, node); sheaf !== 0; sheaf = this.takeFromBarn(cache, node)) {
        this.base.drain(cache, sheaf, 1, SHEAF_CAPACITY);
        this.releaseSheaf(sheaf);
      }
    }
  }

  /** Takes object number `n` of a prefilled sheaf that this CPU owns. */
  popFrom(sheaf: number, n: number): Address {
    const { m, s } = this;
    const at = sheaf + (n << PAIR_SHIFT);
    const entry = m[at];
    s[m[at + 1]] = LIVE;
    m[at] = 0;
    return addressOf(entry);
  }

  /** The opposite of `popFrom`, for an object that has been checked. */
  pushTo(sheaf: number, n: number, cache: number, address: Address): void {
    const { m, s, metadata } = this;
    const at = sheaf + (n << PAIR_SHIFT);
    const entry = entryOf(address);
    const state = stateAt(m, cacheAt(metadata.layout, cache), entry);
    m[at + 1] = state;
    m[at] = entry;
    s[state] = CACHED;
  }
}

/** Derivations that sheaves must not lie over, and why. */
const SHEAVED_OVER: Readonly<Record<string, string>> = {
  sheaved: 'its objects lie in sheaves already',
  rcu: 'a sheaf would hand an object out again before its grace period: put rcuify over sheaved',
  kmalloc: "kmalloc's caches have their sheaves already",
  ...Object.fromEntries(
    ['redzone', 'poison', 'track', 'trace', 'failslab', 'checked', 'quarantine', 'number'].map((name) => [
      name,
      'each allocation and free must run its checks: put it over sheaved',
    ]),
  ),
};

/**
 * The caching derivation of a slab allocator. Throws `EINVAL` over one that has sheaves already, or whose frees wait for
 * a grace period.
 */
export function sheaved(base: SlabAllocator): Sheaves {
  refuseStack('sheaved', base, SHEAVED_OVER);
  return new Sheaves(base);
}
