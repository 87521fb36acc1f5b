/**
 * What indirection costs: the 2006 patch "Bypass indirections" hardwired the slab allocator's calls to find out, and no
 * result was posted. Here the same allocator is called flattened by hand (`kmalloc`, `kfree`), through a handle, through the
 * interface, and through one to four derivations that do nothing.
 */

import { Heap } from 'modslab';
import { DerivedSlabAllocator, type SlabAllocator, sheaved, slabifier } from 'modslab/framework';
import { type Contestant, copyOf, timeSideBySide } from './timing.ts';

/** Nanoseconds; the slow path's are of one object of a refill and flush of 60. */
export interface IndirectionRow {
  name: string;
  alloc: number;
  slow: number;
}

const OPERATIONS = 2 ** 13;
const BATCH = 60;
const LAYERS = 4;

// Classes of their own, so that no two layers are the same to the engine.
class First extends DerivedSlabAllocator {}
class Second extends DerivedSlabAllocator {}
class Third extends DerivedSlabAllocator {}
class Fourth extends DerivedSlabAllocator {}
const KINDS = [First, Second, Third, Fourth];

/** `base` under so many derivations that add nothing. */
function wrapped(base: SlabAllocator, layers: number): SlabAllocator {
  let allocator = base;
  for (let i = 0; i < layers; i++) allocator = new KINDS[i](allocator, `layer${i + 1}`);
  return allocator;
}

/** Allocation by one way, the free always by kfree. */
const pairs = (alloc: () => number, free: (address: number) => void, operations: number): number => {
  let last = 0;
  for (let i = 0; i < operations; i++) {
    last = alloc();
    free(last);
  }
  return last;
};

/** Allocation through the interface, by code that calls nothing else. */
const calling =
  (allocator: SlabAllocator, cache: number): (() => number) =>
  () =>
    allocator.alloc(cache, 0);

const batches = (
  allocator: SlabAllocator,
  cache: number,
  sheaf: number,
  batch: number,
  operations: number,
): number => {
  let got = 0;
  for (let done = 0; done < operations; done += batch) {
    got = allocator.fill(cache, sheaf, 0, batch, 0, -1);
    allocator.drain(cache, sheaf, 1, got);
  }
  return got;
};

/** Times all of them in one run. */
export function indirectionRows(rounds: number): IndirectionRow[] {
  const heap = Heap.create({ size: 2 ** 24, maxSize: 2 ** 24, cpus: 2 });
  const free = (address: number): void => heap.kfree(address);
  const handle = heap.cache('kmalloc-64');
  const { id } = handle;
  const fast: [string, () => number][] = [
    ['flattened: heap.kmalloc', () => heap.kmalloc(64)],
    ['a handle: cache.alloc', () => handle.alloc()],
  ];
  for (let layers = 0; layers <= LAYERS; layers++) {
    const allocator = wrapped(heap.slabAllocator, layers);
    fast.push([interfaceName(layers), copyOf(calling)(allocator, id)]);
  }
  const fastTimes = timeSideBySide(
    fast.map(([name, alloc]): Contestant => {
      const own = copyOf(pairs);
      return { name, run: (operations) => own(alloc, free, operations) };
    }),
    OPERATIONS,
    rounds,
  );
  const slowTimes = timeSideBySide(slowContestants(heap), OPERATIONS, rounds);
  return [...fastTimes].map(([name, alloc]) => ({ name, alloc, slow: slowTimes.get(name) ?? Number.NaN }));
}

const interfaceName = (layers: number): string =>
  layers === 0 ? 'the interface' : `the interface, ${layers} derivation${layers > 1 ? 's' : ''} more`;

function slowContestants(heap: Heap): Contestant[] {
  const base = slabifier(heap.pageAllocator);
  const cache = base.create({
    name: 'batches',
    size: 64,
    align: 0,
    flags: 0,
    node: -1,
    useroffset: 0,
    usersize: 64,
  });
  const sheaf = sheaved(base).claimSheaf(cache);
  return Array.from({ length: LAYERS + 1 }, (_, layers) => {
    const allocator = wrapped(base, layers);
    const own = copyOf(batches);
    return {
      name: interfaceName(layers),
      run: (operations) => own(allocator, cache, sheaf, BATCH, operations),
    };
  });
}
