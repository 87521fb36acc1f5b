/**
 * For Node (and Bun): workers that may be terminated at any moment are reaped by themselves.
 *
 * @packageDocumentation
 */

import type { ReapReport } from './debug/reap.ts';
import type { Heap } from './heap.ts';
import { invalid, SlabError } from './memory/errors.ts';
import { hostNumbersThreads } from './memory/thread.ts';
import type { CpuInfo } from './stat/cpuInfo.ts';

export type { ReapReport } from './debug/reap.ts';

/** The part of a `Worker` of node:worker_threads that is needed. */
export interface SupervisedWorker {
  readonly threadId: number;
  on(event: 'exit', listener: (exitCode: number) => void): unknown;
  off(event: 'exit', listener: (exitCode: number) => void): unknown;
}

export interface SuperviseOptions {
  /** Called after the end of the worker with what its CPUs had left behind; empty if it had detached, or never attached. */
  onReap?: (reports: ReapReport[]) => void;
}

/** The slots that a dead thread may have: its own, and those of which nobody can say whose they are (see `CpuInfo`). */
function slotsOf(heap: Heap, threadId: number): CpuInfo[] {
  const isNumbered = hostNumbersThreads();
  return heap.cpus().filter(({ cpu, online, thread, tag }) => {
    if (!online || cpu === heap.cpu) return false;
    return thread === undefined || (isNumbered ? thread === threadId : thread === 0 && tag === threadId);
  });
}

/**
 * Reaps the CPUs of a worker when it ends, however it ends: returns, throws, `process.exit()`, `terminate()`. The worker need
 * not do anything for it: `Heap.attach` notes the thread's number. It may attach as often as it likes, to several
 * CPUs at a time, and detach from them. (Node before 20.16 does not tell the number: there the worker must say
 * `Heap.attach(handle, { tag: threadId })`.)
 *
 * Call it right after `new Worker(…)`, on a thread that stays and keeps `heap` attached; once the heap is detached, nothing is
 * reaped any more. Returns a function that ends the supervision. Throws `EINVAL` for a worker that has ended already.
 * Deno is not supported: its `exit` event comes while the thread is still running.
 */
export function superviseWorker(
  heap: Heap,
  worker: SupervisedWorker,
  options: SuperviseOptions = {},
): () => void {
  const { threadId } = worker;
  if (typeof options !== 'object' || options === null)
    throw new TypeError(`superviseWorker takes an object of options, not ${String(options)}`);
  if (options.onReap !== undefined && typeof options.onReap !== 'function')
    throw new TypeError(`onReap must be a function, not ${typeof options.onReap}`);
  if ('Deno' in globalThis) invalid('Deno tells the end of a worker before its thread has ended');
  if (!Number.isInteger(threadId) || threadId < 1) {
    invalid('the worker has ended already: call superviseWorker right after new Worker()');
  }
  // Throws here, not when the worker ends, if this heap is detached.
  slotsOf(heap, threadId);
  const onExit = (): void => {
    const reports: ReapReport[] = [];
    try {
      for (const { cpu, generation } of slotsOf(heap, threadId)) reports.push(heap.reap(cpu, generation));
    } catch (error) {
      if (!(error instanceof SlabError) || error.code !== 'ESHUTDOWN') throw error;
      return;
    }
    options.onReap?.(reports);
  };
  worker.on('exit', onExit);
  return () => void worker.off('exit', onExit);
}
