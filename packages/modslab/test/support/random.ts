/**
 * A small seeded generator (Marsaglia's xorshift32): a test that fails names its seed, and runs the same again with it.
 * Threads interleave as they like all the same; the seed fixes what each of them tries.
 */

export class Random {
  private state: number;

  constructor(seed: number) {
    // Neighbouring seeds must not begin alike, and the state must not be 0.
    this.state = Math.imul(seed + 1, 0x9e3779b1) | 1;
    for (let i = 0; i < 8; i++) this.next();
  }

  /** 0 … 2^32 - 1. */
  next(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    return x >>> 0;
  }

  /** 0 … n - 1. */
  below(n: number): number {
    return this.next() % n;
  }

  /** from … to, both included. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }

  /** True once in n times. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }
}
