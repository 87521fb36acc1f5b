/**
 * larson: a server's threads. Thread 0 fills everybody's slots and shuffles them, so that every thread begins with objects
 * that another allocated; then each replaces random ones of its own slots by objects of other sizes and writes to both ends.
 * Where threads respawn, one hands its slots to a successor after one call and ends. After P.-A. Larson and M. Krishnan
 * (1998).
 *
 * Shared words: a generator for each thread, on a line of its own, then the slots of all.
 */

import { type Kernel, numberOf, outOfMemory, type Part } from '../kernel.ts';
import { seedOf, xorshift32 } from '../random.ts';

const LINE_WORDS = 16;
const nextRandom = xorshift32;

export const larson: Kernel = {
  words: (p, threads) => threads * (LINE_WORDS + numberOf(p, 'slots')),

  part({ subject, number, words, index, threads }): Part {
    const [slots, steps, least] = [number('slots'), number('steps'), number('smallest')];
    const span = number('largest') - least;
    const all = threads * LINE_WORDS;
    const mine = all + slots * index;
    const state = index * LINE_WORDS;
    const { u8 } = subject.views();

    const newObject = (x: number): number => {
      const size = least + (Math.imul(x >>> 16, span) >>> 16);
      const address = subject.alloc(size);
      if (address === 0) outOfMemory();
      u8[address] = x;
      u8[address + size - 1] = x;
      return address;
    };
    const run = (): void => {
      let x = words[state];
      for (let i = 0; i < steps; i++) {
        x = nextRandom(x);
        const slot = mine + (Math.imul(x >>> 16, slots) >>> 16);
        subject.free(words[slot]);
        x = nextRandom(x);
        words[slot] = newObject(x);
      }
      words[state] = x;
    };
    const prepare = (): void => {
      let x = seedOf(index);
      words[state] = x;
      if (index !== 0) return;
      const count = slots * threads;
      for (let i = 0; i < count; i++) {
        x = nextRandom(x);
        words[all + i] = newObject(x);
      }
      for (let i = count - 1; i > 0; i--) {
        x = nextRandom(x);
        const other = all + ((x >>> 8) % (i + 1));
        const moved = words[all + i];
        words[all + i] = words[other];
        words[other] = moved;
      }
    };
    const finish = (): void => {
      for (let slot = mine; slot < mine + slots; slot++) {
        if (words[slot] !== 0) subject.free(words[slot]);
        words[slot] = 0;
      }
    };
    return { prepare, run, finish };
  },
};
