/**
 * Structs: typed fields at fixed offsets from an address, as C lays them out. `heap.struct({ x: 'f64', id: 'u32' })` gives
 * functions, `x(address)` and `setX(address, value)`, that read and write the data buffer directly: no object stands for a
 * struct, no closure is made at an access, nothing is evaluated from text.
 *
 *     offset of a field = the end of the one before, rounded up to the field's alignment
 *     alignment         = of a number its size; of an array its element's; of a struct its largest field's
 *     size              = the end of the last field, rounded up to the struct's alignment
 *
 * so the offset and the address of a struct are multiples of each number's size, and an index into a view is exact:
 *
 *     (address + offset) / 2^shift = (address >>> shift) + (offset >>> shift)
 *
 * One function literal a type and direction, not one for all types: V8 keeps what it has seen per literal, so an accessor only
 * ever meets typed arrays of one kind. Each asks for the views again (`DataMemory.views`), so growth by any thread is
 * followed; where the accessor is inlined that is a load and a compare.
 *
 * Nothing is checked at an access but an array's index: an address that is none of such a struct reads and writes what is there.
 * Fields are plain memory. Threads that share one use Atomics: `Atomics.add(heap.i32, (address + S.offsets.n) >>> 2, 1)`.
 */

import type { DataMemory } from '../memory/data.ts';
import { checkInteger, invalid } from '../memory/errors.ts';
import type { GfpFlags } from '../memory/gfp.ts';
import type { Address } from '../slab/slabAllocator.ts';

/** Numbers by their width in bits; `address` is that of an object of the heap, 32 bits wide. */
export type ScalarType =
  | 'i8'
  | 'u8'
  | 'i16'
  | 'u16'
  | 'i32'
  | 'u32'
  | 'f32'
  | 'f64'
  | 'i64'
  | 'u64'
  | 'address';

/** Bytes and alignment: what a struct needs to know of one within it. */
export interface StructLayout {
  /** Bytes, a multiple of `align`. */
  readonly size: number;
  readonly align: number;
}

type StructElement = ScalarType | StructLayout;
/** A number, a struct, or an array of so many of either. */
export type StructField = StructElement | readonly [StructElement, number];
/** Fields by their names, in the order in which they lie in memory. */
export type StructFields = Readonly<Record<string, StructField>>;

type ValueOf<E> = E extends 'i64' | 'u64' ? bigint : number;
/** What reads a field: a number's value; of a struct, the address. */
type Getter<F> = F extends readonly [infer E, number]
  ? (address: Address, index: number) => ValueOf<E>
  : (address: Address) => ValueOf<F>;
type Setter<F> = F extends readonly [infer E, number]
  ? (address: Address, index: number, value: ValueOf<E>) => void
  : (address: Address, value: ValueOf<F>) => void;
type Settable<F> = F extends ScalarType | readonly [ScalarType, number] ? Setter<F> : never;

/** A struct's accessors, `x(address)` and `setX(address, value)` for each field, with its layout and its memory. */
export type Struct<F extends StructFields> = StructLayout & {
  readonly fields: F;
  /** Where each field begins, in bytes. */
  readonly offsets: { readonly [K in keyof F]: number };
  /** One object; 0 without memory. Not cleared, unless `gfp` says `ZERO`. */
  alloc(gfp?: GfpFlags): Address;
  /** Takes it back; throws as `kfree` does, or `KmemCache.free` if the struct has a cache. */
  free(address: Address): void;
} & { readonly [K in keyof F]: Getter<F[K]> } & {
  readonly [K in keyof F & string as Settable<F[K]> extends never ? never : `set${Capitalize<K>}`]: Setter<
    F[K]
  >;
};

export interface StructOptions {
  /** The cache that objects come from: opened if a thread has created it, else created. Default: kmalloc. */
  cache?: string;
  /** At least this alignment: a power of two up to the page size; 64 keeps objects out of each other's cache lines. */
  align?: number;
}

/** Where the objects of a struct come from. */
export interface StructMemory {
  alloc(gfp?: GfpFlags): Address;
  free(address: Address): void;
}

/**
 * What makes a type's accessors: `at` is where its number lies from the struct's address, in words of the type, `end` the
 * length of the array.
 */
interface NumberType {
  readonly bytes: number;
  get(data: DataMemory, at: number): (a: Address) => number | bigint;
  set(data: DataMemory, at: number): (a: Address, value: never) => void;
  getAt(data: DataMemory, at: number, end: number): (a: Address, i: number) => number | bigint;
  setAt(data: DataMemory, at: number, end: number): (a: Address, i: number, value: never) => void;
}

function wrongIndex(i: number, end: number): never {
  throw new RangeError(`an index must be a whole number from 0 to ${end - 1}, not ${i}`);
}

const u8: NumberType = {
  bytes: 1,
  get: (data, at) => (a) => data.views().u8[a + at],
  set: (data, at) => (a, value) => {
    data.views().u8[a + at] = value;
  },
  getAt: (data, at, end) => (a, i) =>
    i >>> 0 === i && i < end ? data.views().u8[a + at + i] : wrongIndex(i, end),
  setAt: (data, at, end) => (a, i, value) => {
    if (i >>> 0 !== i || i >= end) wrongIndex(i, end);
    data.views().u8[a + at + i] = value;
  },
};
const i8: NumberType = {
  bytes: 1,
  get: (data, at) => (a) => data.views().i8[a + at],
  set: (data, at) => (a, value) => {
    data.views().i8[a + at] = value;
  },
  getAt: (data, at, end) => (a, i) =>
    i >>> 0 === i && i < end ? data.views().i8[a + at + i] : wrongIndex(i, end),
  setAt: (data, at, end) => (a, i, value) => {
    if (i >>> 0 !== i || i >= end) wrongIndex(i, end);
    data.views().i8[a + at + i] = value;
  },
};
const u16: NumberType = {
  bytes: 2,
  get: (data, at) => (a) => data.views().u16[(a >>> 1) + at],
  set: (data, at) => (a, value) => {
    data.views().u16[(a >>> 1) + at] = value;
  },
  getAt: (data, at, end) => (a, i) =>
    i >>> 0 === i && i < end ? data.views().u16[(a >>> 1) + at + i] : wrongIndex(i, end),
  setAt: (data, at, end) => (a, i, value) => {
    if (i >>> 0 !== i || i >= end) wrongIndex(i, end);
    data.views().u16[(a >>> 1) + at + i] = value;
  },
};
const i16: NumberType = {
  bytes: 2,
  get: (data, at) => (a) => data.views().i16[(a >>> 1) + at],
  set: (data, at) => (a, value) => {
    data.views().i16[(a >>> 1) + at] = value;
  },
  getAt: (data, at, end) => (a, i) =>
    i >>> 0 === i && i < end ? data.views().i16[(a >>> 1) + at + i] : wrongIndex(i, end),
  setAt: (data, at, end) => (a, i, value) => {
    if (i >>> 0 !== i || i >= end) wrongIndex(i, end);
    data.views().i16[(a >>> 1) + at + i] = value;
  },
};
const u32: NumberType = {
  bytes: 4,
  get: (data, at) => (a) => data.views().u32[(a >>> 2) + at],
  set: (data, at) => (a, value) => {
    data.views().u32[(a >>> 2) + at] = value;
  },
  getAt: (data, at, end) => (a, i) =>
    i >>> 0 === i && i < end ? data.views().u32[(a >>> 2) + at + i] : wrongIndex(i, end),
  setAt: (data, at, end) => (a, i, value) => {
    if (i >>> 0 !== i || i >= end) wrongIndex(i, end);
    data.views().u32[(a >>> 2) + at + i] = value;
  },
};
const i32: NumberType = {
  bytes: 4,
  get: (data, at) => (a) => data.views().i32[(a >>> 2) + at],
  set: (data, at) => (a, value) => {
    data.views().i32[(a >>> 2) + at] = value;
  },
  getAt: (data, at, end) => (a, i) =>
    i >>> 0 === i && i < end ? data.views().i32[(a >>> 2) + at + i] : wrongIndex(i, end),
  setAt: (data, at, end) => (a, i, value) => {
    if (i >>> 0 !== i || i >= end) wrongIndex(i, end);
    data.views().i32[(a >>> 2) + at + i] = value;
  },
};
const f32: NumberType = {
  bytes: 4,
  get: (data, at) => (a) => data.views().f32[(a >>> 2) + at],
  set: (data, at) => (a, value) => {
    data.views().f32[(a >>> 2) + at] = value;
  },
  getAt: (data, at, end) => (a, i) =>
    i >>> 0 === i && i < end ? data.views().f32[(a >>> 2) + at + i] : wrongIndex(i, end),
  setAt: (data, at, end) => (a, i, value) => {
    if (i >>> 0 !== i || i >= end) wrongIndex(i, end);
    data.views().f32[(a >>> 2) + at + i] = value;
  },
};
const f64: NumberType = {
  bytes: 8,
  get: (data, at) => (a) => data.views().f64[(a >>> 3) + at],
  set: (data, at) => (a, value) => {
    data.views().f64[(a >>> 3) + at] = value;
  },
  getAt: (data, at, end) => (a, i) =>
    i >>> 0 === i && i < end ? data.views().f64[(a >>> 3) + at + i] : wrongIndex(i, end),
  setAt: (data, at, end) => (a, i, value) => {
    if (i >>> 0 !== i || i >= end) wrongIndex(i, end);
    data.views().f64[(a >>> 3) + at + i] = value;
  },
};
const i64: NumberType = {
  bytes: 8,
  get: (data, at) => (a) => data.views().i64[(a >>> 3) + at],
  set: (data, at) => (a, value) => {
    data.views().i64[(a >>> 3) + at] = value;
  },
  getAt: (data, at, end) => (a, i) =>
    i >>> 0 === i && i < end ? data.views().i64[(a >>> 3) + at + i] : wrongIndex(i, end),
  setAt: (data, at, end) => (a, i, value) => {
    if (i >>> 0 !== i || i >= end) wrongIndex(i, end);
    data.views().i64[(a >>> 3) + at + i] = value;
  },
};
const u64: NumberType = {
  bytes: 8,
  get: (data, at) => (a) => data.views().u64[(a >>> 3) + at],
  set: (data, at) => (a, value) => {
    data.views().u64[(a >>> 3) + at] = value;
  },
  getAt: (data, at, end) => (a, i) =>
    i >>> 0 === i && i < end ? data.views().u64[(a >>> 3) + at + i] : wrongIndex(i, end),
  setAt: (data, at, end) => (a, i, value) => {
    if (i >>> 0 !== i || i >= end) wrongIndex(i, end);
    data.views().u64[(a >>> 3) + at + i] = value;
  },
};

const NUMBERS: Readonly<Record<ScalarType, NumberType>> = {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  f64,
  i64,
  u64,
  address: u32,
};

const MEMBERS: readonly string[] = ['size', 'align', 'fields', 'offsets', 'alloc', 'free'];
const SIZE_MAX = 2 ** 30;

const isLayout = (type: unknown): type is StructLayout =>
  typeof type === 'object' && type !== null && 'offsets' in type;

/** Lays the fields out and makes their accessors. Throws `TypeError` or `EINVAL` for what is no field. */
export function makeStruct<F extends StructFields>(
  data: DataMemory,
  fields: F,
  minAlign: number,
  memory: (size: number, align: number) => StructMemory,
): Struct<F> {
  if (typeof fields !== 'object' || fields === null)
    throw new TypeError(`a struct takes an object of its fields, not ${String(fields)}`);
  const accessors: Record<string, unknown> = {};
  const offsets: Record<string, number> = {};
  const add = (name: string, value: unknown): void => {
    if (Object.hasOwn(accessors, name) || MEMBERS.includes(name))
      invalid(`a struct cannot have two members '${name}'`);
    accessors[name] = value;
  };
  let end = 0;
  let align = minAlign;
  for (const [name, field] of Object.entries(fields)) {
    if (name === '' || name === '__proto__') invalid(`a field cannot be named '${name}': rename it`);
    const [type, count] = Array.isArray(field)
      ? (field as [StructElement, number])
      : [field as StructElement];
    const number = typeof type === 'string' && Object.hasOwn(NUMBERS, type) ? NUMBERS[type] : undefined;
    if (number === undefined && !isLayout(type))
      throw new TypeError(`field '${name}': ${String(type)} is neither a type of numbers nor a struct`);
    if (count !== undefined) checkInteger(`the length of '${name}'`, count, 1, SIZE_MAX);
    const { size, align: own } = number
      ? { size: number.bytes, align: number.bytes }
      : (type as StructLayout);
    const offset = Math.ceil(end / own) * own;
    offsets[name] = offset;
    end = offset + size * (count ?? 1);
    align = Math.max(align, own);
    const setter = `set${name[0].toUpperCase()}${name.slice(1)}`;
    if (number === undefined) {
      add(name, count === undefined ? structAt(offset) : structsAt(offset, size, count));
    } else if (count === undefined) {
      add(name, number.get(data, offset / size));
      add(setter, number.set(data, offset / size));
    } else {
      add(name, number.getAt(data, offset / size, count));
      add(setter, number.setAt(data, offset / size, count));
    }
  }
  if (end === 0) invalid('a struct needs a field');
  checkInteger('the bytes of a struct', end, 1, SIZE_MAX);
  const size = Math.ceil(end / align) * align;
  const { alloc, free } = memory(size, align);
  return Object.freeze({ ...accessors, size, align, fields, offsets, alloc, free }) as unknown as Struct<F>;
}

const structAt =
  (offset: number) =>
  (a: Address): Address =>
    a + offset;

const structsAt =
  (offset: number, size: number, end: number) =>
  (a: Address, i: number): Address =>
    i >>> 0 === i && i < end ? a + offset + i * size : wrongIndex(i, end);
