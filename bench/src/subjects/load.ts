/**
 * Finds a subject by name. Every case imports its own module, and only when asked: a process must never load, let alone
 * run, a second allocator, whose types V8 would then see in the same loops.
 */

import type { Subject } from './subject.ts';

/** Throws when the name is unknown or the allocator's package is not there. */
export async function createSubject(name: string): Promise<Subject> {
  switch (name) {
    case 'modslab':
      return (await import('./modslab.ts')).ModslabSubject.create();
    case 'floor':
      return new (await import('../floor.ts')).Floor();
    case 'thi.ng':
      return new (await import('./thing.ts')).ThingSubject();
    case 'noop':
      return new (await import('./noop.ts')).NoopSubject();
    default:
      throw new Error(`unknown allocator: ${name}`);
  }
}

/** The same allocator from a second thread, by what `share` returned on the first. */
export async function attachSubject(name: string, handle: unknown): Promise<Subject> {
  if (name === 'modslab') return (await import('./modslab.ts')).ModslabSubject.attach(handle);
  if (name === 'noop') return createSubject(name);
  throw new Error(`${name} cannot be used from two threads`);
}
