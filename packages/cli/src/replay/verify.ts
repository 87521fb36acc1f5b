/**
 * Patterns: how a replay knows that an object's bytes are still the ones that were written.
 *
 * Each object, and each of its generations (a realloc begins a new one), has a pattern of its own:
 *
 *     word j = seed(id, generation) + j * STEP   (mod 2^32, little-endian; the last 1 to 3 bytes are those of the word)
 *
 * over its whole requested size. STEP is odd, so the words of one object run through all values without repeating, and
 * two objects would have to overlap at one offset out of 2^32 to agree: two owners of one byte, a stale pointer, a
 * lost copy, a late zeroing all show. Filling and checking are loops over Int32 words; objects are aligned to 8.
 *
 * Views are read from the heap for each object, since growth replaces them.
 */

/** Golden ratio of 2^32, odd. */
const STEP = 0x9e3779b9 | 0;

/** The views of a heap that patterns are written through. */
export interface Views {
  readonly i32: Int32Array;
  readonly u8: Uint8Array;
}

/** First word of the pattern of `generation` of object `id`. */
export function seed(id: number, generation: number): number {
  let mixed = Math.imul(id + 1, 0x85ebca6b) ^ Math.imul(generation + 1, 0xc2b2ae35 | 0);
  mixed ^= mixed >>> 15;
  mixed = Math.imul(mixed, 0x2c1b3c6d);
  return mixed ^ (mixed >>> 13);
}

/** Writes the pattern that begins with `first` over `size` bytes at `address`, a multiple of 4. */
export function fill(views: Views, address: number, size: number, first: number): void {
  const words = views.i32;
  const end = (address >>> 2) + (size >>> 2);
  let word = first;
  for (let at = address >>> 2; at < end; at++) {
    words[at] = word;
    word = (word + STEP) | 0;
  }
  if ((size & 3) !== 0) fillTail(views.u8, end * 4, size & 3, word);
}

function fillTail(bytes: Uint8Array, from: number, count: number, word: number): void {
  for (let i = 0; i < count; i++) bytes[from + i] = word >>> (8 * i);
}

/** Offset of the first of `size` bytes at `address` that is not the pattern's, or −1. */
export function check(views: Views, address: number, size: number, first: number): number {
  const words = views.i32;
  const start = address >>> 2;
  const end = start + (size >>> 2);
  let word = first;
  for (let at = start; at < end; at++) {
    if (words[at] !== word) return offsetInWord(words[at], word) + (at - start) * 4;
    word = (word + STEP) | 0;
  }
  return (size & 3) === 0 ? -1 : checkTail(views.u8, address, size, word);
}

/** The first of the four bytes in which two different words differ. */
function offsetInWord(a: number, b: number): number {
  return (31 - Math.clz32((a ^ b) & -(a ^ b))) >> 3;
}

function checkTail(bytes: Uint8Array, address: number, size: number, word: number): number {
  for (let offset = size & ~3; offset < size; offset++) {
    if (bytes[address + offset] !== ((word >>> (8 * (offset & 3))) & 255)) return offset;
  }
  return -1;
}

/** Offset of the first of `size` bytes at `address` that is not zero, or −1. */
export function checkZero(views: Views, address: number, size: number): number {
  const words = views.i32;
  const start = address >>> 2;
  const end = start + (size >>> 2);
  for (let at = start; at < end; at++) {
    if (words[at] !== 0) return offsetInWord(words[at], 0) + (at - start) * 4;
  }
  const bytes = views.u8;
  for (let offset = size & ~3; offset < size; offset++) if (bytes[address + offset] !== 0) return offset;
  return -1;
}

/** The byte of the pattern at `offset`. */
export function patternByte(first: number, offset: number): number {
  const word = (first + Math.imul(offset >>> 2, STEP)) | 0;
  return (word >>> (8 * (offset & 3))) & 255;
}
