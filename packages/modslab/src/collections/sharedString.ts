/**
 * Strings and byte strings in shared memory: one object each, that says itself how long it is.
 *
 *     byte 0   length in bytes (32 bits)
 *     byte 4   the bytes; of a string, UTF-8
 *
 * They do not change once they are made, so any number of threads may read one without a rule; what needs care is only
 * when it is freed (`heap.kfree`, or `heap.kfreeRcu` while readers may still be at it). To hand one over so that a killed thread
 * loses nothing, let its address be in a slot: `SharedVector`, `SharedMap`, `heap.freeFrom`.
 */

import type { Heap } from '../heap.ts';
import { hex, SlabError } from '../memory/errors.ts';
import type { GfpFlags } from '../memory/gfp.ts';
import { encodeText } from '../memory/text.ts';
import type { Address } from '../slab/slabAllocator.ts';

const HEADER_BYTES = 4;

/** A copy of `bytes` in the heap; 0 without memory. */
export function createBytes(heap: Heap, bytes: Uint8Array, gfp: GfpFlags = 0): Address {
  if (!(bytes instanceof Uint8Array)) throw new TypeError(`bytes are a Uint8Array, not ${typeof bytes}`);
  checkView(bytes);
  const address = heap.kmalloc(HEADER_BYTES + bytes.length, gfp);
  if (address === 0) return 0;
  heap.u32[address >>> 2] = bytes.length;
  heap.u8.set(bytes, address + HEADER_BYTES);
  return address;
}

/** Throws `TypeError` for a view whose buffer is gone: copying from it would throw, in the middle of a call. */
export function checkView(view: Uint8Array): void {
  if (view.length > 0) return;
  try {
    view.at(0);
  } catch {
    throw new TypeError(
      'these bytes are of a buffer that was transferred, or made shorter: give a copy of them',
    );
  }
}

/** `text` as UTF-8 in the heap; 0 without memory. Halves of surrogate pairs become U+FFFD. */
export function createString(heap: Heap, text: string, gfp: GfpFlags = 0): Address {
  return createBytes(heap, encodeText(text), gfp);
}

/** Bytes of a string or byte string. Throws `EFAULT` for what cannot be one. */
export function lengthOf(heap: Heap, address: Address): number {
  const { u32, u8 } = heap;
  const length = u32[address >>> 2];
  if (address === 0 || address % 4 !== 0 || !(length <= u8.length - address - HEADER_BYTES))
    throw new SlabError('EFAULT', `there is no string at ${hex(address)}`, address);
  return length;
}

/** The bytes: a view of them, or with `copy` a copy, which stays as it is when the object is freed. */
export function bytesOf(heap: Heap, address: Address, { copy = false }: { copy?: boolean } = {}): Uint8Array {
  const view = heap.view(address + HEADER_BYTES, lengthOf(heap, address));
  return copy ? view.slice() : view;
}

/** The text. */
export function stringOf(heap: Heap, address: Address): string {
  return heap.readString(address + HEADER_BYTES, lengthOf(heap, address));
}

/** Whether two strings or byte strings have the same bytes. */
export function equalBytes(heap: Heap, a: Address, b: Address): boolean {
  const length = lengthOf(heap, a);
  if (lengthOf(heap, b) !== length) return false;
  const { u8 } = heap;
  for (let i = HEADER_BYTES; i < HEADER_BYTES + length; i++) if (u8[a + i] !== u8[b + i]) return false;
  return true;
}
