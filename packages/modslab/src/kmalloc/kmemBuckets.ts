/**
 * Buckets (Linux: `kmem_buckets_create`): a private set of size classes for one client. Its objects share no slab with
 * anybody else's: what one client does to its memory, and when it gives it back, cannot fragment another's, and its whole
 * use of memory can be read off a few caches.
 *
 * A set named `io` is the caches `io-8`, `io-16`, …; their names make the set, so any thread can open it. They are never
 * merged. Sizes above its largest are whole pages, as large objects of kmalloc are: those are nobody's slab anyhow.
 */

import { invalid, SlabError } from '../memory/errors.ts';
import { GFP, type GfpFlags } from '../memory/gfp.ts';
import { PAGE_WORDS_SHIFT } from '../memory/layout.ts';
import { cacheOf, PAGE_FLAGS } from '../page/page.ts';
import { checkObject } from '../slab/object.ts';
import type { Address } from '../slab/slabAllocator.ts';
import type { CacheContext, KmemCache } from './kmemCache.ts';
import { classIndex } from './sizeClasses.ts';

export class KmemBuckets {
  readonly name: string;
  /** Its caches, by ascending size. */
  readonly caches: readonly KmemCache[];
  private readonly context: CacheContext;
  private readonly classOf: Uint8Array;
  private readonly largest: number;
  private readonly ids: ReadonlySet<number>;

  constructor(context: CacheContext, name: string, caches: readonly KmemCache[]) {
    const sizes = caches.map(({ size }) => size);
    this.context = context;
    this.name = name;
    this.caches = caches;
    this.classOf = classIndex(sizes);
    this.largest = sizes[sizes.length - 1];
    this.ids = new Set(caches.map(({ id }) => id));
  }

  /** `size` bytes from the smallest of its caches that fits; 0 without memory. Cost: that of `cache.alloc`. */
  alloc(size: number, gfp: GfpFlags = 0): Address {
    if (size >>> 0 === size && size <= this.largest)
      return this.caches[this.classOf[(size + 7) >>> 3]].alloc(gfp);
    return this.context.kmalloc.kmallocLarge(size, gfp);
  }

  /** `alloc`, filled with zeros. */
  zalloc(size: number, gfp: GfpFlags = 0): Address {
    return this.alloc(size, gfp | GFP.ZERO);
  }

  /** Takes back one of its objects: `ECACHE` for any other. `heap.kfree` takes them too. */
  free(address: Address): void {
    const { metadata, kmalloc, cpu } = this.context;
    const { m, layout } = metadata;
    cpu.checkAttached();
    const pfn = address >>> layout.pageShift;
    const isInHeap = address >>> 0 === address && pfn < layout.maxFrames;
    const cache = isInHeap ? cacheOf(m[layout.vmemMap + (pfn << PAGE_WORDS_SHIFT) + PAGE_FLAGS]) : 0;
    if (cache !== 0 && !this.ids.has(cache)) this.checkShared(address);
    kmalloc.kfree(address);
  }

  /** For an address whose slab is none of its caches': the object in it may be, if caches share pages (slab/slob.ts). */
  private checkShared(address: Address): void {
    const { metadata, table } = this.context;
    const cache = checkObject(metadata, address, 0, table);
    if (!this.ids.has(cache)) {
      const theirs = table.name(cache);
      throw new SlabError(
        'ECACHE',
        `an object of '${theirs}' is none of the buckets '${this.name}'`,
        address,
        this.name,
      );
    }
  }

  /** Gives all its caches up. Throws `EBUSY`, and changes nothing, while one has live objects. */
  destroy(): void {
    for (const cache of this.caches) {
      const { live } = cache.stats();
      if (live > 0)
        throw new SlabError('EBUSY', `cache '${cache.name}' has ${live} live objects`, undefined, cache.name);
    }
    for (const cache of this.caches) cache.destroy();
  }
}

/** Creates a set: all of its caches or none. `create` makes one of a name and size. */
export function createBuckets(
  context: CacheContext,
  name: string,
  sizes: readonly number[],
  create: (name: string, size: number) => KmemCache,
): KmemBuckets {
  const caches: KmemCache[] = [];
  try {
    for (const size of sizes) caches.push(create(`${name}-${size}`, size));
  } catch (error) {
    for (const cache of caches) cache.destroy();
    throw error;
  }
  return new KmemBuckets(context, name, caches);
}

/** Opens a set that some thread has created. Throws `EINVAL` if there is none of that name. */
export function openBuckets(context: CacheContext, name: string, all: readonly KmemCache[]): KmemBuckets {
  const caches = all.filter((cache) => cache.name === `${name}-${cache.size}` && name !== 'kmalloc');
  if (caches.length === 0) invalid(`there are no buckets '${name}'`, name);
  return new KmemBuckets(
    context,
    name,
    caches.sort((a, b) => a.size - b.size),
  );
}
