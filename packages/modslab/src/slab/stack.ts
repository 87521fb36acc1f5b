/**
 * Stacks of slab allocators: which derivation may lie over which, and which caches must go through the whole stack.
 *
 * A name says what a stack is made of, word by word: "rcu:sheaved:numa:slabifier". One that makes no sense throws
 * `EINVAL`, with the reason.
 */

import { invalid } from '../memory/errors.ts';
import { C_FLAGS, cacheAt } from '../memory/layout.ts';
import { SLAB_OWN_ALLOCATOR } from './flags.ts';
import type { SlabAllocator } from './slabAllocator.ts';

/** Throws `EINVAL` if the base's stack has one of the derivations that `derivation` must not lie over. */
export function refuseStack(
  derivation: string,
  base: SlabAllocator,
  over: Readonly<Record<string, string>>,
): void {
  for (const layer of base.name.split(':')) {
    if (Object.hasOwn(over, layer)) invalid(`${derivation} over '${base.name}': ${over[layer]}`);
  }
}

/**
 * After a cache has been created: if its objects must go through this thread's own stack, `allocator` is its top as far as
 * is known yet. The layers of a stack call this from the bottom up, so the top has the last word.
 */
export function adoptCreated(allocator: SlabAllocator, cache: number): number {
  const { m, layout } = allocator.frames.metadata;
  if ((m[cacheAt(layout, cache) + C_FLAGS] & SLAB_OWN_ALLOCATOR) !== 0)
    allocator.table.setAllocator(cache, allocator);
  return cache;
}

/**
 * For a thread that has made the same stack as the one that created the cache `name`: its objects go through `allocator`
 * here too. The cache's number. Throws `EINVAL` if there is no such cache.
 */
export function adoptCache(allocator: SlabAllocator, name: string): number {
  const cache = allocator.table.find(name);
  if (cache === 0) invalid(`there is no cache '${name}'`, name);
  return adoptCreated(allocator, cache);
}
