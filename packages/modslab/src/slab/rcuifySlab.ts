/**
 * `rcuifySlabAllocator` (2006: `rcuify_slab_allocator`): an object that is freed through it, by whatever call, is handed
 * out again only after a grace period; a reader that found it in a read section may go on reading it.
 *
 * In 2006 an `rcu_head` was appended to each object, and the derivation could not work as posted (the structure was laid
 * out wrongly, its back pointer never set). Here the wait is in the object's state byte (slab/waiting.ts): no byte of the
 * object is used, nothing is queued, and nothing is lost with a thread.
 */

import { DerivedSlabAllocator } from './deriveSlabAllocator.ts';
import { SLAB_OWN_ALLOCATOR } from './flags.ts';
import { checkObject } from './object.ts';
import type { Address, CacheSpec, SlabAllocator } from './slabAllocator.ts';
import { refuseStack } from './stack.ts';
import { deferObject } from './waiting.ts';

class RcuSlab extends DerivedSlabAllocator {
  override create(spec: CacheSpec): number {
    return super.create({ ...spec, flags: spec.flags | SLAB_OWN_ALLOCATOR });
  }

  override free(cache: number, address: Address): void {
    this.frames.cpu.checkOnline();
    checkObject(this.frames.metadata, address, cache, this.table);
    deferObject(this.frames, cache, address);
  }
}

/** Throws `EINVAL` over an allocator whose frees wait already, or whose objects are freed past it. */
export function rcuifySlabAllocator(base: SlabAllocator): SlabAllocator {
  refuseStack('rcuify', base, {
    rcu: 'its frees wait for a grace period already',
    kmalloc: 'kfree would not wait for a grace period: use kfreeRcu',
  });
  return new RcuSlab(base, 'rcu');
}
