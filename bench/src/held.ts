/**
 * Whether the way by which a loop came by its heap costs anything, `npm run bench:held`: the heap is a constant to the loop, as
 * in a module that has its own; a parameter; one of two heaps that take turns at the same call. Likewise the handle of a cache.
 * kmalloc/boundCalls.ts is what makes a parameter as good as a constant.
 *
 * Each is measured in a process of its own, since what V8 learns in one loop it uses in the next. Medians of the processes'
 * best rounds.
 */

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Heap, type KmemCache } from 'modslab';
import { median } from './results.ts';

const OPERATIONS = 100_000;
const ROUNDS = 100;
const WARM_ROUNDS = 40;
const PROCESSES = 5;
const MIB = 2 ** 20;

const create = (): Heap => Heap.create({ size: 64 * MIB, maxSize: 64 * MIB });

/** Nanoseconds for one operation, in the best round. */
function best(run: () => void, operations: number): number {
  for (let i = 0; i < WARM_ROUNDS; i++) run();
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < ROUNDS; i++) {
    const start = performance.now();
    run();
    least = Math.min(least, performance.now() - start);
  }
  return (least * 1e6) / operations;
}

function pairs(heap: Heap): void {
  for (let i = 0; i < OPERATIONS; i++) heap.kfree(heap.kmalloc(64));
}

function cachePairs(cache: KmemCache): void {
  for (let i = 0; i < OPERATIONS; i++) cache.free(cache.alloc());
}

const ways: Readonly<Record<string, () => number>> = {
  'kmalloc, kfree: a constant': () => {
    const heap = create();
    const run = (): void => {
      for (let i = 0; i < OPERATIONS; i++) heap.kfree(heap.kmalloc(64));
    };
    return best(run, OPERATIONS);
  },
  'kmalloc, kfree: a parameter': () => {
    const heap = create();
    return best(() => pairs(heap), OPERATIONS);
  },
  'kmalloc, kfree: two heaps in turn': () => {
    const heaps = [create(), create()];
    return best(() => heaps.forEach(pairs), OPERATIONS * heaps.length);
  },
  'cache.alloc, cache.free: a parameter': () => {
    const cache = create().createCache({ name: 'one', size: 64 });
    return best(() => cachePairs(cache), OPERATIONS);
  },
  'cache.alloc, cache.free: two caches in turn': () => {
    const heap = create();
    const caches = ['one', 'another'].map((name) => heap.createCache({ name, size: 64 }));
    return best(() => caches.forEach(cachePairs), OPERATIONS * caches.length);
  },
};

const way = process.argv[2];
if (way !== undefined) console.log(ways[way]());
else {
  const self = fileURLToPath(import.meta.url);
  const figures = Object.keys(ways).map((name) => ({ name, all: [] as number[] }));
  for (let i = 0; i < PROCESSES; i++) {
    for (const { name, all } of figures) {
      const { stdout, stderr, status } = spawnSync(process.execPath, [self, name], { encoding: 'utf8' });
      if (status !== 0) throw new Error(stderr);
      all.push(Number(stdout));
    }
  }
  for (const { name, all } of figures) console.log(`${name}: ${median(all).toFixed(1)} ns`);
}
