/**
 * A heap as an inspector draws it: all of it at once, in arrays and sums, many times a second. Like an image (image.ts), which has
 * what the heap says of itself, it is made of a snapshot's metadata, takes no CPU slot and changes nothing.
 *
 *     frames()      what every page frame is (frameTable.ts)
 *     figures()     bytes, objects, fragmentation, by heap and by cache, summed over a frame table
 *     slab(pfn)     one slab, object by object: its state, and whose sheaf it is in
 *     words(pfn)    a page descriptor's words, each with what it means
 *     sheaves()     sheaves and barns by cache, CPU and node
 *     cpus()        CPU slots with their counters
 *
 * The metadata may be that of a heap in full work: no word is trusted (frameTable.ts).
 */

import { hasBit } from '../memory/bitmap.ts';
import {
  COUNTERS,
  type CounterName,
  generationOf,
  OFFLINE,
  ONLINE,
  REAPING,
  readTag,
  readThread,
  statusOf,
} from '../memory/cpu.ts';
import { hex } from '../memory/errors.ts';
import {
  barnAt,
  C_CAPACITY,
  C_FLAGS,
  C_FRAMES,
  C_LEFT,
  C_MERGED,
  C_NAME,
  C_NAME_LENGTH,
  C_OBJECTS,
  C_SIZE,
  C_STRIDE,
  CPU_COUNTERS,
  CPU_STATUS,
  cacheAt,
  cpuAt,
  GRANULE_SHIFT,
  H_KMALLOC_CACHES,
  H_PEAK_FRAMES,
  NAME_BYTES,
  nodeOf,
  PAGE_WORDS,
  pageAt,
  SHEAF_WORDS,
  sheavesAt,
  WORD_SHIFT,
  windowBytes,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { decodeText } from '../memory/text.ts';
import {
  CACHED,
  CLAIM_FROZEN,
  CLAIM_LIVE,
  CLAIM_NEW,
  CLAIM_PENDING,
  CLAIM_USED,
  CONTINUED,
  COUNT_MASK,
  cacheOf,
  FREE,
  isLive,
  isWaiting,
  kindOf,
  OWNER_PARKED,
  ownerOf,
  PAGE_BASE,
  PAGE_CLAIM,
  PAGE_FIRST_FREE,
  PAGE_FLAGS,
  PAGE_GRACE,
  PAGE_GROUP,
  PAGE_HEAD,
  PAGE_LAST,
  PAGE_RECIPROCAL,
  PAGE_REQUESTED,
  PAGE_RUN,
  PAGE_SOURCE,
  PAGE_STATES,
  PAGE_STRIDE,
  PAGE_VPN,
  PENDING,
  RELEASING,
} from '../page/page.ts';
import { CACHE_NONE, cacheStatus } from '../slab/cacheTable.ts';
import { flagNames } from '../slab/flags.ts';
import { IN_BARN } from '../slab/sheaves.ts';
import { cacheCounters } from './cacheCounters.ts';
import {
  FRAME,
  type FrameTable,
  forEachEntry,
  forEachSheaf,
  framesOf,
  frameTable,
  isCpu,
  statesOf,
} from './frameTable.ts';
import { type BuddyInfo, buddyinfo, type Counters, counters } from './meminfo.ts';

/** A cache, as far as its descriptor and the frames say. */
export interface CacheFigures {
  id: number;
  name: string;
  /** One of kmalloc's. */
  isKmalloc: boolean;
  /** Bytes of an object, and from one to the next. */
  size: number;
  stride: number;
  objectsPerSlab: number;
  framesPerSlab: number;
  /** Objects of a sheaf. */
  sheafCapacity: number;
  /** Names of its flags, or ''. */
  flags: string;
  /** Objects by state. */
  live: number;
  cached: number;
  waiting: number;
  free: number;
  slabs: number;
  /** Slabs with free objects and others. */
  partial: number;
  /** Slabs without a live or cached object. */
  empty: number;
  /** Bytes of its slabs, and of its live objects. */
  footprint: number;
  liveBytes: number;
}

/** A heap's figures at one moment. Bytes, unless the name says otherwise. */
export interface HeapFigures {
  size: number;
  maxSize: number;
  free: number;
  footprint: number;
  peakFootprint: number;
  live: number;
  /** Objects in sheaves and barns, in bytes: neither live nor free. */
  cached: number;
  /** The longest run of free frames. */
  largestFree: number;
  /** Large objects, pages and vmalloc areas. */
  runs: number;
  liveObjects: number;
  cachedObjects: number;
  slabs: number;
  caches: CacheFigures[];
}

/** One slab, object by object. */
export interface SlabImage {
  head: number;
  frames: number;
  cache: number;
  name: string;
  /** Address of the first object. */
  base: number;
  stride: number;
  /** State bytes, by object; `stateName` says what they mean. */
  states: Uint8Array;
  /** By object: the CPU whose sheaf it is in, `HOLDER_BARN`, or `HOLDER_NONE`. */
  holders: Int16Array;
}

/** Holders of an object beside CPUs. */
export const HOLDER_NONE = -1;
export const HOLDER_BARN = -2;

/** A word of a page descriptor. */
export interface DescriptorWord {
  name: string;
  value: number;
  /** What it says, in words; '' where it says nothing. */
  meaning: string;
}

/** Sheaves that a CPU has of a cache, or that the barn of a node keeps. */
export interface SheafRow {
  cache: number;
  name: string;
  /** The CPU, or `HOLDER_BARN`. */
  holder: number;
  /** Of a barn: its node. */
  node: number;
  sheaves: number;
  objects: number;
  /** Objects that a sheaf has room for. */
  capacity: number;
}

/** A CPU slot that has ever been taken. */
export interface CpuRow {
  cpu: number;
  status: 'online' | 'offline' | 'reaping' | 'leaving';
  generation: number;
  tag?: string | number;
  thread?: number;
  /** Sheaves and objects in them. */
  sheaves: number;
  objects: number;
  counters: Record<CounterName, number>;
}

/** What a state byte means: `free cached live continued releasing pending waiting`, or its number. */
export function stateName(state: number): string {
  if (isLive(state)) return 'live';
  if (isWaiting(state)) return 'waiting';
  const names: Record<number, string> = {
    [FREE]: 'free',
    [CACHED]: 'cached',
    [CONTINUED]: 'continued',
    [RELEASING]: 'releasing',
    [PENDING]: 'pending',
  };
  return names[state] ?? `state ${state}`;
}

const KIND_NAMES: readonly string[] = [
  'none',
  'slab',
  'slab tail',
  'large',
  'pages',
  'tail',
  'waiting',
  'vmalloc',
];
/** What a frame is, by `FRAME`. */
export const FRAME_NAMES: readonly string[] = [
  ...[
    'free',
    'slab',
    'slab',
    'large object',
    'pages',
    'tail of a run',
    'waits for a grace period',
    'vmalloc',
  ],
  'reserved',
];

export class HeapView {
  private readonly metadata: Metadata;

  constructor(metadata: Metadata) {
    this.metadata = metadata;
  }

  get pageSize(): number {
    return 2 ** this.metadata.layout.pageShift;
  }
  /** The first frame that the heap has, and the end of those that it has now and may grow to. */
  get startFrame(): number {
    return this.metadata.layout.startFrame;
  }
  get frameEnd(): number {
    return framesOf(this.metadata);
  }
  get maxFrames(): number {
    return this.metadata.layout.maxFrames;
  }
  get nodes(): number {
    return this.metadata.layout.nodes;
  }

  /** Cost: O(frames + objects + sheaves). */
  frames(): FrameTable {
    return frameTable(this.metadata);
  }

  /** Sums over a frame table of this view. Cost: O(frames + caches). */
  figures(table: FrameTable): HeapFigures {
    return figuresOf(this.metadata, table);
  }

  /** Free runs by node, zone and order. Cost: O(frames). */
  buddyinfo(): BuddyInfo[] {
    return buddyinfo(this.metadata);
  }

  /** What the slow paths of all CPUs have counted. */
  counters(): Counters {
    return counters(this.metadata);
  }

  /** Objects allocated and freed since the heap was made: what the counters of all CPUs and caches say (cacheCounters.ts). */
  operations(): { allocations: number; frees: number } {
    const { largeAllocated, largeFreed } = this.counters();
    const sum = { allocations: largeAllocated, frees: largeFreed };
    for (const id of cachesOf(this.metadata).keys()) {
      for (const row of cacheCounters(this.metadata, id)) {
        sum.allocations += row.allocFastpath + row.allocSlowpath;
        sum.frees += row.freeFastpath + row.freeSlowpath + row.freeRcu;
      }
    }
    return sum;
  }

  /** The name of a cache; '' for none. */
  cacheName(cache: number): string {
    return cacheNameOf(this.metadata, cache);
  }

  /** The slab that frame `pfn` belongs to; undefined if it carries none. Cost: O(its objects + sheaves of its cache). */
  slab(pfn: number): SlabImage | undefined {
    return slabOf(this.metadata, pfn);
  }

  /** The words of a frame's page descriptor. */
  words(pfn: number): DescriptorWord[] {
    return wordsOf(this.metadata, pfn);
  }

  /** The node that a frame belongs to. */
  nodeOf(pfn: number): number {
    return nodeOf(this.metadata.layout, pfn);
  }

  /** Sheaves in use. Cost: O(caches · sheaves). */
  sheaves(): SheafRow[] {
    return sheafRows(this.metadata);
  }

  /** CPU slots that have ever been taken. `sheaves`: this view's. */
  cpus(sheaves: readonly SheafRow[]): CpuRow[] {
    const { layout } = this.metadata;
    const rows: CpuRow[] = [];
    for (let cpu = 0; cpu < layout.cpus; cpu++) {
      if (this.metadata.m[cpuAt(layout, cpu) + CPU_STATUS] !== 0)
        rows.push(cpuRow(this.metadata, cpu, sheaves));
    }
    return rows;
  }
}

function cacheNameOf({ m, s, layout }: Metadata, cache: number): string {
  if (cache <= 0 || cache >= layout.caches) return '';
  const descriptor = cacheAt(layout, cache);
  const length = Math.min(Math.max(0, m[descriptor + C_NAME_LENGTH]), NAME_BYTES);
  return decodeText(s, (descriptor + C_NAME) << WORD_SHIFT, length);
}

function emptyFigures({ m, layout }: Metadata, id: number): CacheFigures {
  const descriptor = cacheAt(layout, id);
  return {
    id,
    name: '',
    isKmalloc: id <= m[H_KMALLOC_CACHES],
    size: m[descriptor + C_SIZE],
    stride: m[descriptor + C_STRIDE],
    objectsPerSlab: m[descriptor + C_OBJECTS],
    framesPerSlab: m[descriptor + C_FRAMES],
    sheafCapacity: m[descriptor + C_CAPACITY],
    flags: flagNames(m[descriptor + C_FLAGS]),
    ...{
      live: 0,
      cached: 0,
      waiting: 0,
      free: 0,
      slabs: 0,
      partial: 0,
      empty: 0,
      footprint: 0,
      liveBytes: 0,
    },
  };
}

/** Caches that have a descriptor of their own slabs, by number: a merged one has none. */
function cachesOf(metadata: Metadata): Map<number, CacheFigures> {
  const { m, layout } = metadata;
  const caches = new Map<number, CacheFigures>();
  for (let id = 1; id < layout.caches; id++) {
    const descriptor = cacheAt(layout, id);
    if (cacheStatus(m[descriptor]) === CACHE_NONE || m[descriptor + C_MERGED] !== 0) continue;
    const figures = emptyFigures(metadata, id);
    figures.name = cacheNameOf(metadata, id);
    caches.set(id, figures);
  }
  return caches;
}

function addSlab(cache: CacheFigures, table: FrameTable, pfn: number): void {
  const live = table.live[pfn];
  const cached = table.cached[pfn];
  const waiting = table.waiting[pfn];
  const free = table.objects[pfn] - live - cached - waiting;
  cache.live += live;
  cache.cached += cached;
  cache.waiting += waiting;
  cache.free += free;
  cache.slabs++;
  if (free > 0 && free < table.objects[pfn]) cache.partial++;
  if (free === table.objects[pfn]) cache.empty++;
  cache.liveBytes += live * cache.stride;
}

function figuresOf(metadata: Metadata, table: FrameTable): HeapFigures {
  const { m, layout } = metadata;
  const { pageSize } = table;
  const caches = cachesOf(metadata);
  const frames = { free: 0, runs: 0, run: 0, largest: 0 };
  for (let pfn = table.start; pfn < table.end; pfn++) {
    const kind = table.kind[pfn];
    frames.run = kind === FRAME.FREE ? frames.run + 1 : 0;
    frames.largest = Math.max(frames.largest, frames.run);
    if (kind === FRAME.FREE) frames.free++;
    const cache = caches.get(table.cache[pfn]);
    if (cache !== undefined) cache.footprint += pageSize;
    if (kind === FRAME.SLAB && cache !== undefined) addSlab(cache, table, pfn);
    const headKind = table.kind[table.head[pfn]];
    if (headKind === FRAME.LARGE || headKind === FRAME.PAGES || headKind === FRAME.VMALLOC) frames.runs++;
  }
  const used = table.end - table.start - frames.free;
  const list = [...caches.values()];
  const sum = (of: (cache: CacheFigures) => number): number =>
    list.reduce((total, cache) => total + of(cache), 0);
  return {
    size: windowBytes(layout, table.end),
    maxSize: windowBytes(layout, layout.maxFrames),
    free: frames.free * pageSize,
    footprint: used * pageSize,
    peakFootprint: Math.max(used, m[H_PEAK_FRAMES]) * pageSize,
    live: sum((cache) => cache.liveBytes) + frames.runs * pageSize,
    cached: sum((cache) => cache.cached * cache.stride),
    largestFree: frames.largest * pageSize,
    runs: frames.runs * pageSize,
    liveObjects: sum((cache) => cache.live),
    cachedObjects: sum((cache) => cache.cached),
    slabs: sum((cache) => cache.slabs),
    caches: list,
  };
}

function slabOf(metadata: Metadata, pfn: number): SlabImage | undefined {
  const { m, s, layout } = metadata;
  if (pfn < layout.startFrame || pfn >= framesOf(metadata)) return undefined;
  const page = pageAt(layout, pfn);
  const kind = kindOf(m[page + PAGE_FLAGS]);
  if (kind !== FRAME.SLAB && kind !== FRAME.SLAB_TAIL) return undefined;
  const head = kind === FRAME.SLAB ? pfn : m[page + PAGE_HEAD];
  const cache = cacheOf(m[page + PAGE_FLAGS]);
  if (head < layout.startFrame || head > pfn || cache === 0 || cache >= layout.caches) return undefined;
  const descriptor = cacheAt(layout, cache);
  const { from, objects } = statesOf(metadata, head, cache);
  // Behind a red zone at the left, where the cache has one.
  const left = Math.max(0, m[descriptor + C_LEFT]) << GRANULE_SHIFT;
  const base = head * 2 ** layout.pageShift + left;
  const stride = m[descriptor + C_STRIDE];
  const frames = m[descriptor + C_FRAMES];
  const states = s.slice(from, from + objects);
  const holders = holdersOf(metadata, cache, base, stride, objects);
  return { head, frames, cache, name: cacheNameOf(metadata, cache), base, stride, states, holders };
}

/** Whose sheaf each object of a slab is in. */
function holdersOf(
  metadata: Metadata,
  cache: number,
  base: number,
  stride: number,
  objects: number,
): Int16Array {
  const holders = new Int16Array(objects).fill(HOLDER_NONE);
  forEachSheaf(metadata, (of, sheaf, owner) => {
    if (of !== cache) return;
    const holder = isCpu(owner, metadata.layout.cpus) ? owner - 1 : HOLDER_BARN;
    forEachEntry(metadata, cache, sheaf, (address) => {
      const index = Math.floor((address - base) / stride);
      if (index >= 0 && index < objects) holders[index] = holder;
    });
  });
  return holders;
}

/** What a claim word says (page/page.ts). */
function claimMeaning(claim: number): string {
  if (claim === 0) return 'free';
  const owner = ownerOf(claim);
  const parts: string[] = [];
  if ((claim & CLAIM_USED) !== 0) parts.push('used');
  if (owner === OWNER_PARKED) parts.push('parked');
  else if (owner !== 0) parts.push(`held by CPU ${owner - 1}`);
  if ((claim & CLAIM_LIVE) !== 0) parts.push('live');
  if ((claim & CLAIM_NEW) !== 0) parts.push('new');
  if ((claim & CLAIM_FROZEN) !== 0) parts.push('frozen');
  if ((claim & CLAIM_PENDING) !== 0) parts.push('pending');
  if ((claim & CLAIM_LIVE) === 0) parts.push(`${claim & COUNT_MASK} free`);
  return parts.join(', ');
}

/** What FLAGS says, as the present or the last kind. */
function flagsMeaning(metadata: Metadata, word: number): string {
  const kind = KIND_NAMES[kindOf(word)] ?? `kind ${kindOf(word)}`;
  const cache = cacheOf(word);
  return cache === 0 ? kind : `${kind} of ${cacheNameOf(metadata, cache) || `cache ${cache}`}`;
}

function wordsOf(metadata: Metadata, pfn: number): DescriptorWord[] {
  const { m, layout } = metadata;
  if (pfn < layout.startFrame || pfn >= layout.maxFrames) return [];
  const page = pageAt(layout, pfn);
  const plain = (): string => '';
  const frames = (value: number): string => (value === 0 ? '' : `${value} frame${value === 1 ? '' : 's'}`);
  const bytes = (value: number): string => (value === 0 ? '' : `${value} bytes`);
  const meanings: [number, string, (value: number) => string][] = [
    [PAGE_FLAGS, 'FLAGS', (value) => flagsMeaning(metadata, value)],
    [PAGE_CLAIM, 'CLAIM', claimMeaning],
    [PAGE_HEAD, 'HEAD', (value) => `frame ${value}`],
    [PAGE_RUN, 'RUN', frames],
    [PAGE_FIRST_FREE, 'FIRST_FREE', (value) => `none free below object ${value}`],
    [PAGE_LAST, 'LAST', (value) => (value === 0 ? 'never released' : `was ${flagsMeaning(metadata, value)}`)],
    [PAGE_REQUESTED, 'REQUESTED', bytes],
    [PAGE_BASE, 'BASE', (value) => hex(value >>> 0)],
    [PAGE_RECIPROCAL, 'RECIPROCAL', (value) => (value === 0 ? '' : `⌈2¹⁶ / granules⌉`)],
    [PAGE_STRIDE, 'STRIDE', bytes],
    [PAGE_STATES, 'STATES', (value) => (value === 0 ? '' : `at byte ${value}`)],
    [PAGE_GROUP, 'GROUP', (value) => (value === 0 ? '' : `charged to group ${value}`)],
    [PAGE_VPN, 'VPN', (value) => (value === 0 ? '' : `virtual page ${value}`)],
    [PAGE_GRACE, 'GRACE', (value) => (value === 0 ? '' : `grace period ${value}`)],
    [PAGE_SOURCE, 'SOURCE', plain],
  ];
  const known = new Set(meanings.map(([at]) => at));
  const words = meanings.map(([at, name, meaning]) => ({
    at,
    name,
    value: m[page + at],
    meaning: meaning(m[page + at]),
  }));
  for (let at = 0; at < PAGE_WORDS; at++) {
    if (!known.has(at)) words.push({ at, name: `word ${at}`, value: m[page + at], meaning: '' });
  }
  words.sort((a, b) => a.at - b.at);
  return words.map(({ name, value, meaning }) => ({ name, value, meaning }));
}

/** The node whose barn has sheaf number `number` of a cache. */
function barnNode({ m, layout }: Metadata, cache: number, number: number): number {
  for (let node = 0; node < layout.nodes; node++)
    if (hasBit(m, barnAt(layout, cache, node), number)) return node;
  return 0;
}

function sheafRows(metadata: Metadata): SheafRow[] {
  const { m, layout } = metadata;
  const rows = new Map<string, SheafRow>();
  forEachSheaf(metadata, (cache, sheaf, owner) => {
    const held = isCpu(owner, layout.cpus);
    if (!held && owner !== IN_BARN) return;
    const number = (sheaf - sheavesAt(layout, cache)) / SHEAF_WORDS;
    const node = held ? 0 : barnNode(metadata, cache, number);
    const holder = held ? owner - 1 : HOLDER_BARN;
    const key = `${cache} ${holder} ${node}`;
    const capacity = m[cacheAt(layout, cache) + C_CAPACITY];
    const name = cacheNameOf(metadata, cache);
    const row = rows.get(key) ?? { cache, name, holder, node, sheaves: 0, objects: 0, capacity };
    rows.set(key, row);
    row.sheaves++;
    forEachEntry(metadata, cache, sheaf, () => row.objects++);
  });
  return [...rows.values()].sort((a, b) => a.cache - b.cache || a.holder - b.holder || a.node - b.node);
}

function cpuRow(metadata: Metadata, cpu: number, sheaves: readonly SheafRow[]): CpuRow {
  const { m, layout } = metadata;
  const record = cpuAt(layout, cpu);
  const word = m[record + CPU_STATUS];
  const names: Record<number, CpuRow['status']> = {
    [OFFLINE]: 'offline',
    [ONLINE]: 'online',
    [REAPING]: 'reaping',
  };
  const own = sheaves.filter(({ holder }) => holder === cpu);
  const counted = COUNTERS.map((name, i): [CounterName, number] => [
    name,
    m[record + CPU_COUNTERS + i] >>> 0,
  ]);
  const row: CpuRow = {
    cpu,
    status: names[statusOf(word)] ?? 'leaving',
    generation: generationOf(word),
    sheaves: own.reduce((sum, { sheaves: count }) => sum + count, 0),
    objects: own.reduce((sum, { objects }) => sum + objects, 0),
    counters: Object.fromEntries(counted) as Record<CounterName, number>,
  };
  const tag = readTag(metadata, cpu);
  const thread = readThread(metadata, cpu);
  if (tag !== undefined) row.tag = tag;
  if (thread !== undefined) row.thread = thread;
  return row;
}
