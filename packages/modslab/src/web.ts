/**
 * For browsers (and whatever has `navigator.locks`): a thread holds a Web Lock for life, so that another one learns of its
 * death. The browser releases a lock when the thread that holds it ends, however it ends; nothing is guessed from time.
 *
 *     // in the worker                                        // in the page
 *     const heap = await attachForLife(handle, name);         worker.onmessage = ({ data: name }) => superviseByLock(heap, name);
 *     postMessage(name);
 *
 * @packageDocumentation
 */

import type { ReapReport } from './debug/reap.ts';
import { Heap, type HeapHandle } from './heap.ts';
import { invalid, SlabError } from './memory/errors.ts';

export type { ReapReport } from './debug/reap.ts';

/** The part of `navigator.locks` that is needed. */
export interface LockManagerLike {
  request(
    name: string,
    options: { signal?: AbortSignalLike; ifAvailable?: boolean },
    callback: (lock: unknown) => unknown,
  ): Promise<unknown>;
}

/** The part of an `AbortSignal` that is needed. */
export interface AbortSignalLike {
  readonly aborted: boolean;
}

export interface LockOptions {
  /** Default: `navigator.locks`. */
  locks?: LockManagerLike;
}

export interface SuperviseByLockOptions extends LockOptions {
  /** Ends the supervision: the signal of an `AbortController`. */
  signal?: AbortSignalLike;
}

const PREFIX = 'modslab:';

function locksOf({ locks }: LockOptions): LockManagerLike {
  const { navigator } = globalThis as { readonly navigator?: { readonly locks?: LockManagerLike } };
  const found = locks ?? navigator?.locks;
  if (found === undefined) invalid('this platform has no Web Locks (navigator.locks): reap by other means');
  return found;
}

/**
 * Attaches this thread, tagged with `name`, and holds the lock of that name until the thread ends. The name must be the
 * thread's own: `EBUSY` if somebody holds its lock. Detaching and attaching again under the same tag is all right. Throws
 * as `Heap.attach` does, and `EINVAL` where there are no Web Locks.
 */
export async function attachForLife(
  handle: HeapHandle,
  name: string,
  options: LockOptions = {},
): Promise<Heap> {
  const locks = locksOf(options);
  return new Promise((resolve, reject) => {
    const hold = (lock: unknown): unknown => {
      if (lock === null) throw new SlabError('EBUSY', `another thread holds the lock of the name '${name}'`);
      // If this throws, the lock is given up and the request fails with it.
      resolve(Heap.attach(handle, { tag: name }));
      return new Promise(() => {});
    };
    locks.request(PREFIX + name, { ifAvailable: true }, hold).catch(reject);
  });
}

/**
 * Waits until the thread that attached with `attachForLife(handle, name)` is dead, and reaps it. Call it when the thread has
 * told that it is attached; before that there is nobody to wait for. Resolves with a report for each CPU that it
 * had left behind, none if it had detached. Rejects with `EINVAL` if nobody holds the lock and nobody is attached with
 * that tag, and as the lock request does if `signal` is aborted.
 */
export async function superviseByLock(
  heap: Heap,
  name: string,
  options: SuperviseByLockOptions = {},
): Promise<ReapReport[]> {
  const { signal } = options;
  const locks = locksOf(options);
  const slots = (): { cpu: number; generation: number }[] =>
    heap.cpus().filter(({ cpu, online, tag }) => online && cpu !== heap.cpu && tag === name);
  const isHeld = await locks.request(PREFIX + name, { ifAvailable: true }, (lock) => lock === null);
  if (isHeld !== true && slots().length === 0) {
    invalid(
      `nobody is attached under the name '${name}': call this when the thread says that it is attached`,
    );
  }
  let reports: ReapReport[] = [];
  await locks.request(PREFIX + name, signal === undefined ? {} : { signal }, () => {
    reports = slots().map(({ cpu, generation }) => heap.reap(cpu, generation));
  });
  return reports;
}
