/**
 * Memory pools (Linux: mempool_t): so many objects in reserve for when there is no memory. `alloc` asks the allocator
 * first and the reserve only then; `free` fills the reserve first.
 *
 * The reserve is a few sheaves of the cache that the objects belong to, owned by this thread's CPU, with as many objects as
 * a sheaf has room for. So a killed thread loses none of them: its sheaves are put back by reap like all others, and
 * a pool needs no intent of its own (slab/sheaves.ts: every non-zero entry is an object that nobody has).
 *
 *     object i of the reserve, from 0, stands in sheaf ⌊i / SHEAF_CAPACITY⌋ at 1 + i mod SHEAF_CAPACITY
 */

import { checkInteger, invalid, SlabError } from '../memory/errors.ts';
import { GFP, type GfpFlags } from '../memory/gfp.ts';
import { SHEAF_CAPACITY } from '../memory/layout.ts';
import { NODE_ANY } from '../page/pageAllocator.ts';
import { checkObject } from '../slab/object.ts';
import type { Address } from '../slab/slabAllocator.ts';
import { type CacheContext, KmemCache } from './kmemCache.ts';

/** Objects that the sheaves of one cache have room for. */
function mostOf(context: CacheContext): number {
  return context.metadata.layout.sheavesPerCache * SHEAF_CAPACITY;
}

/** Objects in reserve, for this thread. Any thread may free what came from it, with `heap.kfree`. */
export class Mempool {
  private readonly context: CacheContext;
  private readonly cache: KmemCache;
  private readonly parts: number[] = [];
  private wanted = 0;
  private have = 0;
  private destroyed = false;

  constructor(context: CacheContext, min: number, size: number) {
    checkInteger('the reserve of a pool', min, 0, mostOf(context));
    context.kmalloc.checkSize(size);
    context.cpu.checkOnline();
    const cache = context.kmalloc.poolCacheFor(size);
    if (cache === 0)
      throw new SlabError('ENOMEM', `there is no cache descriptor for a pool of ${size} bytes`);
    this.context = context;
    this.cache = new KmemCache(context, cache);
    this.resize(min);
  }

  /** Objects that the reserve should have. */
  get min(): number {
    return this.wanted;
  }

  /** Objects that it has at present. */
  get reserved(): number {
    return this.have;
  }

  /** Bytes of an object. */
  get size(): number {
    return this.cache.size;
  }

  /** An object: of the allocator, or, if that has none, of the reserve; 0 if that is empty too. `NOFAIL` then waits. */
  alloc(gfp: GfpFlags = 0): Address {
    this.checkUsable();
    const address = this.cache.alloc(gfp & ~GFP.NOFAIL) || this.pop();
    if (address !== 0 || (gfp & GFP.NOFAIL) === 0) return address;
    return this.cache.alloc(gfp);
  }

  /** Takes an object back, into the reserve if that is not full. 0 is a no-op; `ECACHE` for one of another size. */
  free(address: Address): void {
    this.checkUsable();
    if (address === 0) return;
    if (this.have >= this.wanted) {
      this.cache.free(address);
      return;
    }
    const { metadata, table, sheaves } = this.context;
    checkObject(metadata, address, this.cache.id, table);
    const error = table.debugOf(this.cache.id)?.retire(this.cache.id, address);
    const { part, n } = this.place(this.have);
    const put = (): void => sheaves.pushTo(part, n, this.cache.id, address);
    if (this.context.tracing.isOn) this.context.tracing.free('kmem_cache_free', address, put);
    else put();
    this.have++;
    if (error !== undefined) throw error;
  }

  /** Changes the size of the reserve. Throws `ENOMEM`, and changes nothing, if there is not so much memory. */
  resize(min: number): void {
    checkInteger('the reserve of a pool', min, 0, mostOf(this.context));
    this.checkUsable();
    this.context.sheaves.enterSlowPath();
    const before = this.have;
    if (this.claimParts(min) && this.fill(min)) {
      this.wanted = min;
      this.drop(Math.min(this.have, min));
      return;
    }
    this.drop(before);
    throw new SlabError('ENOMEM', `there is no memory for a reserve of ${min} objects of ${this.size} bytes`);
  }

  /** Gives the reserve back. What was allocated stays. Any later call but this one throws `EINVAL`. */
  destroy(): void {
    if (this.destroyed) return;
    this.context.sheaves.enterSlowPath();
    this.destroyed = true;
    this.wanted = 0;
    this.drop(0);
  }

  private place(i: number): { part: number; n: number } {
    return { part: this.parts[Math.floor(i / SHEAF_CAPACITY)], n: 1 + (i % SHEAF_CAPACITY) };
  }

  private pop(): Address {
    if (this.have === 0) return 0;
    // Reaped by mistake, this thread does not own its sheaves any more.
    this.context.cpu.checkOnline();
    this.have--;
    const { part, n } = this.place(this.have);
    const address = this.context.sheaves.popFrom(part, n);
    this.context.table.debugOf(this.cache.id)?.prepare(this.cache.id, address, this.size, GFP.KERNEL);
    const { tracing } = this.context;
    if (tracing.isOn) tracing.allocated('kmem_cache_alloc', address, this.size, 0);
    return address;
  }

  private claimParts(objects: number): boolean {
    const needed = Math.ceil(objects / SHEAF_CAPACITY);
    while (this.parts.length < needed) {
      const part = this.context.sheaves.claimSheaf(this.cache.id);
      if (part === 0) return false;
      this.parts.push(part);
    }
    return true;
  }

  private fill(objects: number): boolean {
    const { sheaves, reclaim } = this.context;
    for (let attempt = 0; attempt < 2; attempt++) {
      while (this.have < objects) {
        const { part, n } = this.place(this.have);
        const want = Math.min(SHEAF_CAPACITY, n - 1 + objects - this.have);
        const got = sheaves.fill(this.cache.id, part, n - 1, want, GFP.KERNEL, NODE_ANY);
        this.have += got - (n - 1);
        if (got < want) break;
      }
      if (this.have >= objects) return true;
      reclaim.drain(true);
    }
    return false;
  }

  /** Gives back all objects of the reserve but the first `keep`, and the sheaves that are not needed for `wanted`. */
  private drop(keep: number): void {
    const { sheaves } = this.context;
    const { id } = this.cache;
    while (this.have > keep) {
      const { part, n } = this.place(this.have - 1);
      const from = Math.max(1, n - (this.have - 1 - keep));
      sheaves.drain(id, part, from, n);
      this.have -= n - from + 1;
    }
    const needed = Math.ceil(Math.max(this.wanted, this.have) / SHEAF_CAPACITY);
    if (this.parts.length > needed) sheaves.releaseAll(id, this.parts.splice(needed));
  }

  private checkUsable(): void {
    this.context.cpu.checkAttached();
    if (this.destroyed) invalid('the pool has been destroyed');
  }
}
