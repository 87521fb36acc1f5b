/**
 * slab_test: for each size from 8 bytes to 16 KiB a few phases, `parts` of them.
 *
 *   one thread (3)                        all threads (6)
 *   0  n allocations                      0  each: n allocations, then n frees
 *   1  n frees, in the same order         1  each: n pairs
 *   2  n pairs                            2  remote free: the others allocate n for every thread
 *                                         3  … and thread 0 frees them all
 *                                         4  thread 0 allocates n for every thread
 *                                         5  … and each frees its own
 *
 * After C. Lameter's in-kernel slab_test. Shared words: n addresses for each thread.
 */

import { type Kernel, numberOf, outOfMemory, type Part } from '../kernel.ts';

/** Phases a size, on one thread and on several. */
export const SLAB_TEST_PARTS = { single: 3, threads: 6 } as const;
const SINGLE: number = SLAB_TEST_PARTS.single;

export const slabTest: Kernel = {
  words: (p, threads) => threads * numberOf(p, 'count'),

  part({ subject, number, words, index, threads }): Part {
    const [count, least, parts] = [number('count'), number('smallest'), number('parts')];
    const sums = new Int32Array(1);

    const fill = (size: number, owner: number): void => {
      const first = owner * count;
      for (let i = first; i < first + count; i++) {
        const address = subject.alloc(size);
        if (address === 0) outOfMemory();
        words[i] = address;
      }
    };
    const drain = (owner: number): void => {
      const first = owner * count;
      for (let i = first; i < first + count; i++) subject.free(words[i]);
    };
    const pairs = (size: number): void => {
      let sum = 0;
      for (let i = 0; i < count; i++) {
        const address = subject.alloc(size);
        if (address === 0) outOfMemory();
        sum = (sum + address) | 0;
        subject.free(address);
      }
      sums[0] = sum;
    };
    const alone = (part: number, size: number): void => {
      if (part === 0) fill(size, 0);
      else if (part === 1) drain(0);
      else pairs(size);
    };
    const together = (part: number, size: number): void => {
      if (part === 0) {
        fill(size, index);
        drain(index);
      } else if (part === 1) {
        pairs(size);
      } else if (part === 2) {
        // Those of thread 0 are allocated by its neighbour.
        if (index !== 0) fill(size, index);
        if (index === 1) fill(size, 0);
      } else if (part === 5) {
        drain(index);
      } else if (index === 0) {
        for (let owner = 0; owner < threads; owner++) part === 3 ? drain(owner) : fill(size, owner);
      }
    };
    const run = (phase: number): void => {
      const size = least << ((phase / parts) | 0);
      if (parts === SINGLE) alone(phase % parts, size);
      else together(phase % parts, size);
    };
    return { run };
  },
};
