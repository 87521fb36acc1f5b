/**
 * A thread's own part of a module that runs on several threads: a stack, and a block of thread-local storage if the
 * module has any, both taken from the heap.
 *
 * All threads share one memory, and each has an instance of the module with globals of its own. The linker knows one stack
 * only, the first thread's; every further thread gets another by setting the instance's global `__stack_pointer`:
 *
 *     stack ────────────── stackSize ──────────────┐
 *     │  grows downwards  ◄───────── first frame   │ __stack_pointer
 *     └──────────────────────────────────────────────
 *
 * `__wasm_init_tls(block)` copies the initial values of `_Thread_local` variables, and points the instance to them.
 */

import type { Heap } from '../heap.ts';
import { ALIGNMENT_MAX } from '../kmalloc/kmalloc.ts';
import { checkInteger, checkPowerOfTwo, invalid, SlabError } from '../memory/errors.ts';
import type { Address } from '../slab/slabAllocator.ts';

/** What the stack pointer must be a multiple of (WebAssembly's C ABI). */
const STACK_ALIGN = 16;
const STACK_SIZE_DEFAULT = 65_536;

/** What a further thread has of its own; `release` gives it back, once nothing of the module runs on it any more. */
export interface WasmThread {
  /** The lowest byte of the stack. */
  readonly stack: Address;
  readonly stackSize: number;
  /** The block of thread-local storage; 0 if the module has none. */
  readonly tls: Address;
  release(): void;
}

/** What `WebAssembly.Instance` has of it. */
export interface WasmInstance {
  readonly exports: Readonly<Record<string, unknown>>;
}

/** Whether a global may be set: one that may not throws at any value, its own too. */
function isMutable(global: { value: number }): boolean {
  const { value } = global;
  try {
    global.value = value;
    return true;
  } catch {
    return false;
  }
}

const numberOf = (value: unknown): number => Number((value as { readonly value?: unknown })?.value ?? 0);

/**
 * Gives an instance that a further thread has made a stack and thread-local storage from `heap`. Call it before anything
 * of the instance, on every thread but the first. The module must export `__stack_pointer` and, if it has thread-local
 * variables, `__wasm_init_tls`, `__tls_size` and `__tls_align` (`-Wl,--export=…` each): without `__tls_size` it is taken to have none.
 * `EINVAL` without a mutable `__stack_pointer`, or without `__wasm_init_tls` where there are such variables; `RangeError` for a
 * `__tls_size` or `__tls_align` that no heap gives; `ENOMEM` without memory. What `__wasm_init_tls` throws is thrown on, and all
 * is given back.
 */
export function wasmThread(
  heap: Heap,
  instance: WasmInstance,
  { stackSize = STACK_SIZE_DEFAULT }: { stackSize?: number } = {},
): WasmThread {
  const { exports } = instance;
  const pointer = exports.__stack_pointer as { value: number } | undefined;
  if (typeof pointer?.value !== 'number') {
    invalid('the module does not export __stack_pointer: link it with --export=__stack_pointer');
  }
  if (!isMutable(pointer)) {
    invalid('the module exports an immutable __stack_pointer: link it with mutable globals');
  }
  const tlsSize = numberOf(exports.__tls_size);
  const tlsAlign = Math.max(STACK_ALIGN, numberOf(exports.__tls_align));
  const initTls = exports.__wasm_init_tls as ((block: Address) => void) | undefined;
  if (tlsSize > 0 && typeof initTls !== 'function') {
    invalid(
      'the module has thread-local variables, but does not export __wasm_init_tls: link it with --export=__wasm_init_tls',
    );
  }
  checkInteger('__tls_size', tlsSize, 0, heap.kmallocMaxSize);
  checkPowerOfTwo('__tls_align', tlsAlign, 1, ALIGNMENT_MAX);
  const stack = heap.kmallocAligned(stackSize, STACK_ALIGN);
  if (stack === 0) throw new SlabError('ENOMEM', `no memory for a stack of ${stackSize} bytes`);
  const tls = tlsSize > 0 ? heap.kmallocAligned(tlsSize, tlsAlign) : 0;
  if (tlsSize > 0 && tls === 0) {
    heap.kfree(stack);
    throw new SlabError('ENOMEM', `no memory for ${tlsSize} bytes of thread-local storage`);
  }
  const before = pointer.value;
  pointer.value = (stack + Math.floor(stackSize / STACK_ALIGN) * STACK_ALIGN) | 0;
  try {
    if (tls !== 0) initTls?.(tls);
  } catch (error) {
    pointer.value = before;
    heap.kfree(tls);
    heap.kfree(stack);
    throw error;
  }
  return {
    stack,
    stackSize,
    tls,
    release() {
      heap.kfree(tls);
      heap.kfree(stack);
    },
  };
}
