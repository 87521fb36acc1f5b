/**
 * Initialisation (Linux: init_on_alloc, init_on_free): objects are filled with zeros when they are allocated, or when they are
 * freed. Not those with a constructor, whose bytes are kept from one use to the next; nor those that readers may look at after
 * their free (`TYPESAFE_BY_RCU`); and what is poisoned when it is freed is not filled with zeros then.
 */

import { keepsBytes } from './debugObject.ts';
import type { DebugPart } from './debugPart.ts';
import { SLAB } from './flags.ts';

export const initOnAlloc: DebugPart = {
  name: 'init_on_alloc',
  flag: SLAB.INIT_ON_ALLOC,
  activate({ data, metadata }, object, requested) {
    if (keepsBytes(metadata, object.cache)) return;
    const end = (object.flags & SLAB.RED_ZONE) === 0 ? object.size : requested;
    data.views().u8.fill(0, object.address, object.address + end);
  },
};

export const initOnFree: DebugPart = {
  name: 'init_on_free',
  flag: SLAB.INIT_ON_FREE,
  freed({ data, metadata }, object) {
    if (keepsBytes(metadata, object.cache) || object.isPoisoned) return;
    data.views().u8.fill(0, object.address, object.address + object.size);
  },
};
