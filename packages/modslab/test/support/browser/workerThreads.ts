/**
 * node:worker_threads for browsers, as far as support/thread.ts and support/worker.ts use it.
 *
 * A browser tells nobody that a worker has ended: `terminate()` returns at once, and the worker may run on for a moment. What
 * does tell is a Web Lock: every worker holds one of its own for life, and takes it before it does anything else. After
 * `terminate()` the page requests the same lock, and has it when the worker is gone. A worker is not terminated before it
 * says that it has its lock: of one that dies while the lock is on its way to it Chromium may never let go.
 */

import { limited } from '../limit.ts';

/** What a worker says first. */
const LOCKED = 'locked for life';
/** Half of what support/thread.ts waits, whose error would not say as much. */
const PATIENCE_SECONDS = 120;

interface Scope {
  readonly name: string;
  postMessage(data: unknown): void;
  addEventListener(event: string, listen: (event: { data: unknown }) => void): void;
}

interface WebWorker {
  postMessage(data: unknown): void;
  terminate(): void;
  addEventListener(event: string, listen: (event: { data: unknown; message?: string }) => void): void;
}

interface LockManager {
  request(name: string, held: () => Promise<unknown>): Promise<unknown>;
  query(): Promise<{ readonly held: readonly Lock[]; readonly pending: readonly Lock[] }>;
}

interface Lock {
  readonly name: string;
}

interface Globals {
  readonly document?: unknown;
  readonly navigator: { readonly locks: LockManager };
  readonly Worker: new (url: URL, options: { type: 'module'; name: string }) => WebWorker;
}

const globals = globalThis as unknown as Globals;

/** Resolves when the lock is this thread's, which it stays. */
function lockForLife(name: string): Promise<void> {
  return new Promise((resolve) => {
    void globals.navigator.locks.request(name, () => {
      resolve();
      return new Promise(() => {});
    });
  });
}

/** Resolves when nobody holds the lock. */
async function unlocked(name: string): Promise<void> {
  await globals.navigator.locks.request(name, async () => {});
}

/** `step`, or an error that says what the browser did not tell, and what it knows of the worker's lock. */
function told(step: Promise<void>, name: string, what: string): Promise<void> {
  return limited(step, PATIENCE_SECONDS, async () => {
    const { held, pending } = await globals.navigator.locks.query();
    const count = (locks: readonly Lock[]): number => locks.filter((lock) => lock.name === name).length;
    return `${name} ${what} for ${PATIENCE_SECONDS} s (its lock: ${count(held)} held, ${count(pending)} pending)`;
  });
}

type Listener = (value: unknown) => void;
let workers = 0;

export class Worker {
  private readonly worker: WebWorker;
  private readonly name: string;
  private readonly listeners: Record<string, Listener[]> = {};
  private readonly locked: Promise<void>;

  constructor(url: URL) {
    this.name = `worker ${++workers} of ${Math.random()}`;
    this.worker = new globals.Worker(url, { type: 'module', name: this.name });
    this.locked = new Promise((resolve) => {
      this.worker.addEventListener('message', ({ data }) => {
        if (data === LOCKED) resolve();
        else this.emit('message', data);
      });
      this.worker.addEventListener('error', ({ message }) => {
        resolve();
        this.emit('error', new Error(message));
      });
    });
  }

  on(event: string, listener: Listener): void {
    this.listeners[event] ??= [];
    this.listeners[event].push(listener);
  }

  postMessage(data: unknown): void {
    this.worker.postMessage(data);
  }

  /** Resolves when the worker is gone; as often as it is called. */
  async terminate(): Promise<void> {
    await told(this.locked, this.name, 'has not begun');
    this.worker.terminate();
    await told(unlocked(this.name), this.name, 'has been terminated and not ended');
    this.emit('exit', 0);
  }

  private emit(event: string, value: unknown): void {
    for (const listener of this.listeners[event] ?? []) listener(value);
  }
}

export interface ParentPort {
  on(event: 'message', listener: Listener): void;
  postMessage(data: unknown): void;
}

/** In a worker: its messages, from when it has its lock on. */
export const parentPort: ParentPort | null = globals.document === undefined ? portOf() : null;

function portOf(): ParentPort {
  const scope = globalThis as unknown as Scope;
  const locked = lockForLife(scope.name);
  void locked.then(() => scope.postMessage(LOCKED));
  return {
    on(_event, listener) {
      scope.addEventListener('message', ({ data }) => void locked.then(() => listener(data)));
    },
    postMessage: (data) => scope.postMessage(data),
  };
}
