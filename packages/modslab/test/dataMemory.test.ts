// The data buffer: every kind of memory, growth and its views, and the bytes that are not the heap's.
import assert from 'node:assert/strict';
import test from 'node:test';
import { GFP, Heap, type HeapMemory, type HeapOptions } from 'modslab';
import { H_FRAMES } from '#src/memory/layout.js';
import {
  assertFilled,
  assertSound,
  exhaust,
  fill,
  KIB,
  MIB,
  smallHeap,
  thrownBy,
  wrong,
} from './support/heap.js';
import { internalsOf } from './support/internals.js';

const WASM_PAGE = 64 * KIB;
const wasm = (pages: number, most: number, shared: boolean): HeapMemory =>
  new WebAssembly.Memory({ initial: pages, maximum: most, shared });

/** Memory of 1 MiB that may grow to 4 MiB, of each kind there is. */
const GROWABLE: [string, () => HeapOptions][] = [
  ['its own shared memory', () => ({ size: MIB, maxSize: 4 * MIB })],
  ['its own plain memory', () => ({ size: MIB, maxSize: 4 * MIB, shared: false })],
  [
    'a growable SharedArrayBuffer',
    () => ({ memory: new SharedArrayBuffer(MIB, { maxByteLength: 4 * MIB }) }),
  ],
  ['a resizable ArrayBuffer', () => ({ memory: new ArrayBuffer(MIB, { maxByteLength: 4 * MIB }) })],
  ['a shared WebAssembly.Memory', () => ({ memory: wasm(16, 64, true) })],
  ['an unshared WebAssembly.Memory', () => ({ memory: wasm(16, 64, false) })],
];

for (const [kind, options] of GROWABLE) {
  test(`a heap on ${kind} grows to its end and keeps what was written`, () => {
    const heap = Heap.create({ pageSize: 4096, ...options() });
    assert.ok(heap.u8.length >= MIB && heap.u8.length <= 4 * MIB);
    const first = heap.kmalloc(1000);
    fill(heap, first, 1000);
    const addresses = exhaust(() => heap.kmalloc(100 * KIB));
    for (const address of addresses) fill(heap, address, 100 * KIB);
    assert.equal(addresses.length, Math.floor((4 * MIB - 2 * 4096) / (100 * KIB)));
    assertFilled(heap, first, 1000);
    for (const address of addresses) assertFilled(heap, address, 100 * KIB);
    assert.ok(heap.meminfo().size > 4 * MIB - 100 * KIB);
    assertSound(heap);
    for (const address of addresses) heap.kfree(address);
    assertSound(heap);
  });

  test(`views of a heap on ${kind} reach to its end after growth`, () => {
    const heap = Heap.create({ pageSize: 4096, ...options() });
    const before = heap.u8;
    const length = before.length;
    const address = heap.kmalloc(MIB - 8192);
    const other = heap.kmalloc(MIB);
    assert.ok(address > 0 && other > 0);
    assert.ok(heap.buffer.byteLength > MIB);
    if (heap.buffer.byteLength > length) assert.notEqual(heap.u8, before);
    const views = [heap.i8, heap.u8, heap.i16, heap.u16, heap.i32, heap.u32, heap.f32, heap.f64];
    for (const view of views) {
      assert.equal(view.byteLength, heap.u8.length);
      assert.equal(view.buffer, heap.buffer);
    }
    assert.equal(heap.i64.byteLength, heap.u8.length);
    assert.equal(heap.u64.byteLength, heap.u8.length);
    heap.dataView.setFloat64(other + MIB - 8, Math.PI);
    assert.equal(heap.view(other + MIB - 8, 8)[0], 0x40);
  });
}

const FIXED: [string, () => HeapMemory][] = [
  ['a SharedArrayBuffer', () => new SharedArrayBuffer(MIB)],
  ['an ArrayBuffer', () => new ArrayBuffer(MIB)],
  ['a WebAssembly.Memory at its maximum', () => wasm(16, 16, true)],
];

for (const [kind, memory] of FIXED) {
  test(`a heap on ${kind} of fixed size uses all of it, returns 0 at its end, and goes on`, () => {
    const heap = Heap.create({ memory: memory(), pageSize: 4096 });
    const addresses = exhaust(() => heap.kmalloc(4096));
    assert.equal(addresses.length, 255, 'all frames but the first');
    assert.equal(heap.buffer.byteLength, MIB);
    heap.kfree(addresses[100]);
    assert.equal(heap.kmalloc(4096), addresses[100]);
    assertSound(heap);
  });
}

test('a fixed heap of its own never grows', () => {
  const heap = smallHeap({ size: MIB, maxSize: MIB });
  const { u8 } = heap;
  exhaust(() => heap.kmalloc(512));
  assert.equal(heap.u8, u8);
  assert.equal(heap.meminfo().size, heap.meminfo().maxSize);
});

test('memory that grows less than maxSize allows ends where it ends', () => {
  const heap = Heap.create({ memory: wasm(16, 20, false), maxSize: 16 * MIB, pageSize: 4096 });
  const addresses = exhaust(() => heap.kmalloc(16 * KIB));
  assert.ok(addresses.length >= 20 * 4 - 2);
  assert.equal(heap.buffer.byteLength, 20 * WASM_PAGE);
  assertSound(heap);
});

test('maxSize is the limit also of memory that could grow further', () => {
  const memory = new SharedArrayBuffer(MIB, { maxByteLength: 16 * MIB });
  const heap = Heap.create({ memory, maxSize: 2 * MIB, pageSize: 4096 });
  exhaust(() => heap.kmalloc(4096));
  assert.equal(heap.buffer.byteLength, 2 * MIB);
});

test('a WebAssembly.Memory that the application grows does not disturb the heap', () => {
  const memory = new WebAssembly.Memory({ initial: 16, maximum: 64 });
  const heap = Heap.create({ memory, size: MIB, maxSize: MIB, pageSize: 4096 });
  const address = heap.kmalloc(100);
  fill(heap, address, 100);
  memory.grow(3);
  assertFilled(heap, address, 100);
  heap.kfree(address);
  assert.notEqual(heap.kzalloc(2048), 0);
  assertSound(heap);
});

/** A busy life on every path, so that any write outside the window would show. */
function live(heap: Heap): void {
  const cache = heap.createCache({ name: 'window', size: 72, ctor: Uint8Array.of(1, 2, 3) });
  for (let round = 0; round < 3; round++) {
    const addresses = [
      ...Array.from({ length: 300 }, () => cache.alloc()),
      ...Array.from({ length: 20 }, (_, i) => heap.kzalloc(1 << (i % 15))),
      ...exhaust(() => heap.kmalloc(3 * 4096)),
    ];
    for (const address of addresses) if (address !== 0) fill(heap, address, heap.ksize(address));
    for (const address of addresses) heap.kfreeSensitive(address);
  }
  cache.destroy();
  heap.shrink();
  assertSound(heap);
}

const PATTERN = 0xa5;
for (const [kind, memory] of [
  ['a plain buffer', new ArrayBuffer(2 * MIB)],
  ['a shared buffer', new SharedArrayBuffer(2 * MIB)],
  ['a WebAssembly.Memory', wasm(32, 48, true)],
] as const) {
  for (const [start, end] of [
    [65_536, 2 * MIB - 65_536],
    [70_001, 1_900_003],
  ]) {
    test(`bytes of ${kind} outside the window ${start} to ${end} stay untouched`, () => {
      const heap = Heap.create({ memory, start, end, pageSize: 4096 });
      const all = new Uint8Array(heap.buffer);
      all.fill(PATTERN);
      live(heap);
      assert.ok(all.subarray(0, start).every((byte) => byte === PATTERN));
      assert.ok(all.subarray(end).every((byte) => byte === PATTERN));
      assert.ok(heap.kmalloc(8) >= start);
      assert.ok(heap.meminfo().size <= end - start);
      thrownBy('EFAULT', () => heap.kfree(8));
      thrownBy('EFAULT', () => heap.kfree(start - 8));
      thrownBy('EFAULT', () => heap.kfree(end));
    });
  }
}

test('a window grows up to its end and not beyond it', () => {
  const memory = new SharedArrayBuffer(MIB, { maxByteLength: 4 * MIB });
  const heap = Heap.create({ memory, start: 256 * KIB, end: 2 * MIB, pageSize: 4096 });
  const addresses = exhaust(() => heap.kmalloc(4096));
  assert.equal(addresses.length, (2 * MIB - 256 * KIB) / 4096);
  assert.equal(Math.min(...addresses), 256 * KIB);
  assert.equal(Math.max(...addresses), 2 * MIB - 4096);
});

test('memory, windows and sizes that contradict each other are refused', () => {
  const memory = new ArrayBuffer(MIB);
  thrownBy(TypeError, () => Heap.create({ memory: wrong(new Uint8Array(MIB)) }));
  thrownBy(TypeError, () => Heap.create({ memory: wrong({}) }));
  thrownBy(TypeError, () => Heap.create({ size: wrong('1') }));
  thrownBy(RangeError, () => Heap.create({ memory, size: 2 * MIB }));
  thrownBy(RangeError, () => Heap.create({ memory, start: MIB }));
  thrownBy(RangeError, () => Heap.create({ memory, start: 8192, end: 4096 }));
  thrownBy(RangeError, () => Heap.create({ memory, start: -1 }));
  thrownBy(RangeError, () => Heap.create({ size: 2 * MIB, maxSize: MIB }));
  thrownBy(RangeError, () => Heap.create({ size: 0 }));
  thrownBy(RangeError, () => Heap.create({ size: 1.5 * MIB + 0.5 }));
  thrownBy(RangeError, () => Heap.create({ maxSize: 2 ** 33 }));
  thrownBy(RangeError, () => Heap.create({ size: 4096, pageSize: 4096 }));
  for (const pageSize of [2048, 4097, 12_288, 131_072]) {
    thrownBy(RangeError, () => Heap.create({ pageSize, size: MIB }));
  }
  thrownBy('EINVAL', () => Heap.create({ memory, shared: true }));
});

test('frame by frame, whatever the number of frames, objects never share a state', () => {
  // State regions follow each other: a last frame whose byte ran over the end of its region would be another's first.
  for (let frames = 64; frames <= 68; frames++) {
    const heap = Heap.create({ size: frames * 4096, maxSize: frames * 4096, pageSize: 4096 });
    const halves = heap.createCache({ name: 'halves', size: 2048 });
    const wholes = heap.createCache({ name: 'wholes', size: 4096 });
    const some = [1, 2, 3, 4].map(() => halves.alloc());
    const rest = exhaust(() => wholes.alloc(GFP.NOWAIT));
    assertSound(heap);
    for (const address of rest) wholes.free(address);
    for (const address of some) halves.free(address);
    assertSound(heap);
    assert.equal(heap.meminfo().live, 0);
  }
});

test('a buffer that is still the one before another thread grew the memory is looked at again', () => {
  const memory = new WebAssembly.Memory({ initial: 16, maximum: 64, shared: true });
  const heap = Heap.create({ memory });
  const { m, layout } = internalsOf(heap).metadata;
  // As V8 has it until the thread comes to an interrupt.
  const real = Object.getOwnPropertyDescriptor(WebAssembly.Memory.prototype, 'buffer')?.get;
  let seen = memory.buffer;
  Object.defineProperty(memory, 'buffer', { get: () => seen });
  memory.grow = (pages) => {
    const before = WebAssembly.Memory.prototype.grow.call(memory, pages);
    seen = real?.call(memory);
    return before;
  };
  WebAssembly.Memory.prototype.grow.call(memory, 16);
  m[H_FRAMES] = (32 * 65_536) / 2 ** layout.pageShift;
  assert.equal(heap.u8.length, 32 * 65_536);
  assertSound(heap);
});
