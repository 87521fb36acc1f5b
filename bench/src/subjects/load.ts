/**
 * Finds a subject by name. Every case imports its own module, and only when asked: a process must never load, let alone
 * run, a second allocator, whose types V8 would then see in the same loops.
 */

import type { Subject, SubjectOptions } from './subject.ts';

/** Where `peers.ts` has put the modules that it compiled, for the processes that it starts. */
export const WASM_FOLDER = 'MODSLAB_BENCH_WASM';

/** Throws when the name is unknown or the allocator's package is not there. */
export async function createSubject(name: string, options: SubjectOptions): Promise<Subject> {
  switch (name) {
    case 'modslab':
      return (await import('./modslab.ts')).ModslabSubject.create(options);
    case 'floor':
      return new (await import('../floor.ts')).Floor();
    case 'thi.ng':
      return new (await import('./thing.ts')).ThingSubject(options);
    case 'Uint8Array':
      return new (await import('./uint8array.ts')).Uint8ArraySubject();
    case 'dlmalloc-wasm':
    case 'as-tlsf':
      return new (await import('./wasm.ts')).WasmSubject(
        `${process.env[WASM_FOLDER] ?? '.'}/${name}.wasm`,
        options,
      );
    case 'noop': {
      const { ArenaSubject, NoopSubject } = await import('./noop.ts');
      return options.touched ? new ArenaSubject() : new NoopSubject();
    }
    default:
      throw new Error(`unknown allocator: ${name}`);
  }
}

/** The same allocator from a second thread, by what `share` returned on the first. */
export async function attachSubject(
  name: string,
  handle: unknown,
  options: SubjectOptions,
): Promise<Subject> {
  if (name === 'modslab') return (await import('./modslab.ts')).ModslabSubject.attach(handle);
  if (name === 'noop') return createSubject(name, options);
  throw new Error(`${name} cannot be used from two threads`);
}
