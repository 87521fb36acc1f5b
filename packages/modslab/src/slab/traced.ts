/**
 * Trace: each allocation and each free of a cache is written to this thread's output, in the kernel's form:
 *
 *     TRACE kmalloc-64 alloc 0x10040 inuse=3 cpu=0
 *
 * The output is the platform's console, unless `setTraceOutput` (`modslab/debug`) names another one.
 */

import { hex } from '../memory/errors.ts';
import { C_OBJECTS, cacheAt, pageAt } from '../memory/layout.ts';
import { COUNT_MASK, PAGE_CLAIM } from '../page/page.ts';
import type { DebugObject } from './debugObject.ts';
import type { DebugContext, DebugPart } from './debugPart.ts';
import { SLAB } from './flags.ts';

interface Host {
  readonly console?: { log(text: string): void };
}

let output: ((line: string) => void) | undefined;

/** Where the traces of this thread go; undefined: to the console. */
export function setTraceOutput(write: ((line: string) => void) | undefined): void {
  output = write;
}

function write({ metadata, table, cpu }: DebugContext, object: DebugObject, what: string): void {
  const { m, layout } = metadata;
  const objects = m[cacheAt(layout, object.cache) + C_OBJECTS];
  const inuse = objects - Math.min(objects, m[pageAt(layout, object.head) + PAGE_CLAIM] & COUNT_MASK);
  const line = `TRACE ${table.name(object.cache)} ${what} ${hex(object.address)} inuse=${inuse} cpu=${cpu.id}`;
  try {
    if (output === undefined) (globalThis as Host).console?.log(line);
    else output(line);
  } catch (error) {
    // The host's unhandled rejection, as of listeners (kmalloc/tracing.ts): thrown here, the object would be lost.
    Promise.reject(error);
  }
}

export const trace: DebugPart = {
  name: 'trace',
  flag: SLAB.TRACE,
  activate(context, object) {
    write(context, object, 'alloc');
  },
  freed(context, object) {
    write(context, object, 'free');
  },
};
