/**
 * The attributes of a cache: what Linux shows in /sys/kernel/slab/<cache>/, as an object, and as that text. The names of the
 * object are those of the files in TypeScript spelling (`objsPerSlab` is `objs_per_slab`).
 */

import {
  C_ALIGN,
  C_CAPACITY,
  C_CONSTRUCTOR,
  C_FLAGS,
  C_FRAMES,
  C_NODE,
  C_OBJECTS,
  C_PARKED,
  C_REFERENCES,
  C_SIZE,
  C_STRIDE,
  C_TRACKED_BYTES,
  C_USER_SIZE,
  cacheAt,
  H_FRAMES,
  nodeOf,
  PARKED_MAX,
  pageAt,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import {
  COUNT_MASK,
  cacheOf,
  KIND_SLAB,
  kindOf,
  OWNER_PARKED,
  ownerOf,
  PAGE_CLAIM,
  PAGE_FLAGS,
} from '../page/page.ts';
import { type CacheTable, CONSTRUCTOR_FUNCTION, CONSTRUCTOR_TEMPLATE } from '../slab/cacheTable.ts';
import { countAllObjects } from '../slab/count.ts';
import { SLAB } from '../slab/flags.ts';
import type { SlabCounts } from '../slab/slabAllocator.ts';
import { parkedMax } from '../slab/slabifier.ts';
import {
  type CacheCounters,
  type CpuCacheCounters,
  cacheCounters,
  type SheafInfo,
  sheavesOf,
  sumCounters,
} from './cacheCounters.ts';

/** A cache, as /sys/kernel/slab shows one; what has another meaning there is not here. */
export interface CacheAttributes {
  name: string;
  /** Its number: what page descriptors carry. */
  id: number;
  /** Names that share its slabs, its own not among them. */
  aliasNames: string[];
  /** How many those are. */
  aliases: number;
  /** Bytes. */
  align: number;
  /** The page allocator, with its derivations. */
  allocator: string;
  cacheDma: boolean;
  /** Objects free in slabs that have others too. */
  objectsPartial: number;
  /** Slabs that CPUs hold at this moment. */
  cpuSlabs: number;
  /** `function`, `template`, or nothing. */
  ctor: string;
  destroyByRcu: boolean;
  failslab: boolean;
  hwcacheAlign: boolean;
  /** Empty slabs that it keeps at most. */
  minPartial: number;
  /** Bytes that were asked for. */
  objectSize: number;
  /** Objects handed out. */
  objects: number;
  /** Bytes that those were asked for; only where owners are tracked (`U`). The rest of `objects · objectSize` is rounding. */
  bytesRequested?: number;
  /** Objects in sheaves and barns. */
  objectsCached: number;
  /** Objects that wait for a grace period. */
  objectsWaiting: number;
  objsPerSlab: number;
  /** Log2 of the frames of a slab, rounded up. */
  order: number;
  /** Frames of a slab. */
  pagesPerSlab: number;
  /** Empty slabs that it keeps now. */
  parked: number;
  /** Slabs with free objects and others. */
  partial: number;
  poison: boolean;
  reclaimAccount: boolean;
  redZone: boolean;
  sanityChecks: boolean;
  /** Objects of a sheaf. */
  sheafCapacity: number;
  /** Sheaves in use, those of barns among them. */
  sheaves: number;
  /** Full sheaves in barns. */
  barn: number;
  /** Bytes from one object to the next. */
  slabSize: number;
  slabs: number;
  /** Slabs by node. */
  slabsByNode: number[];
  storeUser: boolean;
  /** Room for objects in all its slabs. */
  totalObjects: number;
  trace: boolean;
  /** Bytes that views for users may show. */
  usersize: number;
  /** Preferred node; -1: none. */
  node: number;
  /** Since they were cleared. */
  counters: CacheCounters;
  countersByCpu: CpuCacheCounters[];
}

interface SlabFigures {
  claimed: number;
  freeInPartial: number;
  byNode: number[];
}

/** One pass over the frames: what each cache's slabs say of themselves. */
function slabFigures(metadata: Metadata): SlabFigures[] {
  const { m, layout } = metadata;
  const figures = Array.from({ length: layout.caches }, () => ({
    claimed: 0,
    freeInPartial: 0,
    byNode: new Array<number>(layout.nodes).fill(0),
  }));
  const end = Math.min(m[H_FRAMES], layout.maxFrames);
  for (let pfn = layout.startFrame; pfn < end; pfn++) {
    const page = pageAt(layout, pfn);
    const flags = m[page + PAGE_FLAGS];
    if (kindOf(flags) !== KIND_SLAB) continue;
    const claim = Atomics.load(m, page + PAGE_CLAIM);
    const owner = ownerOf(claim);
    const figure = figures[cacheOf(flags)];
    figure.byNode[nodeOf(layout, pfn)]++;
    if (owner === OWNER_PARKED) continue;
    if (owner !== 0) figure.claimed++;
    if ((claim & COUNT_MASK) < m[cacheAt(layout, cacheOf(flags)) + C_OBJECTS])
      figure.freeInPartial += claim & COUNT_MASK;
  }
  return figures;
}

function constructorOf(kind: number): string {
  if (kind === CONSTRUCTOR_FUNCTION) return 'function';
  return kind === CONSTRUCTOR_TEMPLATE ? 'template' : '';
}

function attributesOf(
  metadata: Metadata,
  table: CacheTable,
  id: number,
  counts: SlabCounts,
  figures: SlabFigures,
  allocator: string,
  aliasNames: string[],
): CacheAttributes {
  const { m, layout } = metadata;
  const cache = cacheAt(layout, id);
  const has = (flag: number): boolean => (m[cache + C_FLAGS] & flag) !== 0;
  const sheaves: SheafInfo[] = sheavesOf(metadata, id);
  let parked = 0;
  for (let i = 0; i < PARKED_MAX; i++) if (m[cache + C_PARKED + i] !== 0) parked++;
  const countersByCpu = cacheCounters(metadata, id);
  const requested = Atomics.load(m, cache + C_TRACKED_BYTES) >>> 0;
  return {
    name: table.name(id),
    id,
    aliasNames,
    aliases: Math.max(aliasNames.length, m[cache + C_REFERENCES] - 1),
    align: m[cache + C_ALIGN],
    allocator,
    cacheDma: has(SLAB.CACHE_DMA),
    objectsPartial: figures.freeInPartial,
    cpuSlabs: figures.claimed,
    ctor: constructorOf(m[cache + C_CONSTRUCTOR]),
    destroyByRcu: has(SLAB.TYPESAFE_BY_RCU),
    failslab: has(SLAB.FAILSLAB),
    hwcacheAlign: has(SLAB.HWCACHE_ALIGN),
    minPartial: parkedMax(m[cache + C_SIZE], layout.pageShift),
    objectSize: m[cache + C_SIZE],
    objects: counts.live,
    ...(has(SLAB.STORE_USER) ? { bytesRequested: requested } : {}),
    objectsCached: counts.cached,
    objectsWaiting: counts.waiting,
    objsPerSlab: m[cache + C_OBJECTS],
    order: Math.ceil(Math.log2(m[cache + C_FRAMES])),
    pagesPerSlab: m[cache + C_FRAMES],
    parked,
    partial: counts.partial,
    poison: has(SLAB.POISON),
    reclaimAccount: has(SLAB.RECLAIM_ACCOUNT),
    redZone: has(SLAB.RED_ZONE),
    sanityChecks: true,
    sheafCapacity: m[cache + C_CAPACITY],
    sheaves: sheaves.length,
    barn: sheaves.filter(({ cpu }) => cpu === undefined).length,
    slabSize: m[cache + C_STRIDE],
    slabs: counts.slabs,
    slabsByNode: figures.byNode,
    storeUser: has(SLAB.STORE_USER),
    totalObjects: counts.slabs * m[cache + C_OBJECTS],
    trace: has(SLAB.TRACE),
    usersize: m[cache + C_USER_SIZE],
    node: m[cache + C_NODE],
    counters: sumCounters(countersByCpu),
    countersByCpu,
  };
}

/** The attributes of all caches that have slabs of their own. Cost: O(frames + objects + sheaves). */
export function cacheAttributes(
  metadata: Metadata,
  table: CacheTable,
  pageAllocatorOf: (cache: number) => string,
  mergedInto: (cache: number) => number,
): CacheAttributes[] {
  const counts = countAllObjects(metadata);
  const figures = slabFigures(metadata);
  const ready = table.ready();
  const aliases = new Map<number, string[]>();
  for (const id of ready) {
    if (!table.isMerged(id)) continue;
    const names = aliases.get(mergedInto(id)) ?? [];
    aliases.set(mergedInto(id), [...names, table.name(id)]);
  }
  return ready
    .filter((id) => !table.isMerged(id))
    .map((id) =>
      attributesOf(metadata, table, id, counts[id], figures[id], pageAllocatorOf(id), aliases.get(id) ?? []),
    );
}

/** `objsPerSlab` → `objs_per_slab`. */
const fileName = (key: string): string => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Linux prints flags as 0 and 1, and what is counted by CPU or node with its parts: `12 C0=7 C3=5`. */
function textOf(value: unknown): string {
  if (typeof value === 'boolean') return value ? '1' : '0';
  return Array.isArray(value) ? value.join(' ') : String(value);
}

/** The files of /sys/kernel/slab/<cache>/: name to contents, without the line's end. */
export function attributeFiles(attributes: CacheAttributes): Record<string, string> {
  const { counters, countersByCpu, slabsByNode, name: _, ...plain } = attributes;
  const files = Object.entries(plain).map(([key, value]) => [fileName(key), textOf(value)]);
  const nodes = slabsByNode.map((slabs, node) => `N${node}=${slabs}`);
  files.push(['slabs', [attributes.slabs, ...nodes].join(' ')]);
  for (const [key, total] of Object.entries(counters)) {
    const cpus = countersByCpu
      .filter((row) => row[key as keyof CacheCounters] !== 0)
      .map((row) => `C${row.cpu}=${row[key as keyof CacheCounters]}`);
    files.push([fileName(key), [total, ...cpus].join(' ')]);
  }
  return Object.fromEntries(files.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** All of them as `grep . /sys/kernel/slab/<cache>/*` prints them: a line `name:contents` each. */
export function formatAttributes(attributes: CacheAttributes): string {
  const files = Object.entries(attributeFiles(attributes));
  return files.map(([name, contents]) => `${name}:${contents}\n`).join('');
}
