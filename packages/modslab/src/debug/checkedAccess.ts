/**
 * Checked access: reads and writes of one object, each of which is looked at first. Outside of the object, or after it has
 * been freed, it is refused (Linux: KASAN), at the access itself, not at some later free.
 *
 * Whether the object is still there is read off its state byte, as every free does. Where the same place has been allocated
 * again in the meantime, only its generation tells (debug option `G`); without it, the new object is taken for the old one.
 *
 * What a cache's `useroffset` and `usersize` name is all that may be seen of its objects from outside (Linux: hardened
 * usercopy): the accessor stays within it, unless it is asked for the whole object.
 */

import { entryOf } from '../memory/entry.ts';
import { checkInteger, hex, SlabError } from '../memory/errors.ts';
import { C_USER_OFFSET, C_USER_SIZE, cacheAt, pageAt } from '../memory/layout.ts';
import {
  CLAIM_LIVE,
  CLAIM_USED,
  cacheOf,
  isLive,
  KIND_LARGE,
  kindOf,
  PAGE_CLAIM,
  PAGE_FLAGS,
} from '../page/page.ts';
import type { Address } from '../slab/cacheSpec.ts';
import { stateAt } from '../slab/cacheTable.ts';
import type { DebugAllocator } from '../slab/debugAllocator.ts';
import { debugObject } from '../slab/debugObject.ts';
import { ownerAt } from '../slab/granules.ts';
import { generationOf } from './objectHandle.ts';

export interface CheckedOptions {
  /** Not only the part that `useroffset` and `usersize` of its cache name. */
  readonly whole?: boolean;
}

/** The part of an object that may be accessed. */
interface Extent {
  /** The cache's number; 0 for a large object. */
  readonly cache: number;
  readonly start: number;
  readonly end: number;
}

/** One live object; made by `heap.checked`. Offsets and lengths are in bytes, multi-byte values little-endian. */
export class CheckedObject {
  readonly address: Address;
  /** Bytes of the object. */
  readonly size: number;
  private readonly debugging: DebugAllocator;
  private readonly extent: Extent;
  private readonly generation: number;

  constructor(debugging: DebugAllocator, address: Address, size: number, options: CheckedOptions) {
    this.debugging = debugging;
    this.address = address;
    this.size = size;
    this.extent = this.extentOf(options.whole === true);
    this.generation = this.generationNow();
  }

  /** Whether the object has not been freed since. */
  get isLive(): boolean {
    return this.isThere();
  }

  getInt8(offset: number): number {
    return this.at(offset, 1, 'read').getInt8(this.address + offset);
  }
  setInt8(offset: number, value: number): void {
    this.at(offset, 1, 'write').setInt8(this.address + offset, value);
  }
  getUint8(offset: number): number {
    return this.at(offset, 1, 'read').getUint8(this.address + offset);
  }
  setUint8(offset: number, value: number): void {
    this.at(offset, 1, 'write').setUint8(this.address + offset, value);
  }
  getInt16(offset: number): number {
    return this.at(offset, 2, 'read').getInt16(this.address + offset, true);
  }
  setInt16(offset: number, value: number): void {
    this.at(offset, 2, 'write').setInt16(this.address + offset, value, true);
  }
  getUint16(offset: number): number {
    return this.at(offset, 2, 'read').getUint16(this.address + offset, true);
  }
  setUint16(offset: number, value: number): void {
    this.at(offset, 2, 'write').setUint16(this.address + offset, value, true);
  }
  getInt32(offset: number): number {
    return this.at(offset, 4, 'read').getInt32(this.address + offset, true);
  }
  setInt32(offset: number, value: number): void {
    this.at(offset, 4, 'write').setInt32(this.address + offset, value, true);
  }
  getUint32(offset: number): number {
    return this.at(offset, 4, 'read').getUint32(this.address + offset, true);
  }
  setUint32(offset: number, value: number): void {
    this.at(offset, 4, 'write').setUint32(this.address + offset, value, true);
  }
  getFloat32(offset: number): number {
    return this.at(offset, 4, 'read').getFloat32(this.address + offset, true);
  }
  setFloat32(offset: number, value: number): void {
    this.at(offset, 4, 'write').setFloat32(this.address + offset, value, true);
  }
  getFloat64(offset: number): number {
    return this.at(offset, 8, 'read').getFloat64(this.address + offset, true);
  }
  setFloat64(offset: number, value: number): void {
    this.at(offset, 8, 'write').setFloat64(this.address + offset, value, true);
  }
  getBigInt64(offset: number): bigint {
    return this.at(offset, 8, 'read').getBigInt64(this.address + offset, true);
  }
  setBigInt64(offset: number, value: bigint): void {
    this.at(offset, 8, 'write').setBigInt64(this.address + offset, value, true);
  }
  getBigUint64(offset: number): bigint {
    return this.at(offset, 8, 'read').getBigUint64(this.address + offset, true);
  }
  setBigUint64(offset: number, value: bigint): void {
    this.at(offset, 8, 'write').setBigUint64(this.address + offset, value, true);
  }

  /** A copy of some of its bytes. */
  read(offset: number, length: number): Uint8Array {
    this.at(offset, length, 'read');
    return this.bytes.slice(this.address + offset, this.address + offset + length);
  }

  /** Writes bytes into it. */
  write(offset: number, bytes: ArrayLike<number>): void {
    this.at(offset, bytes.length, 'write');
    this.bytes.set(bytes, this.address + offset);
  }

  fill(value: number, offset: number, length: number): void {
    this.at(offset, length, 'write');
    this.bytes.fill(value, this.address + offset, this.address + offset + length);
  }

  /** Moves bytes within it; the two parts may overlap. */
  move(to: number, from: number, length: number): void {
    this.at(from, length, 'read');
    this.at(to, length, 'write');
    this.bytes.copyWithin(this.address + to, this.address + from, this.address + from + length);
  }

  private get bytes(): Uint8Array {
    return this.debugging.context.data.views().u8;
  }

  /** The data, after the access has been checked. */
  private at(offset: number, length: number, what: string): DataView {
    checkInteger('an offset', offset, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    checkInteger('a length', length, 0, Number.MAX_SAFE_INTEGER);
    const { start, end } = this.extent;
    if (!this.isThere()) this.refuse('use-after-free', offset, length, what);
    if (offset < 0 || offset + length > this.size) this.refuse('out-of-bounds', offset, length, what);
    if (offset < start || offset + length > end) this.refuse('usercopy', offset, length, what);
    return this.debugging.context.data.views().dataView;
  }

  private refuse(bug: string, offset: number, length: number, what: string): never {
    const { address, size, debugging, extent } = this;
    const name = extent.cache === 0 ? 'kmalloc-large' : debugging.table.name(extent.cache);
    const window = bug === 'usercopy' ? `, of which ${extent.start} … ${extent.end - 1} may be seen` : '';
    const error = new SlabError(
      'EFAULT',
      `slab-${bug}: ${what} of ${length} bytes at offset ${offset} of the object at ${hex(address)} of '${name}' of ${size} bytes${window}`,
      address,
      name,
    );
    debugging.explainAccess(error, `slab-${bug}`);
    throw error;
  }

  private isThere(): boolean {
    const { metadata, cpu } = this.debugging.context;
    cpu.checkAttached();
    const { m, s, layout } = metadata;
    const page = pageAt(layout, this.address >>> layout.pageShift);
    const { cache } = this.extent;
    if (cache === 0)
      return (
        kindOf(m[page + PAGE_FLAGS]) === KIND_LARGE && m[page + PAGE_CLAIM] === (CLAIM_USED | CLAIM_LIVE)
      );
    if (ownerAt(metadata, cacheOf(m[page + PAGE_FLAGS]), this.address) !== cache) return false;
    const state = stateAt(m, cacheAt(layout, cache), entryOf(this.address));
    return isLive(s[state]) && this.generation === this.generationNow();
  }

  private generationNow(): number {
    const { cache } = this.extent;
    if (cache === 0) return 0;
    return generationOf(this.debugging, debugObject(this.debugging.context.metadata, cache, this.address));
  }

  private extentOf(isWhole: boolean): Extent {
    const { metadata } = this.debugging.context;
    const { m, layout } = metadata;
    const slabs = cacheOf(m[pageAt(layout, this.address >>> layout.pageShift) + PAGE_FLAGS]);
    const cache = slabs === 0 ? 0 : ownerAt(metadata, slabs, this.address);
    if (cache === 0 || isWhole) return { cache, start: 0, end: this.size };
    const descriptor = cacheAt(layout, cache);
    const start = m[descriptor + C_USER_OFFSET];
    const isKmalloc = start === 0 && this.size <= m[descriptor + C_USER_SIZE];
    return { cache, start, end: isKmalloc ? this.size : start + m[descriptor + C_USER_SIZE] };
  }
}
