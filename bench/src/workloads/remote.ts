/**
 * remote: thread 0 allocates batches, thread 1 frees them. Batches go through a ring in shared memory:
 *
 *   control words, each on a cache line of its own:   PRODUCED | CONSUMED
 *   ring:   `ring` × `batch` addresses
 *
 * PRODUCED is written by the producer only, CONSUMED by the consumer only; a batch belongs to the consumer while
 * CONSUMED < PRODUCED covers it. So two atomic operations are spent on 1,000 objects, and the no-op subject shows what the
 * passing-on costs. Both counters wrap at 2^32 and are only ever subtracted. A call ends when its last object is freed.
 */

import { type Kernel, numberOf, outOfMemory, type Part } from '../kernel.ts';
import { waitWhile } from '../waiting.ts';

const LINE_WORDS = 16;
const PRODUCED = 0;
const CONSUMED: number = LINE_WORDS;
const CONTROL_WORDS: number = 2 * LINE_WORDS;

export const remote: Kernel = {
  words: (p) => CONTROL_WORDS + numberOf(p, 'ring') * numberOf(p, 'batch'),

  part({ subject, number, words, index }): Part {
    const [ring, batch, batches, size] = ['ring', 'batch', 'batches', 'size'].map(number);
    const placeOf = (n: number): number => CONTROL_WORDS + ((n >>> 0) % ring) * batch;

    const fillBatch = (place: number): void => {
      for (let i = 0; i < batch; i++) {
        const address = subject.alloc(size);
        if (address === 0) outOfMemory();
        words[place + i] = address;
      }
    };
    const freeBatch = (place: number): void => {
      for (let i = 0; i < batch; i++) subject.free(words[place + i]);
    };
    const produce = (): void => {
      for (let i = 0; i < batches; i++) {
        const produced = Atomics.load(words, PRODUCED);
        let consumed = Atomics.load(words, CONSUMED);
        while (((produced - consumed) | 0) >= ring) consumed = waitWhile(words, CONSUMED, consumed);
        fillBatch(placeOf(produced));
        Atomics.store(words, PRODUCED, (produced + 1) | 0);
        Atomics.notify(words, PRODUCED);
      }
    };
    const consume = (): void => {
      for (let i = 0; i < batches; i++) {
        const consumed = Atomics.load(words, CONSUMED);
        if (Atomics.load(words, PRODUCED) === consumed) waitWhile(words, PRODUCED, consumed);
        freeBatch(placeOf(consumed));
        Atomics.store(words, CONSUMED, (consumed + 1) | 0);
        Atomics.notify(words, CONSUMED);
      }
    };
    return { run: index === 0 ? produce : consume };
  },
};
