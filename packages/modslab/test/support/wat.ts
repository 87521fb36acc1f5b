// WebAssembly modules for tests, from their text form: what C compiles to, without a C compiler.
import initWabt from 'wabt';

const wabt = await initWabt();

/** The bytes of a module. */
export function assemble(text: string, name = 'test.wat'): Uint8Array<ArrayBuffer> {
  const module = wabt.parseWat(name, text, { threads: true, mutable_globals: true, bulk_memory: true });
  try {
    return new Uint8Array(module.toBinary({}).buffer);
  } finally {
    module.destroy();
  }
}

/** An allocator's imports, each exported again under its own name: so that calls really come from WebAssembly. */
const SIGNATURES: Record<string, [params: number, hasResult: boolean]> = {
  malloc: [1, true],
  free: [1, false],
  calloc: [2, true],
  realloc: [2, true],
  aligned_alloc: [2, true],
  posix_memalign: [3, true],
  malloc_usable_size: [1, true],
  cabi_realloc: [4, true],
};

export const C_IMPORTS: string = Object.entries(SIGNATURES)
  .map(([name, [params, hasResult]]) => {
    const type = `${'(param i32)'.repeat(params)}${hasResult ? '(result i32)' : ''}`;
    return `(import "env" "${name}" (func $${name} ${type}))`;
  })
  .join('\n');

export const C_WRAPPERS: string = Object.entries(SIGNATURES)
  .map(([name, [params, hasResult]]) => {
    const type = `${'(param i32)'.repeat(params)}${hasResult ? '(result i32)' : ''}`;
    const args = Array.from({ length: params }, (_, i) => `(local.get ${i})`).join(' ');
    return `(func (export "${name}") ${type} (call $${name} ${args}))`;
  })
  .join('\n');
