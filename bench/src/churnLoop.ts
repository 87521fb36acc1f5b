/** The churn of the suite (workloads/churn.ts) on a heap that is passed to it, for programs that measure it alone. */

import type { Heap } from 'modslab';
import { MIXED_SIZES, SEED, xorshift32 } from './random.ts';

const SLOTS = 8192;
const objects = new Int32Array(SLOTS);
const sizes = Int32Array.from(MIXED_SIZES);

/** Replaces random ones of 8,192 objects of mixed sizes, which are the heap's that it was first called with. */
export function churn(heap: Heap, operations: number): void {
  let x = SEED;
  for (let i = 0; i < operations; i++) {
    x = xorshift32(x);
    const slot = x & (SLOTS - 1);
    if (objects[slot] !== 0) heap.kfree(objects[slot]);
    objects[slot] = heap.kmalloc(sizes[(x >>> 16) & 15]);
  }
}
