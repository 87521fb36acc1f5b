/** Typed arrays by the names that @thi.ng/api gives their element types. */

import type { Type, TypedArray, TypedArrayTypeMap } from './api.ts';

interface Constructor<T> {
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): T;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): T;
}

const CONSTRUCTORS: { readonly [T in Type]: Constructor<TypedArrayTypeMap[T]> } = {
  u8: Uint8Array,
  u8c: Uint8ClampedArray,
  i8: Int8Array,
  u16: Uint16Array,
  i16: Int16Array,
  u32: Uint32Array,
  i32: Int32Array,
  u64: BigUint64Array,
  i64: BigInt64Array,
  f32: Float32Array,
  f64: Float64Array,
};

/** WebGL's names for the same types, which @thi.ng/api takes too. */
const GL_TYPES: Readonly<Record<number, Type>> = {
  5120: 'i8',
  5121: 'u8',
  5122: 'i16',
  5123: 'u16',
  5124: 'i32',
  5125: 'u32',
  5126: 'f32',
};

/** The constructor for a type. Throws `TypeError` for a type that is none. */
export function constructorOf<T extends Type>(type: T): Constructor<TypedArrayTypeMap[T]> {
  const known = CONSTRUCTORS[type] ?? CONSTRUCTORS[GL_TYPES[type as unknown as number] as T];
  if (known === undefined) throw new TypeError(`'${String(type)}' is no type of a typed array`);
  return known;
}

/** An array of the same class as `array`, elsewhere. */
export function sameClass<T extends TypedArray>(
  array: T,
  buffer: ArrayBufferLike,
  address: number,
  length: number,
): T {
  return new (array.constructor as unknown as Constructor<T>)(buffer, address, length);
}

/** Fills an array of numbers or of BigInts. */
export function fillArray(array: TypedArrayTypeMap[Type], value: number): void {
  if (array instanceof BigInt64Array || array instanceof BigUint64Array) array.fill(BigInt(value));
  else array.fill(value);
}
