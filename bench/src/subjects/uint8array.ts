/**
 * What a program does that has no allocator: `new Uint8Array(size)` for every object, which the garbage collector takes
 * back. Objects are no offsets of one buffer, so a table stands for the addresses, and only workloads that do not write to
 * their objects can be run.
 */

import { allocEach, cannot, freeEach, type Subject, type Views } from './subject.ts';

const NONE: Uint8Array = new Uint8Array(0);

export class Uint8ArraySubject implements Subject {
  declare private readonly objects: Uint8Array[];
  declare private readonly unused: number[];

  constructor() {
    // Index 0 is never given out, since address 0 means "no memory".
    this.objects = [NONE];
    this.unused = [];
  }

  alloc(size: number): number {
    const index = this.unused.pop() ?? this.objects.length;
    this.objects[index] = new Uint8Array(size);
    return index;
  }

  zalloc(size: number): number {
    return this.alloc(size);
  }

  aligned(size: number, _alignment: number): number {
    return this.alloc(size);
  }

  realloc(address: number, size: number): number {
    const old = this.objects[address];
    const grown = new Uint8Array(size);
    grown.set(old.length > size ? old.subarray(0, size) : old);
    this.objects[address] = grown;
    return address;
  }

  free(address: number): void {
    this.objects[address] = NONE;
    this.unused.push(address);
  }

  allocBulk(size: number, out: Int32Array): boolean {
    return allocEach(this, size, out);
  }

  freeBulk(addresses: Int32Array): void {
    freeEach(this, addresses);
  }

  views(): Views {
    return cannot('memory that all its objects share');
  }

  problems(): string[] {
    return [];
  }
}
