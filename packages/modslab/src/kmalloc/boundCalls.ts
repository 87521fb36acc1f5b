/**
 * The calls of the fast paths, each a closure over what it is called on, made once for each thread of a heap.
 *
 * Why: V8 takes what a closure has closed over for a constant, once it knows which closure a call meets, and the fields of a constant
 * that are never assigned again for constants too. So wherever `heap.kmalloc` is inlined, addresses and lengths of the heap's
 * arrays stand in the instructions, however the caller came by its heap: as a parameter, in a field. Without this only a heap that
 * the calling code itself knows as a constant, a `const` of its module, has that; from others, all of it is loaded at each call.
 * `npm run bench:held` has the figures. Where one call is made on several heaps of one thread, each call loads what its closure has
 * closed over, which is dearer than no closure by half.
 */

import type { GfpFlags } from '../memory/gfp.ts';
import type { Sheaves } from '../slab/sheaves.ts';
import type { Address } from '../slab/slabAllocator.ts';
import type { Kmalloc } from './kmalloc.ts';

/** Calls of `Kmalloc`. */
export interface BoundKmalloc {
  readonly kmalloc: (size: number, gfp: GfpFlags) => Address;
  readonly kzalloc: (size: number, gfp: GfpFlags) => Address;
  readonly krealloc: (address: Address, size: number, gfp: GfpFlags) => Address;
  readonly kfree: (address: Address) => void;
}

export function bindKmalloc(kmalloc: Kmalloc): BoundKmalloc {
  return {
    kmalloc: (size, gfp) => kmalloc.kmalloc(size, gfp),
    kzalloc: (size, gfp) => kmalloc.kzalloc(size, gfp),
    krealloc: (address, size, gfp) => kmalloc.krealloc(address, size, gfp),
    kfree: (address) => kmalloc.kfree(address),
  };
}

/** Calls of `Sheaves` that handles of caches make. */
export interface BoundSheaves {
  readonly allocOf: (slot: number, generation: number) => Address;
  readonly freeOf: (slot: number, generation: number, address: Address) => boolean;
}

export function bindSheaves(sheaves: Sheaves): BoundSheaves {
  return {
    allocOf: (slot, generation) => sheaves.allocOf(slot, generation),
    freeOf: (slot, generation, address) => sheaves.freeOf(slot, generation, address),
  };
}
