/**
 * AssemblyScript's runtime interface on a heap: what the compiler's output calls to make, move and free managed objects,
 * in the layout that its standard library expects.
 *
 *     block ──┬──────────┬──────────┬──────────┬── pointer ─────────
 *             │ gcInfo 0 │ gcInfo2 0│ rtId     │ rtSize │ the object …
 *             └ −16      └ −12      └ −8       └ −4     └ 0
 *
 * There is no collector: managed objects live until `__delete`, other memory until `__free`, as with the compiler's own
 * `--runtime stub`, except that freed memory is used again, and that every thread may have its instance on one memory.
 * `__pin`, `__unpin` and `__collect` do nothing.
 */

import type { Heap } from '../heap.ts';
import type { Address } from '../slab/slabAllocator.ts';
import { type WasmImportsOptions, wasmImports } from './imports.ts';

/** Bytes of an object's header. */
const HEADER_BYTES = 16;
const RT_ID = 8;
const RT_SIZE = 12;
/** The largest object: with its header it must be a size that WebAssembly's 32 bits can say. */
const OBJECT_BYTES_MAX: number = 2 ** 32 - 1 - HEADER_BYTES;

/** The hooks of an AssemblyScript runtime; the package's wasm/assemblyscript.ts is the runtime file that imports them. */
export interface AssemblyScriptImports extends Record<string, (...args: number[]) => unknown> {
  /** Unmanaged memory: `heap.alloc` of the standard library. 0 without memory. */
  __alloc(size: number): Address;
  __realloc(block: Address, size: number): Address;
  __free(block: Address): void;
  /** A managed object of the class with number `id`. 0 without memory. */
  __new(size: number, id: number): Address;
  /** A managed object with a new size; its class stays. 0 without memory, the old object untouched. */
  __renew(pointer: Address, size: number): Address;
  /** Frees a managed object. Not AssemblyScript's own: declare it where it is wanted. */
  __delete(pointer: Address): void;
  __link(parent: Address, child: Address, expectMultiple: number): void;
  __pin(pointer: Address): Address;
  __unpin(pointer: Address): void;
  __visit(pointer: Address, cookie: number): void;
  __collect(): void;
}

/** AssemblyScript's runtime on `heap`, ready to be a module's `modslab` import. */
export function assemblyScriptImports(heap: Heap, options: WasmImportsOptions = {}): AssemblyScriptImports {
  const { malloc, calloc, realloc, free } = wasmImports(heap, options);
  return {
    __alloc: malloc,
    __realloc: realloc,
    __free: free,
    __new(size, id) {
      if (size >>> 0 > OBJECT_BYTES_MAX) return 0;
      const block = calloc(1, (size >>> 0) + HEADER_BYTES);
      if (block === 0) return 0;
      const { dataView } = heap;
      dataView.setUint32(block + RT_ID, id >>> 0, true);
      dataView.setUint32(block + RT_SIZE, size >>> 0, true);
      return block + HEADER_BYTES;
    },
    __renew(pointer, size) {
      if (size >>> 0 > OBJECT_BYTES_MAX) return 0;
      const block = realloc((pointer >>> 0) - HEADER_BYTES, (size >>> 0) + HEADER_BYTES);
      if (block === 0) return 0;
      const { dataView, u8 } = heap;
      const before = dataView.getUint32(block + RT_SIZE, true);
      // The standard library takes what is new of an object to be zeros.
      if (size >>> 0 > before) u8.fill(0, block + HEADER_BYTES + before, block + HEADER_BYTES + (size >>> 0));
      dataView.setUint32(block + RT_SIZE, size >>> 0, true);
      return block + HEADER_BYTES;
    },
    __delete: (pointer) => free(pointer === 0 ? 0 : (pointer >>> 0) - HEADER_BYTES),
    __link() {},
    __pin: (pointer) => pointer,
    __unpin() {},
    __visit() {},
    __collect() {},
  };
}
