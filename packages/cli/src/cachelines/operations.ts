/**
 * The lines that modslab's own operations touch, counted on the real modules. Each call is classed by what the slow path's
 * counters say it did, so that a refill is told from a pop without knowing when one is due.
 */

import { Heap } from 'modslab';
import {
  dmaifySlabAllocator,
  numaSlab,
  pageSlab,
  type SlabAllocator,
  sheaved,
  slabifier,
} from 'modslab/framework';
import { LAYOUTS, type Layout } from './layouts/index.ts';
import { type LayoutParts, regionsOf } from './regions.ts';
import { LineTracer, type Touched } from './tracer.ts';

/** What operations of one kind touched: means over so many of them. */
export interface LineRow {
  allocator: string;
  operation: string;
  size: number;
  samples: number;
  lines: number;
  /** Lines that are the object's own. */
  object: number;
  atomics: number;
  /** Mean lines by structure. */
  parts: Record<string, number>;
}

const MIB = 2 ** 20;
/** Objects of a run: a few sheaves of the smallest, so that every path is taken. */
const RUN = 900;
const SIZES: readonly number[] = [8, 64, 256, 1024, 8192];

/** Means over operations of one name. */
class Sums {
  private readonly all: Map<string, Touched[]> = new Map();

  add(operation: string, touched: Touched): void {
    const list = this.all.get(operation);
    if (list === undefined) this.all.set(operation, [touched]);
    else list.push(touched);
  }

  rows(allocator: string, size: number): LineRow[] {
    return [...this.all].map(([operation, list]) => {
      const mean = (of: (touched: Touched) => number): number =>
        list.reduce((sum, touched) => sum + of(touched), 0) / list.length;
      const names = new Set(list.flatMap(({ lines }) => Object.keys(lines)));
      const parts = Object.fromEntries(
        [...names].map((name) => [name, mean(({ lines }) => lines[name] ?? 0)]),
      );
      return {
        allocator,
        operation,
        size,
        samples: list.length,
        lines: mean(({ total }) => total),
        object: parts.object ?? 0,
        atomics: mean(({ atomics }) => atomics),
        parts,
      };
    });
  }
}

/** A heap with two CPUs that are traced, and one that is not: it reads the counters. */
function tracedHeap(tracer: LineTracer, options: { nodes?: number; dma?: boolean } = {}): [Heap, Heap, Heap] {
  const dma = options.dma === true ? { dma: { start: 8 * MIB, end: 40 * MIB } } : {};
  const nodes = options.nodes === undefined ? {} : { nodes: options.nodes };
  const heap = Heap.create({
    size: 64 * MIB,
    maxSize: 64 * MIB,
    pageSize: 65_536,
    cpus: 4,
    ...dma,
    ...nodes,
  });
  const other = Heap.attach(heap.handle);
  const watch = Heap.attach(heap.handle);
  const { metadata } = heap as unknown as LayoutParts;
  tracer.name(metadata.buffer, regionsOf(metadata.layout));
  tracer.name(heap.buffer, () => 'object');
  for (const each of [heap, other]) tracer.traceAll(each);
  return [heap, other, watch];
}

const SLOW: readonly (readonly [string, string])[] = [
  ['refill', 'from slabs'],
  ['flush', 'into slabs'],
  ['barnGet', 'from the barn'],
  ['barnPut', 'into the barn'],
  ['sheafSwap', 'spare sheaf'],
];

/** Measures one call and names it by what it did. */
function classed(tracer: LineTracer, watch: Heap, name: string, call: () => void, sums: Sums): void {
  const before = watch.counters();
  const touched = tracer.measure(call);
  if (touched.total === 0) return;
  const after = watch.counters();
  const slow = SLOW.find(([counter]) => after[counter as 'refill'] > before[counter as 'refill']);
  sums.add(slow === undefined ? name : `${name}, ${slow[1]}`, touched);
}

interface Calls {
  alloc(): number;
  free(address: number): void;
  /** Frees an object of the other CPU's. */
  freeRemote?(address: number): void;
  allocRemote?(): number;
}

function run(tracer: LineTracer, watch: Heap, [alloc, free]: [string, string], calls: Calls): Sums {
  const sums = new Sums();
  for (let round = 0; round < 2; round++) {
    const addresses: number[] = [];
    for (let i = 0; i < RUN; i++)
      if (round === 0) addresses.push(calls.alloc());
      else classed(tracer, watch, alloc, () => addresses.push(calls.alloc()), sums);
    for (const address of addresses)
      if (round === 0) calls.free(address);
      else classed(tracer, watch, free, () => calls.free(address), sums);
  }
  if (calls.allocRemote !== undefined) {
    const remote = Array.from({ length: 100 }, calls.allocRemote);
    for (let i = 0; i < 20; i++) calls.alloc();
    for (const address of remote)
      classed(tracer, watch, `${free}, another CPU's`, () => calls.free(address), sums);
  }
  // Lines are shared by neighbours: what a hundred calls in a row touch, per call.
  const row: number[] = [];
  for (let i = 0; i < 50; i++) calls.free(calls.alloc());
  for (const [name, count] of Object.entries({ [alloc]: 100 })) {
    const touched = tracer.measure(() => {
      for (let i = 0; i < count; i++) row.push(calls.alloc());
    });
    sums.add(`${name}, 100 in a row, each`, perCall(touched, count));
  }
  sums.add(
    `${free}, 100 in a row, each`,
    perCall(
      tracer.measure(() => {
        for (const address of row) calls.free(address);
      }),
      row.length,
    ),
  );
  return sums;
}

function perCall({ lines, total, atomics }: Touched, calls: number): Touched {
  const each = Object.fromEntries(Object.entries(lines).map(([name, n]) => [name, n / calls]));
  return { lines: each, total: total / calls, atomics: atomics / calls };
}

/** kmalloc and kfree, by size. */
export function kmallocRows(sizes: readonly number[] = SIZES): LineRow[] {
  const tracer = new LineTracer();
  try {
    const [heap, other, watch] = tracedHeap(tracer);
    return sizes.flatMap((size) =>
      run(tracer, watch, ['kmalloc', 'kfree'], {
        alloc: () => heap.kmalloc(size),
        free: (address) => heap.kfree(address),
        allocRemote: () => other.kmalloc(size),
      }).rows('kmalloc', size),
    );
  } finally {
    tracer.dispose();
  }
}

/** The stacks of slab allocators, each through the interface, at one size. */
export function stackRows(size = 64): LineRow[] {
  const stacks: [string, (heap: Heap) => SlabAllocator][] = [
    ['slabifier', (heap) => slabifier(heap.pageAllocator)],
    ['sheaved', (heap) => sheaved(slabifier(heap.pageAllocator))],
    ['numa', (heap) => numaSlab(slabifier(heap.pageAllocator), { policy: 'interleave' })],
    ['sheaved:numa', (heap) => sheaved(numaSlab(slabifier(heap.pageAllocator), { policy: 'interleave' }))],
    ['sheaved:dma', (heap) => sheaved(dmaifySlabAllocator(slabifier(heap.pageAllocator)))],
    ['page_slab', (heap) => pageSlab(heap.pageAllocator)],
  ];
  return stacks.flatMap(([name, build]) => {
    const tracer = new LineTracer();
    try {
      const [heap, , watch] = tracedHeap(tracer, { nodes: 2, dma: name.includes('dma') });
      const allocator = build(heap);
      tracer.traceAll(allocator);
      const spec = { name: 'traced', align: 0, flags: 0, node: -1, useroffset: 0 };
      const isPage = name === 'page_slab';
      const bytes = isPage ? 65_536 : size;
      const cache = allocator.create({ ...spec, size: bytes, usersize: bytes });
      let left = isPage ? 300 : Number.POSITIVE_INFINITY;
      return run(tracer, watch, ['alloc', 'free'], {
        alloc: () => {
          if (left === 0) return 0;
          left--;
          return allocator.alloc(cache, 0);
        },
        free: (address) => {
          if (address === 0) return;
          left++;
          allocator.free(cache, address);
        },
      }).rows(name, bytes);
    } finally {
      tracer.dispose();
    }
  });
}

function layoutRowsOf(layout: Layout, size: number): LineRow[] {
  const tracer = new LineTracer();
  const sums = new Sums();
  try {
    tracer.name(layout.words.buffer, (byte) => layout.region(byte >>> 2));
    tracer.traceAll(layout);
    const call = (name: string, slow: string, made: () => void, count: boolean): void => {
      const before = layout.slow;
      const touched = tracer.measure(made);
      if (count) sums.add(layout.slow > before ? `${name}, ${slow}` : name, touched);
    };
    for (let round = 0; round < 2; round++) {
      const addresses: number[] = [];
      for (let i = 0; i < RUN; i++)
        call('alloc', 'from slabs', () => addresses.push(layout.alloc()), round === 1);
      for (const address of addresses) call('free', 'into slabs', () => layout.free(address), round === 1);
    }
    const row: number[] = [];
    const allocs = tracer.measure(() => {
      for (let i = 0; i < 100; i++) row.push(layout.alloc());
    });
    sums.add('alloc, 100 in a row, each', perCall(allocs, 100));
    const frees = tracer.measure(() => {
      for (const address of row) layout.free(address);
    });
    sums.add('free, 100 in a row, each', perCall(frees, 100));
  } finally {
    tracer.dispose();
  }
  return sums.rows(layout.name, size);
}

/** The layouts of 2006 and of today's Linux. */
export function layoutRows(size = 64): LineRow[] {
  return LAYOUTS.flatMap((make) => layoutRowsOf(make(size, 256), size));
}
