/**
 * The board: one SharedArrayBuffer beside the heap under test, by which the threads of a test tell each other what they
 * do. It is the test's own record of who has which object, and it must survive the death of any of them:
 *
 *     control    words for the scenario: stop flags, barriers, results
 *     inflight   per worker: objects that its present operation may have, though no list names them yet or any more
 *     steps      per worker: operations begun, for the report of a hang
 *     holdings   per worker: the addresses of the objects that it has. An address is entered after the object is claimed
 *                and filled, and taken out before anything is done to give it up: so what stands in the list of a dead
 *                worker was its own, whole, and is nobody else's
 *     slots      addresses on their way from one worker to another, by Atomics.exchange
 *     tags       per granule of 8 bytes of the heap: the object that lies there, as support/objects.ts claims it
 *     sizes      per granule: size and kind of the object that begins there, 0 while it is not whole
 */

export interface Plan {
  readonly workers: number;
  readonly slots: number;
  /** Objects that one worker may hold. */
  readonly holdings: number;
  /** Granules of the heap at its largest. */
  readonly granules: number;
}

/** Words of `control`. */
export const CONTROL_WORDS = 64;
/** Control word: not 0 means that workers without another end stop. */
export const STOP = 0;
/** Control words of the barrier: threads that have arrived, and how often it has opened. */
export const ARRIVED = 1;
export const OPENED = 2;
/** The first control word that scenarios use as they like. */
export const FREE_CONTROL = 8;

export class Board {
  readonly plan: Plan;
  readonly buffer: SharedArrayBuffer;
  readonly control: Int32Array;
  readonly inflight: Int32Array;
  readonly steps: Int32Array;
  readonly slots: Int32Array;
  readonly tags: Int32Array;
  readonly sizes: Int32Array;
  private readonly allHoldings: Int32Array;

  constructor(plan: Plan, buffer?: SharedArrayBuffer) {
    const { workers, slots, holdings, granules } = plan;
    const words = CONTROL_WORDS + 2 * workers + slots + workers * holdings + 2 * granules;
    this.plan = plan;
    this.buffer = buffer ?? new SharedArrayBuffer(words * 4);
    let at = 0;
    const section = (length: number): Int32Array => {
      const view = new Int32Array(this.buffer, at * 4, length);
      at += length;
      return view;
    };
    this.control = section(CONTROL_WORDS);
    this.inflight = section(workers);
    this.steps = section(workers);
    this.slots = section(slots);
    this.allHoldings = section(workers * holdings);
    this.tags = section(granules);
    this.sizes = section(granules);
  }

  /** The list of worker number `worker`. */
  holdings(worker: number): Int32Array {
    const { holdings } = this.plan;
    return this.allHoldings.subarray(worker * holdings, (worker + 1) * holdings);
  }

  /** Tells every scenario that looks at it to come to an end. */
  stop(): void {
    Atomics.store(this.control, STOP, 1);
  }

  get stopped(): boolean {
    return Atomics.load(this.control, STOP) !== 0;
  }

  /** Waits until `threads` threads have come here. For worker threads. */
  barrier(threads: number): void {
    const { control } = this;
    const opened = Atomics.load(control, OPENED);
    if (Atomics.add(control, ARRIVED, 1) + 1 === threads) {
      Atomics.store(control, ARRIVED, 0);
      Atomics.add(control, OPENED, 1);
      Atomics.notify(control, OPENED);
      return;
    }
    while (Atomics.load(control, OPENED) === opened) Atomics.wait(control, OPENED, opened);
  }
}
