/**
 * glibc-thread: every thread replaces random ones of 1,024 objects of its own; sizes from 4 bytes to 32 KiB, the chance of a
 * size falling with its square; all words are written. After glibc's bench-malloc-thread.
 */

import { type Kernel, outOfMemory, type Part } from '../kernel.ts';
import { seedOf, xorshift32 } from '../random.ts';

const SIZES = 1024;
const nextRandom = xorshift32;

function inverseSquare(least: number, most: number): Int32Array {
  return Int32Array.from({ length: SIZES }, (_, i) =>
    Math.floor(1 / (1 / least - ((i + 0.5) / SIZES) * (1 / least - 1 / most))),
  );
}

export const glibcThread: Kernel = {
  part({ subject, number, index }): Part {
    const [slots, steps] = [number('slots'), number('steps')];
    const sizes = inverseSquare(number('smallest'), number('largest'));
    const objects = new Int32Array(slots);
    const state = Int32Array.of(seedOf(index));
    const { i32, f64 } = subject.views();

    const run = (): void => {
      let x = state[0];
      for (let i = 0; i < steps; i++) {
        x = nextRandom(x);
        const slot = x & (slots - 1);
        const old = objects[slot];
        if (old !== 0) subject.free(old);
        const size = sizes[(x >>> 20) & (SIZES - 1)];
        const address = subject.alloc(size);
        if (address === 0) outOfMemory();
        objects[slot] = address;
        const end = (address + size) >> 3;
        let at = address >> 3;
        // C's compiler unrolls and widens its loop by itself.
        for (; at + 8 <= end; at += 8) {
          f64[at] = i;
          f64[at + 1] = i;
          f64[at + 2] = i;
          f64[at + 3] = i;
          f64[at + 4] = i;
          f64[at + 5] = i;
          f64[at + 6] = i;
          f64[at + 7] = i;
        }
        for (; at < end; at++) f64[at] = i;
        if ((size & 4) !== 0) i32[end << 1] = i;
      }
      state[0] = x;
    };
    const finish = (): void => {
      for (const address of objects) if (address !== 0) subject.free(address);
      objects.fill(0);
    };
    return { run, finish };
  },
};
