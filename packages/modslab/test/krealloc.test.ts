// krealloc, all cases: contents move along, nothing is lost without memory.
import assert from 'node:assert/strict';
import test from 'node:test';
import { GFP } from 'modslab';
import {
  assertFilled,
  assertSound,
  exhaust,
  fill,
  isZero,
  MIB,
  refused,
  smallHeap,
  wrong,
} from './support/heap.js';

test('an object grows and shrinks through all sizes with its contents', () => {
  const heap = smallHeap();
  const sizes = [1, 8, 9, 64, 65, 100, 96, 2048, 2049, 4096, 10_000, 100_000, 50_000, 12_000, 300, 12, 1];
  let address = heap.kmalloc(1);
  let before = 1;
  fill(heap, address, 1, 5);
  for (const size of sizes) {
    address = heap.krealloc(address, size);
    assert.ok(address > 0 && heap.ksize(address) >= size);
    assertFilled(heap, address, Math.min(before, size), 5);
    fill(heap, address, size, 5);
    before = size;
    assert.equal(heap.meminfo().live, heap.ksize(address), 'there is one object');
  }
  assertSound(heap);
});

test('a size that the object has room for changes nothing', () => {
  const heap = smallHeap();
  for (const size of [64, 100, 2048, 5000]) {
    const address = heap.kmalloc(size);
    assert.equal(heap.krealloc(address, heap.ksize(address)), address);
    assert.equal(heap.krealloc(address, size - 1), address);
  }
});

test('a large object that shrinks to half gives its pages back', () => {
  const heap = smallHeap();
  const address = heap.kmalloc(400_000);
  const smaller = heap.krealloc(address, 5000);
  assert.equal(heap.meminfo().live, heap.ksize(smaller));
  assert.ok(heap.ksize(smaller) < 10_000);
});

test('address 0 allocates, also 0 bytes; size 0 frees and returns 0', () => {
  const heap = smallHeap();
  const address = heap.krealloc(0, 100);
  assert.equal(heap.ksize(address), 128);
  const empty = heap.krealloc(0, 0);
  assert.ok(empty !== 0 && heap.ksize(empty) > 0);
  assert.equal(heap.krealloc(address, 0), 0);
  refused(heap, 'EDOUBLEFREE', () => heap.kfree(address));
  assert.equal(heap.krealloc(empty, 0), 0);
  assert.equal(heap.meminfo().live, 0);
});

test('without memory it returns 0 and the old object is as it was', () => {
  const heap = smallHeap({ maxSize: MIB });
  const address = heap.kmalloc(1000);
  fill(heap, address, 1000);
  const rest = exhaust(() => heap.kmalloc(4096));
  const live = heap.meminfo().live;
  assert.equal(heap.krealloc(address, 5000), 0);
  assert.equal(heap.krealloc(address, 5000, GFP.NOWAIT), 0);
  assert.equal(heap.meminfo().live, live);
  assertFilled(heap, address, 1000);
  heap.kfree(rest[3]);
  const moved = heap.krealloc(address, 4000);
  assert.equal(moved, rest[3]);
  assertFilled(heap, moved, 1000, address);
  assertSound(heap);
});

test('shrinking never fails, even without memory for a smaller copy', () => {
  const heap = smallHeap({ maxSize: MIB });
  const address = heap.kmalloc(40_000);
  fill(heap, address, 40_000);
  exhaust(() => heap.kmalloc(4096));
  exhaust(() => heap.kmalloc(8));
  const smaller = heap.krealloc(address, 100);
  assert.notEqual(smaller, 0);
  assertFilled(heap, smaller, 100, address);
  assertSound(heap);
});

test('with ZERO what is added is zeros, over memory that was in use', () => {
  const heap = smallHeap({ maxSize: MIB });
  const dirty = exhaust(() => heap.kmalloc(4096));
  heap.u8.fill(0xff, heap.pageSize);
  for (const address of dirty) heap.kfree(address);
  let address = heap.kzalloc(8);
  fill(heap, address, 8, 3);
  for (const size of [24, 100, 2048, 5000, 20_000]) {
    const old = heap.ksize(address);
    address = heap.krealloc(address, size, GFP.ZERO);
    assertFilled(heap, address, 8, 3);
    assert.ok(isZero(heap, address + old, heap.ksize(address) - old), `size ${size}`);
  }
});

test('the object of a cache may be reallocated like any other', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'grown', size: 40 });
  const address = cache.alloc();
  fill(heap, address, 40);
  const moved = heap.krealloc(address, 1000);
  assertFilled(heap, moved, 40, address);
  assert.equal(cache.stats().live, 0);
});

test('it refuses what kfree refuses, and changes nothing', () => {
  const heap = smallHeap();
  const address = heap.kmalloc(64);
  fill(heap, address, 64);
  refused(heap, 'EINTERIOR', () => heap.krealloc(address + 8, 100));
  refused(heap, 'EFAULT', () => heap.krealloc(8, 100));
  refused(heap, 'EFAULT', () => heap.krealloc(2 ** 30, 100));
  refused(heap, RangeError, () => heap.krealloc(address, -1));
  refused(heap, TypeError, () => heap.krealloc(wrong(undefined), 8));
  refused(heap, 'EINVAL', () => heap.krealloc(address, 100, 1 << 20));
  assertFilled(heap, address, 64);
  heap.kfree(address);
  refused(heap, 'EDOUBLEFREE', () => heap.krealloc(address, 100));
  refused(heap, 'EDOUBLEFREE', () => heap.krealloc(address, 0));
});
