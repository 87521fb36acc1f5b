/**
 * A vector in shared memory that any thread appends to and reads, and that never moves an element: it grows by segments,
 * each twice as long as the one before.
 *
 *     header   word 0 magic [C]      1 bytes of an element [C]    2 log2 of the first segment's elements [C]
 *              word 3 length [A]     8 … 31 segments: addresses [A], slots of `allocInto`
 *     segment  one bit an element, 1: it is written [A] │ elements, each aligned as its type is
 *
 *     segment of element i: s = max(0, floor(log2 i) - first + 1); it has 2^first elements (s = 0), 2^(first + s - 1) else
 *
 * Rule for users: `push` claims an index by compare-and-swap, writes the element, then sets its bit. `get` of an element
 * whose bit is not set is undefined. `length` counts claimed indices: elements of others may still be unwritten below it.
 * Elements are plain memory (`set`, `addressOf`): who shares one uses Atomics on it.
 *
 * The next segment is made when the last one is half full, so in practice nobody meets a segment that another thread is
 * just making; who does, gets -1 as if there was no memory.
 *
 * | killed here                            | ⇒ what follows                                                      |
 * |----------------------------------------|---------------------------------------------------------------------|
 * | allocInto of a segment                 | heap.reap empties the slot; the next to need the segment makes it   |
 * | index claimed, element not written     | that index stays unwritten for good: `get` is undefined, others go on |
 * | element written, bit not set           | the same                                                            |
 */

import type { Heap } from '../heap.ts';
import type { ScalarType, Struct, StructLayout } from '../kmalloc/struct.ts';
import { killPoint } from '../memory/assert.ts';
import { checkInteger, checkPowerOfTwo, hex, invalid, SlabError } from '../memory/errors.ts';
import { GFP, type GfpFlags } from '../memory/gfp.ts';
import type { Address } from '../slab/slabAllocator.ts';

/** 'mvec', backwards. */
const MAGIC = 0x6365766d;
const W_MAGIC = 0;
const W_BYTES = 1;
const W_FIRST = 2;
const W_LENGTH = 3;
const W_SEGMENTS = 8;
const SEGMENTS_MAX = 24;
const HEADER_BYTES: number = 4 * (W_SEGMENTS + SEGMENTS_MAX);
const FIRST_DEFAULT = 64;
const FIRST_MAX: number = 2 ** 20;
const BITS_SHIFT = 5;
/** Elements begin at a multiple of this many bytes: of every type of numbers. */
const ELEMENTS_ALIGN = 8;
/** Of the largest struct. */
const ELEMENT_BYTES_MAX: number = 2 ** 30;

/** What a vector holds: numbers of a type, or structs. */
export type VectorElement = ScalarType | StructLayout;
type ValueOf<E> = E extends 'i64' | 'u64' ? bigint : E extends ScalarType ? number : never;

export interface SharedVectorOptions {
  /** Elements of the first segment: a power of two from 32 (default 64). */
  first?: number;
}

type Numbers = Struct<{ readonly value: 'f64' }>;

/** Bytes and alignment of an element. Throws `TypeError` or `RangeError` for what is none. */
function layoutOf(heap: Heap, element: VectorElement): StructLayout {
  if (typeof element === 'string') return heap.struct({ value: element }) as StructLayout;
  if (typeof element !== 'object' || element === null)
    throw new TypeError(
      `the elements of a vector are of a type of numbers or a struct of heap.struct(), not ${String(element)}`,
    );
  checkInteger('the bytes of an element', element.size, 1, ELEMENT_BYTES_MAX);
  checkInteger('the alignment of an element', element.align, 1, ELEMENT_BYTES_MAX);
  return element;
}

/** This thread's handle of a vector. */
export class SharedVector<E extends VectorElement> {
  /** What `open` takes on another thread. */
  readonly handle: Address;
  /** Bytes of an element. */
  readonly elementBytes: number;
  private readonly heap: Heap;
  private readonly first: number;
  /** Accessors of one number; of a vector of structs, undefined. */
  private readonly numbers: Numbers | undefined;
  /** What its numbers are in JavaScript. */
  private readonly valueType: 'number' | 'bigint';
  private isDestroyed = false;

  private constructor(heap: Heap, element: E, handle: Address) {
    const { i32 } = heap;
    const at = handle >>> 2;
    const layout = layoutOf(heap, element);
    if (handle % 4 !== 0 || i32[at + W_MAGIC] !== MAGIC)
      throw new SlabError('EFAULT', `there is no vector at ${hex(handle)}`, handle);
    if (i32[at + W_BYTES] !== layout.size)
      invalid(`the vector's elements have ${i32[at + W_BYTES]} bytes, not ${layout.size}`);
    this.heap = heap;
    this.handle = handle;
    this.elementBytes = layout.size;
    this.first = i32[at + W_FIRST];
    this.numbers = typeof element === 'string' ? (layout as Numbers) : undefined;
    this.valueType = element === 'i64' || element === 'u64' ? 'bigint' : 'number';
  }

  /** Makes a vector. Throws `ENOMEM` without memory, `EINVAL` for elements that are aligned to more than 8 bytes, `TypeError` for what is no element. */
  static create<E extends VectorElement>(
    heap: Heap,
    element: E,
    { first = FIRST_DEFAULT }: SharedVectorOptions = {},
  ): SharedVector<E> {
    checkPowerOfTwo('the first segment', first, 2 ** BITS_SHIFT, FIRST_MAX);
    const { size, align } = layoutOf(heap, element);
    if (align > ELEMENTS_ALIGN)
      invalid(`elements of a vector are aligned to at most ${ELEMENTS_ALIGN}, not ${align}`);
    const handle = heap.kzalloc(HEADER_BYTES);
    if (handle === 0) throw new SlabError('ENOMEM', 'no memory for a vector');
    const { i32 } = heap;
    i32[(handle >>> 2) + W_BYTES] = size;
    i32[(handle >>> 2) + W_FIRST] = Math.log2(first);
    Atomics.store(i32, (handle >>> 2) + W_MAGIC, MAGIC);
    return new SharedVector(heap, element, handle);
  }

  /** Opens a vector that some thread has made, by its `handle`. Throws `EFAULT` if there is none. */
  static open<E extends VectorElement>(heap: Heap, element: E, handle: Address): SharedVector<E> {
    return new SharedVector(heap, element, handle);
  }

  /** Indices that have been claimed. */
  get length(): number {
    this.check();
    return Atomics.load(this.heap.i32, (this.handle >>> 2) + W_LENGTH) >>> 0;
  }

  /** Appends a number; its index, or -1 without memory. Throws `TypeError` for what is none. Cost: a few Atomics. */
  push(value: ValueOf<E>, gfp: GfpFlags = 0): number {
    const { numbers } = this;
    if (numbers === undefined) return invalid('a vector of structs: append with emplace');
    // Not as late as at the write: an index would have been claimed for it.
    this.checkValue(value);
    return this.emplace((address) => numbers.setValue(address, value as number), gfp);
  }

  /** Appends an element that `write` fills, given its address (it holds zeros); its index, or -1 without memory. */
  emplace(write: (address: Address) => void, gfp: GfpFlags = 0): number {
    this.check();
    if (typeof write !== 'function')
      throw new TypeError(`emplace takes a function that writes the element, not ${typeof write}`);
    const lengthAt = (this.handle >>> 2) + W_LENGTH;
    for (;;) {
      const index = Atomics.load(this.heap.i32, lengthAt) >>> 0;
      const s = this.segmentOf(index);
      const segment = this.segment(s, gfp);
      if (segment === 0) return -1;
      if (Atomics.compareExchange(this.heap.i32, lengthAt, index, index + 1) !== (index | 0)) continue;
      killPoint('vector.claimed');
      write(this.place(segment, s, index));
      killPoint('vector.written');
      const at = this.offset(s, index);
      Atomics.or(this.heap.i32, (segment >>> 2) + (at >>> BITS_SHIFT), 1 << (at & 31));
      if (at === this.elements(s) >>> 1 && s + 1 < SEGMENTS_MAX) this.segment(s + 1, gfp);
      return index;
    }
  }

  /** The number at an index; undefined if it has not been written. */
  get(index: number): ValueOf<E> | undefined {
    const address = this.addressOf(index);
    return address === 0 ? undefined : (this.accessors.value(address) as ValueOf<E>);
  }

  /** Writes the number at an index that has been written before; false if it has not. */
  set(index: number, value: ValueOf<E>): boolean {
    const address = this.addressOf(index);
    if (address === 0) return false;
    this.checkValue(value);
    this.accessors.setValue(address, value as number);
    return true;
  }

  /** Where an element is, for good; 0 if it has not been written. Throws `RangeError` for what is no index. */
  addressOf(index: number): Address {
    checkInteger('an index', index, 0, 2 ** 32 - 1);
    if (index >= this.length) return 0;
    const { i32 } = this.heap;
    const s = this.segmentOf(index);
    const segment = Atomics.load(i32, (this.handle >>> 2) + W_SEGMENTS + s);
    const at = this.offset(s, index);
    const bits = Atomics.load(i32, (segment >>> 2) + (at >>> BITS_SHIFT));
    return (bits & (1 << (at & 31))) === 0 ? 0 : this.place(segment, s, index);
  }

  /** The numbers that are written, in order. */
  *values(): Iterable<ValueOf<E>> {
    for (let index = 0; index < this.length; index++) {
      const value = this.get(index);
      if (value !== undefined) yield value;
    }
  }

  /**
   * Frees the vector, not what addresses in it name. No other thread may use it any more: later calls throw `ESHUTDOWN`, those
   * of other handles as long as there is nothing else where it was.
   */
  destroy(): void {
    this.check();
    const { heap, handle } = this;
    for (let s = 0; s < SEGMENTS_MAX; s++) heap.kfree(heap.u32[(handle >>> 2) + W_SEGMENTS + s]);
    heap.i32[(handle >>> 2) + W_MAGIC] = 0;
    heap.kfree(handle);
    this.isDestroyed = true;
  }

  /** Throws `ESHUTDOWN` if the vector has been destroyed. The header alone does not say so: another vector may be there. */
  private check(): void {
    if (!this.isDestroyed && this.heap.i32[(this.handle >>> 2) + W_MAGIC] === MAGIC) return;
    throw new SlabError('ESHUTDOWN', `the vector at ${hex(this.handle)} has been destroyed`, this.handle);
  }

  /** Throws `TypeError` unless a value is what the vector's numbers are. */
  private checkValue(value: unknown): void {
    if (typeof value === this.valueType) return;
    throw new TypeError(`an element of this vector must be a ${this.valueType}, not ${typeof value}`);
  }

  private get accessors(): Numbers {
    return this.numbers ?? invalid('a vector of structs: use addressOf');
  }

  private segmentOf(index: number): number {
    return Math.max(0, 32 - Math.clz32(index) - this.first);
  }

  private elements(s: number): number {
    return 2 ** (this.first + Math.max(0, s - 1));
  }

  /** An index within its segment. */
  private offset(s: number, index: number): number {
    return s === 0 ? index : index - 2 ** (this.first + s - 1);
  }

  private place(segment: number, s: number, index: number): Address {
    return (segment >>> 0) + this.bitBytes(s) + this.offset(s, index) * this.elementBytes;
  }

  private bitBytes(s: number): number {
    return Math.ceil(this.elements(s) / 8 / ELEMENTS_ALIGN) * ELEMENTS_ALIGN;
  }

  /** A segment's address, made if need be; 0 without memory, or while another thread makes it. */
  private segment(s: number, gfp: GfpFlags): Address {
    const { heap, handle } = this;
    const slot = handle + 4 * (W_SEGMENTS + s);
    const isAddress = (word: number): boolean => word !== 0 && word % ELEMENTS_ALIGN === 0;
    const load = (): number => Atomics.load(heap.i32, slot >>> 2) >>> 0;
    let word = load();
    if (word === 0 && s < SEGMENTS_MAX) {
      const bytes = this.bitBytes(s) + this.elements(s) * this.elementBytes;
      if (bytes > heap.kmallocMaxSize) return 0;
      try {
        heap.allocInto(slot, bytes, gfp | GFP.ZERO);
      } catch (error) {
        // Another thread has been faster.
        if (!(error instanceof SlabError) || error.code !== 'EBUSY') throw error;
      }
      word = load();
    }
    return isAddress(word) ? word : 0;
  }
}
