/** What the workers of threads-collections do: random calls on one map and one vector, everything that they read checked. */

import assert from 'node:assert/strict';
import type { Heap } from 'modslab';
import { SharedMap, SharedVector } from 'modslab/collections';
import { assertSound } from './accounts.ts';
import { jitter } from './killpoints.ts';
import { Random } from './random.ts';
import { numberOf, type Scenarios, type Task } from './task.ts';

export const KEYS = 120;
/** The key of a counter that every worker adds to. */
export const TOTAL = 'total';

/** A value of a key: the key's name over and over, so that a value of another key, or half of one, shows. */
export const valueFor = (key: string, n: number): string => `${key}:`.repeat(1 + (n % 40));

/** Whether `value` may be a value of the key. */
export const isValueOf = (key: string, value: string): boolean =>
  value.length > 0 && value === `${key}:`.repeat(value.length / (key.length + 1));

export function assertWhole({ map }: Shared): void {
  let others = 0;
  for (const [key, value] of map.entries()) {
    const [name, text] = [key, value].map((bytes) => new TextDecoder().decode(bytes));
    if (name.startsWith('k')) assert.ok(isValueOf(name, text), `${name}: ${text.slice(0, 80)}`);
    else others++;
  }
  assert.ok(others >= 1);
  assert.ok([...map.entries()].length <= KEYS + others);
}

export function assertFreed(heap: Heap, { map, vector }: Shared): void {
  map.destroy();
  vector.destroy();
  heap.shrink();
  const { live, footprint } = heap.meminfo();
  assert.deepEqual([live, footprint], [0, 0]);
  assertSound(heap, 'in the end');
}

function checked(map: SharedMap, key: string): void {
  const value = map.getString(key);
  if (value !== undefined && !isValueOf(key, value))
    throw new Error(`key ${key} has the value '${value.slice(0, 80)}'`);
}

const addOne = (map: SharedMap, key: string): number =>
  Number(map.update(key, (old) => String(Number(old ? new TextDecoder().decode(old) : 0) + 1)));

function act(map: SharedMap, random: Random): void {
  const key = `k${random.below(KEYS)}`;
  const what = random.below(10);
  if (what < 4) checked(map, key);
  else if (what < 7) map.set(key, valueFor(key, random.below(1000)));
  else if (what < 9) map.delete(key);
  else map.compareAndSet(key, valueFor(key, 1), valueFor(key, 2));
}

/** Works until told to stop, or for so many steps. A step that counts is on the board before it is made. */
function work({ heap, board, args }: Task): { added: number } {
  const worker = numberOf(args, 'worker');
  const random = new Random(numberOf(args, 'seed') * 64 + worker);
  if (numberOf(args, 'jitter') > 0) jitter(numberOf(args, 'seed'), numberOf(args, 'jitter'));
  const map = SharedMap.open(heap, numberOf(args, 'map'));
  const vector = SharedVector.open(heap, 'f64', numberOf(args, 'vector'));
  const steps = numberOf(args, 'steps');
  let added = 0;
  for (let step = 0; step < steps || (steps === 0 && !board.stopped); step++) {
    for (let i = 0; i < 8; i++) act(map, random);
    board.steps[worker]++;
    addOne(map, TOTAL);
    addOne(map, `count ${worker}`);
    if (step % 4 === 0) vector.push(worker + step / 2 ** 20);
    added++;
  }
  map.close();
  return { added };
}

/** The numbers of a counter; 0 if it is not there. */
export const counter = (map: SharedMap, key: string): number => Number(map.getString(key) ?? 0);

export interface Shared {
  readonly map: SharedMap;
  readonly vector: SharedVector<'f64'>;
}

export function createShared(heap: Heap, threads: number): Shared {
  return {
    map: SharedMap.create(heap, { buckets: 4, threads }),
    vector: SharedVector.create(heap, 'f64', { first: 32 }),
  };
}

export const scenarios: Scenarios = { 'collections.work': work };
