/**
 * What each CPU has done with a cache (Linux: the counters of CONFIG_SLUB_STATS), always on, because only slow paths count
 * (memory/cpu.ts). What the fast paths have done follows, by conservation: between a CPU's sheaves and the rest of the world
 *
 *     taken from slabs + from barns + frees  =  put into slabs + into barns + allocations + in its sheaves now
 *
 * so that *allocations - frees* of a CPU and cache is exact. Of allocations and frees alone there is a lower bound: each
 * time that main is seen, by a slow path, it holds so many objects more or less than when it was last seen. A burst of
 * allocations or frees longer than a sheaf is so counted to the last object; a thread that frees what it has just allocated,
 * over and over, touches nothing that counts, and its figures are those of its slow paths. `heap.on` counts exactly.
 *
 * Counters are words of the CPU alone, so clearing them stores what they stand at beside them.
 */

import { hasBit } from '../memory/bitmap.ts';
import {
  STAT_ALLOC_SLAB,
  STAT_ALLOC_SLOWPATH,
  STAT_BARN_GET,
  STAT_BARN_GET_FAIL,
  STAT_BARN_PUT,
  STAT_BARN_PUT_FAIL,
  STAT_CLEARED_CACHED,
  STAT_FREE_RCU,
  STAT_FREE_SLAB,
  STAT_FREE_SLOWPATH,
  STAT_ORDER_FALLBACK,
  STAT_POPPED,
  STAT_PUSHED,
  STAT_SHEAF_FLUSH,
  STAT_SHEAF_REFILL,
  STAT_SHEAF_SWAP,
} from '../memory/cpu.ts';
import {
  barnAt,
  C_CAPACITY,
  CACHE_COUNTERS_CLEARED,
  cacheAt,
  cacheCountersAt,
  H_CPUS_TAKEN,
  PAIR_SHIFT,
  SHEAF_CAPACITY,
  SHEAF_WORDS_SHIFT,
  sheavesAt,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { IN_BARN } from '../slab/sheaves.ts';

/** Counters of a cache, by one CPU or by all; since they were cleared. Names are Linux's, objects are counted unless said. */
export interface CacheCounters {
  /** Objects allocated less objects freed (those that wait for a grace period apart). Exact. */
  balance: number;
  /** Allocations without a slow path: at least so many. */
  allocFastpath: number;
  /** Allocations through the slow path. */
  allocSlowpath: number;
  /** Frees without a slow path: at least so many. */
  freeFastpath: number;
  /** Frees through the slow path. */
  freeSlowpath: number;
  /** Frees that wait for a grace period. */
  freeRcu: number;
  /** Objects taken out of slabs. */
  sheafRefill: number;
  /** Objects put back into slabs. */
  sheafFlush: number;
  /** Exchanges of main with a spare sheaf, full or empty. */
  sheafSwap: number;
  /** Full sheaves taken from a barn, and times that there was none. */
  barnGet: number;
  barnGetFail: number;
  /** Full sheaves put into a barn, and times that there was no room. */
  barnPut: number;
  barnPutFail: number;
  /** Slabs made, and given back to the page allocator. */
  allocSlab: number;
  freeSlab: number;
  /** Objects that got frames of their own, because no slab could be had. */
  orderFallback: number;
}

/** A CPU's counters of a cache. */
export interface CpuCacheCounters extends CacheCounters {
  cpu: number;
}

/** A sheaf that is in use. */
export interface SheafInfo {
  cache: number;
  /** Its number in the pool of its cache. */
  sheaf: number;
  /** The CPU that owns it; absent: it is in a barn. */
  cpu?: number;
  /** The node of the barn that it is in. */
  node?: number;
  objects: number;
  capacity: number;
}

/** Sheaves of a cache that have an owner. Cost: O(its pool). */
export function sheavesOf(metadata: Metadata, cache: number): SheafInfo[] {
  const { m, layout } = metadata;
  const infos: SheafInfo[] = [];
  const capacity = m[cacheAt(layout, cache) + C_CAPACITY];
  for (let number = 0; number < layout.sheavesPerCache; number++) {
    const sheaf = sheavesAt(layout, cache) + (number << SHEAF_WORDS_SHIFT);
    const owner = Atomics.load(m, sheaf);
    if (owner === 0) continue;
    let objects = 0;
    for (let i = 1; i <= SHEAF_CAPACITY; i++) if (m[sheaf + (i << PAIR_SHIFT)] !== 0) objects++;
    const info: SheafInfo = { cache, sheaf: number, objects, capacity };
    if (owner !== IN_BARN) info.cpu = owner - 1;
    for (let node = 0; owner === IN_BARN && node < layout.nodes; node++)
      if (hasBit(m, barnAt(layout, cache, node), number)) info.node = node;
    infos.push(info);
  }
  return infos;
}

/** Objects that each CPU has in its sheaves of a cache, by CPU. */
export function cachedByCpu(metadata: Metadata, cache: number): number[] {
  const cached = new Array<number>(metadata.m[H_CPUS_TAKEN]).fill(0);
  for (const { cpu, objects } of sheavesOf(metadata, cache)) {
    if (cpu !== undefined && cpu < cached.length) cached[cpu] += objects;
  }
  return cached;
}

function countersOfCpu(metadata: Metadata, cache: number, cpu: number, cached: number): CpuCacheCounters {
  const { m, layout } = metadata;
  const row = cacheCountersAt(layout, cpu, cache);
  const capacity = m[cacheAt(layout, cache) + C_CAPACITY];
  // Modulo 2^32, as they count.
  const since = (stat: number): number => (m[row + stat] - m[row + CACHE_COUNTERS_CLEARED + stat]) >>> 0;
  const got = since(STAT_SHEAF_REFILL) + since(STAT_BARN_GET) * capacity;
  const gave = since(STAT_SHEAF_FLUSH) + since(STAT_BARN_PUT) * capacity;
  const net = got - gave - (cached - m[row + STAT_CLEARED_CACHED]);
  const allocated = Math.max(since(STAT_POPPED), since(STAT_PUSHED) + net, net, 0);
  return {
    cpu,
    balance: net,
    allocFastpath: Math.max(0, allocated - since(STAT_ALLOC_SLOWPATH)),
    allocSlowpath: since(STAT_ALLOC_SLOWPATH),
    freeFastpath: Math.max(0, allocated - net - since(STAT_FREE_SLOWPATH)),
    freeSlowpath: since(STAT_FREE_SLOWPATH),
    freeRcu: since(STAT_FREE_RCU),
    sheafRefill: since(STAT_SHEAF_REFILL),
    sheafFlush: since(STAT_SHEAF_FLUSH),
    sheafSwap: since(STAT_SHEAF_SWAP),
    barnGet: since(STAT_BARN_GET),
    barnGetFail: since(STAT_BARN_GET_FAIL),
    barnPut: since(STAT_BARN_PUT),
    barnPutFail: since(STAT_BARN_PUT_FAIL),
    allocSlab: since(STAT_ALLOC_SLAB),
    freeSlab: since(STAT_FREE_SLAB),
    orderFallback: since(STAT_ORDER_FALLBACK),
  };
}

/** The counters of a cache, by CPU: those slots that have counted anything. Cost: O(CPUs + the cache's sheaves). */
export function cacheCounters(metadata: Metadata, cache: number): CpuCacheCounters[] {
  const cached = cachedByCpu(metadata, cache);
  const all = cached.map((objects, cpu) => countersOfCpu(metadata, cache, cpu, objects));
  return all.filter(({ cpu: _, ...counts }) => Object.values(counts).some((count) => count !== 0));
}

/** Their sum. */
export function sumCounters(rows: readonly CpuCacheCounters[]): CacheCounters {
  const sum: CacheCounters = {
    balance: 0,
    allocFastpath: 0,
    allocSlowpath: 0,
    freeFastpath: 0,
    freeSlowpath: 0,
    freeRcu: 0,
    sheafRefill: 0,
    sheafFlush: 0,
    sheafSwap: 0,
    barnGet: 0,
    barnGetFail: 0,
    barnPut: 0,
    barnPutFail: 0,
    allocSlab: 0,
    freeSlab: 0,
    orderFallback: 0,
  };
  for (const row of rows) {
    for (const name of Object.keys(sum) as (keyof CacheCounters)[]) sum[name] += row[name];
  }
  return sum;
}
