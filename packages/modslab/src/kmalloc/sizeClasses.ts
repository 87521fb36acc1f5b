/**
 * Size classes as data. Above half a page, kmalloc gives whole pages.
 *
 * 2006's table has powers of two, and 96 and 192 between them. docs/size-classes.md compares it with others on real
 * traces; `Heap.create({ sizeClasses })` takes any that `checkSizeClasses` accepts.
 */

import { checkInteger } from '../memory/errors.ts';

/** Sizes in bytes of kmalloc's caches, in ascending order, multiples of 8, from 16 on of 16. */
export type SizeClasses = readonly number[];

/** MODSLAB V2's general caches, up to half of the largest page; Linux's are the same to this day. */
export const SIZE_CLASSES_2006: SizeClasses = [
  8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768,
];

/** 2006's idea carried through: one class between any two powers of two. */
export const SIZE_CLASSES_HALVES: SizeClasses = [
  8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384,
  24576, 32768,
];

/** The table of a heap that names none: the smallest footprint on the traces with pages of 64 KiB. */
export const SIZE_CLASSES_DEFAULT: SizeClasses = SIZE_CLASSES_HALVES;

/**
 * The table of a heap on slob, where a class costs no slab: as fine as objects are aligned, then 16 from each power of two
 * to the next.
 */
export const SIZE_CLASSES_SLOB: SizeClasses = [
  8,
  ...Array.from({ length: 32 }, (_, i) => 16 * (i + 1)),
  ...[512, 1024, 2048].flatMap((base) => Array.from({ length: 16 }, (_, i) => base + (base / 16) * (i + 1))),
];

/** Most classes of a table: each takes a cache descriptor, and one more once it is used for DMA. */
export const SIZE_CLASSES_MAX = 120;

/** Sizes that every table has. */
const REQUIRED: readonly number[] = [32, 64, 128, 256];

/** Throws `RangeError` unless a table is one that kmalloc can use. */
export function checkSizeClasses(classes: SizeClasses): void {
  if (!Array.isArray(classes)) throw new TypeError('sizeClasses must be an array of sizes');
  checkInteger('the number of size classes', classes.length, REQUIRED.length, SIZE_CLASSES_MAX);
  classes.forEach((size, i) => {
    checkInteger('a size class', size, 8, 32_768);
    const step = size < 16 ? 8 : 16;
    if (size % step !== 0) throw new RangeError(`size class ${size} is no multiple of ${step}`);
    if (i > 0 && size <= classes[i - 1])
      throw new RangeError(`size class ${size} stands behind ${classes[i - 1]}: they must ascend`);
  });
  const largest = classes[classes.length - 1];
  for (const size of REQUIRED)
    if (!classes.includes(size)) throw new RangeError(`size class ${size} must be in every table`);
  for (let size = classes[0] <= 8 ? 8 : 16; size <= largest; size *= 2) {
    if (size >= classes[0] && !classes.includes(size))
      throw new RangeError(`size class ${size} is missing: powers of two are aligned to themselves`);
  }
}

/** Those classes of a table that are not above `largest`: half a page, or a page that objects share. */
export function classesUpTo(classes: SizeClasses, largest: number): SizeClasses {
  return classes.filter((size) => size <= largest);
}

/** Numbers of granules, up to those of the largest class. */
const granuleCounts = (classes: SizeClasses): number => ((classes.at(-1) ?? 0) >>> 3) + 1;

/** Fills a table by number of granules with what `of` says of the smallest class that holds so many. A fill for each class. */
function byGranules<T extends Uint8Array | Int32Array>(
  classes: SizeClasses,
  table: T,
  of: (index: number) => number,
): T {
  let from = 0;
  classes.forEach((size, i) => {
    table.fill(of(i), from, (size >>> 3) + 1);
    from = (size >>> 3) + 1;
  });
  return table;
}

/** The index of the smallest class that holds each number of granules: `classOf[(size + 7) >>> 3]`. */
export function classIndex(classes: SizeClasses): Uint8Array {
  return byGranules(classes, new Uint8Array(granuleCounts(classes)), (i) => i);
}

/** The number of that class's cache, which is its index + 1, shifted: where the cache's hot words are. */
export function classSlots(classes: SizeClasses, shift: number): Int32Array {
  return byGranules(classes, new Int32Array(granuleCounts(classes)), (i) => (i + 1) << shift);
}
