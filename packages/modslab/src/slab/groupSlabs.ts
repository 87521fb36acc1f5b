/**
 * The slabs of groups: a charged cache has slabs of many groups, each slab of one (PAGE_GROUP of its descriptor). An object
 * is taken from a slab of its group, straight, without sheaves: two compare-and-swaps for the slab, and the charge.
 *
 * A slab gets its group while the CPU holds it, when it is new or was parked, and keeps it until it is empty again. The
 * order of charge, object and intent, and what reap does in between, is in slab/charge.ts.
 */

import { nextSet } from '../memory/bitmap.ts';
import type { Cpu } from '../memory/cpu.ts';
import { addressOf } from '../memory/entry.ts';
import { GFP, type GfpFlags } from '../memory/gfp.ts';
import { C_GRANULES, cacheAt, H_FRAMES, nodeOf, PAIR_SHIFT, pageAt, partialAt } from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { COUNT_MASK, LIVE, PAGE_CLAIM, PAGE_GROUP } from '../page/page.ts';
import { NODE_ANY } from '../page/pageAllocator.ts';
import type { Address } from './slabAllocator.ts';
import type { Slabifier } from './slabifier.ts';

/** The charged slabs of a heap, as one CPU works on them. */
export class GroupSlabs {
  private readonly metadata: Metadata;
  private readonly m: Int32Array;
  private readonly s: Uint8Array;
  private readonly cpu: Cpu;
  private readonly slabifier: Slabifier;
  /** By group and cache: the slab that this CPU took from last. A hint of this thread only. */
  private readonly last: Map<number, number> = new Map();

  constructor(metadata: Metadata, cpu: Cpu, slabifier: Slabifier) {
    this.metadata = metadata;
    this.m = metadata.m;
    this.s = metadata.s;
    this.cpu = cpu;
    this.slabifier = slabifier;
  }

  /** An object of a charged cache for the group; 0 without memory, above the limit, or if the group is active no more. */
  alloc(group: number, cache: number, gfp: GfpFlags): Address {
    const { m, s, cpu, metadata } = this;
    const { charges } = this.slabifier;
    if (!charges.charge(group, m[cacheAt(metadata.layout, cache) + C_GRANULES])) return 0;
    if (!this.fillScratch(group, cache, gfp)) {
      charges.cancel();
      return 0;
    }
    charges.objectTaken(group);
    const at = cpu.scratch + (1 << PAIR_SHIFT);
    const entry = m[at];
    s[m[at + 1]] = LIVE;
    m[at] = 0;
    charges.settled();
    return addressOf(entry);
  }

  private fillScratch(group: number, cache: number, gfp: GfpFlags): boolean {
    const node = (gfp & GFP.THISNODE) !== 0 ? this.cpu.node : NODE_ANY;
    const key = group * this.metadata.layout.caches + cache;
    const hint = this.last.get(key) ?? 0;
    const head =
      hint !== 0 && this.claim(group, cache, hint, node)
        ? hint
        : this.claimPartial(group, cache, node) || this.claimEmpty(group, cache, gfp, node);
    if (head === 0) return false;
    this.last.set(key, head);
    return this.slabifier.take(cache, head, this.cpu.scratch, 0, 1) === 1;
  }

  /** Claims a slab of the group that has free objects, or pending ones. */
  private claim(group: number, cache: number, head: number, node: number): boolean {
    const { m, metadata, slabifier } = this;
    const page = pageAt(metadata.layout, head);
    if (node !== NODE_ANY && nodeOf(metadata.layout, head) !== node) return false;
    // A look before the claim spares most of the claims of other groups' slabs.
    if (m[page + PAGE_GROUP] !== group || !slabifier.claim(head, cache)) return false;
    const count = m[page + PAGE_CLAIM] & COUNT_MASK;
    if (m[page + PAGE_GROUP] === group && count > 0) return true;
    slabifier.letGo(cache, head, count, false);
    return false;
  }

  private claimPartial(group: number, cache: number, node: number): number {
    const { m, metadata } = this;
    const bitmap = partialAt(metadata.layout, cache);
    const end = m[H_FRAMES];
    for (let pfn = nextSet(m, bitmap, 0, end); pfn < end; pfn = nextSet(m, bitmap, pfn + 1, end)) {
      if (this.claim(group, cache, pfn, node)) return pfn;
    }
    return 0;
  }

  private claimEmpty(group: number, cache: number, gfp: GfpFlags, node: number): number {
    const { m, metadata, slabifier } = this;
    const head = slabifier.unpark(cache, node) || slabifier.newSlab(cache, gfp, node);
    if (head !== 0) m[pageAt(metadata.layout, head) + PAGE_GROUP] = group;
    return head;
  }
}
