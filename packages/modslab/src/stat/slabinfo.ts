/**
 * slabinfo: one row a cache, and the two text formats: MODSLAB's own 3.0 (2006, [MODSLAB 3/5] of V3) and the kernel's
 * 2.1. Counted from state bytes, so objects in sheaves are not taken for live ones.
 */

import { C_CAPACITY, C_FRAMES, C_OBJECTS, C_STRIDE, cacheAt } from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import type { CacheTable } from '../slab/cacheTable.ts';
import { countAllObjects } from '../slab/count.ts';
import { isSlob } from '../slab/granules.ts';

/** One cache. */
export interface SlabinfoRow {
  name: string;
  /** Live objects: those in sheaves do not count. */
  objects: number;
  /** Bytes from one object to the next. */
  objsize: number;
  slabs: number;
  /** Slabs with free objects and others. */
  partialSlabs: number;
  /** Slabs with objects that are live or cached. */
  activeSlabs: number;
  /** Log2 of a slab's frames, rounded up. */
  order: number;
  /** The page allocator, with its derivations. */
  allocator: string;
  /** Objects in sheaves and barns. */
  cached: number;
  objectsPerSlab: number;
  framesPerSlab: number;
  /** Objects of a sheaf. */
  sheafCapacity: number;
}

/** Rows of all caches. Cost: O(frames + objects). */
export function slabinfo(
  metadata: Metadata,
  table: CacheTable,
  pageAllocatorOf: (cache: number) => string,
): SlabinfoRow[] {
  const { m, layout } = metadata;
  const counts = countAllObjects(metadata);
  // A merged cache has no slabs: its objects are in the row of the cache that it shares slabs with.
  const own = table.ready().filter((id) => !table.isMerged(id));
  return own.map((id) => {
    const cache = cacheAt(layout, id);
    const { live, cached, slabs, partial, active } = counts[id];
    return {
      name: table.name(id),
      objects: live,
      objsize: m[cache + C_STRIDE],
      slabs,
      partialSlabs: partial,
      activeSlabs: active,
      order: Math.ceil(Math.log2(m[cache + C_FRAMES])),
      allocator: pageAllocatorOf(id),
      cached,
      objectsPerSlab: isSlob(metadata, id)
        ? Math.floor(2 ** layout.pageShift / m[cache + C_STRIDE])
        : m[cache + C_OBJECTS],
      framesPerSlab: m[cache + C_FRAMES],
      sheafCapacity: m[cache + C_CAPACITY],
    };
  });
}

const left = (text: string, width: number): string => text.padEnd(width);
const right = (value: number, width: number): string => String(value).padStart(width);

function row30(row: SlabinfoRow): string {
  const { name, objects, objsize, slabs, partialSlabs, activeSlabs, order, allocator } = row;
  const numbers = [
    right(objects, 7),
    right(objsize, 7),
    right(slabs, 7),
    right(partialSlabs, 7),
    right(activeSlabs, 7),
  ];
  return `${left(name, 21)} ${numbers.join(' ')} ${right(order, 2)} ${allocator}`;
}

function row21(row: SlabinfoRow): string {
  const total = row.slabs * row.objectsPerSlab;
  const objects = `${left(row.name, 17)} ${right(row.objects, 6)} ${right(total, 6)} ${right(row.objsize, 6)}`;
  const perSlab = `${right(row.objectsPerSlab, 4)} ${right(row.framesPerSlab, 4)}`;
  const tunables = `tunables ${right(row.sheafCapacity, 4)} ${right(row.sheafCapacity, 4)} ${right(0, 4)}`;
  const slabdata = `slabdata ${right(row.activeSlabs, 6)} ${right(row.slabs, 6)} ${right(0, 6)}`;
  return `${objects} ${perSlab} : ${tunables} : ${slabdata}`;
}

/** The text of /proc/slabinfo: '3.0' as MODSLAB printed it, '2.1' as Linux does. Throws `RangeError` for others. */
export function formatSlabinfo(rows: readonly SlabinfoRow[], version: '3.0' | '2.1'): string {
  if (version === '3.0') {
    const columns =
      '# name            <objects> <objsize> <num_slabs> <partial_slabs> <active_slabs> <order> <allocator>';
    return ['slabinfo - version: 3.0', columns, ...rows.map(row30), ''].join('\n');
  }
  if (version === '2.1') {
    const columns =
      '# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> ' +
      '<batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>';
    return ['slabinfo - version: 2.1', columns, ...rows.map(row21), ''].join('\n');
  }
  throw new RangeError(`slabinfo has versions '3.0' and '2.1', not '${String(version)}'`);
}
