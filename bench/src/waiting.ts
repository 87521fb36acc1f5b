/** Waiting for a word of shared memory: spins for a while, then sleeps; gives up when the other thread has failed. */

/** Looks before sleeping, 8 ns each: a thread that is woken again starts 50 µs late. */
const SPINS = 20_000;
/** Sleeps of 1 ms before the other thread is given up for dead. */
const SLEEPS = 60_000;

/** Waits until the word differs from `value`; returns what it is then. */
export function waitWhile(words: Int32Array, index: number, value: number): number {
  for (let i = 0; i < SPINS; i++) {
    const now = Atomics.load(words, index);
    if (now !== value) return now;
  }
  for (let i = 0; i < SLEEPS; i++) {
    Atomics.wait(words, index, value, 1);
    const now = Atomics.load(words, index);
    if (now !== value) return now;
  }
  throw new Error('another thread of the benchmark does not answer');
}
