/**
 * The layouts and modslab in time, in one run: a random object of many is freed, another one is allocated in its place,
 * and its first bytes are written, as a program would.
 */

import { Heap } from 'modslab';
import { LAYOUTS } from './layouts/index.ts';
import { type Contestant, copyOf, randomOrder, timeSideBySide } from './timing.ts';

/** Nanoseconds of one free and one allocation. */
export interface ChurnRow {
  name: string;
  /** Live objects that fit the first caches. */
  few: number;
  /** Live objects far beyond them. */
  many: number;
}

const FEW = 256;
const ORDERS = 2 ** 18;
/** Of a round: few, so that some rounds are not disturbed; the next goes on where it ended. */
const ROUND = 2 ** 13;

interface Allocator {
  alloc(): number;
  free(address: number): void;
}

const churn = (
  allocator: Allocator,
  live: Uint32Array,
  order: Uint32Array,
  words: Int32Array,
  shift: number,
  start: number,
  operations: number,
): number => {
  for (let i = start; i < start + operations; i++) {
    const index = order[i & (order.length - 1)];
    allocator.free(live[index]);
    const address = allocator.alloc();
    words[address >>> shift] = i;
    live[index] = address;
  }
  return live[0];
};

function contestant(
  name: string,
  allocator: Allocator,
  words: Int32Array,
  shift: number,
  count: number,
  order: Uint32Array,
): Contestant {
  const live = Uint32Array.from({ length: count }, () => allocator.alloc());
  if (live.includes(0)) throw new RangeError(`${name} has no memory for ${count} objects`);
  const own = copyOf(churn);
  let start = 0;
  const run = (operations: number): number => {
    start = (start + operations) & (order.length - 1);
    return own(allocator, live, order, words, shift, start, operations);
  };
  return { name, run };
}

function contestants(bytes: number, count: number): Contestant[] {
  const order = randomOrder(ORDERS, count);
  const pages = Math.ceil((count + 2000) / Math.floor((4096 - 64) / (bytes + 4))) + 64;
  const models = LAYOUTS.map((make) => {
    const layout = make(bytes, pages);
    return contestant(layout.name, layout, layout.words, 0, count, order);
  });
  const size = Math.max(16 * 2 ** 20, 2 ** Math.ceil(Math.log2(count * bytes * 2)));
  const heap = Heap.create({ size, maxSize: size, cpus: 2 });
  const modslab = { alloc: () => heap.kmalloc(bytes), free: (address: number) => heap.kfree(address) };
  return [contestant('modslab, all checks', modslab, heap.i32, 2, count, order), ...models];
}

/** Times them with few and with `many` live objects of `bytes`. */
export function churnRows(bytes: number, many: number, rounds: number): ChurnRow[] {
  const [few, lots] = [FEW, many].map((count) => timeSideBySide(contestants(bytes, count), ROUND, rounds));
  return [...few].map(([name, ns]) => ({ name, few: ns, many: lots.get(name) ?? 0 }));
}
