/**
 * `dmaifySlabAllocator` (2006: `dmaify_slab_allocator`): the slabs of every cache that is created through it lie in the
 * DMA zone. The cache's flags say so, so any thread can make slabs of it.
 */

import { invalid } from '../memory/errors.ts';
import { H_DMA_END, H_DMA_START } from '../memory/layout.ts';
import { DerivedSlabAllocator } from './deriveSlabAllocator.ts';
import { SLAB } from './flags.ts';
import type { CacheSpec, SlabAllocator } from './slabAllocator.ts';
import { refuseStack } from './stack.ts';

class DmaSlab extends DerivedSlabAllocator {
  override create(spec: CacheSpec): number {
    return super.create({ ...spec, flags: spec.flags | SLAB.CACHE_DMA });
  }
}

/** Throws `EINVAL` on a heap without a DMA zone, or over an allocator whose slabs it cannot place. */
export function dmaifySlabAllocator(base: SlabAllocator): SlabAllocator {
  const { m } = base.frames.metadata;
  if (m[H_DMA_START] === m[H_DMA_END]) invalid('this heap has no DMA zone: create it with { dma }');
  refuseStack('dmaify', base, {
    dma: 'its slabs lie in the DMA zone already',
    kmalloc: 'it makes no slabs of its own that could lie in the DMA zone',
  });
  return new DmaSlab(base, 'dma');
}
