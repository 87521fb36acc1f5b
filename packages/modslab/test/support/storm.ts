/**
 * What the workers of threads-kill do until they are killed: the mix; caches of their own, created and destroyed; and now
 * and then they detach, keeping what they hold, and attach again. The mix grows the heap by itself.
 *
 * A thread killed while it attaches or leaves may leave a CPU slot without a tag. So that the supervisor can tell such a
 * slot from that of a living thread which is attaching or leaving at this moment, every thread counts its comings and
 * goings on the board: its count is odd while one is under way.
 */

import { Heap } from 'modslab';
import { type Board, FREE_CONTROL } from './board.ts';
import { jitter } from './killpoints.ts';
import { Mix } from './mix.ts';
import { Random } from './random.ts';
import { numberOf, type Scenarios, type Task } from './task.ts';

/** Control words from here on: comings and goings of worker i, times two; odd while one is under way. */
export const PASSAGES: number = FREE_CONTROL;

/** The tag of a worker's CPU: names the worker and which of the threads of that number it is. */
export function tagOf(worker: number, life: number): string {
  return `worker ${worker}, life ${life}`;
}

/** What the names of a worker's own caches begin with. */
export function cachePrefix(worker: number): string {
  return `storm ${worker} `;
}

/** Objects of a cache that comes and goes. */
const CACHE_OBJECTS = 8;

function attach({ handle, board }: Task, worker: number, tag: string): Heap {
  Atomics.add(board.control, PASSAGES + worker, 1);
  const heap = Heap.attach(handle, { tag });
  Atomics.add(board.control, PASSAGES + worker, 1);
  return heap;
}

/** A cache is created, used and destroyed. */
function comeAndGo(heap: Heap, board: Board, worker: number, random: Random): void {
  board.inflight[worker] = CACHE_OBJECTS;
  const size = random.between(8, 2000);
  const cache = heap.createCache({ name: `${cachePrefix(worker)}${random.below(4)}`, size });
  const objects = Array.from({ length: CACHE_OBJECTS }, () => cache.alloc());
  if (objects.includes(0)) throw new Error('no memory for a cache');
  cache.freeBulk(Uint32Array.from(objects));
  cache.destroy();
  board.inflight[worker] = 0;
}

/** Works until it is killed, or until the board says stop; keeps what it holds. Returns allocations that failed. */
function work(task: Task): number {
  const { board, args } = task;
  const worker = numberOf(args, 'worker');
  const life = numberOf(args, 'life');
  const seed = numberOf(args, 'seed') * 4096 + life * 16 + worker;
  const random = new Random(seed);
  if (numberOf(args, 'jitter') > 0) jitter(seed, numberOf(args, 'jitter'));
  let failed = 0;
  while (!board.stopped) {
    const heap = attach(task, worker, tagOf(worker, life));
    const mix = new Mix({ heap, board, worker, life, seed: random.next(), sizeMax: 100_000 });
    const steps = random.between(100, 4000);
    for (let i = 0; i < steps && !board.stopped; i++) {
      mix.step();
      if (random.oneIn(100)) comeAndGo(heap, board, worker, random);
    }
    failed += mix.failed;
    Atomics.add(board.control, PASSAGES + worker, 1);
    heap.detach();
    Atomics.add(board.control, PASSAGES + worker, 1);
  }
  return failed;
}

export const scenarios: Scenarios = { 'storm.work': work };
