/**
 * sh6bench: sizes from 1 to 1,000 bytes, each base size and its halves, small ones more often. Pointers go into a ring; each
 * time it is full, the next fifth of it survives, what is below is freed in order of allocation, what is above in reverse.
 * After MicroQuill's benchmark (ring.ts has the ring, which sh8bench shares).
 */

import { type Kernel, outOfMemory, type Part } from '../kernel.ts';
import { createRing } from './ring.ts';

const newRing = createRing;

/** Objects of one call. */
export function sh6Objects(): number {
  let objects = 0;
  for (let base = 1; base < 1000; base = Math.floor((base * 3) / 2) + 1)
    for (let size = base; size > 0; size >>= 1) objects += size < 100 ? 250 : 50;
  return objects;
}

export const sh6bench: Kernel = {
  part({ subject, number, threads }): Part {
    const ring = newRing(subject, (number('pointers') / threads) | 0);
    const { u8 } = subject.views();
    const some = (size: number, repeats: number): void => {
      for (let i = 0; i < repeats; i++) {
        const address = subject.alloc(size);
        if (address === 0) outOfMemory();
        u8[address] = i;
        ring.put(address);
      }
    };
    const run = (): void => {
      for (let base = 1; base < 1000; base = ((base * 3) >> 1) + 1)
        for (let size = base; size > 0; size >>= 1) some(size, size < 100 ? 250 : 50);
    };
    return { run, finish: ring.drain };
  },
};
