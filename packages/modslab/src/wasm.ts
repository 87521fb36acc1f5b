/**
 * A heap as the allocator of WebAssembly modules: C's `malloc` family, the Component Model's `cabi_realloc`,
 * AssemblyScript's runtime hooks, and what places a heap beside a module's static data and stack.
 *
 * @packageDocumentation
 */

export { type AssemblyScriptImports, assemblyScriptImports } from './wasm/assemblyScript.ts';
export { heapBaseOf, type WasmSource } from './wasm/heapBase.ts';
export { type WasmCall, type WasmImports, type WasmImportsOptions, wasmImports } from './wasm/imports.ts';
export { type WasmThread, wasmThread } from './wasm/thread.ts';
