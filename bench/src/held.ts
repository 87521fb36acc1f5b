/**
 * Whether the way by which a loop came by its heap costs anything, `npm run bench:held`: the heap is a constant to the loop, as
 * in a module that has its own; a parameter; one of two heaps that take turns at the same call. Likewise the handle of a cache.
 * kmalloc/boundCalls.ts is what makes a parameter nearly as good as a constant.
 *
 * Each is measured in a process of its own, since what V8 learns in one loop it uses in the next. Medians of the processes'
 * best rounds. `-- --before COMMIT`: modslab at that commit too, in turn.
 */

import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Heap, type KmemCache } from 'modslab';
import { modslabBefore } from './before.ts';
import { churn } from './churnLoop.ts';
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

const BATCH = 1000;
const objects = new Int32Array(BATCH);

function batches(heap: Heap): void {
  for (let done = 0; done < OPERATIONS; done += BATCH) {
    for (let i = 0; i < BATCH; i++) objects[i] = heap.kmalloc(64);
    for (let i = 0; i < BATCH; i++) heap.kfree(objects[i]);
  }
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
  'batches of 1,000: a parameter': () => {
    const heap = create();
    return best(() => batches(heap), OPERATIONS);
  },
  'churn: a parameter': () => {
    const heap = create();
    return best(() => churn(heap, OPERATIONS), OPERATIONS);
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

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { before: { type: 'string' } },
});

function measure(script: string, name: string): number {
  const { stdout, stderr, status } = spawnSync(process.execPath, [script, name], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return Number(stdout);
}

function compare(before: string | undefined): void {
  const missing: string[] = [];
  const then = before === undefined ? undefined : modslabBefore(before, missing);
  if (missing.length > 0) throw new Error(missing.join('; '));
  const scripts = [fileURLToPath(import.meta.url)];
  if (then?.script !== undefined) scripts.push(join(dirname(then.script), 'held.js'));
  const figures = Object.keys(ways).map((name) => ({ name, all: scripts.map(() => [] as number[]) }));
  for (let i = 0; i < PROCESSES; i++) {
    for (const { name, all } of figures)
      for (const [j, script] of scripts.entries()) all[j].push(measure(script, name));
  }
  for (const { name, all } of figures) {
    const [now, was] = all.map((each) => median(each).toFixed(1));
    console.log(`${name}: ${now} ns${was === undefined ? '' : `, at ${before} ${was} ns`}`);
  }
}

const [way] = positionals;
if (way === undefined) compare(values.before);
else console.log(ways[way]());
