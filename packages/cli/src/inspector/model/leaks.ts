/** Leaks: what `heap.leaks()` gives, read with care, since it comes from another program. */

/** Where the heap does not know who allocates: it was made without `debug: 'U'`. */
const NOT_TRACKED = 'not tracked';

/** Live objects that were allocated at one place. */
export interface LeakRow {
  stack: string;
  cache: string;
  objects: number;
  bytes: number;
}

const text = (value: unknown): string =>
  typeof value === 'string' ? value : Array.isArray(value) ? value.map(String).join('\n') : '';
const number = (value: unknown): number => (typeof value === 'number' && value >= 0 ? value : 0);

/** Rows of what a source says; others than lists of records are none. */
export function leakRows(leaks: unknown): LeakRow[] {
  if (!Array.isArray(leaks)) return [];
  return leaks.flatMap((leak: unknown) => {
    if (typeof leak !== 'object' || leak === null) return [];
    const { stack, cache, objects, count, bytes } = leak as Record<string, unknown>;
    return [
      {
        stack: text(stack) || NOT_TRACKED,
        cache: text(cache),
        objects: number(objects ?? count),
        bytes: number(bytes),
      },
    ];
  });
}
