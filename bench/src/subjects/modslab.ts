/**
 * modslab through its public calls, on a shared heap, with every check that is on by default.
 */

import { Heap, type HeapHandle } from 'modslab';
import type { Subject } from './subject.ts';

/** Bytes: more than any of the workloads needs, so that growth is no part of what is measured. */
const HEAP_SIZE = 64 * 1024 * 1024;

export class ModslabSubject implements Subject {
  declare private readonly heap: Heap;

  constructor(heap: Heap) {
    this.heap = heap;
  }

  static create(): ModslabSubject {
    return new ModslabSubject(Heap.create({ size: HEAP_SIZE, maxSize: HEAP_SIZE }));
  }

  static attach(handle: unknown): ModslabSubject {
    return new ModslabSubject(Heap.attach(handle as HeapHandle));
  }

  alloc(size: number): number {
    return this.heap.kmalloc(size);
  }

  free(address: number): void {
    this.heap.kfree(address);
  }

  allocBulk(size: number, out: Int32Array): boolean {
    return this.heap.kmallocBulk(size, out) === out.length;
  }

  freeBulk(addresses: Int32Array): void {
    this.heap.kfreeBulk(addresses);
  }

  share(): unknown {
    return this.heap.handle;
  }

  problems(): string[] {
    return this.heap.validate().map((problem) => `${problem.code}: ${problem.message}`);
  }
}
