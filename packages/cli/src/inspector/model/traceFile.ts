/**
 * A decoded trace as bytes, from `modslab inspect FILE` to its page:
 *
 *     0 'MSTR'   1 version   2 bytes of the header, in JSON, padded to 4   │ header │ id │ size │ aux │ line │ thread │ op
 *
 * The arrays are a program's rows (replay/program.ts), `operations` of each: ids, sizes, auxiliary values and lines of 4 bytes,
 * threads of 2, operations of 1; in the machine's order of bytes, which is little-endian wherever JavaScript runs.
 */
import type { HeapOptions } from 'modslab';
import type { Program, TraceCache } from '../../replay/program.ts';

const MAGIC = 0x5254534d;
const VERSION = 1;
const HEAD_BYTES = 12;

export interface TraceHeader {
  file: string;
  title: string;
  operations: number;
  objects: number;
  threads: number;
  caches: readonly TraceCache[];
  /** What a heap that the trace runs on is created with. */
  heap: HeapOptions;
}

/** A trace in the page. */
export interface Trace extends TraceHeader {
  readonly id: Uint32Array;
  readonly size: Uint32Array;
  readonly aux: Uint32Array;
  readonly line: Uint32Array;
  readonly thread: Uint16Array;
  readonly op: Uint8Array;
}

/** The bytes of `program`. */
export function encodeTrace(program: Program, heap: HeapOptions): Uint8Array {
  const { operations, objects, threads, caches, file, rows } = program;
  const header: TraceHeader = { file, title: program.title, operations, objects, threads, caches, heap };
  const text = new TextEncoder().encode(JSON.stringify(header));
  const padded = new Uint8Array(Math.ceil(text.length / 4) * 4).fill(0x20);
  padded.set(text);
  const parts: Uint8Array[] = [
    new Uint8Array(new Uint32Array([MAGIC, VERSION, padded.length]).buffer),
    padded,
  ];
  for (const array of [rows.id, rows.size, rows.aux, rows.line, rows.thread, rows.op]) {
    const own = array.subarray(0, operations);
    parts.push(new Uint8Array(own.buffer, own.byteOffset, own.byteLength));
  }
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The trace out of its bytes. Throws `TypeError` for others. */
export function decodeTrace(bytes: Uint8Array): Trace {
  const buffer = bytes.slice().buffer;
  const [magic, version, length] = buffer.byteLength < HEAD_BYTES ? [] : new Uint32Array(buffer, 0, 3);
  if (magic !== MAGIC || version !== VERSION) throw new TypeError('not a trace of this version of modslab');
  const text = new TextDecoder().decode(new Uint8Array(buffer, HEAD_BYTES, length));
  const header = JSON.parse(text) as TraceHeader;
  const n = header.operations;
  let at = HEAD_BYTES + length;
  const take = <T>(make: (offset: number) => T, size: number): T => {
    const array = make(at);
    at += n * size;
    return array;
  };
  const words = (): Uint32Array => take((offset) => new Uint32Array(buffer, offset, n), 4);
  return {
    ...header,
    id: words(),
    size: words(),
    aux: words(),
    line: words(),
    thread: take((offset) => new Uint16Array(buffer, offset, n), 2),
    op: take((offset) => new Uint8Array(buffer, offset, n), 1),
  };
}
