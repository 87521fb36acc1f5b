/// <reference lib="esnext.disposable" preserve="true" />
/**
 * The heap: puts one together from its layers, and is the public contract. One `Heap` object is one thread's end of
 * it, a CPU; all threads share the metadata buffer and the data buffer, which `heap.handle` carries.
 */

import { Accountant, type Accounting } from './debug/accounting.ts';
import { CheckedObject, type CheckedOptions } from './debug/checkedAccess.ts';
import { type LeakFilter, type LeakGroup, leaks, tracesText } from './debug/leaks.ts';
import { objectHandle, resolveHandle } from './debug/objectHandle.ts';
import { Reaper, type ReapReport } from './debug/reap.ts';
import {
  hasFreeCpu,
  type RestoreOptions,
  readHeap,
  type SnapshotOptions,
  takeSnapshot,
} from './debug/snapshot.ts';
import { type Problem, Validator } from './debug/validate.ts';
import { type BoundKmalloc, bindKmalloc, bindSheaves } from './kmalloc/boundCalls.ts';
import { createGroup, Group, type GroupOptions, openGroup } from './kmalloc/group.ts';
import { GroupAllocator } from './kmalloc/groupAllocator.ts';
import { Kfence, type KfenceOptions, storeKfence } from './kmalloc/kfence.ts';
import { checkBulk, Kmalloc, kmallocMaxSize } from './kmalloc/kmalloc.ts';
import { kmallocSpec } from './kmalloc/kmallocSpec.ts';
import { createBuckets, type KmemBuckets, openBuckets } from './kmalloc/kmemBuckets.ts';
import { type CacheContext, checkCacheRequest, checkSlabFlags, KmemCache } from './kmalloc/kmemCache.ts';
import { Links } from './kmalloc/link.ts';
import { Mempool } from './kmalloc/mempool.ts';
import { merged, mergedInto } from './kmalloc/merge.ts';
import { MergedCache } from './kmalloc/mergedCache.ts';
import { RcuCallbacks } from './kmalloc/rcu.ts';
import { Reclaim, type Shrinker } from './kmalloc/reclaim.ts';
import { Recording, type RecordOptions } from './kmalloc/recording.ts';
import {
  checkSizeClasses,
  classesUpTo,
  SIZE_CLASSES_DEFAULT,
  SIZE_CLASSES_SLOB,
  type SizeClasses,
} from './kmalloc/sizeClasses.ts';
import { makeStruct, type Struct, type StructFields, type StructOptions } from './kmalloc/struct.ts';
import { TracedKmalloc } from './kmalloc/tracedKmalloc.ts';
import { type TraceEventName, type TraceListener, Tracing } from './kmalloc/tracing.ts';
import { adoptCpu, attachCpu, type Cpu, N_SLABS_FREED } from './memory/cpu.ts';
import {
  createDataBuffer,
  DataMemory,
  type HeapMemory,
  isShared,
  isWasmMemory,
  sharedMemoryExists,
  type Views,
  type WasmMemory,
} from './memory/data.ts';
import { checkBoolean, checkInteger, checkPowerOfTwo, hex, invalid, SlabError } from './memory/errors.ts';
import { checkGfp, GFP, type GfpFlags } from './memory/gfp.ts';
import {
  C_CONSTRUCTOR,
  C_MERGED,
  CACHES_DEFAULT,
  CPUS_MAX,
  cacheAt,
  H_KFENCE_OBJECTS,
  H_KMALLOC_CACHES,
  H_MERGE,
  H_REPORTS,
  H_SLOB,
  PAGE_SHIFT_MAX,
  PAGE_SHIFT_MIN,
  PAGE_SHIFT_TINY,
  VERSION,
} from './memory/layout.ts';
import { createMetadata, type Metadata, openMetadata } from './memory/metadata.ts';
import type { SlabReport } from './memory/report.ts';
import { decodeText, encodeText } from './memory/text.ts';
import { FrameAllocator, type PageAllocator } from './page/pageAllocator.ts';
import { VmArea } from './page/vmArea.ts';
import { Vmalloc } from './page/vmalloc.ts';
import { CONSTRUCTOR_FUNCTION } from './slab/cacheTable.ts';
import { DebugAllocator } from './slab/debugAllocator.ts';
import { checkDebugOption, storeDebugOption } from './slab/debugOption.ts';
import { type FailSettings, failSettings, setFailSettings } from './slab/failslab.ts';
import { SLAB, type SlabFlags } from './slab/flags.ts';
import { GroupTable } from './slab/groupTable.ts';
import { LARGE_NAME } from './slab/largeObjects.ts';
import { checkAddress } from './slab/object.ts';
import { SampledSheaves } from './slab/sampledSheaves.ts';
import { type Sheaves, sheaved } from './slab/sheaves.ts';
import type { Address, AddressArray, SlabAllocator } from './slab/slabAllocator.ts';
import { Slabifier } from './slab/slabifier.ts';
import { Slob } from './slab/slob.ts';
import { setTrackSettings, type TrackSettings, trackSettings } from './slab/tracked.ts';
import { cachedByCpu } from './stat/cacheCounters.ts';
import { type CpuInfo, cpuInfos } from './stat/cpuInfo.ts';
import { type BuddyInfo, buddyinfo, type Counters, counters, type MemInfo, meminfo } from './stat/meminfo.ts';
import { type PageInfo, pageInfo } from './stat/pageInfo.ts';
import { type SlabinfoRow, slabinfo } from './stat/slabinfo.ts';
import { type ZoneInfo, zoneinfo } from './stat/zoneinfo.ts';

/** A function of this name of the global object is called with every heap that this thread makes or attaches to. */
const NEW_HEAP: unique symbol = Symbol.for('modslab.newHeap') as never;
const MIB = 2 ** 20;
const SIZE_DEFAULT: number = 16 * MIB;
const MAX_SIZE_DEFAULT: number = 256 * MIB;
/** Addresses are unsigned 32-bit byte offsets. */
const ADDRESS_SPACE: number = 2 ** 32;
const CPUS_DEFAULT = 64;
const NODES_MAX = 64;
/** The alignment of all objects of at least as many bytes. */
const KMALLOC_ALIGN = 16;
const CREATE_ATTEMPTS = 8;
const CACHES_MAX = 4096;
/** A heap has at least as many frames as this at its largest, unless its pages have the smallest or largest size. */
const FRAMES_SHIFT = 10;
/** Below 512 KiB pages are smaller than 4 KiB, so that a heap has about this many, down to 64 KiB. */
const TINY_FRAMES_SHIFT = 7;
/** On slob, which needs no page for each size but larger ones for larger objects: half as many, at least, of up to 4 KiB. */
const SLOB_FRAMES_SHIFT = 5;

export interface HeapOptions {
  /** Bytes at the start (default 16 MiB; with `memory`, what it has). */
  size?: number;
  /**
   * Grows up to this many bytes, counted from `start` (default 256 MiB, never less than `size`, nor more than `memory` can grow to;
   * with memory of a fixed size, `size`). `RangeError` if less than `size`.
   */
  maxSize?: number;
  /** Bring your own. */
  memory?: HeapMemory;
  /** First byte of the memory that the heap may use (default 0). Everything below stays untouched. */
  start?: number;
  /** End (exclusive) of what it may use (default: as far as `maxSize`). */
  end?: number;
  /** False: plain ArrayBuffers, one thread, the same API. Default: as `memory` is; without, shared where the platform can. */
  shared?: boolean;
  /**
   * Bytes of a page frame: a power of two, 4096 … 65536. Default: about `maxSize`/1024 (so 65536 from 64 MiB on), at least
   * 4096; below 512 KiB about `maxSize`/128, at least 512; on slob about `maxSize`/32, at most 4096.
   */
  pageSize?: number;
  /** Most threads attached at once, 1 … 1024 (default 64). */
  cpus?: number;
  /** NUMA nodes: equal windows of the heap, 1 … 64 (default 1). */
  nodes?: number;
  /** Cache descriptors, those of kmalloc included, 32 … 4096 (default 256). */
  caches?: number;
  /** The window that `GFP.DMA` allocates from: bytes, rounded inwards to whole pages; `RangeError` if none is left. */
  dma?: { start: number; end: number };
  /** Sizes of kmalloc's caches (default: one between any two powers of two; docs/size-classes.md compares others). */
  sizeClasses?: SizeClasses;
  /**
   * 'slob': objects of all sizes and caches share pages, packed in granules of 8 bytes, for heaps that are so small that
   * memory counts more than time (slab/slob.ts). Default: 'slabifier', slabs of equal objects.
   */
  allocator?: 'slabifier' | 'slob';
  /** True: caches that could share the slabs of one of kmalloc's do (kmalloc/merge.ts). Default: each has its own. */
  merge?: boolean;
  /**
   * Slab debugging, in the syntax of the kernel's `slab_debug=`: `FZPU`, `FZ,kmalloc-*;P,dentry`, `-` (slab/debugOption.ts;
   * docs/debugging.md). Default: none, and no cost.
   */
  debug?: string;
  /** Samples allocations of kmalloc, as the kernel's KFENCE does (docs/debugging.md). Default: not. */
  kfence?: KfenceOptions | boolean;
}

/** What `postMessage` or `workerData` carries to another thread. Nothing is transferred. */
export interface HeapHandle {
  /** Of the layout of shared memory: the threads of a heap have the same. */
  readonly version: number;
  /** The allocator's own: nobody else writes to it. */
  readonly metadata: SharedArrayBuffer;
  /** What addresses are offsets in. */
  readonly memory: SharedArrayBuffer | WasmMemory;
}

export interface KmemCacheOptions {
  /** Unique among the heap's caches; at most 128 bytes of UTF-8. */
  name: string;
  /** Bytes of an object, 1 … 2^30. */
  size: number;
  /** Alignment in bytes, a power of two up to the page size (default 8, from 16 bytes up 16). */
  align?: number;
  flags?: SlabFlags;
  /**
   * Runs for every object when its slab is made, not at each allocation; or bytes that are copied into it, at most `size` and
   * 65,536.
   */
  ctor?: ((addr: Address, heap: Heap) => void) | Uint8Array;
  /**
   * For `shrink`: copies an object and changes whatever names it; false if it cannot be moved now. Of this thread only:
   * others give theirs to `heap.cache(name, { move })`. Both are live objects while it runs; afterwards one is freed.
   */
  move?: (from: Address, to: Address, heap: Heap) => boolean;
  /** Preferred node of its slabs (default: that of the thread that needs one). */
  node?: number;
  /** Where the part of an object begins that views for users may show, in bytes (default 0). */
  useroffset?: number;
  /** How many bytes that part has (default: the rest of the object). */
  usersize?: number;
}

/** What this thread's end of the heap is made of. */
interface HeapContext extends CacheContext {
  readonly groups: GroupAllocator;
  readonly links: Links;
  /** While somebody listens, one that tells of what it does. */
  kmalloc: Kmalloc;
}

interface Window {
  start: number;
  size: number;
  maxSize: number;
}

/** How many bytes `memory` has, and how many it can be made to have. */
function capacityOf(memory: HeapMemory): { bytes: number; maxBytes: number } {
  if (isWasmMemory(memory)) return { bytes: memory.buffer.byteLength, maxBytes: ADDRESS_SPACE };
  const bytes = memory.byteLength;
  return { bytes, maxBytes: Math.max(bytes, (memory as { maxByteLength?: number }).maxByteLength ?? bytes) };
}

/** Whether caches are to lie in slob pages. */
function checkAllocator(allocator: unknown = 'slabifier'): boolean {
  if (allocator === 'slob' || allocator === 'slabifier') return allocator === 'slob';
  invalid(`there is no allocator '${String(allocator)}': slabifier or slob`);
}

function checkMemory(memory: unknown): void {
  const isBuffer = memory instanceof ArrayBuffer || isShared(memory as ArrayBuffer);
  if (isBuffer || isWasmMemory(memory as HeapMemory)) return;
  throw new TypeError('memory must be an ArrayBuffer, a SharedArrayBuffer or a WebAssembly.Memory');
}

/** Resolves `size`, `maxSize`, `start` and `end`, with an error for what contradicts itself. */
function resolveWindow(options: HeapOptions): Window {
  const { memory, start = 0 } = options;
  checkInteger('start', start, 0, ADDRESS_SPACE);
  const limit = options.end ?? ADDRESS_SPACE;
  checkInteger('end', limit, start, ADDRESS_SPACE);
  const capacity = memory === undefined ? undefined : capacityOf(memory);
  const available = Math.min(limit, capacity?.bytes ?? limit) - start;
  if (capacity !== undefined && available <= 0)
    throw new RangeError(`the memory ends before start (${start})`);
  const size =
    options.size ??
    (capacity === undefined ? Math.min(SIZE_DEFAULT, options.maxSize ?? limit - start) : available);
  checkInteger('size', size, 1, ADDRESS_SPACE - start);
  if (size > available)
    throw new RangeError(`size (${size}) is more than the window or the memory has (${available})`);
  const most = Math.min(limit, capacity?.maxBytes ?? limit) - start;
  const wanted =
    options.maxSize ??
    Math.max(size, capacity?.maxBytes === capacity?.bytes && capacity ? size : MAX_SIZE_DEFAULT);
  checkInteger('maxSize', wanted, 1, ADDRESS_SPACE);
  if (wanted < size) throw new RangeError(`maxSize (${wanted}) is less than size (${size})`);
  return { start, size, maxSize: Math.min(wanted, most) };
}

function resolvePageShift(options: HeapOptions, maxSize: number): number {
  if (options.pageSize === undefined) {
    const log = Math.floor(Math.log2(maxSize));
    const shift = Math.min(PAGE_SHIFT_MAX, Math.max(PAGE_SHIFT_MIN, log - FRAMES_SHIFT));
    const fewest = options.allocator === 'slob' ? SLOB_FRAMES_SHIFT : TINY_FRAMES_SHIFT;
    return Math.max(PAGE_SHIFT_TINY, Math.min(shift, log - fewest));
  }
  checkPowerOfTwo('pageSize', options.pageSize, 2 ** PAGE_SHIFT_MIN, 2 ** PAGE_SHIFT_MAX);
  return Math.log2(options.pageSize);
}

function resolveDma(
  options: HeapOptions,
  pageSize: number,
  startFrame: number,
  maxFrames: number,
): { start: number; end: number } {
  if (options.dma === undefined) return { start: 0, end: 0 };
  checkInteger('dma.start', options.dma.start, 0, ADDRESS_SPACE);
  checkInteger('dma.end', options.dma.end, options.dma.start, ADDRESS_SPACE);
  const start = Math.max(startFrame, Math.ceil(options.dma.start / pageSize));
  const end = Math.min(maxFrames, Math.floor(options.dma.end / pageSize));
  if (start >= end)
    throw new RangeError(`the DMA window holds no whole page of ${pageSize} bytes of the heap`);
  return { start, end };
}

/** A shared heap, as one thread has it. Made by `Heap.create` or `Heap.attach`. */
export class Heap {
  /** The largest size that `kmalloc` takes, in bytes. */
  readonly kmallocMaxSize: number;
  private readonly metadata: Metadata;
  private readonly data: DataMemory;
  private readonly thisCpu: Cpu;
  private readonly pages: FrameAllocator;
  private readonly slabifier: Slabifier;
  private readonly sheaves: Sheaves;
  private readonly debugging: DebugAllocator;
  private readonly accountant: Accountant;
  private kmallocs: Kmalloc;
  private bound: BoundKmalloc;
  private readonly kfence: Kfence | undefined;
  private readonly rcu: RcuCallbacks;
  private readonly areas: Vmalloc;
  private readonly context: HeapContext;

  private constructor(
    metadata: Metadata,
    memory: HeapMemory,
    tag: string | number | undefined,
    classes: SizeClasses | undefined,
    adopts: boolean = false,
  ) {
    const data = new DataMemory(memory, metadata);
    const cpu = adopts ? adoptCpu(metadata) : attachCpu(metadata, tag);
    const pages = new FrameAllocator(metadata, cpu, data);
    const slabifier = metadata.m[H_SLOB] === 1 ? new Slob(pages) : new Slabifier(pages);
    const sheaves = metadata.m[H_KFENCE_OBJECTS] === 0 ? sheaved(slabifier) : new SampledSheaves(slabifier);
    const debugging = new DebugAllocator(sheaves, 'debug', 0);
    if (classes !== undefined) createKmallocCaches(metadata, sheaves, classes);
    const maxSize = kmallocMaxSize(metadata.layout);
    const table = new GroupTable(metadata, cpu, pages, slabifier);
    const reclaim = new Reclaim(metadata, cpu, sheaves, table);
    const groups = new GroupAllocator(metadata, cpu, data, pages, slabifier, table, reclaim, maxSize);
    const parts = [metadata, cpu, data, pages, sheaves, slabifier, groups, reclaim] as const;
    const kmalloc = new Kmalloc(...parts);
    const bound = bindKmalloc(kmalloc);
    if (sheaves instanceof SampledSheaves) kmalloc.kfence = new Kfence(metadata, slabifier.table, sheaves);
    this.kfence = kmalloc.kfence;
    const tracing: Tracing = new Tracing(metadata, cpu, slabifier.table, (isOn) => {
      sheaves.seal(isOn);
      this.kmallocs = isOn ? new TracedKmalloc(tracing, kmalloc, ...parts) : kmalloc;
      this.bound = isOn ? bindKmalloc(this.kmallocs) : bound;
      this.context.kmalloc = this.kmallocs;
    });
    const links = new Links(metadata, cpu, data, pages, slabifier, kmalloc);
    this.metadata = metadata;
    this.data = data;
    this.thisCpu = cpu;
    this.pages = pages;
    this.slabifier = slabifier;
    this.sheaves = sheaves;
    this.debugging = debugging;
    this.accountant = new Accountant(debugging);
    this.kmallocs = kmalloc;
    this.bound = bound;
    this.rcu = new RcuCallbacks(pages, slabifier, kmalloc);
    this.areas = new Vmalloc(pages);
    this.kmallocMaxSize = maxSize;
    const common = { metadata, cpu, data, slabifier, sheaves, kmalloc, groups, reclaim, links, tracing };
    const handles = { bound: bindSheaves(sheaves), table: slabifier.table, moves: new Map() };
    this.context = { ...common, ...handles };
    (globalThis as { [NEW_HEAP]?: (heap: Heap) => void })[NEW_HEAP]?.(this);
  }

  /** Makes a heap, and this thread its first CPU. Throws `RangeError`, `TypeError`, `EINVAL` for what cannot be meant. */
  static create(options: HeapOptions = {}): Heap {
    if (typeof options !== 'object' || options === null)
      throw new TypeError(`Heap.create takes an object of options, not ${String(options)}`);
    const { memory, cpus = CPUS_DEFAULT, nodes = 1, caches = CACHES_DEFAULT } = options;
    const isSlob = checkAllocator(options.allocator);
    const { sizeClasses = isSlob ? SIZE_CLASSES_SLOB : SIZE_CLASSES_DEFAULT } = options;
    checkSizeClasses(sizeClasses);
    if (memory !== undefined) checkMemory(memory);
    checkInteger('cpus', cpus, 1, CPUS_MAX);
    checkInteger('nodes', nodes, 1, NODES_MAX);
    checkInteger('caches', caches, 32, CACHES_MAX);
    const debug = checkDebugOption(options.debug ?? '');
    const { start, size, maxSize } = resolveWindow(options);
    const pageShift = resolvePageShift(options, maxSize);
    const pageSize = 2 ** pageShift;
    const startFrame = Math.max(1, Math.ceil(start / pageSize));
    const frames = Math.floor((start + size) / pageSize);
    const maxFrames = Math.max(frames, Math.floor((start + maxSize) / pageSize));
    if (frames <= startFrame) {
      throw new RangeError(
        `a window of ${size} bytes from ${start} holds no page of ${pageSize} bytes (page 0 is never used)`,
      );
    }
    if (nodes > maxFrames - startFrame)
      throw new RangeError(`${nodes} nodes are more than the heap has pages`);
    const dma = resolveDma(options, pageSize, startFrame, maxFrames);
    if (options.shared !== undefined) checkBoolean('shared', options.shared);
    if (options.merge !== undefined) checkBoolean('merge', options.merge);
    const shared =
      options.shared ?? (memory === undefined ? sharedMemoryExists() : isShared(bufferOf(memory)));
    if (shared && !sharedMemoryExists()) {
      invalid(
        'this platform has no SharedArrayBuffer (a browser page must be cross-origin isolated): use { shared: false }',
      );
    }
    if (shared && memory !== undefined && !isShared(bufferOf(memory)))
      invalid('shared: true, but the memory given is not shared');
    const metadata = createMetadata(
      { pageShift, startFrame, maxFrames, cpus, nodes, caches },
      frames,
      dma,
      shared,
    );
    storeDebugOption(metadata, debug);
    storeKfence(metadata, options.kfence);
    metadata.m[H_MERGE] = options.merge === true ? 1 : 0;
    metadata.m[H_SLOB] = isSlob ? 1 : 0;
    const data = memory ?? createDataBuffer(frames * pageSize, maxFrames * pageSize, shared);
    return new Heap(metadata, data, undefined, sizeClasses);
  }

  /**
   * Makes this thread one more CPU of the heap that `handle` names. Throws `EVERSION` for a handle of another version,
   * `ENOCPU` if all CPUs are taken, `TypeError` for what is no handle. `tag` (a number, or at most 124 bytes of UTF-8, `EINVAL` else)
   * lets a supervisor find the slot of a worker that was killed.
   */
  static attach(handle: HeapHandle, options: { tag?: string | number } = {}): Heap {
    if (typeof handle !== 'object' || handle === null || !('metadata' in handle)) {
      throw new TypeError('Heap.attach takes a heap handle: send heap.handle to this thread');
    }
    if (handle.version !== VERSION) {
      throw new SlabError(
        'EVERSION',
        `the handle is of version ${handle.version}, this modslab of ${VERSION}`,
      );
    }
    return new Heap(openMetadata(handle.metadata), handle.memory, options.tag, undefined);
  }

  /**
   * A heap out of a snapshot: the same objects at the same addresses, on memory of its own; this thread is its only CPU. The
   * CPUs of the original are reaped, so what they had cached is free, what they had allocated is live. Functions
   * (constructors, page allocators of the user's) are known again once this thread names them, as on any other thread.
   * Throws `EINVAL` for what is no snapshot, `EVERSION` for one of another version, `ECORRUPT` for a damaged one.
   */
  static restore(bytes: Uint8Array, options: RestoreOptions = {}): Heap {
    const { metadata, memory } = readHeap(bytes, options);
    if (!hasFreeCpu(metadata)) {
      const adopted = new Heap(metadata, memory, undefined, undefined, true);
      adopted.reaper().reapAdopted();
    }
    const heap = new Heap(metadata, memory, undefined, undefined);
    for (const { cpu, online } of heap.cpus()) if (online && cpu !== heap.cpu) heap.reap(cpu);
    return heap;
  }

  /**
   * The heap as bytes, for `Heap.restore` or to look at (`modslab/stat`). `data: false` leaves the objects' bytes out. Of one
   * instant if the other threads are still, else torn (debug/snapshot.ts). Cost: O(what is in it); nothing changes.
   */
  snapshot(options: SnapshotOptions = {}): Uint8Array<ArrayBuffer> {
    this.thisCpu.checkAttached();
    return takeSnapshot(this.metadata, this.data, options);
  }

  /** What another thread needs for `Heap.attach`. Throws `EINVAL` for an unshared heap: a copy would be silent. */
  get handle(): HeapHandle {
    this.thisCpu.checkAttached();
    const { memory } = this.data;
    const { buffer } = this.metadata;
    if (!isShared(buffer) || !isShared(bufferOf(memory))) {
      invalid('an unshared heap has no handle: create it with shared memory');
    }
    return {
      version: VERSION,
      metadata: buffer as SharedArrayBuffer,
      memory: memory as SharedArrayBuffer | WasmMemory,
    };
  }

  /** This thread's CPU number. */
  get cpu(): number {
    return this.thisCpu.id;
  }

  /** Bytes of a page frame. */
  get pageSize(): number {
    return 2 ** this.metadata.layout.pageShift;
  }

  /** Whether this thread has neither detached nor been reaped. One Atomics.load. */
  get isAttached(): boolean {
    return this.thisCpu.isOnline();
  }

  /** Gives this CPU's cached objects back and leaves the heap. Any later call but this one throws `ESHUTDOWN`. */
  detach(): void {
    if (this.thisCpu.left) return;
    if (!this.thisCpu.beginLeave()) return;
    this.kfence?.stop();
    this.rcu.leave();
    this.pages.rcu.leave();
    this.sheaves.leave();
    this.thisCpu.endLeave();
  }

  [Symbol.dispose](): void {
    this.detach();
  }

  /**
   * Takes back what a thread that died without detaching had claimed and cached. The caller vouches for the death; what
   * the thread had allocated stays. Nothing happens if the slot is offline, or has another generation than the one
   * given. Throws `EBUSY` for the caller's own CPU, `EINVAL` for no CPU. Cost: O(frames + caches · sheaves).
   */
  reap(cpu: number, generation?: number): ReapReport {
    return this.reaper().reap(cpu, generation);
  }

  private reaper(): Reaper {
    const { metadata, thisCpu, pages, slabifier, sheaves, context } = this;
    return new Reaper(metadata, thisCpu, pages, slabifier, sheaves, context.groups.table, context.links);
  }

  /** All CPU slots that have ever been taken. */
  cpus(): CpuInfo[] {
    this.thisCpu.checkAttached();
    return cpuInfos(this.metadata);
  }

  /** The data buffer as it is now. */
  get buffer(): ArrayBufferLike {
    return this.data.buffer;
  }
  /** Views of the whole data buffer. Growth makes new ones: read the property again, do not keep it. */
  get u8(): Uint8Array {
    return this.data.views().u8;
  }
  get i8(): Int8Array {
    return this.data.views().i8;
  }
  get u16(): Uint16Array {
    return this.data.views().u16;
  }
  get i16(): Int16Array {
    return this.data.views().i16;
  }
  get u32(): Uint32Array {
    return this.data.views().u32;
  }
  get i32(): Int32Array {
    return this.data.views().i32;
  }
  get f32(): Float32Array {
    return this.data.views().f32;
  }
  get f64(): Float64Array {
    return this.data.views().f64;
  }
  get i64(): BigInt64Array {
    return this.data.views().i64;
  }
  get u64(): BigUint64Array {
    return this.data.views().u64;
  }
  get dataView(): DataView {
    return this.data.views().dataView;
  }

  /** A view of `length` bytes from `addr`. Throws `TypeError`, or `RangeError` if they are not all in the heap. */
  view(addr: Address, length: number): Uint8Array {
    const { u8 } = this.viewsOf(addr, length);
    return u8.subarray(addr, addr + length);
  }

  /** The text of `length` bytes of UTF-8 at `addr`. Throws as `view` does. */
  readString(addr: Address, length: number): string {
    return decodeText(this.viewsOf(addr, length).u8, addr, length);
  }

  /** Writes `text` as UTF-8 at `addr`; the number of bytes written. Nothing checks that the object is long enough. */
  writeString(addr: Address, text: string): number {
    const bytes = encodeText(text);
    this.viewsOf(addr, bytes.length).u8.set(bytes, addr);
    return bytes.length;
  }

  /**
   * Typed accessors over addresses: `const P = heap.struct({ x: 'f64', id: 'u32', pos: ['f32', 3], inner: Other })`, then
   * `P.alloc()`, `P.x(addr)`, `P.setX(addr, v)`, `P.pos(addr, i)`, `P.inner(addr)` (an address), `P.size`. Laid out as C does. An
   * access makes no object and checks nothing but an array's index. Throws `TypeError`, `RangeError`, `EINVAL`.
   */
  struct<const F extends StructFields>(fields: F, options: StructOptions = {}): Struct<F> {
    this.thisCpu.checkOnline();
    const { cache, align = 1 } = options;
    checkPowerOfTwo('an alignment', align, 1, this.pageSize);
    return makeStruct(this.data, fields, align, (size, aligned) => {
      const from = cache === undefined ? undefined : this.cacheOfStruct(cache, size, aligned);
      if (from !== undefined) return { alloc: (gfp) => from.alloc(gfp), free: (addr) => from.free(addr) };
      const isPlain = aligned <= KMALLOC_ALIGN;
      return {
        alloc: isPlain ? (gfp) => this.kmalloc(size, gfp) : (gfp) => this.kmallocAligned(size, aligned, gfp),
        free: (addr) => this.kfree(addr),
      };
    });
  }

  /** A cache that this thread opens if another has created it, or is faster at this moment. */
  private cacheOfStruct(name: string, size: number, align: number): KmemCache {
    const { table } = this.slabifier;
    // Two threads that create it at the same instant may make each other withdraw: both try again.
    for (let attempt = 1; table.find(name) === 0; attempt++) {
      try {
        return this.createCache({ name, size, align });
      } catch (error) {
        if (attempt === CREATE_ATTEMPTS) throw error;
      }
    }
    const cache = this.cache(name);
    if (cache.size !== size)
      invalid(`objects of cache '${name}' have ${cache.size} bytes, the struct ${size}`, name);
    return cache;
  }

  /** Allocates `size` bytes, 0 … `kmallocMaxSize`; 0 without memory. O(1), no Atomics on the fast path. */
  kmalloc(size: number, gfp: GfpFlags = 0): Address {
    return this.bound.kmalloc(size, gfp);
  }

  /** `kmalloc`, filled with zeros over all that `ksize` says. */
  kzalloc(size: number, gfp: GfpFlags = 0): Address {
    return this.bound.kzalloc(size, gfp);
  }

  /** `kzalloc` of n · size bytes; throws `RangeError` where that is more than `kmallocMaxSize`. */
  kcalloc(n: number, size: number, gfp: GfpFlags = 0): Address {
    checkInteger('the number of elements', n, 0, ADDRESS_SPACE);
    checkInteger('the size of an element', size, 0, ADDRESS_SPACE);
    return this.kmallocs.kzalloc(n * size, gfp);
  }

  /**
   * `kmalloc` on `node`, 0 … nodes - 1 (`RangeError` else); on another if it has no memory and `gfp` does not say `THISNODE`.
   * Straight from a slab: two compare-and-swaps.
   */
  kmallocNode(size: number, gfp: GfpFlags, node: number): Address {
    return this.kmallocs.kmallocNode(size, gfp, node);
  }

  /** `kmalloc` aligned to `align`, a power of two up to 2^27 (`RangeError` else). */
  kmallocAligned(size: number, align: number, gfp: GfpFlags = 0): Address {
    return this.kmallocs.kmallocAligned(size, align, gfp);
  }

  /**
   * A new size for an object, moved if need be. Address 0 allocates, size 0 frees; 0: no memory, the old one stays. Throws as
   * `kmalloc` and `kfree` do. Cost: that of copying; no Atomics from class to class.
   */
  krealloc(addr: Address, size: number, gfp: GfpFlags = 0): Address {
    return this.bound.krealloc(addr, size, gfp);
  }

  /**
   * Frees a live object; 0 is a no-op, anything else throws and changes nothing: `EFAULT`, `EINTERIOR`, `EDOUBLEFREE`,
   * `TypeError`. O(1), no Atomics on the fast path.
   */
  kfree(addr: Address): void {
    this.bound.kfree(addr);
  }

  /** `kfree`, after the object has been overwritten with zeros. Throws as `kfree` does. */
  kfreeSensitive(addr: Address): void {
    this.kmallocs.kfreeSensitive(addr);
  }

  /** Bytes that the object may use; 0 for address 0. Throws as `kfree` does. */
  ksize(addr: Address): number {
    return this.kmallocs.ksize(addr);
  }

  /** n (default: all of `out`) objects of `size` bytes into `out`, or none: n or 0. `RangeError` as `kmalloc`, or if n is more than `out` has. */
  kmallocBulk(size: number, out: AddressArray, n?: number, gfp: GfpFlags = 0): number {
    this.thisCpu.checkAttached();
    return this.kmallocs.kmallocBulk(size, out, checkBulk(out, n), gfp);
  }

  /** Frees the first n addresses, or, if one is refused, none. Zeros are skipped. Throws as `kfree` does; `EDOUBLEFREE` too for one named twice. */
  kfreeBulk(addrs: AddressArray, n?: number): void {
    this.thisCpu.checkAttached();
    this.kmallocs.kfreeBulk(addrs, checkBulk(addrs, n), 0);
  }

  /** Contiguous memory of any size up to all page frames of the heap (`RangeError` else); 0 without. Freed with `kvfree`. */
  kvmalloc(size: number, gfp: GfpFlags = 0): Address {
    return this.kmallocs.kvmalloc(size, gfp);
  }

  /** Frees what `kvmalloc` gave, or any object of kmalloc. Throws as `kfree` does. */
  kvfree(addr: Address): void {
    this.kmallocs.kfree(addr);
  }

  /**
   * An area of `size` bytes out of frames that need not lie side by side; null without memory. Its address is none of the
   * data buffer: `kfree` refuses it. Cost: a few atomics a page.
   */
  vmalloc(size: number, gfp: GfpFlags = 0): VmArea | null {
    checkGfp(gfp);
    const addr = this.kmallocs.allocateWith(gfp, () => this.areas.allocate(size, gfp));
    if (addr === 0) return null;
    const area = new VmArea(this.areas, this.data, addr);
    if ((gfp & GFP.ZERO) !== 0) area.fill(0);
    return area;
  }

  /** Frees an area, given itself or its address. Throws `EFAULT`, `EINTERIOR`, `EDOUBLEFREE`, or `EINVAL` for an area of another heap. */
  vfree(area: VmArea | number): void {
    this.thisCpu.checkOnline();
    // At its address this heap may have an area too.
    if (area instanceof VmArea && !area.isOf(this.areas)) invalid('the vmalloc area is of another heap');
    if (area instanceof VmArea && !area.isLive) {
      throw new SlabError('EDOUBLEFREE', `the vmalloc area at ${hex(area.addr)} is free already`, area.addr);
    }
    this.areas.free(area instanceof VmArea ? area.addr : area);
  }

  /** The area, made by any thread, that begins at `addr`. Throws `EFAULT` or `EINTERIOR`. Cost: O(its pages). */
  vmArea(addr: number): VmArea {
    this.thisCpu.checkAttached();
    return new VmArea(this.areas, this.data, addr);
  }

  /** The page descriptor of an address in a vmalloc area: a walk of the page table. Throws `EFAULT` outside of any. */
  vmallocToPage(addr: number): PageInfo {
    this.thisCpu.checkAttached();
    return this.virtToPage(this.areas.frameOf(addr) * this.pageSize);
  }

  /** 2^order page frames, aligned to their size; 0 without memory. Order 0 … 31 (`RangeError` else). */
  allocPages(order: number, gfp: GfpFlags = 0): Address {
    return this.kmallocs.allocPages(order, gfp);
  }

  /** Gives back what `allocPages` gave; the order must be the same (`EINVAL`). Throws `EFAULT`, `EDOUBLEFREE`. */
  freePages(addr: Address, order: number): void {
    this.kmallocs.freePages(addr, order);
  }

  /** The page allocator that derivations begin with (`modslab/framework`), as this thread has it. */
  get pageAllocator(): PageAllocator {
    this.thisCpu.checkAttached();
    return this.pages;
  }

  /** The slab allocator that kmalloc and the caches stand on, as this thread has it (`modslab/framework`). */
  get slabAllocator(): SlabAllocator {
    this.thisCpu.checkAttached();
    return this.sheaves;
  }

  /** Begins a read section, or one within another. Outermost: one atomic store. Detaching ends all of them. */
  rcuReadLock(): void {
    this.pages.rcu.readLock();
  }

  /** Ends the read section begun last. Throws `EINVAL` outside of any. Outermost: one atomic store. */
  rcuReadUnlock(): void {
    this.pages.rcu.readUnlock();
  }

  /** Frees a live object, which is checked at once, when no reader of any thread can hold it any more. 0 is a no-op. */
  kfreeRcu(addr: Address): void {
    this.rcu.kfree(addr, this.kmallocs);
  }

  /**
   * Calls `callback` on this thread, from a timer, when no reader of any thread can hold what was unlinked before. Lost if
   * the thread dies or detaches first; an error that it throws is the host's unhandled rejection.
   */
  callRcu(callback: () => void): void {
    this.rcu.call(callback);
  }

  /**
   * Resolves when every read section of any thread that had begun before has ended. Rejects with `EINVAL` within a read
   * section of this thread, with `ESHUTDOWN` when it detaches. A dead reader is waited for until it is reaped.
   */
  synchronizeRcu(): Promise<void> {
    return this.rcu.synchronize();
  }

  /** Resolves when all callbacks queued so far, on any thread, have run, and all that `kfreeRcu` was given is free. */
  rcuBarrier(): Promise<void> {
    return this.rcu.barrier();
  }

  /**
   * Creates a cache that every thread can open by its name. Throws `EINVAL` for a name that is empty, taken or of kmalloc's, for
   * flags that a cache cannot have, and for a DMA cache without a window; `ENOMEM` without a descriptor; `EBUSY` if other
   * threads create caches too fast; `TypeError`, `RangeError`. Cost: O(caches), a few Atomics.
   */
  createCache(options: KmemCacheOptions): KmemCache {
    this.thisCpu.checkOnline();
    const { ctor, move, ...rest } = options;
    if (move !== undefined && typeof move !== 'function') throw new TypeError('move must be a function');
    const request = ctor === undefined ? rest : { ...rest, ctor: this.bindConstructor(ctor) };
    const spec = checkCacheRequest(this.metadata, request);
    const { table } = this.slabifier;
    const id = this.sheaves.create(move === undefined ? merged(this.metadata, table, spec) : spec);
    if (table.isMerged(id))
      table.addReference(mergedInto(this.metadata.m[cacheAt(this.metadata.layout, id) + C_MERGED]));
    return this.handleOf(id, move);
  }

  /**
   * Opens a cache that some thread has created. `ctor`: its constructor, for a thread that may make slabs of it. `move`:
   * this thread's move function for `shrink`.
   */
  cache(
    name: string,
    options: {
      ctor?: (addr: Address, heap: Heap) => void;
      move?: (from: Address, to: Address, heap: Heap) => boolean;
    } = {},
  ): KmemCache {
    this.thisCpu.checkOnline();
    const id = this.slabifier.table.find(name);
    if (id === 0) invalid(`there is no cache '${name}'`, name);
    const { ctor, move } = options;
    if (move !== undefined && typeof move !== 'function') throw new TypeError('move must be a function');
    if (ctor !== undefined) {
      const kind = this.metadata.m[cacheAt(this.metadata.layout, id) + C_CONSTRUCTOR];
      if (typeof ctor !== 'function' || kind !== CONSTRUCTOR_FUNCTION) {
        invalid(`cache '${name}' was not created with a constructor function`, name);
      }
      this.slabifier.register(id, (address) => ctor(address, this));
    }
    return this.handleOf(id, move);
  }

  /** This thread's handle of cache number `id`. */
  private handleOf(id: number, move?: (from: Address, to: Address, heap: Heap) => boolean): KmemCache {
    if (this.slabifier.table.isMerged(id)) {
      if (move !== undefined) invalid('a merged cache cannot be compacted: create it with SLAB.NO_MERGE');
      return new MergedCache(this.context, id);
    }
    const cache = new KmemCache(this.context, id);
    if (move !== undefined) cache.setMove((from, to) => move(from, to, this));
    return cache;
  }

  /**
   * A private set of size classes (Linux: `kmem_buckets_create`), which shares no slab with anybody. `sizes`: those of
   * kmalloc unless given; powers of two are aligned to themselves, with slab debugging too. Any thread opens it by its name with
   * `buckets`. Throws as `createCache` does, and has then created nothing.
   */
  createBuckets(
    name: string,
    options: Omit<KmemCacheOptions, 'name' | 'size' | 'ctor' | 'move'> & { sizes?: SizeClasses } = {},
  ): KmemBuckets {
    const { sizes = this.kmallocs.sizes, flags = 0, align = 1, ...rest } = options;
    checkSizeClasses(sizes);
    if (typeof name !== 'string' || name === '') invalid('buckets need a name');
    checkSlabFlags(name, flags);
    return createBuckets(this.context, name, sizes, (each, size) => {
      // What lies between two objects of a cache with red zones would move them.
      const own = Math.min(size & -size, this.pageSize);
      const spec = { ...rest, name: each, size, flags: flags | SLAB.NO_MERGE };
      return this.createCache({ ...spec, align: typeof align === 'number' ? Math.max(align, own) : align });
    });
  }

  /** Opens a set of buckets that some thread has created. Throws `EINVAL` if there is none of that name. */
  buckets(name: string): KmemBuckets {
    return openBuckets(this.context, name, this.caches());
  }

  /** All caches, those of kmalloc included. */
  caches(): KmemCache[] {
    this.thisCpu.checkOnline();
    return this.slabifier.table.ready().map((id) => this.handleOf(id));
  }

  /** Gives everything that is cached within reach back to the page allocator; how many slabs that released. Cost: O(caches · frames / 32 + what is cached). */
  shrink(): number {
    this.sheaves.enterSlowPath();
    const before = this.thisCpu.counted(N_SLABS_FREED);
    this.rcu.collect();
    this.context.reclaim.drain(true);
    this.pages.collectDeferred();
    return this.thisCpu.counted(N_SLABS_FREED) - before;
  }

  /**
   * Allocates `size` bytes and stores the address into the 32-bit word at `slotAddr`, which lies in a live object of this
   * heap (a multiple of 4) and holds 0, as one step: if this thread is killed, either the slot has the object or nobody
   * has, and nothing is lost. The address; 0 without memory. Throws `EBUSY` if the slot is not 0, or stops being so. While the
   * call is under way the slot may hold an odd number. Straight from a slab: a handful of Atomics.
   */
  allocInto(slotAddr: Address, size: number, gfp: GfpFlags = 0): Address {
    const { links, tracing } = this.context;
    const run = (): Address => links.allocInto(slotAddr, size, gfp);
    return tracing.isOn ? tracing.alloc('kmalloc', size, gfp, run) : run();
  }

  /**
   * Frees the object whose address the 32-bit word at `slotAddr` holds, and makes the word 0, as one step like `allocInto`.
   * The address that was freed; 0 if the slot was empty, or another thread was faster. Throws as `kfree` does, and
   * leaves the slot as it is. While the call is under way the slot may hold an odd number.
   */
  freeFrom(slotAddr: Address): Address {
    const { links, tracing } = this.context;
    if (!tracing.isOn) return links.freeFrom(slotAddr);
    return tracing.freeFound('kfree', this.u32[slotAddr >>> 2] ?? 0, () => links.freeFrom(slotAddr));
  }

  /**
   * Creates a group: memory that is charged to it can be limited, freed as a whole, and taken over by another group, whoever
   * allocated it. Every thread can open it by its name. Throws `EINVAL` for a taken name, `ENOMEM` if there are 1,023.
   */
  createGroup(options: GroupOptions = {}): Group {
    this.thisCpu.checkOnline();
    return createGroup(this.context, options);
  }

  /** Opens a group that some thread has created. Throws `EINVAL` if there is none of that name. */
  group(name: string): Group {
    this.thisCpu.checkOnline();
    return openGroup(this.context, name);
  }

  /** All groups but those that another has adopted. */
  groups(): Group[] {
    this.thisCpu.checkOnline();
    return this.context.groups.table.active().map((number) => new Group(this.context, number));
  }

  /** Sets `min` (0 or more) objects of `size` bytes aside for when there is no memory. Throws `ENOMEM` if there is none now, `RangeError`. */
  createMempool(min: number, size: number): Mempool {
    return new Mempool(this.context, min, size);
  }

  /**
   * Registers a shrinker on this thread: it is asked to free what can be done without before an allocation of this thread
   * gives up, never with `NOWAIT` or `ATOMIC`. Returns a function that unregisters it. `TypeError` unless it has both functions.
   */
  registerShrinker(shrinker: Shrinker): () => void {
    this.thisCpu.checkOnline();
    return this.context.reclaim.register(shrinker);
  }

  /**
   * Reports since the heap was made, of all threads: what slab debugging has found counts once, and once more for each thing
   * that it put right; a slab that was found damaged and frozen once; a `destroy` of a cache with live objects once, and once
   * more for each slab that has some. (As slub_kunit counts.)
   */
  get reports(): number {
    this.thisCpu.checkAttached();
    return Atomics.load(this.metadata.m, H_REPORTS);
  }

  /**
   * Calls `listener` with each report that slab debugging makes on this thread, before the error that goes with it is thrown;
   * a function that takes it out again. A report that goes with no error is printed if nobody listens.
   */
  onReport(listener: (report: SlabReport) => void): () => void {
    this.thisCpu.checkAttached();
    return this.debugging.context.reporter.listen(listener);
  }

  /**
   * Live objects by who allocated them, those with most bytes first (debug/leaks.ts): of tracked caches with stacks and ages,
   * of others one entry each. `diffLeaks` of `modslab/debug` compares two lists. Cost: O(frames + objects).
   */
  leaks(filter: LeakFilter = {}): LeakGroup[] {
    this.thisCpu.checkAttached();
    const { table } = this.context.groups;
    const name = typeof filter.group === 'object' ? filter.group.name : filter.group;
    return leaks(this.debugging, filter, (group) => table.name(table.rootOf(group)) === name);
  }

  /**
   * What Linux has in alloc_traces and free_traces of a cache: who allocated its live objects, who freed its free ones. Throws
   * `EINVAL` for an unknown cache. Cost: O(frames + objects).
   */
  traces(cache: string, what: 'alloc' | 'free'): string {
    this.thisCpu.checkAttached();
    if (what !== 'alloc' && what !== 'free')
      invalid(`there are traces 'alloc' and 'free', not '${String(what)}'`);
    if (cache !== LARGE_NAME && this.slabifier.table.find(cache) === 0)
      invalid(`there is no cache '${cache}'`, cache);
    return tracesText(this.debugging, cache, what);
  }

  /** Live objects and bytes by cache, CPU, node and group, now and at most (debug/accounting.ts). O(frames + objects). */
  accounting(): Accounting {
    this.thisCpu.checkAttached();
    const { table } = this.context.groups;
    return this.accountant.count((group) => table.name(table.rootOf(group)));
  }

  /**
   * A number that stands for the live object at `addr`, and for no later one at the same place; the object's cache has
   * `SLAB.GENERATIONS`, or the heap `{ debug: 'G' }`. Throws as `kfree` does, `EINVAL` without generations. (`heap.handle`
   * is the heap's.)
   */
  objectHandle(addr: Address): number {
    this.thisCpu.checkAttached();
    return objectHandle(this.debugging, addr);
  }

  /** The address of the object that `objectHandle` gave the number for. Throws `EFAULT` once it has been freed. */
  resolve(handle: number): Address {
    this.thisCpu.checkAttached();
    return resolveHandle(this.debugging, handle);
  }

  /**
   * Access to one live object that is checked each time: outside of it, outside of what its cache lets be seen
   * (`useroffset`, `usersize`; not with `{ whole: true }`), or after its free, it throws `EFAULT`. Throws as `kfree` does.
   */
  checked(addr: Address, options: CheckedOptions = {}): CheckedObject {
    return new CheckedObject(this.debugging, addr, this.kmallocs.ksize(addr), options);
  }

  /** Fault injection of caches with `SLAB.FAILSLAB` (debug option `A`), of all threads. Setting it throws `RangeError`, `TypeError`. */
  get failslab(): FailSettings {
    this.thisCpu.checkAttached();
    return failSettings(this.metadata);
  }

  set failslab(settings: Partial<FailSettings>) {
    this.thisCpu.checkAttached();
    setFailSettings(this.metadata, settings);
  }

  /** How stacks are taken in tracked caches (debug option `U`), by all threads. Setting it throws `RangeError`. */
  get tracking(): TrackSettings {
    this.thisCpu.checkAttached();
    return trackSettings(this.metadata);
  }

  set tracking(settings: Partial<TrackSettings>) {
    this.thisCpu.checkAttached();
    setTrackSettings(this.metadata, settings);
  }

  /** The page descriptor of an address: one lookup of vmem_map, O(1). Throws `EFAULT` outside the heap. */
  virtToPage(addr: Address): PageInfo {
    this.thisCpu.checkAttached();
    const pfn = checkAddress(this.metadata, addr);
    return pageInfo(this.metadata, pfn, (cache) => this.slabifier.table.name(cache));
  }

  /** Every invariant that does not hold; empty when all do. Never throws. Cost: O(frames + objects). */
  validate(): Problem[] {
    const { metadata, thisCpu, data, slabifier } = this;
    return new Validator(metadata, thisCpu, data, slabifier, slabifier.table, this.debugging).validate();
  }

  /** One row a cache. Cost: O(frames + objects). */
  slabinfo(): SlabinfoRow[] {
    this.thisCpu.checkAttached();
    return slabinfo(this.metadata, this.slabifier.table, (cache) => this.slabifier.pageAllocatorOf(cache));
  }

  /** Memory figures, in bytes. Cost: O(frames + objects). */
  meminfo(): MemInfo {
    this.thisCpu.checkAttached();
    return meminfo(this.metadata);
  }

  /** Free runs by node, zone and order. Cost: O(frames). */
  buddyinfo(): BuddyInfo[] {
    this.thisCpu.checkAttached();
    return buddyinfo(this.metadata);
  }

  /** Frames by node and zone, and how many of them are slabs. Cost: O(frames). */
  zoneinfo(): ZoneInfo[] {
    this.thisCpu.checkAttached();
    return zoneinfo(this.metadata);
  }

  /** What the slow paths of all CPUs have counted. Cost: O(CPU slots). */
  counters(): Counters {
    this.thisCpu.checkAttached();
    return counters(this.metadata);
  }

  /**
   * The counters of all caches, or of the one of that name, begin at 0 again; `counters()` goes on. What other threads count
   * at the same time may be counted before or after. Throws `EINVAL` for an unknown name.
   */
  clearCounters(name?: string): void {
    this.thisCpu.checkOnline();
    const { table } = this.slabifier;
    const id = name === undefined ? 0 : table.find(name);
    if (name !== undefined && id === 0) invalid(`there is no cache '${name}'`, name);
    for (const cache of id === 0 ? table.ready() : [id])
      this.thisCpu.clearCountersOf(cache, cachedByCpu(this.metadata, cache));
  }

  /**
   * Calls `listener` after every operation of this thread of one kind, until the function returned is called. Not for
   * operations with `NOWAIT` or `ATOMIC`, not for what a listener does itself. Throws `EINVAL` for an unknown event. Free of
   * cost while nobody listens.
   */
  on(event: TraceEventName, listener: TraceListener): () => void {
    this.thisCpu.checkOnline();
    return this.context.tracing.on(event, listener);
  }

  /**
   * Writes down every operation of this thread until `stop` is called on what it returns; `modslab/trace` makes an mtrace1 or
   * ftrace text of the recordings of all threads.
   */
  record(options: RecordOptions = {}): Recording {
    this.thisCpu.checkOnline();
    return new Recording(this.metadata, this.context.tracing, options);
  }

  private bindConstructor(
    ctor: ((addr: Address, heap: Heap) => void) | Uint8Array,
  ): ((addr: Address) => void) | Uint8Array {
    return typeof ctor === 'function' ? (address) => ctor(address, this) : ctor;
  }

  private viewsOf(addr: Address, length: number): Views {
    this.thisCpu.checkAttached();
    const views = this.data.views();
    checkInteger('an address', addr, 0, views.u8.length);
    checkInteger('a length', length, 0, views.u8.length - addr);
    return views;
  }
}

const bufferOf = (memory: HeapMemory): ArrayBufferLike => (isWasmMemory(memory) ? memory.buffer : memory);

/** The general caches, in ascending order: cache numbers 1, 2, 3… */
function createKmallocCaches(metadata: Metadata, sheaves: Sheaves, table: SizeClasses): void {
  const share = metadata.m[H_SLOB] === 1 ? 1 : 2;
  const classes = classesUpTo(table, 2 ** metadata.layout.pageShift / share);
  if (classes.length >= metadata.layout.caches)
    throw new RangeError(
      `${classes.length} size classes need more than ${metadata.layout.caches} cache descriptors`,
    );
  sheaves.table.whileUnshared(() => {
    // Powers of two are aligned to themselves: their slabs begin on page frames.
    for (const size of classes) sheaves.create(kmallocSpec(metadata, `kmalloc-${size}`, size, 0));
  });
  metadata.m[H_KMALLOC_CACHES] = classes.length;
}
