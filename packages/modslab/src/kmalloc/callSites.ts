/**
 * Random kmalloc caches (Linux: CONFIG_RANDOM_KMALLOC_CACHES): a size class with the flag `S` has several copies, and the place
 * in the program that allocates decides, by a hash with a seed of the heap's, which of them its objects come from. So objects
 * of different places seldom share a slab, and which do cannot be foretold. It costs a call stack an allocation.
 *
 *     kmalloc-64  ⇒  kmalloc-rnd-1-64 … kmalloc-rnd-8-64       made when first used; kfree finds them as it finds any
 */

import { C_FLAGS, cacheAt, H_SITE_SEED } from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { SLAB } from '../slab/flags.ts';
import type { StackDepot } from '../slab/stackDepot.ts';

/** Copies of a class: fewer than Linux's 16, since each takes a descriptor. */
const COPIES = 8;

function hashOf(text: string, seed: number): number {
  let hash = seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}

export class CallSites {
  private readonly metadata: Metadata;
  private readonly depot: StackDepot;
  private readonly make: (name: string, size: number) => number;
  /** The copy that a stack's innermost caller has been given, 1 … COPIES. */
  private readonly copies: Map<number, number> = new Map();
  private readonly caches: Map<string, number> = new Map();

  /** `make`: finds or creates a cache; 0 if there is no room for one. */
  constructor(metadata: Metadata, depot: StackDepot, make: (name: string, size: number) => number) {
    this.metadata = metadata;
    this.depot = depot;
    this.make = make;
  }

  /** The cache that the caller's objects of that class come from: one of the copies, or the class itself. */
  choose(cache: number, size: number): number {
    const { m, layout } = this.metadata;
    if ((m[cacheAt(layout, cache) + C_FLAGS] & SLAB.CALL_SITES) === 0) return cache;
    const stack = this.depot.capture();
    let copy = this.copies.get(stack);
    if (copy === undefined) {
      copy = 1 + (hashOf(this.depot.frames(stack)[0] ?? '', m[H_SITE_SEED]) % COPIES);
      this.copies.set(stack, copy);
    }
    const name = `kmalloc-rnd-${copy}-${size}`;
    let chosen = this.caches.get(name);
    if (chosen === undefined) {
      chosen = this.make(name, size) || cache;
      this.caches.set(name, chosen);
    }
    return chosen;
  }
}
