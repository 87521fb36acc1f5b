/**
 * Checked handles: an address and the number of the allocation that gave it, in one number. `resolve` gives the address back
 * as long as that very allocation is live, whatever has been freed and allocated there since.
 *
 *     handle = generation · 2^29 + address / 8        generation: 24 bits, from 1      53 bits, exact in a double
 *
 * Generations are numbers of the heap's allocations in caches with `SLAB.GENERATIONS` (debug option `G`), modulo 2^24, and
 * stand in the object's track. A stale handle is taken for a good one only if its address is live again and a multiple of
 * 16,777,216 such allocations have been made in between.
 */

import { addressOf, entryOf } from '../memory/entry.ts';
import { checkNumber, hex, invalid, SlabError } from '../memory/errors.ts';
import { C_FLAGS, cacheAt, pageAt } from '../memory/layout.ts';
import { CLAIM_LIVE, CLAIM_USED, KIND_LARGE, kindOf, PAGE_CLAIM, PAGE_FLAGS } from '../page/page.ts';
import type { Address } from '../slab/cacheSpec.ts';
import { type DebugAllocator, GENERATION_BITS } from '../slab/debugAllocator.ts';
import { ARMED, type DebugObject, debugObject } from '../slab/debugObject.ts';
import { SLAB } from '../slab/flags.ts';
import { LARGE_NAME } from '../slab/largeObjects.ts';
import { checkAddress, checkObject } from '../slab/object.ts';
import { T_GENERATION, trackIsTrue } from '../slab/track.ts';

const ENTRY_UNIT: number = 2 ** 29;
const GENERATION_END: number = 2 ** GENERATION_BITS;

/** The generation of a live object; 0 if it is none, or has none. */
export function generationOf(debugging: DebugAllocator, object: DebugObject): number {
  const { metadata, data } = debugging.context;
  const { u32 } = data.views();
  const { track, flags, state } = object;
  if ((flags & SLAB.GENERATIONS) === 0 || metadata.s[state] !== ARMED || !trackIsTrue(u32, track)) return 0;
  return u32[track + T_GENERATION];
}

/** Throws as `kfree` does for what is no live object, and `EINVAL` if its cache has no generations. */
export function objectHandle(debugging: DebugAllocator, address: Address): number {
  const { metadata, table } = debugging.context;
  const page = pageAt(metadata.layout, checkAddress(metadata, address));
  const isLarge =
    kindOf(metadata.m[page + PAGE_FLAGS]) === KIND_LARGE &&
    metadata.m[page + PAGE_CLAIM] === (CLAIM_USED | CLAIM_LIVE);
  if (isLarge && address % 2 ** metadata.layout.pageShift === 0) {
    const why = 'it is too large for a cache, and only objects of caches have generations';
    invalid(`there is no handle of the object at ${hex(address)}: ${why}`, LARGE_NAME);
  }
  const cache = checkObject(metadata, address, 0, table);
  if ((metadata.m[cacheAt(metadata.layout, cache) + C_FLAGS] & SLAB.GENERATIONS) === 0) {
    const name = table.name(cache);
    invalid(`objects of '${name}' have no generations: SLAB.GENERATIONS, or { debug: 'G' }`, name);
  }
  const generation = generationOf(debugging, debugObject(metadata, cache, address));
  if (generation === 0)
    throw new SlabError('EFAULT', `the track of ${hex(address)} was written over`, address);
  return generation * ENTRY_UNIT + entryOf(address);
}

/** Throws `EFAULT` for a handle whose object has been freed, or that is none. */
export function resolveHandle(debugging: DebugAllocator, handle: number): Address {
  checkNumber('a handle', handle);
  const generation = Math.floor(handle / ENTRY_UNIT);
  const address = addressOf(handle % ENTRY_UNIT);
  if (Number.isSafeInteger(handle) && generation >= 1 && generation < GENERATION_END) {
    const object = debugging.objectAt(address);
    if (object !== undefined && generationOf(debugging, object) === generation) return address;
  }
  throw new SlabError(
    'EFAULT',
    `the handle ${hex(handle)} is stale: its object at ${hex(address)} was freed`,
    address,
  );
}
