/**
 * A compiled program in a memory of its own, on one of the two allocators, and the little of a host that it needs:
 * standard output, a clock that stands still, no files.
 */

import { Heap } from 'modslab';
import { heapBaseOf, wasmImports } from 'modslab/wasm';
import { moduleBytes } from './build.ts';
import { type Allocator, MEMORY_MAX, type ProgramName } from './programs.ts';

const WASM_PAGE = 65_536;
/** What a heap starts with; it grows as needed. */
const HEAP_PAGES = 16;
const ERRNO_BADF = 8;
const FILETYPE_CHARACTER_DEVICE = 2;

export type Exports = Record<string, (...args: number[]) => number>;

export interface Running {
  readonly exports: Exports;
  readonly memory: WebAssembly.Memory;
  /** On `modslab` only. */
  readonly heap?: Heap;
  /** What the allocator complained about. */
  readonly errors: readonly string[];
  /** What the program has printed since it was last asked. */
  output(): string;
  /** Copies bytes or text (with a closing 0) into memory that the program allocates. */
  put(data: Uint8Array | string): number;
  /** Bytes that the program's objects have taken at most, and those that the allocator keeps elsewhere. */
  memoryUse(): { readonly peak: number; readonly metadata: number };
}

/** The functions of wasi_snapshot_preview1 that do something; all others say that there is no such file. */
function wasi(memory: WebAssembly.Memory, print: (text: string) => void): Record<string, unknown> {
  const view = (): DataView => new DataView(memory.buffer);
  const decoder = new TextDecoder();
  return {
    fd_write(_fd: number, vectors: number, n: number, written: number): number {
      const data = view();
      let total = 0;
      for (let i = 0; i < n; i++) {
        const at = data.getUint32(vectors + 8 * i, true);
        const length = data.getUint32(vectors + 8 * i + 4, true);
        print(decoder.decode(new Uint8Array(memory.buffer).slice(at, at + length), { stream: true }));
        total += length;
      }
      data.setUint32(written, total, true);
      return 0;
    },
    fd_fdstat_get(fd: number, result: number): number {
      if (fd > 2) return ERRNO_BADF;
      new Uint8Array(memory.buffer).fill(0, result, result + 24);
      view().setUint8(result, FILETYPE_CHARACTER_DEVICE);
      return 0;
    },
    clock_time_get(_clock: number, _precision: bigint, result: number): number {
      view().setBigUint64(result, 1_000_000_000n, true);
      return 0;
    },
    proc_exit(status: number): never {
      throw new Error(`the program has exited with status ${status}`);
    },
  };
}

/** Lua's protected calls: a try block of the host, and the stack pointer put back when it catches. */
function protectedCalls(exportsOf: () => Record<string, unknown>): Record<string, unknown> {
  class LuaError extends Error {}
  return {
    client_try(f: number, state: number, data: number): void {
      const exports = exportsOf();
      const pointer = exports.__stack_pointer as { value: number };
      const saved = pointer.value;
      try {
        (exports as Exports).callProtected(f, state, data);
      } catch (error) {
        if (!(error instanceof LuaError)) throw error;
        pointer.value = saved;
      }
    },
    client_throw(): never {
      throw new LuaError();
    },
  };
}

/** All that a module imports: what is given, and a refusal for every other function of WASI. */
function importsFor(module: WebAssembly.Module, given: WebAssembly.Imports): WebAssembly.Imports {
  const imports: WebAssembly.Imports = { env: { ...given.env }, wasi_snapshot_preview1: {} };
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    if (from !== 'wasi_snapshot_preview1' || kind !== 'function') continue;
    imports[from][name] = given[from][name] ?? (() => ERRNO_BADF);
  }
  return imports;
}

/** Instantiates a program. On `modslab`, in memory whose first bytes are the program's, and the rest, to `heapMax`, a heap's. */
export function start(name: ProgramName, allocator: Allocator, heapMax: number = MEMORY_MAX): Running {
  const bytes = moduleBytes(name, allocator);
  const base = heapBaseOf(bytes);
  const memory = new WebAssembly.Memory({
    initial: Math.ceil(base / WASM_PAGE) + (allocator === 'modslab' ? HEAP_PAGES : 0),
    maximum: MEMORY_MAX / WASM_PAGE,
    shared: true,
  });
  const heap =
    allocator === 'modslab'
      ? Heap.create({ memory, start: base, maxSize: heapMax - base, cpus: 8 })
      : undefined;
  const errors: string[] = [];
  const onError = (error: Error): void => {
    errors.push(error.message);
  };
  const printed: string[] = [];
  const module = new WebAssembly.Module(bytes);
  let exports: Record<string, unknown> = {};
  const env = {
    memory,
    ...(heap === undefined ? {} : wasmImports(heap, { onError })),
    ...protectedCalls(() => exports),
  };
  const host = wasi(memory, (text) => printed.push(text));
  exports = new WebAssembly.Instance(module, importsFor(module, { env, wasi_snapshot_preview1: host }))
    .exports;
  (exports as Exports)._initialize();
  const running: Running = {
    exports: exports as Exports,
    memory,
    errors,
    output: () => printed.splice(0).join(''),
    put(data) {
      const text = typeof data === 'string' ? new TextEncoder().encode(`${data}\0`) : data;
      const address = (exports as Exports).buffer(text.length);
      if (address === 0) throw new Error(`the program has no memory for ${text.length} bytes`);
      new Uint8Array(memory.buffer).set(text, address >>> 0);
      return address;
    },
    memoryUse() {
      if (heap === undefined) return { peak: memory.buffer.byteLength - base, metadata: 0 };
      const { peakFootprint, metadata } = heap.meminfo();
      return { peak: peakFootprint, metadata };
    },
  };
  return heap === undefined ? running : { ...running, heap };
}
