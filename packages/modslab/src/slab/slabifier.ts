/**
 * The slabifier: slabs of equal objects over any page allocator (2006: `slabifier.c`), with everything out of band.
 *
 * A slab is *claimed* before it is changed: whoever swaps its claim word from "no owner" to itself, holds it, and
 * alone turns FREE objects into CACHED ones, puts objects back, changes its partial bit, parks or releases it. A claim
 * lasts for one such operation; nobody waits for one. Who wants objects and finds a slab claimed takes another one, or a
 * fresh one at worst. Who wants to put objects back into a claimed slab leaves them *pending* in it:
 *
 *     1  every object of the group: state RELEASING          (its entry still stands in the sheaf)
 *     2  the slab's claim word: PENDING                      (Atomics.or; the holder, or the next one, will look)
 *     3  for each object: record it as this CPU's pending entry; clear its entry; RELEASING → PENDING (compare-and-swap)
 *
 * The holder turns PENDING objects into FREE ones and counts them before it lets go. If it meets a RELEASING one, it
 * leaves the PENDING bit set, so that a later holder looks again. After step 2 the claim word is not touched any more,
 * and while an object is RELEASING its slab cannot become empty: so no bit is ever set on a slab that is gone.
 *
 * Before the holder makes a PENDING object FREE, it clears any CPU's pending entry that names it. So a pending entry
 * always names an object that is RELEASING by that CPU, or PENDING.
 *
 * States, and who changes them:
 *
 *     FREE ──holder of the slab──▶ CACHED ◀──────push, pop──────▶ LIVE             (by who has the object)
 *      ▲◀──holder of the slab──────┘ │                             ▲
 *      └──holder── PENDING ◀── RELEASING ◀──who has the object─────┘
 *
 * Counts: while the slab is unowned, count = number of FREE states. A holder keeps the count in its head and writes it
 * when it lets go. An entry of a sheaf is written before its object becomes CACHED, and cleared after it became FREE.
 *
 * | killed here                                              | ⇒ reap does this                                     |
 * |----------------------------------------------------------|------------------------------------------------------|
 * | claimed; some objects taken or put back                  | drops sheaf entries that are FREE, recounts, lets go |
 * | collecting pending objects, PENDING cleared              | sets PENDING again, collects, lets go                |
 * | partial bit changed, claim not yet given up              | the same                                             |
 * | parked: slot names the slab, still owned                 | clears the slot, recounts, retires it again          |
 * | unparked: owned, slot still names the slab               | the same                                             |
 * | a new slab described, kind NONE                          | releases the run (pageAllocator.ts)                  |
 * | a new slab published, objects not all constructed (NEW)  | clears its partial bit, releases it                  |
 * | release: kind NONE again                                 | releases the run                                     |
 * | pending, step 1 or 2                                     | the entries stand: puts them back like any other     |
 * | pending, step 3, entry cleared, still RELEASING          | RELEASING → PENDING for the recorded entry           |
 * | put back: object in the scratch sheaf, still LIVE        | puts it back like any other                          |
 * | freezing: FROZEN set, still owned, or still listed       | clears the bit, gives up the ownership, no recount   |
 * | a group's slab, some or all objects FREE                 | recounts, lets go; completing the group releases it  |
 *
 * A slab that is found damaged (more objects counted than there are, a state that means nothing) is *frozen*: FROZEN
 * in its claim word keeps everybody from claiming it, so the rest of the heap goes on without it.
 */

import { assert, killPoint } from '../memory/assert.ts';
import { clearBit, hasBit, nextSet, setBit } from '../memory/bitmap.ts';
import {
  type Cpu,
  N_CLAIMS_LOST,
  N_FLUSH,
  N_OBJECTS_PENDED,
  N_REFILL,
  N_SLABS_ALLOCATED,
  N_SLABS_FREED,
  STAT_ALLOC_SLAB,
  STAT_FREE_SLAB,
  STAT_SHEAF_FLUSH,
  STAT_SHEAF_REFILL,
} from '../memory/cpu.ts';
import type { DataMemory } from '../memory/data.ts';
import { addressOf, entryOf } from '../memory/entry.ts';
import { hex, invalid, SlabError } from '../memory/errors.ts';
import { GFP, GFP_BOUNDED, type GfpFlags } from '../memory/gfp.ts';
import {
  C_CONSTRUCTOR,
  C_FLAGS,
  C_FRAMES,
  C_GRANULES,
  C_NODE,
  C_OBJECTS,
  C_ORDER,
  C_PARKED,
  C_SIZE,
  C_SLAB_SHIFT,
  C_TEMPLATE_BYTES,
  CPU_PENDING_ENTRY,
  cacheAt,
  cpuAt,
  H_FRAMES,
  H_REPORTS,
  nodeOf,
  nodeStart,
  PAGE_SHIFT_MIN,
  PAIR_SHIFT,
  PARKED_MAX,
  pageAt,
  partialAt,
  templateAt,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { wakeWaiters } from '../memory/waiters.ts';
import { kindOfStack, USER } from '../page/derivePageAllocator.ts';
import {
  CACHED,
  CLAIM_FROZEN,
  CLAIM_LIVE,
  CLAIM_NEW,
  CLAIM_OWNER,
  CLAIM_PENDING,
  CLAIM_USED,
  CONTINUED,
  COUNT_MASK,
  cacheOf,
  FREE,
  flagsOf,
  isLive,
  isState,
  KIND_SLAB,
  KIND_SLAB_TAIL,
  KIND_TAIL,
  LIVE,
  OWNER_PARKED,
  ownerBits,
  ownerOf,
  PAGE_CLAIM,
  PAGE_FIRST_FREE,
  PAGE_FLAGS,
  PAGE_GROUP,
  PAGE_USER,
  PENDING,
  RELEASING,
} from '../page/page.ts';
import { type FrameAllocator, NODE_ANY, type PageAllocator } from '../page/pageAllocator.ts';
import { isOthers, leftToOthers, SKIPPED_MAX } from './affinity.ts';
import { allocBulk, freeBulk } from './bulk.ts';
import {
  type CacheTable,
  CONSTRUCTOR_FUNCTION,
  CONSTRUCTOR_NONE,
  CONSTRUCTOR_TEMPLATE,
  cacheTableOf,
  firstEntryOf,
  firstStateAt,
  headOf,
  stateAt,
} from './cacheTable.ts';
import { Charges } from './charge.ts';
import { compact } from './compact.ts';
import { countObjects } from './count.ts';
import { initializeSlab } from './debugObject.ts';
import { debugFlagsFor } from './debugOption.ts';
import { describeSlab, framesOfSlab } from './describe.ts';
import { giveUpCache } from './destroy.ts';
import {
  SLAB,
  SLAB_DEBUG,
  SLAB_LOCAL_PAGES,
  SLAB_SINGLE_FRAME,
  SLAB_WHOLE_PAGES,
  type SlabFlags,
} from './flags.ts';
import { slabGeometry } from './geometry.ts';
import { clearNames, freeRest, isSlob, slabsOf } from './granules.ts';
import { checkObject } from './object.ts';
import { PageSources } from './pageSources.ts';
import { shuffle } from './randomized.ts';
import { Runs } from './runs.ts';
import type {
  Address,
  AddressArray,
  CacheSpec,
  MoveObject,
  SlabAllocator,
  SlabCounts,
} from './slabAllocator.ts';
import { type Collected, collectWaiting, listWaiting } from './waiting.ts';

/** Times that a holder collects pending objects before it leaves the rest to the next one. */
const COLLECT_TRIES = 2;
/** More slabs' worth than can be left to others. */
const ALL = 2 ** 20;
/** Times that a claim is tried while only counts change under it. */
const CLAIM_TRIES = 4;

/** Empty slabs that a cache keeps, in all: Linux's min_partial, scaled so that it means as many bytes. */
export function parkedMax(size: number, pageShift: number): number {
  const linux = Math.min(10, Math.max(5, Math.floor(Math.log2(size) / 2)));
  return Math.max(1, Math.min(PARKED_MAX, linux >>> Math.max(0, pageShift - PAGE_SHIFT_MIN)));
}

/** States of objects are bytes; so many of them lie in a word. */
const STATES_A_WORD = 4;

/** Whether one of a word's four bytes is 0, which is what FREE is (A. Mycroft's test, 1987). */
function hasZeroByte(word: number): boolean {
  return ((word - 0x01010101) & ~word & 0x80808080) !== 0;
}

export class Slabifier implements SlabAllocator {
  readonly name: string = 'slabifier';
  readonly pageAllocatorName: string;
  readonly table: CacheTable;
  private readonly m: Int32Array;
  private readonly s: Uint8Array;
  private readonly metadata: Metadata;
  private readonly cpu: Cpu;
  /** Where slabs come from, by the flags of their cache. */
  private readonly sources: PageSources;
  private readonly runsUserCode: boolean;
  /** The heap's own frames, at the bottom of it. */
  readonly frames: FrameAllocator;
  private readonly data: DataMemory;
  /** What this CPU's charges to groups go through. */
  readonly charges: Charges;
  /** Takes objects out of pages that caches share. */
  private readonly runs: Runs;
  private readonly mine: number;
  /** The node that the next slab of a `MEM_SPREAD` cache is made on. */
  private spread: number;
  /** Per cache: the slab that this CPU took from last. A hint of this thread only. */
  private readonly last: Int32Array;
  /** By cache number; of that generation only. */
  private readonly constructors: Map<number, { generation: number; run: (address: Address) => void }> =
    new Map();

  /** Caches of this thread's own page allocator, by number: the generation that they are of. */
  private readonly local: Map<number, number> = new Map();

  constructor(pages: PageAllocator, table?: CacheTable) {
    const { metadata, cpu, data } = pages.frames;
    this.metadata = metadata;
    this.m = metadata.m;
    this.s = metadata.s;
    this.cpu = cpu;
    this.data = data;
    this.sources = new PageSources(pages);
    this.runsUserCode = kindOfStack(pages) === USER;
    this.frames = pages.frames;
    // Waiting objects are everybody's: any slabifier of this CPU can free them when memory is short.
    this.frames.collectObjects ??= () => this.collectWaiting().objects;
    this.pageAllocatorName = pages.name;
    this.mine = ownerBits(cpu.owner);
    this.spread = cpu.node;
    this.last = new Int32Array(metadata.layout.caches);
    this.table = table ?? cacheTableOf(metadata, cpu);
    this.charges = new Charges(metadata, cpu);
    this.runs = new Runs(pages.frames, this);
  }

  /** Flags that every cache on this page allocator has. */
  protected get impliedFlags(): SlabFlags {
    return this.sources.implied;
  }

  create(spec: CacheSpec): number {
    const { name, size, align } = spec;
    const flags = spec.flags | this.sources.implied | debugFlagsFor(this.metadata, name, size, align);
    // What the flags ask for is derived first: a stack that cannot carry it says so before there is a cache.
    this.sources.of(flags);
    const { pageShift } = this.metadata.layout;
    if ((flags & SLAB_SINGLE_FRAME) !== 0 && slabGeometry(size, align, flags, pageShift).frames > 1) {
      invalid(
        `cache '${spec.name}': '${this.pageAllocatorName}' has no adjacent frames for an object of ${spec.size} bytes`,
        spec.name,
      );
    }
    this.sweepLocal();
    const id = this.table.create({ ...spec, flags });
    this.last[id] = 0;
    if ((flags & SLAB_LOCAL_PAGES) !== 0) this.local.set(id, this.table.generation(id));
    if (typeof spec.ctor === 'function') this.register(id, spec.ctor);
    return id;
  }

  /** Makes the constructor function of a cache known on this thread. */
  register(cache: number, constructor: (address: Address) => void): void {
    this.constructors.set(cache, { generation: this.table.generation(cache), run: constructor });
  }

  alloc(cache: number, gfp: GfpFlags): Address {
    this.table.checkReady(cache);
    return this.allocNode(cache, gfp, NODE_ANY);
  }

  /** One object straight from a slab, through the scratch sheaf. Cost: two compare-and-swaps. */
  allocNode(cache: number, gfp: GfpFlags, node: number): Address {
    return this.fillScratch(cache, gfp, node) ? this.takeScratch() : 0;
  }

  /** Makes the object in the scratch sheaf a live one, which the caller has. */
  private takeScratch(): Address {
    const { m, s } = this;
    const at = this.cpu.scratch + (1 << PAIR_SHIFT);
    const entry = m[at];
    s[m[at + 1]] = LIVE;
    m[at] = 0;
    return addressOf(entry);
  }

  /** Gets one object into the scratch sheaf, of another node if that one has none and `gfp` does not say `THISNODE`. */
  fillScratch(cache: number, gfp: GfpFlags, node: number): boolean {
    const { scratch } = this.cpu;
    let have = this.fill(cache, scratch, 0, 1, gfp, node);
    if (have === 0 && this.construct(cache, gfp, node)) have = this.fill(cache, scratch, 0, 1, gfp, node);
    if (have === 0 && node !== NODE_ANY && (gfp & GFP.THISNODE) === 0)
      return this.fillScratch(cache, gfp, NODE_ANY);
    return have === 1;
  }

  free(cache: number, address: Address): void {
    checkObject(this.metadata, address, cache, this.table);
    if (this.putBack(cache, address)) return;
    const name = this.table.name(cache);
    throw new SlabError(
      'EDOUBLEFREE',
      `${hex(address)} of cache '${name}' is being freed with its group`,
      address,
      name,
    );
  }

  /**
   * Puts a live object, which has been checked, back into its slab by way of the scratch sheaf, and takes it off its
   * group's account if it has one. `decided` is called as soon as the object stands in the scratch sheaf, which is when
   * a kill cannot lose it any more. False, and nothing changed: its group is being freed, and the object with it.
   */
  putBack(cache: number, address: Address, decided?: () => void): boolean {
    const { m, s, cpu, metadata, charges } = this;
    const descriptor = cacheAt(metadata.layout, cache);
    const entry = entryOf(address);
    const state = stateAt(m, descriptor, entry);
    const page = pageAt(metadata.layout, headOf(m, descriptor, entry));
    const group = (m[descriptor + C_FLAGS] & SLAB.ACCOUNT) === 0 ? 0 : m[page + PAGE_GROUP];
    if (group !== 0) {
      if (!charges.beginFree(group, m[descriptor + C_GRANULES], 0)) return false;
      // The group may have come to its end, and the slab with it, before the intent stood.
      if (m[page + PAGE_GROUP] !== group || !isLive(s[state])) {
        charges.settled();
        return false;
      }
    }
    const at = cpu.scratch + (1 << PAIR_SHIFT);
    m[at + 1] = state;
    m[at] = entry;
    if (group !== 0) charges.uncharge();
    if (decided !== undefined) decided();
    this.drain(cache, cpu.scratch, 1, 1);
    if (group !== 0) charges.settled();
    return true;
  }

  /** One object, of a cache in slob pages, from a page below frame `limit`; 0 if none has room. For compaction. */
  allocBelow(cache: number, limit: number): Address {
    const at = this.cpu.scratch + (1 << PAIR_SHIFT);
    return this.runs.fillBelow(cache, at, limit) ? this.takeScratch() : 0;
  }

  /** One object of the slab at frame `head`; 0 if it has none, or somebody holds it. For compaction. */
  allocFrom(cache: number, head: number): Address {
    if (!this.claim(head, cache) || this.take(cache, head, this.cpu.scratch, 0, 1) === 0) return 0;
    return this.takeScratch();
  }

  allocBulk(cache: number, out: AddressArray, n: number, gfp: GfpFlags): number {
    return allocBulk(this, cache, out, n, gfp);
  }

  freeBulk(cache: number, addresses: AddressArray, n: number): void {
    freeBulk(this, cache, addresses, n);
  }

  dup(cache: number): number {
    this.table.addReference(cache);
    return cache;
  }

  validPointer(cache: number, address: Address): boolean {
    try {
      checkObject(this.metadata, address, cache, this.table);
      return true;
    } catch {
      return false;
    }
  }

  /** The page allocator that slabs of the cache come from, with its derivations. */
  pageAllocatorOf(cache: number): string {
    const { name } = this.sources.of(this.m[cacheAt(this.metadata.layout, cache) + C_FLAGS]);
    return this.knowsPages(cache) ? name : `(another thread's):${name}`;
  }

  objectSize(cache: number): number {
    return this.m[cacheAt(this.metadata.layout, cache) + C_SIZE];
  }

  getObjects(cache: number): SlabCounts {
    return countObjects(this.metadata, cache);
  }

  fill(cache: number, sheaf: number, have: number, want: number, gfp: GfpFlags, askedNode: number): number {
    this.cpu.count(N_REFILL);
    const node = this.nodeFor(cache, gfp, askedNode);
    if (isSlob(this.metadata, cache)) return this.fillRuns(cache, sheaf, have, want, gfp, node);
    let n = have;
    const others = leftToOthers(this.metadata);
    const hint = this.last[cache];
    if (hint !== 0 && node === NODE_ANY && !(others > 0 && this.isOthers(hint)) && this.claim(hint, cache))
      n = this.take(cache, hint, sheaf, n, want);
    if (n < want && others > 0) n = this.fillFromPartial(cache, sheaf, n, want, gfp, node, ALL);
    if (n < want) n = this.fillFromPartial(cache, sheaf, n, want, gfp, node, others);
    while (n < want) {
      const head = this.unpark(cache, node) || this.newSlab(cache, gfp, node);
      if (head === 0) break;
      n = this.take(cache, head, sheaf, n, want);
    }
    if (n < want && others > 0) n = this.fillFromPartial(cache, sheaf, n, want, gfp, node, 0);
    if (n - have > 1) shuffle(this.metadata, cache, sheaf, have + 1, n);
    return n;
  }

  /** `fill` of a cache whose objects lie in pages that caches share. */
  private fillRuns(
    cache: number,
    sheaf: number,
    have: number,
    want: number,
    gfp: GfpFlags,
    node: number,
  ): number {
    const flags = this.m[cacheAt(this.metadata.layout, cache) + C_FLAGS];
    const spread = node === NODE_ANY ? this.spreadNode(flags) : NODE_ANY;
    const n = spread === NODE_ANY ? have : this.runs.fill(cache, sheaf, have, want, gfp, spread);
    return n < want ? this.runs.fill(cache, sheaf, n, want, gfp, node) : n;
  }

  drain(of: number, sheaf: number, from: number, to: number): void {
    const { m } = this;
    this.cpu.count(N_FLUSH);
    const cache = slabsOf(this.metadata, of);
    const descriptor = cacheAt(this.metadata.layout, cache);
    for (let i = from; i <= to; i++) {
      const entry = m[sheaf + (i << PAIR_SHIFT)];
      if (entry === 0) continue;
      const head = headOf(m, descriptor, entry);
      if (this.claim(head, cache)) this.putGroup(cache, head, sheaf, i, to);
      else this.pendGroup(cache, head, sheaf, i, to);
    }
  }

  construct(cache: number, gfp: GfpFlags, node: number): boolean {
    const { m, metadata } = this;
    const descriptor = cacheAt(metadata.layout, cache);
    const isFunction = m[descriptor + C_CONSTRUCTOR] === CONSTRUCTOR_FUNCTION;
    const pagesAreKnown = this.knowsPages(cache);
    if ((!isFunction && pagesAreKnown && !this.runsUserCode) || (gfp & GFP_BOUNDED) !== 0) return false;
    if (!pagesAreKnown) {
      const name = this.table.name(cache);
      throw new SlabError(
        'EINVAL',
        `cache '${name}' has a page allocator of its own, which this thread does not know`,
        undefined,
        name,
      );
    }
    if (!isFunction) return this.makeSlab(cache, gfp, node);
    const constructor = this.constructors.get(cache);
    if (constructor?.generation !== this.table.generation(cache)) {
      const name = this.table.name(cache);
      throw new SlabError(
        'EINVAL',
        `cache '${name}' has a constructor, which this thread does not know: heap.cache('${name}', { ctor })`,
        undefined,
        name,
      );
    }
    const head = this.publishSlab(cache, gfp, node, CLAIM_NEW);
    if (head === 0) return false;
    killPoint('slab.before-constructor');
    this.runConstructor(cache, head, constructor.run);
    this.letGo(cache, head, m[descriptor + C_OBJECTS], true);
    return true;
  }

  /** Makes a slab out of frames that user code has to do with, and lets go of it. False without memory. */
  private makeSlab(cache: number, gfp: GfpFlags, node: number): boolean {
    const descriptor = cacheAt(this.metadata.layout, cache);
    const head = this.publishSlab(cache, gfp, node, CLAIM_NEW);
    if (head === 0) return false;
    if (this.m[descriptor + C_CONSTRUCTOR] === CONSTRUCTOR_TEMPLATE) this.copyTemplate(cache, head);
    this.letGo(cache, head, this.m[descriptor + C_OBJECTS], true);
    return true;
  }

  /** Whether this thread has the page allocator that the cache's slabs come from. */
  private knowsPages(cache: number): boolean {
    const flags = this.m[cacheAt(this.metadata.layout, cache) + C_FLAGS];
    return (flags & SLAB_LOCAL_PAGES) === 0 || this.local.get(cache) === this.table.generation(cache);
  }

  /** Gives back the slabs of destroyed caches whose page allocator only this thread knows, as objects come home. */
  private sweepLocal(): void {
    for (const [cache, generation] of this.local) {
      if (this.table.generation(cache) !== generation) this.local.delete(cache);
      else if (this.table.isDying(cache)) this.shrink(cache);
    }
  }

  shrink(cache: number, move?: MoveObject): number {
    if (!this.knowsPages(cache)) return 0;
    const before = this.cpu.counted(N_SLABS_FREED);
    const slabs = slabsOf(this.metadata, cache);
    this.releaseEmpty(slabs);
    if (move !== undefined && compact(this, cache, move) > 0) this.releaseEmpty(slabs);
    return this.cpu.counted(N_SLABS_FREED) - before;
  }

  /** Releases the parked slabs of a cache, and what has become empty by objects left pending. */
  private releaseEmpty(cache: number): void {
    for (let head = this.unpark(cache, NODE_ANY); head !== 0; head = this.unpark(cache, NODE_ANY)) {
      this.releaseSlab(cache, head);
    }
    const { m, metadata } = this;
    const bitmap = partialAt(metadata.layout, cache);
    const descriptor = cacheAt(metadata.layout, cache);
    const end = Atomics.load(m, H_FRAMES);
    killPoint('slab.shrinking');
    for (let pfn = nextSet(m, bitmap, 0, end); pfn < end; pfn = nextSet(m, bitmap, pfn + 1, end)) {
      const claim = m[pageAt(metadata.layout, pfn) + PAGE_CLAIM];
      if ((claim & COUNT_MASK) !== m[descriptor + C_OBJECTS] && (claim & CLAIM_PENDING) === 0) continue;
      if (!this.claim(pfn, cache)) continue;
      // Only now is the descriptor fixed: it is not reused while a slab carries its number.
      const objects = m[descriptor + C_OBJECTS];
      const count = (m[pageAt(metadata.layout, pfn) + PAGE_CLAIM] & COUNT_MASK) + this.collect(cache, pfn);
      if (count < objects) {
        this.letGo(cache, pfn, count, false);
        continue;
      }
      clearBit(m, bitmap, pfn);
      this.releaseSlab(cache, pfn);
    }
  }

  destroy(cache: number): void {
    if (!giveUpCache(this, cache)) return;
    this.shrink(cache);
    this.sweepLocal();
    this.constructors.delete(cache);
    this.last[cache] = 0;
  }

  /** Claims the slab at frame `head` if it is one of that cache and nobody's. One compare-and-swap. */
  claim(head: number, cache: number): boolean {
    const { m, mine } = this;
    const page = pageAt(this.metadata.layout, head);
    for (let attempt = 0; attempt < CLAIM_TRIES; attempt++) {
      const word = m[page + PAGE_CLAIM];
      if ((word & CLAIM_USED) === 0 || (word & (CLAIM_OWNER | CLAIM_LIVE | CLAIM_FROZEN)) !== 0) return false;
      if (Atomics.compareExchange(m, page + PAGE_CLAIM, word, word | mine) !== word) {
        this.cpu.count(N_CLAIMS_LOST);
        continue;
      }
      killPoint('slab.claimed');
      const flags = m[page + PAGE_FLAGS];
      if (flags === flagsOf(KIND_SLAB, cache)) return true;
      // A hint that has grown stale: the frame carries another cache's slab by now. Give it back as it was.
      this.letGo(cacheOf(flags), head, word & COUNT_MASK, false);
      return false;
    }
    return false;
  }

  /** Moves FREE objects of the claimed slab into sheaf words, in address order, and lets go. */
  take(cache: number, head: number, sheaf: number, have: number, want: number): number {
    const { m, s, metadata } = this;
    const { layout } = metadata;
    const descriptor = cacheAt(layout, cache);
    const page = pageAt(layout, head);
    const states = firstStateAt(m, descriptor, head);
    const first = firstEntryOf(m, layout.pageShift, descriptor, head);
    const granules = m[descriptor + C_GRANULES];
    const objects = m[descriptor + C_OBJECTS];
    let left = m[page + PAGE_CLAIM] & COUNT_MASK;
    let index = m[page + PAGE_FIRST_FREE];
    let n = have;
    killPoint('slab.taking');
    for (; n < want && left > 0; index++) {
      index = this.nextFree(states, index, objects);
      if (index === objects) break;
      n++;
      left--;
      const at = sheaf + (n << PAIR_SHIFT);
      m[at + 1] = states + index;
      m[at] = first + Math.imul(index, granules);
      s[states + index] = CACHED;
    }
    m[page + PAGE_FIRST_FREE] = index;
    m[page + PAGE_USER] = this.cpu.owner;
    this.cpu.countOf(cache, STAT_SHEAF_REFILL, n - have);
    killPoint('slab.taken');
    if (n < want && left > 0) {
      // It counts more FREE objects than it has.
      this.freeze(cache, head);
      return n;
    }
    this.last[cache] = head;
    this.letGo(cache, head, left, false);
    return n;
  }

  /** The first of the states from `index` on that is FREE; `end` if none is. Four at a time, since most may be in use. */
  private nextFree(states: number, index: number, end: number): number {
    const { m, s } = this;
    let at = states + index;
    const last = states + end;
    while (at < last) {
      if (s[at] === FREE) return at - states;
      at++;
      if ((at & (STATES_A_WORD - 1)) === 0)
        while (at + STATES_A_WORD <= last && !hasZeroByte(m[at >>> 2])) at += STATES_A_WORD;
    }
    return end;
  }

  /** Puts the entries of sheaf words that lie in the claimed slab back into it, and lets go. */
  private putGroup(cache: number, head: number, sheaf: number, from: number, to: number): void {
    const { m, s, metadata } = this;
    const descriptor = cacheAt(metadata.layout, cache);
    const page = pageAt(metadata.layout, head);
    const shift = m[descriptor + C_SLAB_SHIFT];
    const slab = m[sheaf + (from << PAIR_SHIFT)] >>> shift;
    const first = firstStateAt(m, descriptor, head);
    let count = m[page + PAGE_CLAIM] & COUNT_MASK;
    const before = count;
    for (let i = from; i <= to; i++) {
      const at = sheaf + (i << PAIR_SHIFT);
      const entry = m[at];
      if (entry === 0 || entry >>> shift !== slab) continue;
      const state = m[at + 1];
      // FREE already: a second free of the object that raced with the first. Count it once.
      if (s[state] !== FREE && s[state] !== CONTINUED) {
        if (state - first < m[page + PAGE_FIRST_FREE]) m[page + PAGE_FIRST_FREE] = state - first;
        if (s[state + 1] === CONTINUED) count += freeRest(s, state);
        s[state] = FREE;
        count++;
      }
      killPoint('slab.putting');
      m[at] = 0;
    }
    this.cpu.countOf(cache, STAT_SHEAF_FLUSH, count - before);
    killPoint('slab.put');
    this.letGo(cache, head, count, false);
  }

  /** Leaves the entries that lie in a slab which somebody else holds pending in it. See the module's head. */
  private pendGroup(cache: number, head: number, sheaf: number, from: number, to: number): void {
    const { m, s, metadata, cpu } = this;
    const descriptor = cacheAt(metadata.layout, cache);
    const shift = m[descriptor + C_SLAB_SHIFT];
    const slab = m[sheaf + (from << PAIR_SHIFT)] >>> shift;
    const inSlab = (at: number): boolean => m[at] !== 0 && m[at] >>> shift === slab;
    const first = sheaf + (from << PAIR_SHIFT);
    const last = sheaf + (to << PAIR_SHIFT);
    for (let at = first; at <= last; at += 1 << PAIR_SHIFT) if (inSlab(at)) s[m[at + 1]] = RELEASING;
    killPoint('slab.pending-marked');
    const before = Atomics.or(m, pageAt(metadata.layout, head) + PAGE_CLAIM, CLAIM_PENDING);
    killPoint('slab.pending-flagged');
    // Let go in the meantime: then it is ours if we are quick, and whoever is quicker has seen the PENDING bit.
    if (ownerOf(before) === 0 && this.claim(head, cache)) {
      this.putGroup(cache, head, sheaf, from, to);
      return;
    }
    for (let at = first; at <= last; at += 1 << PAIR_SHIFT) {
      if (!inSlab(at)) continue;
      const state = m[at + 1];
      m[cpu.record + CPU_PENDING_ENTRY] = m[at];
      m[at] = 0;
      killPoint('slab.pending-entry');
      Atomics.compareExchange(s, state, RELEASING, PENDING);
      m[cpu.record + CPU_PENDING_ENTRY] = 0;
      cpu.count(N_OBJECTS_PENDED);
      cpu.countOf(cache, STAT_SHEAF_FLUSH);
    }
  }

  /** Gives up the claim: with `count` FREE objects, its partial bit right, or retired if it has become empty. */
  letGo(cache: number, head: number, count: number, keepEmpty: boolean): void {
    const { m, metadata } = this;
    const at = pageAt(metadata.layout, head) + PAGE_CLAIM;
    const objects = m[cacheAt(metadata.layout, cache) + C_OBJECTS];
    const bitmap = partialAt(metadata.layout, cache);
    let tries = COLLECT_TRIES;
    let free = count;
    for (;;) {
      const word = Atomics.load(m, at);
      assert((word & CLAIM_OWNER) === this.mine, 'only the holder lets go');
      const pending = (word & CLAIM_PENDING) !== 0;
      if (pending && tries-- > 0) {
        free += this.collect(cache, head);
        continue;
      }
      if (free === objects && !pending && !keepEmpty) {
        this.retire(cache, head);
        return;
      }
      const listed = free > 0 || pending;
      if (hasBit(m, bitmap, head) !== listed) {
        if (listed) setBit(m, bitmap, head);
        else clearBit(m, bitmap, head);
        killPoint('slab.partial-bit');
      }
      const next = (word & ~(COUNT_MASK | CLAIM_OWNER | CLAIM_NEW)) | free;
      if (Atomics.compareExchange(m, at, word, next) !== word) continue;
      if (listed) wakeWaiters(m);
      return;
    }
  }

  /** Turns the claimed slab's PENDING objects into FREE ones; how many. */
  private collect(cache: number, head: number): number {
    const { m, s, metadata } = this;
    const descriptor = cacheAt(metadata.layout, cache);
    const page = pageAt(metadata.layout, head);
    Atomics.and(m, page + PAGE_CLAIM, ~CLAIM_PENDING);
    killPoint('slab.collecting');
    const states = firstStateAt(m, descriptor, head);
    const first = firstEntryOf(m, metadata.layout.pageShift, descriptor, head);
    let collected = 0;
    let others = false;
    for (let index = m[descriptor + C_OBJECTS] - 1; index >= 0; index--) {
      if (s[states + index] === RELEASING) others = true;
      if (s[states + index] !== PENDING) continue;
      if (index < m[page + PAGE_FIRST_FREE]) m[page + PAGE_FIRST_FREE] = index;
      this.forgetPending(first + Math.imul(index, m[descriptor + C_GRANULES]));
      collected += 1 + freeRest(s, states + index);
      s[states + index] = FREE;
    }
    if (others) Atomics.or(m, page + PAGE_CLAIM, CLAIM_PENDING);
    return collected;
  }

  /**
   * Clears the pending entry of whoever left this object, so that none outlives its object's PENDING state: a dead CPU
   * that stopped behind step 3 must not be taken for one that stopped within it.
   */
  private forgetPending(entry: number): void {
    const { m, metadata } = this;
    for (let cpu = 0; cpu < metadata.layout.cpus; cpu++) {
      const at = cpuAt(metadata.layout, cpu) + CPU_PENDING_ENTRY;
      if (m[at] === entry) Atomics.compareExchange(m, at, entry, 0);
    }
  }

  /** Disposes of a claimed slab that is empty: parks it if its cache has room for one more, else releases it. */
  private retire(cache: number, head: number): void {
    const { m, metadata } = this;
    const descriptor = cacheAt(metadata.layout, cache);
    const bitmap = partialAt(metadata.layout, cache);
    const isLocal = (m[descriptor + C_FLAGS] & SLAB_LOCAL_PAGES) !== 0;
    if (hasBit(m, bitmap, head)) clearBit(m, bitmap, head);
    const keeps = this.table.isReady(cache) && (m[descriptor + C_FLAGS] & SLAB_WHOLE_PAGES) === 0;
    const slots = keeps ? parkedMax(m[descriptor + C_SIZE], metadata.layout.pageShift) : 0;
    for (let i = 0; i < slots; i++) {
      if (m[descriptor + C_PARKED + i] !== 0) continue;
      if (Atomics.compareExchange(m, descriptor + C_PARKED + i, 0, head) !== 0) continue;
      killPoint('slab.park-slot');
      const parked = CLAIM_USED | ownerBits(OWNER_PARKED) | m[descriptor + C_OBJECTS];
      Atomics.store(m, pageAt(metadata.layout, head) + PAGE_CLAIM, parked);
      // Destroyed in the meantime: whoever did that may have looked before the slab stood in the slot.
      if (!this.table.isReady(cache) && !isLocal) this.shrink(cache);
      return;
    }
    // User code does not run here, in the middle of a drain: the slab stays until its cache is shrunk.
    if (isLocal) this.letGo(cache, head, m[descriptor + C_OBJECTS], true);
    else this.releaseSlab(cache, head);
  }

  /** Claims a parked slab of the cache, on that node; its frame, or 0. */
  unpark(cache: number, node: number): number {
    const { m, metadata } = this;
    const descriptor = cacheAt(metadata.layout, cache);
    for (let i = 0; i < PARKED_MAX; i++) {
      const head = Atomics.load(m, descriptor + C_PARKED + i);
      if (head === 0 || (node !== NODE_ANY && nodeOf(metadata.layout, head) !== node)) continue;
      const at = pageAt(metadata.layout, head) + PAGE_CLAIM;
      const word = Atomics.load(m, at);
      if (ownerOf(word) !== OWNER_PARKED) continue;
      if (Atomics.compareExchange(m, at, word, (word & ~CLAIM_OWNER) | this.mine) !== word) continue;
      killPoint('slab.unparked');
      if (m[at - PAGE_CLAIM + PAGE_FLAGS] === flagsOf(KIND_SLAB, cache)) {
        this.forgetParked(cache, head);
        return head;
      }
      // Another cache's parked slab: the slot was read long ago.
      this.parkAgain(at, word);
    }
    return 0;
  }

  /** A parked slab, which this CPU has claimed by the word at `at`, goes back to where it was. */
  private parkAgain(at: number, word: number): void {
    const { m, metadata } = this;
    const cache = cacheOf(m[at - PAGE_CLAIM + PAGE_FLAGS]);
    const isLocal = (m[cacheAt(metadata.layout, cache) + C_FLAGS] & SLAB_LOCAL_PAGES) !== 0;
    Atomics.store(m, at, word);
    // As when it was parked first: whoever has destroyed its cache may have passed it by while it was held.
    if (!this.table.isReady(cache) && !isLocal) this.shrink(cache);
  }

  /** Clears every slot of the cache that names the slab, which this CPU holds. */
  forgetParked(cache: number, head: number): void {
    const descriptor = cacheAt(this.metadata.layout, cache);
    for (let i = 0; i < PARKED_MAX; i++) Atomics.compareExchange(this.m, descriptor + C_PARKED + i, head, 0);
  }

  /** Where a new slab that may lie anywhere is made: for `MEM_SPREAD`, on the nodes in turn. */
  private spreadNode(flags: number): number {
    if ((flags & SLAB.MEM_SPREAD) === 0) return NODE_ANY;
    this.spread = (this.spread + 1) % this.metadata.layout.nodes;
    return this.spread;
  }

  /** The node that an allocation must or should come from, or any. */
  private nodeFor(cache: number, gfp: GfpFlags, node: number): number {
    if (node !== NODE_ANY) return node;
    if ((gfp & GFP.THISNODE) !== 0) return this.cpu.node;
    return this.m[cacheAt(this.metadata.layout, cache) + C_NODE];
  }

  /** Frees the objects whose grace period is over; see slab/waiting.ts. */
  collectWaiting(): Collected {
    return collectWaiting(this.frames, this);
  }

  collectHeld(cache: number, head: number, collect: () => number): number {
    if (!this.claim(head, cache)) return -1;
    const collected = collect();
    const count = this.m[pageAt(this.metadata.layout, head) + PAGE_CLAIM] & COUNT_MASK;
    this.letGo(cache, head, count + collected, false);
    return collected;
  }

  /**
   * Runs `visit` on a slab while this CPU holds it; false if somebody else does. If it returns false, the slab is damaged:
   * it is frozen. If it returns a number, so many of its objects are FREE. For validation.
   */
  withSlab(cache: number, head: number, visit: () => unknown): boolean {
    if (!this.claim(head, cache)) return false;
    const count = this.m[pageAt(this.metadata.layout, head) + PAGE_CLAIM] & COUNT_MASK;
    let found: unknown;
    try {
      found = visit();
    } finally {
      // Of a cache that has been destroyed meanwhile nothing is kept: nobody would come for it.
      const keepsEmpty = this.table.isReady(cache);
      if (found !== false) this.letGo(cache, head, typeof found === 'number' ? found : count, keepsEmpty);
      else this.freeze(cache, head);
    }
    return true;
  }

  /**
   * Freezes a claimed slab whose metadata is damaged, and counts that as a report: no object is taken from it any more,
   * and it is never released. Objects of it that somebody has can still be freed; they stay where they are once
   * they come home.
   */
  freeze(cache: number, head: number): void {
    const { m, metadata } = this;
    Atomics.or(m, pageAt(metadata.layout, head) + PAGE_CLAIM, CLAIM_FROZEN);
    Atomics.add(m, H_REPORTS, 1);
    killPoint('slab.frozen');
    this.finishFreeze(cache, head);
  }

  /** The same for a parked slab. It stays parked if `visit` has found all its objects FREE. */
  withParked(cache: number, head: number, visit: () => number): void {
    const at = pageAt(this.metadata.layout, head) + PAGE_CLAIM;
    const word = Atomics.load(this.m, at);
    if (ownerOf(word) !== OWNER_PARKED) return;
    if (Atomics.compareExchange(this.m, at, word, (word & ~CLAIM_OWNER) | this.mine) !== word) return;
    const objects = this.m[cacheAt(this.metadata.layout, cache) + C_OBJECTS];
    let free = objects;
    try {
      if (this.m[at - PAGE_CLAIM + PAGE_FLAGS] === flagsOf(KIND_SLAB, cache)) free = visit();
    } finally {
      if (free === objects) this.parkAgain(at, word);
      else {
        this.forgetParked(cache, head);
        this.letGo(cache, head, free, false);
      }
    }
  }

  /** Freezes a parked slab; nothing happens if it is parked no more, or another cache's by now. */
  freezeParked(cache: number, head: number): void {
    const at = pageAt(this.metadata.layout, head) + PAGE_CLAIM;
    const word = Atomics.load(this.m, at);
    if (ownerOf(word) !== OWNER_PARKED) return;
    if (Atomics.compareExchange(this.m, at, word, (word & ~CLAIM_OWNER) | this.mine) !== word) return;
    if (this.m[at - PAGE_CLAIM + PAGE_FLAGS] === flagsOf(KIND_SLAB, cache)) this.freeze(cache, head);
    else this.parkAgain(at, word);
  }

  private finishFreeze(cache: number, head: number): void {
    const { m, metadata } = this;
    const at = pageAt(metadata.layout, head) + PAGE_CLAIM;
    const bitmap = partialAt(metadata.layout, cache);
    if (hasBit(m, bitmap, head)) clearBit(m, bitmap, head);
    this.forgetParked(cache, head);
    if (this.last[cache] === head) this.last[cache] = 0;
    Atomics.and(m, at, ~(CLAIM_OWNER | CLAIM_NEW));
  }

  /** Frees every object of a group's slab and releases it. False if somebody holds the slab. See slab/groupTable.ts. */
  empty(cache: number, head: number, group: number): boolean {
    const { m, s, metadata } = this;
    if (!this.claim(head, cache)) return false;
    const page = pageAt(metadata.layout, head);
    const descriptor = cacheAt(metadata.layout, cache);
    if (m[page + PAGE_GROUP] !== group) {
      this.letGo(cache, head, m[page + PAGE_CLAIM] & COUNT_MASK, false);
      return true;
    }
    const states = firstStateAt(m, descriptor, head);
    const used = m[descriptor + C_OBJECTS] - (m[page + PAGE_CLAIM] & COUNT_MASK);
    this.cpu.countOf(cache, STAT_SHEAF_FLUSH, used);
    s.fill(FREE, states, states + m[descriptor + C_OBJECTS]);
    Atomics.and(m, page + PAGE_CLAIM, ~CLAIM_PENDING);
    killPoint('group.slab-emptied');
    const bitmap = partialAt(metadata.layout, cache);
    if (hasBit(m, bitmap, head)) clearBit(m, bitmap, head);
    this.releaseSlab(cache, head);
    killPoint('group.released');
    return true;
  }

  /** For reap: takes over a dead CPU's slab. Recounts it from its states and lets go of it; true if that released it. */
  recover(cache: number, head: number): void {
    const { m, s, metadata } = this;
    const page = pageAt(metadata.layout, head);
    const descriptor = cacheAt(metadata.layout, cache);
    const found = m[page + PAGE_CLAIM];
    this.takeOver(page);
    this.forgetParked(cache, head);
    if ((found & CLAIM_FROZEN) !== 0) {
      this.finishFreeze(cache, head);
      return;
    }
    if ((found & CLAIM_NEW) !== 0) {
      // It may have died while it let go of it, the partial bit set already.
      clearBit(m, partialAt(metadata.layout, cache), head);
      this.releaseSlab(cache, head);
      return;
    }
    listWaiting(metadata, cache, head);
    const states = firstStateAt(m, descriptor, head);
    let count = 0;
    for (let index = 0; index < m[descriptor + C_OBJECTS]; index++) {
      if (s[states + index] === FREE) count++;
      if (isState(s[states + index]) || this.continues(cache, states, index)) continue;
      this.freeze(cache, head);
      return;
    }
    m[page + PAGE_FIRST_FREE] = 0;
    // It may have died while it collected pending objects, the bit cleared already: look again.
    Atomics.or(m, page + PAGE_CLAIM, CLAIM_PENDING);
    this.letGo(cache, head, count, false);
  }

  /** Whether a granule of a page that caches share belongs to the object before it. */
  private continues(cache: number, states: number, index: number): boolean {
    const { s } = this;
    return s[states + index] === CONTINUED && isSlob(this.metadata, cache) && s[states + index - 1] !== FREE;
  }

  /** Makes this CPU the owner of a claim word whose owner is dead. Only PENDING can change meanwhile, and only once. */
  private takeOver(page: number): void {
    const { m, mine } = this;
    for (let word = Atomics.load(m, page + PAGE_CLAIM); ; ) {
      const found = Atomics.compareExchange(m, page + PAGE_CLAIM, word, (word & ~CLAIM_OWNER) | mine);
      if (found === word) return;
      word = found;
    }
  }

  private fillFromPartial(
    cache: number,
    sheaf: number,
    have: number,
    want: number,
    gfp: GfpFlags,
    node: number,
    others: number,
  ): number {
    const { layout } = this.metadata;
    const preferred = node === NODE_ANY ? this.cpu.node : node;
    const onlyOne = layout.nodes === 1 || (gfp & GFP.THISNODE) !== 0 || node !== NODE_ANY;
    let n = have;
    for (let i = 0; n < want && i < (onlyOne ? 1 : layout.nodes); i++) {
      const candidate = (preferred + i) % layout.nodes;
      n = this.fillFromNode(
        cache,
        sheaf,
        n,
        want,
        nodeStart(layout, candidate),
        nodeStart(layout, candidate + 1),
        others,
      );
    }
    return n;
  }

  /**
   * One pass over the partial bitmap of a window, lowest slab first, so that the highest grow empty. `others`: how many slabs'
   * worth of free objects are left to other CPUs, in at most SKIPPED_MAX slabs (affinity.ts).
   */
  private fillFromNode(
    cache: number,
    sheaf: number,
    have: number,
    want: number,
    start: number,
    limit: number,
    others: number,
  ): number {
    const { m, metadata } = this;
    const bitmap = partialAt(metadata.layout, cache);
    const end = Math.min(limit, m[H_FRAMES]);
    let n = have;
    let toLeave = others * m[cacheAt(metadata.layout, cache) + C_OBJECTS];
    let skipped = 0;
    for (
      let pfn = nextSet(m, bitmap, start, end);
      n < want && pfn < end;
      pfn = nextSet(m, bitmap, pfn + 1, end)
    ) {
      if (toLeave > 0 && this.isOthers(pfn)) {
        toLeave -= m[pageAt(metadata.layout, pfn) + PAGE_CLAIM] & COUNT_MASK;
        if (skipped++ === SKIPPED_MAX) toLeave = 0;
        if (toLeave > 0) continue;
      }
      if (this.claim(pfn, cache)) n = this.take(cache, pfn, sheaf, n, want);
    }
    return n;
  }

  private isOthers(head: number): boolean {
    return isOthers(this.metadata, this.cpu, pageAt(this.metadata.layout, head));
  }

  /** A new slab, claimed, all objects FREE; 0 without memory, or if its constructor is user code. */
  newSlab(cache: number, gfp: GfpFlags, node: number): number {
    const { m, metadata } = this;
    const descriptor = cacheAt(metadata.layout, cache);
    const kind = m[descriptor + C_CONSTRUCTOR];
    if (kind === CONSTRUCTOR_FUNCTION || this.runsUserCode || !this.knowsPages(cache)) return 0;
    const head = this.publishSlab(cache, gfp, node, kind === CONSTRUCTOR_NONE ? 0 : CLAIM_NEW);
    if (head === 0) return 0;
    if (kind !== CONSTRUCTOR_NONE) this.copyTemplate(cache, head);
    const claim = CLAIM_USED | this.mine | m[descriptor + C_OBJECTS];
    Atomics.store(m, pageAt(metadata.layout, head) + PAGE_CLAIM, claim);
    return head;
  }

  /** Allocates the frames of a slab and makes them one, claimed by this CPU, with no object counted as FREE yet. */
  private publishSlab(cache: number, gfp: GfpFlags, node: number, claimFlags: number): number {
    const { m, metadata } = this;
    const descriptor = cacheAt(metadata.layout, cache);
    const frames = m[descriptor + C_FRAMES];
    const pages = this.sources.of(m[descriptor + C_FLAGS]);
    const at = node === NODE_ANY ? this.spreadNode(m[descriptor + C_FLAGS]) : node;
    const head = pages.allocateExact(frames, 2 ** m[descriptor + C_ORDER], gfp, at);
    if (head === 0) return 0;
    const page = pageAt(metadata.layout, head);
    const single = m[descriptor + C_OBJECTS] === 1;
    this.frames.describeTails(head, frames, single ? flagsOf(KIND_TAIL, 0) : flagsOf(KIND_SLAB_TAIL, cache));
    m[page + PAGE_FIRST_FREE] = 0;
    for (let pfn = head; pfn < head + framesOfSlab(m, descriptor); pfn++)
      describeSlab(metadata, descriptor, head, pfn);
    if ((m[descriptor + C_FLAGS] & SLAB_DEBUG) !== 0) initializeSlab(metadata, this.data, cache, head);
    Atomics.store(m, page + PAGE_CLAIM, CLAIM_USED | this.mine | claimFlags);
    killPoint('slab.described');
    m[page + PAGE_FLAGS] = flagsOf(KIND_SLAB, cache);
    killPoint('slab.published');
    this.frames.published();
    this.cpu.count(N_SLABS_ALLOCATED);
    this.cpu.countOf(cache, STAT_ALLOC_SLAB);
    return head;
  }

  /** Gives the frames of a claimed, empty slab, whose partial bit is clear, back to the page allocator. */
  releaseSlab(cache: number, head: number): void {
    const { m, metadata } = this;
    const descriptor = cacheAt(metadata.layout, cache);
    if (isSlob(metadata, cache)) clearNames(metadata, head);
    killPoint('slab.unpublished');
    if (this.last[cache] === head) this.last[cache] = 0;
    const pages = this.sources.of(m[descriptor + C_FLAGS]);
    if (this.runsUserCode) this.releaseByUser(cache, head, pages);
    else pages.freeExact(head, m[descriptor + C_FRAMES]);
    this.cpu.count(N_SLABS_FREED);
    this.cpu.countOf(cache, STAT_FREE_SLAB);
  }

  /** A destructor of the user's may throw: then the slab is still there, and is let go of. */
  private releaseByUser(cache: number, head: number, pages: PageAllocator): void {
    const { m, metadata } = this;
    const descriptor = cacheAt(metadata.layout, cache);
    const page = pageAt(metadata.layout, head);
    try {
      pages.freeExact(head, m[descriptor + C_FRAMES]);
    } catch (error) {
      const isOurs = ownerBits(ownerOf(m[page + PAGE_CLAIM])) === this.mine;
      if (isOurs && m[page + PAGE_FLAGS] === flagsOf(KIND_SLAB, cache))
        this.letGo(cache, head, m[descriptor + C_OBJECTS], true);
      throw error;
    }
  }

  private copyTemplate(cache: number, head: number): void {
    const { m, s, metadata } = this;
    const descriptor = cacheAt(metadata.layout, cache);
    const from = templateAt(metadata.layout, cache);
    const template = s.subarray(from, from + m[descriptor + C_TEMPLATE_BYTES]);
    const { u8 } = this.data.views();
    for (let index = 0; index < m[descriptor + C_OBJECTS]; index++) {
      u8.set(template, this.objectAddress(descriptor, head, index));
    }
  }

  private runConstructor(cache: number, head: number, constructor: (address: Address) => void): void {
    const descriptor = cacheAt(this.metadata.layout, cache);
    try {
      for (let index = 0; index < this.m[descriptor + C_OBJECTS]; index++) {
        constructor(this.objectAddress(descriptor, head, index));
      }
    } catch (error) {
      this.releaseSlab(cache, head);
      throw error;
    }
  }

  private objectAddress(descriptor: number, head: number, index: number): Address {
    const first = firstEntryOf(this.m, this.metadata.layout.pageShift, descriptor, head);
    return addressOf(first + Math.imul(index, this.m[descriptor + C_GRANULES]));
  }
}

/** Slabs over any page allocator (2006: `slabifier_allocator`). `table`: the heap's, if it is there already. */
export function slabifier(pages: PageAllocator, table?: CacheTable): Slabifier {
  return new Slabifier(pages, table);
}
