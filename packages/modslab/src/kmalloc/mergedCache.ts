/**
 * This thread's handle of a cache that shares the slabs of one of kmalloc's (kmalloc/merge.ts). It hands out kmalloc's
 * objects, marked with its alias, and takes back those that bear its mark.
 *
 * | killed here                          | ⇒ reap does this                                         |
 * |--------------------------------------|----------------------------------------------------------|
 * | alloc: popped, not marked yet        | nothing: an object of the dead thread, as kmalloc's      |
 * | free: mark removed, not pushed yet   | the same                                                 |
 */

import { entryOf } from '../memory/entry.ts';
import { checkInteger, hex, invalid, SlabError } from '../memory/errors.ts';
import { checkGfp, GFP, GFP_SLOW, type GfpFlags } from '../memory/gfp.ts';
import { C_MERGED, C_OBJECTS, C_STATE, cacheAt, PAGE_WORDS_SHIFT } from '../memory/layout.ts';
import { ALIAS_SHIFT, aliasOf, CACHE_MASK, isLive, LIVE } from '../page/page.ts';
import { NODE_ANY } from '../page/pageAllocator.ts';
import { firstStateAt, stateAt } from '../slab/cacheTable.ts';
import { forEachSlab, isSlabOf } from '../slab/count.ts';
import { checkObject } from '../slab/object.ts';
import { HOT_SHIFT } from '../slab/sheaves.ts';
import type { Address, AddressArray } from '../slab/slabAllocator.ts';
import { checkBulk } from './kmalloc.ts';
import { type CacheContext, type CacheStats, KmemCache, Sheaf } from './kmemCache.ts';
import { mergedAlias, mergedInto } from './merge.ts';

/** Objects set aside for a merged cache: each gets its mark when it is handed out. */
class MergedSheaf extends Sheaf {
  private readonly merged: MergedCache;

  constructor(merged: MergedCache, context: CacheContext, cache: number, parts: number[], n: number) {
    super(context, cache, parts, n);
    this.merged = merged;
  }

  override alloc(): Address {
    return this.merged.mark(super.alloc());
  }
}

export class MergedCache extends KmemCache {
  private readonly shared: number;
  private readonly alias: number;
  /** The state byte of its live objects. */
  private readonly own: number;
  private readonly descriptor: number;
  private readonly stateWord: number;

  constructor(context: CacheContext, id: number) {
    const { m, layout } = context.metadata;
    const word = m[cacheAt(layout, id) + C_MERGED];
    super(context, id, mergedInto(word));
    this.shared = mergedInto(word);
    this.alias = mergedAlias(word);
    this.own = LIVE | (this.alias << ALIAS_SHIFT);
    this.descriptor = cacheAt(layout, id);
    this.stateWord = m[this.descriptor + C_STATE];
  }

  /** Marks an object of kmalloc's as one of this cache; 0 stays 0. */
  mark(address: Address): Address {
    const { m, s, layout } = this.context.metadata;
    if (address !== 0) s[stateAt(m, cacheAt(layout, this.shared), entryOf(address))] = this.own;
    return address;
  }

  override alloc(gfp: GfpFlags = 0): Address {
    const { sheaves, metadata, tracing } = this.context;
    if (tracing.isOn) return this.allocFrom(gfp, NODE_ANY);
    if ((gfp & GFP_SLOW) === 0 && metadata.m[this.descriptor + C_STATE] === this.stateWord) {
      const slot = this.shared << HOT_SHIFT;
      const address = sheaves.pop(slot) || sheaves.popSpare(slot);
      if (address !== 0) return this.mark(address);
    }
    return this.allocFrom(gfp, NODE_ANY);
  }

  override allocNode(gfp: GfpFlags, node: number): Address {
    checkInteger('a node', node, 0, this.context.metadata.layout.nodes - 1);
    return this.allocFrom(gfp, node);
  }

  override free(address: Address): void {
    const { tracing } = this.context;
    if (tracing.isOn) tracing.free('kmem_cache_free', address, () => this.giveBack(address));
    else this.giveBack(address);
  }

  private giveBack(address: Address): void {
    const { sheaves, metadata } = this.context;
    const { m, s, layout } = metadata;
    const pfn = address >>> layout.pageShift;
    const slot = this.shared << HOT_SHIFT;
    const isUsable = m[this.descriptor + C_STATE] === this.stateWord;
    if (isUsable && pfn < layout.maxFrames && address >>> 0 === address) {
      const page = (layout.vmemMap + (pfn << PAGE_WORDS_SHIFT)) | 0;
      if ((m[page] & CACHE_MASK) === slot && sheaves.pushMarked(slot, page, address, this.own)) return;
    }
    if (address === 0) return;
    this.checkUsable();
    s[this.check(address)] = LIVE;
    sheaves.freeSlow(address, this.shared);
  }

  override freeBulk(addresses: AddressArray, n?: number): void {
    const count = checkBulk(addresses, n);
    this.checkUsable();
    const all = new Set<Address>();
    for (let i = 0; i < count; i++) {
      const address = addresses[i] >>> 0;
      if (address === 0) continue;
      this.check(address);
      if (all.has(address))
        throw new SlabError('EDOUBLEFREE', `${hex(address)} is named twice`, address, this.name);
      all.add(address);
    }
    for (const address of all) this.free(address);
  }

  override shrink(): number {
    this.checkUsable();
    return this.context.sheaves.shrink(this.shared);
  }

  /** Live objects are its own; slabs, and what is cached or free in them, are everybody's. */
  override stats(): CacheStats {
    this.checkUsable();
    const { cached, free, slabs, partial } = this.context.sheaves.getObjects(this.shared);
    return { live: this.liveCount(), cached, free, slabs, partial };
  }

  override objects(): Iterable<Address> {
    this.checkUsable();
    invalid(
      `cache '${this.name}' is merged into '${this.context.table.name(this.shared)}': its objects are not listed`,
      this.name,
    );
  }

  /** Gives up the name, and a reference to the shared cache. */
  override destroy(): void {
    const { table } = this.context;
    this.checkUsable();
    const live = this.liveCount();
    if (live > 0)
      throw new SlabError('EBUSY', `cache '${this.name}' has ${live} live objects`, undefined, this.name);
    table.dropReference(this.id, this.generation);
    table.dropReference(this.shared);
  }

  protected override newSheaf(parts: number[], n: number): Sheaf {
    return new MergedSheaf(this, this.context, this.shared, parts, n);
  }

  private allocFrom(gfp: GfpFlags, node: number): Address {
    const { kmalloc, table } = this.context;
    this.checkUsable();
    checkGfp(gfp);
    const size = kmalloc.sizeOf(this.shared);
    const run = (): Address =>
      node === NODE_ANY && (gfp & GFP.THISNODE) === 0
        ? kmalloc.kmalloc(size, gfp)
        : kmalloc.kmallocNode(size, gfp, node === NODE_ANY ? this.context.cpu.node : node);
    const { tracing } = this.context;
    const address = tracing.isOn ? tracing.inner(run) : run();
    if (address !== 0 && tracing.isOn) tracing.allocated('kmem_cache_alloc', address, this.size, gfp);
    if (address === 0 && this.panics)
      throw new SlabError(
        'ENOMEM',
        `no memory for cache '${this.name}' (SLAB.PANIC)`,
        undefined,
        table.name(this.id),
      );
    return this.mark(address);
  }

  /** Where the state of a live object of this cache is; refuses anything else. */
  private check(address: Address): number {
    const { table, metadata } = this.context;
    const { m, s, layout } = metadata;
    const cache = checkObject(metadata, address, this.shared, table);
    const state = stateAt(m, cacheAt(layout, cache), entryOf(address));
    if (aliasOf(s[state]) === this.alias) return state;
    throw new SlabError(
      'ECACHE',
      `${hex(address)} is of another cache that shares slabs with '${this.name}'`,
      address,
      this.name,
    );
  }

  private liveCount(): number {
    const { m, s, layout } = this.context.metadata;
    const descriptor = cacheAt(layout, this.shared);
    let live = 0;
    forEachSlab(this.context.metadata, (head, cache) => {
      if (cache !== this.shared) return;
      const states = firstStateAt(m, descriptor, head);
      let found = 0;
      for (let at = states; at < states + m[descriptor + C_OBJECTS]; at++)
        if (isLive(s[at]) && aliasOf(s[at]) === this.alias) found++;
      if (isSlabOf(this.context.metadata, head, cache)) live += found;
    });
    return live;
  }
}
