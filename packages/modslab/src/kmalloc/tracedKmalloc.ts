/**
 * Kmalloc that tells of what it does (kmalloc/tracing.ts): what a heap has in its hand while somebody listens. It works on the
 * same caches, sheaves and frames as the plain one beside it; only the methods that users call are others.
 */

import { GFP, type GfpFlags } from '../memory/gfp.ts';
import type { Address, AddressArray } from '../slab/slabAllocator.ts';
import { Kmalloc } from './kmalloc.ts';
import type { Tracing } from './tracing.ts';

export class TracedKmalloc extends Kmalloc {
  private readonly tracing: Tracing;
  private readonly pageBytes: number;

  constructor(tracing: Tracing, ...parts: ConstructorParameters<typeof Kmalloc>) {
    super(...parts);
    this.tracing = tracing;
    this.pageBytes = 2 ** parts[0].layout.pageShift;
  }

  override kmalloc(size: number, gfp: GfpFlags): Address {
    return this.tracing.alloc('kmalloc', size, gfp, () => super.kmalloc(size, gfp));
  }

  override kzalloc(size: number, gfp: GfpFlags): Address {
    return this.tracing.alloc('kmalloc', size, gfp | GFP.ZERO, () => super.kzalloc(size, gfp));
  }

  override kmallocNode(size: number, gfp: GfpFlags, node: number): Address {
    return this.tracing.alloc('kmalloc', size, gfp, () => super.kmallocNode(size, gfp, node));
  }

  override kmallocAligned(size: number, align: number, gfp: GfpFlags): Address {
    const run = (): Address => this.tracing.inner(() => super.kmallocAligned(size, align, gfp));
    return this.tracing.alloc('kmalloc', size, gfp, run, align);
  }

  override kvmalloc(size: number, gfp: GfpFlags): Address {
    const run = (): Address => this.tracing.inner(() => super.kvmalloc(size, gfp));
    return this.tracing.alloc('kmalloc', size, gfp, run);
  }

  override krealloc(address: Address, size: number, gfp: GfpFlags): Address {
    return this.tracing.realloc(address, size, gfp, () => super.krealloc(address, size, gfp));
  }

  override kfree(address: Address): void {
    this.tracing.free('kfree', address, () => super.kfree(address));
  }

  override kfreeSensitive(address: Address): void {
    this.tracing.free('kfree', address, () => this.tracing.inner(() => super.kfreeSensitive(address)));
  }

  override kfreeDeferred(address: Address): void {
    this.tracing.free('kfree', address, () => super.kfreeDeferred(address));
  }

  override kmallocBulk(size: number, out: AddressArray, n: number, gfp: GfpFlags): number {
    const got = this.tracing.inner(() => super.kmallocBulk(size, out, n, gfp));
    for (let i = 0; i < got; i++) this.tracing.allocated('kmalloc', out[i] >>> 0, size, gfp);
    return got;
  }

  override kfreeBulk(addresses: AddressArray, n: number, expected: number): void {
    const event = expected === 0 ? 'kfree' : 'kmem_cache_free';
    const all = Array.from(addresses.subarray(0, n), (address) => address >>> 0);
    this.tracing.freeAll(event, all, () => super.kfreeBulk(addresses, n, expected));
  }

  override allocPages(order: number, gfp: GfpFlags): Address {
    const bytes = this.pageBytes * 2 ** order;
    return this.tracing.alloc('mm_page_alloc', bytes, gfp, () => super.allocPages(order, gfp));
  }

  override freePages(address: Address, order: number): void {
    this.tracing.free('mm_page_free', address, () => super.freePages(address, order));
  }
}
