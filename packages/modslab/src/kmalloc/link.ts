/**
 * Allocating into a slot, and freeing from one: an object changes hands between the allocator and a word of the
 * application's data in one step, so that it is never lost in between, whenever the thread is killed.
 *
 * The CPU's record names the slot and the object: the *intent*. While the object is neither the allocator's nor the slot's,
 * the slot holds the CPU's *mark*, an odd number, which no address is:
 *
 *     allocInto:  object → scratch sheaf;  intent;  slot 0 → mark;  state ← LIVE, scratch ← 0;  slot mark → address;  intent ← 0
 *     freeFrom:   intent;  slot address → mark;  object → scratch sheaf;  slot mark → 0;  intent ← 0;  object → its slab
 *
 * All changes of the slot are compare-and-swaps. So one rule does for both:
 *
 *     the slot holds a dead CPU's mark ⇔ the object that its intent names is nobody's
 *
 * unless it stands in a scratch sheaf, and is put back from there. For a run of frames the claim word takes the place of
 * the scratch sheaf: the run is held by the CPU until it is LIVE, or from when it is not LIVE any more.
 *
 * | killed here, the slot holds             | ⇒ reap does this                                                   |
 * |-----------------------------------------|--------------------------------------------------------------------|
 * | the dead CPU's mark                     | frees the object, unless a scratch sheaf or a claim has it; slot ← 0 |
 * | anything else                           | nothing: the step is done, or has not begun                        |
 */

import { killPoint } from '../memory/assert.ts';
import { type Cpu, N_LARGE_ALLOCATED, N_LARGE_FREED } from '../memory/cpu.ts';
import type { DataMemory } from '../memory/data.ts';
import { addressOf, entryOf } from '../memory/entry.ts';
import { checkNumber, hex, invalid, SlabError } from '../memory/errors.ts';
import { checkGfp, GFP, type GfpFlags } from '../memory/gfp.ts';
import {
  C_FLAGS,
  C_OBJECTS,
  C_STRIDE,
  CPU_LINK_ENTRY,
  CPU_LINK_SLOT,
  CPU_SCRATCH,
  cacheAt,
  cpuAt,
  GRANULE_SHIFT,
  H_CPUS_TAKEN,
  PAIR_SHIFT,
  pageAt,
  SCRATCH_CAPACITY,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import {
  CLAIM_LIVE,
  CLAIM_USED,
  cacheOf,
  isLive,
  KIND_LARGE,
  KIND_NONE,
  kindOf,
  LIVE,
  PAGE_BASE,
  PAGE_CLAIM,
  PAGE_FLAGS,
  PAGE_REQUESTED,
  PAGE_STATES,
  PAGE_STRIDE,
} from '../page/page.ts';
import { type FrameAllocator, NODE_ANY } from '../page/pageAllocator.ts';
import { stateAt } from '../slab/cacheTable.ts';
import { makeInactive } from '../slab/debugObject.ts';
import { SLAB_DEBUG } from '../slab/flags.ts';
import { headOfRun } from '../slab/granules.ts';
import { checkAddress, checkObject } from '../slab/object.ts';
import type { Address } from '../slab/slabAllocator.ts';
import type { Slabifier } from '../slab/slabifier.ts';
import { zero } from './fill.ts';
import type { Kmalloc } from './kmalloc.ts';

/** What a slot holds while CPU `owner - 1` is at work on it: odd, so no address. */
const markOf = (owner: number): number => (owner << GRANULE_SHIFT) | 1;
const isMark = (word: number): boolean => (word & 7) === 1;

export class Links {
  private readonly metadata: Metadata;
  private readonly m: Int32Array;
  private readonly s: Uint8Array;
  private readonly cpu: Cpu;
  private readonly data: DataMemory;
  private readonly pages: FrameAllocator;
  private readonly slabifier: Slabifier;
  private readonly kmalloc: Kmalloc;

  constructor(
    metadata: Metadata,
    cpu: Cpu,
    data: DataMemory,
    pages: FrameAllocator,
    slabifier: Slabifier,
    kmalloc: Kmalloc,
  ) {
    this.metadata = metadata;
    this.m = metadata.m;
    this.s = metadata.s;
    this.cpu = cpu;
    this.data = data;
    this.pages = pages;
    this.slabifier = slabifier;
    this.kmalloc = kmalloc;
  }

  /** See `Heap.allocInto`. */
  allocInto(slotAddr: Address, size: number, gfp: GfpFlags): Address {
    const { kmalloc } = this;
    kmalloc.checkSize(size);
    checkGfp(gfp);
    this.cpu.checkOnline();
    const slot = this.checkSlot(slotAddr);
    this.checkEmpty(slot);
    return kmalloc.allocateWith(gfp, () =>
      kmalloc.isSmall(size) ? this.allocateSmall(slot, size, gfp) : this.allocateLarge(slot, size, gfp),
    );
  }

  /** See `Heap.freeFrom`. */
  freeFrom(slotAddr: Address): Address {
    const { metadata, m, cpu, kmalloc, slabifier } = this;
    cpu.checkOnline();
    const slot = this.checkSlot(slotAddr);
    const word = Atomics.load(this.slots, slot);
    if (word === 0 || isMark(word)) return 0;
    const address = word >>> 0;
    const pfn = checkAddress(metadata, address);
    const isLarge = kindOf(m[pageAt(metadata.layout, pfn) + PAGE_FLAGS]) === KIND_LARGE;
    const cache = isLarge ? 0 : checkObject(metadata, address, 0, slabifier.table);
    if (isLarge) kmalloc.ksize(address);
    this.intend(slot, entryOf(address));
    const mark = markOf(cpu.owner);
    if (Atomics.compareExchange(this.slots, slot, word, mark) !== word) {
      this.clear(cpu.record);
      return 0;
    }
    killPoint('link.unlinked');
    const decided = (): void => this.withdraw(cpu.record, slot, mark);
    const { table } = slabifier;
    const found = isLarge
      ? table.debugAllocator?.large.retire(pfn)
      : table.debugOf(cache)?.retire(cache, address);
    if (isLarge) {
      kmalloc.freeRun(pfn, address, decided);
      cpu.count(N_LARGE_FREED);
    } else if (!slabifier.putBack(cache, address, decided)) {
      decided();
      throw new SlabError('EDOUBLEFREE', `${hex(address)} is being freed with its group`, address);
    }
    if (found !== undefined) throw found;
    return address;
  }

  /** For reap: completes or undoes what a dead CPU's intent names. Before its runs and its sheaves are looked at. */
  finish(dead: number): void {
    const { m, metadata } = this;
    const record = cpuAt(metadata.layout, dead);
    const entry = m[record + CPU_LINK_ENTRY];
    const slot = m[record + CPU_LINK_SLOT];
    const mark = markOf(dead + 1);
    if (entry === 0) return;
    if (slot < this.slots.length && Atomics.load(this.slots, slot) === mark) {
      const decided = (): void => this.withdraw(record, slot, mark);
      if (!this.freeOrphan(entry, decided)) decided();
    }
    this.clear(record);
  }

  private get slots(): Int32Array {
    return this.data.views().i32;
  }

  private allocateSmall(slot: number, size: number, gfp: GfpFlags): Address {
    const { m, s, cpu, slabifier, metadata } = this;
    const cache = this.kmalloc.cacheFor(size, gfp);
    const node = (gfp & GFP.THISNODE) !== 0 ? cpu.node : NODE_ANY;
    if (cache === 0 || !slabifier.fillScratch(cache, gfp, node)) return 0;
    const at = cpu.scratch + (1 << PAIR_SHIFT);
    const entry = m[at];
    const address = addressOf(entry);
    const debugging = slabifier.table.debugOf(cache);
    if ((gfp & GFP.ZERO) !== 0 && debugging === undefined)
      zero(this.data, address, m[cacheAt(metadata.layout, cache) + C_STRIDE]);
    if (!this.reserve(slot, entry)) {
      slabifier.drain(cache, cpu.scratch, 1, 1);
      this.checkEmpty(slot);
      return 0;
    }
    s[m[at + 1]] = LIVE;
    m[at] = 0;
    killPoint('link.taken');
    debugging?.prepare(cache, address, size, gfp);
    return this.publish(slot, address);
  }

  private allocateLarge(slot: number, size: number, gfp: GfpFlags): Address {
    const { m, cpu, pages, metadata } = this;
    const pageSize = 2 ** metadata.layout.pageShift;
    const large = this.slabifier.table.debugAllocator?.large;
    const frames = Math.ceil((size + (large?.room ?? 0)) / pageSize);
    const node = (gfp & GFP.THISNODE) !== 0 ? cpu.node : NODE_ANY;
    const head = pages.allocateExact(frames, 1, gfp, node);
    if (head === 0) return 0;
    const address = head * pageSize;
    if ((gfp & GFP.ZERO) !== 0) zero(this.data, address, frames * pageSize);
    if (!this.reserve(slot, entryOf(address))) {
      pages.freeExact(head, frames);
      this.checkEmpty(slot);
      return 0;
    }
    m[pageAt(metadata.layout, head) + PAGE_REQUESTED] = size;
    pages.publishRun(head, frames, KIND_LARGE, CLAIM_LIVE);
    cpu.count(N_LARGE_ALLOCATED);
    killPoint('link.taken');
    large?.prepare(head, size);
    return this.publish(slot, address);
  }

  /** Writes the intent and puts the mark into the slot; false, and nothing changed, if that is not empty any more. */
  private reserve(slot: number, entry: number): boolean {
    this.intend(slot, entry);
    if (Atomics.compareExchange(this.slots, slot, 0, markOf(this.cpu.owner)) !== 0) {
      this.clear(this.cpu.record);
      return false;
    }
    killPoint('link.marked');
    return true;
  }

  private publish(slot: number, address: Address): Address {
    const mark = markOf(this.cpu.owner);
    const found = Atomics.compareExchange(this.slots, slot, mark, address | 0);
    killPoint('link.published');
    this.clear(this.cpu.record);
    if (found === mark) return address;
    // Somebody has written over the mark, with a plain store: what stands there now is theirs.
    this.kmalloc.kfree(address);
    throw this.isTaken(slot);
  }

  private intend(slot: number, entry: number): void {
    const { m, cpu } = this;
    m[cpu.record + CPU_LINK_SLOT] = slot;
    m[cpu.record + CPU_LINK_ENTRY] = entry;
  }

  private clear(record: number): void {
    this.m[record + CPU_LINK_ENTRY] = 0;
  }

  /** The object is on its way back: the slot becomes empty. */
  private withdraw(record: number, slot: number, mark: number): void {
    Atomics.compareExchange(this.slots, slot, mark, 0);
    this.clear(record);
  }

  /** Frees the object of a dead CPU's intent, unless it is being put back already; false if there is nothing to free. */
  private freeOrphan(entry: number, decided: () => void): boolean {
    const { m, s, metadata, slabifier } = this;
    const address = addressOf(entry);
    const pfn = address >>> metadata.layout.pageShift;
    const page = pageAt(metadata.layout, pfn);
    const flags = m[page + PAGE_FLAGS];
    if (kindOf(flags) === KIND_LARGE) {
      if (Atomics.load(m, page + PAGE_CLAIM) !== (CLAIM_USED | CLAIM_LIVE)) return false;
      this.kmalloc.freeRun(pfn, address, decided);
      return true;
    }
    const cache = cacheOf(flags);
    if (cache === 0 || this.isInScratch(entry)) return false;
    if (!isLive(s[stateAt(m, cacheAt(metadata.layout, cache), entry)])) return false;
    if ((m[cacheAt(metadata.layout, cache) + C_FLAGS] & SLAB_DEBUG) !== 0)
      makeInactive(metadata, this.data, cache, address);
    return slabifier.putBack(cache, address, decided);
  }

  /** Whether the object stands in a scratch sheaf of any CPU, from where it is put back. */
  private isInScratch(entry: number): boolean {
    const { m, metadata } = this;
    for (let id = 0; id < m[H_CPUS_TAKEN]; id++) {
      const scratch = cpuAt(metadata.layout, id) + CPU_SCRATCH;
      for (let i = 1; i <= SCRATCH_CAPACITY; i++) if (m[scratch + (i << PAIR_SHIFT)] === entry) return true;
    }
    return false;
  }

  /** The slot's index among the data's 32-bit words. Throws unless it lies in something that is live. */
  private checkSlot(slotAddr: Address): number {
    const { m, s, metadata } = this;
    checkNumber('the address of a slot', slotAddr);
    if (slotAddr % 4 !== 0)
      invalid(`a slot is a 32-bit word: its address is a multiple of 4, not ${hex(slotAddr)}`);
    const page = pageAt(metadata.layout, checkAddress(metadata, slotAddr));
    const flags = m[page + PAGE_FLAGS];
    let isIn = kindOf(flags) !== KIND_NONE;
    if (cacheOf(flags) !== 0) {
      const index = Math.floor((slotAddr - (m[page + PAGE_BASE] >>> 0)) / m[page + PAGE_STRIDE]);
      const objects = m[cacheAt(metadata.layout, cacheOf(flags)) + C_OBJECTS];
      isIn = index >= 0 && index < objects && isLive(s[headOfRun(s, m[page + PAGE_STATES] + index)]);
    }
    if (!isIn) throw new SlabError('EFAULT', `the slot at ${hex(slotAddr)} lies in no live object`, slotAddr);
    return slotAddr >>> 2;
  }

  private checkEmpty(slot: number): void {
    if (Atomics.load(this.slots, slot) !== 0) throw this.isTaken(slot);
  }

  private isTaken(slot: number): SlabError {
    const word = Atomics.load(this.slots, slot);
    const what = isMark(word) ? 'in use by another thread' : `not empty: it holds ${hex(word >>> 0)}`;
    return new SlabError('EBUSY', `the slot at ${hex(slot * 4)} is ${what}`, slot * 4);
  }
}
