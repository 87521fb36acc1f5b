/**
 * Worker threads as tests use them. A `Thread` runs one scenario after another (support/worker.ts is its other end) and
 * can be killed at any moment: `kill` is `worker.terminate()`, which strikes wherever the thread happens to be.
 *
 * What a scenario throws becomes the rejection of `run`. A time limit only ever means "this hangs": it is far above
 * what any machine needs, and no test passes or fails by how long it takes.
 */

import { Worker } from 'node:worker_threads';
import type { HeapHandle } from 'modslab';
import type { Board } from './board.ts';
import { limited } from './limit.ts';
import type { Args, OutcomeMessage, TaskMessage } from './task.ts';

/** After this a test that waits for a thread gives up. */
export const HANG_SECONDS = 240;
/** Options of every test with threads: runners with a limit of seconds of their own (Bun's is 5) need to be told. */
export const LIMIT: { readonly timeout: number } = { timeout: 2 * HANG_SECONDS * 1000 };

/**
 * Why tests that kill threads are skipped here, or false. Deno's `terminate()` resolves, and its `exit` event comes, while
 * the thread is still running (measured: 30 of 30 busy threads wrote on for a while); nothing there tells of the death.
 */
export const skipUnlessDeathIsTold: string | false =
  'Deno' in globalThis ? 'Deno reports the end of a terminated thread before the thread has ended' : false;

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class Thread {
  private readonly worker: Worker;
  private readonly waiting: Map<number, Waiting> = new Map();
  private readonly exited: Promise<void>;
  private serial = 0;
  private killed = false;

  /** `shortLived`: reads no source maps, which is a third of the time that a thread takes to start. */
  constructor({ shortLived = false }: { readonly shortLived?: boolean } = {}) {
    // A browser, where the storms run too, has no process; Node 26's test runner names flags that no worker may have.
    const execArgv = globalThis.process?.execArgv.filter((arg) => arg.startsWith('--conditions'));
    this.worker = new Worker(
      new URL('./worker.js', import.meta.url),
      shortLived && execArgv ? { execArgv } : {},
    );
    this.worker.on('message', (message: OutcomeMessage) => this.settle(message));
    this.worker.on('error', (error: Error) => this.rejectAll(error));
    this.exited = new Promise((resolve) => {
      this.worker.on('exit', () => {
        if (!this.killed) this.rejectAll(new Error('a worker thread has ended by itself'));
        resolve();
      });
    });
  }

  /** Runs a scenario to its end. */
  run(scenario: string, handle: HeapHandle, board: Board, args: Args = {}, tag = ''): Promise<unknown> {
    const id = ++this.serial;
    const message: TaskMessage = {
      id,
      scenario,
      handle,
      tag,
      plan: board.plan,
      board: board.buffer,
      args,
    };
    const outcome = new Promise<unknown>((resolve, reject) => this.waiting.set(id, { resolve, reject }));
    this.worker.postMessage(message);
    return within(outcome, `scenario '${scenario}'`, board);
  }

  /** Runs a scenario that may be killed before its end; `ended` and `failure` tell what became of it. */
  launch(scenario: string, handle: HeapHandle, board: Board, args: Args = {}, tag = ''): void {
    this.ended = this.run(scenario, handle, board, args, tag).then(
      () => {},
      (error: Error) => {
        if (this.killed) return;
        this.failure ??= error;
        throw error;
      },
    );
    // Whoever does not wait for the end finds the error in `failure`.
    this.ended.catch(() => {});
  }

  /** The end of the launched scenario. */
  ended: Promise<void> = Promise.resolve();

  /** What a launched scenario has thrown, if it has. */
  failure: Error | undefined;

  /** What a scenario has thrown while its thread was being killed: a browser lets threads go on for seconds. */
  lastWords: Error | undefined;

  /** Waits until `done` says so; rejects if a launched scenario fails meanwhile. */
  async until(done: () => boolean, what: string, board?: Board): Promise<void> {
    await until(() => this.failure !== undefined || done(), what, board);
    if (this.failure !== undefined) throw this.failure;
  }

  /** Ends the thread wherever it is. Resolves when it is gone. */
  async kill(): Promise<void> {
    this.killed = true;
    this.rejectAll(new Error('the thread was killed'));
    await within(Promise.resolve(this.worker.terminate()), 'the termination of a thread');
    await within(this.exited, 'the end of a terminated thread');
  }

  private settle({ id, value, error }: OutcomeMessage): void {
    if (this.killed && error !== undefined) this.lastWords ??= new Error(error);
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    if (error === undefined) waiting?.resolve(value);
    else waiting?.reject(new Error(error));
  }

  private rejectAll(error: Error): void {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
    if (!this.killed) this.failure ??= error;
  }
}

/** Several threads that work together. */
export class Crew {
  readonly threads: Thread[];

  constructor(size: number) {
    this.threads = Array.from({ length: size }, () => new Thread());
  }

  /** Runs the scenario on every thread, each with its number as `worker`, and returns all results. */
  run(scenario: string, handle: HeapHandle, board: Board, args: Args = {}): Promise<unknown[]> {
    return Promise.all(
      this.threads.map((thread, worker) =>
        thread.run(scenario, handle, board, { ...args, worker }, `worker ${worker}`),
      ),
    );
  }

  async end(): Promise<void> {
    await Promise.all(this.threads.map((thread) => thread.kill()));
  }
}

/** `promise`, or an error if it takes so long that something must be hanging. */
export function within<T>(promise: Promise<T>, what: string, board?: Board): Promise<T> {
  return limited(promise, HANG_SECONDS, () => {
    const steps = board === undefined ? '' : `; steps of the workers: ${board.steps.join(' ')}`;
    return `${what} has not ended after ${HANG_SECONDS} s${steps}`;
  });
}

/** Waits until `done` says so. */
export async function until(done: () => boolean, what: string, board?: Board): Promise<void> {
  let on = true;
  const poll = async (): Promise<void> => {
    while (on && !done()) await sleep(1);
  };
  try {
    await within(poll(), what, board);
  } finally {
    on = false;
  }
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
