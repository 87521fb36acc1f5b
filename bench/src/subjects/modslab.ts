/**
 * modslab through its public calls, on a shared heap, with every check that is on by default.
 */

import { Heap, type HeapHandle } from 'modslab';
import { bytesOf, type Subject, type SubjectOptions, touchedBytes, type Views } from './subject.ts';

export class ModslabSubject implements Subject {
  declare private readonly heap: Heap;

  constructor(heap: Heap) {
    this.heap = heap;
  }

  static create(options: SubjectOptions): ModslabSubject {
    const maxSize = bytesOf(options);
    return new ModslabSubject(Heap.create(options.grow === true ? { maxSize } : { size: maxSize, maxSize }));
  }

  static attach(handle: unknown): ModslabSubject {
    return new ModslabSubject(Heap.attach(handle as HeapHandle));
  }

  alloc(size: number): number {
    return this.heap.kmalloc(size);
  }

  zalloc(size: number): number {
    return this.heap.kzalloc(size);
  }

  aligned(size: number, alignment: number): number {
    return this.heap.kmallocAligned(size, alignment);
  }

  realloc(address: number, size: number): number {
    return this.heap.krealloc(address, size);
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

  /** Of as much as the heap may ever have: a growing heap's own views end where it ends now. */
  views(): Views {
    const { buffer, u8, i32, f64 } = this.heap;
    if ((buffer as { growable?: boolean }).growable !== true) return { u8, i32, f64 };
    return { u8: new Uint8Array(buffer), i32: new Int32Array(buffer), f64: new Float64Array(buffer) };
  }

  share(): unknown {
    return this.heap.handle;
  }

  join(): void {
    Heap.attach(this.heap.handle);
  }

  leave(): void {
    this.heap.detach();
  }

  used(): number {
    return this.heap.meminfo().footprint;
  }

  metadata(): number {
    return this.heap.meminfo().metadata;
  }

  touched(): number {
    return touchedBytes(this.heap.buffer) + touchedBytes(this.heap.handle.metadata);
  }

  problems(): string[] {
    return this.heap.validate().map((problem) => `${problem.code}: ${problem.message}`);
  }
}
