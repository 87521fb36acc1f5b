/**
 * The data buffer: the memory that objects live in. It may be a SharedArrayBuffer, an ArrayBuffer or a
 * WebAssembly.Memory, the heap's own or the caller's, fixed or growable. The allocator keeps nothing in it.
 *
 * Growth never waits: any thread enlarges the buffer (an atomic operation of the platform, never downwards), then
 * raises the metadata's word `frames`, which alone says how far the heap reaches:
 *
 *     frames << pageShift ≤ buffer.byteLength          frames ≤ max frames          frames never falls
 *
 * Killed between the two ⇒ nothing to undo: the next thread to grow finds the buffer large enough and raises `frames`.
 *
 * Views go stale when another thread grows the heap (a view keeps the length it was made with) or when an unshared
 * WebAssembly.Memory grows (its old buffer is detached). `views()` compares one word and makes new ones when needed. (The
 * length of a detached view does not do: code that V8 11 has optimised may still see the old one.)
 */

import { failPoint, killPoint } from './assert.ts';
import { SlabError } from './errors.ts';
import { H_FRAMES } from './layout.ts';
import type { Metadata } from './metadata.ts';

/** The part of a `WebAssembly.Memory` that a heap uses; named here because not every TypeScript library declares it. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer | SharedArrayBuffer;
  grow(delta: number): number;
}

/** What a caller may bring as memory. */
export type HeapMemory = ArrayBuffer | SharedArrayBuffer | WasmMemory;

/** A WebAssembly page, the unit in which a `WebAssembly.Memory` grows. */
const WASM_PAGE = 65_536;

/** The platform's growable buffers, as far as the running engine has them. */
interface Growable {
  readonly growable?: boolean;
  readonly resizable?: boolean;
  readonly maxByteLength?: number;
  grow?(bytes: number): void;
  resize?(bytes: number): void;
}

/** Every typed view of the data buffer, made together. */
export interface Views {
  readonly u8: Uint8Array;
  readonly i8: Int8Array;
  readonly u16: Uint16Array;
  readonly i16: Int16Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly f32: Float32Array;
  readonly f64: Float64Array;
  readonly i64: BigInt64Array;
  readonly u64: BigUint64Array;
  readonly dataView: DataView;
}

/** Whether `memory` is a WebAssembly.Memory. */
export function isWasmMemory(memory: HeapMemory): memory is WasmMemory {
  return typeof WebAssembly === 'object' && memory instanceof WebAssembly.Memory;
}

/** Whether the engine has SharedArrayBuffer (browsers hide it from pages that are not cross-origin isolated). */
export function sharedMemoryExists(): boolean {
  return typeof SharedArrayBuffer === 'function';
}

/** Whether `buffer` may be shared between threads. */
export function isShared(buffer: ArrayBufferLike): boolean {
  return sharedMemoryExists() && buffer instanceof SharedArrayBuffer;
}

/** A buffer of `bytes` that can grow to `maxBytes`; one of `maxBytes` at once where the engine cannot grow buffers. */
export function createDataBuffer(
  bytes: number,
  maxBytes: number,
  shared: boolean,
): ArrayBuffer | SharedArrayBuffer {
  const constructor = shared ? SharedArrayBuffer : ArrayBuffer;
  if (bytes === maxBytes) return new constructor(bytes);
  const canGrow = shared ? 'grow' in SharedArrayBuffer.prototype : 'resize' in ArrayBuffer.prototype;
  return canGrow ? new constructor(bytes, { maxByteLength: maxBytes }) : new constructor(maxBytes);
}

function makeViews(buffer: ArrayBufferLike): Views {
  const bytes = buffer.byteLength;
  return {
    u8: new Uint8Array(buffer, 0, bytes),
    i8: new Int8Array(buffer, 0, bytes),
    u16: new Uint16Array(buffer, 0, bytes >>> 1),
    i16: new Int16Array(buffer, 0, bytes >>> 1),
    u32: new Uint32Array(buffer, 0, Math.floor(bytes / 4)),
    i32: new Int32Array(buffer, 0, Math.floor(bytes / 4)),
    f32: new Float32Array(buffer, 0, Math.floor(bytes / 4)),
    f64: new Float64Array(buffer, 0, Math.floor(bytes / 8)),
    i64: new BigInt64Array(buffer, 0, Math.floor(bytes / 8)),
    u64: new BigUint64Array(buffer, 0, Math.floor(bytes / 8)),
    dataView: new DataView(buffer, 0, bytes),
  };
}

/** The data buffer with its views and its growth. */
export class DataMemory {
  readonly memory: HeapMemory;
  private readonly metadata: Metadata;
  private current: Views;
  private seenFrames: number;
  /** Whether growth by somebody else takes the buffer away: that of an unshared WebAssembly.Memory. */
  private readonly canDetach: boolean;

  constructor(memory: HeapMemory, metadata: Metadata) {
    this.memory = memory;
    this.canDetach = isWasmMemory(memory) && !isShared(memory.buffer);
    this.metadata = metadata;
    this.seenFrames = metadata.m[H_FRAMES];
    this.current = makeViews(this.bufferOf(this.seenFrames));
    if (this.current.u8.length < this.seenFrames * 2 ** metadata.layout.pageShift) {
      throw new SlabError('EINVAL', 'the memory is smaller than the heap that it is said to hold');
    }
  }

  /** The buffer as it is now. */
  get buffer(): ArrayBufferLike {
    return isWasmMemory(this.memory) ? this.memory.buffer : this.memory;
  }

  /** Views that reach to the heap's present end. One plain load where nothing has grown. */
  views(): Views {
    const frames = this.metadata.m[H_FRAMES];
    if (frames !== this.seenFrames || (this.canDetach && this.buffer !== this.current.u8.buffer)) {
      this.current = makeViews(this.bufferOf(frames));
      const isWhole = this.current.u8.length >= frames * 2 ** this.metadata.layout.pageShift;
      if (isWhole) this.seenFrames = frames;
    }
    return this.current;
  }

  /**
   * The buffer, at least `frames` frames long. A shared `WebAssembly.Memory` that another thread has grown still has its old
   * buffer in V8 until this thread comes to an interrupt; growing it by nothing makes it look.
   */
  private bufferOf(frames: number): ArrayBufferLike {
    const { memory } = this;
    const bytes = frames * 2 ** this.metadata.layout.pageShift;
    if (isWasmMemory(memory) && !this.canDetach && memory.buffer.byteLength < bytes) memory.grow(0);
    return this.buffer;
  }

  /** Raises the heap's end to at least `frames`; false if the memory cannot grow so far. Atomics: a few. */
  grow(frames: number): boolean {
    const { m, layout } = this.metadata;
    if (frames > layout.maxFrames) return false;
    if (failPoint('growth')) return false;
    if (!this.enlarge(frames * 2 ** layout.pageShift)) return false;
    killPoint('memory.grown');
    for (let seen = Atomics.load(m, H_FRAMES); seen < frames; ) {
      const found = Atomics.compareExchange(m, H_FRAMES, seen, frames);
      if (found === seen) break;
      seen = found;
    }
    return true;
  }

  private enlarge(bytes: number): boolean {
    const memory = this.memory;
    const have = this.buffer.byteLength;
    if (have >= bytes) return true;
    try {
      if (isWasmMemory(memory)) {
        memory.grow(Math.ceil((bytes - have) / WASM_PAGE));
      } else {
        const growable = memory as Growable;
        if ((growable.maxByteLength ?? 0) < bytes) return false;
        if (growable.growable === true) growable.grow?.(bytes);
        else if (growable.resizable === true) growable.resize?.(bytes);
      }
    } catch {
      // No memory; or another thread has grown the buffer further in the meantime, which the next line finds.
    }
    return this.buffer.byteLength >= bytes;
  }
}
