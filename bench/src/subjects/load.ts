/**
 * Finds a subject by name. Every case imports its own module, and only when asked: a process must never load, let alone
 * run, a second allocator, whose types V8 would then see in the same loops.
 */

import type { Subject, SubjectOptions } from './subject.ts';

/** Where `peers.ts` has put the modules that it compiled, for the processes that it starts. */
export const WASM_FOLDER = 'MODSLAB_BENCH_WASM';

/** Loads the allocator's module; the function makes a subject. Throws when the name is unknown or the package not there. */
export async function loadSubject(name: string): Promise<(options: SubjectOptions) => Subject> {
  switch (name) {
    case 'modslab': {
      const { ModslabSubject } = await import('./modslab.ts');
      return (options) => ModslabSubject.create(options);
    }
    case 'floor': {
      const { Floor } = await import('../floor.ts');
      return () => new Floor();
    }
    case 'thi.ng': {
      const { ThingSubject } = await import('./thing.ts');
      return (options) => new ThingSubject(options);
    }
    case 'Uint8Array': {
      const { Uint8ArraySubject } = await import('./uint8array.ts');
      return () => new Uint8ArraySubject();
    }
    case 'dlmalloc-wasm':
    case 'as-tlsf': {
      const { WasmSubject } = await import('./wasm.ts');
      return (options) => new WasmSubject(`${process.env[WASM_FOLDER] ?? '.'}/${name}.wasm`, options);
    }
    case 'noop': {
      const { ArenaSubject, NoopSubject } = await import('./noop.ts');
      return ({ touched }) => (touched ? new ArenaSubject() : new NoopSubject());
    }
    default:
      throw new Error(`unknown allocator: ${name}`);
  }
}

export async function createSubject(name: string, options: SubjectOptions): Promise<Subject> {
  return (await loadSubject(name))(options);
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
