/**
 * A worker that knows nothing of its supervisor: it attaches, works, and ends in one of several ways, or waits to be ended.
 * Its supervisor learns from `workerData.state[0]` that it has come so far.
 */

import { parentPort, workerData } from 'node:worker_threads';
import { Heap, type HeapHandle } from 'modslab';

export interface SupervisedData {
  readonly handle: HeapHandle;
  readonly how: 'stay' | 'stay thrice' | 'detach' | 'never' | 'throw' | 'exit' | 'tagged';
  readonly state: Int32Array;
}

function attach(handle: HeapHandle, tag?: string): Heap {
  const heap = Heap.attach(handle, tag === undefined ? {} : { tag });
  const some = Array.from({ length: 50 }, () => heap.kmalloc(100));
  for (const address of some) heap.kfree(address);
  return heap;
}

function work({ handle, how }: SupervisedData): void {
  if (how === 'never') return;
  const heap = attach(handle, how === 'tagged' ? 'a tag of its own' : undefined);
  if (how === 'stay thrice') {
    attach(handle).detach();
    attach(handle);
    attach(handle);
  }
  if (how === 'detach') heap.detach();
}

const data = workerData as SupervisedData;
work(data);
Atomics.store(data.state, 0, 1);
if (data.how === 'throw') throw new Error('the end of a worker');
if (data.how === 'exit') process.exit(3);
// All others stay until they are terminated, in a way that only that can end.
parentPort?.on('message', () => {});
if (data.how !== 'detach' && data.how !== 'never') Atomics.wait(data.state, 1, 0);
