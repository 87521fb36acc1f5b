/**
 * The two-thread workload: this thread allocates batches, a worker frees them. Batches go through a ring in shared memory:
 *
 *   control words, each on a cache line of its own:   PRODUCED | CONSUMED | FAILED
 *   ring:   RING_BATCHES × BATCH addresses
 *
 * PRODUCED is written by the producer only, CONSUMED by the consumer only; a batch belongs to the consumer while
 * CONSUMED < PRODUCED covers it. So two atomic operations are spent on 1,000 objects, and the no-op subject shows what the
 * passing-on costs. Who has nothing to do spins for a while, then sleeps until it is notified: on a machine with fewer
 * processors than threads the other one must get its turn. Both counters wrap at 2^32 and are only ever subtracted.
 *
 * A round ends when the last object is freed.
 */

import { Worker } from 'node:worker_threads';
import type { Loop } from './loops.ts';
import { sibling } from './paths.ts';
import type { Subject } from './subjects/subject.ts';
import { BATCH, OBJECT_SIZE, RING_BATCHES } from './workloads.ts';

const LINE_WORDS = 16;
export const PRODUCED = 0;
export const CONSUMED: number = LINE_WORDS;
export const FAILED: number = 2 * LINE_WORDS;
const CONTROL_WORDS: number = 3 * LINE_WORDS;
/** Looks at the other's counter before sleeping, 8 ns each: a thread that is woken again starts 50 µs late. */
const SPINS = 20_000;
/** Sleeps of 1 ms before the other thread is given up for dead. */
const SLEEPS = 60_000;

/** What the worker gets. */
export interface RemoteData {
  readonly name: string;
  readonly handle: unknown;
  readonly words: Int32Array;
}

/** Waits until the word differs from `value`; returns what it is then. Throws when the other thread has failed. */
export function waitWhile(words: Int32Array, index: number, value: number, patient: boolean): number {
  for (let i = 0; i < SPINS; i++) {
    const now = Atomics.load(words, index);
    if (now !== value) return now;
  }
  for (let i = 0; patient || i < SLEEPS; i++) {
    Atomics.wait(words, index, value, 1);
    const now = Atomics.load(words, index);
    if (now !== value) return now;
    if (Atomics.load(words, FAILED) !== 0) throw new Error('the freeing thread has failed');
  }
  throw new Error('the freeing thread does not answer');
}

/** First word of the ring's place for the n-th batch. */
export function placeOf(batchNumber: number): number {
  return CONTROL_WORDS + ((batchNumber >>> 0) % RING_BATCHES) * BATCH;
}

/** Batches in one call: the wait at the end of a round is spread over them. */
const BATCHES_PER_RUN = 64;

/** The allocating side; a closure for the reason given in `loops.ts`. */
export function remoteLoop(subject: Subject, name: string): Loop {
  const words = new Int32Array(new SharedArrayBuffer((CONTROL_WORDS + RING_BATCHES * BATCH) * 4));
  const [batch, size] = [BATCH, OBJECT_SIZE];
  let worker: Worker | undefined;

  const fillBatch = (place: number): void => {
    for (let i = 0; i < batch; i++) {
      const address = subject.alloc(size);
      if (address === 0) throw new Error('the allocator is out of memory');
      words[place + i] = address;
    }
  };

  /** Waits until at most so many batches are under way. */
  const waitForConsumer = (produced: number, underWay: number): number => {
    let consumed = Atomics.load(words, CONSUMED);
    while (((produced - consumed) | 0) > underWay) consumed = waitWhile(words, CONSUMED, consumed, false);
    return consumed;
  };

  const run = (): number => {
    for (let i = 0; i < BATCHES_PER_RUN; i++) {
      const produced = Atomics.load(words, PRODUCED);
      waitForConsumer(produced, RING_BATCHES - 1);
      fillBatch(placeOf(produced));
      Atomics.store(words, PRODUCED, (produced + 1) | 0);
      Atomics.notify(words, PRODUCED);
    }
    return waitForConsumer(Atomics.load(words, PRODUCED), 0);
  };

  const prepare = async (): Promise<void> => {
    const workerData: RemoteData = { name, handle: subject.share?.(), words };
    const started = new Worker(sibling(import.meta.url, 'remote-worker'), { workerData });
    worker = started;
    await new Promise<void>((resolve, reject) => {
      started.once('message', () => resolve());
      started.once('error', reject);
    });
  };

  const finish = async (): Promise<void> => {
    await worker?.terminate();
  };

  return { ops: BATCH * BATCHES_PER_RUN, run, prepare, finish };
}
