/** What the workers of threads-growth do: grow the heap, create and destroy caches, come and go. */

import { type Address, Heap, type KmemCache, SlabError } from 'modslab';
import { type Board, FREE_CONTROL } from './board.ts';
import { jitter } from './killpoints.ts';
import { KMALLOC, Objects } from './objects.ts';
import { Random } from './random.ts';
import { numberOf, type Scenarios, type Task } from './task.ts';

/** Control word: the round of a scenario that runs in rounds. */
const ROUND = FREE_CONTROL;
/** Control word: a worker that stays attached has come so far. */
export const STAYS: number = FREE_CONTROL + 1;
/** Control words from here on: who has CPU slot i, by worker number + 1. */
export const CPU_HOLDERS: number = FREE_CONTROL + 8;

/** Runs `act`; the error's code, or '' if there was none. Anything but a SlabError is a failure of the test. */
function codeOf(act: () => void): string {
  try {
    act();
    return '';
  } catch (error) {
    if (error instanceof SlabError) return error.code;
    throw error;
  }
}

/** Allocates `bytes` bytes in objects of up to `sizeMax`, so that the heap must grow; verifies; frees. */
function consumeMemory({ heap, board, args }: Task): { failed: number } {
  const worker = numberOf(args, 'worker');
  const seed = numberOf(args, 'seed') * 64 + worker;
  if (numberOf(args, 'jitter') > 0) jitter(seed, numberOf(args, 'jitter'));
  const random = new Random(seed);
  const objects = new Objects(heap, board, worker);
  const sizeMax = numberOf(args, 'sizeMax');
  const held: Address[] = [];
  let failed = 0;
  board.barrier(board.plan.workers);
  for (let left = numberOf(args, 'bytes'); left > 0; ) {
    const size = random.between(1, sizeMax);
    const address = heap.kmalloc(size);
    if (address === 0) {
      if (++failed === 100) break;
      continue;
    }
    objects.own(address, size, KMALLOC);
    held.push(address);
    left -= heap.ksize(address);
  }
  board.barrier(board.plan.workers);
  for (const address of held) {
    objects.disown(address);
    heap.kfree(address);
  }
  return { failed };
}

/**
 * Worker 0 allocates runs that make the heap grow, writes their number into both ends and publishes the address; the
 * others read it there at once through views that they read again, and answer.
 */
function readBehindGrowth({ heap, board, args }: Task): number {
  const worker = numberOf(args, 'worker');
  const rounds = numberOf(args, 'rounds');
  const size = numberOf(args, 'size');
  const { slots, control } = board;
  const readers = board.plan.workers - 1;
  for (let round = 1; round <= rounds; round++) {
    if (worker === 0) {
      const address = heap.kvmalloc(size);
      if (address === 0) throw new Error(`no memory in round ${round}`);
      heap.u32[address / 4] = round;
      heap.u32[(address + size) / 4 - 1] = round;
      Atomics.store(slots, round, address);
      Atomics.notify(slots, round);
      while (Atomics.load(control, ROUND) !== round * readers) Atomics.wait(control, ROUND, -1, 0.05);
    } else {
      const address = awaitAddress(slots, round);
      const first = heap.u32[address / 4];
      const last = heap.u32[(address + size) / 4 - 1];
      if (first !== round || last !== round) {
        throw new Error(`round ${round}: ${first} and ${last} at ${address}, buffer of ${heap.u8.length}`);
      }
      Atomics.add(control, ROUND, 1);
    }
  }
  return heap.u8.length;
}

/** Spins for a while, to be there at once, then sleeps. */
function awaitAddress(slots: Int32Array, slot: number): Address {
  for (let spins = 0; ; spins++) {
    const address = Atomics.load(slots, slot) >>> 0;
    if (address !== 0) return address;
    if (spins > 5000) Atomics.wait(slots, slot, 0, 1);
  }
}

/** All workers create a cache of one name at the same time, round after round; the winner destroys it. */
function createSameName({ heap, board, args }: Task): string[] {
  const { workers } = board.plan;
  const codes: string[] = [];
  if (numberOf(args, 'jitter') > 0) jitter(numberOf(args, 'worker'), numberOf(args, 'jitter'));
  for (let round = 0; round < numberOf(args, 'rounds'); round++) {
    const name = `same-${round}`;
    let cache: KmemCache | undefined;
    board.barrier(workers);
    codes.push(
      codeOf(() => {
        cache = heap.createCache({ name, size: 64 + 8 * numberOf(args, 'worker') });
      }),
    );
    board.barrier(workers);
    const opened = heap.cache(name);
    const address = opened.alloc();
    if (address === 0) throw new Error(`no memory in round ${round}`);
    heap.kfree(address);
    board.barrier(workers);
    cache?.destroy();
    board.barrier(workers);
    const gone = codeOf(() => heap.cache(name));
    if (gone !== 'EINVAL') throw new Error(`'${name}' can be opened after it was destroyed (${gone})`);
  }
  return codes;
}

/** A thread is told of a destroyed cache when its own sheaves of it are empty, at the latest. */
function useDestroyed(heap: Heap, cache: KmemCache): void {
  const got: Address[] = [];
  const code = codeOf(() => {
    while (got.length < 200) got.push(cache.alloc());
  });
  if (code !== 'EINVAL') throw new Error(`a destroyed cache gave ${got.length} objects (${code})`);
  for (const address of got) heap.kfree(address);
}

/** Every worker destroys the same cache; the codes that they got. */
function destroySameCache({ heap, board, args }: Task): string[] {
  const { workers } = board.plan;
  const worker = numberOf(args, 'worker');
  const codes: string[] = [];
  for (let round = 0; round < numberOf(args, 'rounds'); round++) {
    const name = `doomed-${round}`;
    if (worker === 0) heap.createCache({ name, size: 100 });
    board.barrier(workers);
    const cache = heap.cache(name);
    const address = cache.alloc();
    cache.free(address);
    board.barrier(workers);
    codes.push(codeOf(() => cache.destroy()));
    board.barrier(workers);
    useDestroyed(heap, cache);
  }
  return codes;
}

/** Caches of this worker's own, created, used, destroyed, while the others do the same. */
function ownCaches({ heap, board, args }: Task): void {
  const worker = numberOf(args, 'worker');
  const random = new Random(numberOf(args, 'seed') * 64 + worker);
  const objects = new Objects(heap, board, worker);
  const names: string[] = [];
  for (let round = 0; round < numberOf(args, 'rounds'); round++) {
    const name = `own-${worker}-${round}`;
    const size = random.between(8, 3000);
    const cache = heap.createCache({ name, size });
    const held = Array.from({ length: random.between(1, 80) }, () => {
      const address = cache.alloc();
      if (address === 0) throw new Error('no memory');
      objects.own(address, size, KMALLOC);
      return address;
    });
    const code = codeOf(() => cache.destroy());
    if (code !== 'EBUSY') throw new Error(`destroy with ${held.length} live objects: ${code || 'done'}`);
    for (const address of held) {
      objects.disown(address);
      if (random.oneIn(2)) cache.free(address);
      else heap.kfree(address);
    }
    names.push(name);
    if (names.length > 3) heap.cache(names.shift() ?? '').destroy();
  }
  for (const name of names) heap.cache(name).destroy();
}

/**
 * Opens, uses, creates and destroys caches of a few names that all workers share, without any order between them. Most
 * calls may fail, with EINVAL (unknown, taken or destroyed) or EBUSY (live objects); none may do any harm.
 */
function quarrel({ heap, board, args }: Task): Record<string, number> {
  const worker = numberOf(args, 'worker');
  const seed = numberOf(args, 'seed') * 64 + worker;
  const random = new Random(seed);
  if (numberOf(args, 'jitter') > 0) jitter(seed, numberOf(args, 'jitter'));
  const objects = new Objects(heap, board, worker);
  const counts: Record<string, number> = {};
  const held: Address[] = [];
  const free = (): void => {
    const address = held.splice(random.below(held.length), 1)[0];
    objects.disown(address);
    heap.kfree(address);
  };
  const ways = [
    (name: string) => heap.createCache({ name, size: 2 ** random.between(3, 12) }),
    (name: string) => heap.cache(name).destroy(),
    (name: string) => heap.cache(name).shrink(),
    (name: string) => {
      const cache = heap.cache(name);
      for (let i = random.below(20); i >= 0; i--) {
        const address = cache.alloc();
        if (address === 0) throw new Error('no memory');
        objects.own(address, heap.ksize(address), KMALLOC);
        held.push(address);
      }
    },
  ];
  board.barrier(board.plan.workers);
  for (let i = 0; i < numberOf(args, 'rounds'); i++) {
    const way = ways[Math.min(3, random.below(8))];
    const code = codeOf(() => void way(`shared-${random.below(3)}`)) || 'done';
    counts[code] = (counts[code] ?? 0) + 1;
    while (held.length > 0 && (held.length > 40 || random.oneIn(3))) free();
    if (random.oneIn(50)) heap.shrink();
  }
  while (held.length > 0) free();
  return counts;
}

/** Objects of a cache with a constructor: each says which thread has made it, and none was left out. */
function constructObjects({ heap, board, args }: Task): { made: number; foreign: number } {
  const worker = numberOf(args, 'worker');
  const random = new Random(numberOf(args, 'seed') * 64 + worker);
  let made = 0;
  const cache = heap.cache('constructed', {
    ctor: (address, theHeap) => {
      theHeap.u32[address / 4] = 0xc0de0000 + worker;
      theHeap.u32[address / 4 + 1] = address;
      made++;
    },
  });
  const held: Address[] = [];
  let foreign = 0;
  board.barrier(board.plan.workers);
  for (let i = 0; i < numberOf(args, 'ops'); i++) {
    if (held.length < 60 && random.below(5) < 3) {
      const address = cache.alloc();
      const by = heap.u32[address / 4] - 0xc0de0000;
      if (by < 0 || by >= board.plan.workers || heap.u32[address / 4 + 1] !== address) {
        throw new Error(`the object at ${address} was never constructed: ${heap.u32[address / 4]}`);
      }
      if (by !== worker) foreign++;
      held.push(address);
    } else if (held.length > 0) {
      cache.free(held.splice(random.below(held.length), 1)[0]);
    }
    if (random.oneIn(500)) heap.shrink();
  }
  cache.freeBulk(Uint32Array.from(held));
  return { made, foreign };
}

/** Attaches, works, detaches, again and again; there are fewer CPUs than threads. Each CPU has one holder at a time. */
function comeAndGo({ handle, board, args }: Task): { attached: number; refused: number } {
  const worker = numberOf(args, 'worker');
  const random = new Random(numberOf(args, 'seed') * 64 + worker);
  let attached = 0;
  let refused = 0;
  board.barrier(board.plan.workers);
  for (let round = 0; round < numberOf(args, 'rounds'); round++) {
    let heap: Heap | undefined;
    const code = codeOf(() => {
      heap = Heap.attach(handle, { tag: worker });
    });
    if (heap === undefined) {
      if (code !== 'ENOCPU') throw new Error(`attach: ${code}`);
      refused++;
      continue;
    }
    attached++;
    useOnce(heap, board, worker, random, round);
  }
  return { attached, refused };
}

function useOnce(heap: Heap, board: Board, worker: number, random: Random, round: number): void {
  const holder = CPU_HOLDERS + heap.cpu;
  const found = Atomics.compareExchange(board.control, holder, 0, worker + 1);
  if (found !== 0) throw new Error(`CPU ${heap.cpu} belongs to workers ${found - 1} and ${worker}`);
  const objects = new Objects(heap, board, worker, round);
  const held: Address[] = [];
  for (let i = random.below(40); i > 0; i--) {
    const size = random.below(2000);
    const address = heap.kmalloc(size);
    objects.own(address, size, KMALLOC);
    held.push(address);
  }
  for (const address of held) {
    objects.disown(address);
    heap.kfree(address);
  }
  Atomics.store(board.control, holder, 0);
  heap.detach();
}

/** Stays attached, with objects in its sheaves, until it is killed or the board says stop. */
function stay({ heap, board }: Task): void {
  heap.kfree(heap.kmalloc(64));
  Atomics.store(board.control, STAYS, 1);
  while (!board.stopped) Atomics.wait(board.control, STAYS, 1, 10);
}

export const scenarios: Scenarios = {
  'growth.consume': consumeMemory,
  'growth.read': readBehindGrowth,
  'growth.same-name': createSameName,
  'growth.same-destroy': destroySameCache,
  'growth.own-caches': ownCaches,
  'growth.quarrel': quarrel,
  'growth.construct': constructObjects,
  'growth.come-and-go': comeAndGo,
  'growth.stay': stay,
};
