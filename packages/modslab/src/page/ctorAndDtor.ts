/**
 * `ctorAndDtorForPageAllocator` (2006: `ctor_and_dtor_for_page_allocator`): a function that runs over every object when
 * its frames are allocated, and one before they are freed. Objects lie one behind the other from the first byte on.
 *
 * Both are user code: they run while the frames are wholly this CPU's, so they may use the heap. They never run in a request
 * with `NOWAIT` or `ATOMIC`: such a request finds no frames here.
 */

import { checkInteger, invalid } from '../memory/errors.ts';
import { GFP_BOUNDED, type GfpFlags } from '../memory/gfp.ts';
import {
  CTOR_DTOR_DERIVATION,
  derivePageAllocator,
  findDerivation,
  type PageAllocatorOverrides,
  RCU_DERIVATION,
} from './derivePageAllocator.ts';
import type { PageAllocator } from './pageAllocator.ts';

/** What runs for each object: its address, and, of a constructor, the request's flags. */
export type ObjectConstructor = (address: number, gfp: GfpFlags) => void;
export type ObjectDestructor = (address: number) => void;

/**
 * Runs `ctor` for every object of `size` bytes that frames have room for when they are allocated, `dtor` when they are
 * freed. A `ctor` that throws gives the frames back, its error is the caller's, and the objects before it are destroyed. A
 * `dtor` that throws leaves the frames allocated. Throws `EINVAL` for a dtor over rcuify: readers may still look at what
 * it destroys.
 */
export function ctorAndDtorForPageAllocator(
  base: PageAllocator,
  size: number,
  ctor: ObjectConstructor | undefined,
  dtor?: ObjectDestructor,
): PageAllocator {
  const { metadata } = base.frames;
  const { pageShift, maxFrames } = metadata.layout;
  checkInteger('the size of objects', size, 1, maxFrames * 2 ** pageShift);
  if (ctor !== undefined && typeof ctor !== 'function') throw new TypeError('ctor must be a function');
  if (dtor !== undefined && typeof dtor !== 'function') throw new TypeError('dtor must be a function');
  if (dtor !== undefined && findDerivation(base, RCU_DERIVATION) !== undefined) {
    invalid(`a destructor over '${base.name}': it would run while readers may still look at the object`);
  }
  const addressOf = (pfn: number, index: number): number => pfn * 2 ** pageShift + index * size;
  const objectsIn = (frames: number): number => Math.floor((frames * 2 ** pageShift) / size);

  const overrides: PageAllocatorOverrides = {
    allocateExact(frames: number, alignment: number, gfp: GfpFlags, node: number): number {
      if (ctor !== undefined && (gfp & GFP_BOUNDED) !== 0) return 0;
      const head = base.allocateExact(frames, alignment, gfp, node);
      if (head === 0) return 0;
      let done = 0;
      try {
        for (; done < objectsIn(frames); done++) ctor?.(addressOf(head, done), gfp);
      } catch (error) {
        for (let index = 0; index < done; index++) dtor?.(addressOf(head, index));
        base.freeExact(head, frames);
        throw error;
      }
      return head;
    },
  };
  if (dtor !== undefined) {
    overrides.freeExact = (pfn: number, frames: number): void => {
      for (let index = 0; index < objectsIn(frames); index++) dtor(addressOf(pfn, index));
      base.freeExact(pfn, frames);
    };
  }
  return derivePageAllocator(base, CTOR_DTOR_DERIVATION, overrides);
}
