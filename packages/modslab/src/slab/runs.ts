/**
 * Taking objects out of slob pages (slab/granules.ts has their states): first fit, in address order, as Linux's SLOB did.
 *
 *     partial bitmap of the page cache   lowest page first, of this CPU's node first
 *       │ fewer FREE granules than wanted (claim word), or no run of them (states): the next one; both are read unclaimed
 *       ▼
 *     claim → look again, now for certain → name, entry, head, rest → let go
 *       │ no page: an empty one that was kept, else a new one
 *
 * Linux kept three lists by size, so that small objects did not break up the room of large ones, and began its search where
 * the last one had ended. Neither pays here: a page that cannot have the object is passed over by one load in most cases, and
 * beginning at the lowest page packs better (docs/design.md has the figures).
 *
 * A run of n granules is taken so, in this order of plain stores, while the page is claimed:
 *
 *     name ← cache · entry of the sheaf words · state of the head ← CACHED · the n - 1 behind it ← CONTINUED, in order
 */

import { killPoint } from '../memory/assert.ts';
import { nextSet } from '../memory/bitmap.ts';
import type { Cpu } from '../memory/cpu.ts';
import type { DataMemory } from '../memory/data.ts';
import { addressOf } from '../memory/entry.ts';
import { SlabError } from '../memory/errors.ts';
import type { GfpFlags } from '../memory/gfp.ts';
import {
  C_ALIGN,
  C_CONSTRUCTOR,
  C_FLAGS,
  C_SLOB_PAGES,
  C_STRIDE,
  C_TEMPLATE_BYTES,
  cacheAt,
  GRANULE_SHIFT,
  H_FRAMES,
  nodeStart,
  PAIR_SHIFT,
  pageAt,
  partialAt,
  templateAt,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import {
  CACHED,
  CLAIM_OWNER,
  CLAIM_PENDING,
  CONTINUED,
  COUNT_MASK,
  FREE,
  PAGE_CLAIM,
  PAGE_FIRST_FREE,
} from '../page/page.ts';
import { type FrameAllocator, NODE_ANY } from '../page/pageAllocator.ts';
import { type CacheTable, CONSTRUCTOR_TEMPLATE } from './cacheTable.ts';
import { SLAB, SLAB_SLOB, type SlabFlags } from './flags.ts';
import { granuleStatesAt, granulesOf, nameAt, setName } from './granules.ts';
import type { CacheSpec } from './slabAllocator.ts';

/** Flags of a cache that say where its pages come from. */
const PAGE_FLAGS_MASK: number = SLAB.RECLAIM_ACCOUNT | SLAB.CACHE_DMA;

/** Holds slabs, and makes new ones; a slabifier. */
export interface PageHolder {
  readonly table: CacheTable;
  create(spec: CacheSpec): number;
  claim(head: number, cache: number): boolean;
  letGo(cache: number, head: number, count: number, keepEmpty: boolean): void;
  unpark(cache: number, node: number): number;
  newSlab(cache: number, gfp: GfpFlags, node: number): number;
}

/** What is looked for. */
interface Request {
  /** Whose object it is to be, and the cache whose slabs the pages are. */
  readonly cache: number;
  readonly pages: number;
  readonly granules: number;
  /** Granules from one place where it may begin to the next. */
  readonly step: number;
}

/** The name of the page cache for caches with such flags. */
export function pageCacheName(flags: SlabFlags): string {
  const dma = (flags & SLAB.CACHE_DMA) !== 0 ? '-dma' : '';
  return `slob-pages${dma}${(flags & SLAB.RECLAIM_ACCOUNT) !== 0 ? '-reclaimable' : ''}`;
}

export class Runs {
  private readonly metadata: Metadata;
  private readonly m: Int32Array;
  private readonly s: Uint8Array;
  private readonly cpu: Cpu;
  private readonly data: DataMemory;
  private readonly holder: PageHolder;

  constructor(frames: FrameAllocator, holder: PageHolder) {
    this.metadata = frames.metadata;
    this.m = frames.metadata.m;
    this.s = frames.metadata.s;
    this.cpu = frames.cpu;
    this.data = frames.data;
    this.holder = holder;
  }

  /** Adds objects of a cache to sheaf words that hold `have`, up to `want`; how many there are then. */
  fill(cache: number, sheaf: number, have: number, want: number, gfp: GfpFlags, node: number): number {
    const request = this.requestFor(cache);
    if (request === undefined) return have;
    let n = have;
    for (; n < want; n++) {
      const at = sheaf + ((n + 1) << PAIR_SHIFT);
      if (!this.fromPartial(request, at, node) && !this.fromFresh(request, at, gfp, node)) break;
      this.copyTemplate(cache, at);
    }
    return n;
  }

  /** One object of a cache, from a page below frame `limit`, into the pair of sheaf words at `at`. For compaction. */
  fillBelow(cache: number, at: number, limit: number): boolean {
    const request = this.requestFor(cache);
    if (request === undefined || !this.fromPages(request, at, 0, limit)) return false;
    this.copyTemplate(cache, at);
    return true;
  }

  private requestFor(cache: number): Request | undefined {
    const { m, metadata } = this;
    const descriptor = cacheAt(metadata.layout, cache);
    const pages = m[descriptor + C_SLOB_PAGES] || this.findPages(cache);
    if (pages === 0) return undefined;
    const step = Math.max(1, m[descriptor + C_ALIGN] >>> GRANULE_SHIFT);
    return { cache, pages, granules: m[descriptor + C_STRIDE] >>> GRANULE_SHIFT, step };
  }

  /** The page cache of a cache that has not had an object yet, made if there is none; 0 without room for a descriptor. */
  private findPages(cache: number): number {
    const { m, metadata, holder } = this;
    const { layout } = metadata;
    const flags = m[cacheAt(layout, cache) + C_FLAGS] & PAGE_FLAGS_MASK;
    const name = pageCacheName(flags);
    const pages = holder.table.find(name) || this.makePages(name, flags | SLAB_SLOB);
    if (pages === 0) return 0;
    m[cacheAt(layout, pages) + C_SLOB_PAGES] = pages;
    m[cacheAt(layout, cache) + C_SLOB_PAGES] = pages;
    return pages;
  }

  private makePages(name: string, flags: SlabFlags): number {
    const size = 1 << GRANULE_SHIFT;
    try {
      return this.holder.create({
        name,
        size,
        align: 0,
        flags,
        node: NODE_ANY,
        useroffset: 0,
        usersize: 0,
      });
    } catch (error) {
      // No room for a descriptor: no memory. Or another thread has made it in the meantime.
      if (!(error instanceof SlabError)) throw error;
      return error.code === 'ENOMEM' ? 0 : this.holder.table.find(name);
    }
  }

  private fromPartial(request: Request, at: number, node: number): boolean {
    const { layout } = this.metadata;
    const first = node === NODE_ANY ? this.cpu.node : node;
    const nodes = node === NODE_ANY ? layout.nodes : 1;
    for (let i = 0; i < nodes; i++) {
      const candidate = (first + i) % layout.nodes;
      const [start, end] = [nodeStart(layout, candidate), nodeStart(layout, candidate + 1)];
      if (this.fromPages(request, at, start, end)) return true;
    }
    return false;
  }

  /** From the lowest page of a window that has room. */
  private fromPages(request: Request, at: number, start: number, limit: number): boolean {
    const { m, metadata, holder } = this;
    const bitmap = partialAt(metadata.layout, request.pages);
    const end = Math.min(limit, m[H_FRAMES]);
    for (let pfn = nextSet(m, bitmap, start, end); pfn < end; pfn = nextSet(m, bitmap, pfn + 1, end)) {
      if (!this.mayHave(request, pfn) || !holder.claim(pfn, request.pages)) continue;
      if (this.takeFrom(request, pfn, at)) return true;
    }
    return false;
  }

  /** Whether it is worth while to claim a page. What others have left pending in it may be what is missing. */
  private mayHave(request: Request, pfn: number): boolean {
    const word = this.m[pageAt(this.metadata.layout, pfn) + PAGE_CLAIM];
    if ((word & CLAIM_OWNER) !== 0) return false;
    if ((word & CLAIM_PENDING) !== 0) return true;
    return (word & COUNT_MASK) >= request.granules && this.findRun(request, pfn) >= 0;
  }

  private fromFresh(request: Request, at: number, gfp: GfpFlags, node: number): boolean {
    const { holder } = this;
    const pfn = holder.unpark(request.pages, node) || holder.newSlab(request.pages, gfp, node);
    return pfn !== 0 && this.takeFrom(request, pfn, at);
  }

  /** Takes a run out of the claimed page, and lets go of it; false if it has none. */
  private takeFrom(request: Request, pfn: number, at: number): boolean {
    const { m, s, metadata, holder } = this;
    const page = pageAt(metadata.layout, pfn);
    const count = m[page + PAGE_CLAIM] & COUNT_MASK;
    const granule = this.findRun(request, pfn);
    if (granule < 0) {
      holder.letGo(request.pages, pfn, count, false);
      return false;
    }
    const state = granuleStatesAt(metadata.layout, pfn) + granule;
    setName(metadata, pfn, granule, request.cache);
    m[at + 1] = state;
    m[at] = (pfn << (metadata.layout.pageShift - GRANULE_SHIFT)) + granule;
    killPoint('slob.named');
    s[state] = CACHED;
    killPoint('slob.headed');
    for (let i = 1; i < request.granules; i++) s[state + i] = CONTINUED;
    killPoint('slob.taken');
    m[page + PAGE_FIRST_FREE] = this.firstFree(pfn, m[page + PAGE_FIRST_FREE]);
    holder.letGo(request.pages, pfn, count - request.granules, false);
    return true;
  }

  /** The first granule from `from` on that is FREE, or how many there are. */
  private firstFree(pfn: number, from: number): number {
    const { s, metadata } = this;
    const states = granuleStatesAt(metadata.layout, pfn);
    const end = granulesOf(metadata.layout);
    let granule = from;
    while (granule < end && s[states + granule] !== FREE) granule++;
    return granule;
  }

  /** The first granule where a page has room for what is wanted, or -1. */
  private findRun({ cache, granules, step }: Request, pfn: number): number {
    const { m, s, metadata } = this;
    const states = granuleStatesAt(metadata.layout, pfn);
    const last = granulesOf(metadata.layout) - granules;
    const roundUp = (granule: number): number => Math.ceil(granule / step) * step;
    let granule = roundUp(m[pageAt(metadata.layout, pfn) + PAGE_FIRST_FREE]);
    while (granule <= last) {
      // From the end: behind what is in use there, nothing before it can begin.
      let i = granules - 1;
      while (i >= 0 && s[states + granule + i] === FREE) i--;
      if (i >= 0) granule = roundUp(granule + i + 1);
      else if (granules > 1 || this.mayPair(cache, pfn, granule)) return granule;
      else granule++;
    }
    return -1;
  }

  /** Whether an object of 8 bytes may lie beside what its pair has already: the pair has one name. */
  private mayPair(cache: number, pfn: number, granule: number): boolean {
    const { s, metadata } = this;
    const beside = s[granuleStatesAt(metadata.layout, pfn) + (granule ^ 1)];
    return beside === FREE || beside === CONTINUED || nameAt(metadata, pfn, granule) === cache;
  }

  /** An object of a slob page is constructed when it is taken: what was there before was another cache's. */
  private copyTemplate(cache: number, at: number): void {
    const { m, s, metadata } = this;
    const descriptor = cacheAt(metadata.layout, cache);
    if (m[descriptor + C_CONSTRUCTOR] !== CONSTRUCTOR_TEMPLATE) return;
    const from = templateAt(metadata.layout, cache);
    this.data.views().u8.set(s.subarray(from, from + m[descriptor + C_TEMPLATE_BYTES]), addressOf(m[at]));
  }
}
