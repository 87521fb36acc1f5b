/** Two moments of a heap compared: by frame for the map, by cache for the table, in sum. */
import { type CacheFigures, FRAME, type FrameTable } from 'modslab/inspect';
import type { Moment } from './moment.ts';

/** By frame: how its live share has changed, and whether it is in use now. */
export interface Change {
  /** -1 … 1: from full to empty, from empty to full. */
  readonly delta: Float32Array;
  readonly used: Uint8Array;
}

/** A cache then and now. */
export interface CacheChange {
  name: string;
  before: number;
  after: number;
  /** Differences: live objects, slabs, bytes of live objects, bytes of slabs. */
  live: number;
  slabs: number;
  liveBytes: number;
  footprint: number;
}

export interface Comparison {
  readonly change: Change;
  readonly caches: CacheChange[];
  /** Differences in bytes. */
  readonly footprint: number;
  readonly live: number;
  readonly liveObjects: number;
  /** Frames in use now and not before, before and not now, and those whose fill has changed. */
  readonly taken: number;
  readonly released: number;
  readonly changed: number;
}

/** Share of a frame that live objects have. */
function liveShare(table: FrameTable, pfn: number): number {
  if (pfn < table.start || pfn >= table.end) return 0;
  const head = table.head[pfn];
  const kind = table.kind[head];
  if (kind === FRAME.FREE) return 0;
  if (kind !== FRAME.SLAB) return 1;
  return table.live[head] / Math.max(1, table.objects[head]);
}

const isUsed = (table: FrameTable, pfn: number): boolean =>
  pfn >= table.start && pfn < table.end && table.kind[pfn] !== FRAME.FREE;

/** What has changed from `before` to `after`. Cost: O(frames + caches). */
export function compare(before: Moment, after: Moment): Comparison {
  const [a, b] = [before.frames, after.frames];
  const end = Math.max(a.end, b.end);
  const delta = new Float32Array(end);
  const used = new Uint8Array(end);
  const tally = { taken: 0, released: 0, changed: 0 };
  for (let pfn = Math.min(a.start, b.start); pfn < end; pfn++) {
    delta[pfn] = liveShare(b, pfn) - liveShare(a, pfn);
    const [was, is] = [isUsed(a, pfn), isUsed(b, pfn)];
    if (is) used[pfn] = 1;
    if (is && !was) tally.taken++;
    else if (was && !is) tally.released++;
    else if (delta[pfn] !== 0) tally.changed++;
  }
  return {
    change: { delta, used },
    caches: compareCaches(before.figures.caches, after.figures.caches),
    footprint: after.figures.footprint - before.figures.footprint,
    live: after.figures.live - before.figures.live,
    liveObjects: after.figures.liveObjects - before.figures.liveObjects,
    ...tally,
  };
}

/** By name, since numbers are used again; those that have changed, the largest change first. */
function compareCaches(before: readonly CacheFigures[], after: readonly CacheFigures[]): CacheChange[] {
  const old = new Map(before.map((cache) => [cache.name, cache]));
  const now = new Map(after.map((cache) => [cache.name, cache]));
  const names = new Set([...old.keys(), ...now.keys()]);
  const changes = [...names].map((name): CacheChange => {
    const [a, b] = [old.get(name), now.get(name)];
    const difference = (of: (cache: CacheFigures) => number): number =>
      (b === undefined ? 0 : of(b)) - (a === undefined ? 0 : of(a));
    return {
      name,
      before: a?.live ?? 0,
      after: b?.live ?? 0,
      live: difference((cache) => cache.live),
      slabs: difference((cache) => cache.slabs),
      liveBytes: difference((cache) => cache.liveBytes),
      footprint: difference((cache) => cache.footprint),
    };
  });
  return changes
    .filter((cache) => cache.live !== 0 || cache.slabs !== 0)
    .sort((a, b) => Math.abs(b.liveBytes) - Math.abs(a.liveBytes) || (a.name < b.name ? -1 : 1));
}
