/**
 * Bitmaps in shared words. They are indexes, never the truth: a bit is changed only by whoever holds the claim of the
 * thing that it stands for, so a stale bit can be seen, and a claim decides. Searches read plain words.
 */

/** The number of the lowest set bit of `word`, which is not 0. */
function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}

/** First set bit in `from … end - 1`, or `end`. Cost: O((end - from) / 32). */
export function nextSet(m: Int32Array, bitmap: number, from: number, end: number): number {
  if (from >= end) return end;
  let index = from >>> 5;
  let word = m[bitmap + index] & (-1 << (from & 31));
  const last = (end - 1) >>> 5;
  while (word === 0) {
    if (index === last) return end;
    index++;
    word = m[bitmap + index];
  }
  return Math.min((index << 5) + lowestBit(word), end);
}

/** First clear bit in `from … end - 1`, or `end`. Cost: O((end - from) / 32). */
export function nextClear(m: Int32Array, bitmap: number, from: number, end: number): number {
  if (from >= end) return end;
  let index = from >>> 5;
  let word = ~m[bitmap + index] & (-1 << (from & 31));
  const last = (end - 1) >>> 5;
  while (word === 0) {
    if (index === last) return end;
    index++;
    word = ~m[bitmap + index];
  }
  return Math.min((index << 5) + lowestBit(word), end);
}

/** Set bits in `from … end - 1`. */
export function countSet(m: Int32Array, bitmap: number, from: number, end: number): number {
  let count = 0;
  for (let bit = nextSet(m, bitmap, from, end); bit < end; ) {
    const clear = nextClear(m, bitmap, bit, end);
    count += clear - bit;
    bit = nextSet(m, bitmap, clear, end);
  }
  return count;
}

/** Whether bit `bit` is set. */
export function hasBit(m: Int32Array, bitmap: number, bit: number): boolean {
  return (m[bitmap + (bit >>> 5)] & (1 << (bit & 31))) !== 0;
}

/** Sets one bit. One Atomics.or. */
export function setBit(m: Int32Array, bitmap: number, bit: number): void {
  Atomics.or(m, bitmap + (bit >>> 5), 1 << (bit & 31));
}

/** Clears one bit. One Atomics.and. */
export function clearBit(m: Int32Array, bitmap: number, bit: number): void {
  Atomics.and(m, bitmap + (bit >>> 5), ~(1 << (bit & 31)));
}

/** The bits `from … to - 1` of the word that holds `from`, where `to` is at most that word's end. */
function maskOf(from: number, to: number): number {
  const width = to - from;
  return (width === 32 ? -1 : (1 << width) - 1) << (from & 31);
}

/** Sets the bits `from … end - 1`: one Atomics.or a word. */
export function setRange(m: Int32Array, bitmap: number, from: number, end: number): void {
  for (let bit = from; bit < end; ) {
    const to = Math.min(end, (bit | 31) + 1);
    Atomics.or(m, bitmap + (bit >>> 5), maskOf(bit, to));
    bit = to;
  }
}

/** Clears the bits `from … end - 1`: one Atomics.and a word. */
export function clearRange(m: Int32Array, bitmap: number, from: number, end: number): void {
  for (let bit = from; bit < end; ) {
    const to = Math.min(end, (bit | 31) + 1);
    Atomics.and(m, bitmap + (bit >>> 5), ~maskOf(bit, to));
    bit = to;
  }
}
