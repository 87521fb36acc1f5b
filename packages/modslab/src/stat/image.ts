/**
 * A heap to look at: the metadata of a snapshot, as it was when it was taken, with every figure that a heap gives of itself.
 * Nothing here changes it, and there is no thread of it: its CPUs stand as they stood, with their sheaves, their claims, and
 * what they had begun. For a heap to go on with, see `Heap.restore`.
 *
 * Of a snapshot of a heap in use some figures may not match each other; none of the calls here fails for that.
 */

import { readMetadata, type SnapshotInfo } from '../debug/snapshot.ts';
import { mergedInto } from '../kmalloc/merge.ts';
import { Cpu, usedFrames } from '../memory/cpu.ts';
import { addressOf } from '../memory/entry.ts';
import { checkInteger } from '../memory/errors.ts';
import {
  C_FLAGS,
  C_GRANULES,
  C_MERGED,
  C_OBJECTS,
  cacheAt,
  H_FRAMES,
  H_REPORTS,
  pageAt,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import {
  CACHED,
  cacheOf,
  FREE,
  isLive,
  isWaiting,
  KIND_SLAB,
  KIND_SLAB_TAIL,
  kindOf,
  PAGE_FLAGS,
  PAGE_HEAD,
} from '../page/page.ts';
import { CacheTable, firstEntryOf, firstStateAt } from '../slab/cacheTable.ts';
import { SLAB, SLAB_LOCAL_PAGES, type SlabFlags } from '../slab/flags.ts';
import { headOfRun } from '../slab/granules.ts';
import type { Address } from '../slab/slabAllocator.ts';
import { type CacheAttributes, cacheAttributes } from './attributes.ts';
import { type SheafInfo, sheavesOf } from './cacheCounters.ts';
import { type CpuInfo, cpuInfos } from './cpuInfo.ts';
import { type BuddyInfo, buddyinfo, type Counters, counters, type MemInfo, meminfo } from './meminfo.ts';
import { type FrameMap, frameMap, type PageInfo, pageInfo, pageWords } from './pageInfo.ts';
import { type SlabinfoRow, slabinfo } from './slabinfo.ts';
import { type ZoneInfo, zoneinfo } from './zoneinfo.ts';

/** What an object of a slab is. */
export type ObjectState = 'free' | 'cached' | 'live' | 'waiting' | 'pending';

/** An object of a slab, live or not. */
export interface ObjectInfo {
  addr: Address;
  state: ObjectState;
}

function objectState(state: number): ObjectState {
  if (isLive(state)) return 'live';
  if (isWaiting(state)) return 'waiting';
  if (state === CACHED) return 'cached';
  return state === FREE ? 'free' : 'pending';
}

/** The name of the page allocator that a cache with these flags has its slabs from (slab/pageSources.ts). */
function pageAllocatorName(flags: SlabFlags): string {
  const names = ['page_allocator'];
  names.unshift((flags & SLAB.RECLAIM_ACCOUNT) !== 0 ? 'reclaimable' : 'unreclaimable');
  if ((flags & SLAB.CACHE_DMA) !== 0) names.unshift('dma');
  if ((flags & SLAB.TYPESAFE_BY_RCU) !== 0) names.unshift('rcu');
  return `${(flags & SLAB_LOCAL_PAGES) !== 0 ? "(another thread's):" : ''}${names.join(':')}`;
}

/** A heap to look at; see above. */
export class HeapImage {
  /** Milliseconds since 1970 at which it was taken. */
  readonly time: number;
  /** Whether the snapshot has the objects' bytes too. */
  readonly hasData: boolean;
  /** Bytes of a page frame. */
  readonly pageSize: number;
  /** First frame of the heap, and the frames that it has by now, from 0; it may grow to `maxFrames`. */
  readonly startFrame: number;
  readonly frames: number;
  readonly maxFrames: number;
  readonly nodes: number;
  private readonly metadata: Metadata;
  private readonly table: CacheTable;

  constructor(metadata: Metadata, info: SnapshotInfo) {
    const { layout, m } = metadata;
    this.time = info.time;
    this.hasData = info.hasData;
    this.pageSize = 2 ** layout.pageShift;
    this.startFrame = layout.startFrame;
    this.frames = m[H_FRAMES];
    this.maxFrames = layout.maxFrames;
    this.nodes = layout.nodes;
    this.metadata = metadata;
    // A CPU that is nobody's: what is called here only reads.
    this.table = new CacheTable(metadata, new Cpu(metadata, 0, -1));
  }

  /** One row a cache. */
  slabinfo(): SlabinfoRow[] {
    return slabinfo(this.metadata, this.table, this.pageAllocatorOf);
  }

  /** The attributes of every cache that has slabs of its own, its counters among them. */
  attributes(): CacheAttributes[] {
    return cacheAttributes(this.metadata, this.table, this.pageAllocatorOf, this.mergedInto);
  }

  meminfo(): MemInfo {
    return meminfo(this.metadata);
  }

  buddyinfo(): BuddyInfo[] {
    return buddyinfo(this.metadata);
  }

  zoneinfo(): ZoneInfo[] {
    return zoneinfo(this.metadata);
  }

  /** What the slow paths of all CPUs have counted. */
  counters(): Counters {
    return counters(this.metadata);
  }

  cpus(): CpuInfo[] {
    return cpuInfos(this.metadata);
  }

  /** Reports of damaged metadata. */
  get reports(): number {
    return this.metadata.m[H_REPORTS];
  }

  /** Frames in use by the CPUs' own counts. */
  get usedFrames(): number {
    return usedFrames(this.metadata);
  }

  /** The name of cache number `id`. */
  cacheName(id: number): string {
    return this.table.name(id);
  }

  /** Sheaves that are in use: those of CPUs and those of barns; of one cache, or of all. */
  sheaves(cache?: number): SheafInfo[] {
    const ids = cache === undefined ? this.table.inUse() : [cache];
    return ids.flatMap((id) => sheavesOf(this.metadata, id));
  }

  /** The descriptor of frame `pfn`, read. Throws `RangeError` for a frame that the heap has not. */
  page(pfn: number): PageInfo {
    this.checkFrame(pfn);
    return pageInfo(this.metadata, pfn, (cache) => this.table.name(cache));
  }

  /** Its words, by name. */
  pageWords(pfn: number): Record<string, number> {
    this.checkFrame(pfn);
    return pageWords(this.metadata, pfn);
  }

  /** All frames at once, as arrays. */
  frameMap(): FrameMap {
    return frameMap(this.metadata);
  }

  /** The objects of the slab that frame `pfn` belongs to, in the order of their addresses; none if it is no slab's. */
  objects(pfn: number): ObjectInfo[] {
    this.checkFrame(pfn);
    const { m, s, layout } = this.metadata;
    const page = pageAt(layout, pfn);
    const isTail = kindOf(m[page + PAGE_FLAGS]) === KIND_SLAB_TAIL;
    const head = isTail ? m[page + PAGE_HEAD] : pfn;
    const flags = m[pageAt(layout, head) + PAGE_FLAGS];
    if (kindOf(flags) !== KIND_SLAB) return [];
    const cache = cacheAt(layout, cacheOf(flags));
    const states = firstStateAt(m, cache, head);
    const first = firstEntryOf(m, layout.pageShift, cache, head);
    return Array.from({ length: m[cache + C_OBJECTS] }, (_, index) => ({
      addr: addressOf(first + Math.imul(index, m[cache + C_GRANULES])),
      // In a page that caches share, a granule's state is that of the object that it belongs to.
      state: objectState(s[headOfRun(s, states + index)]),
    }));
  }

  private checkFrame(pfn: number): void {
    checkInteger('a frame', pfn, 0, this.frames - 1);
  }

  private readonly pageAllocatorOf = (cache: number): string =>
    pageAllocatorName(this.metadata.m[cacheAt(this.metadata.layout, cache) + C_FLAGS]);

  private readonly mergedInto = (cache: number): number =>
    mergedInto(this.metadata.m[cacheAt(this.metadata.layout, cache) + C_MERGED]);
}

/**
 * Opens a snapshot to look at it. Throws `TypeError` for what is no Uint8Array, `EINVAL` for what is no snapshot, `EVERSION`
 * for one of another version, `ECORRUPT` for a damaged one.
 */
export function openSnapshot(bytes: Uint8Array): HeapImage {
  const { metadata, info } = readMetadata(bytes);
  return new HeapImage(metadata, info);
}

/** A heap in use, of any thread, as it is at this moment: by way of a snapshot of its metadata. */
export function imageOf(heap: { snapshot(options: { data: boolean }): Uint8Array }): HeapImage {
  return openSnapshot(heap.snapshot({ data: false }));
}
