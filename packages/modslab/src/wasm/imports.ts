/**
 * C's allocator for WebAssembly: `malloc` and its family as functions that a module imports, on a heap that lives in
 * the module's own memory.
 *
 * The memory, with what the linker has put below and the heap's window above (wasm/heapBase.ts finds the border):
 *
 *     0 ─────────────┬─────────────────────┬────────────────────────────────── memory.buffer.byteLength
 *       static data  │  stack              │  pages of the heap: kmalloc's
 *     ───────────────┴─────────────────────┴──────────────────────────────────
 *                                          └ __heap_base ≤ heap's `start`
 *
 * The allocator's own words are in the heap's metadata buffer, which no module sees: a module that writes past an
 * object can spoil another object, never the allocator.
 *
 * The rules of C hold, and two of our own: nothing is ever thrown into WebAssembly (an exception would unwind frames
 * that do not expect one, leaving their locks held), and what C calls undefined, the free of what is not a live
 * object's first byte, is told to `onError` and otherwise ignored.
 *
 * Integers come from WebAssembly as signed 32-bit numbers: `x >>> 0` is the address or the size.
 */

import type { Heap } from '../heap.ts';
import { hex, SlabError } from '../memory/errors.ts';
import { checkGfp, type GfpFlags } from '../memory/gfp.ts';
import type { Address } from '../slab/slabAllocator.ts';

/** `errno` as wasi-libc and Emscripten number it; what `posix_memalign` returns. */
const EINVAL = 28;
const ENOMEM = 48;
/** The largest alignment that a heap gives. */
const ALIGNMENT_MAX: number = 2 ** 27;
/** `posix_memalign` takes multiples of a pointer's size. */
const POINTER_BYTES = 4;

/** What an import was called for, as `onError` gets it. */
export type WasmCall =
  | 'malloc'
  | 'free'
  | 'calloc'
  | 'realloc'
  | 'aligned_alloc'
  | 'posix_memalign'
  | 'malloc_usable_size'
  | 'cabi_realloc';

export interface WasmImportsOptions {
  /**
   * Told of every call that C leaves undefined (a double free, a pointer into an object, …) and of a heap that was
   * detached. Default: `console.error`. What it throws is dropped: nothing may be thrown into WebAssembly.
   */
  onError?: (error: Error, call: WasmCall, address: Address) => void;
  /** Added to every allocation: `GFP.NOWAIT` for audio threads. */
  gfp?: GfpFlags;
}

/** The functions, ready to be a module's `env`. Sizes and pointers are i32 on both sides. */
export interface WasmImports extends Record<WasmCall, (...args: number[]) => unknown> {
  /** NULL without memory. `malloc(0)` is a unique pointer that can be freed. */
  malloc(size: number): Address;
  /** NULL is a no-op; anything else but a live object's first byte goes to `onError`. */
  free(address: Address): void;
  /** Zeros; NULL without memory, or where `n · size` overflows. */
  calloc(n: number, size: number): Address;
  /** NULL without memory, the old object untouched. Size 0 shrinks to the smallest object: it is not a free. */
  realloc(address: Address, size: number): Address;
  /** NULL without memory, or if `align` is no power of two. */
  aligned_alloc(align: number, size: number): Address;
  /** 0, `EINVAL` (28) or `ENOMEM` (48); the address is stored at `result`, which is told to `onError` if it is no place for it. */
  posix_memalign(result: Address, align: number, size: number): number;
  /** Bytes that the object may use; 0 for NULL and for what is no object. */
  malloc_usable_size(address: Address): number;
  /** The Component Model's: allocates, moves or (new size 0) frees. A size of 0 gives `align`, which is no object. */
  cabi_realloc(old: Address, oldSize: number, align: number, newSize: number): Address;
}

const isPowerOfTwo = (value: number): boolean => value !== 0 && (value & (value - 1)) === 0;

function printError(error: Error, call: WasmCall): void {
  console.error(`${call}: ${error.message}`);
}

/** The calls behind the imports; every one may throw what a heap throws. */
class CAllocator {
  private readonly heap: Heap;
  private readonly gfp: GfpFlags;
  private readonly kmallocMaxSize: number;
  /** The largest object at all: the heap's window when it has grown as far as it may. */
  private readonly maxSize: number;

  constructor(heap: Heap, gfp: GfpFlags) {
    this.heap = heap;
    this.gfp = gfp;
    this.kmallocMaxSize = heap.kmallocMaxSize;
    this.maxSize = heap.meminfo().maxSize;
  }

  allocate(size: number): Address {
    if (size <= this.kmallocMaxSize) return this.heap.kmalloc(size, this.gfp);
    return size <= this.maxSize ? this.heap.kvmalloc(size, this.gfp) : 0;
  }

  allocateZeroed(size: number): Address {
    if (size <= this.kmallocMaxSize) return this.heap.kzalloc(size, this.gfp);
    const address = this.allocate(size);
    if (address !== 0) this.heap.u8.fill(0, address, address + size);
    return address;
  }

  allocateAligned(size: number, align: number): Address {
    if (size > this.kmallocMaxSize || align > ALIGNMENT_MAX) return 0;
    return this.heap.kmallocAligned(size, align, this.gfp);
  }

  reallocate(address: Address, size: number): Address {
    if (address === 0) return this.allocate(size);
    const { heap } = this;
    if (size <= this.kmallocMaxSize) return heap.krealloc(address, Math.max(1, size), this.gfp);
    const old = heap.ksize(address);
    return size <= old ? address : this.move(address, old, this.allocate(size));
  }

  /** As `reallocate`, to an address that is a multiple of `align`. */
  reallocateAligned(address: Address, size: number, align: number): Address {
    const old = this.heap.ksize(address);
    if (size <= old && address % align === 0) return address;
    return this.move(address, Math.min(old, size), this.allocateAligned(size, align));
  }

  private move(from: Address, bytes: number, to: Address): Address {
    if (to === 0) return 0;
    this.heap.u8.copyWithin(to, from, from + bytes);
    this.heap.kfree(from);
    return to;
  }
}

/**
 * C's allocator on `heap`, as a module's imports: `new WebAssembly.Instance(module, { env: { memory, ...wasmImports(heap) } })`.
 * `heap` must live in the memory that the module imports. One set of functions serves any number of modules of a thread;
 * each thread that runs a module attaches to the heap and makes its own. Cost: one call from WebAssembly to JavaScript
 * more than the heap's own call. Throws `TypeError`, `EINVAL` for options that cannot be meant.
 */
export function wasmImports(heap: Heap, options: WasmImportsOptions = {}): WasmImports {
  const { gfp = 0, onError = printError } = options;
  checkGfp(gfp);
  if (typeof onError !== 'function') throw new TypeError(`onError must be a function, not ${typeof onError}`);
  const c = new CAllocator(heap, gfp);
  const failed = (error: unknown, call: WasmCall, address: Address): void => {
    try {
      onError(error instanceof Error ? error : new Error(String(error)), call, address);
    } catch {
      // Nothing may be thrown into WebAssembly.
    }
  };
  /** Runs a call that may throw: 0 then, which is NULL, and `onError` told. */
  const guarded = (call: WasmCall, address: Address, run: () => number): number => {
    try {
      return run();
    } catch (error) {
      failed(error, call, address);
      return 0;
    }
  };
  return {
    // The first four without a closure for each call: they are the ones that programs call millions of times.
    malloc(size) {
      try {
        return c.allocate(size >>> 0);
      } catch (error) {
        failed(error, 'malloc', 0);
        return 0;
      }
    },
    free(address) {
      try {
        heap.kfree(address >>> 0);
      } catch (error) {
        failed(error, 'free', address >>> 0);
      }
    },
    realloc(address, size) {
      try {
        return c.reallocate(address >>> 0, size >>> 0);
      } catch (error) {
        failed(error, 'realloc', address >>> 0);
        return 0;
      }
    },
    malloc_usable_size(address) {
      try {
        return heap.ksize(address >>> 0);
      } catch (error) {
        failed(error, 'malloc_usable_size', address >>> 0);
        return 0;
      }
    },
    calloc: (n, size) => guarded('calloc', 0, () => c.allocateZeroed((n >>> 0) * (size >>> 0))),
    aligned_alloc: (align, size) =>
      isPowerOfTwo(align >>> 0)
        ? guarded('aligned_alloc', 0, () => c.allocateAligned(size >>> 0, align >>> 0))
        : 0,
    posix_memalign(result, align, size) {
      if (!isPowerOfTwo(align >>> 0) || (align >>> 0) % POINTER_BYTES !== 0) return EINVAL;
      const place = result >>> 0;
      // Before there is an object that would be lost.
      if (place > heap.dataView.byteLength - POINTER_BYTES) {
        failed(
          new SlabError('EFAULT', `the result is to be stored at ${hex(place)}, beyond the memory`, place),
          'posix_memalign',
          place,
        );
        return EINVAL;
      }
      const address = guarded('posix_memalign', 0, () => c.allocateAligned(size >>> 0, align >>> 0));
      if (address === 0) return ENOMEM;
      heap.dataView.setUint32(place, address, true);
      return 0;
    },
    cabi_realloc: (old, oldSize, align, newSize) =>
      guarded('cabi_realloc', old >>> 0, () => {
        const address = old >>> 0;
        const size = newSize >>> 0;
        const isObject = address !== 0 && oldSize !== 0;
        if (size === 0) {
          if (isObject) heap.kfree(address);
          return align >>> 0;
        }
        return isObject
          ? c.reallocateAligned(address, size, align >>> 0)
          : c.allocateAligned(size, align >>> 0);
      }),
  };
}
