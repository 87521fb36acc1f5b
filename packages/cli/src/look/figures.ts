/** Figures of a cache that follow from its attributes, as slabinfo and slabtop show them; and numbers in few characters. */
import type { CacheAttributes, HeapImage } from 'modslab/stat';

/** A cache, with what follows from its attributes. All sizes in bytes. */
export interface CacheRow extends CacheAttributes {
  /** Bytes of all its slabs. */
  space: number;
  /** Bytes that its live objects were asked for, where owners are tracked; else all that those have. */
  used: number;
  /** The rest: free objects, rounding within slabs, and, where owners are tracked, within objects. */
  loss: number;
  /** Slabs with objects that are not free. */
  activeSlabs: number;
  /** Live objects of the room that its slabs have, 0 … 1. */
  usage: number;
  /** Allocations and frees since the counters were cleared: at least so many. */
  allocs: number;
  frees: number;
  activity: number;
}

/** The rows of a heap's caches. */
export function cacheRows(image: HeapImage): CacheRow[] {
  const active = new Map(image.slabinfo().map(({ name, activeSlabs }) => [name, activeSlabs]));
  return image.attributes().map((cache) => {
    const space = cache.slabs * cache.pagesPerSlab * image.pageSize;
    const used = cache.bytesRequested ?? cache.objects * cache.objectSize;
    const { counters } = cache;
    const allocs = counters.allocFastpath + counters.allocSlowpath;
    const frees = counters.freeFastpath + counters.freeSlowpath + counters.freeRcu;
    return {
      ...cache,
      space,
      used,
      loss: space - used,
      activeSlabs: active.get(cache.name) ?? 0,
      usage: cache.totalObjects === 0 ? 0 : cache.objects / cache.totalObjects,
      allocs,
      frees,
      activity: allocs + frees,
    };
  });
}

/** Bytes in at most six characters: `987`, `1.5K`, `64.0M`; as they are where `exact`. */
export function size(bytes: number, exact = false): string {
  return exact || bytes < 1000 ? String(Math.round(bytes)) : inUnits(bytes, 1024);
}

/** A count in at most six characters, in thousands: `987`, `1.5K`, `64.0M`. */
export function count(n: number, exact = false): string {
  return exact || Math.abs(n) < 10_000 ? String(Math.round(n)) : inUnits(n, 1000);
}

function inUnits(value: number, step: number): string {
  const units = ['K', 'M', 'G', 'T'];
  let rest = value / step;
  let unit = 0;
  while (Math.abs(rest) >= 999.95 && unit < units.length - 1) {
    rest /= step;
    unit++;
  }
  return `${rest.toFixed(1)}${units[unit]}`;
}

/** A share in whole percents, without the sign. */
export const percent = (part: number, whole: number): string =>
  whole === 0 ? '0' : String(Math.round((100 * part) / whole));

/** A column of a table. */
export interface Column<T> {
  title: string;
  width: number;
  /** Left-aligned; numbers are not. */
  left?: boolean;
  text: (row: T) => string;
}

/** A cell: too long a text is cut where it is one, and pushes the others aside where it is a number. */
function cell(text: string, { width, left }: Pick<Column<never>, 'width' | 'left'>): string {
  if (left === true) return text.length > width ? `${text.slice(0, width - 1)}~` : text.padEnd(width);
  return text.padStart(width);
}

/** The line above a table. */
export function headLine<T>(columns: readonly Column<T>[]): string {
  return columns
    .map((column) => cell(column.title, column))
    .join(' ')
    .trimEnd();
}

/** A line of a table. */
export function tableLine<T>(columns: readonly Column<T>[], row: T): string {
  return columns
    .map((column) => cell(column.text(row), column))
    .join(' ')
    .trimEnd();
}
