// Two WebAssembly modules and JavaScript on one memory, passing pointers: the first module makes a list, JavaScript adds
// a node, the second module adds the values up and frees every node, its own or not. Run: node examples/wasm-modules.js
import { Heap } from 'modslab';
import { heapBaseOf, wasmImports } from 'modslab/wasm';
import initWabt from 'wabt';

// A node is two words: the next node, a value. Each module has static data of its own below the heap.
const maker = `(module
  (import "env" "memory" (memory 2 256 shared))
  (import "env" "malloc" (func $malloc (param i32) (result i32)))
  (global (export "__heap_base") i32 (i32.const 65536))
  (data (i32.const 1024) "the maker's static data")
  (func (export "makeList") (param $n i32) (result i32)
    (local $head i32) (local $node i32)
    (block $done (loop $next
      (br_if $done (i32.eqz (local.get $n)))
      (local.set $node (call $malloc (i32.const 8)))
      (i32.store (local.get $node) (local.get $head))
      (i32.store offset=4 (local.get $node) (local.get $n))
      (local.set $head (local.get $node))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br $next)))
    (local.get $head)))`;

const adder = `(module
  (import "env" "memory" (memory 2 256 shared))
  (import "env" "free" (func $free (param i32)))
  (global (export "__heap_base") i32 (i32.const 98304))
  (data (i32.const 65536) "the adder's static data")
  (func (export "addUpAndFree") (param $node i32) (result i32)
    (local $next i32) (local $sum i32)
    (block $done (loop $each
      (br_if $done (i32.eqz (local.get $node)))
      (local.set $sum (i32.add (local.get $sum) (i32.load offset=4 (local.get $node))))
      (local.set $next (i32.load (local.get $node)))
      (call $free (local.get $node))
      (local.set $node (local.get $next))
      (br $each)))
    (local.get $sum)))`;

const wabt = await initWabt();
const assemble = (name, text) => wabt.parseWat(name, text, { threads: true }).toBinary({}).buffer;
const [makerBytes, adderBytes] = [assemble('maker.wat', maker), assemble('adder.wat', adder)];

const memory = new WebAssembly.Memory({ initial: 4, maximum: 256, shared: true });
const heap = Heap.create({ memory, start: heapBaseOf(makerBytes, adderBytes), maxSize: 8 << 20 });
const env = { memory, ...wasmImports(heap) };
const { makeList } = new WebAssembly.Instance(new WebAssembly.Module(makerBytes), { env }).exports;
const { addUpAndFree } = new WebAssembly.Instance(new WebAssembly.Module(adderBytes), { env }).exports;

const list = makeList(1000);
const node = heap.kmalloc(8); // a node made by JavaScript, in front of the module's
heap.u32[node >>> 2] = list;
heap.u32[(node >>> 2) + 1] = 42;
console.log(`${heap.meminfo().live} bytes in the list`);
console.log(`sum ${addUpAndFree(node)}`); // 500500 + 42
console.log(`${heap.meminfo().live} bytes live, ${heap.validate().length} problems`);
