/** Giving up caches: what every allocator's `destroy` begins with. */

import { SlabError } from '../memory/errors.ts';
import { countObjects } from './count.ts';
import type { SlabAllocator } from './slabAllocator.ts';

/**
 * Drops a reference to a cache; whether it is out of use now, and the caller is to drain it. Throws `EBUSY`, and changes
 * nothing, if this is the last reference and the cache has live objects. A cache that is out of use already stays so: the
 * allocators of a stack call this one after the other.
 */
export function giveUpCache(allocator: SlabAllocator, cache: number): boolean {
  const { table, frames } = allocator;
  if (table.hasGivenUp(cache)) return true;
  if (table.isReady(cache) && table.references(cache) <= 1) {
    const { live } = countObjects(frames.metadata, cache);
    const name = table.name(cache);
    if (live > 0) throw new SlabError('EBUSY', `cache '${name}' has ${live} live objects`, undefined, name);
  }
  return table.dropReference(cache);
}
