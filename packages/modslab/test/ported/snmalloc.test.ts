// snmalloc's functional tests: ported/snmalloc.ts says what was ported; the longer ones are in snmalloc.soak.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Address, GFP, Heap, type HeapOptions, type SlabErrorCode } from 'modslab';
import { assertEmpty, assertSound } from '../support/accounts.ts';
import { isZero, thrownBy } from '../support/heap.ts';
import { Random } from '../support/random.ts';
import { LIMIT } from '../support/thread.ts';
import { KIB, MIB } from './scene.ts';
import { contention, firstOperation, firstSizes, randomWalk, remoteCorruption, roundOf } from './snmalloc.ts';

const heapOf = (options: HeapOptions = {}): Heap =>
  Heap.create({ size: MIB, maxSize: 128 * MIB, ...options });

/** The sizes of all kmalloc caches. */
const classesOf = (heap: Heap): number[] =>
  heap.caches().flatMap((cache) => (cache.name.startsWith('kmalloc-') ? [cache.size] : []));

const some = (address: Address): Address => {
  assert.notEqual(address, 0, 'no memory');
  return address;
};

test('first_operation: 233 sizes, 2,796 first operations', LIMIT, async () => {
  assert.equal(firstSizes(19).length, 233);
  assert.equal(await firstOperation(19, 16, 'rounds'), 2796);
});

test('teardown: after 185 teardowns nothing but attaching again works, and that does', () => {
  const main = heapOf();
  const sizes = firstSizes(15);
  assert.equal(sizes.length, 185);
  for (const size of sizes) {
    const [first, second] = [some(main.kmalloc(size)), some(main.kmalloc(size))];
    const heap = Heap.attach(main.handle);
    heap.kfree(heap.kmalloc(16));
    heap.detach();
    const calls = [() => heap.kmalloc(size), () => heap.kzalloc(size), () => heap.kfree(first)];
    for (const call of calls) thrownBy('ESHUTDOWN', call);
    const again = Heap.attach(main.handle);
    again.kfree(some(again.kmalloc(size)));
    const zeroed = some(again.kzalloc(size));
    assert.ok(isZero(again, zeroed, size));
    for (const address of [zeroed, first, second]) again.kfree(address);
    again.detach();
    assert.equal(main.meminfo().live, 0);
  }
  assertEmpty(main);
});

test('memory: alloc_dealloc_64k, 12 times 4,096 objects of 16 bytes and one kept', () => {
  const heap = heapOf();
  const kept: Address[] = [];
  for (let j = 0; j < 12; j++) {
    const garbage = Array.from({ length: 4096 }, () => some(heap.kmalloc(16)));
    kept.push(some(heap.kmalloc(16)));
    for (const address of garbage) heap.kfree(address);
  }
  assert.equal(heap.meminfo().live, 12 * 16);
  for (const address of kept) heap.kfree(address);
  assertEmpty(heap);
});

test('memory: random_allocation, 10 rounds over 10,000 cells', () => {
  const heap = heapOf();
  const random = new Random(1);
  const cells: Address[] = Array(10_000).fill(0);
  const live = new Set<Address>();
  for (let round = 0; round < 10; round++) {
    const justFree = random.below(2) === 1;
    for (let i = random.below(cells.length); i > 0; i--) {
      const cell = random.below(cells.length);
      if (cells[cell] !== 0) {
        heap.kfree(cells[cell]);
        live.delete(cells[cell]);
        cells[cell] = 0;
      }
      if (justFree) continue;
      cells[cell] = some(heap.kmalloc(16));
      assert.ok(!live.has(cells[cell]), 'an object was handed out twice');
      live.add(cells[cell]);
    }
    assert.equal(heap.meminfo().live, live.size * 16);
  }
  for (const address of live) heap.kfree(address);
  assertEmpty(heap);
});

test('memory: calloc of 2^4 … 2^24 bytes that were all ones before', () => {
  const heap = heapOf();
  for (let size = 16; size <= 2 ** 24; size *= 2) {
    const dirty = some(heap.kmalloc(size));
    heap.u8.fill(0xff, dirty, dirty + size);
    heap.kfree(dirty);
    const address = some(heap.kzalloc(size));
    assert.ok(isZero(heap, address, size), `${size} bytes`);
    heap.kfree(address);
  }
  assertEmpty(heap);
});

test('memory: double_alloc, two allocators, 4 times 2 · 4,096 objects of 20 bytes, freed crosswise', () => {
  const first = heapOf();
  const second = Heap.attach(first.handle);
  for (let k = 0; k < 4; k++) {
    const sets = [first, second].map((heap) => {
      const set = new Set<Address>();
      for (let i = 0; i < 4096; i++) set.add(some(heap.kmalloc(20)));
      return set;
    });
    assert.equal(new Set([...sets[0], ...sets[1]]).size, 8192, 'an object was handed out twice');
    for (const address of sets[0]) second.kfree(address);
    for (const address of sets[1]) first.kfree(address);
  }
  second.detach();
  assertEmpty(first);
});

/** What `kfree` says to each of these offsets in the object; then the object is freed. */
function refuseInside(heap: Heap, address: Address, offsets: Iterable<number>): number {
  let count = 0;
  for (const offset of offsets) {
    thrownBy('EINTERIOR', () => heap.kfree(address + offset), `kfree of ${address} + ${offset}`);
    count++;
  }
  return count;
}

function* everyOffset(size: number, step: number): Iterable<number> {
  for (let offset = step; offset < size; offset += step) yield offset;
}

test('memory: external_pointer, every 17th offset of an object of every class', () => {
  const heap = heapOf();
  const classes = classesOf(heap);
  assert.ok(classes.length >= 13);
  for (const size of classes) {
    const address = some(heap.kmalloc(size));
    const refused = refuseInside(heap, address, everyOffset(size, 17));
    assert.equal(refused, Math.ceil(size / 17) - 1);
    heap.kfree(address);
  }
  assertEmpty(heap);
});

test('memory: external_pointer_large, 8 objects of 16 MiB and more', () => {
  const heap = heapOf({ maxSize: 512 * MIB });
  const random = new Random(1);
  const objects = Array.from({ length: 8 }, () => {
    const size = 2 ** 24 + random.below(2 ** 23);
    const address = some(heap.kmalloc(size));
    return { address, size: heap.ksize(address) };
  });
  for (const { address, size } of objects) {
    refuseInside(heap, address, everyOffset(size, 2 ** 24));
    refuseInside(heap, address, [2 ** 24 - 1, size - 1]);
  }
  for (const { address } of objects) heap.kfree(address);
  assertEmpty(heap);
});

test('memory: external_pointer_dealloc_bug, one object left of many', () => {
  const heap = heapOf();
  const addresses = Array.from({ length: 128 }, () => some(heap.kmalloc(32 * KIB)));
  for (const address of addresses.slice(1)) heap.kfree(address);
  for (const address of addresses.slice(1)) {
    assert.throws(() => heap.kfree(address), { name: 'SlabError' });
  }
  heap.kfree(addresses[0]);
  assertEmpty(heap);
});

test('memory: alloc_16M, calloc_16M, calloc_large_bug', () => {
  const heap = heapOf();
  for (const size of [16_000_000, 8 * MIB - 7]) {
    for (const gfp of [GFP.KERNEL, GFP.ZERO]) {
      const address = some(heap.kmalloc(size, gfp));
      assert.ok(heap.ksize(address) >= size);
      if (gfp === GFP.ZERO) assert.ok(isZero(heap, address, size));
      else heap.u8.fill(0xff, address, address + size);
      heap.kfree(address);
    }
  }
  assertEmpty(heap);
});

/** The size that a request must get: the smallest class that holds it, or whole pages. */
function roundUp(classes: readonly number[], pageSize: number, size: number): number {
  return classes.find((room) => room >= size) ?? Math.ceil(size / pageSize) * pageSize;
}

test('malloc: powers of two up to 2^23 and one more get the class that holds them', () => {
  const heap = heapOf();
  const classes = classesOf(heap).sort((a, b) => a - b);
  for (let exponent = 0; exponent < 24; exponent++) {
    for (const size of [2 ** exponent, 2 ** exponent + 1]) {
      const address = some(heap.kmalloc(size));
      assert.equal(heap.ksize(address), roundUp(classes, heap.pageSize, size), `${size} bytes`);
      assert.equal(address % (size < 16 ? 8 : 16), 0);
      heap.kfree(address);
    }
  }
  assertEmpty(heap);
});

test('malloc: calloc of every class, 0 and 5^k times', () => {
  const heap = heapOf();
  for (const size of classesOf(heap)) {
    for (let n = 1; n * size <= MIB; n *= 5) {
      for (const [count, bytes] of [
        [n, size],
        [n, 0],
        [0, size],
      ]) {
        const address = some(heap.kcalloc(count, bytes));
        assert.ok(isZero(heap, address, count * bytes));
        heap.kfree(address);
      }
    }
  }
  for (const [n, size] of [
    [2 ** 26, 64],
    [Number.MAX_SAFE_INTEGER, 2],
    [2 ** 40, 2 ** 40],
  ]) {
    thrownBy(RangeError, () => heap.kcalloc(n, size));
  }
  assertEmpty(heap);
});

/** Reallocates an object of each size to each size; contents kept, refusals leave the object; the count of calls. */
function reallocMatrix(heap: Heap, sizes: readonly number[]): number {
  let calls = 0;
  const fresh = (size: number): Address => {
    const address = some(heap.kmalloc(size));
    heap.u8.fill(size & 0xff, address, address + Math.min(size, 64));
    return address;
  };
  const realloc = (address: Address, from: number, to: number): void => {
    calls++;
    const moved = some(heap.krealloc(address, to));
    assert.ok(heap.ksize(moved) >= to);
    const kept = Math.min(from, to, 64);
    assert.ok(
      heap.view(moved, kept).every((byte) => byte === (from & 0xff)),
      `${from} to ${to} bytes`,
    );
    heap.kfree(moved);
  };
  for (const size of sizes) {
    realloc(fresh(size), size, size);
    assert.equal(heap.krealloc(fresh(size), 0), 0, 'size 0 frees');
    realloc(0, 0, size);
    const refused = fresh(size);
    thrownBy(RangeError, () => heap.krealloc(refused, 2 ** 32));
    heap.kfree(refused);
    calls += 2;
    for (const to of sizes) {
      realloc(fresh(size), size, to);
      realloc(fresh(size + 1), size + 1, to);
    }
  }
  return calls;
}

test('malloc: realloc of every class to every class, of 2^0 … 2^23 to 2^0 … 2^23', () => {
  const heap = heapOf();
  const classes = classesOf(heap);
  assert.equal(reallocMatrix(heap, classes), classes.length * (4 + 2 * classes.length));
  const powers = Array.from({ length: 24 }, (_, exponent) => 2 ** exponent);
  assert.equal(reallocMatrix(heap, powers), 24 * 52);
  assertEmpty(heap);
});

test('malloc: memalign of every class to 2^3 … 2^18; bad alignments change nothing', () => {
  const heap = heapOf();
  for (let align = 8; align < 2 ** 19; align *= 2) {
    for (const size of [...classesOf(heap), 0]) {
      const address = some(heap.kmallocAligned(size, align));
      assert.equal(address % align, 0, `${size} bytes aligned to ${align}`);
      assert.ok(heap.ksize(address) >= size);
      heap.kfree(address);
    }
    for (const [size, bad] of [
      [64, 0],
      [0, align + 1],
      [2 ** 32, align],
    ]) {
      assert.throws(() => heap.kmallocAligned(size, bad));
    }
  }
  assert.equal(heap.ksize(0), 0);
  assertEmpty(heap);
});

/** Runs `act` so many times on one heap, and validates after each. */
function rounds(count: number, act: (heap: Heap) => void): void {
  const heap = heapOf({ size: 256 * KIB, maxSize: MIB, pageSize: 4096 });
  for (let round = 0; round < count; round++) {
    act(heap);
    if (round % 64 === 0) assertSound(heap, `after round ${round}`);
  }
  assertEmpty(heap);
}

const refuse = (code: SlabErrorCode, heap: Heap, address: Address): void => {
  thrownBy(code, () => heap.kfree(address));
};

test('corruption_detection: 1,024 of 1,024 double frees are refused', () => {
  rounds(1024, (heap) => {
    const addresses = roundOf(heap, 32);
    heap.kfree(addresses[32]);
    refuse('EDOUBLEFREE', heap, addresses[32]);
    for (const address of addresses) if (address !== addresses[32]) heap.kfree(address);
    for (const address of roundOf(heap, 32)) heap.kfree(address);
  });
});

test('corruption_detection: writes to freed objects lead nothing astray, 1,024 rounds', () => {
  rounds(1024, (heap) => {
    const addresses = roundOf(heap, 32);
    for (const address of addresses) heap.kfree(address);
    for (const address of addresses) heap.u32.set([0xdeadbeef, 0xbadc0ffe], address / 4);
    for (const address of roundOf(heap, 32)) heap.kfree(address);
  });
});

test('corruption_detection: writes beyond an object lead nothing astray, 1,024 rounds', () => {
  rounds(1024, (heap) => {
    const addresses = roundOf(heap, 16);
    for (let i = 0; i < 64; i += 2) heap.kfree(addresses[i]);
    heap.u8.fill(0xab, addresses[1] + 16, addresses[1] + 64);
    for (let i = 1; i < 64; i += 2) heap.kfree(addresses[i]);
    for (const address of roundOf(heap, 16)) heap.kfree(address);
  });
});

test('corruption_detection: 16 of 16 double frees of large objects are refused', () => {
  const heap = heapOf();
  for (let round = 0; round < 16; round++) {
    const address = some(heap.kmalloc(128 * KIB));
    heap.kfree(address);
    assert.throws(() => heap.kfree(address), { name: 'SlabError' });
    assertSound(heap, `after round ${round}`);
  }
  assertEmpty(heap);
});

test('corruption_detection: 64 of 64 double frees by another thread are refused', LIMIT, async () => {
  assert.equal(await remoteCorruption('double', 64), 64);
});

test('corruption_detection: writes to objects that another thread freed, 64 rounds', LIMIT, async () => {
  assert.equal(await remoteCorruption('stale', 64), 0);
});

test('fixed_region: objects of 128 bytes fill a region of 2^24 bytes, and none lies outside', () => {
  const [start, end] = [2 ** 20, 2 ** 20 + 2 ** 24];
  const heap = Heap.create({
    memory: new SharedArrayBuffer(2 ** 25),
    start,
    end,
    size: 2 ** 24,
    maxSize: 2 ** 24,
  });
  const addresses: Address[] = [];
  for (let address = heap.kmalloc(128); address !== 0; address = heap.kmalloc(128)) {
    if (address < start || address + 128 > end) assert.fail(`${address} lies outside`);
    addresses.push(address);
  }
  assert.equal(new Set(addresses).size, addresses.length);
  assert.equal(addresses.length, 2 ** 24 / 128, 'no byte of the region is left');
  heap.kfreeBulk(Uint32Array.from(addresses));
  assertEmpty(heap);
});

test('thread_alloc_external: sizes 0 … 999 on an allocator of the program’s own', () => {
  const main = heapOf();
  const heap = Heap.attach(main.handle);
  for (let size = 0; size < 1000; size++) heap.kfree(some(heap.kmalloc(size)));
  heap.detach();
  assertEmpty(main);
});

test('fuzzing: a random walk of 40,000 steps', () => {
  const heap = heapOf();
  const counts = randomWalk(heap, 40_000, 1);
  assert.equal(
    Object.values(counts).reduce((sum, count) => sum + count, 0),
    40_000,
  );
  assertEmpty(heap);
});

test('perf/contention: 8, 4, 2 and 1 threads, 2^15 swaps each, 2^13 slots', LIMIT, async () => {
  for (const threads of [8, 4, 2, 1]) await contention(threads, 2 ** 15, 2 ** 13);
});
