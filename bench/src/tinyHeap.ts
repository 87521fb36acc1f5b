/**
 * How much of a tiny heap's bytes programs get as objects, `npm run bench:tiny`: objects of mixed sizes, as the traces of
 * real programs have them (packages/cli/traces), are allocated until the heap refuses for the first time; then some are freed
 * at random and others allocated, and the largest share so far counts. Each by allocator and page size. Then what a pair of
 * kmalloc and kfree of 64 bytes costs in a heap of 64 KiB that is half full, full of holes.
 */

import { Heap, type HeapOptions } from 'modslab';

/** Share of requests up to each size, over all traces. */
const SHARES: readonly (readonly [number, number])[] = [
  [16, 0.2],
  [32, 0.45],
  [64, 0.68],
  [128, 0.8],
  [256, 0.92],
  [512, 0.96],
  [1024, 0.98],
  [2048, 1],
];
const SLOB: HeapOptions = { allocator: 'slob' };
const SEEDS = 8;
const STEPS = 20_000;

class Sizes {
  private x: number;

  constructor(seed: number) {
    this.x = seed * 7919;
  }

  random(): number {
    this.x ^= this.x << 13;
    this.x ^= this.x >>> 17;
    this.x ^= this.x << 5;
    return (this.x >>> 0) / 2 ** 32;
  }

  next(): number {
    const at = this.random();
    const [most] = SHARES.find(([, share]) => at <= share) ?? [16, 1];
    return Math.ceil(most / 2 + (this.random() * most) / 2);
  }
}

/** Shares of the heap's bytes: at the first refusal, and the largest under churn. */
function shares(options: HeapOptions & { size: number }, seed: number): [number, number] {
  const heap = Heap.create({ ...options, maxSize: options.size, cpus: 2 });
  const sizes = new Sizes(seed);
  const live: [number, number][] = [];
  let bytes = 0;
  let first = 0;
  let best = 0;
  for (let step = 0; step < STEPS; step++) {
    const size = sizes.next();
    const address = heap.kmalloc(size);
    if (address !== 0) {
      live.push([address, size]);
      bytes += size;
      continue;
    }
    first ||= bytes;
    best = Math.max(best, bytes);
    for (let i = 0; i < 8 && live.length > 0; i++) {
      const index = Math.floor(sizes.random() * live.length);
      const [gone, freed] = live[index];
      live[index] = live[live.length - 1];
      live.pop();
      heap.kfree(gone);
      bytes -= freed;
    }
  }
  return [first / options.size, best / options.size];
}

/** Nanoseconds of a pair, best of some rounds. */
function pairTime(options: HeapOptions): number {
  const size = 65_536;
  const heap = Heap.create({ ...options, size, maxSize: size, cpus: 2 });
  const sizes = new Sizes(1);
  const live: number[] = [];
  for (let bytes = 0; bytes < size / 2; ) {
    const next = Math.min(256, sizes.next());
    live.push(heap.kmalloc(next));
    bytes += next;
  }
  for (let i = 0; i < live.length; i += 8) heap.kfree(live[i]);
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 20; round++) {
    const begin = performance.now();
    for (let i = 0; i < STEPS; i++) heap.kfree(heap.kmalloc(64));
    best = Math.min(best, ((performance.now() - begin) / STEPS) * 1e6);
  }
  return best;
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

for (const size of [65_536, 131_072, 262_144, 524_288, 1_048_576]) {
  for (const more of [{}, { pageSize: 4096 }, SLOB, { ...SLOB, pageSize: 4096 }]) {
    const options: HeapOptions & { size: number } = { size, ...more };
    const all = Array.from({ length: SEEDS }, (_, seed) => shares(options, seed + 1));
    const mean = (index: 0 | 1): number => all.reduce((sum, each) => sum + each[index], 0) / SEEDS;
    const actual = Heap.create({ ...options, maxSize: size, cpus: 2 }).pageSize;
    console.log(
      `${size / 1024} KiB, ${options.allocator ?? 'slabifier'}, pages of ${actual}: ` +
        `${percent(mean(0))} at the first refusal, ${percent(mean(1))} at best`,
    );
  }
}

for (const options of [{}, SLOB]) {
  const name = options.allocator ?? 'slabifier';
  console.log(`64 KiB, ${name}: ${pairTime(options).toFixed(0)} ns a pair`);
}
