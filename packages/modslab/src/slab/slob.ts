/**
 * SLOB, the allocator for tiny heaps (Linux had one until 6.4; the third of its slab allocators beside SLAB and SLUB, and
 * what the letters of 2006 measure space against): objects of all caches, of any size up to a page, lie in the same pages,
 * packed in granules of 8 bytes. A cache costs no page of its own, and no byte of an object is lost to a size class.
 *
 * It is the slabifier's other degenerate case. What is special is in the caches' descriptors (flag SLOB), so any slabifier of
 * any thread allocates and frees such objects, and reaps after who did; creating the caches is all that is left to do here.
 * slab/granules.ts has the states of the pages, slab/runs.ts the search.
 *
 * Frees are checked as all frees are: an address inside an object is refused, so is one of another cache. The price is
 * time: every call claims a page, and the search looks at more states the fuller the heap is. Sheaves never open such a
 * cache, as what they kept back would be memory that no other cache could use.
 *
 * What cannot share pages has slabs of its own, as the slabifier makes them: objects of more than a page; those with a
 * constructor function, which runs once for each object of a slab (a template of bytes is copied at each allocation instead);
 * `TYPESAFE_BY_RCU`, whose pages keep their type; what is debugged or charged to groups; and caches whose pages come through
 * derivations of one thread's own.
 */

import type { PageAllocator } from '../page/pageAllocator.ts';
import { debugFlagsFor } from './debugOption.ts';
import { SLAB, SLAB_OWN_ALLOCATOR, SLAB_SLOB } from './flags.ts';
import type { CacheSpec } from './slabAllocator.ts';
import { Slabifier } from './slabifier.ts';

/** Flags of caches that can share pages: they say nothing about what else lies in one. */
const SHAREABLE: number =
  SLAB.HWCACHE_ALIGN |
  SLAB.PANIC |
  SLAB.RECLAIM_ACCOUNT |
  SLAB.CACHE_DMA |
  SLAB.NO_MERGE |
  SLAB.MEM_SPREAD |
  SLAB_OWN_ALLOCATOR;

export class Slob extends Slabifier {
  override readonly name: string = 'slob';

  override create(spec: CacheSpec): number {
    const { name, size, align, flags, ctor } = spec;
    const debug = debugFlagsFor(this.frames.metadata, name, size, align);
    const pageSize = 2 ** this.frames.metadata.layout.pageShift;
    const fits = size <= pageSize && align <= pageSize && typeof ctor !== 'function';
    const shares = fits && ((flags | debug | this.impliedFlags) & ~SHAREABLE) === 0;
    return super.create(shares ? { ...spec, flags: flags | SLAB_SLOB } : spec);
  }
}

/** Objects of all sizes and caches in the same pages. */
export function slob(pages: PageAllocator): Slob {
  return new Slob(pages);
}
