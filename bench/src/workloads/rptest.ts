/**
 * rptest: every thread walks its slots by prime strides, frees some, fills some with objects of 8 to 16,000 bytes, small ones
 * likelier by a linear fall-off, and writes to every page of them; every second turn it hands a batch of objects to its
 * neighbour, which frees them. After rpmalloc-benchmark (M. Jansson).
 *
 * Shared words: BOXES letter boxes for each thread, | full | count | objects … |. A box is filled by the neighbour while
 * `full` is 0 and emptied by the owner while it is 1.
 */

import { type Kernel, outOfMemory, type Part } from '../kernel.ts';
import { seedOf, xorshift32 } from '../random.ts';

const BOXES = 32;
const BATCH_MAX = 128;
const BOX_WORDS: number = 2 + BATCH_MAX;
const PAGE = 4096;
const STRIDES: readonly number[] = [7, 13, 29, 53, 97, 193, 389, 769];
const nextRandom = xorshift32;

export const rptest: Kernel = {
  words: (_p, threads) => threads * BOXES * BOX_WORDS,

  part({ subject, number, words, index, threads }): Part {
    const [slots, turns, least] = [number('slots'), number('turns'), number('smallest')];
    const span = number('largest') - least;
    const objects = new Int32Array(slots);
    const strides = Int32Array.from(STRIDES);
    const state = Int32Array.of(seedOf(index), 0);
    const own = index * BOXES * BOX_WORDS;
    const neighbour = ((index + 1) % threads) * BOXES * BOX_WORDS;
    const { u8 } = subject.views();

    /** The smaller of two draws: the chance falls linearly. */
    const newObject = (x: number): number => {
      const one = x & 0x3fff;
      const other = (x >>> 14) & 0x3fff;
      const size = least + (Math.imul(one < other ? one : other, span) >>> 14);
      const address = subject.alloc(size);
      if (address === 0) outOfMemory();
      for (let at = 0; at < size; at += PAGE) u8[address + at] = x;
      return address;
    };
    const replace = (x: number, fill: boolean): void => {
      let at = state[1] + strides[(x >>> 28) & 7];
      if (at >= slots) at -= slots;
      state[1] = at;
      const old = objects[at];
      if (old !== 0) subject.free(old);
      objects[at] = fill ? newObject(x) : 0;
    };
    const handOver = (from: number, count: number): number => {
      let x = from;
      for (let box = neighbour; box < neighbour + BOXES * BOX_WORDS; box += BOX_WORDS) {
        if (Atomics.load(words, box) !== 0) continue;
        for (let n = 0; n < count; n++) {
          x = nextRandom(x);
          words[box + 2 + n] = newObject(x);
        }
        words[box + 1] = count;
        Atomics.store(words, box, 1);
        return x;
      }
      for (let n = 0; n < count; n++) {
        x = nextRandom(x);
        subject.free(newObject(x));
      }
      return x;
    };
    const empty = (): void => {
      for (let box = own; box < own + BOXES * BOX_WORDS; box += BOX_WORDS) {
        if (Atomics.load(words, box) !== 1) continue;
        const end = box + 2 + words[box + 1];
        for (let at = box + 2; at < end; at++) subject.free(words[at]);
        Atomics.store(words, box, 0);
      }
    };
    const run = (): void => {
      let x = state[0];
      for (let turn = 0; turn < turns; turn++) {
        x = nextRandom(x);
        const frees = 24 + ((x >>> 8) % 56);
        const fills = 30 + ((x >>> 16) % 70);
        for (let i = 0; i < frees; i++) {
          x = nextRandom(x);
          replace(x, false);
        }
        for (let i = 0; i < fills; i++) {
          x = nextRandom(x);
          replace(x, true);
        }
        if ((turn & 1) === 0) continue;
        x = handOver(x, fills);
        empty();
      }
      state[0] = x;
    };
    const finish = (): void => {
      for (const address of objects) if (address !== 0) subject.free(address);
      objects.fill(0);
      empty();
    };
    return { run, finish };
  },
};
