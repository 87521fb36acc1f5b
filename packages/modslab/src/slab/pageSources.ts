/**
 * Where the slabs of a cache come from (2006: what the Slabulator's `kmem_cache_create` derives): over the slab
 * allocator's own page allocator, what the flags of the cache ask for, in the order of 2006:
 *
 *     reclaimable or unreclaimable → dma → rcu                "rcu:dma:unreclaimable:page_allocator"
 *
 * A derivation that the page allocator has already is not added again. And the other way round: what a page allocator does
 * by itself becomes flags of the caches on it, so that every thread makes slabs of the same kind. Stacks that are not to be
 * had from flags (kinds `LOCAL` and `USER` of page/derivePageAllocator.ts) are a mark in the descriptor: only a thread that
 * has the stack makes slabs of such a cache, or gives them back.
 */

import {
  COUNTED_DERIVATIONS,
  DMA_DERIVATION,
  findDerivation,
  kindOfStack,
  RCU_DERIVATION,
  SHARED,
  VMALLOC_DERIVATION,
} from '../page/derivePageAllocator.ts';
import { dmaifyPageAllocator } from '../page/dmaify.ts';
import type { PageAllocator } from '../page/pageAllocator.ts';
import { rcuifyPageAllocator } from '../page/rcuify.ts';
import { reclaimable, unreclaimable } from '../page/reclaimable.ts';
import { SLAB, SLAB_LOCAL_PAGES, SLAB_SINGLE_FRAME, type SlabFlags } from './flags.ts';

const has = (pages: PageAllocator, derivation: string): boolean =>
  findDerivation(pages, derivation) !== undefined;

/** Derives what `flags` ask for. Throws `EINVAL` for what the stack cannot carry. */
function derive(base: PageAllocator, flags: SlabFlags): PageAllocator {
  let pages = base;
  if (!COUNTED_DERIVATIONS.some((name) => has(base, name))) {
    pages = (flags & SLAB.RECLAIM_ACCOUNT) !== 0 ? reclaimable(pages) : unreclaimable(pages);
  }
  if ((flags & SLAB.CACHE_DMA) !== 0 && !has(base, DMA_DERIVATION)) pages = dmaifyPageAllocator(pages);
  if ((flags & SLAB.TYPESAFE_BY_RCU) !== 0 && !has(base, RCU_DERIVATION)) pages = rcuifyPageAllocator(pages);
  return pages;
}

/** The derivations of one page allocator, by flags. */
export class PageSources {
  /** Flags that every cache on this page allocator has. */
  readonly implied: SlabFlags;
  private readonly base: PageAllocator;
  private readonly derived: Map<SlabFlags, PageAllocator> = new Map();

  constructor(base: PageAllocator) {
    this.base = base;
    this.implied =
      (has(base, 'reclaimable') ? SLAB.RECLAIM_ACCOUNT : 0) |
      (has(base, DMA_DERIVATION) ? SLAB.CACHE_DMA : 0) |
      (has(base, RCU_DERIVATION) ? SLAB.TYPESAFE_BY_RCU : 0) |
      (has(base, VMALLOC_DERIVATION) ? SLAB_SINGLE_FRAME : 0) |
      (kindOfStack(base) === SHARED ? 0 : SLAB_LOCAL_PAGES);
  }

  /** Where a cache with these flags has its slabs from. */
  of(flags: SlabFlags): PageAllocator {
    const asked = flags & (SLAB.RECLAIM_ACCOUNT | SLAB.CACHE_DMA | SLAB.TYPESAFE_BY_RCU);
    let pages = this.derived.get(asked);
    if (pages === undefined) {
      pages = derive(this.base, asked);
      this.derived.set(asked, pages);
    }
    return pages;
  }
}
