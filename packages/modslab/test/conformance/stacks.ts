/** Every legal stack of slab allocators, and kmalloc re-exported as one: the rows of the conformance matrix. */

import { Heap, type HeapOptions } from 'modslab';
import {
  dmaifySlabAllocator,
  kmallocSlabAllocator,
  numaSlab,
  type PageAllocator,
  pageSlab,
  rcuifySlabAllocator,
  reclaimable,
  type SlabAllocator,
  sheaved,
  slabifier,
  slob,
} from 'modslab/framework';

const KIB = 1024;
const MIB: number = 1024 * KIB;

/** The window that `dma` stacks must stay in. */
export const DMA: { readonly start: number; readonly end: number } = { start: 512 * KIB, end: 2 * MIB };

const OPTIONS: HeapOptions = {
  size: 4 * MIB,
  maxSize: 4 * MIB,
  pageSize: 4096,
  cpus: 4,
  caches: 48,
  nodes: 2,
  dma: DMA,
};

/** A heap that every stack can be made on: two nodes, a DMA zone. */
export const stackHeap = (): Heap => Heap.create(OPTIONS);

export interface Stack {
  /** As its allocators compose it. */
  readonly name: string;
  /** What tells stacks of one name apart: the page allocator, or the NUMA policy. */
  readonly variant: string;
  build(heap: Heap): SlabAllocator;
  /** Objects share slabs with others', so counts are not its own. */
  readonly shared: boolean;
}

/** How a stack is named in the matrix. */
export const titleOf = ({ name, variant }: Stack): string => (variant === '' ? name : `${name} (${variant})`);

/** Whether one of a stack's layers has that name. */
export const hasLayer = ({ name }: Stack, layer: string): boolean => name.split(':').includes(layer);

function on(base: Stack, name: string, add: (base: SlabAllocator) => SlabAllocator, variant = ''): Stack {
  return {
    name: `${name}:${base.name}`,
    variant: [base.variant, variant].filter((word) => word !== '').join(', '),
    build: (heap) => add(base.build(heap)),
    shared: base.shared,
  };
}

const base = (name: string, build: (pages: PageAllocator) => SlabAllocator, variant = ''): Stack => ({
  name,
  variant,
  build: (heap) => build(heap.pageAllocator),
  shared: false,
});

/** The plain one, which all others are compared with. */
export const PLAIN: Stack = base('slabifier', slabifier);

function legalStacks(): Stack[] {
  const bases = [
    PLAIN,
    base('slabifier', (pages) => slabifier(reclaimable(pages)), 'reclaimable pages'),
    base('page_slab', pageSlab),
    base('slob', slob),
  ];
  const withNuma = bases.flatMap((stack) => [
    stack,
    on(stack, 'numa', (under) => numaSlab(under, { policy: 'interleave' }), 'interleave'),
    on(stack, 'numa', (under) => numaSlab(under, { policy: 'bind', nodes: [1] }), 'bind to node 1'),
  ]);
  const withDma = withNuma.flatMap((stack) =>
    hasLayer(stack, 'numa') ? [stack] : [stack, on(stack, 'dma', dmaifySlabAllocator)],
  );
  const withSheaves = withDma.flatMap((stack) => [stack, on(stack, 'sheaved', sheaved)]);
  const dmaLast = withSheaves
    .filter((stack) => hasLayer(stack, 'sheaved') && !hasLayer(stack, 'dma') && !hasLayer(stack, 'numa'))
    .map((stack) => on(stack, 'dma', dmaifySlabAllocator));
  const withRcu = withSheaves
    .filter((stack) => !hasLayer(stack, 'dma') && !hasLayer(stack, 'page_slab'))
    .map((stack) => on(stack, 'rcu', rcuifySlabAllocator));
  return [...withSheaves, ...dmaLast, ...withRcu];
}

/** Stacks whose caches are their own. */
export const STACKS: readonly Stack[] = legalStacks();

export const KMALLOC: Stack = {
  name: 'kmalloc:sheaved:slabifier',
  variant: '',
  build: (heap) => kmallocSlabAllocator(heap.slabAllocator),
  shared: true,
};

export const ALL_STACKS: readonly Stack[] = [...STACKS, KMALLOC];
