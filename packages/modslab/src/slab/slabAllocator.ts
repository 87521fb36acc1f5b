/**
 * The interface of every slab allocator and of every derivation of one (2006: `struct slab_allocator`): a method
 * table over caches that are named by number. A derivation takes a SlabAllocator and returns one that does more.
 *
 * Bulk forms work on *sheaf words*: entries at `sheaf + have + 1 … sheaf + count` of the metadata (slab/sheaves.ts),
 * so that objects between a slab and a CPU are named in shared memory at every instant and survive a killed thread.
 */

import type { GfpFlags } from '../memory/gfp.ts';
import type { SlabFlags } from './flags.ts';

/** A byte offset in the data buffer; 0 is NULL. */
export type Address = number;

/** A list of addresses in bulk calls. */
export type AddressArray = Int32Array | Uint32Array;

/** What a cache is created from; checked by the caller. */
export interface CacheSpec {
  readonly name: string;
  /** Bytes of an object. */
  readonly size: number;
  /** Alignment in bytes, a power of two; 0: the default. */
  readonly align: number;
  readonly flags: SlabFlags;
  /** Runs once for each object when its slab is made, or those bytes are copied into it. */
  readonly ctor?: ((address: Address) => void) | Uint8Array | undefined;
  /** Home node of the cache's slabs, or -1. */
  readonly node: number;
  /** The part of an object that views for users may show. */
  readonly useroffset: number;
  readonly usersize: number;
}

/** Objects and slabs of a cache (2006: `get_objects`). */
export interface SlabCounts {
  /** Objects handed out. */
  live: number;
  /** Objects in sheaves and barns. */
  cached: number;
  /** Objects free in their slabs. */
  free: number;
  slabs: number;
  /** Slabs with free objects and others. */
  partial: number;
  /** Slabs with objects that are live or cached. */
  active: number;
}

export interface SlabAllocator {
  /** Composed by derivation: "sheaved:slabifier". */
  readonly name: string;
  /** The name of the page allocator that the slabs come from. */
  readonly pageAllocatorName: string;
  /** A new cache's number. Throws `EINVAL` for a taken name, `ENOMEM` if there is no room for a descriptor. */
  create(spec: CacheSpec): number;
  /** One object, or 0. */
  alloc(cache: number, gfp: GfpFlags): Address;
  /** One object of that node (of any other if it has none, unless `THISNODE`), or 0. */
  allocNode(cache: number, gfp: GfpFlags, node: number): Address;
  /** Takes back a live object of the cache; throws a SlabError for anything else. */
  free(cache: number, address: Address): void;
  /** Adds objects to sheaf words that hold `have`, up to `want`; how many there are then. */
  fill(cache: number, sheaf: number, have: number, want: number, gfp: GfpFlags, node: number): number;
  /** Makes a slab whose constructor is user code. False without memory. Nothing may be half done. */
  construct(cache: number, gfp: GfpFlags, node: number): boolean;
  /** Puts the entries `from … to` of sheaf words back into their slabs; clears them. */
  drain(cache: number, sheaf: number, from: number, to: number): void;
  validPointer(cache: number, address: Address): boolean;
  objectSize(cache: number): number;
  getObjects(cache: number): SlabCounts;
  /** Gives empty slabs back to the page allocator; how many. */
  shrink(cache: number): number;
  /** Gives up the cache: no slab is left once its last object has come home. */
  destroy(cache: number): void;
}
