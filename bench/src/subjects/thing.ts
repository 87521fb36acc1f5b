/**
 * `@thi.ng/malloc`, the allocator that JavaScript programs use today: first fit over linked lists of used and free blocks,
 * sorted by address, in one pool. A free walks the list of used blocks up to the block, hence its times with many live
 * objects. It has no bulk calls (loops stand in for them) and no notion of threads: `share` is absent.
 */

import { MemPool } from '@thi.ng/malloc';
import {
  allocEach,
  bytesOf,
  cannot,
  freeEach,
  type Subject,
  type SubjectOptions,
  type Views,
  viewsOf,
} from './subject.ts';

export class ThingSubject implements Subject {
  private readonly buffer: ArrayBuffer;
  private readonly pool: MemPool;

  constructor(options: SubjectOptions) {
    this.buffer = new ArrayBuffer(bytesOf(options));
    this.pool = new MemPool({ buf: this.buffer });
  }

  alloc(size: number): number {
    return this.pool.malloc(size);
  }

  zalloc(size: number): number {
    return this.pool.calloc(size);
  }

  aligned(_size: number, _alignment: number): number {
    return cannot('aligned allocation');
  }

  realloc(address: number, size: number): number {
    return this.pool.realloc(address, size);
  }

  free(address: number): void {
    this.pool.free(address);
  }

  allocBulk(size: number, out: Int32Array): boolean {
    return allocEach(this, size, out);
  }

  freeBulk(addresses: Int32Array): void {
    freeEach(this, addresses);
  }

  views(): Views {
    return viewsOf(this.buffer);
  }

  problems(): string[] {
    return [];
  }
}
