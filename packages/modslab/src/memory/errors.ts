/**
 * The one error class of the public contract, and the checks of arguments that every public function begins with.
 * All are thrown before anything has changed.
 */

import type { SlabReport } from './report.ts';

/**
 * What went wrong.
 *
 * - `EFAULT`: not an address of this heap, a page that holds no objects, or (handles, checked access) what is not live any more
 * - `EINTERIOR`: not an object's first byte
 * - `EDOUBLEFREE`: the object is free already, or named twice in one call
 * - `ECACHE`: the object is of another cache
 * - `EBUSY`: in use: a cache with live objects, this thread's own CPU, a slot that is not 0
 * - `ENOMEM`: no memory, where 0 cannot be returned
 * - `ESHUTDOWN`: this thread has detached, or was reaped
 * - `EVERSION`: a handle or snapshot of another version
 * - `ENOCPU`: all CPU slots are taken
 * - `EINVAL`: an argument that makes no sense, or does not here
 * - `EREDZONE`, `EPOISON`, `ECORRUPT`: what slab debugging found; the last one also for a damaged snapshot
 */
export type SlabErrorCode =
  | 'EFAULT'
  | 'EINTERIOR'
  | 'EDOUBLEFREE'
  | 'ECACHE'
  | 'EBUSY'
  | 'ENOMEM'
  | 'ESHUTDOWN'
  | 'EVERSION'
  | 'ENOCPU'
  | 'EINVAL'
  | 'EREDZONE'
  | 'EPOISON'
  | 'ECORRUPT';

/** Thrown before anything has changed, so that the heap stays sound. */
export class SlabError extends Error {
  readonly code: SlabErrorCode;
  /** The address that the call was given, where it was given one. */
  readonly address?: number;
  /** The name of the cache concerned, where there is one. */
  readonly cache?: string;
  /** What slab debugging has to say about it (docs/debugging.md). */
  report?: SlabReport;

  constructor(code: SlabErrorCode, message: string, address?: number, cache?: string) {
    super(`${code}: ${message}`);
    this.name = 'SlabError';
    this.code = code;
    if (address !== undefined) this.address = address;
    if (cache !== undefined) this.cache = cache;
  }
}

/** Throws an `EINVAL`. */
export function invalid(message: string, cache?: string): never {
  throw new SlabError('EINVAL', message, undefined, cache);
}

/** An address as people read it: `0x10040`; anything else as it prints. */
export function hex(value: number): string {
  return Number.isInteger(value) && value >= 0 ? `0x${value.toString(16)}` : String(value);
}

/** Throws `TypeError` unless `value` is a number. */
export function checkNumber(what: string, value: unknown): void {
  if (typeof value !== 'number') throw new TypeError(`${what} must be a number, not ${typeof value}`);
}

/** Throws `TypeError` unless `value` is a boolean. */
export function checkBoolean(what: string, value: unknown): void {
  if (typeof value !== 'boolean') throw new TypeError(`${what} must be true or false, not ${String(value)}`);
}

/** Throws `TypeError` or `RangeError` unless `value` is an integer in `min … max`. */
export function checkInteger(what: string, value: number, min: number, max: number): void {
  checkNumber(what, value);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`${what} must be a whole number from ${min} to ${max}, not ${value}`);
  }
}

/** Throws `RangeError` unless `value` is a power of two in `min … max`. */
export function checkPowerOfTwo(what: string, value: number, min: number, max: number): void {
  checkInteger(what, value, min, max);
  if (2 ** Math.round(Math.log2(value)) !== value) {
    throw new RangeError(`${what} must be a power of two, not ${value}`);
  }
}
