/**
 * What `modslab top` shows: the lines of a page, from an image and the one before it. Pure: no terminal here.
 *
 *     caches    slabtop's table, under slabtop's summary
 *     activity  what each cache was used for, a second
 *     cpus      one line a CPU slot
 *     nodes     zones of the nodes, and their free runs by order
 */
import type { CacheCounters, HeapImage } from 'modslab/stat';
import {
  type CacheRow,
  type Column,
  cacheRows,
  count,
  headLine,
  percent,
  size,
  tableLine,
} from '../look/figures.ts';

export const PAGES = ['caches', 'activity', 'cpus', 'nodes'] as const;
export type Page = (typeof PAGES)[number];

/** slabtop's sort keys: what they are, and how they order. */
export const SORT_KEYS: Readonly<Record<string, { name: string; of: (row: CacheRow) => number }>> = {
  a: { name: 'active objects', of: (row) => row.objects },
  b: { name: 'objects per slab', of: (row) => row.objsPerSlab },
  c: { name: 'cache size', of: (row) => row.space },
  l: { name: 'slabs', of: (row) => row.slabs },
  v: { name: 'active slabs', of: (row) => row.activeSlabs },
  n: { name: 'name', of: () => 0 },
  o: { name: 'objects', of: (row) => row.totalObjects },
  p: { name: 'pages per slab', of: (row) => row.pagesPerSlab },
  s: { name: 'object size', of: (row) => row.objectSize },
  u: { name: 'use', of: (row) => row.usage },
};

/** A heap at an instant. */
export interface Moment {
  readonly image: HeapImage;
  readonly rows: readonly CacheRow[];
}

export const momentOf = (image: HeapImage): Moment => ({ image, rows: cacheRows(image) });

/** Order by a sort key: the most first, names alphabetically. */
export function sorted(rows: readonly CacheRow[], key: string): CacheRow[] {
  const { of } = SORT_KEYS[key] ?? SORT_KEYS.o;
  const byName = (a: CacheRow, b: CacheRow): number => (a.name < b.name ? -1 : 1);
  if (key === 'n') return [...rows].sort(byName);
  return [...rows].sort((a, b) => of(b) - of(a) || byName(a, b));
}

const share = (part: number, whole: number): string =>
  whole === 0 ? '0.0%' : `${((100 * part) / whole).toFixed(1)}%`;

const kilo = (bytes: number): string => `${(bytes / 1024).toFixed(2)}K`;

/** slabtop's five lines, and one about the heap. */
function summary({ image, rows }: Moment): string[] {
  const sum = (of: (row: CacheRow) => number): number => rows.reduce((total, row) => total + of(row), 0);
  const used = rows.filter(({ objects }) => objects > 0);
  const sizes = (used.length > 0 ? used : rows).map(({ objectSize }) => objectSize);
  const objects = sum((row) => row.objects);
  const average = objects === 0 ? 0 : sum((row) => row.used) / objects;
  const line = (label: string, active: string, total: string, percentage: string): string =>
    ` ${label.padEnd(35)}: ${active} / ${total} (${percentage})`;
  const totals: [string, number, number, (n: number) => string][] = [
    ['Active / Total Objects (% used)', objects, sum((row) => row.totalObjects), String],
    ['Active / Total Slabs (% used)', sum((row) => row.activeSlabs), sum((row) => row.slabs), String],
    ['Active / Total Caches (% used)', used.length, rows.length, String],
    ['Active / Total Size (% used)', sum((row) => row.used), sum((row) => row.space), kilo],
  ];
  const { size: heap, maxSize, footprint, peakFootprint, live } = image.meminfo();
  return [
    ...totals.map(([label, a, b, text]) => line(label, text(a), text(b), share(a, b))),
    ` ${'Minimum / Average / Maximum Object'.padEnd(35)}: ${kilo(Math.min(...sizes))} / ${kilo(average)} / ${kilo(Math.max(...sizes))}`,
    ` Heap ${size(heap)} of ${size(maxSize)}, in use ${size(footprint)} (peak ${size(peakFootprint)}), live ${size(live)}`,
  ];
}

/** slabtop's columns. */
const CACHES: readonly Column<CacheRow>[] = [
  { title: 'OBJS', width: 7, text: (row) => count(row.totalObjects) },
  { title: 'ACTIVE', width: 7, text: (row) => count(row.objects) },
  { title: 'USE', width: 4, text: (row) => `${percent(row.objects, row.totalObjects)}%` },
  { title: 'OBJ SIZE', width: 8, text: (row) => kilo(row.slabSize) },
  { title: 'SLABS', width: 6, text: (row) => count(row.slabs) },
  { title: 'OBJ/SLAB', width: 8, text: (row) => String(row.objsPerSlab) },
  { title: 'CACHE SIZE', width: 10, text: (row) => size(row.space) },
  { title: 'NAME', width: 22, left: true, text: (row) => row.name },
];

/** What happened to a cache, or on a CPU, between two instants; since the counters were cleared if there is only one. */
interface Activity {
  name: string;
  /** Seconds that it is of; 0: in all. */
  seconds: number;
  allocs: number;
  frees: number;
  counters: CacheCounters;
}

function rate(n: number, { seconds }: Activity): string {
  return count(seconds === 0 ? n : n / seconds);
}

const ACTIVITY: readonly Column<Activity>[] = [
  { title: 'ALLOC>=', width: 8, text: (row) => rate(row.allocs, row) },
  { title: 'FREE>=', width: 8, text: (row) => rate(row.frees, row) },
  {
    title: 'SLOW',
    width: 7,
    text: (row) => rate(row.counters.allocSlowpath + row.counters.freeSlowpath, row),
  },
  { title: 'REFILL', width: 7, text: (row) => rate(row.counters.sheafRefill, row) },
  { title: 'FLUSH', width: 7, text: (row) => rate(row.counters.sheafFlush, row) },
  { title: 'BARN-', width: 6, text: (row) => rate(row.counters.barnGet, row) },
  { title: 'BARN+', width: 6, text: (row) => rate(row.counters.barnPut, row) },
  { title: 'SLAB+', width: 5, text: (row) => rate(row.counters.allocSlab, row) },
  { title: 'NAME', width: 17, left: true, text: (row) => row.name },
];

const difference = (now: CacheCounters, before: CacheCounters | undefined): CacheCounters => {
  const result = { ...now };
  if (before === undefined) return result;
  // Cleared in between: what is there now has come since.
  for (const key of Object.keys(now) as (keyof CacheCounters)[])
    if (now[key] >= before[key]) result[key] = now[key] - before[key];
  return result;
};

function activities(now: Moment, before: Moment | undefined): Activity[] {
  const seconds = before === undefined ? 0 : Math.max(0.001, (now.image.time - before.image.time) / 1000);
  return now.rows.map((row) => {
    const old = before?.rows.find(({ name }) => name === row.name);
    const counters = difference(row.counters, old?.counters);
    return {
      name: row.name,
      seconds,
      allocs: counters.allocFastpath + counters.allocSlowpath,
      frees: counters.freeFastpath + counters.freeSlowpath + counters.freeRcu,
      counters,
    };
  });
}

/** A CPU slot and what it has in hand. */
interface CpuLine extends Activity {
  cpu: number;
  state: string;
  tag: string;
  sheaves: number;
  cached: number;
  held: number;
}

const CPUS: readonly Column<CpuLine>[] = [
  { title: 'CPU', width: 4, text: ({ cpu }) => String(cpu) },
  { title: 'STATE', width: 7, left: true, text: ({ state }) => state },
  { title: 'ALLOC>=', width: 8, text: (row) => rate(row.allocs, row) },
  { title: 'FREE>=', width: 8, text: (row) => rate(row.frees, row) },
  { title: 'REFILL', width: 7, text: (row) => rate(row.counters.sheafRefill, row) },
  { title: 'FLUSH', width: 7, text: (row) => rate(row.counters.sheafFlush, row) },
  { title: 'SHEAVES', width: 7, text: ({ sheaves }) => String(sheaves) },
  { title: 'CACHED', width: 7, text: ({ cached }) => size(cached) },
  { title: 'HELD', width: 4, text: ({ held }) => String(held) },
  { title: 'THREAD, TAG', width: 12, left: true, text: ({ tag }) => tag },
];

/** What one CPU has counted of all caches. */
function countersOf(rows: readonly CacheRow[], cpu: number): CacheCounters[] {
  return rows.flatMap(({ countersByCpu }) => countersByCpu.filter((row) => row.cpu === cpu));
}

function sumOf(all: readonly CacheCounters[], template: CacheCounters): CacheCounters {
  const sum = Object.fromEntries(Object.keys(template).map((key) => [key, 0])) as unknown as CacheCounters;
  for (const each of all) {
    for (const key of Object.keys(sum) as (keyof CacheCounters)[]) sum[key] += each[key];
  }
  return sum;
}

function cpuLines(now: Moment, before: Moment | undefined): CpuLine[] {
  const { image, rows } = now;
  const [first] = rows;
  if (first === undefined) return [];
  const seconds = before === undefined ? 0 : Math.max(0.001, (image.time - before.image.time) / 1000);
  const strides = new Map(rows.map(({ id, slabSize }) => [id, slabSize]));
  const sheaves = image.sheaves();
  const { owner } = image.frameMap();
  return image.cpus().map(({ cpu, online, thread, tag }) => {
    const own = sheaves.filter((sheaf) => sheaf.cpu === cpu);
    const was = before === undefined ? undefined : sumOf(countersOf(before.rows, cpu), first.counters);
    const counters = difference(sumOf(countersOf(rows, cpu), first.counters), was);
    return {
      cpu,
      name: '',
      state: online ? 'online' : 'offline',
      tag: [thread === undefined ? '' : `#${thread}`, tag ?? ''].filter((part) => part !== '').join(' '),
      seconds,
      sheaves: own.length,
      cached: own.reduce((sum, sheaf) => sum + sheaf.objects * (strides.get(sheaf.cache) ?? 0), 0),
      held: owner.reduce((held, each) => held + (each === cpu + 1 ? 1 : 0), 0),
      allocs: counters.allocFastpath + counters.allocSlowpath,
      frees: counters.freeFastpath + counters.freeSlowpath + counters.freeRcu,
      counters,
    };
  });
}

function nodeLines({ image }: Moment): string[] {
  const zones = image
    .zoneinfo()
    .map(({ node, zone, present, free, slabReclaimable, slabUnreclaimable }) =>
      [
        `${node}`.padStart(4),
        zone.padEnd(7),
        ...[present, free, slabReclaimable, slabUnreclaimable, present - free].map((bytes) =>
          size(bytes).padStart(9),
        ),
      ].join(' '),
    );
  const widest = Math.max(...image.buddyinfo().map(({ free }) => free.findLastIndex((n) => n > 0)), 0);
  const buddies = image.buddyinfo().map(({ node, zone, free }) => {
    const orders = free.slice(0, widest + 1).map((n) => String(n).padStart(4));
    return `${`${node}`.padStart(4)} ${zone.padEnd(7)} ${orders.join(' ')}`;
  });
  const head = [
    'NODE',
    'ZONE   ',
    ...['PRESENT', 'FREE', 'RECLAIM', 'UNRECLAIM', 'IN USE'].map((t) => t.padStart(9)),
  ];
  const orders = Array.from({ length: widest + 1 }, (_, order) => String(order).padStart(4));
  return [
    head.join(' '),
    ...zones,
    '',
    `FREE RUNS OF 2^ORDER PAGES OF ${size(image.pageSize)}`,
    `NODE ZONE    ${orders.join(' ')}`,
    ...buddies,
  ];
}

/** A page in at most `width` columns: what stays on top, and what can be scrolled. */
export interface PageText {
  readonly head: readonly string[];
  readonly body: readonly string[];
}

/** The lines of `page`. `before`: an earlier moment, for rates. Caches that have no slab are left out. */
export function pageText(page: Page, now: Moment, before: Moment | undefined, sortKey: string): PageText {
  const rows = sorted(
    now.rows.filter(({ slabs }) => slabs > 0),
    sortKey,
  );
  const top = summary(now);
  switch (page) {
    case 'caches':
      return { head: [...top, '', headLine(CACHES)], body: rows.map((row) => tableLine(CACHES, row)) };
    case 'activity': {
      const all = activities({ image: now.image, rows }, before);
      return { head: [...top, '', headLine(ACTIVITY)], body: all.map((row) => tableLine(ACTIVITY, row)) };
    }
    case 'cpus':
      return {
        head: [...top, '', headLine(CPUS)],
        body: cpuLines(now, before).map((row) => tableLine(CPUS, row)),
      };
    case 'nodes':
      return { head: [...top, ''], body: nodeLines(now) };
  }
}
