/**
 * Merging (2006: the Slabulator's, on in V3; Chinner asked for a switch): with `Heap.create({ merge: true })`, a new cache
 * whose objects could as well lie in the slabs of one of kmalloc's caches shares those. It has a descriptor of its own,
 * for its name, which says what it is merged into, and as which of that one's *aliases* 1 … 7:
 *
 *     C_MERGED of the cache   alias << 16 | number of kmalloc's cache
 *     state of its objects    LIVE | alias << 4
 *
 * So slabs are shared and identity is not: what was allocated by one cache is refused by another (`ECACHE`). kmalloc's own
 * fast paths know nothing of it: to a push, the state of a merged cache's object is not LIVE, so `kfree` takes its slow
 * path; the cache's own calls set and check the alias, and cost that much more (`npm run bench:merge`). That is why merging
 * is off unless asked for.
 *
 * An alias is taken if a descriptor that is in use says so; two creators of one alias make each other withdraw, as two of
 * one name do (slab/cacheTable.ts). Merged is only what has nothing of its own: no constructor, move function, zone, node
 * or window for users, no flag but the harmless ones; and what wastes less than a pointer. (2006 forgot about DMA.)
 */

import { C_FLAGS, C_MERGED, C_STRIDE, cacheAt, H_KMALLOC_CACHES, H_MERGE } from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { ALIAS_MAX } from '../page/page.ts';
import type { CacheSpec } from '../slab/cacheSpec.ts';
import type { CacheTable } from '../slab/cacheTable.ts';
import { SLAB } from '../slab/flags.ts';
import { slabGeometry } from '../slab/geometry.ts';

const MERGED_SHIFT = 16;
const MERGED_MASK = 0xffff;
/** Flags that say nothing about slabs. */
const HARMLESS: number = SLAB.HWCACHE_ALIGN | SLAB.PANIC;
/** Bytes that an object may waste by lying in another cache's slab: less than a pointer. */
const WASTE_MAX = 8;

/** The number of the cache whose slabs a merged one shares; 0 for what is not merged. */
export const mergedInto = (word: number): number => word & MERGED_MASK;
export const mergedAlias = (word: number): number => word >>> MERGED_SHIFT;

function canMerge(spec: CacheSpec): boolean {
  const plain =
    spec.ctor === undefined && spec.node < 0 && spec.useroffset === 0 && spec.usersize === spec.size;
  return plain && (spec.flags & ~HARMLESS) === 0;
}

/** The lowest alias of `cache` that no descriptor uses; 0 if all are taken. */
function freeAlias(metadata: Metadata, table: CacheTable, cache: number): number {
  const { m, layout } = metadata;
  const taken = new Set<number>();
  for (const id of table.inUse()) {
    const word = m[cacheAt(layout, id) + C_MERGED];
    if (mergedInto(word) === cache) taken.add(mergedAlias(word));
  }
  for (let alias = 1; alias <= ALIAS_MAX; alias++) if (!taken.has(alias)) return alias;
  return 0;
}

/** The spec of a cache that is about to be created, merged if it can and may be. */
export function merged(metadata: Metadata, table: CacheTable, spec: CacheSpec): CacheSpec {
  const { m, layout } = metadata;
  if (m[H_MERGE] === 0 || !canMerge(spec)) return spec;
  const { stride, align } = slabGeometry(spec.size, spec.align, spec.flags, layout.pageShift);
  for (let cache = 1; cache <= m[H_KMALLOC_CACHES]; cache++) {
    const theirs = m[cacheAt(layout, cache) + C_STRIDE];
    if (theirs < stride || theirs - stride >= WASTE_MAX || theirs % align !== 0) continue;
    if (m[cacheAt(layout, cache) + C_FLAGS] !== 0) continue;
    const alias = freeAlias(metadata, table, cache);
    if (alias !== 0) return { ...spec, merged: (alias << MERGED_SHIFT) | cache };
  }
  return spec;
}
