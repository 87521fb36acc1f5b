/**
 * kmalloc for groups: memory that is charged to a group, so that all of it can be freed at once, or taken over by another
 * group, when the thread that had it is dead.
 *
 * Objects come from caches of their own, `kmalloc-cg-N` (Linux's name for the same thing), which all groups share and
 * which sheaves never touch; their slabs, and the runs of large objects, carry the group's number in the page descriptor.
 * So `kfree` finds the group without being told, on its slow path, which an ungrouped object does not take for that:
 * memory without a group costs nothing more than before.
 *
 * | killed here                                     | ⇒ reap does this (slab/charge.ts)             |
 * |-------------------------------------------------|-----------------------------------------------|
 * | charged; object not taken, or taken and not out | takes the charge back, and the object         |
 * | handed out, address not yet returned            | nothing: it is the group's, and charged to it |
 * | freeing: decided                                | counts it as freed, and frees it              |
 */

import { killPoint } from '../memory/assert.ts';
import { type Cpu, N_LARGE_ALLOCATED } from '../memory/cpu.ts';
import type { DataMemory } from '../memory/data.ts';
import { checkInteger, invalid, SlabError } from '../memory/errors.ts';
import { checkGfp, GFP, type GfpFlags } from '../memory/gfp.ts';
import { C_STRIDE, cacheAt, GRANULE_SHIFT, H_KMALLOC_CACHES, pageAt } from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { CLAIM_LIVE, KIND_LARGE, PAGE_GROUP, PAGE_HEAD, PAGE_REQUESTED } from '../page/page.ts';
import { type FrameAllocator, NODE_ANY } from '../page/pageAllocator.ts';
import { usableBytes } from '../slab/cacheTable.ts';
import { SLAB } from '../slab/flags.ts';
import { GroupSlabs } from '../slab/groupSlabs.ts';
import type { GroupTable } from '../slab/groupTable.ts';
import { checkAddress } from '../slab/object.ts';
import type { Address } from '../slab/slabAllocator.ts';
import type { Slabifier } from '../slab/slabifier.ts';
import { zero } from './fill.ts';
import { kmallocSpec } from './kmallocSpec.ts';
import type { Reclaim } from './reclaim.ts';

/** What an attempt gives instead of 0 when it is the limit that forbids it: giving back cached memory would not help. */
const OVER_LIMIT = -1;

export class GroupAllocator {
  readonly table: GroupTable;
  private readonly metadata: Metadata;
  private readonly m: Int32Array;
  private readonly cpu: Cpu;
  private readonly data: DataMemory;
  private readonly pages: FrameAllocator;
  private readonly slabifier: Slabifier;
  private readonly slabs: GroupSlabs;
  private readonly reclaim: Reclaim;
  private readonly maxSize: number;
  /** Cache numbers by class, as far as this thread has used them. */
  private readonly caches: number[] = [];

  constructor(
    metadata: Metadata,
    cpu: Cpu,
    data: DataMemory,
    pages: FrameAllocator,
    slabifier: Slabifier,
    table: GroupTable,
    reclaim: Reclaim,
    maxSize: number,
  ) {
    this.metadata = metadata;
    this.m = metadata.m;
    this.cpu = cpu;
    this.data = data;
    this.pages = pages;
    this.slabifier = slabifier;
    this.slabs = new GroupSlabs(metadata, cpu, slabifier);
    this.table = table;
    this.reclaim = reclaim;
    this.maxSize = maxSize;
  }

  /** `size` bytes charged to the group; 0 without memory, or above its limit. Throws `EINVAL` if it is not active. */
  kmalloc(group: number, size: number, gfp: GfpFlags): Address {
    checkInteger('a size', size, 0, this.maxSize);
    checkGfp(gfp);
    if ((gfp & GFP.DMA) !== 0) invalid('groups have no memory of the DMA zone');
    const address = this.reclaim.allocateWith(gfp, () => {
      if (!this.table.isActive(group)) invalid('the group has been freed or adopted');
      return this.allocateOnce(group, size, gfp);
    });
    return address === OVER_LIMIT ? 0 : address;
  }

  /** The number of the group that the live object at `address`, which has been checked, is charged to; 0: none. */
  groupOf(address: Address): number {
    const { m, metadata } = this;
    const page = pageAt(metadata.layout, checkAddress(metadata, address));
    const head = pageAt(metadata.layout, m[page + PAGE_HEAD]);
    return m[head + PAGE_GROUP];
  }

  private allocateOnce(group: number, size: number, gfp: GfpFlags): Address {
    const { m, metadata, slabifier } = this;
    const index = this.classOf(size);
    const cache = index < 0 ? 0 : this.cacheFor(index);
    if (index >= 0 && cache === 0) return 0;
    const address = index < 0 ? this.allocateRun(group, size, gfp) : this.slabs.alloc(group, cache, gfp);
    if (address === 0) return slabifier.charges.overLimit && (gfp & GFP.NOFAIL) === 0 ? OVER_LIMIT : 0;
    const debugging = index < 0 ? undefined : slabifier.table.debugOf(cache);
    if (debugging !== undefined) debugging.prepare(cache, address, size, gfp);
    else if ((gfp & GFP.ZERO) !== 0) {
      const { large } = slabifier.table.debugAllocator ?? {};
      const run = index < 0 ? (large?.usable(address >>> metadata.layout.pageShift) ?? size) : 0;
      if (run > 0) this.data.views().u8.fill(0, address, address + run);
      else zero(this.data, address, m[cacheAt(metadata.layout, cache) + C_STRIDE]);
    }
    return address;
  }

  /** The kmalloc class for a size: class i is cache i + 1. -1: larger than all. */
  private classOf(size: number): number {
    const { m, metadata } = this;
    for (let index = 0; index < m[H_KMALLOC_CACHES]; index++) {
      if (usableBytes(m, cacheAt(metadata.layout, index + 1)) >= size) return index;
    }
    return -1;
  }

  /** The charged cache of a class, made when it is first asked for; 0 if there is no room for a descriptor. */
  private cacheFor(index: number): number {
    const { m, metadata, slabifier } = this;
    if (this.caches[index] !== undefined) return this.caches[index];
    const size = usableBytes(m, cacheAt(metadata.layout, index + 1));
    const name = `kmalloc-cg-${size}`;
    let cache = slabifier.table.find(name);
    if (cache === 0) {
      try {
        cache = slabifier.create(kmallocSpec(metadata, name, size, SLAB.ACCOUNT));
      } catch (error) {
        // No room for a descriptor: no memory. Or another thread has made it in the meantime.
        if (!(error instanceof SlabError)) throw error;
        cache = slabifier.table.find(name);
      }
    }
    if (cache !== 0) this.caches[index] = cache;
    return cache;
  }

  private framesFor(size: number): number {
    return Math.ceil(size / 2 ** this.metadata.layout.pageShift);
  }

  private allocateRun(group: number, size: number, gfp: GfpFlags): Address {
    const { m, metadata, pages, slabifier } = this;
    const { charges } = slabifier;
    const { pageShift } = metadata.layout;
    const frames = this.framesFor(size + (slabifier.table.debugAllocator?.large.room ?? 0));
    if (!charges.charge(group, frames << (pageShift - GRANULE_SHIFT))) return 0;
    const head = pages.allocateExact(frames, 1, gfp, NODE_ANY);
    if (head === 0) {
      charges.cancel();
      return 0;
    }
    charges.runTaken(group, head);
    const page = pageAt(metadata.layout, head);
    m[page + PAGE_REQUESTED] = size;
    m[page + PAGE_GROUP] = group;
    pages.publishRun(head, frames, KIND_LARGE, CLAIM_LIVE);
    killPoint('charge.run-published');
    charges.settled();
    slabifier.table.debugAllocator?.large.prepare(head, size);
    this.cpu.count(N_LARGE_ALLOCATED);
    return head * 2 ** pageShift;
  }
}
