/**
 * `MemPool` of @thi.ng/malloc on a modslab heap: the same calls, answers and failures, with free in constant time, and,
 * on a SharedArrayBuffer, any thread allocating and any thread freeing.
 *
 * What is different inside: no block has a header, and the pool's state is not in the buffer but in the heap's metadata,
 * where no stray write reaches it. So
 *
 *   - a thread that shares a pool needs `pool.handle` beside the buffer: `new MemPool({ handle })`;
 *   - blocks are as large as size classes (8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512 …), in slabs of whole pages: a pool
 *     that makes its own buffer makes it large enough for all that @thi.ng/malloc could fit into `size`;
 *   - a window of somebody else's buffer must hold at least one page of 4096 bytes after its first.
 */

import { Heap, SlabError } from 'modslab';
import type {
  IMemPool,
  MemPoolHandle,
  MemPoolOpts,
  MemPoolStats,
  Type,
  TypedArray,
  TypedArrayTypeMap,
} from './api.ts';
import { constructorOf, fillArray, sameClass } from './typedArrays.ts';

const SIZE_DEFAULT = 4096;
const ALIGN_DEFAULT = 8;
/** Up to here every block of kmalloc is aligned by its size alone. */
const ALIGN_OF_CLASSES = 16;
const MIN_SPLIT_DEFAULT = 16;
/** Bytes of a block's header and of the pool's state in @thi.ng/malloc: they decide what fits into a pool. */
const HEADER_BYTES = 8;
const STATE_BYTES = 28;
const PAGE_MIN = 4096;
const PAGE_MAX = 65_536;
/** A heap has about so many pages. */
const PAGES_SHIFT = 10;
/** Size classes that may each have a slab that is nearly empty. */
const CLASSES = 16;

const alignUp = (value: number, align: number): number => Math.ceil(value / align) * align;

function illegalArguments(message: string): never {
  throw new Error(`illegal argument(s): ${message}`);
}

/** A pool, as all `MemPool`s of this thread share it. */
interface Shared {
  readonly heap: Heap;
  readonly buf: ArrayBufferLike;
  readonly start: number;
  readonly end: number;
  readonly align: number;
  /** Where @thi.ng/malloc's first block would begin. */
  readonly base: number;
  /** `MemPool`s that use it. */
  users: number;
}

/** The pools of this thread, for `skipInitialization`. */
const pools: WeakMap<ArrayBufferLike, Map<number, Shared>> = new WeakMap();

function remember(shared: Shared): Shared {
  const byStart = pools.get(shared.buf) ?? new Map<number, Shared>();
  pools.set(shared.buf, byStart.set(shared.start, shared));
  return shared;
}

/** The page size and the bytes of a buffer in which everything fits that @thi.ng/malloc can fit into `bytes`. */
function roomFor(bytes: number, start: number): { pageSize: number; byteLength: number } {
  const shift = Math.floor(Math.log2(Math.max(1, bytes))) - PAGES_SHIFT;
  const pageSize = Math.min(PAGE_MAX, Math.max(PAGE_MIN, 2 ** shift));
  // A size class is at most twice the size asked for; page 0 is never used.
  const pages = 1 + CLASSES + Math.ceil((2 * bytes) / pageSize);
  return { pageSize, byteLength: alignUp(start, pageSize) + pages * pageSize };
}

function create(opts: Partial<MemPoolOpts>): Shared {
  const { align = ALIGN_DEFAULT } = opts;
  if (align < ALIGN_DEFAULT || 2 ** Math.round(Math.log2(align)) !== align) {
    throw new Error(`invalid alignment: ${align}, must be a pow2 and >= 8`);
  }
  const start = alignUp(Math.max(opts.start ?? 0, 0), 4);
  const limit = opts.buf?.byteLength ?? (opts.size || SIZE_DEFAULT);
  const end = Math.min(opts.end ?? limit, limit);
  const base = alignUp(start + STATE_BYTES + HEADER_BYTES, align) - HEADER_BYTES;
  if (base >= end)
    illegalArguments(`insufficient address range (0x${start.toString(16)} - 0x${end.toString(16)})`);
  const { buf } = opts;
  if (buf === undefined) {
    const { pageSize, byteLength } = roomFor(end - start, start);
    const memory = new ArrayBuffer(byteLength);
    const heap = Heap.create({ memory, start, pageSize, cpus: 1 });
    return { heap, buf: memory, start, end, align, base, users: 0 };
  }
  const firstPage = Math.max(PAGE_MIN, alignUp(start, PAGE_MIN));
  if (firstPage + PAGE_MIN > end) {
    illegalArguments(
      `0x${start.toString(16)} - 0x${end.toString(16)} holds no page of ${PAGE_MIN} bytes, page 0 not counted`,
    );
  }
  const heap = Heap.create({ memory: buf, start, end, maxSize: end - start });
  return { heap, buf, start, end, align, base, users: 0 };
}

function attach(handle: MemPoolHandle): Shared {
  const heap = Heap.attach(handle.heap);
  const { start, end, align } = handle;
  const base = alignUp(start + STATE_BYTES + HEADER_BYTES, align) - HEADER_BYTES;
  return { heap, buf: heap.buffer, start, end, align, base, users: 0 };
}

/** Finds or makes what the options describe. */
function resolve(opts: Partial<MemPoolOpts>): Shared {
  if (opts.handle !== undefined) {
    const here = pools.get(opts.handle.heap.memory as ArrayBufferLike)?.get(opts.handle.start);
    return here ?? remember(attach(opts.handle));
  }
  if (!opts.skipInitialization) return remember(create(opts));
  if (opts.buf === undefined) illegalArguments('skipInitialization needs buf');
  const start = alignUp(Math.max(opts.start ?? 0, 0), 4);
  const here = pools.get(opts.buf)?.get(start);
  if (here === undefined) {
    illegalArguments(
      'this thread has no pool on that buffer: take `pool.handle` to it and give that as the option `handle`',
    );
  }
  return here;
}

/** A pool of memory blocks in a buffer. See the head of this file for what differs from @thi.ng/malloc's. */
export class MemPool implements IMemPool {
  /** The backing buffer. */
  readonly buf: ArrayBufferLike;
  /** First byte of the window. */
  readonly start: number;
  /** End (exclusive) of the window, as @thi.ng/malloc counts it: of `size`, not of the buffer made for it. */
  readonly end: number;
  /** What every address is a multiple of. */
  readonly align: number;
  readonly doCompact: boolean;
  readonly doSplit: boolean;
  readonly minSplit: number;
  /** All of the buffer. */
  protected readonly u8: Uint8Array;
  protected readonly u32: Uint32Array;
  private readonly heap: Heap;
  private readonly shared: Shared;
  /** The largest block that fits, if nothing else is there. */
  private readonly largest: number;
  private released: boolean;

  /**
   * Makes a pool, or opens one: `{ size }` in a buffer of its own, `{ buf, start, end }` in a window of another's,
   * `{ buf, start, skipInitialization: true }` the one that this thread has there, `{ handle }` another thread's.
   */
  constructor(opts: Partial<MemPoolOpts> = {}) {
    const minSplit = opts.minSplit || MIN_SPLIT_DEFAULT;
    if (minSplit <= HEADER_BYTES)
      throw new Error(`illegal min split threshold: ${minSplit}, require at least 9`);
    const shared = resolve(opts);
    shared.users++;
    this.shared = shared;
    this.heap = shared.heap;
    this.buf = shared.buf;
    this.start = shared.start;
    this.end = shared.end;
    this.align = shared.align;
    this.doCompact = opts.compact !== false;
    this.doSplit = opts.split !== false;
    this.minSplit = minSplit;
    this.u8 = new Uint8Array(shared.buf);
    this.u32 = new Uint32Array(shared.buf, 0, Math.floor(shared.buf.byteLength / 4));
    this.largest = Math.min(shared.end - shared.base - HEADER_BYTES, shared.heap.meminfo().total);
    this.released = false;
  }

  /** What another thread's `new MemPool({ handle })` takes. Throws `EINVAL` if the buffer is not shared. */
  get handle(): MemPoolHandle {
    const { start, end, align } = this;
    return { heap: this.heap.handle, start, end, align };
  }

  /** First byte after the last page in use. Cost: O(pages). */
  get top(): number {
    return this.scanPages().top;
  }

  /** The address of a new block; 0 without memory, and for sizes below 1. O(1). */
  malloc(bytes: number): number {
    if (!(bytes > 0) || bytes > this.largest) return 0;
    const size = Math.ceil(bytes);
    const { align, heap } = this;
    if (align <= ALIGN_OF_CLASSES) {
      const least = size < align ? align : size;
      return least <= heap.kmallocMaxSize ? heap.kmalloc(least) : heap.kvmalloc(least);
    }
    return size <= heap.kmallocMaxSize ? heap.kmallocAligned(size, align) : heap.kvmalloc(size);
  }

  /** `malloc`, and `fill` in every byte. */
  calloc(bytes: number, fill: number = 0): number {
    const address = this.malloc(bytes);
    if (address !== 0) this.u8.fill(fill, address, address + bytes);
    return address;
  }

  /** A typed array on a new block; undefined without memory. */
  mallocAs<T extends Type>(type: T, num: number): TypedArrayTypeMap[T] | undefined {
    const constructor = constructorOf(type);
    const address = this.malloc(num * constructor.BYTES_PER_ELEMENT);
    return address === 0 ? undefined : new constructor(this.buf, address, num);
  }

  /** `mallocAs`, and `fill` in every element. */
  callocAs<T extends Type>(type: T, num: number, fill: number = 0): TypedArrayTypeMap[T] | undefined {
    const array = this.mallocAs(type, num);
    if (array !== undefined) fillArray(array, fill);
    return array;
  }

  /**
   * A block's new address after its size has changed; 0 if there is no memory, `bytes` is below 1 or `ptr` is no block:
   * in every one of these cases nothing has changed. (@thi.ng/malloc has freed the old block when memory runs out.)
   */
  realloc(ptr: number, bytes: number): number {
    if (!(bytes > 0) || bytes > this.largest) return 0;
    const old = this.sizeOf(ptr);
    if (old === 0) return 0;
    if (bytes <= old && old <= 2 * bytes) return ptr;
    const address = this.malloc(bytes);
    if (address === 0) return bytes <= old ? ptr : 0;
    this.u8.copyWithin(address, ptr, ptr + Math.min(old, bytes));
    this.heap.kfree(ptr);
    return address;
  }

  /** `realloc` for a typed array of this pool; undefined where `realloc` gives 0, and for another buffer's array. */
  reallocArray<T extends TypedArray>(array: T, num: number): T | undefined {
    if (array.buffer !== this.buf) return undefined;
    const address = this.realloc(array.byteOffset, num * array.BYTES_PER_ELEMENT);
    return address === 0 ? undefined : sameClass(array, this.buf, address, num);
  }

  /** Frees a block; false, and nothing changed, if it is none. O(1). */
  free(ptr: number | TypedArray): boolean {
    const isAddress = typeof ptr === 'number';
    if (!isAddress && ptr.buffer !== this.buf) return false;
    const address = isAddress ? ptr : ptr.byteOffset;
    if (address === 0) return false;
    try {
      this.heap.kfree(address);
      return true;
    } catch (error) {
      if (error instanceof SlabError && error.code === 'ESHUTDOWN') throw error;
      return false;
    }
  }

  /** Frees every block. No other thread may use the pool at that time. Cost: O(pages + blocks). */
  freeAll(): void {
    const { heap } = this;
    for (const cache of heap.caches()) for (const address of [...cache.objects()]) cache.free(address);
    for (const address of this.scanPages().large) heap.kfree(address);
    heap.shrink();
  }

  /** Gives the pool up. Any later call throws. */
  release(_opts?: unknown): boolean {
    if (this.released) return true;
    this.released = true;
    const { shared } = this;
    if (--shared.users === 0) {
      pools.get(shared.buf)?.delete(shared.start);
      shared.heap.detach();
    }
    return true;
  }

  /** What the pool holds. Cost: O(pages + blocks). */
  stats(): Readonly<MemPoolStats> {
    const { heap } = this;
    const { live, footprint, total } = heap.meminfo();
    const { top, large } = this.scanPages();
    let used = large.length;
    let free = 0;
    for (const { objects, slabs, objectsPerSlab } of heap.slabinfo()) {
      used += objects;
      free += slabs * objectsPerSlab - objects;
    }
    return {
      free: { count: free, size: footprint - live },
      used: { count: used, size: live },
      top,
      available: total - live,
      total,
    };
  }

  /** Bytes of a block; 0 if it is none. */
  private sizeOf(ptr: number): number {
    try {
      return this.heap.ksize(ptr);
    } catch (error) {
      if (error instanceof SlabError && error.code === 'ESHUTDOWN') throw error;
      return 0;
    }
  }

  private scanPages(): { top: number; large: number[] } {
    const { heap, shared } = this;
    const { pageSize } = heap;
    const large: number[] = [];
    let top = shared.base;
    const first = Math.max(1, Math.ceil(shared.start / pageSize)) * pageSize;
    for (let address = first; address < first + heap.meminfo().total; address += pageSize) {
      const { flags } = heap.virtToPage(address);
      if (flags !== 'free') top = address + pageSize;
      if (flags === 'large') large.push(address);
    }
    return { top, large };
  }
}
