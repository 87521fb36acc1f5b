/**
 * Order between threads: gates.
 *
 * A gate is one word of shared memory that counts up, and on which a thread can wait until it has reached a number:
 *
 *     word = count * 2 + sleeper          sleeper: 1 while some thread may be asleep on the word
 *
 * Two arrays of gates order a replay:
 *
 *     done[i]       how many operations on object i have been completed. Operation k of object i waits for done[i] ≥ k
 *                   where operation k−1 is another worker's, and is published where operation k+1 is. Operations that
 *                   follow one another on one worker need no gate, so most cost no atomic operation at all.
 *     progress[w]   a row that worker w has come to (all its earlier ones are done). No worker runs further ahead
 *                   of the slowest than a window of rows, so that the live set, and with it the footprint, stays that
 *                   of the trace: a producer may not allocate a whole trace before its consumer frees.
 *
 * Waiting is the replayer's, never the allocator's: no worker is inside a call of the heap while it waits. A wait spins
 * for a bounded time and then sleeps in Atomics.wait; who publishes wakes only if the sleeper bit was set. No wake-up
 * is lost: the sleeper sets the bit with compare-and-swap and sleeps on the very value it set; the publisher exchanges
 * the word, which clears the bit, and sees in the old value whether to notify.
 *
 * Why this cannot deadlock. The rows of the trace are totally ordered, each worker executes its own in that order, and a
 * row waits only for (1) an earlier row, its predecessor on the object, or (2) progress[w] ≥ row − window, that is, for
 * workers that stand at a much earlier row. Take the earliest row r that is not done, of worker a. All rows before r
 * are done, so a has come to r. (1) r's predecessor on its object is done and published. (2) Every other worker stands
 * at a row after r, or has finished; one that runs publishes its place within a bounded number of its rows, one that
 * waits published it before it began to wait, one that finished published the end; so each progress[w] reaches at
 * least r, which is more than r − window. So r is executed, and by induction all rows are. A worker that fails or
 * dies breaks the premise; then `stop` is raised, and every wait ends within POLL_MS.
 */

/** Looks at the word before sleeping: some microseconds, in which a running worker finishes several operations. */
const SPINS = 500;
/** How often a sleeper looks whether the replay has been stopped, in milliseconds. */
const POLL_MS = 50;
/** Distance between two words that different workers write, in Int32 words: one cache line of 64 bytes. */
const LINE_WORDS = 16;

/** Words of `control`. */
const START = 0;
const STOP = LINE_WORDS;

/** Thrown in a worker whose replay was stopped from outside. */
export class Stopped extends Error {}

/** The shared words that order one replay. All of it goes through workerData as it is. */
export interface Gates {
  control: Int32Array<SharedArrayBuffer>;
  done: Int32Array<SharedArrayBuffer>;
  progress: Int32Array<SharedArrayBuffer>;
}

/** Gates for `objects` objects and `workers` workers, all at 0. */
export function createGates(objects: number, workers: number): Gates {
  const words = (count: number): Int32Array<SharedArrayBuffer> =>
    new Int32Array(new SharedArrayBuffer(count * 4));
  return { control: words(STOP + LINE_WORDS), done: words(objects), progress: words(workers * LINE_WORDS) };
}

/** Whether the gate has reached `target`. */
function reached(words: Int32Array, index: number, target: number): boolean {
  return Atomics.load(words, index) >> 1 >= target;
}

/** Sets the gate to `count` and wakes whoever sleeps on it. */
function publish(words: Int32Array, index: number, count: number): void {
  if ((Atomics.exchange(words, index, count << 1) & 1) !== 0) Atomics.notify(words, index);
}

/**
 * Returns when the gate has reached `target`: how long that took, in milliseconds. Throws `Stopped` if the replay is
 * stopped first.
 */
function wait(gates: Gates, words: Int32Array, index: number, target: number): number {
  const began = performance.now();
  for (let spin = 0; spin < SPINS; spin++)
    if (reached(words, index, target)) return performance.now() - began;
  for (;;) {
    const word = Atomics.load(words, index);
    if (word >> 1 >= target) return performance.now() - began;
    if (Atomics.load(gates.control, STOP) !== 0) throw new Stopped();
    const asleep = word | 1;
    if (word !== asleep && Atomics.compareExchange(words, index, word, asleep) !== word) continue;
    Atomics.wait(words, index, asleep, POLL_MS);
  }
}

/**
 * Waits until `operations` operations on object `id` are done; returns for how many milliseconds. `row`, of worker
 * `self`, is what waits.
 */
export function awaitObject(gates: Gates, self: number, row: number, id: number, operations: number): number {
  if (reached(gates.done, id, operations)) return 0;
  publishProgress(gates, self, row);
  return wait(gates, gates.done, id, operations);
}

/** Says that `operations` operations on object `id` are done, and with them all that was written before. */
export function publishObject(gates: Gates, id: number, operations: number): void {
  publish(gates.done, id, operations);
}

/** Says that worker `self` has come to `row`. */
export function publishProgress(gates: Gates, self: number, row: number): void {
  publish(gates.progress, self * LINE_WORDS, row);
}

/**
 * Publishes that worker `self` has come to `row`, and waits until no worker is more than `window` rows behind it (0:
 * does not); returns for how many milliseconds.
 */
export function keepPace(gates: Gates, self: number, row: number, window: number): number {
  publishProgress(gates, self, row);
  if (Atomics.load(gates.control, STOP) !== 0) throw new Stopped();
  if (window === 0) return 0;
  let waited = 0;
  for (let word = 0; word < gates.progress.length; word += LINE_WORDS) {
    if (!reached(gates.progress, word, row - window))
      waited += wait(gates, gates.progress, word, row - window);
  }
  return waited;
}

/** The row that the slowest worker has come to. */
export function slowest(gates: Gates): number {
  let row = Number.POSITIVE_INFINITY;
  for (let word = 0; word < gates.progress.length; word += LINE_WORDS) {
    row = Math.min(row, Atomics.load(gates.progress, word) >> 1);
  }
  return row;
}

/** Lets the workers that wait in `awaitStart` begin, all at once. */
export function start(gates: Gates): void {
  Atomics.store(gates.control, START, 1);
  Atomics.notify(gates.control, START);
}

/** Waits for `start`; throws `Stopped` if the replay is stopped first. */
export function awaitStart(gates: Gates): void {
  while (Atomics.load(gates.control, START) === 0) {
    if (Atomics.load(gates.control, STOP) !== 0) throw new Stopped();
    Atomics.wait(gates.control, START, 0, POLL_MS);
  }
}

/** Ends all waits, now and later, with `Stopped`. */
export function stop(gates: Gates): void {
  Atomics.store(gates.control, STOP, 1);
}
