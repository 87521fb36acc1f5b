/**
 * A group: this thread's handle of memory that is charged together. See kmalloc/groupAllocator.ts for where it comes from,
 * slab/charge.ts for how it is counted, slab/groupTable.ts for how it ends.
 */

import type { Cpu } from '../memory/cpu.ts';
import type { DataMemory } from '../memory/data.ts';
import { checkInteger, hex, invalid, SlabError } from '../memory/errors.ts';
import { GFP, type GfpFlags } from '../memory/gfp.ts';
import { G_LIMIT, GRANULE_SHIFT, groupAt } from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { usageOf } from '../slab/charge.ts';
import type { GroupTable } from '../slab/groupTable.ts';
import type { Address } from '../slab/slabAllocator.ts';
import type { GroupAllocator } from './groupAllocator.ts';
import type { Kmalloc } from './kmalloc.ts';
import type { Tracing } from './tracing.ts';

/** Addresses are unsigned 32-bit byte offsets, and so are sizes. */
const BYTES_MAX: number = 2 ** 32;

/** What `createGroup` takes. */
export interface GroupOptions {
  /** Unique among the heap's groups, not beginning with '#', at most 128 bytes of UTF-8. Default: '#' and a number. */
  name?: string;
  /** Most bytes that may be charged to it (default: none). */
  limit?: number;
}

/** What the groups of one heap have in common on this thread. */
export interface GroupContext {
  readonly metadata: Metadata;
  readonly cpu: Cpu;
  readonly data: DataMemory;
  readonly groups: GroupAllocator;
  readonly kmalloc: Kmalloc;
  readonly tracing: Tracing;
}

/** A limit in granules; -1 for none. */
function granulesOf(limit: number): number {
  if (limit === Number.POSITIVE_INFINITY) return -1;
  checkInteger("a group's limit", limit, 0, BYTES_MAX);
  return Math.floor(limit / 2 ** GRANULE_SHIFT);
}

/** Creates a group. See `Heap.createGroup`. */
export function createGroup(context: GroupContext, options: GroupOptions): Group {
  const { name, limit = Number.POSITIVE_INFINITY } = options;
  if (name !== undefined && (typeof name !== 'string' || name === '' || name.startsWith('#')))
    invalid("a group's name is a text that is not empty and does not begin with '#'");
  const granules = granulesOf(limit);
  context.groups.table.completeAll();
  return new Group(context, context.groups.table.create(name, granules));
}

/** Opens a group that some thread has created. See `Heap.group`. */
export function openGroup(context: GroupContext, name: string): Group {
  const number = context.groups.table.find(name);
  if (number === 0) invalid(`there is no group '${name}'`);
  return new Group(context, number);
}

/**
 * Memory that is charged together. Any thread may open it by its name, allocate from it, free what is charged to it (with
 * `heap.kfree` too), and free the whole. It lives until it is freed or adopted, whatever becomes of its creator.
 */
export class Group {
  readonly name: string;
  private readonly context: GroupContext;
  private readonly table: GroupTable;
  private readonly number: number;
  private readonly generation: number;

  constructor(context: GroupContext, number: number) {
    this.context = context;
    this.table = context.groups.table;
    this.number = number;
    this.generation = this.table.generation(number);
    this.name = this.table.name(number);
  }

  /**
   * Bytes charged: of every live object all that `ksize` says, those of adopted groups included. Exact while no thread is in
   * the middle of an operation on the group and the dead are reaped. Cost: O(CPU slots ever taken, of each group in it).
   */
  get usage(): number {
    this.checkUsable();
    return usageOf(this.context.metadata, this.number) * 2 ** GRANULE_SHIFT;
  }

  /**
   * Most bytes that may be charged, `Infinity` for any number. No allocation that succeeds takes the usage above it. At
   * the brink a call may fail because of one on another thread that fails as well. A limit below the usage
   * frees nothing, and neither does adoption ask for it: allocations fail until the usage is below.
   */
  get limit(): number {
    this.checkUsable();
    const { metadata } = this.context;
    const granules = Atomics.load(metadata.m, groupAt(metadata.layout, this.number) + G_LIMIT);
    return granules < 0 ? Number.POSITIVE_INFINITY : granules * 2 ** GRANULE_SHIFT;
  }

  set limit(bytes: number) {
    const granules = granulesOf(bytes);
    this.checkUsable();
    const { metadata } = this.context;
    Atomics.store(metadata.m, groupAt(metadata.layout, this.number) + G_LIMIT, granules);
  }

  /** `heap.kmalloc`, charged to this group; 0 without memory, or where the limit forbids it. A dozen Atomics. */
  kmalloc(size: number, gfp: GfpFlags = 0): Address {
    this.checkUsable();
    const { groups, tracing } = this.context;
    if (!tracing.isOn) return groups.kmalloc(this.number, size, gfp);
    return tracing.alloc('kmalloc', size, gfp, () => groups.kmalloc(this.number, size, gfp));
  }

  /** `kmalloc`, filled with zeros over all that `ksize` says. */
  kzalloc(size: number, gfp: GfpFlags = 0): Address {
    return this.kmalloc(size, gfp | GFP.ZERO);
  }

  /** `kzalloc` of n · size bytes. */
  kcalloc(n: number, size: number, gfp: GfpFlags = 0): Address {
    checkInteger('the number of elements', n, 0, BYTES_MAX);
    checkInteger('the size of an element', size, 0, BYTES_MAX);
    return this.kzalloc(n * size, gfp);
  }

  /**
   * `heap.krealloc` of an object of this group (`ECACHE` for any other). Address 0 allocates from the group. While an object
   * moves, the old and the new one are both charged.
   */
  krealloc(addr: Address, size: number, gfp: GfpFlags = 0): Address {
    if (addr === 0) return this.kmalloc(size, gfp);
    this.checkOurs(addr);
    return this.context.kmalloc.krealloc(addr, size, gfp);
  }

  /** `heap.kfree`, but `ECACHE` for an object of another group, or of none. */
  kfree(addr: Address): void {
    if (addr !== 0) this.checkOurs(addr);
    this.context.kmalloc.kfree(addr);
  }

  /**
   * Takes over everything that is charged to `other`, which allocates no more; its handles throw `EINVAL`. No object moves.
   * The usage may be above the limit afterwards. Throws `EBUSY` if another thread is adopting one of the two, or frees it.
   */
  adopt(other: Group): void {
    if (!(other instanceof Group) || other.context.metadata.buffer !== this.context.metadata.buffer)
      throw new TypeError('a group adopts another group of the same heap');
    if (other.number === this.number) invalid(`group '${this.name}' cannot adopt itself`);
    this.checkUsable();
    other.checkUsable();
    if (this.table.adopt(this.number, other.number)) return;
    this.checkUsable();
    other.checkUsable();
    throw new SlabError(
      'EBUSY',
      `another thread is adopting '${this.name}' or '${other.name}', or died doing so: reap it`,
    );
  }

  /**
   * Frees everything that is charged to this group and the groups that it has adopted, and the group itself: every handle
   * of it throws `EINVAL` from now on. Nobody may use its objects any more. What another thread is working on at this moment, or
   * a dead one that has not been reaped was, is given back later, when memory is short, a CPU is reaped, or a group is
   * created or freed. Returns the bytes that were charged. Cost: O(frames + objects of the group).
   */
  free(): number {
    this.checkUsable();
    const bytes = usageOf(this.context.metadata, this.number) * 2 ** GRANULE_SHIFT;
    if (!this.table.beginFree(this.number)) {
      this.checkUsable();
      throw new SlabError(
        'EBUSY',
        `another thread is adopting with '${this.name}', or died doing so: reap it`,
      );
    }
    this.table.completeAll();
    return bytes;
  }

  private checkOurs(addr: Address): void {
    const { groups, kmalloc } = this.context;
    this.checkUsable();
    kmalloc.ksize(addr);
    const group = groups.groupOf(addr);
    if (group !== 0 && this.table.rootOf(group) === this.number) return;
    throw new SlabError('ECACHE', `${hex(addr)} is not charged to group '${this.name}'`, addr);
  }

  private checkUsable(): void {
    this.context.cpu.checkOnline();
    if (this.table.generation(this.number) === this.generation && this.table.isActive(this.number)) return;
    invalid(`group '${this.name}' has been freed, or adopted by another`);
  }
}
