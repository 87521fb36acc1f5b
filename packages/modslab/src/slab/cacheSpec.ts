/** What a cache is created from, and how its objects are named. */

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
  /** The cache whose slabs it shares, and as which of its aliases (kmalloc/merge.ts); 0 or none: it has its own. */
  readonly merged?: number;
}
