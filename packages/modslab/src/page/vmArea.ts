/**
 * A vmalloc area as its users have it: contiguous bytes 0 … size - 1, whose pages lie anywhere in the data buffer. Copies
 * go through; who can take pieces takes `segments()`.
 *
 * Any thread gets at an area by its address (`heap.vmArea`). It ends with `vfree`: every later call throws `EFAULT`, also on
 * other threads, as long as no new area of as many pages begins at the same address.
 */

import type { DataMemory } from '../memory/data.ts';
import { checkInteger, hex, SlabError } from '../memory/errors.ts';
import { heapNumber } from '../memory/metadata.ts';
import { PTE_AREA } from './pageTable.ts';
import type { Vmalloc } from './vmalloc.ts';

export class VmArea {
  /** Its first byte, in vmalloc's addresses: no address of the data buffer. */
  readonly addr: number;
  /** Bytes asked for. */
  readonly size: number;
  private readonly vmalloc: Vmalloc;
  private readonly data: DataMemory;
  private readonly frames: Int32Array;
  private readonly pageShift: number;
  /** Where the page table has the area's claim, and what it says as long as the area lives. */
  private readonly entry: number;
  private readonly alive: number;

  constructor(vmalloc: Vmalloc, data: DataMemory, addr: number) {
    const { size, frames } = vmalloc.lookUp(addr);
    this.addr = addr;
    this.size = size;
    this.vmalloc = vmalloc;
    this.data = data;
    this.frames = frames;
    this.pageShift = vmalloc.metadata.layout.pageShift;
    this.entry = vmalloc.entryOf(addr);
    this.alive = PTE_AREA | frames.length;
  }

  /**
   * Its pieces, in order, as views of the data buffer: for `readv`, `writev`, or loops of one's own. Frames that lie side by
   * side make one piece. The views stay right when the heap grows; keep them no longer than the area.
   */
  segments(): Uint8Array[] {
    const { u8 } = this.live();
    const pageSize = 2 ** this.pageShift;
    const pieces: Uint8Array[] = [];
    for (let i = 0; i < this.frames.length; ) {
      let end = i + 1;
      while (end < this.frames.length && this.frames[end] === this.frames[end - 1] + 1) end++;
      const start = this.frames[i] * pageSize;
      const bytes = Math.min((end - i) * pageSize, this.size - i * pageSize);
      pieces.push(u8.subarray(start, start + bytes));
      i = end;
    }
    return pieces;
  }

  /** A copy of `length` bytes from `offset` on. */
  read(offset: number, length: number): Uint8Array {
    const { u8 } = this.checked(offset, length);
    const out = new Uint8Array(length);
    this.eachPiece(offset, length, (address, bytes, done) => {
      out.set(u8.subarray(address, address + bytes), done);
    });
    return out;
  }

  /** Copies bytes to `offset`. */
  write(offset: number, bytes: Uint8Array): void {
    if (!(bytes instanceof Uint8Array)) throw new TypeError('write takes a Uint8Array');
    const { u8 } = this.checked(offset, bytes.length);
    this.eachPiece(offset, bytes.length, (address, length, done) => {
      u8.set(bytes.subarray(done, done + length), address);
    });
  }

  /** Sets `length` bytes from `offset` on to `value`. */
  fill(value: number, offset: number = 0, length: number = this.size - offset): void {
    const { u8 } = this.checked(offset, length);
    this.eachPiece(offset, length, (address, bytes) => u8.fill(value, address, address + bytes));
  }

  readU8(offset: number): number {
    return this.checked(offset, 1).u8[this.at(offset)];
  }

  writeU8(offset: number, value: number): void {
    this.checked(offset, 1).u8[this.at(offset)] = value;
  }

  /** Little-endian, at any offset, also across two pages; so are the others. */
  readU16(offset: number): number {
    const { u8 } = this.checked(offset, 2);
    return u8[this.at(offset)] | (u8[this.at(offset + 1)] << 8);
  }

  writeU16(offset: number, value: number): void {
    this.writeBytes(offset, 2, value);
  }

  readU32(offset: number): number {
    const { u8, dataView } = this.checked(offset, 4);
    if (this.isInOnePage(offset, 4)) return dataView.getUint32(this.at(offset), true);
    let value = 0;
    for (let i = 3; i >= 0; i--) value = (value << 8) | u8[this.at(offset + i)];
    return value >>> 0;
  }

  writeU32(offset: number, value: number): void {
    this.writeBytes(offset, 4, value);
  }

  private writeBytes(offset: number, bytes: number, value: number): void {
    const { u8 } = this.checked(offset, bytes);
    for (let i = 0; i < bytes; i++) u8[this.at(offset + i)] = value >>> (8 * i);
  }

  private isInOnePage(offset: number, bytes: number): boolean {
    return offset >>> this.pageShift === (offset + bytes - 1) >>> this.pageShift;
  }

  /** Where a byte lies in the data buffer. */
  private at(offset: number): number {
    const pageSize = 2 ** this.pageShift;
    return this.frames[Math.floor(offset / pageSize)] * pageSize + (offset % pageSize);
  }

  /** Calls `visit` with address, bytes, and bytes done before, for each page's part of a window. */
  private eachPiece(
    offset: number,
    length: number,
    visit: (address: number, bytes: number, done: number) => void,
  ): void {
    const pageSize = 2 ** this.pageShift;
    for (let done = 0; done < length; ) {
      const bytes = Math.min(length - done, pageSize - ((offset + done) % pageSize));
      visit(this.at(offset + done), bytes, done);
      done += bytes;
    }
  }

  private checked(offset: number, length: number): ReturnType<DataMemory['views']> {
    if (offset >>> 0 !== offset || length >>> 0 !== length || offset + length > this.size) {
      checkInteger('an offset', offset, 0, this.size);
      checkInteger('a length', length, 0, this.size - offset);
    }
    return this.live();
  }

  /** Whether it has not been freed. */
  get isLive(): boolean {
    return this.vmalloc.metadata.m[this.entry] === this.alive;
  }

  /** Whether it is of the heap that `vmalloc` works on, by whichever thread's end of it. */
  isOf(vmalloc: Vmalloc): boolean {
    return this.vmalloc === vmalloc || heapNumber(this.vmalloc.metadata) === heapNumber(vmalloc.metadata);
  }

  private live(): ReturnType<DataMemory['views']> {
    if (!this.isLive)
      throw new SlabError('EFAULT', `the vmalloc area at ${hex(this.addr)} has been freed`, this.addr);
    return this.data.views();
  }
}
