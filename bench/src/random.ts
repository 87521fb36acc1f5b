/**
 * The one source of randomness of both sides. Marsaglia's xorshift32 with the shifts 13, 17, 5 has the same three lines in
 * C and in JavaScript, so that a seed gives the same sequence of slots and sizes to every allocator that is measured; the
 * sizes are drawn from a table for the same reason. `native/harness.h` has the twin of everything in this file.
 */

/** The seed of every run; any value but 0 would do, since 0 is the generator's fixed point. */
export const SEED = 0x2006_0815;

/** One step of xorshift32; signed, as every bit operation of JavaScript leaves it. */
export function xorshift32(state: number): number {
  let x = state;
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  return x;
}

/** A seed of its own for each thread; that of thread 0 is SEED. */
export function seedOf(index: number): number {
  return (SEED + Math.imul(index, 0x9e3779b9)) | 0;
}

/** The sizes that churn draws from, in bytes: 16 of them, so that four bits choose; small ones are the more frequent. */
export const MIXED_SIZES: readonly number[] = [
  16, 24, 32, 40, 48, 64, 64, 80, 96, 128, 160, 192, 256, 384, 640, 1024,
];

/** The same with a mean of 256 bytes, so that 2^n objects have 2^(n+8) bytes. */
export const EVEN_SIZES: readonly number[] = [
  32, 64, 64, 96, 128, 128, 192, 192, 256, 256, 256, 384, 384, 512, 512, 640,
];
