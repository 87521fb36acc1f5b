/**
 * latency: how long single calls take in a steady mixed load, the churn of churn.ts with the clock read around every call.
 *
 * A histogram of nanoseconds, exact up to a limit, from which the percentiles are read; the median of an empty measurement
 * is subtracted from each. Values: p50, p99, p99.99 and the longest of allocations, the same of frees, calls over the limit
 * in a million, and the median of an empty measurement, which is the resolution: `performance.now()` yields whole
 * nanoseconds, but reading it takes 30 to 50 of them, and they vary. (C reads `clock_gettime` in 20 to 25.)
 */

import { type Kernel, outOfMemory, type Part } from '../kernel.ts';
import { MIXED_SIZES, SEED, xorshift32 } from '../random.ts';

/** Nanoseconds; also the limit of the goal for the longest call. */
const LIMIT = 50_000;
const NANOSECONDS = 1e6;
const nextRandom = xorshift32;
const clock = performance;

interface Histogram {
  readonly counts: Uint32Array;
  readonly longest: Float64Array;
}

function histogram(): Histogram {
  return { counts: new Uint32Array(LIMIT + 1), longest: new Float64Array(1) };
}

function note(h: Histogram, ms: number): void {
  const ns = Math.round(ms * NANOSECONDS);
  if (ns > h.longest[0]) h.longest[0] = ns;
  h.counts[ns < LIMIT ? ns : LIMIT]++;
}

function clear({ counts, longest }: Histogram): void {
  counts.fill(0);
  longest[0] = 0;
}

function percentile({ counts, longest }: Histogram, share: number, total: number): number {
  let left = share * total;
  for (let ns = 0; ns < LIMIT; ns++) {
    left -= counts[ns];
    if (left <= 0) return ns;
  }
  return longest[0];
}

export const latency: Kernel = {
  part({ subject, number }): Part {
    const [slots, steps] = [number('slots'), number('steps')];
    const sizes = Int32Array.from(MIXED_SIZES);
    const objects = new Int32Array(slots);
    const state = Int32Array.of(SEED);
    const [allocating, freeing, nothing] = [histogram(), histogram(), histogram()];

    const load = (): void => {
      let x = state[0];
      for (let i = 0; i < steps; i++) {
        x = nextRandom(x);
        const slot = x & (slots - 1);
        const old = objects[slot];
        const size = sizes[(x >>> 16) & 15];
        const start = clock.now();
        const before = clock.now();
        if (old !== 0) subject.free(old);
        const between = clock.now();
        const address = subject.alloc(size);
        const after = clock.now();
        if (address === 0) outOfMemory();
        objects[slot] = address;
        note(nothing, before - start);
        note(freeing, between - before);
        note(allocating, after - between);
      }
      state[0] = x;
    };
    const measure = (): number[] => {
      for (const h of [allocating, freeing, nothing]) clear(h);
      load();
      const empty = percentile(nothing, 0.5, steps);
      const values: number[] = [];
      for (const h of [allocating, freeing]) {
        const found = [0.5, 0.99, 0.9999].map((share) => percentile(h, share, steps));
        values.push(...[...found, h.longest[0]].map((ns) => Math.max(0, ns - empty)));
      }
      values.push(((allocating.counts[LIMIT] + freeing.counts[LIMIT]) * 0.5e6) / steps, empty);
      return values;
    };
    const finish = (): void => {
      for (const address of objects) if (address !== 0) subject.free(address);
      objects.fill(0);
    };
    return { run: load, measure, finish };
  },
};
