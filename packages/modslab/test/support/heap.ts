// Small heaps, and what nearly every test asks of one: is it sound, has nothing changed, are the bytes still there?
import assert from 'node:assert/strict';
import { Heap, type HeapOptions, SlabError, type SlabErrorCode } from 'modslab';

export const KIB = 1024;
export const MIB: number = 1024 * KIB;

/** A heap of 1 MiB in pages of 4 KiB that grows to 4 MiB. */
export function smallHeap(options: HeapOptions = {}): Heap {
  return Heap.create({ size: MIB, maxSize: 4 * MIB, pageSize: 4096, cpus: 8, ...options });
}

/** A value of a wrong type, for calls that must refuse it. */
export const wrong = <T>(value: unknown): T => value as T;

export function assertSound(heap: Heap): void {
  assert.deepEqual(heap.validate(), []);
}

function checksum(words: Uint32Array): number {
  let sum = 0x811c9dc5;
  for (let i = 0; i < words.length; i++) sum = Math.imul(sum ^ words[i], 0x01000193);
  return sum;
}

/** What a refused call must leave as it is: objects, the heap's size, every byte of the data. */
export function picture(heap: Heap): unknown {
  const { live, size } = heap.meminfo();
  const objects = heap.slabinfo().map((row) => [row.name, row.objects]);
  return { live, size, objects, bytes: checksum(heap.u32) };
}

export type Refusal = SlabErrorCode | typeof TypeError | typeof RangeError;

/** Makes a call that must throw, and checks that it has changed nothing; the error. */
export function refused(heap: Heap, expected: Refusal, call: () => unknown): Error {
  const before = picture(heap);
  const error = thrownBy(expected, call);
  assert.deepEqual(picture(heap), before, 'a refused call changes nothing');
  assertSound(heap);
  return error;
}

/** Makes calls that must all throw, and checks that they have changed nothing. */
export function allRefused(heap: Heap, expected: Refusal, calls: readonly (() => unknown)[]): void {
  refused(heap, expected, () => {
    for (const call of calls.slice(1)) thrownBy(expected, call);
    return calls[0]();
  });
}

/** Makes a call that must throw; the error. */
export function thrownBy(expected: Refusal, call: () => unknown, what = 'the call'): Error {
  try {
    call();
  } catch (error) {
    if (typeof expected === 'string') {
      assert.ok(
        error instanceof SlabError,
        `${what}: expected a SlabError ${expected}, got ${String(error)}`,
      );
      assert.equal(error.code, expected, `${what}: ${error.message}`);
      assert.match(error.message, new RegExp(`^${expected}: .`), 'the message begins with the code');
    } else {
      assert.ok(error instanceof expected, `${what}: expected a ${expected.name}, got ${String(error)}`);
    }
    return error;
  }
  const name = typeof expected === 'string' ? expected : expected.name;
  assert.fail(`${what}: expected ${name}, but nothing was thrown`);
}

/** Writes a pattern of its own over an object. */
export function fill(heap: Heap, address: number, bytes: number, seed: number = address): void {
  const { u8 } = heap;
  for (let i = 0; i < bytes; i++) u8[address + i] = (seed + i * 7 + (i >>> 8)) & 0xff;
}

/** Checks the pattern that `fill` wrote. */
export function assertFilled(heap: Heap, address: number, bytes: number, seed: number = address): void {
  const { u8 } = heap;
  for (let i = 0; i < bytes; i++) {
    if (u8[address + i] === ((seed + i * 7 + (i >>> 8)) & 0xff)) continue;
    assert.fail(`byte ${i} of the object at ${address} is ${u8[address + i]}`);
  }
}

/** Whether all bytes of a window are 0. */
export const isZero = (heap: Heap, address: number, bytes: number): boolean =>
  heap.view(address, bytes).every((byte) => byte === 0);

/** Allocates until there is no memory; all addresses. */
export function exhaust(allocate: () => number): number[] {
  const addresses: number[] = [];
  for (let address = allocate(); address !== 0; address = allocate()) addresses.push(address);
  return addresses;
}
