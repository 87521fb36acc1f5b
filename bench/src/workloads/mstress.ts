/**
 * mstress: every thread allocates objects of widely varying sizes, some to keep and some to free soon, frees random ones of
 * its own, and exchanges random ones with a table that all threads share. Every word of every object is written, and checked
 * when it is freed. After mimalloc's test-stress (D. Leijen); its threads end after each round, these do not, and its
 * generator is 64-bit splitmix, this one its 32-bit sibling (JavaScript has no 64-bit multiply).
 *
 * Shared words: the table of `transfers` addresses.
 */

import { type Kernel, numberOf, outOfMemory, type Part } from '../kernel.ts';
import { seedOf } from '../random.ts';

const COOKIE = 0x1ce4e5b9;
/** Words; more is not a size but something else that was written there. */
const LARGEST: number = 64 * 10_000;
const GOLDEN = 0x9e3779b9 | 0;

export const mstress: Kernel = {
  words: (p) => numberOf(p, 'transfers'),

  part({ subject, number, words, index, threads }): Part {
    const [allocations, transfers] = [number('allocations'), number('transfers')];
    const soon = new Int32Array(2 * allocations);
    const kept = new Int32Array(2 * allocations);
    const state = Int32Array.of(seedOf(index), 0, 0);
    const [RANDOM, SOON, CORRUPTED] = [0, 1, 2];
    const { f64 } = subject.views();

    const splitmix32 = (): number => {
      let z = (state[RANDOM] + GOLDEN) | 0;
      state[RANDOM] = z;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return z ^ (z >>> 15);
    };
    /** A number below `limit`, at most 65,536; no division, whose cost would differ between the two sides. */
    const below = (limit: number): number => Math.imul(splitmix32() >>> 16, limit) >>> 16;

    /** Words of an object to keep: 2^(r % 7), seldom 100, 1,000 or 10,000 times as many. */
    const keptWords = (): number => {
      const count = 1 << below(7);
      const rare = below(10_000);
      if (rare === 0) return count * 10_000;
      if (rare < 10) return count * 1000;
      return rare < 100 ? count * 100 : count;
    };
    const make = (asked: number): number => {
      const count = asked < 2 ? 2 : asked;
      const address = subject.alloc(count << 3);
      if (address === 0) outOfMemory();
      const at = address >> 3;
      f64[at] = count;
      for (let i = 1; i < count; i++) f64[at + i] = (count - i) ^ COOKIE;
      return address;
    };
    const destroy = (address: number): void => {
      if (address === 0) return;
      const at = address >> 3;
      let count = f64[at] | 0;
      if (count < 2 || count > LARGEST) {
        state[CORRUPTED]++;
        count = 2;
      }
      for (let i = 1; i < count; i++) if (f64[at + i] !== ((count - i) ^ COOKIE)) state[CORRUPTED]++;
      subject.free(address);
    };
    const freeOne = (): void => {
      const which = below(state[SOON]);
      destroy(soon[which]);
      soon[which] = soon[--state[SOON]];
    };
    const exchangeOne = (): void => {
      const which = below(state[SOON]);
      const got = Atomics.exchange(words, below(transfers), soon[which]);
      soon[which] = got !== 0 ? got : soon[--state[SOON]];
    };
    const run = (): void => {
      let retain = allocations >> 1;
      let keeping = 0;
      for (let i = 0; i < allocations; i++) {
        const r = splitmix32();
        if ((r & 1) !== 0 || retain === 0) {
          soon[state[SOON]++] = make(1 << below(5));
        } else {
          retain--;
          kept[keeping++] = make(keptWords());
        }
        if (((r >>> 1) & 0xffff) < 43_690 /* 2 of 3 */ && state[SOON] > 0) freeOne();
        if (r >>> 30 === 0 && state[SOON] > 0) exchangeOne();
      }
      while (state[SOON] > 0) destroy(soon[--state[SOON]]);
      while (keeping > 0) destroy(kept[--keeping]);
      for (let place = index; place < transfers; place += 2 * threads)
        destroy(Atomics.exchange(words, place, 0));
    };
    const finish = (): void => {
      for (let place = 0; place < transfers; place++) destroy(Atomics.exchange(words, place, 0));
    };
    return { run, finish, corrupted: () => state[CORRUPTED] };
  },
};
