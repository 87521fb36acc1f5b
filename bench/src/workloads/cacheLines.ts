/**
 * cache-thrash: every thread allocates a byte, writes to it very often, frees it; an allocator that puts two threads' bytes on
 * one cache line makes them fight for it. cache-scratch (`given`): the first byte of each thread was allocated by thread 0, and
 * an allocator may hand the line that it shares on. Phase 0: one thread does all the work; phase 1: all do. After Hoard's
 * (E. Berger).
 *
 * Shared words: the byte given to each thread.
 */

import { type Kernel, outOfMemory, type Part } from '../kernel.ts';

export const cacheLines: Kernel = {
  words: (_p, threads) => threads,

  part({ subject, number, words, index, threads }): Part {
    const [repeats, writes, given] = [number('repeats'), number('writes'), number('given')];
    const { u8 } = subject.views();

    const fight = (times: number): void => {
      for (let i = 0; i < times; i++) {
        const address = subject.alloc(1);
        if (address === 0) outOfMemory();
        u8[address] = 0;
        for (let n = 0; n < writes; n++) u8[address]++;
        subject.free(address);
      }
    };
    const run = (phase: number): void => {
      if (phase === 0) {
        if (index === 0) fight(repeats * threads);
        return;
      }
      if (words[index] !== 0) subject.free(words[index]);
      words[index] = 0;
      fight(repeats);
    };
    const prepare = (): void => {
      if (given === 0 || index !== 0) return;
      for (let i = 0; i < threads; i++) words[i] = subject.alloc(1);
    };
    const finish = (): void => {
      if (words[index] !== 0) subject.free(words[index]);
      words[index] = 0;
    };
    return { prepare, run, finish };
  },
};
