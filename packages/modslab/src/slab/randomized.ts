/**
 * Freelist randomisation: the objects that a CPU takes from slabs at a time are put in random order, so that which object
 * lies beside which cannot be foretold. It costs a refill, not an allocation.
 *
 * The pairs of a sheaf (slab/sheaves.ts) change places by way of its first pair, which no sheaf uses. At each instant every
 * object stands in the sheaf at least once, and what stands there twice is put back once: so a kill loses nothing.
 */

import { C_FLAGS, cacheAt, PAIR_SHIFT, SHEAF_WORDS } from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { DerivedSlabAllocator } from './deriveSlabAllocator.ts';
import { SLAB } from './flags.ts';
import type { CacheSpec, SlabAllocator } from './slabAllocator.ts';
import { refuseStack } from './stack.ts';

function copyPair(m: Int32Array, from: number, to: number): void {
  m[to + 1] = m[from + 1];
  m[to] = m[from];
}

/** Puts the objects from … to of sheaf words that end a sheaf in random order, if the cache is one of those. */
export function shuffle(metadata: Metadata, cache: number, sheaf: number, from: number, to: number): void {
  const { m, layout } = metadata;
  if ((m[cacheAt(layout, cache) + C_FLAGS] & SLAB.RANDOM) === 0) return;
  const spare = (sheaf & ~(SHEAF_WORDS - 1)) + (1 << PAIR_SHIFT);
  // Not in a scratch sheaf, nor where the sheaf's first pair is in use, as in those of pools and of `prefill`.
  if (sheaf < layout.sheaves || sheaf + (from << PAIR_SHIFT) <= spare || m[spare] !== 0) return;
  for (let i = to; i > from; i--) {
    const a = sheaf + (i << PAIR_SHIFT);
    const b = sheaf + ((from + Math.floor(Math.random() * (i - from + 1))) << PAIR_SHIFT);
    if (a === b) continue;
    copyPair(m, a, spare);
    copyPair(m, b, a);
    copyPair(m, spare, b);
    m[spare] = 0;
  }
}

class Randomized extends DerivedSlabAllocator {
  override create(spec: CacheSpec): number {
    return super.create({ ...spec, flags: spec.flags | SLAB.RANDOM });
  }
}

/** Objects of its caches are handed out in random order. The slabifier does it, for caches whose flags say so. */
export function randomized(base: SlabAllocator): SlabAllocator {
  refuseStack('randomize', base, {
    randomize: 'it is random already',
    kmalloc: "kmalloc's caches are there already: use the heap's `debug` option",
  });
  return new Randomized(base, 'randomize');
}
