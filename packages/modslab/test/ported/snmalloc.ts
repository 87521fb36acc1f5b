/**
 * snmalloc's functional tests (src/test/func) that have a counterpart, and perf/contention for its invariant; ported from their
 * descriptions, single-threaded ones in snmalloc.test.ts.
 *
 *     first_operation         every size as the first operation of a thread: 5 sizes and, for each exponent 1…19, 12 more
 *                             (1, 3, 5, 7 times 2^e, one less, one more) = 233; 12 threads each: 4 allocate and free, 4 allocate
 *                             zeroed, verify and free, 4 free what another thread allocated = 2,796 first operations
 *     teardown                alloc, calloc and dealloc after a thread's teardown, two of each, for 5 + 15 · 12 = 185 sizes
 *     memory                  alloc_dealloc_64k (12 · 4,096 objects), random_allocation (10 rounds over 10,000 cells),
 *                             calloc (2^4…2^24), double_alloc (two allocators, 4 · 2 · 4,096 objects, freed crosswise),
 *                             external_pointer (every 17th offset of every class), …_large (8 objects above 16 MiB, as its
 *                             32-bit build has), external_pointer_dealloc_bug, alloc_16M, calloc_16M, calloc_large_bug
 *     malloc                  powers of two and one more; calloc n · 5^k; realloc of all classes to all classes and of all powers
 *                             of two to all powers of two; memalign of all classes to all alignments; bad arguments
 *     corruption_detection    six scenarios, 1,024 or 64 rounds of 64 objects, 16 of a large one: see below
 *     fixed_region            objects of 128 bytes until a region of 2^28 bytes is full; all lie inside it
 *     thread_alloc_external   1,000 sizes on an allocator that the program made itself (Heap.attach is just that)
 *     fuzzing                 random walk of allocate zeroed, allocate, free, check, refill, sizes below 16,384
 *     perf/contention         N threads exchange objects of 16…1,039 bytes through slots: 8, 4, 2, 1 threads, 2^20 swaps each,
 *                             2^18 slots
 *
 * corruption_detection there asks that *some* round of a scenario ends in an abort, since detection is a matter of luck. Here
 * each single bad free must be refused, and writes through stale pointers must do no harm at all, in every round:
 * free lists do not lie in the objects.
 *
 * Where snmalloc answers `external_pointer`, modslab has the free that refuses: every interior address must be EINTERIOR and
 * the base be freed. Teardown has another meaning: a detached heap throws ESHUTDOWN, and the thread attaches again.
 *
 * No counterpart: rounding (its division by a multiple is test/geometry.test.ts, each offset of each stride), redblack,
 * weakavl, arena, pagemap, freelist_mpscq, domestication, cheri, seqset, pool (its data structures, none of which exist here;
 * bitmaps have test/bitmap.test.ts), memcpy (no checked memcpy), sandbox, protect_fork, TLS and DLL teardown, the C, C++, Rust and
 * jemalloc interfaces, profiling. test_limited (address space limits) is what memoryPressure.test.ts and fixed_region do.
 */

import assert from 'node:assert/strict';
import { type Address, GFP, Heap } from 'modslab';
import { Random } from '../support/random.ts';
import { numberOf, type Scenarios, type Task, textOf } from '../support/task.ts';
import { inScene, MIB, Scene, type Threads } from './scene.ts';

/** Threads that first_operation starts for one size. */
const FIRST_THREADS = 4;
const FIRST_OPERATIONS = 3;

/** 0, 1, 3, 5, 7; then for each exponent up to `exponents` 12 sizes around 1, 3, 5 and 7 times its power of two. */
export function firstSizes(exponents: number): number[] {
  const sizes = [0, 1, 3, 5, 7];
  for (let exponent = 1; exponent <= exponents; exponent++) {
    for (const add of [0, 1, -1]) for (const odd of [1, 3, 5, 7]) sizes.push(odd * 2 ** exponent + add);
  }
  return sizes;
}

function checkZero(heap: Heap, address: Address, size: number): void {
  const { u32, u8 } = heap;
  const words = size >>> 2;
  for (let i = 0; i < words; i++) {
    if (u32[address / 4 + i] !== 0) throw new Error(`word ${i} of ${size} zeroed bytes is not 0`);
  }
  for (let i = words * 4; i < size; i++) {
    if (u8[address + i] !== 0) throw new Error(`byte ${i} of ${size} zeroed bytes is not 0`);
  }
}

/** For each size three lives of one CPU each, whose first operation is to allocate, to allocate zeroed, and to free. */
function firstOperations({ handle, board, args }: Task): number {
  const sizes = textOf(args, 'sizes').split(' ').map(Number);
  const slot = numberOf(args, 'worker') * sizes.length;
  const live = (operate: (heap: Heap) => void): void => {
    const heap = Heap.attach(handle);
    operate(heap);
    heap.detach();
  };
  for (const [i, size] of sizes.entries()) {
    live((heap) => heap.kfree(allocated(heap.kmalloc(size))));
    live((heap) => {
      const address = allocated(heap.kzalloc(size));
      checkZero(heap, address, size);
      heap.kfree(address);
    });
    live((heap) => heap.kfree(Atomics.exchange(board.slots, slot + i, 0) >>> 0));
  }
  return sizes.length * FIRST_OPERATIONS;
}

function allocated(address: Address): Address {
  if (address === 0) throw new Error('no memory');
  return address;
}

/**
 * first_operation for all sizes, so many sizes at a time; the number of first operations. With the way 'lives' each batch has
 * threads of its own.
 */
export async function firstOperation(exponents: number, batch: number, way: Threads): Promise<number> {
  let operations = 0;
  const options = { size: MIB, maxSize: 256 * MIB };
  await inScene(new Scene(options, FIRST_THREADS, way, FIRST_THREADS * batch), async (scene) => {
    const { heap, board } = scene;
    const sizes = firstSizes(exponents);
    while (sizes.length > 0) {
      const some = sizes.splice(0, batch);
      for (let i = 0; i < FIRST_THREADS * some.length; i++) {
        const size = some[i % some.length];
        board.slots[i] = allocated(heap.kmalloc(size));
        // What kzalloc gets next must have been in use.
        const dirty = allocated(heap.kmalloc(size));
        heap.u8.fill(0xff, dirty, dirty + size);
        heap.kfree(dirty);
      }
      const counts = await scene.run('snmalloc.first', { sizes: some.join(' '), attach: 0 });
      operations += (counts as number[]).reduce((sum, count) => sum + count, 0);
      assert.equal(heap.meminfo().live, 0, `objects live after the threads of ${some} bytes`);
    }
    scene.empty();
  });
  return operations;
}

/** Swaps of perf/contention: the size stands in the first word, and is verified by whoever takes the object out. */
function contend({ heap, board, args }: Task): number {
  const slots = board.plan.slots;
  const swaps = numberOf(args, 'swaps');
  const random = new Random(5000 + numberOf(args, 'worker'));
  board.barrier(board.plan.workers);
  for (let n = 0; n < swaps; n++) {
    const out = Atomics.exchange(board.slots, n % slots, sized(heap, random)) >>> 0;
    if (out !== 0) freeSized(heap, out);
  }
  return swaps;
}

function sized(heap: Heap, random: Random): Address {
  const size = 16 + random.below(1024);
  const address = allocated(heap.kmalloc(size));
  heap.u32[address / 4] = size;
  return address;
}

function freeSized(heap: Heap, address: Address): void {
  const size = heap.u32[address / 4];
  const room = heap.ksize(address);
  if (size < 16 || size > room) throw new Error(`${address} has room for ${room} and says ${size}`);
  heap.kfree(address);
}

/** perf/contention with one number of threads. */
export async function contention(threads: number, swaps: number, slots: number): Promise<void> {
  const scene = new Scene({ size: 16 * MIB, maxSize: 512 * MIB }, threads, 'lives', slots);
  await inScene(scene, async ({ heap, board }) => {
    const random = new Random(1);
    for (let slot = 0; slot < slots; slot++) board.slots[slot] = sized(heap, random);
    assert.deepEqual(await scene.run('snmalloc.contend', { swaps }), Array(threads).fill(swaps));
    scene.sound('when the threads have ended');
    const objects = heap.slabinfo().reduce((sum, row) => sum + row.objects, 0);
    assert.equal(objects, slots, 'an object in each slot, and no other');
    for (let slot = 0; slot < slots; slot++) freeSized(heap, scene.take(slot));
    scene.empty();
  });
}

/** Frees what stands in the slots, or tries to: how many frees were refused, by code. For the remote double frees. */
function freeSlots({ heap, board }: Task): Record<string, number> {
  const codes: Record<string, number> = {};
  for (let slot = 0; slot < board.slots.length; slot++) {
    const address = Atomics.exchange(board.slots, slot, 0) >>> 0;
    if (address === 0) continue;
    let code = 'freed';
    try {
      heap.kfree(address);
    } catch (error) {
      code = (error as { code?: string }).code ?? String(error);
    }
    codes[code] = (codes[code] ?? 0) + 1;
  }
  return codes;
}

export const scenarios: Scenarios = {
  'snmalloc.first': firstOperations,
  'snmalloc.contend': contend,
  'snmalloc.free': freeSlots,
};

/** What a round of corruption_detection works with. */
const ROUND_OBJECTS = 64;
const VICTIM: number = ROUND_OBJECTS / 2;
const GARBAGE = [0xdeadbeef, 0xbadc0ffe];

/** Allocates a round's objects; all different, or the allocator has been led astray. */
export function roundOf(heap: Heap, size: number): Address[] {
  const addresses = Array.from({ length: ROUND_OBJECTS }, () => allocated(heap.kmalloc(size)));
  assert.equal(new Set(addresses).size, ROUND_OBJECTS, 'an object was handed out twice');
  return addresses;
}

/** Two scenarios with a second thread: 'double' frees an object here and there, 'stale' writes to objects freed there. */
export async function remoteCorruption(what: 'double' | 'stale', rounds: number): Promise<number> {
  let refusals = 0;
  const scene = new Scene({ size: MIB, maxSize: 16 * MIB }, 1, 'rounds', ROUND_OBJECTS);
  await inScene(scene, async ({ heap, board }) => {
    for (let round = 0; round < rounds; round++) {
      const addresses = roundOf(heap, 32);
      const victim = addresses[VICTIM];
      if (what === 'double') {
        heap.kfree(victim);
        board.slots[0] = victim;
        assert.deepEqual(await scene.run('snmalloc.free'), [{ EDOUBLEFREE: 1 }]);
        refusals++;
        for (const address of addresses) if (address !== victim) heap.kfree(address);
      } else {
        board.slots.set(addresses);
        assert.deepEqual(await scene.run('snmalloc.free'), [{ freed: ROUND_OBJECTS }]);
        heap.u32.set(GARBAGE, victim / 4);
      }
      for (const address of roundOf(heap, 32)) heap.kfree(address);
      scene.sound(`after round ${round}`);
    }
    scene.empty();
  });
  return refusals;
}

/** The random walk of snmalloc's fuzzer; the steps of each kind that it made. */
export function randomWalk(heap: Heap, steps: number, seed: number): Record<string, number> {
  const random = new Random(seed);
  const live: { address: Address; size: number; byte: number }[] = [];
  const counts = { allocateZeroed: 0, allocate: 0, free: 0, check: 0, refill: 0 };
  const check = ({ address, size, byte }: (typeof live)[number]): void => {
    const { u8 } = heap;
    for (let at = address; at < address + size; at++) {
      if (u8[at] !== byte)
        assert.fail(`byte ${at - address} of ${size} at ${address} is ${u8[at]}, not ${byte}`);
    }
  };
  const fill = (object: (typeof live)[number]): void => {
    object.byte = random.below(256);
    heap.view(object.address, object.size).fill(object.byte);
  };
  for (let step = 0; step < steps; step++) {
    const way = random.below(5);
    if (way < 2 || live.length === 0) {
      const size = random.below(16_384);
      const address = allocated(heap.kmalloc(size, way === 0 ? GFP.ZERO : GFP.KERNEL));
      if (way === 0) checkZero(heap, address, size);
      const object = { address, size, byte: 0 };
      fill(object);
      live.push(object);
      counts[way === 0 ? 'allocateZeroed' : 'allocate']++;
      continue;
    }
    const i = random.below(live.length);
    check(live[i]);
    if (way === 2) {
      heap.kfree(live[i].address);
      live[i] = live[live.length - 1];
      live.length--;
      counts.free++;
    } else if (way === 3) {
      counts.check++;
    } else {
      fill(live[i]);
      counts.refill++;
    }
    if (live.length > 2000) for (const { address } of live.splice(0, 1000)) heap.kfree(address);
  }
  for (const object of live) {
    check(object);
    heap.kfree(object.address);
  }
  return counts;
}
