// AssemblyScript's runtime, all of it imported from assemblyScriptImports(heap) of modslab/wasm. For the compiler:
//
//   asc program.ts --runtime node_modules/modslab/wasm/assemblyscript --importMemory --sharedMemory \
//       --enable threads --initialMemory 4 --maximumMemory 1024
//
// (without the ending .ts). There is no collector: what is not given to __delete stays. docs/wasm.md has the other side.

// @ts-ignore: decorator
@global @unsafe @external("modslab", "__alloc") declare function __alloc(size: usize): usize;
// @ts-ignore: decorator
@global @unsafe @external("modslab", "__realloc") declare function __realloc(ptr: usize, size: usize): usize;
// @ts-ignore: decorator
@global @unsafe @external("modslab", "__free") declare function __free(ptr: usize): void;
// @ts-ignore: decorator
@global @unsafe @external("modslab", "__new") declare function __new(size: usize, id: u32): usize;
// @ts-ignore: decorator
@global @unsafe @external("modslab", "__renew") declare function __renew(ptr: usize, size: usize): usize;
// @ts-ignore: decorator
@global @unsafe @external("modslab", "__delete") declare function __delete(ptr: usize): void;
// @ts-ignore: decorator
@global @unsafe @external("modslab", "__link") declare function __link(parent: usize, child: usize, expectMultiple: bool): void;
// @ts-ignore: decorator
@global @unsafe @external("modslab", "__collect") declare function __collect(): void;
// @ts-ignore: decorator
@global @unsafe @external("modslab", "__visit") declare function __visit(ptr: usize, cookie: u32): void;
// @ts-ignore: decorator
@global @unsafe @external("modslab", "__pin") declare function __pin(ptr: usize): usize;
// @ts-ignore: decorator
@global @unsafe @external("modslab", "__unpin") declare function __unpin(ptr: usize): void;
