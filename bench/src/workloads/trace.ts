/** trace: a real program's allocations, all of them, on one thread, again and again. `traces.ts` has the file's form. */

import { readFileSync } from 'node:fs';
import { type Kernel, outOfMemory, type Part } from '../kernel.ts';
import type { Subject } from '../subjects/subject.ts';
import { ALIGNED, HEADER_WORDS, MAGIC, REALLOCATE, RELEASE, ROW_WORDS, ZEROED } from '../traceFormat.ts';

const PAGE = 4096;
const [row, zeroed, aligned, reallocate, release] = [ROW_WORDS, ZEROED, ALIGNED, REALLOCATE, RELEASE];

/** The words of a decoded trace. */
export function loadTrace(file: string): Int32Array {
  const bytes = readFileSync(file);
  const words = new Int32Array(new SharedArrayBuffer(bytes.length & ~3));
  new Uint8Array(words.buffer).set(bytes.subarray(0, words.byteLength));
  if (words[0] !== MAGIC || words.length !== HEADER_WORDS + words[1] * ROW_WORDS)
    throw new Error(`${file}: not a decoded trace`);
  return words;
}

/**
 * A function that replays the trace on the subject; the first byte of every page of an object is written, and never a zero
 * (footprint.ts looks for what was written).
 */
export function replayer(subject: Subject, words: Int32Array): () => void {
  const addresses = new Int32Array(words[2]);
  const { u8 } = subject.views();
  const end = words.length;

  const make = (kind: number, old: number, size: number, alignment: number): number => {
    if (kind === zeroed) return subject.zalloc(size);
    if (kind === aligned) return subject.aligned(size, alignment);
    return kind === reallocate ? subject.realloc(old, size) : subject.alloc(size);
  };
  return () => {
    for (let at = HEADER_WORDS; at < end; at += row) {
      const kind = words[at];
      const object = words[at + 1];
      if (kind === release) {
        subject.free(addresses[object]);
        continue;
      }
      const size = words[at + 2];
      const address = make(kind, addresses[object], size, words[at + 3]);
      if (address === 0 && size > 0) outOfMemory();
      for (let n = 0; n < size; n += PAGE) u8[address + n] = at | 1;
      addresses[object] = address;
    }
  };
}

export const trace: Kernel = {
  part({ subject, text }): Part {
    return { run: replayer(subject, loadTrace(text('file'))) };
  },
};
