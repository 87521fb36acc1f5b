/**
 * `rcuifyPageAllocator` (2006: `rcuify_page_allocator`, which implements SLAB_DESTROY_BY_RCU): frames that it gave are
 * released to others only after a grace period, so that a reader within a read section may look at an object whose slab
 * has been freed, and finds an object of the same type, or what is left of one.
 *
 * The frames say so themselves; whoever frees them, makes them wait (page/deferred.ts).
 */

import { invalid } from '../memory/errors.ts';
import type { GfpFlags } from '../memory/gfp.ts';
import {
  allocateWithSource,
  CTOR_DTOR_DERIVATION,
  derivePageAllocator,
  findDerivation,
  RCU_DERIVATION,
} from './derivePageAllocator.ts';
import { SOURCE_RCU } from './page.ts';
import type { PageAllocator } from './pageAllocator.ts';

/** Frees wait for a grace period. Throws `EINVAL` over an allocator that does so, or has a destructor for objects. */
export function rcuifyPageAllocator(base: PageAllocator): PageAllocator {
  if (findDerivation(base, RCU_DERIVATION) !== undefined) {
    invalid(`rcuify over '${base.name}': its frees wait for a grace period already`);
  }
  if (findDerivation(base, CTOR_DTOR_DERIVATION)?.isLocal === true) {
    invalid(
      `rcuify over '${base.name}': any thread may find the grace period over, and that one may not know the destructor`,
    );
  }
  return derivePageAllocator(base, RCU_DERIVATION, {
    allocateExact(frames: number, alignment: number, gfp: GfpFlags, node: number): number {
      return allocateWithSource(base, SOURCE_RCU, frames, alignment, gfp, node);
    },
  });
}
