/**
 * What the memory of a trace is made of, for `npm run bench:report`: at the moment when the program has most bytes live, page frames
 * and metadata in use as multiples of those bytes.
 *
 *     live       what the program asked for: 1, by definition
 *     rounding   objects are as large as their size class, large ones as their page frames
 *     free       objects in sheaves and in slabs that are not handed out
 *     metadata   of what is in use
 */

import { Heap } from 'modslab';
import type { MemoryParts } from './results.ts';
import { ModslabSubject } from './subjects/modslab.ts';
import { HEADER_WORDS, RELEASE, ROW_WORDS } from './traceFormat.ts';
import { loadTrace, replayer } from './workloads/trace.ts';

const HEAP_MIB = 1024;
const MIB = 2 ** 20;

/** Where in the words of a trace the most bytes are live: behind that row; and how many. */
function peakOf(words: Int32Array): { end: number; live: number } {
  const sizes = new Int32Array(words[2]);
  const peak = { end: HEADER_WORDS, live: 0 };
  let live = 0;
  for (let at = HEADER_WORDS; at < words.length; at += ROW_WORDS) {
    const object = words[at + 1];
    const size = words[at] === RELEASE ? 0 : words[at + 2];
    live += size - sizes[object];
    sizes[object] = size;
    if (live > peak.live) Object.assign(peak, { end: at + ROW_WORDS, live });
  }
  return peak;
}

/** `file`: a decoded trace. */
export function memoryParts(trace: string, file: string): MemoryParts {
  const words = loadTrace(file);
  const { end, live } = peakOf(words);
  const heap = Heap.create({ size: HEAP_MIB * MIB, maxSize: HEAP_MIB * MIB });
  replayer(new ModslabSubject(heap), words.subarray(0, end))();
  const info = heap.meminfo();
  return {
    trace,
    live,
    rounding: (info.live - live) / live,
    free: (info.footprint - info.live) / live,
    metadata: info.metadata / live,
  };
}
