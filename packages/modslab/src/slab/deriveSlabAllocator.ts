/**
 * Deriving slab allocators (2006: a copy of the base's method table, with some methods overridden). A derivation is a
 * class whose methods, where it does not override them, are the base's. Names are composed: "dma:numa:slabifier".
 *
 * Caches are shared by all threads, method tables are not: a thread that is to use a cache makes the same stack and finds
 * the cache's number with `table.find(name)`. What the derivation does must then be done on every thread, by whoever
 * frees an object. So there are two kinds:
 *
 *     shared    what it does is in the cache's descriptor: any allocator of the heap, and kfree, does it     dma page_slab
 *     own       frees and allocations must run its code: the descriptor says so, and kfree and the handles   rcu numa
 *               of the heap hand over to the thread's allocator for that cache (`CacheTable.allocatorOf`)
 */

import type { GfpFlags } from '../memory/gfp.ts';
import type { FrameAllocator } from '../page/pageAllocator.ts';
import { allocBulk, freeBulk } from './bulk.ts';
import type { CacheTable } from './cacheTable.ts';
import type {
  Address,
  AddressArray,
  CacheSpec,
  MoveObject,
  SlabAllocator,
  SlabCounts,
} from './slabAllocator.ts';
import { adoptCreated } from './stack.ts';

/** A slab allocator that is its base but for what a subclass overrides. */
export class DerivedSlabAllocator implements SlabAllocator {
  readonly name: string;
  readonly base: SlabAllocator;
  readonly frames: FrameAllocator;
  readonly table: CacheTable;

  constructor(base: SlabAllocator, derivation: string) {
    this.base = base;
    this.name = `${derivation}:${base.name}`;
    this.frames = base.frames;
    this.table = base.table;
  }

  get pageAllocatorName(): string {
    return this.base.pageAllocatorName;
  }

  create(spec: CacheSpec): number {
    return adoptCreated(this, this.base.create(spec));
  }

  alloc(cache: number, gfp: GfpFlags): Address {
    return this.base.alloc(cache, gfp);
  }

  allocNode(cache: number, gfp: GfpFlags, node: number): Address {
    return this.base.allocNode(cache, gfp, node);
  }

  free(cache: number, address: Address): void {
    this.base.free(cache, address);
  }

  allocBulk(cache: number, out: AddressArray, n: number, gfp: GfpFlags): number {
    return allocBulk(this, cache, out, n, gfp);
  }

  freeBulk(cache: number, addresses: AddressArray, n: number): void {
    freeBulk(this, cache, addresses, n);
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

  shrink(cache: number, move?: MoveObject): number {
    return this.base.shrink(cache, move);
  }

  dup(cache: number): number {
    return this.base.dup(cache);
  }

  destroy(cache: number): void {
    this.base.destroy(cache);
  }
}
