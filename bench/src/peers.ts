/**
 * Builds the WebAssembly peers into a folder: wasi-libc's dlmalloc with clang, AssemblyScript's TLSF with its own compiler.
 * Neither tool is a dependency of the repository: who has it, sees the peer measured; who has not, a line that says so.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const BUILD_MS = 120_000;

/** The names of all of them; a file of that name and the ending `.wasm` is what `subjects/wasm.ts` loads. */
export const WASM_PEERS: readonly string[] = ['dlmalloc-wasm', 'as-tlsf'];

function run(program: string, args: readonly string[], cwd: string): string | undefined {
  const { status, stderr, error } = spawnSync(program, [...args], {
    cwd,
    encoding: 'utf8',
    timeout: BUILD_MS,
  });
  if (status === 0) return undefined;
  return error?.message ?? stderr.trim().split('\n')[0] ?? `status ${status}`;
}

/** A program that uses the functions, so that the linker takes them from the library. */
const DLMALLOC_SOURCE = `#include <stdlib.h>
void *const keep[] = {malloc, free, realloc, calloc, aligned_alloc};
`;

function buildDlmalloc(folder: string): string | undefined {
  writeFileSync(join(folder, 'dlmalloc.c'), DLMALLOC_SOURCE);
  const names = ['malloc', 'free', 'realloc', 'calloc', 'aligned_alloc'];
  const args = ['--target=wasm32-wasi', '-O2', '-mexec-model=reactor', 'dlmalloc.c', '-o', 'dlmalloc-wasm.wasm'];
  const failure = run('clang', [...args, ...names.map((name) => `-Wl,--export=${name}`)], folder);
  return failure && `dlmalloc-wasm (on Debian: apt install clang lld wasi-libc libclang-rt-dev-wasm32): ${failure}`;
}

const TLSF_SOURCE = `export function malloc(size: usize): usize { return __alloc(size); }
export function free(address: usize): void { __free(address); }
export function realloc(address: usize, size: usize): usize { return __realloc(address, size); }
`;

function findAssemblyScript(): string | undefined {
  try {
    const main = fileURLToPath(import.meta.resolve('assemblyscript/asc'));
    const compiler = join(dirname(main), '../bin/asc.js');
    return existsSync(compiler) ? compiler : undefined;
  } catch {
    return undefined;
  }
}

function buildTlsf(folder: string): string | undefined {
  const compiler = findAssemblyScript();
  if (compiler === undefined) return 'as-tlsf (npm install --no-save assemblyscript)';
  writeFileSync(join(folder, 'tlsf.ts'), TLSF_SOURCE);
  const args = ['tlsf.ts', '--runtime', 'minimal', '-O3', '--noAssert', '-o', 'as-tlsf.wasm'];
  const failure = run(process.execPath, [compiler, ...args], folder);
  return failure && `as-tlsf: ${failure}`;
}

/** Builds those that are wanted; what cannot be built is added to `missing`. Returns the names of those that were. */
export function buildWasmPeers(wanted: readonly string[], folder: string, missing: string[]): string[] {
  const build: Readonly<Record<string, (folder: string) => string | undefined>> = {
    'dlmalloc-wasm': buildDlmalloc,
    'as-tlsf': buildTlsf,
  };
  return WASM_PEERS.filter((name) => {
    if (!wanted.includes(name)) return false;
    const failure = build[name]?.(folder);
    if (failure !== undefined) missing.push(failure);
    return failure === undefined;
  });
}
