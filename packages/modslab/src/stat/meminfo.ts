/** Memory figures: how much of the heap is in use, by whom, and how it is broken up. Computed when asked for. */

import { countSet, nextClear, nextSet } from '../memory/bitmap.ts';
import { COUNTERS, type CounterName, generationOf } from '../memory/cpu.ts';
import {
  C_OBJECTS,
  C_STRIDE,
  CACHE_WORDS,
  CPU_COUNTERS,
  CPU_STATUS,
  CPU_WORDS,
  cacheAt,
  cpuAt,
  H_DMA_END,
  H_DMA_START,
  H_FRAMES,
  H_PEAK_FRAMES,
  HEADER_WORDS,
  nodeStart,
  PAGE_WORDS,
  pageAt,
  SHEAF_WORDS,
  SHEAF_WORDS_SHIFT,
  sheavesAt,
  WORD_SHIFT,
  windowBytes,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { KIND_LARGE, KIND_PAGES, KIND_VMALLOC, kindOf, PAGE_FLAGS, PAGE_RUN } from '../page/page.ts';
import { countAllObjects } from '../slab/count.ts';
import { slabsOf } from '../slab/granules.ts';

/** All in bytes. */
export interface MemInfo {
  /** The heap's window at present. */
  size: number;
  /** What it may grow to. */
  maxSize: number;
  /** Page frames that the heap has, in bytes. */
  total: number;
  /** Frames that nobody uses. */
  free: number;
  /** Frames in use: slabs, large objects, pages. */
  footprint: number;
  /** The largest footprint so far. */
  peakFootprint: number;
  /** Of the metadata buffer, what frames, caches, CPUs and sheaves in use need (the rest is reserved, not touched). */
  metadata: number;
  /** Live objects, each as large as its class; large objects, pages and vmalloc areas with all their frames. */
  live: number;
}

/** Runs of free frames of a node and zone by order: `free[o]` aligned blocks of 2^o frames, each as large as can be. */
export interface BuddyInfo {
  node: number;
  zone: 'Normal' | 'DMA';
  free: number[];
}

/** Sums over all CPUs of what their slow paths have counted since the heap was made. */
export type Counters = Record<CounterName, number>;

/** Cost: O(frames + objects). */
export function meminfo(metadata: Metadata): MemInfo {
  const { m, layout } = metadata;
  const pageSize = 2 ** layout.pageShift;
  const frames = Atomics.load(m, H_FRAMES);
  const total = frames - layout.startFrame;
  const free = countSet(m, layout.freeBitmap, layout.startFrame, frames);
  const counts = countAllObjects(metadata);
  let live = runBytes(metadata, frames);
  let states = 0;
  counts.forEach((count, id) => {
    live += count.live * m[cacheAt(layout, id) + C_STRIDE];
    if (slabsOf(metadata, id) === id) states += count.slabs * m[cacheAt(layout, id) + C_OBJECTS];
  });
  return {
    size: windowBytes(layout, frames),
    maxSize: windowBytes(layout, layout.maxFrames),
    total: total * pageSize,
    free: free * pageSize,
    footprint: (total - free) * pageSize,
    peakFootprint: Math.max(m[H_PEAK_FRAMES], total - free) * pageSize,
    metadata: tableBytes(metadata, frames) + states,
    live,
  };
}

/** Bytes of everything in the metadata but the states of objects, as far as it is in use. */
function tableBytes(metadata: Metadata, frames: number): number {
  const { m, layout } = metadata;
  const bitmap = Math.ceil(frames / 32);
  let words = HEADER_WORDS + frames * PAGE_WORDS + bitmap;
  for (let cpu = 0; cpu < layout.cpus; cpu++)
    if (generationOf(m[cpuAt(layout, cpu) + CPU_STATUS]) !== 0) words += CPU_WORDS;
  for (let cache = 1; cache < layout.caches; cache++) {
    if (m[cacheAt(layout, cache) + C_OBJECTS] === 0) continue;
    words += CACHE_WORDS + bitmap + layout.nodes * layout.barnWords;
    const pool = sheavesAt(layout, cache);
    for (let sheaf = pool; sheaf < pool + (layout.sheavesPerCache << SHEAF_WORDS_SHIFT); sheaf += SHEAF_WORDS)
      if (m[sheaf] !== 0) words += SHEAF_WORDS;
  }
  return words << WORD_SHIFT;
}

function runBytes(metadata: Metadata, frames: number): number {
  const { m, layout } = metadata;
  let bytes = 0;
  for (let pfn = layout.startFrame; pfn < frames; pfn++) {
    const page = pageAt(layout, pfn);
    const kind = kindOf(m[page + PAGE_FLAGS]);
    if (kind === KIND_LARGE || kind === KIND_PAGES || kind === KIND_VMALLOC)
      bytes += m[page + PAGE_RUN] * 2 ** layout.pageShift;
  }
  return bytes;
}

/** Cost: O(frames). */
export function buddyinfo(metadata: Metadata): BuddyInfo[] {
  const { m, layout } = metadata;
  const frames = Atomics.load(m, H_FRAMES);
  const rows: BuddyInfo[] = [];
  const dmaStart = m[H_DMA_START];
  const dmaEnd = m[H_DMA_END];
  for (let node = 0; node < layout.nodes; node++) {
    const start = nodeStart(layout, node);
    const end = Math.min(nodeStart(layout, node + 1), frames);
    if (dmaStart < dmaEnd) {
      const free = blocks(metadata, Math.max(start, dmaStart), Math.min(end, dmaEnd));
      if (Math.max(start, dmaStart) < Math.min(nodeStart(layout, node + 1), dmaEnd))
        rows.push({ node, zone: 'DMA', free });
      const below = blocks(metadata, start, Math.min(end, dmaStart));
      const above = blocks(metadata, Math.max(start, dmaEnd), end);
      rows.push({ node, zone: 'Normal', free: below.map((count, order) => count + above[order]) });
    } else {
      rows.push({ node, zone: 'Normal', free: blocks(metadata, start, end) });
    }
  }
  return rows;
}

/** Splits the free runs of `start … end - 1` into the largest aligned blocks. */
function blocks(metadata: Metadata, start: number, end: number): number[] {
  const { m, layout } = metadata;
  const orders = 1 + Math.floor(Math.log2(Math.max(1, layout.maxFrames)));
  const free = new Array<number>(orders).fill(0);
  for (let pfn = nextSet(m, layout.freeBitmap, start, end); pfn < end; ) {
    const stop = nextClear(m, layout.freeBitmap, pfn, end);
    while (pfn < stop) {
      let order = 0;
      while (order + 1 < orders && pfn % 2 ** (order + 1) === 0 && pfn + 2 ** (order + 1) <= stop) order++;
      free[order]++;
      pfn += 2 ** order;
    }
    pfn = nextSet(m, layout.freeBitmap, pfn, end);
  }
  return free;
}

/** Cost: O(CPUs). */
export function counters(metadata: Metadata): Counters {
  const { m, layout } = metadata;
  const entries = COUNTERS.map((name, i): [CounterName, number] => {
    let sum = 0;
    for (let cpu = 0; cpu < layout.cpus; cpu++) sum += m[cpuAt(layout, cpu) + CPU_COUNTERS + i] >>> 0;
    return [name, sum];
  });
  return Object.fromEntries(entries) as Counters;
}
