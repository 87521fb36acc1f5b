/**
 * The threads of a workload of several; `team-worker.ts` is what each runs. Control words, shared, each on a line of its own:
 *
 *   | GO | MET | DONE | FAILED | CALLS | PHASE | CORRUPTED |        and for each thread the clock at begin and end
 *
 * A round: this thread writes CALLS and PHASE and raises GO. The workers, who sleep on GO between rounds, meet first, so that
 * none is measured waking up; each notes when it began and ended its calls, and raises DONE. A round lasts from the first
 * begin to the last end. (`process.hrtime` counts from the same zero on all threads of a process.) CALLS of QUIT: the workers
 * free what is theirs and leave.
 *
 * Where threads respawn, a worker is started for each life and is gone after one call; a round is a number of lives one
 * after the other on every thread, and what starting a worker costs is in it, as pthread_create is on the C side.
 */

import { Worker } from 'node:worker_threads';
import { wordsOf } from './context.ts';
import type { Spec } from './kernel.ts';
import { sibling } from './paths.ts';
import type { Subject } from './subjects/subject.ts';

const LINE_WORDS = 16;
const [goLine, metLine, doneLine, failedLine, callsLine, phaseLine, corruptedLine] = [0, 1, 2, 3, 4, 5, 6];
export const GO: number = goLine * LINE_WORDS;
export const MET: number = metLine * LINE_WORDS;
export const DONE: number = doneLine * LINE_WORDS;
export const FAILED: number = failedLine * LINE_WORDS;
export const CALLS: number = callsLine * LINE_WORDS;
export const PHASE: number = phaseLine * LINE_WORDS;
export const CORRUPTED: number = corruptedLine * LINE_WORDS;
const CONTROL_WORDS: number = 7 * LINE_WORDS;
/** What CALLS says when the benchmark is over. */
export const QUIT = -1;
/** Milliseconds: no round takes so long. */
const PATIENCE = 300_000;

/** What a worker gets. */
export interface TeamData {
  readonly name: string;
  readonly spec: Spec;
  readonly handle: unknown;
  readonly index: number;
  readonly words: Int32Array;
  readonly control: Int32Array;
  /** Begin and end of each thread's calls, in nanoseconds. */
  readonly times: BigInt64Array;
  /** Whether this worker lives for one call only. */
  readonly life: boolean;
}

export class Team {
  private readonly data: Omit<TeamData, 'index' | 'life'>;
  private readonly workers: Worker[];

  constructor(name: string, spec: Spec, subject: Subject) {
    if (subject.share === undefined) throw new Error('it is not for several threads');
    this.workers = [];
    this.data = {
      name,
      spec,
      handle: subject.share(),
      words: wordsOf(spec),
      control: new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4)),
      times: new BigInt64Array(new SharedArrayBuffer(spec.threads * 16)),
    };
  }

  /** Starts the threads, one after the other, each prepared before the next. */
  async start(): Promise<void> {
    for (let index = 0; index < this.data.spec.threads; index++) {
      const worker = this.spawn(index, false);
      if (!this.data.spec.respawn) this.workers.push(worker);
      await new Promise<void>((resolve, reject) => {
        worker.once(this.data.spec.respawn ? 'exit' : 'message', () => resolve());
        worker.once('error', reject);
      });
    }
  }

  /** Nanoseconds of so many calls on every thread. */
  round(phase: number, calls: number): number | Promise<number> {
    if (this.data.spec.respawn) return this.lives(calls);
    const { control, times } = this.data;
    this.command(phase, calls);
    for (let waited = 0; Atomics.load(control, DONE) < this.data.spec.threads; waited += 10) {
      Atomics.wait(control, DONE, Atomics.load(control, DONE), 10);
      if (Atomics.load(control, FAILED) !== 0) throw new Error('a thread has failed; its message is above');
      if (waited > PATIENCE) throw new Error('the threads do not answer');
    }
    const begins = times.filter((_, i) => i % 2 === 0);
    const ends = times.filter((_, i) => i % 2 === 1);
    const first = begins.reduce((a, b) => (a < b ? a : b));
    return Number(ends.reduce((a, b) => (a > b ? a : b)) - first);
  }

  /** The threads free what they hold and leave; how many objects they had found changed. */
  async finish(): Promise<number> {
    if (!this.data.spec.respawn) {
      const exits = this.workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)));
      this.command(0, QUIT);
      await Promise.all(exits);
    }
    return Atomics.load(this.data.control, CORRUPTED);
  }

  async kill(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.terminate()));
  }

  private spawn(index: number, life: boolean): Worker {
    const workerData: TeamData = { ...this.data, index, life };
    return new Worker(sibling(import.meta.url, 'team-worker'), { workerData });
  }

  private command(phase: number, calls: number): void {
    const { control } = this.data;
    control[CALLS] = calls;
    control[PHASE] = phase;
    Atomics.store(control, MET, 0);
    Atomics.store(control, DONE, 0);
    Atomics.add(control, GO, 1);
    Atomics.notify(control, GO);
  }

  private async lives(calls: number): Promise<number> {
    const start = process.hrtime.bigint();
    const threads = Array.from({ length: this.data.spec.threads }, async (_, index) => {
      for (let life = 0; life < calls; life++) {
        const worker = this.spawn(index, true);
        await new Promise<void>((resolve, reject) => {
          worker.once('exit', () => resolve());
          worker.once('error', reject);
        });
      }
    });
    await Promise.all(threads);
    return Number(process.hrtime.bigint() - start);
  }
}
