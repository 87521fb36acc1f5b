/**
 * One worker thread of a replay. Its life:
 *
 *     attach to the heap ── 'ready' ── wait for the start, which is the same for all ── execute its rows
 *     ── 'done' ── the main thread takes its figures while everybody is still ── asked to: detach, 'detached'
 *
 * Then it is terminated, which is the one end of a worker that all runtimes have. (If the replay fails it is terminated
 * without having detached: the heap is given up, nobody uses it again.)
 *
 * It is blocked in Atomics.wait before the start and while it waits for a gate; in between it only computes.
 */
import { hrtime } from 'node:process';
import { parentPort, workerData } from 'node:worker_threads';
import { Heap, type HeapHandle } from 'modslab';
import { Executor, type Job, ReplayFailure, type Tally } from './execute.ts';
import { awaitStart, Stopped } from './sequencer.ts';

/** What a worker is started with. */
export interface WorkerInput {
  handle: HeapHandle;
  job: Job;
  list: Uint32Array<SharedArrayBuffer>;
  cacheNames: string[];
  self: number;
}

/** What a worker says. Times are in nanoseconds of one clock for all threads. */
export type WorkerMessage =
  | { type: 'ready' }
  | { type: 'done'; tally: Tally; began: bigint; ended: bigint }
  | { type: 'failed'; row: number; code: string; message: string }
  | { type: 'stopped' }
  | { type: 'detached' };

/** The error code that a failure is reported under. */
function codeOf(error: unknown): string {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' ? code : error instanceof Error ? error.name : 'EINVAL';
}

function replay(input: WorkerInput, heap: Heap, say: (message: WorkerMessage) => void): void {
  const caches = input.cacheNames.map((name) => heap.cache(name));
  const executor = new Executor(heap, input.job, caches);
  try {
    say({ type: 'ready' });
    awaitStart(input.job.gates);
    const began = hrtime.bigint();
    executor.runList(input.list, input.self);
    say({ type: 'done', tally: executor.tally, began, ended: hrtime.bigint() });
  } catch (error) {
    if (error instanceof Stopped) return say({ type: 'stopped' });
    const row = error instanceof ReplayFailure ? error.row : executor.row;
    say({
      type: 'failed',
      row,
      code: codeOf(error),
      message: error instanceof Error ? error.message : String(error),
    });
  }
}

const port = parentPort;
if (port !== null) {
  const input = workerData as WorkerInput;
  const heap = Heap.attach(input.handle);
  port.once('message', () => {
    heap.detach();
    port.postMessage({ type: 'detached' } satisfies WorkerMessage);
  });
  replay(input, heap, (message) => port.postMessage(message));
}
