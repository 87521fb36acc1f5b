/**
 * rpmalloc's stress test and the thread spam of its main test: ported from their descriptions.
 *
 * **Stress.** Every thread works in bursts of 32. A block's size is drawn from six bands, of 1,000 draws 400 of 16…64
 * bytes, 350 up to 1 KiB, 150 up to 16 KiB, 70 up to 256 KiB, 29 up to 2 MiB, 1 up to 5 MiB; one block in eight is aligned to
 * 16…256. It begins with a header (magic, seed, size in 16 bytes), and up to 256 bytes after it are a pattern of the seed; both
 * are verified and the magic is spoilt before the block is freed, so a block freed twice is found by the test itself. One
 * in four is reallocated to a second size; half are handed to the shared pool of 4,096 slots, where what they push out is
 * freed, nearly always another thread's; the others stay in a ring of 64 of the thread's own. In the end rings and pool
 * are drained.
 *
 * Exact count: bursts · 32 blocks per thread, all freed. (rpmalloc stops by the clock, after 30 s at its shortest;
 * here the number of bursts is fixed.) `sizeMax` is its RPMALLOC_STRESS_MAX_SIZE; 262,144 is what it uses itself where
 * large blocks are too slow.
 *
 * **Thread spam.** A thread's life is 500 loops; in each the thread's heap is initialised, 10 blocks with sizes from the
 * list of 7 plus (loop + pass) % 1024, and 4 for the size itself, are allocated, checked against each other for overlap,
 * verified and freed, and the thread's heap is finalised: here attach and detach. Each of up to 16 threads is joined and
 * started again in 100 passes. Exact counts: threads · 101 lives of 500 loops of 10 blocks, 505,000 blocks a thread.
 *
 * **Cross-thread.** Threads in a ring; each allocates three blocks a step from a list of 16 sizes, frees the first at once,
 * gives the second to its neighbour and keeps the third to the end; it frees what its other neighbour gave. Counts of its
 * 32-bit build: 20 loops of 200 passes, 32 times: 3 · 20 · 200 · 32 = 384,000 blocks a thread.
 *
 * Not ported: exact usable sizes (they are rpmalloc's own classes), GROW_OR_FAIL (no counterpart), first-class heaps
 * (free-all is what groups are for, and tested with them), initialise/finalise of the whole allocator.
 */

import assert from 'node:assert/strict';
import { type Address, Heap } from 'modslab';
import { Random } from '../support/random.ts';
import { numberOf, type Scenarios, type Task } from '../support/task.ts';
import { inScene, KIB, MIB, Scene, type Threads } from './scene.ts';

const MAGIC = 0x52504d41;
const DEAD = 0xdeadbeef;
const HEADER = 16;
const FILL_MAX = 256;
const RING = 64;
const POOL = 4096;
const BURST = 32;

/** How many of 1,000 blocks come from bands up to this one; the band's smallest and largest size. */
const BANDS: readonly { readonly upTo: number; readonly min: number; readonly max: number }[] = [
  { upTo: 400, min: 16, max: 64 },
  { upTo: 750, min: 65, max: KIB },
  { upTo: 900, min: KIB + 1, max: 16 * KIB },
  { upTo: 970, min: 16 * KIB + 1, max: 256 * KIB },
  { upTo: 999, min: 256 * KIB + 1, max: 2 * MIB },
  { upTo: 1000, min: 2 * MIB + 1, max: 5 * MIB },
];

function pickSize(random: Random, sizeMax: number): number {
  const roll = random.below(1000);
  const fitting = BANDS.filter(({ min }) => min <= sizeMax);
  const band = fitting.find(({ upTo }) => roll < upTo) ?? fitting[fitting.length - 1];
  return random.between(band.min, Math.min(band.max, sizeMax));
}

function fillBlock(heap: Heap, block: Address, size: number, seed: number): void {
  const { u32, u8 } = heap;
  u32[block / 4] = MAGIC;
  u32[block / 4 + 1] = seed;
  u32[block / 4 + 2] = size;
  const end = block + Math.min(size, HEADER + FILL_MAX);
  for (let at = block + HEADER; at < end; at++) u8[at] = seed + at - block;
}

/** Verifies a block's header and up to `limit` bytes of it. */
function checkBlock(heap: Heap, block: Address, limit: number): void {
  const { u32, u8 } = heap;
  const [magic, seed, size] = u32.subarray(block / 4);
  if (magic !== MAGIC) throw new Error(`the magic at ${block} is ${magic.toString(16)}`);
  const end = block + Math.min(size, limit, HEADER + FILL_MAX);
  for (let at = block + HEADER; at < end; at++) {
    if (u8[at] !== ((seed + at - block) & 0xff))
      throw new Error(`byte ${at - block} of ${block} is ${u8[at]}`);
  }
}

function freeBlock(heap: Heap, block: Address): void {
  checkBlock(heap, block, Infinity);
  heap.u32[block / 4] = DEAD;
  heap.kfree(block);
}

function allocateBlock(heap: Heap, random: Random, sizeMax: number): Address {
  const size = pickSize(random, sizeMax);
  const seed = random.next();
  const align = (seed & 7) === 0 ? 2 ** (4 + (seed % 5)) : 0;
  const block = align === 0 ? heap.kmalloc(size) : heap.kmallocAligned(size, align);
  if (block === 0) throw new Error(`no memory for ${size} bytes`);
  if (align !== 0 && block % align !== 0) throw new Error(`${block} is not aligned to ${align}`);
  fillBlock(heap, block, size, seed);
  return block;
}

/** A second size; the first bytes must be the old ones. */
function reallocateBlock(heap: Heap, block: Address, random: Random, sizeMax: number): Address {
  const size = pickSize(random, sizeMax);
  const moved = heap.krealloc(block, size);
  if (moved === 0) throw new Error(`no memory to reallocate to ${size} bytes`);
  checkBlock(heap, moved, size);
  fillBlock(heap, moved, size, random.next());
  return moved;
}

interface StressCounts {
  made: number;
  freed: number;
  crossed: number;
}

/** One thread of the stress test. */
function stress({ heap, board, args }: Task): StressCounts {
  const random = new Random(numberOf(args, 'worker') + 1);
  const sizeMax = numberOf(args, 'sizeMax');
  const ring: Address[] = Array(RING).fill(0);
  const counts: StressCounts = { made: 0, freed: 0, crossed: 0 };
  let next = 0;
  for (let step = numberOf(args, 'bursts') * BURST; step > 0; step--) {
    let block = allocateBlock(heap, random, sizeMax);
    counts.made++;
    if (random.below(4) === 0) block = reallocateBlock(heap, block, random, sizeMax);
    let out: Address;
    if (random.below(2) === 0) {
      out = Atomics.exchange(board.slots, random.below(POOL), block) >>> 0;
      if (out !== 0) counts.crossed++;
    } else {
      out = ring[next];
      ring[next] = block;
      next = (next + 1) % RING;
      if (out !== 0) counts.freed++;
    }
    if (out !== 0) freeBlock(heap, out);
  }
  for (const block of ring.filter((address) => address !== 0)) {
    freeBlock(heap, block);
    counts.freed++;
  }
  return counts;
}

export interface RpmallocStress {
  readonly threads: number;
  readonly bursts: number;
  readonly sizeMax: number;
  readonly maxSize: number;
}

/** The stress test; how many blocks each thread's bursts made, and what became of all. */
export async function rpmallocStress(plan: RpmallocStress): Promise<StressCounts & { drained: number }> {
  const { threads, bursts, sizeMax, maxSize } = plan;
  const total = { made: 0, freed: 0, crossed: 0, drained: 0 };
  await inScene(new Scene({ size: 16 * MIB, maxSize }, threads, 'lives', POOL), async (scene) => {
    const all = (await scene.run('rpmalloc.stress', { bursts, sizeMax })) as StressCounts[];
    for (const { made, freed, crossed } of all) {
      assert.equal(made, bursts * BURST);
      total.made += made;
      total.freed += freed;
      total.crossed += crossed;
    }
    scene.sound('when the threads have ended');
    for (let slot = 0; slot < POOL; slot++) {
      const block = scene.take(slot);
      if (block === 0) continue;
      freeBlock(scene.heap, block);
      total.drained++;
    }
    assert.equal(total.freed + total.crossed + total.drained, total.made, 'every block was freed once');
    scene.empty();
  });
  return total;
}

const SPAM_LOOPS = 500;
const SPAM_PASSES = 10;
const SPAM_SIZES = [19, 249, 797, 3, 79, 34, 389];
/** What a block holds after its size. */
const SPAM_DATA: Uint8Array = Uint8Array.from({ length: 8192 }, (_, i) => i);

/** Ten blocks, which must not overlap, verified and freed. */
function spamOnce(heap: Heap, loop: number): void {
  const blocks: { address: Address; end: Address; size: number }[] = [];
  for (let pass = 0; pass < SPAM_PASSES; pass++) {
    const size = SPAM_SIZES[(loop + pass) % SPAM_SIZES.length] + ((loop + pass) % 1024);
    const address = heap.kmalloc(4 + size);
    if (address === 0) throw new Error(`no memory for ${4 + size} bytes`);
    heap.u32[address / 4] = size;
    heap.view(address + 4, size).set(SPAM_DATA.subarray(0, size));
    const end = address + 4 + size;
    for (const other of blocks) {
      if (address < other.end && other.address < end) throw new Error(`${address} lies in ${other.address}`);
    }
    blocks.push({ address, end, size });
  }
  for (const { address, size } of blocks) {
    if (heap.u32[address / 4] !== size) throw new Error(`the size at ${address} is ${heap.u32[address / 4]}`);
    const found = heap.view(address + 4, size).findIndex((byte, i) => byte !== SPAM_DATA[i]);
    if (found >= 0) throw new Error(`byte ${found} of ${address} was changed`);
    heap.kfree(address);
  }
}

/** Lives of one thread, which attaches and detaches in each loop; the blocks that it has made. */
function spam({ handle, args }: Task): number {
  let made = 0;
  for (let life = numberOf(args, 'lives'); life > 0; life--) {
    for (let loop = 0; loop < SPAM_LOOPS; loop++) {
      const heap = Heap.attach(handle);
      spamOnce(heap, loop);
      heap.detach();
      made += SPAM_PASSES;
    }
  }
  return made;
}

/** Thread spam: each thread lives `lives` times. With the way 'lives' each of them is a real thread. */
export async function threadSpam(threads: number, lives: number, way: Threads): Promise<number> {
  let made = 0;
  await inScene(new Scene({ size: MIB, maxSize: 64 * MIB }, threads, way), async (scene) => {
    const passes = way === 'lives' ? lives : 1;
    for (let pass = 0; pass < passes; pass++) {
      const counts = (await scene.run('rpmalloc.spam', { lives: lives / passes, attach: 0 })) as number[];
      made += counts.reduce((sum, count) => sum + count, 0);
    }
    scene.empty();
  });
  return made;
}

const CROSS_LOOPS = 20;
const CROSS_PASSES = 200;
const CROSS_STEPS: number = CROSS_LOOPS * CROSS_PASSES;
const CROSS_SIZES = [19, 249, 797, 3, 7923, 344, 3892, 19, 154, 9723, 15543, 32493, 34, 1894, 193, 2893];

/** One thread of the ring; its neighbour is the next one. Blocks made and blocks freed for the neighbour. */
function cross({ heap, board, args }: Task): { made: number; crossed: number } {
  const worker = numberOf(args, 'worker');
  const { workers } = board.plan;
  const mine = worker * CROSS_STEPS;
  const theirs = ((worker + 1) % workers) * CROSS_STEPS;
  const add = (worker * (16 + worker) + worker) % 128;
  const kept: Address[] = [];
  let draws = 0;
  let crossed = 0;
  const draw = (loop: number, pass: number, spread: number): Address => {
    const size = CROSS_SIZES[(loop + pass + draws++) % CROSS_SIZES.length] + add + ((loop + pass) % spread);
    const address = heap.kmalloc(size);
    if (address === 0) throw new Error(`no memory for ${size} bytes`);
    heap.u8[address] = worker;
    heap.u8[address + size - 1] = worker;
    return address;
  };
  const freeTheirs = (): void => {
    for (; crossed < CROSS_STEPS; crossed++) {
      const address = Atomics.exchange(board.slots, theirs + crossed, 0) >>> 0;
      if (address === 0) return;
      if (heap.u8[address] !== (worker + 1) % workers) throw new Error(`${address} was changed`);
      heap.kfree(address);
    }
  };
  board.barrier(workers);
  for (let step = 0; step < CROSS_STEPS; step++) {
    const [loop, pass] = [Math.floor(step / CROSS_PASSES), step % CROSS_PASSES];
    const first = draw(loop, pass, 439);
    const second = draw(loop, pass, 71);
    kept.push(draw(loop, pass, 751));
    heap.kfree(first);
    Atomics.store(board.slots, mine + step, second);
    Atomics.notify(board.slots, mine + step);
    freeTheirs();
  }
  for (const address of kept) heap.kfree(address);
  while (crossed < CROSS_STEPS) {
    Atomics.wait(board.slots, theirs + crossed, 0);
    freeTheirs();
  }
  return { made: 3 * CROSS_STEPS, crossed };
}

/** The ring of threads, `times` times; the blocks made and freed by a neighbour. */
export async function crossThread(threads: number, times: number, way: Threads): Promise<[number, number]> {
  const result: [number, number] = [0, 0];
  const slots = threads * CROSS_STEPS;
  // A thread keeps 19 MiB until its end.
  await inScene(new Scene({ size: MIB, maxSize: 64 * MIB * threads }, threads, way, slots), async (scene) => {
    for (let time = 0; time < times; time++) {
      for (const report of await scene.run('rpmalloc.cross')) {
        const { made, crossed } = report as { made: number; crossed: number };
        result[0] += made;
        result[1] += crossed;
      }
      scene.sound(`after round ${time}`);
      assert.equal(scene.heap.meminfo().live, 0);
    }
    scene.empty();
  });
  return result;
}

export const scenarios: Scenarios = {
  'rpmalloc.stress': stress,
  'rpmalloc.spam': spam,
  'rpmalloc.cross': cross,
};
