/**
 * The allocators that do nothing. What a loop costs around one is the harness: random numbers, slots, the calls. Its time is
 * subtracted from a subject's gross time to give the net one. V8 inlines it whole, as it does the hot path of a real
 * allocator, so nothing but the loop remains. Where a workload writes to its objects, they walk through an arena, one for
 * each thread, so that the writing is in the harness's time as well.
 */

import { allocEach, cannot, freeEach, type Subject, type Views, viewsOf } from './subject.ts';

export class NoopSubject implements Subject {
  /** The size serves as address: it is at hand and never 0, which the loops would take for "no memory". */
  alloc(size: number): number {
    return size;
  }

  zalloc(size: number): number {
    return size;
  }

  aligned(size: number, _alignment: number): number {
    return size;
  }

  realloc(_address: number, size: number): number {
    return size;
  }

  free(_address: number): void {}

  allocBulk(size: number, out: Int32Array): boolean {
    for (let i = 0; i < out.length; i++) out[i] = size;
    return true;
  }

  freeBulk(_addresses: Int32Array): void {}

  views(): Views {
    return cannot('memory');
  }

  share(): unknown {
    return null;
  }

  problems(): string[] {
    return [];
  }
}

/** Objects begin in the first mebibyte; the largest that a workload touches may reach far beyond it. */
const ARENA: number = 2 ** 20;
const ARENA_TAIL: number = 2 ** 26;
const MASK: number = ARENA - 1;
/** Address 0 means "no memory". */
const START = 16;

export class ArenaSubject implements Subject {
  declare private cursor: number;
  declare private readonly memory: Views;

  constructor() {
    this.cursor = 0;
    this.memory = viewsOf(new SharedArrayBuffer(START + ARENA + ARENA_TAIL));
  }

  alloc(size: number): number {
    const cursor = (this.cursor + ((size + 15) & ~15)) & MASK;
    this.cursor = cursor;
    return (cursor + START) | 0;
  }

  zalloc(size: number): number {
    return this.alloc(size);
  }

  aligned(size: number, _alignment: number): number {
    return this.alloc(size);
  }

  realloc(_address: number, size: number): number {
    return this.alloc(size);
  }

  free(_address: number): void {}

  allocBulk(size: number, out: Int32Array): boolean {
    return allocEach(this, size, out);
  }

  freeBulk(addresses: Int32Array): void {
    freeEach(this, addresses);
  }

  views(): Views {
    return this.memory;
  }

  share(): unknown {
    return null;
  }

  problems(): string[] {
    return [];
  }
}
