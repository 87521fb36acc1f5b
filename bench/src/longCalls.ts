/**
 * What makes single calls long, for `npm run bench:report`: the load of the workload `latency`, with the clock read around every call. After a call
 * of LONG_NS or more, the counters of the slow paths tell what has been done since the last such call; shorter ones do none of it.
 */

import { Heap } from 'modslab';
import { MIXED_SIZES, SEED, xorshift32 } from './random.ts';
import { type LongCalls, median } from './results.ts';

const SLOTS = 8192;
const LONG_NS = 400;
const NANOSECONDS = 1e6;
const WARM_CALLS = 2e6;
const HEAP_BYTES = 2 ** 26;

type CounterName = keyof ReturnType<Heap['counters']>;

/** What a call has done, by its counter; of several, the first one here. */
const CAUSES: readonly (readonly [counter: CounterName, what: string])[] = [
  ['slabsAllocated', 'a slab was made'],
  ['slabsFreed', 'a slab was given back'],
  ['refill', 'main was filled from slabs'],
  ['flush', 'main was emptied into slabs'],
  ['barnGet', 'a sheaf was taken from the barn'],
  ['barnPut', 'a sheaf was put into the barn'],
  ['sheafSwap', 'main changed places with a spare'],
];
const NOTHING = 'nothing but the fast path: interrupts, the engine, cache misses';

/** Runs so many calls after a warm-up, half of them allocations. */
export function longCalls(calls: number): LongCalls[] {
  const heap = Heap.create({ size: HEAP_BYTES, maxSize: HEAP_BYTES });
  const objects = new Int32Array(SLOTS);
  const sizes = Int32Array.from(MIXED_SIZES);
  const found = new Map<string, number[]>();
  let counters = heap.counters();
  let x = SEED;

  const note = (ns: number): void => {
    const now = heap.counters();
    const what = CAUSES.find(([counter]) => now[counter] !== counters[counter])?.[1] ?? NOTHING;
    counters = now;
    const times = found.get(what);
    if (times === undefined) found.set(what, [ns]);
    else times.push(ns);
  };
  const run = (steps: number): void => {
    for (let i = 0; i < steps; i++) {
      x = xorshift32(x);
      const slot = x & (SLOTS - 1);
      const before = performance.now();
      if (objects[slot] !== 0) heap.kfree(objects[slot] >>> 0);
      const between = performance.now();
      if ((between - before) * NANOSECONDS >= LONG_NS) note((between - before) * NANOSECONDS);
      const start = performance.now();
      objects[slot] = heap.kmalloc(sizes[(x >>> 16) & 15]);
      const after = performance.now();
      if ((after - start) * NANOSECONDS >= LONG_NS) note((after - start) * NANOSECONDS);
    }
  };
  run(WARM_CALLS / 2);
  found.clear();
  counters = heap.counters();
  run(calls / 2);
  return [...CAUSES.map(([, what]) => what), NOTHING].flatMap((what) => {
    const times = found.get(what);
    if (times === undefined) return [];
    const longest = times.reduce((a, b) => Math.max(a, b));
    return { what, inMillion: (times.length * 1e6) / calls, median: median(times), longest };
  });
}
