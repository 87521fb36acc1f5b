/**
 * The stack depot (Linux: lib/stackdepot.c): every call stack once, whichever thread met it, as a *handle* of 19 bits that any
 * thread can read. A section of the metadata:
 *
 *     words 1 … BUCKETS      a list of records each, by hash: the offset of the newest one, or 0      [A]
 *     from there on          records, one behind the other; `H_DEPOT_TOP` is where the next one goes  [A]
 *
 *     record   word 0  the record before it in its list, or 0      [C] once it is in the list
 *              word 1  hash
 *              word 2  length << 1 | kind
 *              word 3… kind 0, a frame: UTF-8; kind 1, a stack: offsets of its frames, the innermost first
 *
 * A stack's frames are shared as well: "main (main.js:12:3)" stands there once. A record is written in words that nobody
 * else has (one Atomics.add), and put into its list by compare-and-swap; who fails looks whether another thread has put in
 * the same, and tries again. Nothing is ever changed or removed.
 *
 * | killed here                              | ⇒ reap does this                                            |
 * |------------------------------------------|-------------------------------------------------------------|
 * | record written, not yet in its list      | nothing: a few words of the depot are lost                  |
 */

import { DEPOT_WORDS, H_DEPOT_TOP, H_STACK_DEPTH, WORD_SHIFT } from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { decodeText, encodeText } from '../memory/text.ts';
import { framesOf, StackMemo } from './callStack.ts';

const BUCKETS = 8192;
const NEXT = 0;
const HASH = 1;
const LENGTH = 2;
const RECORD_HEAD = 3;
const KIND_FRAME = 0;
const KIND_STACK = 1;

/** FNV-1a. */
function hashOf(words: ArrayLike<number>): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < words.length; i++) hash = Math.imul(hash ^ words[i], 0x01000193);
  return hash | 0;
}

/** The stacks of a heap, as one thread reads and adds to them. */
export class StackDepot {
  private readonly metadata: Metadata;
  private readonly m: Int32Array;
  private readonly base: number;
  private readonly known: StackMemo<number> = new StackMemo();

  constructor(metadata: Metadata) {
    this.metadata = metadata;
    this.m = metadata.m;
    this.base = metadata.layout.depot;
  }

  /** The handle of the caller's stack; 0 if the depot is full. Cost: what the engine takes to walk a stack. */
  capture(): number {
    const depth = Math.max(1, this.m[H_STACK_DEPTH]);
    return this.known.of(depth, (text) => this.add(framesOf(text, depth)));
  }

  /** The handle of a stack; 0 if the depot is full. */
  add(frames: readonly string[]): number {
    const offsets: number[] = [];
    for (const frame of frames) {
      const offset = this.intern(KIND_FRAME, encodeText(frame));
      if (offset === 0) return 0;
      offsets.push(offset);
    }
    return this.intern(KIND_STACK, Int32Array.from(offsets));
  }

  /** The frames of a stack, the innermost first; none for a handle that is not one. */
  frames(handle: number): string[] {
    const { m, base, metadata } = this;
    if (!this.isRecord(handle, KIND_STACK)) return [];
    const record = base + handle;
    const offsets = m.subarray(record + RECORD_HEAD, record + RECORD_HEAD + (m[record + LENGTH] >>> 1));
    const texts: string[] = [];
    for (const offset of offsets) {
      const at = (base + offset + RECORD_HEAD) << WORD_SHIFT;
      const isFrame = this.isRecord(offset, KIND_FRAME);
      texts.push(isFrame ? decodeText(metadata.s, at, m[base + offset + LENGTH] >>> 1) : '?');
    }
    return texts;
  }

  /** Bytes that stacks have taken so far, of how many. */
  usage(): { used: number; size: number } {
    return {
      used: Math.min(DEPOT_WORDS, Atomics.load(this.m, H_DEPOT_TOP)) << WORD_SHIFT,
      size: (DEPOT_WORDS - BUCKETS - 1) << WORD_SHIFT,
    };
  }

  private isRecord(offset: number, kind: number): boolean {
    const { m, base } = this;
    if (offset <= BUCKETS || offset > DEPOT_WORDS - RECORD_HEAD) return false;
    const length = m[base + offset + LENGTH];
    const words = kind === KIND_FRAME ? (length >>> 1) >>> WORD_SHIFT : length >>> 1;
    return (length & 1) === kind && offset + RECORD_HEAD + words <= DEPOT_WORDS;
  }

  private intern(kind: number, data: Uint8Array | Int32Array): number {
    const { m, base } = this;
    const hash = hashOf(data) ^ kind;
    const bucket = base + 1 + (hash & (BUCKETS - 1));
    let record = 0;
    let end = 0;
    for (;;) {
      const newest = Atomics.load(m, bucket);
      const found = this.find(newest, end, kind, hash, data);
      if (found !== 0) return found;
      if (record === 0) record = this.write(kind, hash, data);
      if (record === 0) return 0;
      m[base + record + NEXT] = newest;
      if (Atomics.compareExchange(m, bucket, newest, record) === newest) return record;
      end = newest;
    }
  }

  /** The record with that data in a list, from the newest up to `end`, which has been looked at. */
  private find(newest: number, end: number, kind: number, hash: number, data: ArrayLike<number>): number {
    const { m, base } = this;
    for (let offset = newest; offset !== 0 && offset !== end; offset = m[base + offset + NEXT]) {
      const record = base + offset;
      if (m[record + HASH] !== hash || m[record + LENGTH] !== ((data.length << 1) | kind)) continue;
      const start = record + RECORD_HEAD;
      const words = kind === KIND_STACK ? m : this.metadata.s;
      const at = kind === KIND_STACK ? start : start << WORD_SHIFT;
      let i = 0;
      while (i < data.length && words[at + i] === data[i]) i++;
      if (i === data.length) return offset;
    }
    return 0;
  }

  private write(kind: number, hash: number, data: Uint8Array | Int32Array): number {
    const { m, base, metadata } = this;
    const words = RECORD_HEAD + Math.ceil(data.byteLength / 2 ** WORD_SHIFT);
    if (BUCKETS + 1 + Atomics.load(m, H_DEPOT_TOP) + words > DEPOT_WORDS) return 0;
    const offset = BUCKETS + 1 + Atomics.add(m, H_DEPOT_TOP, words);
    if (offset + words > DEPOT_WORDS) return 0;
    const record = base + offset;
    m[record + HASH] = hash;
    m[record + LENGTH] = (data.length << 1) | kind;
    if (kind === KIND_STACK) m.set(data, record + RECORD_HEAD);
    else metadata.s.set(data, (record + RECORD_HEAD) << WORD_SHIFT);
    return offset;
  }
}
