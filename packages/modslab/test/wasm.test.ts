// The heap as a WebAssembly module's malloc: C's conventions, as a module sees them.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { GFP, Heap } from 'modslab';
import {
  assemblyScriptImports,
  heapBaseOf,
  type WasmImportsOptions,
  wasmImports,
  wasmThread,
} from 'modslab/wasm';
import { allRefused, assertSound, MIB, picture, refused, thrownBy, wrong } from './support/heap.js';
import { LISTS_WAT, type ListsOutcome, type ListsTask, listsBase, MAILBOX } from './support/wasmNodes.js';
import { assemble, C_IMPORTS, C_WRAPPERS } from './support/wat.js';

const WASM_PAGE = 65_536;
const EINVAL = 28;
const ENOMEM = 48;
const BASE = 3 * 4096;

type C = Record<string, (...args: number[]) => number>;

const wrapperModule = new WebAssembly.Module(
  assemble(`(module (import "env" "memory" (memory 1 64 shared)) ${C_IMPORTS} ${C_WRAPPERS})`),
);

interface Program {
  readonly heap: Heap;
  readonly c: C;
  readonly errors: string[];
}

/** A module with nothing but the allocator, on a heap of 4 MiB at most. */
function program(options: WasmImportsOptions = {}): Program {
  const memory = new WebAssembly.Memory({ initial: 4, maximum: 64, shared: true });
  const heap = Heap.create({ memory, start: BASE, maxSize: 64 * WASM_PAGE - BASE, pageSize: 4096, cpus: 4 });
  const errors: string[] = [];
  const onError = (error: Error, call: string): void => {
    errors.push(`${call} ${error.message.split(':')[0]}`);
  };
  const imports = wasmImports(heap, { onError, ...options });
  const instance = new WebAssembly.Instance(wrapperModule, { env: { memory, ...imports } });
  return { heap, c: instance.exports as C, errors };
}

describe('malloc and its family, called by a module', () => {
  test('malloc gives distinct aligned objects above the window’s start, free takes them back', () => {
    const { heap, c, errors } = program();
    const objects = [1, 7, 8, 100, 4096, 70_000].map((size) => ({ size, address: c.malloc(size) }));
    for (const { size, address } of objects) {
      assert.ok(address >= BASE);
      assert.equal(address % (size < 16 ? 8 : 16), 0);
      assert.ok(c.malloc_usable_size(address) >= size);
    }
    assert.equal(new Set(objects.map(({ address }) => address)).size, objects.length);
    for (const { address } of objects) c.free(address);
    c.free(0);
    assert.deepEqual(errors, []);
    assert.equal(heap.meminfo().live, 0);
    assertSound(heap);
  });

  test('malloc(0) is a pointer of its own, that can be freed', () => {
    const { c, heap } = program();
    const [a, b] = [c.malloc(0), c.malloc(0)];
    assert.ok(a !== 0 && b !== 0 && a !== b);
    c.free(a);
    c.free(b);
    assert.equal(heap.meminfo().live, 0);
  });

  test('what cannot be had is NULL, not an exception', () => {
    const { c, errors, heap } = program();
    for (const size of [-1, -(2 ** 31), 2 ** 31 - 1, 5 * MIB]) {
      assert.equal(c.malloc(size), 0);
      assert.equal(c.calloc(1, size), 0);
      assert.equal(c.realloc(0, size), 0);
      assert.equal(c.aligned_alloc(16, size), 0);
    }
    assert.deepEqual(errors, []);
    assertSound(heap);
  });

  test('objects larger than kmalloc’s largest come from whole pages', () => {
    const { c, heap } = program();
    const size = heap.kmallocMaxSize + 4096;
    const address = c.calloc(size, 1);
    assert.notEqual(address, 0);
    assert.ok(c.malloc_usable_size(address) >= size);
    heap.u8[address + size - 1] = 9;
    assert.equal(c.realloc(address, size - 100), address);
    const smaller = c.realloc(address, 1000);
    assert.notEqual(smaller, 0);
    c.free(smaller);
    assert.equal(heap.meminfo().live, 0);
  });

  test('calloc: zeros over memory used before, NULL where n · size overflows', () => {
    const { c, heap } = program();
    const dirty = c.malloc(600);
    heap.u8.fill(0xff, dirty, dirty + 600);
    c.free(dirty);
    const address = c.calloc(60, 10);
    assert.ok(heap.view(address, 600).every((byte) => byte === 0));
    assert.equal(c.calloc(65_536, 65_537), 0);
  });

  test('realloc keeps the contents, takes NULL, does not free at size 0, and without memory leaves the old', () => {
    const { c, heap } = program();
    const a = c.realloc(0, 24);
    heap.u8.set([1, 2, 3, 4], a);
    const b = c.realloc(a, 5000);
    assert.deepEqual([...heap.u8.subarray(b, b + 4)], [1, 2, 3, 4]);
    const small = c.realloc(b, 0);
    assert.notEqual(small, 0);
    assert.equal(c.realloc(small, 2 ** 31 - 1), 0);
    assert.ok(c.malloc_usable_size(small) > 0);
    c.free(small);
    assert.equal(heap.meminfo().live, 0);
  });

  test('aligned_alloc and posix_memalign', () => {
    const { c, heap } = program();
    for (let align = 1; align <= 65_536; align *= 2) {
      const address = c.aligned_alloc(align, 40);
      assert.equal(address % align, 0);
      assert.notEqual(address, 0);
      c.free(address);
    }
    assert.equal(c.aligned_alloc(48, 100), 0);
    assert.equal(c.aligned_alloc(0, 100), 0);
    const result = 64; // in the static data, below the heap
    assert.equal(c.posix_memalign(result, 256, 100), 0);
    const address = heap.u32[result / 4];
    assert.equal(address % 256, 0);
    c.free(address);
    heap.u32[result / 4] = 77;
    assert.equal(c.posix_memalign(result, 2, 100), EINVAL);
    assert.equal(c.posix_memalign(result, 24, 100), EINVAL);
    assert.equal(c.posix_memalign(result, 16, 2 ** 31 - 1), ENOMEM);
    assert.equal(heap.u32[result / 4], 77, 'a refused call stores nothing');
  });

  test('posix_memalign to where there is no memory is EINVAL, and no object is lost', () => {
    const { c, errors, heap } = program();
    const end = heap.u8.length;
    for (const result of [-1, -4, 2 ** 31, end, end - 3])
      assert.equal(c.posix_memalign(result, 16, 100), EINVAL);
    assert.deepEqual(errors, Array(5).fill('posix_memalign EFAULT'));
    for (const size of [-1, -16, 2 ** 31]) assert.equal(c.posix_memalign(64, 16, size), ENOMEM);
    assert.equal(heap.meminfo().live, 0);
    assert.equal(c.posix_memalign(end - 4, 16, 100), 0);
    c.free(heap.u32[end / 4 - 1]);
    assert.equal(heap.meminfo().live, 0);
  });

  test('a bad free goes to onError, changes nothing, and the module runs on', () => {
    const { c, errors, heap } = program();
    const a = c.malloc(100);
    c.free(a);
    c.free(a);
    const b = c.malloc(100);
    c.free(b + 16);
    c.free(12);
    c.free(-4);
    assert.equal(c.realloc(b + 8, 4000), 0);
    assert.equal(c.malloc_usable_size(b + 8), 0);
    assert.deepEqual(errors, [
      'free EDOUBLEFREE',
      'free EINTERIOR',
      'free EFAULT',
      'free EFAULT',
      'realloc EINTERIOR',
      'malloc_usable_size EINTERIOR',
    ]);
    c.free(b);
    assert.equal(heap.meminfo().live, 0);
    assertSound(heap);
  });

  test('nothing is thrown into WebAssembly: neither by onError, nor after a detach', () => {
    const { c, heap } = program({
      onError: () => {
        throw new Error('from onError');
      },
    });
    c.free(20);
    heap.detach();
    assert.equal(c.malloc(10_000), 0);
    assert.equal(c.calloc(1, 10), 0);
    c.free(BASE);
  });

  test('options that cannot be meant are refused', () => {
    const { heap } = program();
    thrownBy('EINVAL', () => wasmImports(heap, { gfp: -1 }));
    thrownBy(TypeError, () => wasmImports(heap, { gfp: wrong('1') }));
    thrownBy(TypeError, () => wasmImports(heap, { onError: wrong(5) }));
  });

  test('with NOWAIT the heap is not grown', () => {
    const { c, heap } = program({ gfp: GFP.NOWAIT });
    const { size } = heap.meminfo();
    while (c.malloc(1000) !== 0);
    assert.equal(heap.meminfo().size, size);
  });

  test('without, it grows as far as the memory may, and what lies below its window is never written', () => {
    const { c, heap } = program();
    const below = heap.view(0, BASE);
    below.forEach((_, i) => {
      below[i] = (i * 31) & 0xff;
    });
    const before = [...below];
    let bytes = 0;
    for (let address = c.malloc(3000); address !== 0; address = c.malloc(3000)) {
      heap.u8.fill(0xee, address, address + 3000);
      bytes += 3000;
    }
    assert.ok(bytes > 2 * MIB, `${bytes} bytes`);
    assert.deepEqual([...heap.view(0, BASE)], before);
    assertSound(heap);
  });

  test('on a memory that is not shared, and is detached at growth', () => {
    const memory = new WebAssembly.Memory({ initial: 2, maximum: 32 });
    const module = new WebAssembly.Module(
      assemble(`(module (import "env" "memory" (memory 1 64)) ${C_IMPORTS} ${C_WRAPPERS})`),
    );
    const heap = Heap.create({ memory, start: 4096, maxSize: 32 * WASM_PAGE - 4096, pageSize: 4096 });
    const c = new WebAssembly.Instance(module, { env: { memory, ...wasmImports(heap) } }).exports as C;
    const buffer = memory.buffer;
    const addresses = Array.from({ length: 400 }, () => c.calloc(1, 3000));
    assert.notEqual(memory.buffer, buffer);
    assert.equal(new Set(addresses).size, addresses.length);
    assert.ok(addresses.every((address) => address !== 0));
    assert.equal(c.posix_memalign(16, 8, 40), 0);
    assertSound(heap);
  });
});

describe('cabi_realloc, the Component Model’s', () => {
  test('allocates, grows with the contents, keeps the alignment, frees', () => {
    const { c, heap, errors } = program();
    const a = c.cabi_realloc(0, 0, 8, 20);
    heap.u8.set([5, 6, 7], a);
    const b = c.cabi_realloc(a, 20, 64, 3000);
    assert.equal(b % 64, 0);
    assert.deepEqual([...heap.u8.subarray(b, b + 3)], [5, 6, 7]);
    assert.equal(c.cabi_realloc(b, 3000, 64, 0), 64);
    assert.equal(heap.meminfo().live, 0);
    assert.deepEqual(errors, []);
  });

  test('a size of 0 is no object: it can grow into one', () => {
    const { c, heap, errors } = program();
    const none = c.cabi_realloc(0, 0, 4, 0);
    assert.equal(none, 4);
    const some = c.cabi_realloc(none, 0, 4, 100);
    assert.ok(some >= BASE);
    c.free(some);
    assert.deepEqual(errors, []);
    assert.equal(heap.meminfo().live, 0);
    assert.equal(c.cabi_realloc(0, 0, 4, -1), 0);
  });
});

describe('heapBaseOf', () => {
  const module = (globals: string): Uint8Array =>
    assemble(`(module (import "env" "memory" (memory 1)) (import "env" "other" (global i32)) ${globals})`);

  test('reads __heap_base out of a module’s bytes', () => {
    const bytes = module(`(global f64 (f64.const 1.5)) (global (mut i64) (i64.const -5))
      (func (export "f")) (global (export "__data_end") i32 (i32.const 1024))
      (global (export "__heap_base") i32 (i32.const 70416))`);
    assert.equal(heapBaseOf(bytes), 70416);
    assert.equal(heapBaseOf(bytes.slice().buffer as ArrayBuffer), 70416);
  });

  test('also above 2 GiB, and for small and large numbers', () => {
    for (const base of [
      1,
      63,
      64,
      127,
      128,
      8191,
      8192,
      2 ** 27 + 5,
      2 ** 31 - 1,
      2 ** 31,
      2 ** 32 - 65_536,
    ]) {
      const constant = `(global (export "__heap_base") i32 (i32.const ${base}))`;
      assert.equal(heapBaseOf(module(constant)), base);
    }
  });

  test('of an instance, its exports, a global or a number; of several modules the largest', () => {
    const exports = { __heap_base: { value: 4096 } };
    assert.equal(heapBaseOf({ exports }), 4096);
    assert.equal(heapBaseOf(exports), 4096);
    assert.equal(heapBaseOf(exports.__heap_base, 100), 4096);
    assert.equal(heapBaseOf({ value: -4096 }), 2 ** 32 - 4096);
    const bytes = module('(global (export "__heap_base") i32 (i32.const 70416))');
    assert.equal(heapBaseOf(exports, bytes, 5), 70416);
  });

  test('says what to do where there is none', () => {
    const heap = Heap.create({ shared: false, size: MIB });
    allRefused(heap, 'EINVAL', [
      () => heapBaseOf(module('')),
      () => heapBaseOf(module('(func (export "__heap_base"))')),
      () => heapBaseOf({ exports: {} }),
      () => heapBaseOf(new Uint8Array(100)),
      () => heapBaseOf(module('(global (export "__heap_base") i32 (i32.const 9))').subarray(0, 40)),
    ]);
    assert.match(thrownBy('EINVAL', () => heapBaseOf(module(''))).message, /--export=__heap_base/);
    thrownBy(TypeError, () => heapBaseOf());
  });
});

describe('several modules and threads on one memory', () => {
  test('an object that one module allocated is freed by another', () => {
    const bytes = assemble(LISTS_WAT);
    const memory = new WebAssembly.Memory({ initial: 4, maximum: 1024, shared: true });
    const heap = Heap.create({ memory, start: listsBase(bytes), maxSize: 32 * MIB });
    const env = { memory, ...wasmImports(heap) };
    const module = new WebAssembly.Module(bytes);
    const [maker, taker] = [1, 2].map(() => new WebAssembly.Instance(module, { env }).exports as C);
    maker.make(MAILBOX, 1000);
    assert.ok(heap.meminfo().live > 0);
    assert.equal(taker.take(MAILBOX), 500_500);
    assert.equal(heap.meminfo().live, 0);
  });

  test('four threads pass lists round: every node is freed by another thread than allocated it', async () => {
    const [workers, rounds, nodes] = [4, 50, 300];
    const bytes = assemble(LISTS_WAT);
    const memory = new WebAssembly.Memory({ initial: 4, maximum: 1024, shared: true });
    const heap = Heap.create({ memory, start: listsBase(bytes), maxSize: 32 * MIB, cpus: 8 });
    const outcomes = await Promise.all(
      Array.from({ length: workers }, (_, worker) => {
        const lists: ListsTask = { bytes, handle: heap.handle, worker, workers, rounds, nodes };
        const thread = new Worker(new URL('./support/wasmNodes.js', import.meta.url), {
          workerData: { lists },
        });
        return new Promise<ListsOutcome>((resolve, reject) => {
          thread.on('message', resolve).on('error', reject);
        });
      }),
    );
    for (const { sum, errors, stackTop, stack } of outcomes) {
      assert.deepEqual(errors, []);
      assert.equal(sum, (rounds * nodes * (nodes + 1)) / 2);
      assert.ok(stackTop >= stack[0] && stackTop < stack[1], 'the thread uses the stack that it was given');
    }
    assert.equal(new Set(outcomes.map(({ stack }) => stack[0])).size, workers);
    assert.equal(heap.meminfo().live, 0);
    assertSound(heap);
  });

  test('wasmThread says which export lacks, and gives all back on release', () => {
    const heap = Heap.create({ shared: false, size: 2 * MIB, maxSize: 2 * MIB, pageSize: 4096 });
    allRefused(heap, 'EINVAL', [
      () => wasmThread(heap, { exports: {} }),
      () => wasmThread(heap, { exports: { __stack_pointer: { value: 8 }, __tls_size: { value: 4 } } }),
    ]);
    const blocks: number[] = [];
    const exports = {
      __stack_pointer: { value: 0 },
      __tls_size: { value: 100 },
      __tls_align: { value: 128 },
      __wasm_init_tls: (block: number) => blocks.push(block),
    };
    const half = heap.kmalloc(MIB);
    thrownBy('ENOMEM', () => wasmThread(heap, { exports }, { stackSize: MIB }));
    heap.kfree(half);
    const thread = wasmThread(heap, { exports }, { stackSize: 1000 });
    assert.deepEqual(blocks, [thread.tls]);
    assert.equal(thread.tls % 128, 0);
    assert.equal(exports.__stack_pointer.value % 16, 0);
    assert.ok(exports.__stack_pointer.value <= thread.stack + 1000);
    thread.release();
    assert.equal(heap.meminfo().live, 0);
  });

  test('wasmThread keeps nothing of a module that it cannot give a stack and storage', () => {
    const heap = Heap.create({ shared: false, size: 2 * MIB, maxSize: 2 * MIB, pageSize: 4096 });
    const trap = (): never => {
      throw new WebAssembly.RuntimeError('unreachable');
    };
    const pointer = { value: 48 };
    const exports = { __stack_pointer: pointer, __tls_size: { value: 100 }, __wasm_init_tls: trap };
    const start = (changes: Record<string, unknown>) => (): unknown =>
      wasmThread(heap, { exports: { ...exports, ...changes } });
    refused(heap, 'EINVAL', start({ __stack_pointer: Object.freeze({ value: 48 }) }));
    allRefused(heap, RangeError, [
      start({ __tls_align: { value: 48 } }),
      start({ __tls_align: { value: 2 ** 28 } }),
      start({ __tls_size: { value: 2 ** 31 } }),
      start({ __tls_size: { value: -1 } }),
      start({ __tls_size: { value: 1.5 } }),
    ]);
    assert.throws(start({}), WebAssembly.RuntimeError);
    assert.deepEqual([heap.meminfo().live, pointer.value], [0, 48]);
    assertSound(heap);
  });
});

describe('AssemblyScript’s runtime', () => {
  test('objects carry the header that the standard library reads', () => {
    const heap = Heap.create({ shared: false, size: MIB, pageSize: 4096 });
    const runtime = assemblyScriptImports(heap);
    const pointer = runtime.__new(20, 7);
    assert.equal(pointer % 16, 0);
    assert.equal(heap.u32[(pointer - 8) / 4], 7);
    assert.equal(heap.u32[(pointer - 4) / 4], 20);
    heap.u8.fill(3, pointer, pointer + 20);
    const longer = runtime.__renew(pointer, 600);
    assert.equal(heap.u32[(longer - 8) / 4], 7);
    assert.equal(heap.u32[(longer - 4) / 4], 600);
    assert.deepEqual([...new Set(heap.view(longer, 20))], [3]);
    assert.deepEqual([...new Set(heap.view(longer + 20, 580))], [0]);
    assert.equal(runtime.__pin(longer), longer);
    runtime.__unpin(longer);
    runtime.__link(longer, longer, 0);
    runtime.__visit(longer, 0);
    runtime.__collect();
    runtime.__delete(longer);
    runtime.__delete(0);
    const block = runtime.__realloc(runtime.__alloc(10), 100);
    runtime.__free(block);
    assert.equal(runtime.__new(2 ** 30, 1), 0);
    assert.equal(heap.meminfo().live, 0);
    assertSound(heap);
  });

  test('sizes near 2³², which a header would make small ones, are no memory', () => {
    const heap = Heap.create({ shared: false, size: MIB, pageSize: 4096 });
    const runtime = assemblyScriptImports(heap);
    const pointer = runtime.__new(20, 7);
    const before = picture(heap);
    for (const size of [-1, -4, -15, -16, -17, 2 ** 32 - 1]) {
      assert.equal(runtime.__new(size, 1), 0);
      assert.equal(runtime.__renew(pointer, size), 0);
    }
    assert.deepEqual(picture(heap), before);
    runtime.__delete(pointer);
    assert.equal(heap.meminfo().live, 0);
    assertSound(heap);
  });
});
