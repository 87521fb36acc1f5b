/** `dmaifyPageAllocator` (2006: `dmaify_page_allocator`): every request is for the DMA zone. */

import { invalid } from '../memory/errors.ts';
import { GFP, type GfpFlags } from '../memory/gfp.ts';
import { H_DMA_END, H_DMA_START } from '../memory/layout.ts';
import { derivePageAllocator } from './derivePageAllocator.ts';
import type { PageAllocator } from './pageAllocator.ts';

/** Requests carry `GFP.DMA`. Throws `EINVAL` on a heap without a DMA zone. */
export function dmaifyPageAllocator(base: PageAllocator): PageAllocator {
  const { m } = base.frames.metadata;
  if (m[H_DMA_START] === m[H_DMA_END]) invalid('this heap has no DMA zone: create it with { dma }');
  return derivePageAllocator(base, 'dma', {
    allocateExact(frames: number, alignment: number, gfp: GfpFlags, node: number): number {
      return base.allocateExact(frames, alignment, gfp | GFP.DMA, node);
    },
  });
}
