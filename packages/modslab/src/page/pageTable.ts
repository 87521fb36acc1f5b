/**
 * The page table of vmalloc: from a virtual page number (*vpn*) to a frame. A radix tree, 9 bits a level, as deep as the
 * address space needs: one level for 512 pages, two for 262,144, three beyond that. It is kept in the metadata, where no
 * write of the application can reach it.
 *
 *     inner entry   0: nothing below │ word offset of the node below        set once, never cleared
 *     leaf entry    0                          free
 *                   PAGE    (bit 29) │ frame   mapped
 *                   AREA    (bit 28) │ n       the n pages behind it are an area; this one maps nothing
 *                   CLAIMED (bit 27) │ CPU + 1 one CPU's, being set up or taken down
 *
 * Where a node lies follows from its level and place, so none need be allocated: to make one is to enter it, which anybody
 * may do, any number of times. Hence no death can leave one half made.
 */

import { type Layout, TABLE_ENTRIES, TABLE_SHIFT } from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';

/**
 * First byte of vmalloc's addresses. They are no addresses of the data buffer, which end at 2^32: no call takes one for
 * another, and `kfree` refuses them with `EFAULT`.
 */
export const VMALLOC_START: number = 2 ** 40;

export const PTE_PAGE: number = 1 << 29;
export const PTE_AREA: number = 1 << 28;
export const PTE_CLAIMED: number = 1 << 27;
const PTE_VALUE_MASK: number = PTE_CLAIMED - 1;

/** The frame, the pages of the area, or the owner that an entry holds. */
export const valueOf = (entry: number): number => entry & PTE_VALUE_MASK;

/** The node that holds the leaf entries of `vpn`; 0 if it has never been entered. Cost: a load a level. */
function leafOf({ m, layout }: Metadata, vpn: number): number {
  let node = layout.pageTables[layout.pageTables.length - 1];
  for (let level = layout.pageTables.length - 1; level > 0 && node !== 0; level--) {
    node = m[node + ((vpn >>> (TABLE_SHIFT * level)) & (TABLE_ENTRIES - 1))];
  }
  return node;
}

/** Word offset of the leaf entry of `vpn`, found by walking the table; 0: it has no leaf. */
export function walk(metadata: Metadata, vpn: number): number {
  const leaf = leafOf(metadata, vpn);
  return leaf === 0 ? 0 : leaf + (vpn & (TABLE_ENTRIES - 1));
}

/** `walk`, entering the nodes that are missing. */
export function walkOrMake(metadata: Metadata, vpn: number): number {
  const { m, layout } = metadata;
  for (let level = layout.pageTables.length - 1; level > 0; level--) {
    const entry = nodeAt(layout, level, vpn) + ((vpn >>> (TABLE_SHIFT * level)) & (TABLE_ENTRIES - 1));
    if (m[entry] === 0) Atomics.store(m, entry, nodeAt(layout, level - 1, vpn));
  }
  return nodeAt(layout, 0, vpn) + (vpn & (TABLE_ENTRIES - 1));
}

/** Where the node of a level lies that `vpn` goes through. */
function nodeAt(layout: Layout, level: number, vpn: number): number {
  return layout.pageTables[level] + (vpn >>> (TABLE_SHIFT * (level + 1))) * TABLE_ENTRIES;
}

/** The frame that `vpn` is mapped to, or 0. */
export function frameAt(metadata: Metadata, vpn: number): number {
  const at = walk(metadata, vpn);
  const entry = at === 0 ? 0 : Atomics.load(metadata.m, at);
  return (entry & PTE_PAGE) === 0 ? 0 : valueOf(entry);
}

/** Calls `visit` with every leaf entry that is not 0, in ascending order. Cost: O(pages of the address space used). */
export function forEachEntry(metadata: Metadata, visit: (vpn: number, entry: number) => void): void {
  const { m, layout } = metadata;
  for (let vpn = 0; vpn < layout.vmallocPages; ) {
    const at = walk(metadata, vpn);
    if (at === 0) {
      vpn = (vpn | (TABLE_ENTRIES - 1)) + 1;
      continue;
    }
    if (m[at] !== 0) visit(vpn, m[at]);
    vpn++;
  }
}
