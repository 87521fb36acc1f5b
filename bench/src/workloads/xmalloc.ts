/**
 * xmalloc-test: the first half of the threads fill batches of objects, the others free them. Full batches are on a stack
 * under a lock; who finds none, or no empty one to fill, waits. After L. Lever and D. Boreham (2000).
 *
 *   | LOCK | … | FULL | … | EMPTY | …     each on a cache line of its own; FULL and EMPTY count the stacks' entries
 *   | stack of full batches | stack of empty batches | batches of addresses … |
 *
 * The lock is the three-state one that C libraries build on a futex: 0 free, 1 taken, 2 taken and waited for.
 */

import { type Kernel, numberOf, outOfMemory, type Part } from '../kernel.ts';

const LINE_WORDS = 16;
const LOCK = 0;
const FULL: number = LINE_WORDS;
const EMPTY: number = 2 * LINE_WORDS;
const STACKS: number = 3 * LINE_WORDS;

function lock(words: Int32Array): void {
  let seen = Atomics.compareExchange(words, LOCK, 0, 1);
  while (seen !== 0) {
    if (seen === 2 || Atomics.compareExchange(words, LOCK, 1, 2) !== 0) Atomics.wait(words, LOCK, 2);
    seen = Atomics.compareExchange(words, LOCK, 0, 2);
  }
}

function unlock(words: Int32Array): void {
  if (Atomics.exchange(words, LOCK, 0) === 2) Atomics.notify(words, LOCK, 1);
}

/** Takes the top of the stack at `base` whose count is the word `counter`; sleeps while there is none. */
function take(words: Int32Array, base: number, counter: number): number {
  for (;;) {
    lock(words);
    const count = words[counter];
    if (count > 0) {
      words[counter] = count - 1;
      const taken = words[base + count - 1];
      unlock(words);
      return taken;
    }
    unlock(words);
    Atomics.wait(words, counter, 0);
  }
}

function put(words: Int32Array, base: number, counter: number, which: number): void {
  lock(words);
  const count = words[counter];
  words[base + count] = which;
  Atomics.store(words, counter, count + 1);
  unlock(words);
  Atomics.notify(words, counter, 1);
}

export const xmalloc: Kernel = {
  words: (p) => STACKS + numberOf(p, 'stack') * (2 + numberOf(p, 'batch')),

  part({ subject, number, words, index, threads }): Part {
    const [stack, batch, batches, size] = ['stack', 'batch', 'batches', 'size'].map(number);
    const [full, empty, objects] = [STACKS, STACKS + stack, STACKS + 2 * stack];
    const doubles = size >> 3;
    const { f64 } = subject.views();

    const fillBatch = (place: number): void => {
      for (let i = 0; i < batch; i++) {
        const address = subject.alloc(size);
        if (address === 0) outOfMemory();
        const first = address >> 3;
        for (let n = 0; n < doubles; n++) f64[first + n] = i;
        words[place + i] = address;
      }
    };
    const freeBatch = (place: number): void => {
      for (let i = 0; i < batch; i++) subject.free(words[place + i]);
    };
    const produce = (): void => {
      for (let i = 0; i < batches; i++) {
        const which = take(words, empty, EMPTY);
        fillBatch(objects + which * batch);
        put(words, full, FULL, which);
      }
    };
    const consume = (): void => {
      for (let i = 0; i < batches; i++) {
        const which = take(words, full, FULL);
        freeBatch(objects + which * batch);
        put(words, empty, EMPTY, which);
      }
    };
    const prepare = (): void => {
      if (index !== 0) return;
      for (let i = 0; i < stack; i++) words[empty + i] = i;
      words[EMPTY] = stack;
    };
    return { prepare, run: index < threads / 2 ? produce : consume };
  },
};
