/**
 * glibc-simple: for objects of 16, 32 and 64 bytes, bursts of 25, 100, 400 and 1,600: all are allocated and written, then the
 * first half is freed first in first out, the second last in first out. After glibc's bench-malloc-simple.
 */

import { type Kernel, outOfMemory, type Part } from '../kernel.ts';

const BURST_MAX = 1600;

export const glibcSimple: Kernel = {
  part({ subject }): Part {
    const burst = new Int32Array(BURST_MAX);
    const { f64 } = subject.views();

    const oneBurst = (size: number, n: number): void => {
      for (let i = 0; i < n; i++) {
        const address = subject.alloc(size);
        if (address === 0) outOfMemory();
        burst[i] = address;
        const end = (address + size) >> 3;
        for (let at = address >> 3; at < end; at++) f64[at] = i;
      }
      for (let i = 0; i < n >> 1; i++) subject.free(burst[i]);
      for (let i = n - 1; i >= n >> 1; i--) subject.free(burst[i]);
    };
    const run = (): void => {
      for (let size = 16; size <= 64; size *= 2)
        for (let n = 25; n <= BURST_MAX; n *= 4)
          for (let done = 0; done < BURST_MAX; done += n) oneBurst(size, n);
    };
    return { run };
  },
};
