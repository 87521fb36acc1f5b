/**
 * Size classes as data. The default is the table of 2006: powers of two, with 96 and 192 between them. Above half a
 * page, kmalloc gives whole pages.
 */

/** Sizes in bytes of kmalloc's caches, in ascending order, multiples of 8. */
export type SizeClasses = readonly number[];

/** MODSLAB V2's general caches, up to half of the largest page. */
export const SIZE_CLASSES_2006: SizeClasses = [
  8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768,
];

/** Those classes of a table that slabs of that page size carry. */
export function classesForPageSize(classes: SizeClasses, pageSize: number): SizeClasses {
  return classes.filter((size) => size <= pageSize / 2);
}

/** The index of the smallest class that holds each number of granules: `classOf[(size + 7) >>> 3]`. */
export function classIndex(classes: SizeClasses): Uint8Array {
  const largest = classes.at(-1) ?? 0;
  const index = new Uint8Array((largest >>> 3) + 1);
  let current = 0;
  for (let granules = 0; granules < index.length; granules++) {
    while (classes[current] < granules * 8) current++;
    index[granules] = current;
  }
  return index;
}
