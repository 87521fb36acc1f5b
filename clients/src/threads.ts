/**
 * The program on several threads: each has an instance of the module on the one memory, with a stack and thread-local
 * storage of its own, and on `modslab` is one more CPU of the heap.
 */

import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Heap, type HeapHandle } from 'modslab';
import { heapBaseOf, wasmImports, wasmThread } from 'modslab/wasm';
import { moduleBytes } from './build.ts';
import type { Exports } from './instance.ts';
import { type Allocator, MEMORY_MAX } from './programs.ts';

const WASM_PAGE = 65_536;
/** What each thread on dlmalloc gets for its stack: allocated before it starts, since nobody else may touch the heap. */
const STACK_BYTES = 65_536;

interface Task {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly memory: WebAssembly.Memory;
  readonly handle?: HeapHandle;
  /** On dlmalloc: where stack and thread-local storage are. */
  readonly block: number;
  readonly thread: number;
  readonly operations: number;
}

export interface ThreadsResult {
  readonly seconds: number;
  readonly corrupted: number;
  readonly foreignFrees: number;
  readonly errors: readonly string[];
  readonly peak: number;
  readonly metadata: number;
  readonly live: number;
}

function instantiate(
  bytes: Uint8Array<ArrayBuffer>,
  memory: WebAssembly.Memory,
  heap: Heap | undefined,
  errors: string[],
): WebAssembly.Instance {
  const module = new WebAssembly.Module(bytes);
  const onError = (error: Error): void => {
    errors.push(error.message);
  };
  const env = { memory, ...(heap === undefined ? {} : wasmImports(heap, { onError })) };
  const wasi = new Proxy({}, { get: () => () => 0 });
  return new WebAssembly.Instance(module, { env, wasi_snapshot_preview1: wasi });
}

/** On dlmalloc: the stack and the storage of a thread in a block that the first thread has allocated. */
function settleIn(instance: WebAssembly.Instance, block: number): void {
  const exports = instance.exports as unknown as {
    __stack_pointer: { value: number };
    __wasm_init_tls(address: number): void;
  };
  exports.__stack_pointer.value = block + STACK_BYTES;
  exports.__wasm_init_tls(block + STACK_BYTES);
}

function work({ bytes, memory, handle, block, thread, operations }: Task): {
  corrupted: number;
  errors: string[];
} {
  const errors: string[] = [];
  const heap = handle === undefined ? undefined : Heap.attach(handle);
  const instance = instantiate(bytes, memory, heap, errors);
  const own = heap === undefined ? undefined : wasmThread(heap, instance, { stackSize: STACK_BYTES });
  if (own === undefined) settleIn(instance, block);
  const exports = instance.exports as Exports;
  parentPort?.postMessage('ready');
  parentPort?.once('message', () => {
    const corrupted = exports.work(thread, operations);
    if (exports.thread() !== thread) errors.push('thread-local storage is shared');
    own?.release();
    heap?.detach();
    parentPort?.postMessage({ corrupted, errors });
  });
  return { corrupted: 0, errors };
}

/** Runs the program on `threads` threads. */
export async function runThreads(
  allocator: Allocator,
  threads: number,
  operations: number,
): Promise<ThreadsResult> {
  const bytes = moduleBytes('threads', allocator);
  const base = heapBaseOf(bytes);
  const pages = Math.ceil(base / WASM_PAGE) + 16;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: MEMORY_MAX / WASM_PAGE, shared: true });
  const heap =
    allocator === 'modslab'
      ? Heap.create({ memory, start: base, maxSize: MEMORY_MAX - base, cpus: threads + 1 })
      : undefined;
  const errors: string[] = [];
  const instance = instantiate(bytes, memory, heap, errors);
  const exports = instance.exports as Exports;
  const globals = instance.exports as Record<string, { value: number }>;
  const storage = STACK_BYTES + globals.__tls_size.value + 16;
  exports._initialize();
  const ready: Promise<Worker>[] = [];
  for (let thread = 0; thread < threads; thread++) {
    const block = heap === undefined ? exports.allocate(storage) : 0;
    const task: Task = { bytes, memory, block, thread, operations, ...(heap && { handle: heap.handle }) };
    const worker = new Worker(new URL(import.meta.url), { workerData: { threadsTask: task } });
    ready.push(
      new Promise((resolve, reject) => worker.once('message', () => resolve(worker)).once('error', reject)),
    );
  }
  const workers = await Promise.all(ready);
  const start = performance.now();
  const outcomes = await Promise.all(
    workers.map(
      (worker) =>
        new Promise<{ corrupted: number; errors: string[] }>((resolve, reject) => {
          worker.once('message', resolve).once('error', reject);
          worker.postMessage('go');
        }),
    ),
  );
  const seconds = (performance.now() - start) / 1000;
  const corrupted = exports.drain() + outcomes.reduce((sum, outcome) => sum + outcome.corrupted, 0);
  const use = heap?.meminfo();
  const result: ThreadsResult = {
    seconds,
    corrupted,
    foreignFrees: exports.foreignFrees(),
    errors: [...errors, ...outcomes.flatMap((outcome) => outcome.errors)],
    peak: use?.peakFootprint ?? memory.buffer.byteLength - base,
    metadata: use?.metadata ?? 0,
    live: use?.live ?? 0,
  };
  if (heap !== undefined && heap.validate().length > 0) throw new Error('the heap is not sound');
  heap?.detach();
  return result;
}

if (!isMainThread && workerData?.threadsTask !== undefined) work(workerData.threadsTask);
