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
 * Functions cannot be left there: a derivation that overrides `free` or `freeExact` is *local*, that of a thread.
 */

import { invalid } from '../memory/errors.ts';
import type { GfpFlags } from '../memory/gfp.ts';
import { pageAt } from '../memory/layout.ts';
import { PAGE_SOURCE } from './page.ts';
import type { FrameAllocator, PageAllocator } from './pageAllocator.ts';

/** Names of derivations that others must know of. */
export const RCU_DERIVATION = 'rcu';
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

/** A page allocator that derives from `base`. Made by `derivePageAllocator`. */
export class DerivedPageAllocator implements PageAllocator {
  readonly name: string;
  readonly base: PageAllocator;
  /** What it adds: "dma". */
  readonly derivation: string;
  readonly frames: FrameAllocator;
  private readonly overrides: PageAllocatorOverrides;

  constructor(base: PageAllocator, derivation: string, overrides: PageAllocatorOverrides) {
    this.base = base;
    this.derivation = derivation;
    this.name = `${derivation}:${base.name}`;
    this.frames = base.frames;
    this.overrides = overrides;
  }

  /** Whether frees must run code of this thread: then no other thread may free what it gave. */
  get isLocal(): boolean {
    const { free, freeExact } = this.overrides;
    return free !== undefined || freeExact !== undefined || isLocal(this.base);
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
  return new DerivedPageAllocator(base, name, overrides);
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

/** Whether frees through it must run code of this thread. */
export function isLocal(allocator: PageAllocator): boolean {
  return allocator instanceof DerivedPageAllocator && allocator.isLocal;
}

/** Allocates from `base` and leaves word of what the derivation wants in every frame. */
export function allocateWithSource(
  base: PageAllocator,
  source: number,
  frames: number,
  alignment: number,
  gfp: GfpFlags,
  node: number,
): number {
  const head = base.allocateExact(frames, alignment, gfp, node);
  if (head === 0) return 0;
  const { m, layout } = base.frames.metadata;
  for (let pfn = head; pfn < head + frames; pfn++) m[pageAt(layout, pfn) + PAGE_SOURCE] |= source;
  return head;
}
