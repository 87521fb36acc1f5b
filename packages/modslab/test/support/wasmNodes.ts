// A module that works on memory it gets from malloc, and the worker thread that runs it: `make` builds a list of nodes
// and leaves its head in a mailbox, `take` takes a list from a mailbox, adds its values up and frees every node.
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { Heap, type HeapHandle } from 'modslab';
import { heapBaseOf, wasmImports, wasmThread } from 'modslab/wasm';

/** Mailboxes are words in the module's static data. */
export const MAILBOX = 1024;

export const LISTS_WAT = `(module
  (import "env" "memory" (memory 4 1024 shared))
  (import "env" "malloc" (func $malloc (param i32) (result i32)))
  (import "env" "free" (func $free (param i32)))
  (global $__stack_pointer (export "__stack_pointer") (mut i32) (i32.const 65536))
  (global (export "__heap_base") i32 (i32.const 65536))
  (func (export "make") (param $mailbox i32) (param $n i32)
    (local $head i32) (local $node i32)
    (block $done (loop $next
      (br_if $done (i32.eqz (local.get $n)))
      (local.set $node (call $malloc (i32.add (i32.const 8) (i32.and (local.get $n) (i32.const 255)))))
      (if (i32.eqz (local.get $node)) (then (unreachable)))
      (i32.store (local.get $node) (local.get $head))
      (i32.store offset=4 (local.get $node) (local.get $n))
      (local.set $head (local.get $node))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br $next)))
    (block $posted (loop $again
      (br_if $posted (i32.eqz (i32.atomic.rmw.cmpxchg (local.get $mailbox) (i32.const 0) (local.get $head))))
      (br $again))))
  (func (export "take") (param $mailbox i32) (result i32)
    (local $node i32) (local $next i32) (local $sum i32)
    (block $got (loop $again
      (local.set $node (i32.atomic.rmw.xchg (local.get $mailbox) (i32.const 0)))
      (br_if $got (local.get $node))
      (br $again)))
    (block $done (loop $each
      (br_if $done (i32.eqz (local.get $node)))
      (local.set $sum (i32.add (local.get $sum) (i32.load offset=4 (local.get $node))))
      (local.set $next (i32.load (local.get $node)))
      (call $free (local.get $node))
      (local.set $node (local.get $next))
      (br $each)))
    (local.get $sum))
  ;; Pushes a value on the stack and tells where the stack is.
  (func (export "stackTop") (result i32)
    (global.set $__stack_pointer (i32.sub (global.get $__stack_pointer) (i32.const 16)))
    (i32.store (global.get $__stack_pointer) (i32.const 0x5ac5))
    (global.get $__stack_pointer)))`;

export interface ListsTask {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly handle: HeapHandle;
  readonly worker: number;
  readonly workers: number;
  readonly rounds: number;
  readonly nodes: number;
}

export interface ListsOutcome {
  readonly sum: number;
  readonly errors: string[];
  readonly stackTop: number;
  readonly stack: readonly [number, number];
}

type Exports = {
  make(mailbox: number, n: number): void;
  take(mailbox: number): number;
  stackTop(): number;
};

/** Each thread makes lists for the next one and takes those of the one before: every node is freed by another thread. */
function runLists({ bytes, handle, worker, workers, rounds, nodes }: ListsTask): ListsOutcome {
  const heap = Heap.attach(handle);
  const errors: string[] = [];
  const imports = wasmImports(heap, { onError: (error) => errors.push(error.message) });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
    env: { memory: handle.memory, ...imports },
  });
  const thread = wasmThread(heap, instance);
  const exports = instance.exports as Exports;
  const stackTop = exports.stackTop();
  let sum = 0;
  for (let round = 0; round < rounds; round++) {
    exports.make(MAILBOX + 4 * ((worker + 1) % workers), nodes);
    sum += exports.take(MAILBOX + 4 * worker);
  }
  thread.release();
  heap.detach();
  return { sum, errors, stackTop, stack: [thread.stack, thread.stack + thread.stackSize] };
}

/** The heap's start in a memory that the lists module uses. */
export const listsBase = (bytes: Uint8Array): number => heapBaseOf(bytes);

if (!isMainThread && workerData?.lists !== undefined) parentPort?.postMessage(runLists(workerData.lists));
