// The heap as a whole: options, views, and what is exported.
import assert from 'node:assert/strict';
import test from 'node:test';
import * as modslab from 'modslab';
import { GFP, Heap, SLAB, SlabError } from 'modslab';
import * as framework from 'modslab/framework';
import { assertSound, exhaust, MIB, smallHeap, thrownBy, wrong } from './support/heap.js';

test('with no options: 16 MiB that grow to 256 MiB, shared, CPU 0, sound', () => {
  const heap = Heap.create();
  const { size, maxSize } = heap.meminfo();
  assert.ok(size <= 16 * MIB && size > 15 * MIB);
  assert.ok(maxSize <= 256 * MIB && maxSize > 255 * MIB);
  assert.ok(heap.buffer instanceof SharedArrayBuffer);
  assert.deepEqual([heap.cpu, heap.pageSize], [0, 65_536]);
  assert.notEqual(heap.kmalloc(100), 0);
  assertSound(heap);
});

test('a small maxSize makes a small heap', () => {
  const heap = Heap.create({ maxSize: MIB });
  assert.ok(heap.meminfo().size <= MIB);
  assertSound(heap);
});

test('an unshared heap has the same API on plain buffers', () => {
  const heap = smallHeap({ shared: false });
  assert.ok(heap.buffer instanceof ArrayBuffer);
  const cache = heap.createCache({ name: 'plain', size: 100 });
  const addresses = [...exhaust(() => heap.kmalloc(1000)), ...exhaust(() => cache.alloc())];
  for (const address of addresses) heap.kfree(address);
  cache.destroy();
  assert.equal(heap.meminfo().live, 0);
  assertSound(heap);
});

test('all page sizes, node counts and CPU counts give a working heap', () => {
  for (const pageSize of [4096, 8192, 16_384, 32_768, 65_536]) {
    for (const [nodes, cpus] of [
      [1, 1],
      [3, 2],
    ]) {
      const heap = Heap.create({ size: MIB, maxSize: 2 * MIB, pageSize, nodes, cpus });
      const sizes = [0, 8, 60, 96, 500, 2000, 5000, 40_000, 100_000];
      const addresses = sizes.flatMap((size) => [heap.kmalloc(size), heap.kzalloc(size)]);
      assert.ok(!addresses.includes(0), `pages of ${pageSize}, ${nodes} nodes`);
      heap.kfreeBulk(Uint32Array.from(addresses));
      assertSound(heap);
      heap.shrink();
      assert.equal(heap.meminfo().footprint, 0);
    }
  }
});

test('options that mean nothing are refused', () => {
  for (const cpus of [0, 1025, 1.5]) thrownBy(RangeError, () => smallHeap({ cpus }));
  for (const caches of [31, 4097, 40.5]) thrownBy(RangeError, () => smallHeap({ caches }));
  thrownBy(TypeError, () => smallHeap({ cpus: wrong('8') }));
  for (const debug of ['X', 'FZ!', 'F,', '-F,dentry;?']) thrownBy('EINVAL', () => smallHeap({ debug }));
  thrownBy(TypeError, () => smallHeap({ debug: wrong(1) }));
  for (const options of [5, null, 'x']) thrownBy(TypeError, () => Heap.create(wrong(options)));
  for (const odd of [0, null, 'yes'])
    for (const key of ['kfence', 'shared', 'merge'])
      thrownBy(TypeError, () => smallHeap({ [key]: odd }), `${key}: ${odd}`);
  assertSound(smallHeap({ debug: '-', cpus: 1 }));
});

test('as many CPUs as there can be', () => {
  const heap = smallHeap({ cpus: 1024, caches: 32 });
  const last = Array.from({ length: 1023 }, () => Heap.attach(heap.handle)).at(-1);
  assert.equal(last?.cpu, 1023);
  const addresses = Array.from({ length: 300 }, () => last?.kmalloc(64) ?? 0);
  for (const address of addresses) heap.kfree(address);
  assertSound(heap);
});

test('views are of one buffer, and the same objects until the heap grows', () => {
  const heap = smallHeap();
  const { u8, f64 } = heap;
  assert.equal(heap.u8, u8);
  assert.equal(heap.f64, f64);
  const address = heap.kmalloc(16);
  heap.f64[address / 8] = 1.5;
  heap.u64[address / 8 + 1] = 0xfedcba9876543210n;
  assert.equal(heap.dataView.getFloat64(address, true), 1.5);
  assert.equal(heap.u32[address / 4 + 3], 0xfedcba98);
  assert.equal(heap.i32[address / 4 + 3], 0xfedcba98 | 0);
  assert.equal(heap.u16[address / 2 + 4], 0x3210);
  assert.equal(heap.i8[address + 15], -2);
  assert.equal(heap.i64[address / 8 + 1], BigInt.asIntN(64, 0xfedcba9876543210n));
  assert.equal(heap.f32[address / 4], 0);
  assert.equal(heap.i16[address / 2 + 7], 0xfedc - 0x10000);
  heap.kvmalloc(2 * MIB);
  assert.notEqual(heap.u8, u8);
  assert.equal(heap.f64[address / 8], 1.5);
});

test('view gives a window of the buffer, and nothing outside of it', () => {
  const heap = smallHeap();
  const address = heap.kmalloc(64);
  const view = heap.view(address, 64);
  assert.deepEqual([view.length, view.byteOffset, view.buffer], [64, address, heap.buffer]);
  view.fill(7);
  assert.equal(heap.u8[address + 63], 7);
  assert.equal(heap.view(heap.u8.length, 0).length, 0);
  for (const [at, length] of [
    [heap.u8.length - 1, 2],
    [-1, 1],
    [address, -1],
    [address, 0.5],
    [Number.NaN, 1],
    [2 ** 32, 1],
  ]) {
    thrownBy(RangeError, () => heap.view(at, length));
  }
  thrownBy(TypeError, () => heap.view(wrong('0'), 1));
});

test('the handle is plain data: a copy of it attaches', () => {
  const heap = smallHeap();
  const { version, metadata, memory } = heap.handle;
  const other = Heap.attach({ version, metadata, memory });
  assert.equal(other.buffer, heap.buffer);
  assert.deepEqual([other.pageSize, other.kmallocMaxSize], [heap.pageSize, heap.kmallocMaxSize]);
});

test('what the contract names is exported', () => {
  assert.deepEqual(
    Object.keys(modslab)
      .filter((name) => ['Heap', 'SlabError', 'GFP', 'SLAB'].includes(name))
      .sort(),
    ['GFP', 'Heap', 'SLAB', 'SlabError'],
  );
  for (const name of [
    'KERNEL',
    'NOWAIT',
    'ATOMIC',
    'ZERO',
    'DMA',
    'THISNODE',
    'NOFAIL',
    'NOWARN',
    'RECLAIMABLE',
    'ACCOUNT',
  ]) {
    assert.ok(name in GFP, name);
  }
  for (const name of [
    'HWCACHE_ALIGN',
    'PANIC',
    'RECLAIM_ACCOUNT',
    'TYPESAFE_BY_RCU',
    'CACHE_DMA',
    'NO_MERGE',
    'ACCOUNT',
    'CONSISTENCY_CHECKS',
    'RED_ZONE',
    'POISON',
    'STORE_USER',
    'TRACE',
    'FAILSLAB',
  ]) {
    assert.ok(name in SLAB, name);
  }
  assert.equal(typeof framework.Slabifier, 'function');
  assert.equal(typeof framework.sheaved, 'function');
  assert.ok(new SlabError('EINVAL', 'text', 8, 'cache') instanceof Error);
});
