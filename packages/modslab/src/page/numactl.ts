/** `numactlAllocator` (2006: `numactl_allocator`, NUMA slab): every request is for one node, or carries more flags. */

import { checkInteger, invalid } from '../memory/errors.ts';
import { GFP, GFP_MASK, type GfpFlags } from '../memory/gfp.ts';
import { H_DMA_END, H_DMA_START } from '../memory/layout.ts';
import { derivePageAllocator, findDerivation } from './derivePageAllocator.ts';
import { NODE_ANY, type PageAllocator } from './pageAllocator.ts';

const DERIVATION = 'numactl';

/**
 * Requests are for `node` (-1: for whichever they say) and carry `gfp` as well: with `GFP.THISNODE`, no other node will
 * do. Throws `RangeError` for no node of the heap, `EINVAL` for flags that mean nothing, or over another numactl.
 */
export function numactlAllocator(base: PageAllocator, node: number, gfp: GfpFlags = 0): PageAllocator {
  const { m, layout } = base.frames.metadata;
  checkInteger('a node', node, NODE_ANY, layout.nodes - 1);
  if ((gfp & GFP_MASK) !== gfp) invalid(`gfp has bits that mean nothing: ${String(gfp)}`);
  if ((gfp & GFP.DMA) !== 0 && m[H_DMA_START] === m[H_DMA_END])
    invalid('this heap has no DMA zone: create it with { dma }');
  if (findDerivation(base, DERIVATION) !== undefined) {
    invalid(`numactl over '${base.name}': the inner one would have the last word`);
  }
  return derivePageAllocator(base, DERIVATION, {
    allocateExact(frames: number, alignment: number, asked: GfpFlags, askedNode: number): number {
      return base.allocateExact(frames, alignment, asked | gfp, node === NODE_ANY ? askedNode : node);
    },
  });
}
