/** Makes the part of a kernel that one thread runs. */

import type { Context, Part, Spec } from './kernel.ts';
import { loadSubject } from './subjects/load.ts';
import type { Subject } from './subjects/subject.ts';
import { kernelOf } from './workloads/kernels.ts';

export function wordsOf(spec: Spec): Int32Array {
  const words = kernelOf(spec.kernel).words?.(spec.parameters, spec.threads) ?? 0;
  return new Int32Array(new SharedArrayBuffer(words * 4));
}

export async function createPart(
  name: string,
  spec: Spec,
  subject: Subject,
  index: number,
  words: Int32Array,
): Promise<Part> {
  const parameter = (key: string, type: 'number' | 'string'): number | string => {
    const value = spec.parameters[key];
    // biome-ignore lint/suspicious/useValidTypeof: the type is one of the two named above
    if (typeof value !== type) throw new Error(`parameter ${key} is missing`);
    return value;
  };
  const make = await loadSubject(name);
  const context: Context = {
    subject,
    index,
    threads: spec.threads,
    words,
    number: (key) => parameter(key, 'number') as number,
    text: (key) => parameter(key, 'string') as string,
    create: () => make(spec.subject),
  };
  return await kernelOf(spec.kernel).part(context);
}
