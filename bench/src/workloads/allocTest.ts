/**
 * alloc-test: each step takes a slot, few of them often and most seldom (80/20, six levels deep); an occupied slot's object
 * is read whole and freed, an empty slot gets a new one of up to 1 KiB, written whole. No thread frees what another
 * allocated. After node-dot-cpp's alloc-test.
 */

import { type Kernel, outOfMemory, type Part } from '../kernel.ts';
import { seedOf, xorshift32 } from '../random.ts';

const LEVELS = 6;
const LEVEL_BITS = 5;
/** Of 32: 81 %. */
const FREQUENT = 26;
const nextRandom = xorshift32;

function sizeOf(x: number): number {
  const low = (x & 127) + 1;
  const k = 31 - Math.clz32(low & -low) + 2;
  return (1 << k) + 1 + ((x >>> 7) & ((1 << k) - 1));
}

function pareto(slots: number, choice: number, rest: number): number {
  let from = 0;
  let length = slots;
  let bits = choice;
  for (let level = 0; level < LEVELS; level++) {
    const fifth = (length / 5) | 0;
    if ((bits & 31) < FREQUENT) {
      length = fifth;
    } else {
      from += fifth;
      length -= fifth;
    }
    bits >>>= LEVEL_BITS;
  }
  return from + ((rest & 0x7fffffff) % length);
}

export const allocTest: Kernel = {
  part({ subject, number, index, threads }): Part {
    const [slots, steps] = [(number('slots') / threads) | 0, number('steps')];
    const objects = new Int32Array(slots);
    const sizes = new Int32Array(slots);
    const state = Int32Array.of(seedOf(index), 0);
    const { i32, f64 } = subject.views();

    /** All whole words of the object. */
    const fill = (slot: number, x: number): void => {
      const size = sizeOf(x);
      const address = subject.alloc(size);
      if (address === 0) outOfMemory();
      sizes[slot] = size;
      objects[slot] = address;
      const end = (address + size) >> 3;
      for (let at = address >> 3; at < end; at++) f64[at] = x;
      if ((size & 4) !== 0) i32[end << 1] = x;
    };
    const readWhole = (address: number, size: number): number => {
      let sum = 0;
      const first = address >> 2;
      for (let i = 0; i < size >> 2; i++) sum = (sum + i32[first + i]) | 0;
      return sum;
    };
    const run = (): void => {
      let x = state[0];
      let sum = 0;
      for (let i = 0; i < steps; i++) {
        const choice = nextRandom(x);
        x = nextRandom(choice);
        const slot = pareto(slots, choice, x);
        const address = objects[slot];
        if (address === 0) {
          fill(slot, x ^ choice);
        } else {
          sum = (sum + readWhole(address, sizes[slot])) | 0;
          subject.free(address);
          objects[slot] = 0;
        }
      }
      state[0] = x;
      state[1] = sum;
    };
    const prepare = (): void => {
      for (let slot = 0; slot < slots; slot += 2) {
        state[0] = nextRandom(state[0]);
        fill(slot, state[0]);
      }
    };
    const finish = (): void => {
      for (const address of objects) if (address !== 0) subject.free(address);
      objects.fill(0);
    };
    return { prepare, run, finish };
  },
};
