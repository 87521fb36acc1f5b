/**
 * sh8bench. Phase 0: sizes after a histogram, round-robin, into the ring of ring.ts. Phase 1: thread 0 allocates objects of 8
 * bytes, each holding the number of its slot. Phase 2: all threads check and free a share of them. After MicroQuill's.
 *
 * Shared words: the addresses of phase 1.
 */

import { type Kernel, numberOf, outOfMemory, type Part } from '../kernel.ts';
import { createRing } from './ring.ts';

/** Size, and how often in a turn. */
const HISTOGRAM: readonly (readonly [number, number])[] = [
  [8, 1000],
  [16, 5000],
  [48, 1000],
  [72, 100],
  [148, 100],
  [200, 100],
  [520, 10],
  [1056, 5],
  [4096, 3],
  [9162, 1],
  [34_562, 1],
  [168_524, 1],
];
const newRing = createRing;

/** Objects of one turn. */
export function sh8Objects(): number {
  return HISTOGRAM.reduce((sum, [, count]) => sum + count, 0);
}

export const sh8bench: Kernel = {
  words: (p) => numberOf(p, 'global'),

  part({ subject, number, words, index, threads }): Part {
    const ring = newRing(subject, (number('pointers') / threads) | 0);
    const [turns, global] = [number('turns'), number('global')];
    const sizes = Int32Array.from(HISTOGRAM, ([size]) => size);
    const counts = Int32Array.from(HISTOGRAM, ([, count]) => count);
    const left = new Int32Array(counts.length);
    const corrupted = new Int32Array(1);
    const { i32 } = subject.views();

    const oneTurn = (): void => {
      left.set(counts);
      for (let kinds = 1; kinds > 0; ) {
        kinds = 0;
        for (let k = 0; k < left.length; k++) {
          if (left[k] === 0) continue;
          left[k]--;
          kinds++;
          const address = subject.alloc(sizes[k]);
          if (address === 0) outOfMemory();
          i32[address >> 2] = k;
          ring.put(address);
        }
      }
    };
    const allocateGlobal = (): void => {
      for (let i = 0; i < global; i++) {
        const address = subject.alloc(8);
        if (address === 0) outOfMemory();
        i32[address >> 2] = i;
        words[i] = address;
      }
    };
    const freeGlobal = (): void => {
      for (let i = index; i < global; i += threads) {
        const address = words[i];
        if (i32[address >> 2] !== i) corrupted[0]++;
        subject.free(address);
      }
    };
    const run = (phase: number): void => {
      if (phase === 0) for (let turn = 0; turn < turns; turn++) oneTurn();
      else if (phase === 2) freeGlobal();
      else if (index === 0) allocateGlobal();
    };
    return { run, finish: ring.drain, corrupted: () => corrupted[0] };
  },
};
