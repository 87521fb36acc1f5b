/**
 * Larson's server simulation, with threads that respawn, as mimalloc-bench runs it: `5 8 1000 5000 100 4141 P`. Ported from its
 * description.
 *
 * P chains of threads; each chain has 5,000 slots. The main thread fills them all with blocks of 8…999 bytes, shuffles, and
 * replaces 4 · P · 5,000 at random. A thread then takes a random slot of its chain, frees what is there, allocates a random
 * size and writes two bytes, 100 · 5,000 times; then it ends, and a successor takes over slots and blocks: what one thread
 * allocates "bleeds" into the next, and threads come and go all the time.
 *
 * Exact counts: per life rounds · slots frees and as many allocations; larson runs for 5 s, here the number of lives is
 * fixed. The two bytes are verified before the free, and all slots, block by block, in the end. Not ported: the
 * throughput figure (a benchmark's business) and the wait for old threads.
 */

import assert from 'node:assert/strict';
import type { Address, Heap } from 'modslab';
import { Random } from '../support/random.ts';
import { numberOf, type Scenarios, type Task } from '../support/task.ts';
import { inScene, MIB, Scene } from './scene.ts';

const SIZE_MIN = 8;
const SIZE_RANGE = 992;
const SEED = 4141;
const FIRST = 'a'.charCodeAt(0);
const SECOND = 'b'.charCodeAt(0);
/** Random replacements of the warm-up, per slot. */
const WARM_UP = 4;

function allocateBlock(heap: Heap, random: Random): Address {
  const address = heap.kmalloc(SIZE_MIN + random.below(SIZE_RANGE));
  if (address === 0) throw new Error('no memory');
  heap.u8[address] = FIRST;
  heap.u8[address + 1] = SECOND;
  return address;
}

function freeBlock(heap: Heap, address: Address): void {
  const { u8 } = heap;
  if (u8[address] !== FIRST || u8[address + 1] !== SECOND)
    throw new Error(`the block at ${address} was changed`);
  heap.kfree(address);
}

function replace(heap: Heap, slots: Int32Array, slot: number, random: Random): void {
  freeBlock(heap, slots[slot] >>> 0);
  slots[slot] = allocateBlock(heap, random);
}

/** One thread's life. */
function live({ heap, board, args }: Task): number {
  const slots = numberOf(args, 'slots');
  const random = new Random(SEED + numberOf(args, 'chain') * 1009 + numberOf(args, 'life'));
  const first = numberOf(args, 'chain') * slots;
  const replacements = numberOf(args, 'rounds') * slots;
  for (let i = 0; i < replacements; i++) replace(heap, board.slots, first + random.below(slots), random);
  return replacements;
}

export const scenarios: Scenarios = { 'larson.live': live };

export interface Larson {
  readonly chains: number;
  readonly slots: number;
  readonly rounds: number;
  /** Threads one after another in each chain. */
  readonly lives: number;
}

/** The whole run; how many blocks were replaced by threads, the warm-up not counted. */
export async function larson({ chains, slots, rounds, lives }: Larson): Promise<number> {
  const scene = new Scene({ size: 4 * MIB, maxSize: 256 * MIB }, chains, 'lives', chains * slots);
  let replaced = 0;
  await inScene(scene, async ({ heap, board }) => {
    warmUp(heap, board.slots);
    const chain = async (number: number): Promise<void> => {
      for (let life = 0; life < lives; life++) {
        const args = { chain: number, life, slots, rounds };
        const count = (await scene.runAlone('larson.live', args)) as number;
        replaced += count;
      }
    };
    await Promise.all(Array.from({ length: chains }, (_, number) => chain(number)));
    scene.sound('when all threads have ended');
    const objects = heap.slabinfo().reduce((sum, row) => sum + row.objects, 0);
    assert.equal(objects, chains * slots, 'a block in each slot, and no other');
    for (let slot = 0; slot < chains * slots; slot++) freeBlock(heap, scene.take(slot));
    scene.empty();
  });
  return replaced;
}

/** Fills the slots, shuffles, and replaces at random. */
function warmUp(heap: Heap, slots: Int32Array): void {
  const random = new Random(SEED);
  for (let slot = 0; slot < slots.length; slot++) slots[slot] = allocateBlock(heap, random);
  for (let slot = slots.length - 1; slot > 0; slot--) {
    const other = random.below(slot + 1);
    [slots[slot], slots[other]] = [slots[other], slots[slot]];
  }
  for (let i = WARM_UP * slots.length; i > 0; i--) replace(heap, slots, random.below(slots.length), random);
}
