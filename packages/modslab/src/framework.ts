/**
 * The framework: allocators as small interfaces, and derivations that take one and return one that does more
 * (MODSLAB 1/5, 2006).
 *
 * @packageDocumentation
 */

export {
  checkSizeClasses,
  SIZE_CLASSES_2006,
  SIZE_CLASSES_HALVES,
  type SizeClasses,
} from './kmalloc/sizeClasses.ts';
export { perDoubling, powersOfTwo, SIZE_TABLES } from './kmalloc/sizeTables.ts';
export type { Cpu } from './memory/cpu.ts';
export { DataMemory } from './memory/data.ts';
export { createMetadata, type Metadata, openMetadata } from './memory/metadata.ts';
export { FrameAllocator, NODE_ANY, type PageAllocator } from './page/pageAllocator.ts';
export { type SlabGeometry, slabGeometry } from './slab/geometry.ts';
export { Sheaves, sheaved } from './slab/sheaves.ts';
export type { Address, CacheSpec, SlabAllocator, SlabCounts } from './slab/slabAllocator.ts';
export { Slabifier } from './slab/slabifier.ts';
