/**
 * Bulk calls over any slab allocator: all or nothing, in terms of the single ones. Sheaves make the common case fast, so
 * there is no more to be had here.
 */

import { hex, SlabError } from '../memory/errors.ts';
import type { GfpFlags } from '../memory/gfp.ts';
import { checkObject } from './object.ts';
import type { Address, AddressArray, SlabAllocator } from './slabAllocator.ts';

/** n objects into `out`, or none: n or 0. What a call that fails or throws has got by then goes back. */
export function allocBulk(
  allocator: SlabAllocator,
  cache: number,
  out: AddressArray,
  n: number,
  gfp: GfpFlags,
): number {
  let done = 0;
  try {
    for (; done < n; done++) {
      const address = allocator.alloc(cache, gfp);
      if (address === 0) break;
      out[done] = address;
    }
    return done === n ? n : 0;
  } finally {
    for (let i = 0; done < n && i < done; i++) {
      allocator.free(cache, out[i] >>> 0);
      out[i] = 0;
    }
  }
}

/** Checks all of them first, each against all checks and against a second mention, then frees all. */
export function freeBulk(allocator: SlabAllocator, cache: number, addresses: AddressArray, n: number): void {
  const { metadata } = allocator.frames;
  const seen = new Set<Address>();
  for (let i = 0; i < n; i++) {
    const address = addresses[i] >>> 0;
    if (address === 0) continue;
    checkObject(metadata, address, cache, allocator.table);
    if (seen.has(address))
      throw new SlabError(
        'EDOUBLEFREE',
        `${hex(address)} is named twice`,
        address,
        allocator.table.name(cache),
      );
    seen.add(address);
  }
  for (const address of seen) allocator.free(cache, address);
}
