/**
 * The table of cache descriptors (memory/layout.ts draws one). A descriptor's state word is its claim:
 *
 *     31 … 16 generation │ 14 … 4 creator + 1 │ 3 … 0 status          [A]
 *
 *     NONE ──▶ CREATING ──▶ CANDIDATE ──▶ READY ──destroy──▶ DYING ──▶ CREATING (reused)
 *                  └────────────┴──▶ NONE
 *
 * Names are unique without a lock. A creator fills its descriptor, makes it a CANDIDATE, and then looks at all others:
 * a READY one of its name wins, so it withdraws; a CANDIDATE of its name is made to withdraw (compare-and-swap to
 * NONE). Only a candidate that nobody made withdraw becomes READY. All these are atomic, hence in one order: of two
 * candidates at least one sees the other, so never do both become READY. Both may lose; then they try again.
 *
 * A DYING cache is one whose user has destroyed it while other CPUs still keep objects of it in their sheaves. They
 * drain them at their next slow path (the header's epoch tells them). Its descriptor may be reused once no slab
 * carries its number and no sheaf of it is owned.
 *
 * Slot 0 is never used: a page that carries no slab has cache number 0, which fails the fast path's first test.
 *
 * | killed here                          | ⇒ reap does this                          |
 * |--------------------------------------|-------------------------------------------|
 * | CREATING or CANDIDATE                | NONE                                      |
 * | DYING, its empty slabs not yet released | releases them                             |
 */

import { assert, failPoint, killPoint } from '../memory/assert.ts';
import type { Cpu } from '../memory/cpu.ts';
import { invalid, SlabError } from '../memory/errors.ts';
import type { GfpFlags } from '../memory/gfp.ts';
import {
  C_ALIGN,
  C_CAPACITY,
  C_CONSTRUCTOR,
  C_FLAGS,
  C_FRAMES,
  C_GRANULES,
  C_LEFT,
  C_MERGED,
  C_NAME,
  C_NAME_LENGTH,
  C_NODE,
  C_OBJECTS,
  C_OFFSET_MASK,
  C_ORDER,
  C_PARKED,
  C_RECIPROCAL,
  C_RECIPROCAL_SHIFT,
  C_REFERENCES,
  C_SIZE,
  C_SLAB_SHIFT,
  C_SLOB_PAGES,
  C_STATE_SHIFT,
  C_STATES,
  C_STRIDE,
  C_TEMPLATE_BYTES,
  C_TRACK,
  C_TRACKED_BYTES_PEAK,
  C_TRACKED_LIVE,
  C_USER_OFFSET,
  C_USER_SIZE,
  cacheAt,
  GRANULE_SHIFT,
  H_CACHES_TAKEN,
  H_EPOCH,
  NAME_BYTES,
  PARKED_MAX,
  pageAt,
  SHEAF_WORDS,
  sheavesAt,
  TEMPLATE_BYTES_MAX,
  templateAt,
  WORD_SHIFT,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { decodeText, encodeText } from '../memory/text.ts';
import { cacheOf, PAGE_FLAGS } from '../page/page.ts';
import type { Address, CacheSpec } from './cacheSpec.ts';
import { SLAB_DEBUG, SLAB_OWN_ALLOCATOR, SLAB_SLOB } from './flags.ts';
import { slabGeometry } from './geometry.ts';
import { hasRuns } from './granules.ts';

export const CACHE_NONE = 0;
export const CACHE_CREATING = 1;
export const CACHE_CANDIDATE = 2;
export const CACHE_READY = 3;
export const CACHE_DYING = 4;
const STATUS_MASK = 15;
const CREATOR_SHIFT = 4;
const CREATOR_MASK = 0x7ff;
const GENERATION_SHIFT = 16;

export const CONSTRUCTOR_NONE = 0;
export const CONSTRUCTOR_FUNCTION = 1;
export const CONSTRUCTOR_TEMPLATE = 2;

/** Two creators of one name make each other withdraw at most this often before one is told so. */
const NAME_TRIES = 16;

export const cacheStatus = (state: number): number => state & STATUS_MASK;
export const cacheCreator = (state: number): number => (state >>> CREATOR_SHIFT) & CREATOR_MASK;
export const cacheGeneration = (state: number): number => state >>> GENERATION_SHIFT;
const stateWord = (status: number, creator: number, generation: number): number =>
  ((generation & 0xffff) << GENERATION_SHIFT) | (creator << CREATOR_SHIFT) | status;

/** What kfree and the heap's handles need of a thread's own allocator for a cache. Every SlabAllocator has it. */
export interface CacheAllocator {
  readonly name: string;
  alloc(cache: number, gfp: GfpFlags): Address;
  allocNode(cache: number, gfp: GfpFlags, node: number): Address;
  free(cache: number, address: Address): void;
}

/** What slab debugging does for large objects: runs of frames that begin at `head`. */
export interface LargeDebugging {
  readonly flags: number;
  /** Bytes that a run must have besides those asked for. */
  readonly room: number;
  prepare(head: number, requested: number): void;
  retire(head: number): SlabError | undefined;
  resize(head: number, size: number): boolean;
  usable(head: number): number;
}

/** What slab debugging does for the caches of a thread that have it; see slab/debugAllocator.ts. */
export interface DebugCacheAllocator extends CacheAllocator {
  /** The same for objects of kmalloc that are in no cache; see slab/largeObjects.ts. */
  readonly large: LargeDebugging;
  allocSized(cache: number, gfp: GfpFlags, node: number, requested: number): Address;
  prepare(cache: number, address: Address, requested: number, gfp: GfpFlags): void;
  retire(cache: number, address: Address, isDeferred?: boolean): SlabError | undefined;
  requested(cache: number, address: Address): number;
  resize(cache: number, address: Address, size: number, gfp: GfpFlags): boolean;
  releaseHeld(cache: number): void;
  releaseStale(): void;
  explain(error: unknown): void;
}

/** The highest number of a cache that can have its objects in slob pages, where they name it in a byte. */
const SLOB_CACHE_MAX = 255;

/** The descriptors of a heap, as one CPU works on them. */
export class CacheTable {
  /** This thread's slab debugging, once there is one. */
  debugAllocator?: DebugCacheAllocator;
  private readonly metadata: Metadata;
  private readonly m: Int32Array;
  private readonly cpu: Cpu;
  /** This thread's own allocators for caches that have one, each for one generation of a number. */
  private readonly allocators: Map<number, { generation: number; allocator: CacheAllocator }> = new Map();
  /** Names by number, each with the state word that it was read under. */
  private readonly names: ({ readonly state: number; readonly name: string } | undefined)[] = [];
  /**
   * The cache that this thread took out of use last, or 0. The allocators of a stack destroy a cache one after the other, by
   * its number; by the second one's turn another thread may have a new cache of that number.
   */
  private givenUp = 0;
  private isUnshared = false;

  constructor(metadata: Metadata, cpu: Cpu) {
    this.metadata = metadata;
    this.m = metadata.m;
    this.cpu = cpu;
  }

  /** Objects of the cache are to be allocated and freed through `allocator`, on this thread. */
  setAllocator(id: number, allocator: CacheAllocator): void {
    this.allocators.set(id, { generation: this.generation(id), allocator });
  }

  /**
   * The allocator that the cache's objects must go through on this thread; undefined for ordinary caches. Throws `EINVAL`
   * if the cache has one that this thread has not made.
   */
  allocatorOf(id: number): CacheAllocator | undefined {
    if ((this.m[cacheAt(this.metadata.layout, id) + C_FLAGS] & SLAB_OWN_ALLOCATOR) === 0)
      return this.debugOf(id);
    const known = this.allocators.get(id);
    if (known?.generation === this.generation(id)) return known.allocator;
    const name = this.name(id);
    invalid(
      `cache '${name}' was made by a derived allocator: make the same one on this thread and adopt() it`,
      name,
    );
  }

  /** This thread's slab debugging, if the cache has some. */
  debugOf(id: number): DebugCacheAllocator | undefined {
    const flags = this.m[cacheAt(this.metadata.layout, id) + C_FLAGS];
    return (flags & SLAB_DEBUG) === 0 ? undefined : this.debugAllocator;
  }

  /**
   * For what `act` creates in a heap that no other thread knows yet, under names of its own that all differ: the next number
   * is free, nobody else creates, and the counters are zero. Without the searches for all that `Heap.create` takes half the time.
   */
  whileUnshared(act: () => void): void {
    this.isUnshared = true;
    try {
      act();
    } finally {
      this.isUnshared = false;
    }
  }

  private createUnshared(spec: CacheSpec): number {
    const { m, metadata } = this;
    const id = Math.max(1, m[H_CACHES_TAKEN]);
    const at = cacheAt(metadata.layout, id);
    assert(id < metadata.layout.caches && m[at] === 0, 'a descriptor that has never been used');
    this.fillIn(id, spec, encodeText(spec.name));
    m[H_CACHES_TAKEN] = id + 1;
    m[at] = stateWord(CACHE_READY, 0, 1);
    return id;
  }

  /** Creates a descriptor and makes it READY. Returns its number. Cost: O(caches), a few atomics. */
  create(spec: CacheSpec): number {
    if (this.isUnshared) return this.createUnshared(spec);
    const name = encodeText(spec.name);
    if (name.length > NAME_BYTES)
      invalid(`a cache's name has at most ${NAME_BYTES} bytes of UTF-8: '${spec.name}'`);
    if (decodeText(name, 0, name.length) !== spec.name) invalid(`a cache's name must be well-formed Unicode`);
    if (spec.ctor instanceof Uint8Array && spec.ctor.length > TEMPLATE_BYTES_MAX) {
      invalid(`a template has at most ${TEMPLATE_BYTES_MAX} bytes, not ${spec.ctor.length}`, spec.name);
    }
    for (let attempt = 0; attempt < NAME_TRIES; attempt++) {
      if (this.findNamed(name) !== 0)
        invalid(`there is a cache '${spec.name}' already: open it with heap.cache()`, spec.name);
      const id = this.claimSlot();
      if (id === this.givenUp) this.givenUp = 0;
      killPoint('cache.created-slot');
      const state = Atomics.load(this.m, cacheAt(this.metadata.layout, id));
      this.fillIn(id, spec, name);
      if (this.publish(id, cacheGeneration(state), name)) return id;
    }
    throw new SlabError(
      'EBUSY',
      `another thread is creating a cache '${spec.name}' too`,
      undefined,
      spec.name,
    );
  }

  /** The number of the READY cache of that name, or 0. */
  find(name: string): number {
    return this.findNamed(encodeText(name));
  }

  private findNamed(name: Uint8Array): number {
    const { m, metadata } = this;
    for (let id = 1, end = this.taken(); id < end; id++) {
      const state = Atomics.load(m, cacheAt(metadata.layout, id));
      if (cacheStatus(state) === CACHE_READY && this.isNamed(id, name)) return id;
    }
    return 0;
  }

  /** Numbers of all READY caches. */
  ready(): number[] {
    const { m, metadata } = this;
    const ids: number[] = [];
    for (let id = 1, end = this.taken(); id < end; id++) {
      if (cacheStatus(Atomics.load(m, cacheAt(metadata.layout, id))) === CACHE_READY) ids.push(id);
    }
    return ids;
  }

  /** Numbers of all descriptors that somebody has, ready or not. */
  inUse(): number[] {
    const { m, metadata } = this;
    const ids: number[] = [];
    for (let id = 1, end = this.taken(); id < end; id++) {
      const status = cacheStatus(Atomics.load(m, cacheAt(metadata.layout, id)));
      if (status !== CACHE_NONE && status !== CACHE_DYING) ids.push(id);
    }
    return ids;
  }

  /** Whether the cache shares another one's slabs. */
  isMerged(id: number): boolean {
    return this.m[cacheAt(this.metadata.layout, id) + C_MERGED] !== 0;
  }

  /** Whether a descriptor has that name, in UTF-8. Names differ near their ends, if their lengths do not. */
  private isNamed(id: number, name: Uint8Array): boolean {
    const { m, s, layout } = this.metadata;
    const cache = cacheAt(layout, id);
    if (m[cache + C_NAME_LENGTH] !== name.length) return false;
    const start = (cache + C_NAME) << WORD_SHIFT;
    for (let i = name.length - 1; i >= 0; i--) if (s[start + i] !== name[i]) return false;
    return true;
  }

  /** The cache's name. Decoded once for each use of the descriptor. */
  name(id: number): string {
    const cache = cacheAt(this.metadata.layout, id);
    const state = Atomics.load(this.m, cache);
    const known = this.names[id];
    if (known?.state === state) return known.name;
    const name = decodeText(this.metadata.s, (cache + C_NAME) << WORD_SHIFT, this.m[cache + C_NAME_LENGTH]);
    // Until then its creator may still be writing it.
    if (cacheStatus(state) === CACHE_READY) this.names[id] = { state, name };
    return name;
  }

  /** The state word's generation, which tells a descriptor's uses apart. */
  generation(id: number): number {
    return cacheGeneration(Atomics.load(this.m, cacheAt(this.metadata.layout, id)));
  }

  isReady(id: number): boolean {
    return cacheStatus(Atomics.load(this.m, cacheAt(this.metadata.layout, id))) === CACHE_READY;
  }

  /** Throws `EINVAL` unless `id` is the number of a cache in use. For allocators that are given numbers by users. */
  checkReady(id: number): void {
    if (Number.isInteger(id) && id > 0 && id < this.metadata.layout.caches && this.isReady(id)) return;
    invalid(`${String(id)} is the number of no cache: it was destroyed, or create() has never returned it`);
  }

  isDying(id: number): boolean {
    return cacheStatus(Atomics.load(this.m, cacheAt(this.metadata.layout, id))) === CACHE_DYING;
  }

  /** READY → DYING. False if somebody else destroyed it first: then its state word is no longer `state`. */
  beginDestroy(id: number, state: number = Atomics.load(this.m, cacheAt(this.metadata.layout, id))): boolean {
    if (cacheStatus(state) !== CACHE_READY) return false;
    const dying = stateWord(CACHE_DYING, 0, cacheGeneration(state));
    return Atomics.compareExchange(this.m, cacheAt(this.metadata.layout, id), state, dying) === state;
  }

  /** One reference more. */
  addReference(id: number): void {
    Atomics.add(this.m, cacheAt(this.metadata.layout, id) + C_REFERENCES, 1);
  }

  /** References to a cache: 1 unless `dup` or merging has added some. */
  references(id: number): number {
    return Atomics.load(this.m, cacheAt(this.metadata.layout, id) + C_REFERENCES);
  }

  /** Whether this thread has taken the cache out of use, so that nothing but draining is left to do. */
  hasGivenUp(id: number): boolean {
    return this.givenUp === id;
  }

  /**
   * Drops a reference, and with the last one takes the cache out of use; whether it is out of use. Of several threads that
   * drop the last one at the same time a single one does it. With `generation`, the others, and whoever means a cache that
   * is gone, get `EINVAL`; without, they are told that it is out of use.
   */
  dropReference(id: number, generation?: number): boolean {
    const at = cacheAt(this.metadata.layout, id);
    const state = Atomics.load(this.m, at);
    const isMeant = generation === undefined || cacheGeneration(state) === generation;
    this.givenUp = 0;
    if (cacheStatus(state) === CACHE_READY && isMeant) {
      if (this.dropOneOfSeveral(at)) return false;
      if (this.beginDestroy(id, state)) {
        this.allocators.delete(id);
        this.givenUp = id;
        killPoint('cache.dying');
        Atomics.add(this.m, H_EPOCH, 1);
        return true;
      }
    }
    if (generation !== undefined) invalid('the cache has been destroyed by another thread at the same time');
    return true;
  }

  /** One reference less, unless it is the last: that one goes with the state word. */
  private dropOneOfSeveral(cache: number): boolean {
    const at = cache + C_REFERENCES;
    for (let count = Atomics.load(this.m, at); count > 1; count = Atomics.load(this.m, at)) {
      if (Atomics.compareExchange(this.m, at, count, count - 1) === count) return true;
    }
    return false;
  }

  /** For reap: gives up what a dead creator had begun. */
  abandon(creator: number): void {
    const { m, metadata } = this;
    for (let id = 1, end = this.taken(); id < end; id++) {
      const at = cacheAt(metadata.layout, id);
      const state = Atomics.load(m, at);
      const status = cacheStatus(state);
      if ((status === CACHE_CREATING || status === CACHE_CANDIDATE) && cacheCreator(state) === creator) {
        Atomics.compareExchange(m, at, state, stateWord(CACHE_NONE, 0, cacheGeneration(state)));
      }
    }
  }

  /** Descriptors from this number on have never been claimed. */
  private taken(): number {
    return Atomics.load(this.m, H_CACHES_TAKEN);
  }

  /** Raises `taken` above the number of a descriptor that is about to be claimed. */
  private take(id: number): void {
    const { m } = this;
    for (let taken = this.taken(); taken <= id; taken = this.taken())
      Atomics.compareExchange(m, H_CACHES_TAKEN, taken, id + 1);
  }

  private claimSlot(): number {
    if (failPoint('cache descriptor')) throw new SlabError('ENOMEM', 'no cache descriptor (by a test)');
    const { m, metadata, cpu } = this;
    for (let id = 1; id < metadata.layout.caches; id++) {
      const at = cacheAt(metadata.layout, id);
      const state = Atomics.load(m, at);
      const status = cacheStatus(state);
      if (status !== CACHE_NONE && !(status === CACHE_DYING && this.isGone(id))) continue;
      const claimed = stateWord(CACHE_CREATING, cpu.owner, cacheGeneration(state) + 1);
      this.take(id);
      if (Atomics.compareExchange(m, at, state, claimed) === state) return id;
    }
    throw new SlabError(
      'ENOMEM',
      `all ${metadata.layout.caches - 1} cache descriptors are in use: destroy a cache`,
    );
  }

  /** Whether nothing of a DYING cache is left: no slab, no sheaf that a CPU or a barn has, no object in a shared page. */
  private isGone(id: number): boolean {
    const { m, metadata } = this;
    const { layout } = metadata;
    const sheaves = sheavesAt(layout, id);
    for (let i = 0; i < layout.sheavesPerCache; i++) {
      if (Atomics.load(m, sheaves + i * SHEAF_WORDS) !== 0) return false;
    }
    for (let pfn = layout.startFrame; pfn < layout.maxFrames; pfn++) {
      if (cacheOf(m[pageAt(layout, pfn) + PAGE_FLAGS]) === id) return false;
    }
    return !hasRuns(metadata, id);
  }

  private fillIn(id: number, spec: CacheSpec, name: Uint8Array): void {
    const { m, metadata } = this;
    const { layout } = metadata;
    const cache = cacheAt(layout, id);
    const flags = id > SLOB_CACHE_MAX ? spec.flags & ~SLAB_SLOB : spec.flags;
    const geometry = slabGeometry(spec.size, spec.align, flags, layout.pageShift);
    m[cache + C_SIZE] = spec.size;
    m[cache + C_STRIDE] = geometry.stride;
    m[cache + C_ALIGN] = geometry.align;
    m[cache + C_LEFT] = geometry.left >>> GRANULE_SHIFT;
    m[cache + C_TRACK] = geometry.track;
    m.fill(0, cache + C_TRACKED_LIVE, cache + C_TRACKED_BYTES_PEAK + 1);
    m[cache + C_FLAGS] = flags;
    m[cache + C_FRAMES] = geometry.frames;
    m[cache + C_OBJECTS] = geometry.objects;
    m[cache + C_RECIPROCAL] = geometry.reciprocal;
    m[cache + C_RECIPROCAL_SHIFT] = geometry.reciprocalShift;
    m[cache + C_STATES] = layout.stateRegions[geometry.stateRegion] ?? 0;
    m[cache + C_STATE_SHIFT] = geometry.stateShift;
    m[cache + C_GRANULES] = geometry.granules;
    m[cache + C_SLAB_SHIFT] = geometry.slabShift;
    m[cache + C_OFFSET_MASK] = geometry.offsetMask;
    m[cache + C_CAPACITY] = geometry.capacity;
    m[cache + C_ORDER] = geometry.order;
    m[cache + C_NODE] = spec.node;
    m[cache + C_USER_OFFSET] = spec.useroffset;
    m[cache + C_USER_SIZE] = spec.usersize;
    m[cache + C_REFERENCES] = 1;
    m[cache + C_MERGED] = spec.merged ?? 0;
    m[cache + C_SLOB_PAGES] = 0;
    for (let i = 0; i < PARKED_MAX; i++) m[cache + C_PARKED + i] = 0;
    m[cache + C_NAME_LENGTH] = name.length;
    metadata.s.set(name, (cache + C_NAME) << WORD_SHIFT);
    this.fillInConstructor(id, spec.ctor);
    if (!this.isUnshared) this.cpu.clearCountersOf(id);
  }

  private fillInConstructor(id: number, constructor: CacheSpec['ctor']): void {
    const { m, s, layout } = this.metadata;
    const cache = cacheAt(layout, id);
    m[cache + C_TEMPLATE_BYTES] = 0;
    if (constructor === undefined) {
      m[cache + C_CONSTRUCTOR] = CONSTRUCTOR_NONE;
    } else if (typeof constructor === 'function') {
      m[cache + C_CONSTRUCTOR] = CONSTRUCTOR_FUNCTION;
    } else {
      m[cache + C_CONSTRUCTOR] = CONSTRUCTOR_TEMPLATE;
      m[cache + C_TEMPLATE_BYTES] = constructor.length;
      s.set(constructor, templateAt(layout, id));
    }
  }

  private publish(id: number, generation: number, name: Uint8Array): boolean {
    const { m, metadata, cpu } = this;
    const at = cacheAt(metadata.layout, id);
    const candidate = stateWord(CACHE_CANDIDATE, cpu.owner, generation);
    Atomics.store(m, at, candidate);
    killPoint('cache.candidate');
    if (this.makeOthersWithdraw(id, name)) {
      return Atomics.compareExchange(m, at, candidate, stateWord(CACHE_READY, 0, generation)) === candidate;
    }
    Atomics.compareExchange(m, at, candidate, stateWord(CACHE_NONE, 0, generation));
    return false;
  }

  /** False if a READY cache has the name, or is the same alias of the same cache. */
  private makeOthersWithdraw(own: number, name: Uint8Array): boolean {
    const { m, metadata } = this;
    const merged = m[cacheAt(metadata.layout, own) + C_MERGED];
    for (let id = 1, end = this.taken(); id < end; id++) {
      if (id === own) continue;
      const at = cacheAt(metadata.layout, id);
      const state = Atomics.load(m, at);
      const status = cacheStatus(state);
      if (status !== CACHE_CANDIDATE && status !== CACHE_READY) continue;
      const isSameAlias = merged !== 0 && m[at + C_MERGED] === merged;
      if (!isSameAlias && !this.isNamed(id, name)) continue;
      if (status === CACHE_READY) return false;
      const withdrawn = stateWord(CACHE_NONE, 0, cacheGeneration(state));
      const found = Atomics.compareExchange(m, at, state, withdrawn);
      if (found !== state && cacheStatus(found) === CACHE_READY) return false;
    }
    return true;
  }
}

const tables: WeakMap<Cpu, CacheTable> = new WeakMap();

/** The one table that all slab allocators of a CPU have in common. */
export function cacheTableOf(metadata: Metadata, cpu: Cpu): CacheTable {
  let table = tables.get(cpu);
  if (table === undefined) {
    table = new CacheTable(metadata, cpu);
    tables.set(cpu, table);
  }
  return table;
}

/** The byte offset of the state of the object that `entry` (an object of cache `id`) names. */
export function stateAt(m: Int32Array, cache: number, entry: number): number {
  const offset = entry & m[cache + C_OFFSET_MASK];
  const index = Math.imul(offset, m[cache + C_RECIPROCAL]) >>> m[cache + C_RECIPROCAL_SHIFT];
  return m[cache + C_STATES] + ((entry >>> m[cache + C_SLAB_SHIFT]) << m[cache + C_STATE_SHIFT]) + index;
}

/** The byte offset of the state of the first object of the slab at frame `head`. */
export function firstStateAt(m: Int32Array, cache: number, head: number): number {
  return m[cache + C_STATES] + ((head >>> m[cache + C_ORDER]) << m[cache + C_STATE_SHIFT]);
}

/** The first frame of the slab that `entry` lies in. */
export function headOf(m: Int32Array, cache: number, entry: number): number {
  return (entry >>> m[cache + C_SLAB_SHIFT]) << m[cache + C_ORDER];
}

/** The entry of the first object of the slab at frame `head`, of the cache whose descriptor is at `cache`. */
export function firstEntryOf(m: Int32Array, pageShift: number, cache: number, head: number): number {
  return (head << (pageShift - GRANULE_SHIFT)) + m[cache + C_LEFT];
}

/** Bytes of an object that its user may have: the stride, unless debugging has something between two objects. */
export function usableBytes(m: Int32Array, cache: number): number {
  return (m[cache + C_FLAGS] & SLAB_DEBUG) === 0 ? m[cache + C_STRIDE] : m[cache + C_SIZE];
}
