/**
 * Deriving page allocators (2006: `derive_page_allocator`): takes one, overrides some of its methods, and returns one that
 * does more. What is not overridden is the base's, names are composed, and a destructor runs the derivation's own part and
 * then the base's.
 *
 * Everything comes down to the exact forms: `allocate(order)` of a derivation is its own `allocateExact`. An override of
 * `allocate` or `free` alone is met by every request, of either form, for 2^order frames aligned to as many; what is no such
 * request goes past it. Override the exact forms to meet all.
 *
 * What a derivation does when frames are freed must be done even if they are freed by a thread that does not know it, or by
 * the reaper of a dead one. So the derivations here leave word of it in the frames' descriptors (`SOURCE` in page/page.ts).
 * Functions cannot be left there. So derivations are of three kinds, and a stack is of the last kind that it contains:
 *
 *     shared   any thread that knows the flags of a cache can do what it does        rcu dma vmalloc reclaimable unreclaimable
 *     local    only a thread that has made the same stack can                        numactl
 *     user     the same, and it runs functions of the user                           ctor_dtor, derivePageAllocator
 *
 * Slabs from a user stack are made and given back only where nothing is half done (slab/slabifier.ts).
 */

import { invalid } from '../memory/errors.ts';
import type { GfpFlags } from '../memory/gfp.ts';
import { pageAt } from '../memory/layout.ts';
import { KIND_VMALLOC, kindOf, PAGE_FLAGS, PAGE_SOURCE, PAGE_VPN } from './page.ts';
import type { FrameAllocator, PageAllocator } from './pageAllocator.ts';
import { frameAt } from './pageTable.ts';

/** Names of derivations that others must know of. */
export const RCU_DERIVATION = 'rcu';
export const DMA_DERIVATION = 'dma';
export const COUNTED_DERIVATIONS: readonly string[] = ['reclaimable', 'unreclaimable'];
export const VMALLOC_DERIVATION = 'vmalloc';
export const CTOR_DTOR_DERIVATION = 'ctor_dtor';

/** What a derivation may do itself. `this` is the derivation, so that `this.base` is what it derives from. */
export interface PageAllocatorOverrides {
  allocate?(this: DerivedPageAllocator, order: number, gfp: GfpFlags, node: number): number;
  free?(this: DerivedPageAllocator, pfn: number, order: number): void;
  allocateExact?(
    this: DerivedPageAllocator,
    frames: number,
    alignment: number,
    gfp: GfpFlags,
    node: number,
  ): number;
  freeExact?(this: DerivedPageAllocator, pfn: number, frames: number): void;
  /** Tidies up; the base's runs after it. */
  destructor?(this: DerivedPageAllocator): void;
}

export const SHARED = 0;
export const LOCAL = 1;
export const USER = 2;

/** A page allocator that derives from `base`. Made by `derivePageAllocator`. */
export class DerivedPageAllocator implements PageAllocator {
  readonly name: string;
  readonly base: PageAllocator;
  /** What it adds: "dma". */
  readonly derivation: string;
  readonly frames: FrameAllocator;
  /** `SHARED`, `LOCAL` or `USER`: of the whole stack. */
  readonly kind: number;
  private readonly overrides: PageAllocatorOverrides;

  constructor(base: PageAllocator, derivation: string, overrides: PageAllocatorOverrides, kind: number) {
    this.base = base;
    this.derivation = derivation;
    this.name = `${derivation}:${base.name}`;
    this.frames = base.frames;
    this.overrides = overrides;
    this.kind = Math.max(kind, kindOfStack(base));
  }

  /** Whether this derivation does something of its own when frames are freed. */
  get overridesFree(): boolean {
    return this.overrides.free !== undefined || this.overrides.freeExact !== undefined;
  }

  allocate(order: number, gfp: GfpFlags, node: number): number {
    return this.overrides.allocate === undefined
      ? this.allocateExact(2 ** order, 2 ** order, gfp, node)
      : this.overrides.allocate.call(this, order, gfp, node);
  }

  free(pfn: number, order: number): void {
    if (this.overrides.free === undefined) this.freeExact(pfn, 2 ** order);
    else this.overrides.free.call(this, pfn, order);
  }

  allocateExact(frames: number, alignment: number, gfp: GfpFlags, node: number): number {
    const { allocateExact, allocate } = this.overrides;
    if (allocateExact !== undefined) return allocateExact.call(this, frames, alignment, gfp, node);
    const order = Math.log2(frames);
    return allocate !== undefined && alignment === frames && Number.isInteger(order)
      ? allocate.call(this, order, gfp, node)
      : this.base.allocateExact(frames, alignment, gfp, node);
  }

  freeExact(pfn: number, frames: number): void {
    const { freeExact, free } = this.overrides;
    if (freeExact !== undefined) {
      freeExact.call(this, pfn, frames);
      return;
    }
    const order = Math.log2(frames);
    if (free !== undefined && pfn % frames === 0 && Number.isInteger(order)) free.call(this, pfn, order);
    else this.base.freeExact(pfn, frames);
  }

  destructor(): void {
    this.overrides.destructor?.call(this);
    this.base.destructor();
  }
}

/** Derives a page allocator named "`name`:…". Throws `EINVAL` for a name that could not be told from a composed one. */
export function derivePageAllocator(
  base: PageAllocator,
  name: string,
  overrides: PageAllocatorOverrides,
): DerivedPageAllocator {
  if (typeof name !== 'string' || !/^[^\s:]+$/.test(name)) {
    invalid(`the name of a derivation is a word without ':', not '${String(name)}'`);
  }
  return new DerivedPageAllocator(base, name, overrides, USER);
}

/** The derivation of that name in a stack, if there is one. */
export function findDerivation(
  allocator: PageAllocator,
  derivation: string,
): DerivedPageAllocator | undefined {
  let at = allocator;
  while (at instanceof DerivedPageAllocator) {
    if (at.derivation === derivation) return at;
    at = at.base;
  }
  return undefined;
}

/** `SHARED`, `LOCAL` or `USER`. */
export function kindOfStack(allocator: PageAllocator): number {
  return allocator instanceof DerivedPageAllocator ? allocator.kind : SHARED;
}

/** Frame number `index` of a run: beside its head, or, in a run of scattered frames, where the page table says. */
function frameOfRun({ frames }: PageAllocator, head: number, index: number): number {
  const { metadata } = frames;
  const page = pageAt(metadata.layout, head);
  return kindOf(metadata.m[page + PAGE_FLAGS]) === KIND_VMALLOC
    ? frameAt(metadata, metadata.m[page + PAGE_VPN] + index)
    : head + index;
}

/** A derivation whose allocations leave word of what it wants in every frame. */
export function deriveWithSource(
  base: PageAllocator,
  derivation: string,
  source: number,
): DerivedPageAllocator {
  const { m, layout } = base.frames.metadata;
  const overrides: PageAllocatorOverrides = {
    allocateExact(frames: number, alignment: number, gfp: GfpFlags, node: number): number {
      const head = base.allocateExact(frames, alignment, gfp, node);
      if (head === 0) return 0;
      for (let i = 0; i < frames; i++) m[pageAt(layout, frameOfRun(base, head, i)) + PAGE_SOURCE] |= source;
      return head;
    },
  };
  return new DerivedPageAllocator(base, derivation, overrides, SHARED);
}
