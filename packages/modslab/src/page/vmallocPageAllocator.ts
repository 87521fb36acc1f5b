/**
 * `vmallocPageAllocator` (2006: V1's `vmalloc_allocator`): runs of frames that need not lie side by side.
 *
 * A run of several frames is a vmalloc area. As in 2006, what is handed out is the page of its first frame, and that alone
 * leads to the others: the frame's descriptor names the virtual page that maps it, and the page table maps the next ones. V1
 * applied virt_to_page to the area's address, which is no address of a frame; here the address is walked.
 *
 * One frame is itself: mapping it would gain nothing. A slabifier on it makes slabs of one frame each, since the objects of
 * a slab lie one behind the other in the data buffer: so no object ever lies across two frames, and one that is larger than
 * a frame is refused. Such a heap needs no two adjacent frames for any cache.
 *
 * An area outlives its thread, like any memory that was handed out.
 */

import { invalid, SlabError } from '../memory/errors.ts';
import type { GfpFlags } from '../memory/gfp.ts';
import { pageAt } from '../memory/layout.ts';
import {
  DerivedPageAllocator,
  findDerivation,
  kindOfStack,
  type PageAllocatorOverrides,
  SHARED,
  USER,
  VMALLOC_DERIVATION,
} from './derivePageAllocator.ts';
import { KIND_VMALLOC, kindOf, PAGE_FLAGS, PAGE_VPN } from './page.ts';
import type { PageAllocator } from './pageAllocator.ts';
import { Vmalloc } from './vmalloc.ts';

/**
 * Runs out of scattered frames of `base`. Throws `EINVAL` over one that does so already, and over functions of the user's,
 * which would run while an area is half made: derive those from this one.
 */
export function vmallocPageAllocator(base: PageAllocator): DerivedPageAllocator {
  if (findDerivation(base, VMALLOC_DERIVATION) !== undefined)
    invalid(`vmalloc over '${base.name}': its runs are scattered already`);
  if (kindOfStack(base) === USER)
    invalid(`vmalloc over '${base.name}': the user's functions would run while an area is half made`);
  const vmalloc = new Vmalloc(base);
  const { m, layout } = base.frames.metadata;
  const overrides: PageAllocatorOverrides = {
    allocateExact(frames: number, alignment: number, gfp: GfpFlags, node: number): number {
      if (frames === 1) return base.allocateExact(1, alignment, gfp, node);
      const address = vmalloc.allocate(frames * 2 ** layout.pageShift, gfp, node);
      return address === 0 ? 0 : vmalloc.frameOf(address);
    },
    freeExact(pfn: number, frames: number): void {
      if (frames === 1) {
        base.freeExact(pfn, 1);
        return;
      }
      const page = pageAt(layout, pfn);
      const address = vmalloc.addressOf(m[page + PAGE_VPN]);
      if (kindOf(m[page + PAGE_FLAGS]) !== KIND_VMALLOC || !vmalloc.isArea(address, frames))
        throw new SlabError('EFAULT', `frame ${pfn} is not the first of an area of ${frames} frames`);
      vmalloc.free(address);
    },
  };
  return new DerivedPageAllocator(base, VMALLOC_DERIVATION, overrides, SHARED);
}
