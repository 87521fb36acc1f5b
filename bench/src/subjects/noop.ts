/**
 * The allocator that does nothing. What a loop costs around it is the harness: random numbers, slots, the calls. Its
 * time is subtracted from a subject's gross time to give the net one. V8 inlines it whole, as it does the hot path of a
 * real allocator, so nothing but the loop remains.
 */

import type { Subject } from './subject.ts';

export class NoopSubject implements Subject {
  /** The size serves as address: it is at hand and never 0, which the loops would take for "no memory". */
  alloc(size: number): number {
    return size;
  }

  free(_address: number): void {}

  allocBulk(size: number, out: Int32Array): boolean {
    for (let i = 0; i < out.length; i++) out[i] = size;
    return true;
  }

  freeBulk(_addresses: Int32Array): void {}

  share(): unknown {
    return null;
  }

  problems(): string[] {
    return [];
  }
}
