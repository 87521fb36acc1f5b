/**
 * From a file name to a program: opens, unzips, cuts into lines, recognises the format, feeds its reader.
 *
 *     file ── gunzip, if it begins 1f 8b ── Splitter ── reader (mtrace1 | ftrace) ── Program
 *
 * Streaming: what is in memory at any time is one chunk and the program so far, never the text. Chunks are consumed
 * in 'data' events, synchronously, so that everything before a fault in the compressed data has been read when the
 * fault is reported, and the message names the line that the text had come to. A chunk's lines are handed to the
 * reader in place; only the piece of a line that a chunk ends with is copied, to stand before the next chunk.
 *
 * Formats are told by content, never by name: by the first line, and gzip by its magic number.
 */
import { createReadStream, type ReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import type { Program } from '../replay/program.ts';
import { TraceError } from './errors.ts';
import { FtraceReader, isFtrace } from './ftrace.ts';
import { MAGIC, Mtrace1Reader } from './mtrace1.ts';
import { MAX_LINE, type TraceReader } from './reader.ts';

const NEWLINE = 10;
/** Bytes read, and unzipped, at a time: large enough that the work per chunk does not count. */
const CHUNK: number = 1 << 20;

/** What `progress` is told: bytes of the file read so far, and its size (0 when that is not known: a pipe). */
export type ReadProgress = (done: number, total: number) => void;

/** Cuts chunks into runs of complete lines, and chooses their reader by the first. */
export class Splitter {
  reader: TraceReader | undefined;
  readonly #file: string;
  #carry: Buffer | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  /** The line that is being read, for messages. */
  get line(): number {
    return (this.reader?.line ?? 0) + 1;
  }

  push(chunk: Buffer): void {
    const bytes = this.#carry === undefined ? chunk : Buffer.concat([this.#carry, chunk]);
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    if (end > 0) {
      this.reader ??= recognise(this.#file, bytes);
      this.reader.push(bytes, 0, end);
    }
    this.#carry = end < bytes.length ? Buffer.from(bytes.subarray(end)) : undefined;
    if (this.#carry !== undefined && this.#carry.length > MAX_LINE) this.#overlong(this.#carry);
  }

  finish(): Program {
    if (this.#carry !== undefined) {
      this.reader ??= recognise(this.#file, this.#carry);
      throw new TraceError(this.#file, this.line, 'the last line has no end; the file is cut short');
    }
    if (this.reader === undefined) throw new TraceError(this.#file, 1, 'the file is empty');
    return this.reader.finish();
  }

  #overlong(bytes: Buffer): never {
    this.reader ??= recognise(this.#file, bytes);
    throw new TraceError(this.#file, this.line, `line longer than ${MAX_LINE} bytes`);
  }
}

/** The reader for a trace that begins with `bytes`. */
function recognise(file: string, bytes: Buffer): TraceReader {
  const newline = bytes.indexOf(NEWLINE);
  const first = bytes.toString('latin1', 0, Math.min(newline < 0 ? bytes.length : newline + 1, MAX_LINE));
  if (first === MAGIC) return new Mtrace1Reader(file);
  if (isFtrace(first)) return new FtraceReader(file);
  if (first.startsWith('# mtrace'))
    throw new TraceError(file, 1, 'not this version of mtrace: the first line must be "# mtrace1"');
  throw new TraceError(
    file,
    1,
    'not a trace: the first line is neither "# mtrace1" nor that of a kernel ftrace text',
  );
}

/** Why a file cannot be read, in words. */
function unreadable(error: NodeJS.ErrnoException): string {
  const words: Record<string, string> = {
    ENOENT: 'no such file',
    EACCES: 'permission denied',
    EISDIR: 'is a directory',
    ENOTDIR: 'no such file (a folder in its path is a file)',
    ELOOP: 'too many symbolic links',
    ENAMETOOLONG: 'file name too long',
    ERR_INVALID_ARG_VALUE: 'not a file name',
  };
  const reason = words[error.code ?? ''];
  return reason ?? `cannot be read (${error.code ?? error.message})`;
}

/** What gunzip complained of, in words. */
function gunzipFault(error: NodeJS.ErrnoException): string {
  return error.code === 'Z_BUF_ERROR'
    ? 'the gzip data is cut short'
    : `the gzip data is damaged (${error.message})`;
}

/** Opens `file`, or says in a TraceError why it cannot be read. */
async function open(file: string): Promise<{ stream: ReadStream; size: number }> {
  try {
    const info = await stat(file);
    if (info.isDirectory()) throw new TraceError(file, undefined, 'is a directory');
    return { stream: createReadStream(file, { highWaterMark: CHUNK }), size: info.isFile() ? info.size : 0 };
  } catch (error) {
    if (error instanceof TraceError) throw error;
    throw new TraceError(file, undefined, unreadable(error as NodeJS.ErrnoException));
  }
}

/** Reads the trace `file` whole. Throws `TraceError`. */
export async function readTrace(file: string, progress: ReadProgress = () => {}): Promise<Program> {
  const { stream, size } = await open(file);
  const splitter = new Splitter(file);
  const gunzip = createGunzip({ chunkSize: CHUNK });
  let zipped: boolean | undefined;
  let head: Buffer | undefined;

  return await new Promise<Program>((resolve, reject) => {
    const fail = (error: unknown): void => {
      stream.destroy();
      gunzip.destroy();
      reject(error);
    };
    const attempt = (step: () => void): void => {
      try {
        step();
      } catch (error) {
        fail(error);
      }
    };
    const take = (raw: Buffer): void => {
      const chunk = head === undefined ? raw : Buffer.concat([head, raw]);
      // Two bytes tell gzip from text; a pipe may deliver one.
      if (zipped === undefined && chunk.length < 2) {
        head = chunk;
        return;
      }
      head = undefined;
      zipped ??= chunk[0] === 0x1f && chunk[1] === 0x8b;
      if (!zipped) splitter.push(chunk);
      else if (!gunzip.write(chunk)) {
        stream.pause();
        gunzip.once('drain', () => stream.resume());
      }
    };
    stream.on('error', (error) => fail(new TraceError(file, undefined, unreadable(error))));
    stream.on('data', (chunk) =>
      attempt(() => {
        take(chunk as Buffer);
        progress(stream.bytesRead, size);
      }),
    );
    stream.on('end', () =>
      attempt(() => {
        if (zipped) gunzip.end();
        else {
          if (head !== undefined) splitter.push(head);
          resolve(splitter.finish());
        }
      }),
    );
    gunzip.on('error', (error) => fail(new TraceError(file, splitter.line, gunzipFault(error))));
    gunzip.on('data', (chunk: Buffer) => attempt(() => splitter.push(chunk)));
    gunzip.on('end', () => attempt(() => resolve(splitter.finish())));
  });
}
