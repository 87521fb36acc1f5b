/**
 * kmalloc re-exported as a slab allocator (2006: `kmalloc_slab_allocator`): a cache that is created through it is one of
 * kmalloc's own, the smallest that fits, with one reference more. So caches of a fitting size share kmalloc's slabs, and
 * its sheaves.
 *
 * The price is identity: `create` gives several caches one number, so objects of one can be freed as the other's, and what
 * a cache needs of its own (a constructor, a zone, a policy) is refused. kmalloc/merge.ts keeps identity.
 */

import { checkInteger, invalid } from '../memory/errors.ts';
import { C_ALIGN, cacheAt, H_KMALLOC_CACHES } from '../memory/layout.ts';
import { usableBytes } from '../slab/cacheTable.ts';
import { DerivedSlabAllocator } from '../slab/deriveSlabAllocator.ts';
import { SLAB } from '../slab/flags.ts';
import { isSlob } from '../slab/granules.ts';
import type { CacheSpec, SlabAllocator } from '../slab/slabAllocator.ts';
import { refuseStack } from '../slab/stack.ts';

/** Flags that kmalloc's caches do not contradict. */
const HARMLESS: number = SLAB.PANIC | SLAB.CONSISTENCY_CHECKS | SLAB.HWCACHE_ALIGN;

/** The number of kmalloc's smallest cache for objects of that size and alignment; 0 if there is none. */
export function fittingKmallocCache(allocator: SlabAllocator, size: number, align: number): number {
  const { m, layout } = allocator.frames.metadata;
  for (let cache = 1; cache <= m[H_KMALLOC_CACHES]; cache++) {
    const stride = usableBytes(m, cacheAt(layout, cache));
    // Slabs begin on page frames, so objects are aligned to whatever divides their stride.
    const begins = m[cacheAt(layout, cache) + C_ALIGN] >= align;
    if (stride >= size && (begins || (stride % align === 0 && !isSlob(allocator.frames.metadata, cache))))
      return cache;
  }
  return 0;
}

class KmallocSlab extends DerivedSlabAllocator {
  override create(spec: CacheSpec): number {
    const { name, size, align, flags, ctor, node } = spec;
    checkInteger('the size of objects', size, 1, 2 ** 30);
    if (ctor !== undefined) invalid(`cache '${name}' has a constructor, kmalloc's have none`, name);
    if ((flags & ~HARMLESS) !== 0 || node >= 0)
      invalid(`cache '${name}' asks for what kmalloc's caches are not`, name);
    const line = (flags & SLAB.HWCACHE_ALIGN) !== 0 ? 64 : 0;
    const cache = fittingKmallocCache(this, size, Math.max(align, size > 32 ? line : 0));
    if (cache === 0) invalid(`no cache of kmalloc's is large enough for objects of ${size} bytes`, name);
    return this.base.dup(cache);
  }

  /** Gives up a reference; kmalloc's own stays. */
  override destroy(cache: number): void {
    if (this.table.references(cache) <= 1) invalid(`'${this.table.name(cache)}' has no reference to give up`);
    this.table.dropReference(cache);
  }
}

/** `base`: the allocator that kmalloc stands on (`heap.slabAllocator`). */
export function kmallocSlabAllocator(base: SlabAllocator): SlabAllocator {
  if (base.frames.metadata.m[H_KMALLOC_CACHES] === 0) invalid('there is no kmalloc on this heap');
  refuseStack('kmalloc', base, {
    kmalloc: 'it is kmalloc already',
    dma: 'its caches are there already, and not in the DMA zone',
    numa: 'its caches are there already, and have no policy',
    rcu: 'kfree would not wait for a grace period',
  });
  return new KmallocSlab(base, 'kmalloc');
}
