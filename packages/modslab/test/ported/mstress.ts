/**
 * mimalloc's test-stress, which mimalloc-bench runs as mstress: the description, not the code, is ported.
 *
 * One round: every thread t makes 100 · scale · (t % 8 + 1) allocations and half as many that it keeps to the end. At each
 * step, with 50% it allocates 2^(r % 5) words, else it keeps 2^(r % 7) words; of all 1% are 100, 0.1% 1,000 and 0.01% 10,000
 * times as large; with 66% it frees one of its own at random; with 25% it exchanges one with the transfer array of 1,000
 * that all threads share. Word i of n is (n - i) ^ cookie, verified when the object is freed, whoever frees it. The lists
 * of pointers are objects of the same heap, the growing one through krealloc. After a round all threads end and new ones
 * come; half of the transfer array is freed in between, all of it after the last round.
 *
 *     test-stress   32 threads, scale 10, 50 rounds             test-stress's own defaults
 *     mstress       P threads, scale 50, 25 rounds              mimalloc-bench's arguments; P = 4 here
 *
 * Exact counts per round: scale · 100 · Σ(t % 8 + 1) steps that allocate and half as many that keep: 216,000 objects in a
 * round of test-stress, 10.8 million in all; 75,000 and 1.9 million for mstress; besides what chance adds nothing.
 *
 * Differences: a word has 8 bytes, written as two words of 4 (mimalloc's `uintptr_t`); the random numbers are ours, not
 * splitmix64 (its thread 0 gets nothing but zeros from the seed 0 · 43); "chance p" is p + 1 of 100, as it is there.
 * Not ported: the leak variant (`#undef STRESS`), which checks nothing.
 */

import assert from 'node:assert/strict';
import type { Address, Heap } from 'modslab';
import { Random } from '../support/random.ts';
import { numberOf, type Scenarios, type Task } from '../support/task.ts';
import { inScene, MIB, Scene, type Threads } from './scene.ts';

const TRANSFERS = 1000;
const COOKIE = 0x1ce4e5b9;
const WORD = 8;
const LARGEST_SHIFT = 5;
const LARGEST_KEPT_SHIFT: number = LARGEST_SHIFT + 2;
/** Pointers by which the list of a thread grows. */
const LIST_STEP = 100_000;

const chance = (percent: number, random: Random): boolean => random.below(100) <= percent;

function allocateItems(heap: Heap, words: number, random: Random): Address {
  let items = words;
  if (chance(1, random)) {
    if (chance(1, random)) items *= 10_000;
    else if (chance(10, random)) items *= 1000;
    else items *= 100;
  }
  const address = heap.kcalloc(items, WORD);
  if (address === 0) throw new Error(`no memory for ${items} words`);
  const { i32 } = heap;
  const halves = items * 2;
  for (let i = 0; i < halves; i++) {
    if (i32[address / 4 + i] !== 0) throw new Error(`kcalloc: word ${i} of ${address} is not 0`);
    i32[address / 4 + i] = (halves - i) ^ COOKIE;
  }
  return address;
}

/** Verifies and frees what `allocateItems` has made. */
function freeItems(heap: Heap, address: Address): void {
  if (address === 0) return;
  const { i32 } = heap;
  const halves = i32[address / 4] ^ COOKIE;
  if (halves <= 0 || halves * 4 > heap.ksize(address)) throw new Error(`${address} says ${halves} words`);
  for (let i = 0; i < halves; i++) {
    const found = i32[address / 4 + i] ^ COOKIE;
    if (found !== halves - i) throw new Error(`word ${i} of ${address} is ${found}, not ${halves - i}`);
  }
  heap.kfree(address);
}

/** A list of pointers that lies in the heap under test. */
class List {
  length = 0;
  private readonly heap: Heap;
  private address: Address = 0;
  private room = 0;

  constructor(heap: Heap, room = 0) {
    this.heap = heap;
    if (room > 0) this.grow(room);
  }

  push(item: Address): void {
    if (this.length === this.room) this.grow(LIST_STEP);
    this.set(this.length++, item);
  }

  get(i: number): Address {
    return this.heap.u32[this.address / 4 + i];
  }

  set(i: number, item: Address): void {
    this.heap.u32[this.address / 4 + i] = item;
  }

  freeAll(): void {
    for (let i = 0; i < this.length; i++) freeItems(this.heap, this.get(i));
    this.heap.kfree(this.address);
  }

  private grow(step: number): void {
    this.room += step;
    const moved = this.heap.krealloc(this.address, this.room * 4);
    if (moved === 0) throw new Error(`no memory for a list of ${this.room}`);
    this.address = moved;
  }
}

/** The allocations of one thread in one round. */
const allocationsOf = (thread: number, scale: number): number => 100 * scale * ((thread % 8) + 1);

/** One thread in one round; how many objects it has made. */
function stress({ heap, board, args }: Task): number {
  const worker = numberOf(args, 'worker');
  const random = new Random(worker * 43 + numberOf(args, 'round') * 977);
  const allocations = allocationsOf(worker, numberOf(args, 'scale'));
  let left = allocations;
  let toKeep = allocations / 2;
  let made = 0;
  const data = new List(heap);
  const kept = new List(heap, toKeep);
  while (left > 0 || toKeep > 0) {
    made++;
    if (toKeep === 0 || (left > 0 && chance(50, random))) {
      left--;
      data.push(allocateItems(heap, 2 ** random.below(LARGEST_SHIFT), random));
    } else {
      toKeep--;
      kept.push(allocateItems(heap, 2 ** random.below(LARGEST_KEPT_SHIFT), random));
    }
    if (data.length === 0) continue;
    if (chance(66, random)) {
      const i = random.below(data.length);
      freeItems(heap, data.get(i));
      data.set(i, 0);
    }
    if (chance(25, random)) {
      const i = random.below(data.length);
      const there = Atomics.exchange(board.slots, random.below(TRANSFERS), data.get(i)) >>> 0;
      data.set(i, there);
    }
  }
  kept.freeAll();
  data.freeAll();
  return made;
}

export const scenarios: Scenarios = { 'mstress.stress': stress };

export interface StressPlan {
  readonly threads: number;
  readonly scale: number;
  readonly rounds: number;
  readonly way: Threads;
}

/** A whole run; how many objects were made. */
export async function mstress({ threads, scale, rounds, way }: StressPlan): Promise<number> {
  const scene = new Scene({ size: 16 * MIB, maxSize: 1024 * MIB }, threads, way, TRANSFERS);
  const random = new Random(0x7feb352d);
  let total = 0;
  await inScene(scene, async ({ heap }) => {
    for (let round = 0; round < rounds; round++) {
      const made = (await scene.run('mstress.stress', { scale, round })) as number[];
      assert.deepEqual(
        made,
        made.map((_, thread) => 1.5 * allocationsOf(thread, scale)),
        'objects made by each thread',
      );
      total += made.reduce((sum, count) => sum + count, 0);
      scene.sound(`after round ${round}`);
      for (let slot = 0; slot < TRANSFERS; slot++) {
        if (round + 1 === rounds || chance(50, random)) freeItems(heap, scene.take(slot));
      }
    }
    scene.empty();
  });
  return total;
}
