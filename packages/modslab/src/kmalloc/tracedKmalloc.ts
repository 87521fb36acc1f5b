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
  /** What is done goes through the heap's own, whose methods call each other without telling. */
  private readonly plain: Kmalloc;
  private readonly pageBytes: number;

  constructor(tracing: Tracing, plain: Kmalloc, ...parts: ConstructorParameters<typeof Kmalloc>) {
    super(...parts);
    this.tracing = tracing;
    this.plain = plain;
    this.pageBytes = 2 ** parts[0].layout.pageShift;
  }

  override kmalloc(size: number, gfp: GfpFlags): Address {
    return this.tracing.alloc('kmalloc', size, gfp, () => this.plain.kmalloc(size, gfp));
  }

  override kzalloc(size: number, gfp: GfpFlags): Address {
    return this.tracing.alloc('kmalloc', size, gfp | GFP.ZERO, () => this.plain.kzalloc(size, gfp));
  }

  override kmallocLarge(size: number, gfp: GfpFlags): Address {
    return this.tracing.alloc('kmalloc', size, gfp, () => this.plain.kmallocLarge(size, gfp));
  }

  override kmallocNode(size: number, gfp: GfpFlags, node: number): Address {
    return this.tracing.alloc('kmalloc', size, gfp, () => this.plain.kmallocNode(size, gfp, node));
  }

  override kmallocAligned(size: number, align: number, gfp: GfpFlags): Address {
    const run = (): Address => this.plain.kmallocAligned(size, align, gfp);
    return this.tracing.alloc('kmalloc', size, gfp, run, align);
  }

  override kvmalloc(size: number, gfp: GfpFlags): Address {
    const run = (): Address => this.plain.kvmalloc(size, gfp);
    return this.tracing.alloc('kmalloc', size, gfp, run);
  }

  override krealloc(address: Address, size: number, gfp: GfpFlags): Address {
    return this.tracing.realloc(address, size, gfp, () => this.plain.krealloc(address, size, gfp));
  }

  override kfree(address: Address): void {
    this.tracing.free('kfree', address, () => this.plain.kfree(address));
  }

  override kfreeSensitive(address: Address): void {
    this.tracing.free('kfree', address, () => this.plain.kfreeSensitive(address));
  }

  override kfreeDeferred(address: Address): void {
    this.tracing.free('kfree', address, () => this.plain.kfreeDeferred(address));
  }

  override kmallocBulk(size: number, out: AddressArray, n: number, gfp: GfpFlags): number {
    const got = this.plain.kmallocBulk(size, out, n, gfp);
    for (let i = 0; i < got; i++) this.tracing.allocated('kmalloc', out[i] >>> 0, size, gfp);
    return got;
  }

  override kfreeBulk(addresses: AddressArray, n: number, expected: number): void {
    const event = expected === 0 ? 'kfree' : 'kmem_cache_free';
    const all = Array.from(addresses.subarray(0, n), (address) => address >>> 0);
    this.tracing.freeAll(event, all, () => this.plain.kfreeBulk(addresses, n, expected));
  }

  override allocPages(order: number, gfp: GfpFlags): Address {
    const bytes = this.pageBytes * 2 ** order;
    return this.tracing.alloc('mm_page_alloc', bytes, gfp, () => this.plain.allocPages(order, gfp));
  }

  override freePages(address: Address, order: number): void {
    this.tracing.free('mm_page_free', address, () => this.plain.freePages(address, order));
  }
}
