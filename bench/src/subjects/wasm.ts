/**
 * Allocators that are compiled to WebAssembly and called from JavaScript: dlmalloc as C programs for WASM get it (wasi-libc's,
 * built by `peers.ts` with clang), and AssemblyScript's TLSF. One thread, and a fixed memory of its own, so that no view of
 * it goes stale.
 */

import { readFileSync } from 'node:fs';
import {
  allocEach,
  bytesOf,
  cannot,
  freeEach,
  type Subject,
  type SubjectOptions,
  touchedBytes,
  type Views,
  viewsOf,
} from './subject.ts';

/** Bytes of a WebAssembly page. */
const WASM_PAGE = 65_536;

interface Exports {
  readonly memory: WebAssembly.Memory;
  readonly _initialize?: () => void;
  readonly malloc: (size: number) => number;
  readonly free: (address: number) => void;
  readonly realloc: (address: number, size: number) => number;
  readonly calloc?: (n: number, size: number) => number;
  readonly aligned_alloc?: (alignment: number, size: number) => number;
}

export class WasmSubject implements Subject {
  declare private readonly functions: Exports;

  constructor(file: string, options: SubjectOptions) {
    const module = new WebAssembly.Module(readFileSync(file));
    const abort = (): never => {
      throw new Error('the module has aborted');
    };
    const instance = new WebAssembly.Instance(module, { env: { abort } });
    this.functions = instance.exports as unknown as Exports;
    const { memory, _initialize } = this.functions;
    const missing = bytesOf(options) - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / WASM_PAGE));
    _initialize?.();
  }

  alloc(size: number): number {
    return this.functions.malloc(size);
  }

  zalloc(size: number): number {
    const { calloc } = this.functions;
    return calloc === undefined ? cannot('calloc') : calloc(1, size);
  }

  aligned(size: number, alignment: number): number {
    const { aligned_alloc } = this.functions;
    return aligned_alloc === undefined ? cannot('aligned allocation') : aligned_alloc(alignment, size);
  }

  realloc(address: number, size: number): number {
    return this.functions.realloc(address, size);
  }

  free(address: number): void {
    this.functions.free(address);
  }

  allocBulk(size: number, out: Int32Array): boolean {
    return allocEach(this, size, out);
  }

  freeBulk(addresses: Int32Array): void {
    freeEach(this, addresses);
  }

  touched(): number {
    return touchedBytes(this.functions.memory.buffer);
  }

  views(): Views {
    return viewsOf(this.functions.memory.buffer);
  }

  problems(): string[] {
    return [];
  }
}
