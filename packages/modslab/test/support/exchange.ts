/** What the workers of threads-exchange do: produce, consume, and the mix. */

import type { Address } from 'modslab';
import type { Board } from './board.ts';
import { jitter } from './killpoints.ts';
import { Mix } from './mix.ts';
import { KMALLOC, Objects } from './objects.ts';
import { Random } from './random.ts';
import { numberOf, type Scenarios, type Task, textOf } from './task.ts';

/** What a worker of the mix reports. */
export interface MixReport {
  readonly failed: number;
  readonly cpu: number;
}

/** Puts an address into a slot once it is empty; waits for that. */
function put(board: Board, slot: number, address: Address): void {
  const { slots } = board;
  for (;;) {
    const there = Atomics.compareExchange(slots, slot, 0, address);
    if (there === 0) break;
    Atomics.wait(slots, slot, there);
  }
  Atomics.notify(slots, slot);
}

/** Takes the address out of a slot once there is one. */
function take(board: Board, slot: number): Address {
  const { slots } = board;
  for (;;) {
    const address = Atomics.exchange(slots, slot, 0);
    if (address !== 0) {
      Atomics.notify(slots, slot);
      return address >>> 0;
    }
    Atomics.wait(slots, slot, 0);
  }
}

/** The slots are a ring for each pair: pair p has the slots p · width … */
function ring(task: Task): { first: number; width: number } {
  const width = task.board.plan.slots / numberOf(task.args, 'pairs');
  return { first: numberOf(task.args, 'pair') * width, width };
}

function produce(task: Task): number {
  const { heap, board, args } = task;
  const objects = new Objects(heap, board, numberOf(args, 'worker'));
  const random = new Random(numberOf(args, 'seed'));
  const sizes = textOf(args, 'sizes').split(' ').map(Number);
  const { first, width } = ring(task);
  for (let i = 0; i < numberOf(args, 'ops'); i++) {
    const size = sizes[random.below(sizes.length)];
    const address = heap.kmalloc(size);
    if (address === 0) throw new Error(`no memory for ${size} bytes`);
    objects.own(address, size, KMALLOC);
    put(board, first + (i % width), address);
  }
  return heap.cpu;
}

function consume(task: Task): number {
  const { heap, board, args } = task;
  const objects = new Objects(heap, board, numberOf(args, 'worker'));
  const { first, width } = ring(task);
  for (let i = 0; i < numberOf(args, 'ops'); i++) {
    const address = take(board, first + (i % width));
    objects.disown(address);
    heap.kfree(address);
  }
  return heap.cpu;
}

/** A fixed number of random operations; then everything is given back. */
function mix({ heap, board, args }: Task): MixReport {
  const worker = numberOf(args, 'worker');
  const seed = numberOf(args, 'seed') * 64 + worker;
  if (numberOf(args, 'jitter') > 0) jitter(seed, numberOf(args, 'jitter'));
  const steps = new Mix({ heap, board, worker, seed });
  const ops = numberOf(args, 'ops');
  board.barrier(board.plan.workers);
  for (let i = 0; i < ops; i++) steps.step();
  steps.freeAll();
  board.barrier(board.plan.workers);
  steps.freeSlots();
  return { failed: steps.failed, cpu: heap.cpu };
}

export const scenarios: Scenarios = {
  'exchange.produce': produce,
  'exchange.consume': consume,
  'exchange.mix': mix,
};
