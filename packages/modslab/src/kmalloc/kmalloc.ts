/**
 * The kmalloc subsystem: memory of any size from caches of a few (MODSLAB 3/7, 2006).
 *
 * A size finds its cache by one table lookup, an address finds it in its page descriptor (`virtToPage`): so `kfree`
 * needs no size, and an object carries no header. Above the largest class, whole pages: a run of frames whose
 * descriptor says LARGE; so too for a smaller size whose slabs want more adjacent frames than are free. The fast paths,
 * below, fit on one screen; all else is slow path.
 *
 * | killed here                                           | ⇒ reap does this                          |
 * |-------------------------------------------------------|-------------------------------------------|
 * | large object: frames claimed, not yet LIVE            | releases them (page/pageAllocator.ts)     |
 * | large object: LIVE, address not yet returned          | nothing: it is an object of the dead thread |
 * | free of a large object: claimed, not yet released     | releases its frames                       |
 * | bulk free: some objects marked                        | nothing: a marked object is a live one    |
 */

import { killPoint } from '../memory/assert.ts';
import { type Cpu, N_LARGE_ALLOCATED, N_LARGE_FREED, STAT_ORDER_FALLBACK } from '../memory/cpu.ts';
import type { DataMemory } from '../memory/data.ts';
import { checkInteger, checkPowerOfTwo, hex, invalid, SlabError } from '../memory/errors.ts';
import { checkGfp, GFP, GFP_SLOW, type GfpFlags } from '../memory/gfp.ts';
import {
  C_ALIGN,
  C_FRAMES,
  C_STRIDE,
  cacheAt,
  GRANULE_SHIFT,
  H_DMA_END,
  H_DMA_START,
  H_KMALLOC_CACHES,
  type Layout,
  PAGE_WORDS_SHIFT,
  pageAt,
  windowBytes,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { deferRun } from '../page/deferred.ts';
import {
  CACHE_MASK,
  CLAIM_LIVE,
  CLAIM_USED,
  cacheOf,
  KIND_LARGE,
  KIND_PAGES,
  kindOf,
  ownerBits,
  PAGE_CLAIM,
  PAGE_FLAGS,
  PAGE_GROUP,
  PAGE_HEAD,
  PAGE_REQUESTED,
  PAGE_RUN,
} from '../page/page.ts';
import { type FrameAllocator, NODE_ANY } from '../page/pageAllocator.ts';
import { type CacheTable, usableBytes } from '../slab/cacheTable.ts';
import type { Charges } from '../slab/charge.ts';
import { debugContextOf, wasCompleted } from '../slab/debugAllocator.ts';
import { SLAB, type SlabFlags } from '../slab/flags.ts';
import { isSlob } from '../slab/granules.ts';
import { checkAddress, checkObject } from '../slab/object.ts';
import { HOT_SHIFT, type Sheaves } from '../slab/sheaves.ts';
import type { Address, AddressArray } from '../slab/slabAllocator.ts';
import type { Slabifier } from '../slab/slabifier.ts';
import { deferObject } from '../slab/waiting.ts';
import { CallSites } from './callSites.ts';
import { copy, zero } from './fill.ts';
import type { GroupAllocator } from './groupAllocator.ts';
import type { Kfence } from './kfence.ts';
import { kmallocSpec } from './kmallocSpec.ts';
import type { Reclaim } from './reclaim.ts';
import { classIndex, classSlots } from './sizeClasses.ts';

/** Largest alignment that `kmallocAligned` takes. */
export const ALIGNMENT_MAX: number = 2 ** 27;

/** Checks the arguments of a bulk call, and returns how many addresses it is about. */
export function checkBulk(array: AddressArray, n: number | undefined): number {
  if (!(array instanceof Int32Array || array instanceof Uint32Array)) {
    throw new TypeError('bulk calls take an Int32Array or a Uint32Array of addresses');
  }
  if (n === undefined) return array.length;
  checkInteger('the number of addresses', n, 0, array.length);
  return n;
}

export class Kmalloc {
  /** The largest size that `kmalloc` takes, in bytes. */
  readonly maxSize: number;
  private readonly metadata: Metadata;
  private readonly m: Int32Array;
  private readonly cpu: Cpu;
  private readonly data: DataMemory;
  private readonly pages: FrameAllocator;
  private readonly sheaves: Sheaves;
  private readonly table: CacheTable;
  private readonly charges: Charges;
  private readonly groups: GroupAllocator;
  private readonly reclaim: Reclaim;
  private readonly vmemMap: number;
  private readonly pageShift: number;
  private readonly maxFrames: number;
  private readonly smallMax: number;
  /** Sizes of the classes; class i is cache i + 1. */
  private readonly classes: readonly number[];
  private readonly classOf: Uint8Array;
  /** Where the hot words of the cache are for each number of granules. */
  private readonly slots: Int32Array;
  /** Cache numbers of the DMA classes that this thread has used; 0: not yet. */
  private readonly dmaCaches: Int32Array;
  private readonly callSites: CallSites;
  /** Sampling, if the heap has it. */
  kfence?: Kfence;

  constructor(
    metadata: Metadata,
    cpu: Cpu,
    data: DataMemory,
    pages: FrameAllocator,
    sheaves: Sheaves,
    slabifier: Slabifier,
    groups: GroupAllocator,
    reclaim: Reclaim,
  ) {
    const { m, layout } = metadata;
    this.metadata = metadata;
    this.m = m;
    this.cpu = cpu;
    this.data = data;
    this.pages = pages;
    this.sheaves = sheaves;
    this.table = slabifier.table;
    this.charges = slabifier.charges;
    this.groups = groups;
    this.reclaim = reclaim;
    this.vmemMap = layout.vmemMap;
    this.pageShift = layout.pageShift;
    this.maxFrames = layout.maxFrames;
    this.classes = Array.from({ length: m[H_KMALLOC_CACHES] }, (_, i) =>
      usableBytes(m, cacheAt(layout, i + 1)),
    );
    this.smallMax = this.classes.at(-1) ?? 0;
    this.classOf = classIndex(this.classes);
    this.slots = classSlots(this.classes, HOT_SHIFT);
    this.dmaCaches = new Int32Array(this.classes.length);
    this.maxSize = kmallocMaxSize(layout);
    const { depot } = debugContextOf(sheaves);
    this.callSites = new CallSites(metadata, depot, (name, size) => this.internalCache(name, size, 0));
  }

  /** Allocates `size` bytes; 0 without memory. Fast path: no Atomics. */
  kmalloc(size: number, gfp: GfpFlags): Address {
    if ((gfp & GFP_SLOW) === 0 && size >>> 0 === size && size <= this.smallMax) {
      const { sheaves } = this;
      const slot = this.slots[(size + 7) >>> 3];
      const address = sheaves.pop(slot) || sheaves.popSpare(slot);
      if (address !== 0) return address;
    }
    return this.kmallocSlow(size, gfp);
  }

  /** Takes back an object of kmalloc or of any cache. Fast path: no Atomics, all checks. */
  kfree(address: Address): void {
    const pfn = address >>> this.pageShift;
    if (pfn < this.maxFrames && address >>> 0 === address) {
      const { sheaves } = this;
      const page = (this.vmemMap + (pfn << PAGE_WORDS_SHIFT)) | 0;
      const slot = sheaves.m[page | PAGE_FLAGS] & CACHE_MASK;
      if (sheaves.push(slot, page, address) || sheaves.pushSpare(slot, page, address)) return;
    }
    this.kfreeSlow(address);
  }

  /** `kmalloc`, and zeros over the whole object. Fast path: no Atomics. */
  kzalloc(size: number, gfp: GfpFlags): Address {
    if ((gfp & GFP_SLOW) === 0 && size >>> 0 === size && size <= this.smallMax) {
      const index = this.classOf[(size + 7) >>> 3];
      const slot = (index + 1) << HOT_SHIFT;
      const address = this.sheaves.pop(slot) || this.sheaves.popSpare(slot);
      if (address !== 0) {
        zero(this.data, address, this.classes[index]);
        return address;
      }
    }
    return this.kmallocSlow(size, gfp | GFP.ZERO);
  }

  /** Whether objects of that size come from slabs; larger ones are runs of frames. */
  isSmall(size: number): boolean {
    return size <= this.smallMax;
  }

  /** Sizes of its caches, ascending. */
  get sizes(): readonly number[] {
    return this.classes;
  }

  /** Bytes of the objects of kmalloc's cache number `cache`. */
  sizeOf(cache: number): number {
    return this.classes[cache - 1];
  }

  /** Throws `RangeError` unless `size` is one that kmalloc takes. */
  checkSize(size: number): void {
    checkInteger('a size', size, 0, this.maxSize);
  }

  kmallocSlow(size: number, gfp: GfpFlags): Address {
    this.checkSize(size);
    checkGfp(gfp);
    if ((gfp & GFP_SLOW) === 0 && size <= this.smallMax) {
      const address = this.allocPlain(this.cacheFor(size, gfp), size, gfp);
      if (address !== 0) return address;
    }
    return this.allocateWith(gfp, () => this.allocateOnce(size, gfp));
  }

  /** From a class without slab debugging: of the pool of samples, if it is the turn of that, or from the sheaves. */
  private allocPlain(cache: number, size: number, gfp: GfpFlags): Address {
    if (this.table.debugOf(cache) !== undefined) return 0;
    return this.kfence?.sample(cache, size, gfp) || this.sheaves.alloc(cache, gfp);
  }

  /** Whole pages of its own, whatever the size (Linux: `kmalloc_large`). */
  kmallocLarge(size: number, gfp: GfpFlags): Address {
    this.checkSize(size);
    checkGfp(gfp);
    const node = (gfp & GFP.THISNODE) !== 0 ? this.cpu.node : NODE_ANY;
    return this.allocateWith(gfp, () => this.allocateLarge(size, 1, gfp, node));
  }

  /** On `node`, or on any other if it has no memory and `gfp` does not say `THISNODE`. */
  kmallocNode(size: number, gfp: GfpFlags, node: number): Address {
    this.checkSize(size);
    checkGfp(gfp);
    checkInteger('a node', node, 0, this.metadata.layout.nodes - 1);
    return this.allocateWith(gfp, () => this.allocateOn(size, gfp, node));
  }

  /** Aligned to `align`, a power of two up to 2^27. */
  kmallocAligned(size: number, align: number, gfp: GfpFlags): Address {
    this.checkSize(size);
    checkPowerOfTwo('an alignment', align, 1, ALIGNMENT_MAX);
    checkGfp(gfp);
    const index = this.classes.findIndex((stride, i) => stride >= size && this.alignmentOf(i) >= align);
    if (index >= 0) return this.kmalloc(this.classes[index], gfp);
    const pageSize = 2 ** this.pageShift;
    return this.allocateWith(gfp, () =>
      this.allocateLarge(size, Math.max(1, align / pageSize), gfp, NODE_ANY),
    );
  }

  /** What the objects of a class are aligned to: slabs begin on page frames, so to whatever divides their stride. */
  private alignmentOf(index: number): number {
    const { m, metadata } = this;
    const stride = this.classes[index];
    return isSlob(metadata, index + 1) ? m[cacheAt(metadata.layout, index + 1) + C_ALIGN] : stride & -stride;
  }

  /** Address 0 allocates, size 0 frees, no memory leaves the old object untouched. From class to class: no Atomics. */
  krealloc(address: Address, size: number, gfp: GfpFlags): Address {
    if ((gfp & GFP_SLOW) === 0 && size >>> 0 === size && size <= this.smallMax) {
      const moved = this.reallocSmall(address, size);
      if (moved !== 0) return moved;
    }
    return this.kreallocSlow(address, size, gfp);
  }

  /** `krealloc` of an object of one of the classes into the same or another; 0 leaves it to the slow form. */
  private reallocSmall(address: Address, size: number): Address {
    const pfn = address >>> this.pageShift;
    if (size === 0 || pfn >= this.maxFrames || address >>> 0 !== address) return 0;
    const { sheaves, classes } = this;
    const page = (this.vmemMap + (pfn << PAGE_WORDS_SHIFT)) | 0;
    const slot = sheaves.m[page | PAGE_FLAGS] & CACHE_MASK;
    const index = (slot >>> HOT_SHIFT) - 1;
    if (index < 0 || index >= classes.length || !sheaves.holdsLive(slot, page, address)) return 0;
    const old = classes[index];
    if (size <= old) return address;
    const wanted = this.slots[(size + 7) >>> 3];
    const moved = sheaves.pop(wanted) || sheaves.popSpare(wanted);
    if (moved === 0) return 0;
    copy(this.data, moved, address, old);
    if (!sheaves.push(slot, page, address) && !sheaves.pushSpare(slot, page, address))
      this.kfreeSlow(address);
    return moved;
  }

  private kreallocSlow(address: Address, size: number, gfp: GfpFlags): Address {
    this.checkSize(size);
    checkGfp(gfp);
    if (address === 0) return this.kmalloc(size, gfp);
    const old = this.ksize(address);
    if (size === 0) {
      this.kfree(address);
      return 0;
    }
    const cache = this.cacheAtAddress(address);
    const debugging = this.table.debugOf(cache);
    const large = this.table.debugAllocator?.large;
    if (debugging !== undefined) {
      if (debugging.resize(cache, address, size, gfp)) return address;
    } else if (cache === 0 && large !== undefined && large.flags !== 0) {
      if (this.resizeLarge(address, old, size, gfp)) return address;
    } else if (size <= old && !(old > this.smallMax && this.pagesFor(size) * 2 <= this.pagesFor(old)))
      return address;
    const moved = this.allocateBeside(address, size, gfp & ~GFP.ZERO);
    if (moved === 0) return size <= old ? address : 0;
    copy(this.data, moved, address, Math.min(old, size));
    if ((gfp & GFP.ZERO) !== 0 && size > old) zero(this.data, moved + old, this.ksize(moved) - old);
    this.kfree(address);
    return moved;
  }

  /** `krealloc` of a large object with slab debugging, where it is: unless it is to shrink to half, or to grow too far. */
  private resizeLarge(address: Address, old: number, size: number, gfp: GfpFlags): boolean {
    const head = address >>> this.pageShift;
    const run = this.m[pageAt(this.metadata.layout, head) + PAGE_RUN];
    if (this.pagesFor(size) * 2 <= run || this.table.debugAllocator?.large.resize(head, size) !== true)
      return false;
    if ((gfp & GFP.ZERO) !== 0 && size > old) zero(this.data, address + old, size - old);
    return true;
  }

  /** A new object, charged to the same group as the one at `address` if that has one: if it was adopted, to who has it now. */
  private allocateBeside(address: Address, size: number, gfp: GfpFlags): Address {
    const { groups } = this;
    const group = groups.groupOf(address);
    return group === 0 ? this.kmalloc(size, gfp) : groups.kmalloc(groups.table.rootOf(group), size, gfp);
  }

  /** Bytes that the object at `address` may use; 0 for 0. Throws as `kfree` does. */
  ksize(address: Address): number {
    this.cpu.checkAttached();
    if (address === 0) return 0;
    const { m, metadata } = this;
    const pfn = checkAddress(metadata, address);
    const page = pageAt(metadata.layout, pfn);
    if (this.isLargeHead(page, address)) {
      this.checkLargeLive(page, address);
      return this.table.debugAllocator?.large.usable(pfn) ?? m[page + PAGE_RUN] * 2 ** this.pageShift;
    }
    const cache = checkObject(metadata, address, 0, this.table);
    const debugging = this.table.debugOf(cache);
    return debugging?.requested(cache, address) ?? usableBytes(m, cacheAt(metadata.layout, cache));
  }

  /** `kfree`, after zeros have been written over the object. */
  kfreeSensitive(address: Address): void {
    this.sheaves.enterSlowPath();
    if (address !== 0) zero(this.data, address, this.ksize(address));
    this.kfree(address);
  }

  /** n objects of `size` bytes into `out`, or none: n or 0. */
  kmallocBulk(size: number, out: AddressArray, n: number, gfp: GfpFlags): number {
    this.checkSize(size);
    checkGfp(gfp);
    const slot = size <= this.smallMax && (gfp & GFP_SLOW) === 0 ? this.slots[(size + 7) >>> 3] : 0;
    return this.allocateAll(slot, out, n, () => this.kmallocSlow(size, gfp));
  }

  /** Frees all of the first n addresses, or none if one of them is refused. `expected` 0: objects of any cache. */
  kfreeBulk(addresses: AddressArray, n: number, expected: number): void {
    if (this.pushAll(addresses, n, expected)) return;
    this.markAll(addresses, n, expected);
    let found: unknown;
    for (let i = 0; i < n; i++) {
      const address = addresses[i] >>> 0;
      if (address === 0) continue;
      const cache = this.cacheAtAddress(address);
      if (cache !== 0) this.sheaves.unmark(cache, address);
      try {
        this.kfree(address);
      } catch (error) {
        // Slab debugging has found something, and freed the object: so are the others to be.
        if (!wasCompleted(error)) throw error;
        found ??= error;
      }
    }
    if (found !== undefined) throw found;
  }

  /** Contiguous memory of any size up to the heap's: kmalloc where that will do, else a run of frames. */
  kvmalloc(size: number, gfp: GfpFlags): Address {
    const { layout } = this.metadata;
    checkInteger('a size', size, 0, (layout.maxFrames - layout.startFrame) * 2 ** layout.pageShift);
    checkGfp(gfp);
    if (size <= this.maxSize) return this.kmalloc(size, gfp);
    return this.allocateWith(gfp, () => this.allocateLarge(size, 1, gfp, NODE_ANY));
  }

  /** 2^order frames, aligned to as many; 0 without memory. */
  allocPages(order: number, gfp: GfpFlags): Address {
    checkInteger('an order', order, 0, 31);
    checkGfp(gfp);
    return this.allocateWith(gfp, () => this.allocateRun(2 ** order, 2 ** order, gfp, NODE_ANY, KIND_PAGES));
  }

  freePages(address: Address, order: number): void {
    checkInteger('an order', order, 0, 31);
    const { m, metadata } = this;
    this.sheaves.enterSlowPath();
    const pfn = checkAddress(metadata, address);
    const page = pageAt(metadata.layout, pfn);
    if (kindOf(m[page + PAGE_FLAGS]) !== KIND_PAGES || address % 2 ** this.pageShift !== 0) {
      throw new SlabError(
        'EFAULT',
        `${hex(address)} is not the first byte of pages from allocPages`,
        address,
      );
    }
    if (m[page + PAGE_RUN] !== 2 ** order) {
      const real = Math.log2(m[page + PAGE_RUN]);
      throw new SlabError(
        'EINVAL',
        `the pages at ${hex(address)} are of order ${real}, not ${order}`,
        address,
      );
    }
    this.freeRun(pfn, address);
  }

  /** Everything but the fast path: 0, large objects, and what the sheaves' slow path handles. */
  kfreeSlow(address: Address): void {
    this.sheaves.enterSlowPath();
    if (address === 0) return;
    const pfn = checkAddress(this.metadata, address);
    const page = pageAt(this.metadata.layout, pfn);
    if (!this.isLargeHead(page, address)) {
      const slot = this.m[page | PAGE_FLAGS] & CACHE_MASK;
      if (!this.sheaves.pushSlow(slot, page, address)) this.sheaves.freeSlow(address, 0);
      return;
    }
    this.checkLargeLive(page, address);
    const found = this.table.debugAllocator?.large.retire(pfn);
    this.freeRun(pfn, address);
    this.cpu.count(N_LARGE_FREED);
    if (found !== undefined) throw found;
  }

  /** Frees an object, which passes every check now, after a grace period. See kmalloc/rcu.ts. */
  kfreeDeferred(address: Address): void {
    this.sheaves.enterSlowPath();
    const pfn = checkAddress(this.metadata, address);
    const page = pageAt(this.metadata.layout, pfn);
    if (!this.isLargeHead(page, address)) {
      const cache = checkObject(this.metadata, address, 0, this.table);
      this.refuseGrouped(page, address);
      const found = this.table.debugOf(cache)?.retire(cache, address, true);
      deferObject(this.pages, cache, address);
      if (found !== undefined) throw found;
      return;
    }
    this.checkLargeLive(page, address);
    this.refuseGrouped(page, address);
    const live = CLAIM_USED | CLAIM_LIVE;
    const mine = CLAIM_USED | ownerBits(this.cpu.owner);
    if (Atomics.compareExchange(this.m, page + PAGE_CLAIM, live, mine) !== live)
      throw this.isFreeAlready(address);
    killPoint('large.claimed');
    deferRun(this.pages, pfn, this.m[page + PAGE_RUN]);
    this.cpu.count(N_LARGE_FREED);
  }

  /** What is charged to a group may end with it at any time, whoever reads: so it cannot be made to wait for readers. */
  private refuseGrouped(page: number, address: Address): void {
    const head = pageAt(this.metadata.layout, this.m[page + PAGE_HEAD]);
    if (this.m[head + PAGE_GROUP] === 0) return;
    throw new SlabError(
      'EINVAL',
      `${hex(address)} belongs to a group, whose end waits for no reader`,
      address,
    );
  }

  private pagesFor(size: number): number {
    return Math.max(1, Math.ceil(size / 2 ** this.pageShift));
  }

  private isLargeHead(page: number, address: Address): boolean {
    return kindOf(this.m[page + PAGE_FLAGS]) === KIND_LARGE && address % 2 ** this.pageShift === 0;
  }

  private checkLargeLive(page: number, address: Address): void {
    if (this.m[page + PAGE_CLAIM] !== (CLAIM_USED | CLAIM_LIVE)) throw this.isFreeAlready(address);
  }

  private isFreeAlready(address: Address): SlabError {
    return new SlabError('EDOUBLEFREE', `${hex(address)} is free already, or being freed`, address);
  }

  /** Runs `allocate` until it finds memory, or everything has been tried. See kmalloc/reclaim.ts. */
  allocateWith(gfp: GfpFlags, allocate: () => Address): Address {
    return this.reclaim.allocateWith(gfp, allocate);
  }

  private allocateOnce(size: number, gfp: GfpFlags): Address {
    return this.allocateOn(size, gfp, (gfp & GFP.THISNODE) !== 0 ? this.cpu.node : NODE_ANY);
  }

  /** From a slab; where there are no adjacent frames for a new one, a run of its own for an object that needs fewer. */
  private allocateOn(size: number, gfp: GfpFlags, node: number): Address {
    if (size > this.smallMax) return this.allocateLarge(size, 1, gfp, node);
    const cache = this.cacheFor(size, gfp);
    if (cache === 0) return 0;
    const { sheaves } = this;
    const debugging = this.table.debugOf(cache);
    if (debugging !== undefined) return this.allocDebugged(cache, size, gfp, node);
    const address = node === NODE_ANY ? sheaves.alloc(cache, gfp) : sheaves.allocNode(cache, gfp, node);
    if (address !== 0) return this.zeroed(address, cache, gfp);
    const slabFrames = this.m[cacheAt(this.metadata.layout, cache) + C_FRAMES];
    if (this.pagesFor(size) >= slabFrames) return 0;
    this.cpu.countOf(cache, STAT_ORDER_FALLBACK);
    return this.allocateLarge(size, 1, gfp, node);
  }

  /** From a class with slab debugging: from the class itself, or the copy of it that the caller is given. */
  private allocDebugged(cache: number, size: number, gfp: GfpFlags, node: number): Address {
    const chosen = this.callSites.choose(cache, this.sizeOf(cache));
    const debugging = this.table.debugOf(chosen);
    if (debugging !== undefined) return debugging.allocSized(chosen, gfp, node, size);
    const { sheaves } = this;
    const address = node === NODE_ANY ? sheaves.alloc(chosen, gfp) : sheaves.allocNode(chosen, gfp, node);
    return this.zeroed(address, chosen, gfp);
  }

  private zeroed(address: Address, cache: number, gfp: GfpFlags): Address {
    if (address !== 0 && (gfp & GFP.ZERO) !== 0) {
      zero(this.data, address, this.m[cacheAt(this.metadata.layout, cache) + C_STRIDE]);
    }
    return address;
  }

  /** The cache for a size: one of the classes, or its counterpart in the DMA zone, made when first asked for. */
  cacheFor(size: number, gfp: GfpFlags): number {
    const index = this.classOf[(size + 7) >>> 3];
    if ((gfp & GFP.DMA) === 0) return index + 1;
    if (this.m[H_DMA_START] === this.m[H_DMA_END])
      invalid('this heap has no DMA zone: create it with { dma }');
    if (this.dmaCaches[index] === 0) this.dmaCaches[index] = this.dmaCache(this.classes[index]);
    return this.dmaCaches[index];
  }

  private dmaCache(size: number): number {
    return this.internalCache(`dma-kmalloc-${size}`, size, SLAB.CACHE_DMA);
  }

  /** The cache that a pool of objects of that size lives in: a class, or a cache of its own for larger ones. 0: no memory. */
  poolCacheFor(size: number): number {
    if (this.isSmall(size)) return this.cacheFor(size, GFP.KERNEL);
    const bytes = this.pagesFor(size) * 2 ** this.pageShift;
    return this.internalCache(`kmalloc-pool-${bytes}`, bytes, 0);
  }

  /** The cache of that name, made if there is none; 0 if there is no room for a descriptor. */
  private internalCache(name: string, size: number, flags: SlabFlags): number {
    const found = this.table.find(name);
    if (found !== 0) return found;
    try {
      return this.sheaves.create(kmallocSpec(this.metadata, name, size, flags));
    } catch (error) {
      // No room for a descriptor: no memory. Or another thread has made it in the meantime.
      if (!(error instanceof SlabError)) throw error;
      return error.code === 'ENOMEM' ? 0 : this.table.find(name);
    }
  }

  private allocateLarge(size: number, alignment: number, gfp: GfpFlags, node: number): Address {
    const large = this.table.debugAllocator?.large;
    const frames = this.pagesFor(size + (large?.room ?? 0));
    const address = this.allocateRun(frames, alignment, gfp, node, KIND_LARGE);
    if (address === 0) return 0;
    this.m[pageAt(this.metadata.layout, address >>> this.pageShift) + PAGE_REQUESTED] = size;
    large?.prepare(address >>> this.pageShift, size);
    this.cpu.count(N_LARGE_ALLOCATED);
    return address;
  }

  private allocateRun(frames: number, alignment: number, gfp: GfpFlags, node: number, kind: number): Address {
    if (!this.canEverHave(frames, alignment)) {
      // To wait for it would be to wait for ever.
      if ((gfp & GFP.NOFAIL) !== 0)
        invalid(
          `the heap can never have ${frames} adjacent frames aligned to ${alignment}: NOFAIL is refused`,
        );
      return 0;
    }
    if ((gfp & GFP.DMA) !== 0 && this.m[H_DMA_START] === this.m[H_DMA_END]) {
      invalid('this heap has no DMA zone: create it with { dma }');
    }
    const head = this.pages.allocatePublished(frames, alignment, gfp, node, kind, CLAIM_LIVE);
    const address = head * 2 ** this.pageShift;
    if (address !== 0 && (gfp & GFP.ZERO) !== 0) zero(this.data, address, frames * 2 ** this.pageShift);
    return address;
  }

  /** Whether a run of so many frames, so aligned, fits into the heap when it is empty and as large as it may be. */
  private canEverHave(frames: number, alignment: number): boolean {
    const first = Math.ceil(this.metadata.layout.startFrame / alignment) * alignment;
    return first + frames <= this.maxFrames;
  }

  /** Frees a run. `decided` is called as soon as this CPU owns it, which is when a kill cannot lose it any more. */
  freeRun(head: number, address: Address, decided?: () => void): void {
    const { m, charges } = this;
    const page = pageAt(this.metadata.layout, head);
    const group = m[page + PAGE_GROUP];
    if (group !== 0) this.beginUncharge(group, head, address);
    const live = CLAIM_USED | CLAIM_LIVE;
    const mine = CLAIM_USED | ownerBits(this.cpu.owner);
    if (Atomics.compareExchange(m, page + PAGE_CLAIM, live, mine) !== live) {
      if (group !== 0) charges.settled();
      throw this.isFreeAlready(address);
    }
    killPoint('large.claimed');
    if (group !== 0) charges.uncharge();
    if (decided !== undefined) decided();
    this.pages.freeExact(head, m[page + PAGE_RUN]);
    if (group !== 0) charges.settled();
  }

  private beginUncharge(group: number, head: number, address: Address): void {
    const { m, charges, metadata } = this;
    const page = pageAt(metadata.layout, head);
    const granules = m[page + PAGE_RUN] << (this.pageShift - GRANULE_SHIFT);
    if (charges.beginFree(group, granules, head)) {
      // The group may have come to its end, and the run with it, before the intent stood.
      if (m[page + PAGE_GROUP] === group) return;
      charges.settled();
    }
    throw new SlabError('EDOUBLEFREE', `${hex(address)} is being freed with its group`, address);
  }

  /** n objects of the cache at `slot`, or what `slow` gives, into `out`; if that gives 0 or throws, all are freed again. */
  allocateAll(slot: number, out: AddressArray, n: number, slow: () => Address): number {
    const { sheaves } = this;
    let done = 0;
    try {
      for (;;) {
        done = sheaves.popBulk(slot, out, done, n);
        if (done === n) break;
        const address = sheaves.popSpare(slot) || slow();
        if (address === 0) break;
        out[done++] = address;
      }
      return done === n ? n : 0;
    } finally {
      if (done < n) this.freeFirst(out, done);
    }
  }

  private freeFirst(out: AddressArray, n: number): void {
    for (let i = 0; i < n; i++) {
      this.kfree(out[i] >>> 0);
      out[i] = 0;
    }
  }

  /** The number of the cache whose slab an address lies in; 0 if it lies in none. */
  private cacheAtAddress(address: Address): number {
    const pfn = address >>> this.pageShift;
    return pfn < this.maxFrames ? cacheOf(this.m[this.vmemMap + (pfn << PAGE_WORDS_SHIFT)]) : 0;
  }

  /**
   * The fast form: pushes all, as long as main sheaves have room and every check passes. Else it takes all pushes back,
   * the last one first, and the two-pass form says what is wrong, or copes.
   */
  private pushAll(addresses: AddressArray, n: number, expected: number): boolean {
    const { sheaves } = this;
    const pushed = sheaves.pushBulk(addresses, n, expected << HOT_SHIFT);
    if (pushed === n) return true;
    for (let k = pushed - 1; k >= 0; k--) {
      if (addresses[k] !== 0) sheaves.unpush(this.cacheAtAddress(addresses[k] >>> 0) << HOT_SHIFT);
    }
    return false;
  }

  /** Marks every slab object named; takes all marks back and throws if one of the addresses is refused. */
  private markAll(addresses: AddressArray, n: number, expected: number): void {
    let large: Set<Address> | undefined;
    this.sheaves.enterSlowPath();
    for (let i = 0; i < n; i++) {
      if (addresses[i] === 0) continue;
      try {
        large = this.markOne(addresses, i, expected, large);
      } catch (error) {
        this.unmarkFirst(addresses, i);
        throw error;
      }
    }
  }

  /** Checks and marks one object; a large one is remembered in a set. */
  private markOne(
    addresses: AddressArray,
    i: number,
    expected: number,
    large: Set<Address> | undefined,
  ): Set<Address> | undefined {
    const address = addresses[i] >>> 0;
    const page = pageAt(this.metadata.layout, checkAddress(this.metadata, address));
    const id = cacheOf(this.m[page + PAGE_FLAGS]);
    if (id !== 0 && (expected === 0 || id === expected) && this.sheaves.markChecked(page, address))
      return large;
    const twice = (): never => {
      throw new SlabError('EDOUBLEFREE', `${hex(address)} is named twice`, address);
    };
    if (expected === 0 && this.isLargeHead(page, address)) {
      this.checkLargeLive(page, address);
      return large?.has(address) === true ? twice() : (large ?? new Set()).add(address);
    }
    const cache = checkObject(this.metadata, address, expected, this.table);
    // A mark that this call did not make is what a thread killed in a bulk free has left: the object is live.
    if (this.sheaves.isMarked(cache, address) && addresses.subarray(0, i).includes(addresses[i])) twice();
    this.sheaves.mark(cache, address);
    return large;
  }

  private unmarkFirst(addresses: AddressArray, n: number): void {
    for (let i = 0; i < n; i++) {
      const address = addresses[i] >>> 0;
      const cache = address === 0 ? 0 : this.cacheAtAddress(address);
      if (cache !== 0) this.sheaves.unmark(cache, address);
    }
  }
}

/** The largest power of two not above half of the window, at least 1 MiB where the window is larger than that. */
export function kmallocMaxSize(layout: Layout): number {
  const bytes = windowBytes(layout, layout.maxFrames);
  const half = 2 ** Math.floor(Math.log2(bytes / 2));
  const atLeast = bytes > 2 ** 20 ? 2 ** 20 : 0;
  return Math.max(half, atLeast);
}
