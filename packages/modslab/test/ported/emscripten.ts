/**
 * Emscripten's tests of malloc with threads, and its malloc_bench, ported from their descriptions.
 *
 * **test_malloc_multithreading.** Each worker has a ring of 1,024 pointers, itself an object of the heap. Operation i frees what
 * stands at i % 1,024, allocates 1,000 + i % 1,024 bytes there and writes i into its first byte; in the end the bytes are added
 * up and the ring is freed. Exact count: TOTAL / WORKERS operations a worker, TOTAL = 100,000,000; the sum is checked
 * against what it must be.
 *
 * **test_pthread_malloc_free.** 8 threads allocate 50,000 objects of 4 bytes each; the main thread frees them meanwhile. Exact
 * count: 400,000. Where emscripten has a vector under a mutex, a thread's addresses stand in slots of their own here, and
 * nobody waits.
 *
 * **malloc_bench.** 32,768 bins, 6 Mi operations: a random bin is freed if it is full and filled again with 16…64 bytes.
 *
 * Not ported: emmalloc's tests of its own structures (validate after each step is what test/model.test.ts does here), the
 * tests of dlmalloc's `mallinfo`, and timing.
 */

import assert from 'node:assert/strict';
import { Heap } from 'modslab';
import { Random } from '../support/random.ts';
import { numberOf, type Scenarios, type Task } from '../support/task.ts';
import { sleep } from '../support/thread.ts';
import { inScene, MIB, Scene } from './scene.ts';

const AT_ONCE = 1024;
const BASE_SIZE = 1000;

/** One worker of test_malloc_multithreading; the sum of the last objects' first bytes. */
function multithreading({ heap, args }: Task): number {
  const operations = numberOf(args, 'operations');
  const ring = heap.kcalloc(AT_ONCE, 4) / 4;
  if (ring === 0) throw new Error('no memory');
  for (let i = 0; i < operations; i++) {
    const slot = ring + (i & (AT_ONCE - 1));
    heap.kfree(heap.u32[slot]);
    const address = heap.kmalloc(BASE_SIZE + (i & (AT_ONCE - 1)));
    if (address === 0) throw new Error('no memory');
    heap.u32[slot] = address;
    heap.i8[address] = i;
  }
  let total = 0;
  for (let slot = ring; slot < ring + AT_ONCE; slot++) {
    total += heap.i8[heap.u32[slot]];
    heap.kfree(heap.u32[slot]);
  }
  heap.kfree(ring * 4);
  return total;
}

/** `total` operations, dealt to the workers. */
export async function mallocMultithreading(workers: number, total: number): Promise<void> {
  const operations = Math.floor(total / workers);
  let expected = 0;
  for (let i = operations - AT_ONCE; i < operations; i++) expected += (i << 24) >> 24;
  await inScene(new Scene({ size: 4 * MIB, maxSize: 256 * MIB }, workers, 'lives'), async (scene) => {
    const sums = await scene.run('emscripten.multithreading', { operations });
    assert.deepEqual(sums, Array(workers).fill(expected), 'sums of the bytes');
    scene.empty();
  });
}

/** One thread of test_pthread_malloc_free. */
function mallocOnly({ heap, board, args }: Task): void {
  const blocks = numberOf(args, 'blocks');
  const first = numberOf(args, 'worker') * blocks;
  for (let i = 0; i < blocks; i++) {
    const address = heap.kmalloc(4);
    if (address === 0) throw new Error('no memory');
    heap.u32[address / 4] = first + i;
    Atomics.store(board.slots, first + i, address);
  }
}

/** `threads` threads allocate `blocks` objects each, and the main thread frees them; how many it freed. */
export async function mallocFree(threads: number, blocks: number): Promise<number> {
  let freed = 0;
  const scene = new Scene({ size: MIB, maxSize: 64 * MIB }, threads, 'lives', threads * blocks);
  await inScene(scene, async ({ heap }) => {
    let ended = false;
    const done = scene.run('emscripten.malloc', { blocks }).finally(() => {
      ended = true;
    });
    const freedOf = Array(threads).fill(0);
    const sweep = (): void => {
      for (let thread = 0; thread < threads; thread++) {
        for (; freedOf[thread] < blocks; freedOf[thread]++, freed++) {
          const slot = thread * blocks + freedOf[thread];
          const address = scene.take(slot);
          if (address === 0) break;
          assert.equal(heap.u32[address / 4], slot, 'what the object holds');
          heap.kfree(address);
        }
      }
    };
    while (!ended) {
      sweep();
      await sleep(1);
    }
    await done;
    sweep();
    scene.empty();
  });
  return freed;
}

const BINS = 32_768;

/** malloc_bench on one thread. */
export function mallocBench(operations: number): void {
  const heap = Heap.create({ size: MIB, maxSize: 64 * MIB });
  const bins = new Uint32Array(BINS);
  const random = new Random(1);
  for (let i = 0; i < operations; i++) {
    const bin = random.below(BINS);
    if (bins[bin] !== 0) {
      if (heap.u32[bins[bin] / 4] !== bin) assert.fail(`the object at ${bins[bin]} was changed`);
      heap.kfree(bins[bin]);
    }
    bins[bin] = heap.kmalloc(random.between(16, 64));
    heap.u32[bins[bin] / 4] = bin;
  }
  const full = bins.filter((address) => address !== 0);
  assert.equal(new Set(full).size, full.length, 'every object stands in one bin');
  assert.deepEqual(heap.validate(), []);
  heap.kfreeBulk(full);
  assert.equal(heap.meminfo().live, 0);
  heap.shrink();
  assert.equal(heap.meminfo().footprint, 0);
}

export const scenarios: Scenarios = {
  'emscripten.multithreading': multithreading,
  'emscripten.malloc': mallocOnly,
};
