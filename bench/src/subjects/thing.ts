/**
 * `@thi.ng/malloc`, the allocator that JavaScript programs use today: first fit over linked lists of used and free blocks,
 * sorted by address, in one pool. A free walks the list of used blocks up to the block, hence its times with many live
 * objects. It has no bulk calls (loops stand in for them) and no notion of threads: `share` is absent.
 */

import { MemPool } from '@thi.ng/malloc';
import type { Subject } from './subject.ts';

const POOL_SIZE = 64 * 1024 * 1024;

export class ThingSubject implements Subject {
  private readonly pool: MemPool = new MemPool({ buf: new ArrayBuffer(POOL_SIZE) });

  alloc(size: number): number {
    return this.pool.malloc(size);
  }

  free(address: number): void {
    this.pool.free(address);
  }

  allocBulk(size: number, out: Int32Array): boolean {
    for (let i = 0; i < out.length; i++) {
      const address = this.pool.malloc(size);
      if (address === 0) return false;
      out[i] = address;
    }
    return true;
  }

  freeBulk(addresses: Int32Array): void {
    for (let i = 0; i < addresses.length; i++) this.pool.free(addresses[i]);
  }

  problems(): string[] {
    return [];
  }
}
