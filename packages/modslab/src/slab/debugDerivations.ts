/**
 * The debug derivations: each takes a slab allocator and returns one whose caches have one part of slab debugging more. They
 * can be stacked in any order, directly over one another, over anything whose objects are freed at once.
 */

import { deriveDebugging } from './debugAllocator.ts';
import { SLAB } from './flags.ts';
import type { SlabAllocator } from './slabAllocator.ts';

/** Red zones around each object: slab/redzoned.ts. */
export function redzoned(base: SlabAllocator): SlabAllocator {
  return deriveDebugging(base, 'redzone', SLAB.RED_ZONE);
}

/** Freed objects are poisoned: slab/poisoned.ts. */
export function poisoned(base: SlabAllocator): SlabAllocator {
  return deriveDebugging(base, 'poison', SLAB.POISON);
}

/** Who allocated and who freed each object: slab/tracked.ts. */
export function tracked(base: SlabAllocator): SlabAllocator {
  return deriveDebugging(base, 'track', SLAB.STORE_USER);
}

/** Each allocation and free is written out: slab/traced.ts. */
export function traced(base: SlabAllocator): SlabAllocator {
  return deriveDebugging(base, 'trace', SLAB.TRACE);
}

/** Allocations fail as `heap.failslab` says: slab/failslab.ts. */
export function failslab(base: SlabAllocator): SlabAllocator {
  return deriveDebugging(base, 'failslab', SLAB.FAILSLAB);
}

/** The slab's metadata are checked at each allocation and free: slab/checked.ts. */
export function checked(base: SlabAllocator): SlabAllocator {
  return deriveDebugging(base, 'checked', SLAB.CONSISTENCY_CHECKS);
}

/** Objects are filled with zeros when they are allocated: slab/initialized.ts. */
export function initializedOnAlloc(base: SlabAllocator): SlabAllocator {
  return deriveDebugging(base, 'init_on_alloc', SLAB.INIT_ON_ALLOC);
}

/** Objects are filled with zeros when they are freed: slab/initialized.ts. */
export function initializedOnFree(base: SlabAllocator): SlabAllocator {
  return deriveDebugging(base, 'init_on_free', SLAB.INIT_ON_FREE);
}

/** Freed objects are held back before they are used again: slab/quarantined.ts. */
export function quarantined(base: SlabAllocator): SlabAllocator {
  return deriveDebugging(base, 'quarantine', SLAB.QUARANTINE);
}

/** Each allocation has a number, which handles of objects carry: debug/objectHandle.ts. */
export function numbered(base: SlabAllocator): SlabAllocator {
  return deriveDebugging(base, 'number', SLAB.GENERATIONS);
}
