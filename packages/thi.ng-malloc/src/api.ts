/** The interfaces of @thi.ng/malloc, so that code written for it compiles, and what this package adds. */

import type { HeapHandle } from 'modslab';

/** A typed array's element type, as @thi.ng/api names it. */
export type Type = keyof TypedArrayTypeMap;

export interface TypedArrayTypeMap {
  u8: Uint8Array;
  u8c: Uint8ClampedArray;
  i8: Int8Array;
  u16: Uint16Array;
  i16: Int16Array;
  u32: Uint32Array;
  i32: Int32Array;
  u64: BigUint64Array;
  i64: BigInt64Array;
  f32: Float32Array;
  f64: Float64Array;
}

export type TypedArray = TypedArrayTypeMap[
  | 'u8'
  | 'u8c'
  | 'i8'
  | 'u16'
  | 'i16'
  | 'u32'
  | 'i32'
  | 'f32'
  | 'f64'];

type Maybe<T> = T | undefined;

/** What another thread needs to use the same pool: `new MemPool({ handle })`. Goes through postMessage. */
export interface MemPoolHandle {
  readonly heap: HeapHandle;
  readonly start: number;
  readonly end: number;
  readonly align: number;
}

export interface MemPoolOpts {
  /** Backing buffer. If it is shared, so is the pool. Default: a new ArrayBuffer. */
  buf: ArrayBufferLike;
  /** Bytes of the pool, if `buf` is not given (default 4096). The buffer is made larger: slabs need room of their own. */
  size: number;
  /** First byte of `buf` that the pool may use (default 0). */
  start: number;
  /** End (exclusive) of what it may use (default: the buffer's). */
  end: number;
  /** What every block's address is a multiple of: a power of two from 8 (the default). */
  align: number;
  /** Accepted: neighbouring free pages always coalesce. */
  compact: boolean;
  /** Accepted: a block is never larger than its size class. */
  split: boolean;
  /** Accepted, if above 8. */
  minSplit: number;
  /** The pool that this thread already has on `buf` and `start`, instead of a new one. */
  skipInitialization: boolean;
  /** The pool of another thread (not in @thi.ng/malloc, where the pool's state is in the buffer). */
  handle: MemPoolHandle;
}

export interface MemPoolStats {
  /** Free blocks in slabs that are in use. */
  free: { count: number; size: number };
  /** Used blocks, each as large as its size class. */
  used: { count: number; size: number };
  /** First byte after the last page in use. */
  top: number;
  /** Bytes that no block uses. */
  available: number;
  /** Bytes of the pool. */
  total: number;
}

export interface IMemPoolArray {
  mallocAs<T extends Type>(type: T, num: number): Maybe<TypedArrayTypeMap[T]>;
  callocAs<T extends Type>(type: T, num: number, fill?: number): Maybe<TypedArrayTypeMap[T]>;
  reallocArray<T extends TypedArray>(arr: T, num: number): Maybe<T>;
  free(arr: TypedArray): boolean;
  freeAll(): void;
  release(opts?: unknown): boolean;
}

export interface IMemPool extends IMemPoolArray {
  malloc(size: number): number;
  calloc(size: number, fill?: number): number;
  realloc(ptr: number, size: number): number;
  free(ptr: number | TypedArray): boolean;
  stats(): Readonly<MemPoolStats>;
}
