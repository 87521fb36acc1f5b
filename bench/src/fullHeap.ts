/** A heap that is full, as after a long life: what looking at a heap is measured on. */

import { Heap } from 'modslab';
import { SEED, xorshift32 } from './random.ts';

export interface FullHeap {
  readonly heap: Heap;
  /** Addresses of the objects that are live. */
  readonly live: number[];
  /** A number from 0 to n - 1, the next of a fixed sequence. */
  below(n: number): number;
}

/** Objects of 16 bytes to 8 KiB until nothing more fits, of which 3 in 10 have been freed. */
export function fullHeap(size: number): FullHeap {
  const heap = Heap.create({ size, maxSize: size, shared: true, cpus: 8 });
  let state = SEED;
  const below = (n: number): number => {
    state = xorshift32(state);
    return (state >>> 0) % n;
  };
  const all: number[] = [];
  for (;;) {
    const bytes = below(10) < 9 ? 16 + below(500) : 1024 + below(7000);
    const address = heap.kmalloc(bytes);
    if (address === 0) break;
    all.push(address);
  }
  const live = all.filter((address) => {
    const isKept = below(10) >= 3;
    if (!isKept) heap.kfree(address);
    return isKept;
  });
  return { heap, live, below };
}
