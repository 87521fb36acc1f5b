/** What the page descriptors of a slab say (page/page.ts): the words that a free needs, in each of its frames. */

import {
  C_FRAMES,
  C_GRANULES,
  C_LEFT,
  C_OBJECTS,
  C_STRIDE,
  GRANULE_SHIFT,
  pageAt,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { PAGE_BASE, PAGE_RECIPROCAL, PAGE_RECIPROCAL_SHIFT, PAGE_STATES, PAGE_STRIDE } from '../page/page.ts';
import { firstStateAt } from './cacheTable.ts';

/** Frames of a slab in which objects may begin. */
export function framesOfSlab(m: Int32Array, descriptor: number): number {
  return m[descriptor + C_OBJECTS] === 1 ? 1 : m[descriptor + C_FRAMES];
}

const reciprocalOf = (m: Int32Array, descriptor: number): number =>
  m[descriptor + C_OBJECTS] === 1 ? 0 : Math.ceil(2 ** PAGE_RECIPROCAL_SHIFT / m[descriptor + C_GRANULES]);

const baseOf = ({ m, layout }: Metadata, descriptor: number, head: number): number =>
  (head << layout.pageShift) + (m[descriptor + C_LEFT] << GRANULE_SHIFT);

/** Writes what a free needs of the slab at frame `head` into the descriptor of frame `pfn`, which is one of it. */
export function describeSlab(metadata: Metadata, descriptor: number, head: number, pfn: number): void {
  const { m, layout } = metadata;
  const page = pageAt(layout, pfn);
  m[page + PAGE_BASE] = baseOf(metadata, descriptor, head);
  m[page + PAGE_RECIPROCAL] = reciprocalOf(m, descriptor);
  m[page + PAGE_STRIDE] = m[descriptor + C_STRIDE];
  m[page + PAGE_STATES] = firstStateAt(m, descriptor, head);
}

/** Whether the descriptor of frame `pfn` says what `describeSlab` has written. */
export function describesSlab(metadata: Metadata, descriptor: number, head: number, pfn: number): boolean {
  const { m, layout } = metadata;
  const page = pageAt(layout, pfn);
  return (
    m[page + PAGE_BASE] === (baseOf(metadata, descriptor, head) | 0) &&
    m[page + PAGE_RECIPROCAL] === reciprocalOf(m, descriptor) &&
    m[page + PAGE_STRIDE] === m[descriptor + C_STRIDE] &&
    m[page + PAGE_STATES] === firstStateAt(m, descriptor, head)
  );
}
