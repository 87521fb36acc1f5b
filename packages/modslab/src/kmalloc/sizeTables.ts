/**
 * Other distributions of size classes, as data: what 2006's table is compared with (`modslab sizes`), and what
 * `Heap.create({ sizeClasses })` takes. docs/size-classes.md has the figures.
 *
 * A table that kmalloc can use is ascending; its sizes from 16 on are multiples of 16 (the alignment that kmalloc
 * promises); and it has every power of two from 8 up to its largest, as powers of two are aligned to themselves.
 * `checkSizeClasses` says what is wrong with one.
 */

import { SIZE_CLASSES_2006, SIZE_CLASSES_HALVES, type SizeClasses } from './sizeClasses.ts';

/** Largest size of the tables made here: half of the largest page. */
const LARGEST = 32_768;
/** The granule from 16 bytes on: what objects are aligned to. */
const STEP = 16;

/** Powers of two alone, from `smallest` on (MODSLAB V1 began at 32). */
export function powersOfTwo(smallest: number): SizeClasses {
  const sizes: number[] = [];
  for (let size = smallest; size <= LARGEST; size *= 2) sizes.push(size);
  return sizes;
}

/** `n` classes, evenly spaced, from each power of two to the next, as far as multiples of 16 allow. */
export function perDoubling(n: number): SizeClasses {
  const sizes: number[] = [8];
  for (let base = 8; base < LARGEST; base *= 2) {
    for (let i = 1; i <= n; i++) {
      const size = Math.ceil((base + (base * i) / n) / STEP) * STEP;
      if (size > (sizes.at(-1) ?? 0)) sizes.push(size);
    }
  }
  return sizes;
}

/** Bonwick's way: as many classes as fit 8 KiB a whole number of times (illumos's table, in multiples of 16). */
const fractions = (): SizeClasses => {
  const small = perDoubling(4).filter((size) => size <= 1024);
  const parts = [7, 6, 5, 4, 3, 2, 1].map((n) => Math.floor(8192 / n / 64) * 64);
  return [...small, ...parts.filter((size) => size > 1024), 12_288, 16_384, 20_480, 24_576, 32_768];
};

/** The tables that `modslab sizes` compares, by name. */
export const SIZE_TABLES: Readonly<Record<string, SizeClasses>> = {
  'powers of two': powersOfTwo(8),
  '2006': SIZE_CLASSES_2006,
  halves: SIZE_CLASSES_HALVES,
  'halves, quarters below 256': [
    ...perDoubling(4).filter((size) => size < 256),
    ...SIZE_CLASSES_HALVES.filter((size) => size >= 256),
  ],
  '4 per doubling': perDoubling(4),
  illumos: fractions(),
  '8 per doubling': perDoubling(8),
  '16 per doubling': perDoubling(16),
};
