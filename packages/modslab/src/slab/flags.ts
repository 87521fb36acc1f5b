/** Flags of a cache, named as Linux names them. */

/** A union of `SLAB` bits. */
export type SlabFlags = number;

/** What a cache is to be like; a union is the `flags` of `createCache`. The letters are those of the option `debug`. */
export const SLAB: {
  /** Objects begin on cache lines of 64 bytes (half a line, a quarter… for smaller objects). */
  readonly HWCACHE_ALIGN: 1;
  /** Allocation without memory throws `ENOMEM` instead of returning 0. */
  readonly PANIC: 2;
  /** The objects can be given up on demand. */
  readonly RECLAIM_ACCOUNT: 4;
  /** A slab's frames are reused by others only after a grace period. */
  readonly TYPESAFE_BY_RCU: 8;
  /** Slabs lie in the DMA window. */
  readonly CACHE_DMA: 16;
  /** Never merged with another cache. */
  readonly NO_MERGE: 32;
  /** Of caches that the library makes for groups, whose objects are charged; `createCache` refuses it (`EINVAL`). */
  readonly ACCOUNT: 64;
  /** The slab's metadata are checked, and put right, at each allocation and free (slab/checked.ts). Debug option `F`. */
  readonly CONSISTENCY_CHECKS: 128;
  /** Red zones around each object (slab/redzoned.ts). `Z` */
  readonly RED_ZONE: 256;
  /** Freed objects are filled with a pattern (slab/poisoned.ts). `P` */
  readonly POISON: 512;
  /** Who allocated and who freed each object, with call stacks (slab/tracked.ts). `U` */
  readonly STORE_USER: 1024;
  /** Each allocation and free is reported (slab/traced.ts). `T` */
  readonly TRACE: 2048;
  /** Allocations fail as `heap.failslab` says (slab/failslab.ts). `A` */
  readonly FAILSLAB: 4096;
  /** Slabs are made on all nodes in turn. */
  readonly MEM_SPREAD: 8192;
  /** Objects are filled with zeros when they are allocated (slab/initialized.ts). `I` */
  readonly INIT_ON_ALLOC: 16384;
  /** Objects are filled with zeros when they are freed (slab/initialized.ts). `W` */
  readonly INIT_ON_FREE: 32768;
  /** Freed objects are held back before they are used again (slab/quarantined.ts). `Q` */
  readonly QUARANTINE: 65536;
  /** Each allocation has a number: what `heap.objectHandle` needs (debug/objectHandle.ts). `G` */
  readonly GENERATIONS: 131072;
  /** Objects of a slab are handed out in random order (slab/randomized.ts). `R` */
  readonly RANDOM: 262144;
  /** Of kmalloc's caches: the caller decides which of several copies an object comes from (kmalloc/callSites.ts). `S`; `createCache` refuses it (`EINVAL`). */
  readonly CALL_SITES: 524288;
} = {
  HWCACHE_ALIGN: 1,
  PANIC: 2,
  RECLAIM_ACCOUNT: 4,
  TYPESAFE_BY_RCU: 8,
  CACHE_DMA: 16,
  NO_MERGE: 32,
  ACCOUNT: 64,
  CONSISTENCY_CHECKS: 128,
  RED_ZONE: 256,
  POISON: 512,
  STORE_USER: 1024,
  TRACE: 2048,
  FAILSLAB: 4096,
  MEM_SPREAD: 8192,
  INIT_ON_ALLOC: 16384,
  INIT_ON_FREE: 32768,
  QUARANTINE: 65536,
  GENERATIONS: 131072,
  RANDOM: 262144,
  CALL_SITES: 524288,
};

/** Flags that debug derivations carry out at each allocation and free; such a cache has no sheaves. */
export const SLAB_DEBUG: number =
  SLAB.CONSISTENCY_CHECKS |
  SLAB.RED_ZONE |
  SLAB.POISON |
  SLAB.STORE_USER |
  SLAB.TRACE |
  SLAB.FAILSLAB |
  SLAB.INIT_ON_ALLOC |
  SLAB.INIT_ON_FREE |
  SLAB.QUARANTINE |
  SLAB.GENERATIONS |
  SLAB.CALL_SITES;
/** Debug flags that make room around each object. */
export const SLAB_DEBUG_ROOM: number = SLAB.RED_ZONE | SLAB.STORE_USER | SLAB.GENERATIONS;

/** In a descriptor: its slabs come from a page allocator that not every thread can have (slab/pageSources.ts). */
export const SLAB_LOCAL_PAGES: number = 1 << 20;
/** In a descriptor: allocations and frees must go through the thread's own allocator (slab/deriveSlabAllocator.ts). */
export const SLAB_OWN_ALLOCATOR: number = 1 << 21;
/** In a descriptor: a slab is one object in whole pages, and none is kept empty (slab/pageSlab.ts). */
export const SLAB_WHOLE_PAGES: number = 1 << 22;
/** In a descriptor: no slab of it has more than one frame (page/vmallocPageAllocator.ts). */
export const SLAB_SINGLE_FRAME: number = 1 << 23;
/** In a descriptor: its objects lie in pages that caches share (slab/slob.ts). */
export const SLAB_SLOB: number = 1 << 24;

/** Flags whose derivations this version has. The others are refused, so that nobody relies on what is not there. */
export const SLAB_SUPPORTED: number =
  SLAB.HWCACHE_ALIGN |
  SLAB.PANIC |
  SLAB.RECLAIM_ACCOUNT |
  SLAB.TYPESAFE_BY_RCU |
  SLAB.CACHE_DMA |
  SLAB.NO_MERGE |
  SLAB.MEM_SPREAD |
  (SLAB_DEBUG & ~SLAB.CALL_SITES) |
  SLAB.RANDOM;

/** The names of the flags set in `flags`, for messages. */
export function flagNames(flags: SlabFlags): string {
  const names = Object.entries(SLAB)
    .filter(([, bit]) => (flags & bit) !== 0)
    .map(([name]) => name);
  return names.join(' | ');
}
