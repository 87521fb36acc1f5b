/**
 * What one of kmalloc's own caches is created from. With slab debugging, which makes room between objects, its objects
 * still begin where kmalloc's size classes promise: powers of two at multiples of themselves, up to the page size.
 */

import type { Metadata } from '../memory/metadata.ts';
import { NODE_ANY } from '../page/pageAllocator.ts';
import type { CacheSpec } from '../slab/cacheSpec.ts';
import { debugFlagsFor } from '../slab/debugOption.ts';
import { SLAB_DEBUG_ROOM, type SlabFlags } from '../slab/flags.ts';
import { slabGeometry } from '../slab/geometry.ts';

/** `size`: bytes of the class. */
export function kmallocSpec(metadata: Metadata, name: string, size: number, flags: SlabFlags): CacheSpec {
  const { pageShift } = metadata.layout;
  const debug = debugFlagsFor(metadata, name, size, 0);
  const plain = { name, size, align: 0, flags, node: NODE_ANY, useroffset: 0, usersize: size };
  if ((debug & SLAB_DEBUG_ROOM) === 0) return plain;
  const { stride } = slabGeometry(size, 0, 0, pageShift);
  return { ...plain, size: stride, usersize: stride, align: Math.min(stride & -stride, 2 ** pageShift) };
}
