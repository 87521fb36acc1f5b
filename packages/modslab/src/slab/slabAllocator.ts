/**
 * The interface of every slab allocator and of every derivation of one (2006: `struct slab_allocator`): a method
 * table over caches that are named by number. A derivation takes a SlabAllocator and returns one that does more.
 *
 * Bulk forms work on *sheaf words*: entries at `sheaf + have + 1 … sheaf + count` of the metadata (slab/sheaves.ts),
 * so that objects between a slab and a CPU are named in shared memory at every instant and survive a killed thread.
 */

import type { GfpFlags } from '../memory/gfp.ts';
import type { FrameAllocator } from '../page/pageAllocator.ts';
import type { Address, AddressArray, CacheSpec } from './cacheSpec.ts';
import type { CacheTable } from './cacheTable.ts';

export type { Address, AddressArray, CacheSpec } from './cacheSpec.ts';

/**
 * Moves an object that the user has, from one place to another: copies it, and changes whatever names it. False: it
 * cannot be moved now (it is pinned, or the user does not know it); then nothing has changed.
 */
export type MoveObject = (from: Address, to: Address) => boolean;

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
  /** The heap's own page allocator, which is at the bottom of every stack, and with it this CPU. */
  readonly frames: FrameAllocator;
  /** The heap's caches. */
  readonly table: CacheTable;
  /** A new cache's number. Throws `EINVAL` for a taken name, `ENOMEM` if there is no room for a descriptor. */
  create(spec: CacheSpec): number;
  /** One object, or 0. */
  alloc(cache: number, gfp: GfpFlags): Address;
  /** One object of that node (of any other if it has none, unless `THISNODE`), or 0. */
  allocNode(cache: number, gfp: GfpFlags, node: number): Address;
  /** Takes back a live object of the cache; throws a SlabError for anything else. */
  free(cache: number, address: Address): void;
  /** n objects into `out`, or none: n or 0. */
  allocBulk(cache: number, out: AddressArray, n: number, gfp: GfpFlags): number;
  /** Takes back n objects of the cache, or none if one of them is refused. Zeros are skipped. */
  freeBulk(cache: number, addresses: AddressArray, n: number): void;
  /** Adds objects to sheaf words that hold `have`, up to `want`; how many there are then. */
  fill(cache: number, sheaf: number, have: number, want: number, gfp: GfpFlags, node: number): number;
  /** Makes a slab whose constructor is user code. False without memory. Nothing may be half done. */
  construct(cache: number, gfp: GfpFlags, node: number): boolean;
  /** Puts the entries `from … to` of sheaf words back into their slabs; clears them. */
  drain(cache: number, sheaf: number, from: number, to: number): void;
  /** Whether a live object of the cache begins there. */
  validPointer(cache: number, address: Address): boolean;
  /** Bytes of an object, as the cache was created. */
  objectSize(cache: number): number;
  getObjects(cache: number): SlabCounts;
  /** Gives empty slabs back to the page allocator, after `move` has emptied some more; how many. */
  shrink(cache: number, move?: MoveObject): number;
  /** One reference more, which takes one `destroy` more; the cache's number. */
  dup(cache: number): number;
  /**
   * Drops a reference. With the last one the cache is given up: no slab is left once its last cached object has come
   * home. Throws `EBUSY`, and changes nothing, while it has live objects.
   */
  destroy(cache: number): void;
}
