/**
 * kmem_cache: caches of objects of one kind (2006: the Slabulator, the classical interface on top of any slab
 * allocator). A `KmemCache` is this thread's handle of a cache that all threads of the heap share by name.
 *
 * Destroying a cache (it must have no live objects) takes it out of use at once: its name is free, every later call
 * through a handle throws `EINVAL`. Objects that other CPUs have in their sheaves come home at those CPUs' next slow
 * path, and the slabs with them (slab/cacheTable.ts).
 */

import type { Cpu } from '../memory/cpu.ts';
import type { DataMemory } from '../memory/data.ts';
import { addressOf } from '../memory/entry.ts';
import { checkInteger, checkNumber, checkPowerOfTwo, hex, invalid, SlabError } from '../memory/errors.ts';
import { checkGfp, GFP, GFP_BOUNDED, GFP_SLOW, type GfpFlags } from '../memory/gfp.ts';
import {
  C_CAPACITY,
  C_FLAGS,
  C_GRANULES,
  C_OBJECTS,
  C_SIZE,
  C_STATE,
  C_STRIDE,
  cacheAt,
  H_DMA_END,
  H_DMA_START,
  H_REPORTS,
  pageAt,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { isLive, PAGE_HEAD } from '../page/page.ts';
import { NODE_ANY } from '../page/pageAllocator.ts';
import { type CacheTable, firstEntryOf, firstStateAt } from '../slab/cacheTable.ts';
import { forEachSlab, isSlabOf } from '../slab/count.ts';
import { debugFlagsFor } from '../slab/debugOption.ts';
import { flagNames, SLAB, SLAB_SUPPORTED, type SlabFlags } from '../slab/flags.ts';
import { liveRuns } from '../slab/granules.ts';
import { HOT_SHIFT, type Sheaves } from '../slab/sheaves.ts';
import type { Address, AddressArray, CacheSpec, MoveObject } from '../slab/slabAllocator.ts';
import type { Slabifier } from '../slab/slabifier.ts';
import type { BoundSheaves } from './boundCalls.ts';
import { zero } from './fill.ts';
import { checkBulk, type Kmalloc } from './kmalloc.ts';
import type { Reclaim } from './reclaim.ts';
import type { Tracing } from './tracing.ts';

/** Largest object of a cache: as large as a sheaf entry's slab arithmetic allows. */
const OBJECT_SIZE_MAX = 2 ** 30;
/** Live objects that `EBUSY` names. */
const BUSY_NAMED_MAX = 10;

/**
 * Objects of a cache: handed out; in sheaves, or waiting for a grace period; free in slabs; slabs, and those partly in use.
 */
export interface CacheStats {
  live: number;
  cached: number;
  free: number;
  slabs: number;
  partial: number;
}

/** What the caches of one heap have in common on this thread. */
export interface CacheContext {
  readonly metadata: Metadata;
  readonly cpu: Cpu;
  readonly data: DataMemory;
  readonly table: CacheTable;
  readonly slabifier: Slabifier;
  readonly sheaves: Sheaves;
  readonly bound: BoundSheaves;
  readonly kmalloc: Kmalloc;
  readonly reclaim: Reclaim;
  readonly tracing: Tracing;
  /** This thread's move functions, by cache number; each of one generation. */
  readonly moves: Map<number, { generation: number; move: MoveObject }>;
}

/** What `createCache` checks; see `KmemCacheOptions` of the heap. */
export interface CacheRequest {
  name: string;
  size: number;
  align?: number;
  flags?: SlabFlags;
  ctor?: ((address: Address) => void) | Uint8Array;
  node?: number;
  useroffset?: number;
  usersize?: number;
}

/** Whether a name is one that the heap gives its own caches: kmalloc's, of all kinds, and those of slob pages. */
function isOwnName(name: string): boolean {
  return /^(dma-kmalloc|kmalloc(-cg|-pool|-rnd-\d+)?)-\d+$|^slob-pages(-dma)?(-reclaimable)?$/.test(name);
}

/** Throws `TypeError` or `EINVAL` unless `flags` is a union of SLAB bits. */
export function checkSlabFlags(name: string, flags: SlabFlags): void {
  checkNumber('flags', flags);
  if ((flags & SLAB_SUPPORTED) === flags) return;
  const names = flagNames(flags & ~SLAB_SUPPORTED);
  invalid(`cache '${name}' asks for ${names || hex(flags)}, which this version does not have`, name);
}

/** Checks a request, with an error for anything that cannot be meant. */
export function checkCacheRequest(metadata: Metadata, request: CacheRequest): CacheSpec {
  const { name, size, align = 0, flags = 0, ctor, node = NODE_ANY } = request;
  const { m, layout } = metadata;
  if (typeof name !== 'string' || name === '') invalid('a cache needs a name');
  if (isOwnName(name)) invalid(`names like '${name}' are the heap's own`, name);
  checkInteger('the size of objects', size, 1, OBJECT_SIZE_MAX);
  if (align !== 0) checkPowerOfTwo('an alignment', align, 1, 2 ** layout.pageShift);
  checkSlabFlags(name, flags);
  if ((flags & SLAB.CACHE_DMA) !== 0 && m[H_DMA_START] === m[H_DMA_END]) {
    invalid(`cache '${name}' wants DMA memory, but the heap has no DMA zone: create it with { dma }`, name);
  }
  checkInteger('a node', node, NODE_ANY, layout.nodes - 1);
  const { useroffset = 0, usersize = size } = request;
  checkInteger('useroffset', useroffset, 0, size);
  checkInteger('usersize', usersize, 0, size - useroffset);
  if (ctor !== undefined && typeof ctor !== 'function' && !(ctor instanceof Uint8Array)) {
    throw new TypeError('ctor must be a function or a Uint8Array');
  }
  if (ctor instanceof Uint8Array && ctor.length > size) {
    throw new RangeError(`the template of ${ctor.length} bytes is longer than the object of ${size}`);
  }
  const debug = debugFlagsFor(metadata, name, size, align);
  return { name, size, align, flags: flags | debug, ctor, node, useroffset, usersize };
}

/** Objects set aside: so many allocations cannot fail. */
export class Sheaf {
  private readonly context: CacheContext;
  private readonly cache: number;
  private readonly parts: number[];
  private readonly capacity: number;
  private readonly objectSize: number;
  /** The cache's state word at the time: another one means that the cache has been destroyed. */
  private readonly state: number;
  private left: number;

  constructor(context: CacheContext, cache: number, parts: number[], n: number) {
    this.context = context;
    this.cache = cache;
    this.parts = parts;
    this.capacity = context.metadata.m[cacheAt(context.metadata.layout, cache) + C_CAPACITY];
    this.objectSize = context.metadata.m[cacheAt(context.metadata.layout, cache) + C_SIZE];
    this.state = context.metadata.m[cacheAt(context.metadata.layout, cache) + C_STATE];
    this.left = n;
  }

  /** Objects that are left. */
  get size(): number {
    return this.left;
  }

  /** One of them; 0 when none is left. No Atomics, but for a store each time that a sheaf of the cache, 2 … 124 objects, is used up. */
  alloc(): Address {
    if (this.left === 0) return 0;
    const { sheaves, cpu, metadata } = this.context;
    cpu.checkAttached();
    if (metadata.m[cacheAt(metadata.layout, this.cache) + C_STATE] !== this.state) {
      this.release();
      invalid('the cache of this sheaf has been destroyed');
    }
    const part = this.parts[this.parts.length - 1];
    // Reaped by mistake, this thread does not own its sheaves any more.
    if (metadata.m[part] !== cpu.owner) cpu.checkOnline();
    const n = this.left - (this.parts.length - 1) * this.capacity;
    const address = sheaves.popFrom(part, n);
    this.left--;
    if (this.context.tracing.isOn)
      this.context.tracing.allocated('kmem_cache_alloc', address, this.objectSize, 0);
    if (n === 1) {
      this.parts.pop();
      sheaves.releaseSheaf(part);
    }
    this.context.table.debugOf(this.cache)?.prepare(this.cache, address, this.objectSize, 0);
    return address;
  }

  /** Gives back what is left. */
  release(): void {
    if (this.left === 0) return;
    this.context.sheaves.enterSlowPath();
    this.left = 0;
    this.context.sheaves.releaseAll(this.cache, this.parts.splice(0));
  }
}

/** This thread's handle of a cache. */
export class KmemCache {
  readonly name: string;
  /** Bytes of an object. */
  readonly size: number;
  /** The cache's number: what page descriptors carry. */
  readonly id: number;
  protected readonly context: CacheContext;
  private readonly sheaves: Sheaves;
  private readonly bound: BoundSheaves;
  private readonly m: Int32Array;
  /** The number of the cache whose slabs it has: its own, unless it is merged (kmalloc/merge.ts). */
  private readonly slabs: number;
  /** Where this CPU's hot words of it are; and what FLAGS of its pages hold. */
  private readonly slot: number;
  protected readonly generation: number;
  private readonly flags: SlabFlags;

  constructor(context: CacheContext, id: number, slabs: number = id) {
    const { metadata, table, sheaves } = context;
    this.slabs = slabs;
    const descriptor = cacheAt(metadata.layout, id);
    this.context = context;
    this.sheaves = sheaves;
    this.bound = context.bound;
    this.m = metadata.m;
    this.id = id;
    this.name = table.name(id);
    this.size = metadata.m[descriptor + C_SIZE];
    this.slot = id << HOT_SHIFT;
    this.generation = table.generation(id);
    this.flags = metadata.m[descriptor + C_FLAGS];
  }

  /** One object; 0 without memory (`SLAB.PANIC`: throws `ENOMEM`). Fast path: no Atomics. */
  alloc(gfp: GfpFlags = 0): Address {
    const address = (gfp & GFP_SLOW) === 0 ? this.bound.allocOf(this.slot, this.generation) : 0;
    return address || this.allocSlow(gfp, NODE_ANY);
  }

  /** One object of that node; of another, if it has none and `gfp` does not say `THISNODE`. Straight from a slab. */
  allocNode(gfp: GfpFlags, node: number): Address {
    checkInteger('a node', node, 0, this.context.metadata.layout.nodes - 1);
    return this.allocSlow(gfp, node);
  }

  /** Takes back a live object of this cache. 0 is a no-op; anything else throws. Fast path: no Atomics, all checks. */
  free(address: Address): void {
    if (this.bound.freeOf(this.slot, this.generation, address)) return;
    if (address === 0) return;
    this.checkUsable();
    const { tracing } = this.context;
    if (!tracing.isOn) this.sheaves.freeSlow(address, this.id);
    else tracing.free('kmem_cache_free', address, () => this.sheaves.freeSlow(address, this.id));
  }

  /** n objects into `out`, or none: n or 0. */
  allocBulk(out: AddressArray, n?: number, gfp: GfpFlags = 0): number {
    const count = checkBulk(out, n);
    const isFast = (gfp & GFP_SLOW) === 0 && this.sheaves.generationOf(this.slot) === this.generation;
    // Slot 0 is no cache's: everything goes the slow way, which says what is wrong.
    return this.context.kmalloc.allocateAll(isFast ? this.slot : 0, out, count, () => this.alloc(gfp));
  }

  /** Frees all of the first n addresses, or none if one of them is refused. Zeros are skipped. */
  freeBulk(addresses: AddressArray, n?: number): void {
    const count = checkBulk(addresses, n);
    this.checkUsable();
    this.context.kmalloc.kfreeBulk(addresses, count, this.id);
  }

  /** Sets n objects aside, which `Sheaf.alloc` then hands out without fail. Throws `ENOMEM` if there are not so many. */
  prefill(n: number, gfp: GfpFlags = 0): Sheaf {
    const { sheaves, metadata } = this.context;
    const capacity = this.m[cacheAt(metadata.layout, this.slabs) + C_CAPACITY];
    checkInteger('the number of objects', n, 0, capacity * metadata.layout.sheavesPerCache);
    this.checkUsable();
    this.refuseCharged();
    checkGfp(gfp);
    sheaves.enterSlowPath();
    const parts: number[] = [];
    let have = 0;
    try {
      while (have < n) {
        const part = sheaves.claimSheaf(this.slabs);
        if (part === 0) break;
        parts.push(part);
        // From here on the cache's number is not given to another; until here it may have been.
        this.checkUsable();
        const want = Math.min(capacity, n - have);
        const got = this.fillPart(part, want, gfp);
        have += got;
        if (got < want) break;
      }
    } finally {
      if (have < n) sheaves.releaseAll(this.slabs, parts);
    }
    if (have === n) return this.newSheaf(parts, n);
    throw new SlabError('ENOMEM', `cache '${this.name}' cannot set ${n} objects aside`, undefined, this.name);
  }

  /**
   * Gives cached objects and empty slabs back to the page allocator; how many slabs. With a move function (`createCache`,
   * `heap.cache`), objects of sparse slabs are moved into fuller ones before, so that slabs become empty.
   */
  shrink(): number {
    this.checkUsable();
    const registered = this.context.moves.get(this.id);
    const move = registered?.generation === this.generation ? registered.move : undefined;
    return this.sheaves.shrink(this.id, move);
  }

  /** Makes `move` this thread's move function of the cache. */
  setMove(move: MoveObject): void {
    if (typeof move !== 'function') throw new TypeError('move must be a function');
    this.checkUsable();
    this.context.moves.set(this.id, { generation: this.generation, move });
  }

  /** Takes the cache out of use. Throws `EBUSY`, and changes nothing, while it has live objects. */
  destroy(): void {
    const { sheaves } = this;
    const { table } = this.context;
    this.checkUsable();
    if (isOwnName(this.name)) {
      throw new SlabError('EBUSY', `'${this.name}' is one of the heap's own caches`, undefined, this.name);
    }
    sheaves.enterSlowPath();
    const busy = [...take(this.objects(), BUSY_NAMED_MAX)];
    if (busy.length > 0) {
      const some = busy.map(hex).join(', ');
      const { live } = sheaves.getObjects(this.id);
      Atomics.add(this.m, H_REPORTS, this.reportsOfLive());
      throw new SlabError(
        'EBUSY',
        `cache '${this.name}' has ${live} live objects: ${some}`,
        busy[0],
        this.name,
      );
    }
    if (table.dropReference(this.id, this.generation)) sheaves.destroy(this.id);
  }

  /** As Linux counts a `destroy` with live objects: one for each slab that they remain in, and one for the cache. */
  private reportsOfLive(): number {
    const { layout } = this.context.metadata;
    const slabs = new Set<number>();
    for (const address of this.objects())
      slabs.add(this.m[pageAt(layout, address >>> layout.pageShift) + PAGE_HEAD]);
    return slabs.size + 1;
  }

  /** Cost: O(frames + objects of the cache). */
  stats(): CacheStats {
    this.checkUsable();
    const { live, cached, waiting, free, slabs, partial } = this.sheaves.getObjects(this.id);
    return { live, cached: cached + waiting, free, slabs, partial };
  }

  /** The addresses of all live objects, in no order that is promised. Cost: O(frames + objects of the cache). */
  objects(): Iterable<Address> {
    this.checkUsable();
    return this.liveObjects();
  }

  private *liveObjects(): Iterable<Address> {
    const { m, s, layout } = this.context.metadata;
    const descriptor = cacheAt(layout, this.id);
    yield* liveRuns(this.context.metadata, this.id);
    const heads: number[] = [];
    forEachSlab(this.context.metadata, (head, cache) => {
      if (cache === this.id) heads.push(head);
    });
    for (const head of heads) {
      const states = firstStateAt(m, descriptor, head);
      const first = firstEntryOf(m, layout.pageShift, descriptor, head);
      const live: Address[] = [];
      for (let index = 0; index < m[descriptor + C_OBJECTS]; index++) {
        if (isLive(s[states + index]))
          live.push(addressOf(first + Math.imul(index, m[descriptor + C_GRANULES])));
      }
      if (isSlabOf(this.context.metadata, head, this.id)) yield* live;
    }
  }

  /** The handle of what `prefill` has set aside. */
  protected newSheaf(parts: number[], n: number): Sheaf {
    return new Sheaf(this.context, this.slabs, parts, n);
  }

  /** Whether allocation without memory throws. */
  protected get panics(): boolean {
    return (this.flags & SLAB.PANIC) !== 0;
  }

  /** Fills a sheaf, if need be after everything cached has been given back; how many objects it got. */
  private fillPart(part: number, want: number, gfp: GfpFlags): number {
    const { sheaves, reclaim } = this.context;
    let got = 0;
    for (let attempt = 0; attempt < 2; attempt++) {
      got = sheaves.fill(this.slabs, part, got, want, gfp, NODE_ANY);
      while (got < want && sheaves.construct(this.slabs, gfp, NODE_ANY)) {
        this.checkUsable();
        got = sheaves.fill(this.slabs, part, got, want, gfp, NODE_ANY);
      }
      if (got === want) return got;
      reclaim.drain((gfp & GFP_BOUNDED) === 0);
    }
    return got;
  }

  private allocSlow(gfp: GfpFlags, node: number): Address {
    const { sheaves, metadata, data, cpu, kmalloc, table, tracing } = this.context;
    this.checkUsable();
    this.refuseCharged();
    checkGfp(gfp);
    const wanted = (gfp & GFP.THISNODE) !== 0 && node === NODE_ANY ? cpu.node : node;
    const allocator = table.allocatorOf(this.id) ?? sheaves;
    const address = kmalloc.allocateWith(gfp, () =>
      wanted === NODE_ANY ? allocator.alloc(this.id, gfp) : allocator.allocNode(this.id, gfp, wanted),
    );
    if (address !== 0 && table.generation(this.id) !== this.generation) {
      // Destroyed by another thread in the meantime, and its number given to another cache: the object is that one's.
      sheaves.freeSlow(address, 0);
      this.checkUsable();
    }
    if (address === 0 && this.panics) {
      throw new SlabError('ENOMEM', `no memory for cache '${this.name}' (SLAB.PANIC)`, undefined, this.name);
    }
    // Slab debugging has done that, within its zones.
    if (address !== 0 && (gfp & GFP.ZERO) !== 0 && table.debugOf(this.id) === undefined) {
      zero(data, address, metadata.m[cacheAt(metadata.layout, this.id) + C_STRIDE]);
    }
    if (address !== 0 && tracing.isOn) tracing.allocated('kmem_cache_alloc', address, this.size, gfp);
    return address;
  }

  private refuseCharged(): void {
    if ((this.flags & SLAB.ACCOUNT) === 0) return;
    invalid(`'${this.name}' has the objects of groups only: allocate with group.kmalloc`, this.name);
  }

  protected checkUsable(): void {
    const { table, cpu } = this.context;
    cpu.checkAttached();
    if (table.isReady(this.id) && table.generation(this.id) === this.generation) return;
    cpu.checkOnline();
    invalid(`cache '${this.name}' has been destroyed`, this.name);
  }
}

function* take<T>(items: Iterable<T>, n: number): Iterable<T> {
  let left = n;
  for (const item of items) {
    if (left-- === 0) return;
    yield item;
  }
}
