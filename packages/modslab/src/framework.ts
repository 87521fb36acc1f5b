/**
 * The framework: allocators as small interfaces, and derivations that take one and return one that does more
 * (MODSLAB 1/5, 2006).
 *
 * @packageDocumentation
 */

export { kmallocSlabAllocator } from './kmalloc/kmallocSlab.ts';
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
export { Rcu } from './memory/rcu.ts';
export {
  ctorAndDtorForPageAllocator,
  type ObjectConstructor,
  type ObjectDestructor,
} from './page/ctorAndDtor.ts';
export {
  type DerivedPageAllocator,
  derivePageAllocator,
  type PageAllocatorOverrides,
} from './page/derivePageAllocator.ts';
export { dmaifyPageAllocator } from './page/dmaify.ts';
export { numactlAllocator } from './page/numactl.ts';
export { FrameAllocator, NODE_ANY, type PageAllocator } from './page/pageAllocator.ts';
export { rcuifyPageAllocator } from './page/rcuify.ts';
export { reclaimable, unreclaimable } from './page/reclaimable.ts';
export { vmallocPageAllocator } from './page/vmallocPageAllocator.ts';
export {
  checked,
  failslab,
  initializedOnAlloc,
  initializedOnFree,
  numbered,
  poisoned,
  quarantined,
  redzoned,
  traced,
  tracked,
} from './slab/debugDerivations.ts';
export { DerivedSlabAllocator } from './slab/deriveSlabAllocator.ts';
export { dmaifySlabAllocator } from './slab/dmaifySlab.ts';
export { type SlabGeometry, slabGeometry } from './slab/geometry.ts';
export { type NumaPolicy, NumaSlab, numaSlab } from './slab/numaSlab.ts';
export { PageSlab, pageSlab } from './slab/pageSlab.ts';
export { randomized } from './slab/randomized.ts';
export { rcuifySlabAllocator } from './slab/rcuifySlab.ts';
export { Sheaves, sheaved } from './slab/sheaves.ts';
export type {
  Address,
  AddressArray,
  CacheSpec,
  MoveObject,
  SlabAllocator,
  SlabCounts,
} from './slab/slabAllocator.ts';
export { Slabifier, slabifier } from './slab/slabifier.ts';
export { Slob, slob } from './slab/slob.ts';
export { adoptCache } from './slab/stack.ts';
