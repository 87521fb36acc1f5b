/**
 * Reader of `mtrace1`: what a user program asked of malloc, one call a line, in one global order.
 *
 *     # mtrace1                     first line; then `# key: value`, none after the first event
 *     a ID SIZE THREAD              malloc            c ID SIZE THREAD          calloc
 *     m ID SIZE ALIGN THREAD        aligned           r ID NEWSIZE THREAD       realloc of a live object
 *     f ID THREAD                   free
 *
 * (packages/cli/traces/README.md has the whole format.) The reader is handed runs of complete lines and walks over the
 * bytes once; no line becomes a string unless it is wrong. What makes a trace *a* trace is checked on the way: fields
 * and spacing exact, ids 0, 1, 2, … in order of allocation, realloc and free of live objects only. At the end each
 * count that the header declares is compared with what the events gave: a trace that contradicts its own header was
 * cut or edited, and figures from it would be worthless.
 */
import { MAX_OPERATIONS, type Program, ProgramBuilder } from '../replay/program.ts';
import { excerpt, printable, TraceError } from './errors.ts';
import { MAX_LINE, type TraceReader } from './reader.ts';

const NEWLINE = 10;
const SPACE = 32;
const HASH = 35;
const [A, C, F, M, R] = Buffer.from('acfmr');

/** Sizes and ids are kept in 32 bits, as addresses are. */
const MAX_NUMBER = 2 ** 32 - 1;
/** Threads are kept in 16 bits. */
const MAX_THREAD = 65_535;
/** The largest alignment that kmallocAligned takes. */
const MAX_ALIGN: number = 2 ** 27;
/** The first line, which is also how a file is recognised. */
export const MAGIC = '# mtrace1\n';

const LETTERS = 'acmrf';

interface HeaderEntry {
  value: string;
  line: number;
}

export class Mtrace1Reader implements TraceReader {
  line = 0;
  readonly #file: string;
  readonly #builder: ProgramBuilder = new ProgramBuilder();
  readonly #header: Map<string, HeaderEntry> = new Map();
  readonly #threadIndex: Int32Array = new Int32Array(MAX_THREAD + 1).fill(-1);
  readonly #letterCount: number[] = [0, 0, 0, 0, 0];
  #threads = 0;
  #events = 0;
  /** Where the number read last ended. */
  #at = 0;

  constructor(file: string) {
    this.#file = file;
  }

  /** Reads the complete lines in `bytes` from `from` up to `end`, which stands behind a newline. */
  push(bytes: Buffer, from: number, end: number): void {
    let at = from;
    while (at < end) {
      this.line++;
      at = bytes[at] === HASH ? this.#headerLine(bytes, at) : this.#event(bytes, at);
    }
  }

  /** Compares the header with the events and hands out the program. */
  finish(): Program {
    this.#checkHeader();
    const text = (key: string): string => this.#header.get(key)?.value ?? '';
    const [program, command] = [text('program'), text('command')];
    const title = command === '' ? program : `${program} (${command})`;
    const about = { file: this.#file, format: 'mtrace1' as const, title: printable(title, 160), caches: [] };
    return this.#builder.finish({ ...about, events: this.#events, threads: this.#threads });
  }

  #fail(what: string, line = this.line): never {
    throw new TraceError(this.#file, line, what);
  }

  #headerLine(bytes: Buffer, start: number): number {
    const end = bytes.indexOf(NEWLINE, start);
    if (end - start > MAX_LINE) this.#fail(`line longer than ${MAX_LINE} bytes`);
    if (this.#events > 0) this.#fail('header line after the first event');
    if (this.line === 1) return end + 1; // the magic, which whoever chose this reader has compared
    const text = bytes.toString('utf8', start, end);
    const colon = text.indexOf(':');
    if (!text.startsWith('# ') || colon < 3) this.#fail(`malformed header line ${excerpt(bytes, start)}`);
    const key = text.slice(2, colon);
    if (key === 'note') return end + 1;
    if (this.#header.has(key)) this.#fail(`header key "${printable(key, 40)}" for the second time`);
    this.#header.set(key, { value: text.slice(colon + 1).trim(), line: this.line });
    return end + 1;
  }

  /** One event line at `start`; returns where the next line begins. */
  #event(bytes: Buffer, start: number): number {
    const letter = bytes[start];
    if (this.line === 1) this.#fail(`the first line is not "${MAGIC.trim()}"`);
    if (bytes[start + 1] !== SPACE) this.#malformed(bytes, start);
    const id = this.#number(bytes, start + 2, start);
    if (this.#events >= MAX_OPERATIONS) this.#fail(`more than ${MAX_OPERATIONS} events`);
    this.#events++;
    if (letter === F) {
      const thread = this.#lastNumber(bytes, start);
      this.#checkLive(id, 'free');
      this.#builder.free(id, true, thread, this.line);
      this.#letterCount[4]++;
      return this.#at + 1;
    }
    const size = this.#nextNumber(bytes, start);
    if (letter === R) {
      const thread = this.#lastNumber(bytes, start);
      this.#checkLive(id, 'realloc');
      this.#builder.realloc(id, size, thread, this.line);
      this.#letterCount[3]++;
    } else if (letter === A || letter === C) {
      const thread = this.#lastNumber(bytes, start);
      this.#checkNext(id);
      this.#builder.kmalloc(size, letter === C, thread, this.line);
      this.#letterCount[letter === A ? 0 : 1]++;
    } else if (letter === M) {
      const align = this.#nextNumber(bytes, start);
      const thread = this.#lastNumber(bytes, start);
      this.#checkNext(id);
      this.#checkAlign(align);
      this.#builder.aligned(size, align, thread, this.line);
      this.#letterCount[2]++;
    } else this.#malformed(bytes, start);
    return this.#at + 1;
  }

  /** The decimal number at `at`; `start` is its line, for the message. */
  #number(bytes: Buffer, at: number, start: number): number {
    let digit = bytes[at] - 48;
    if (digit >>> 0 > 9) this.#malformed(bytes, start);
    let value = 0;
    let p = at;
    do {
      value = value * 10 + digit;
      if (value > MAX_NUMBER)
        this.#fail(`number too large in ${excerpt(bytes, start)} (at most ${MAX_NUMBER})`);
      digit = bytes[++p] - 48;
    } while (digit >>> 0 <= 9);
    this.#at = p;
    return value;
  }

  /** One space and a number. */
  #nextNumber(bytes: Buffer, start: number): number {
    if (bytes[this.#at] !== SPACE) this.#malformed(bytes, start);
    return this.#number(bytes, this.#at + 1, start);
  }

  /** One space, the thread, and the end of the line; returns the thread's dense index. */
  #lastNumber(bytes: Buffer, start: number): number {
    const thread = this.#nextNumber(bytes, start);
    if (bytes[this.#at] !== NEWLINE) this.#malformed(bytes, start);
    if (thread > MAX_THREAD) this.#fail(`number too large: thread ${thread} (at most ${MAX_THREAD})`);
    let index = this.#threadIndex[thread];
    if (index < 0) {
      index = this.#threads++;
      this.#threadIndex[thread] = index;
    }
    return index;
  }

  #malformed(bytes: Buffer, start: number): never {
    this.#fail(`malformed event line ${excerpt(bytes, start)}`);
  }

  #checkLive(id: number, what: 'free' | 'realloc'): void {
    if (this.#builder.isLive(id)) return;
    if (!this.#builder.isKnown(id)) this.#fail(`${what} of unknown id ${id}`);
    this.#fail(what === 'free' ? `double free of id ${id}` : `realloc of freed id ${id}`);
  }

  #checkNext(id: number): void {
    const expected = this.#builder.objects;
    if (id !== expected) this.#fail(`id ${id} out of order: the next new object must be ${expected}`);
  }

  #checkAlign(align: number): void {
    if (align === 0 || (align & (align - 1)) !== 0) this.#fail(`alignment ${align} is not a power of two`);
    if (align > MAX_ALIGN) this.#fail(`number too large: alignment ${align} (at most ${MAX_ALIGN})`);
  }

  /** Every count that the header declares must be what the events add up to. */
  #checkHeader(): void {
    const b = this.#builder;
    const letters = this.#letterCount;
    const actual: [string, string | number][] = [
      ['events', this.#events],
      ['objects', b.objects],
      ['ops', letters.map((count, i) => `${LETTERS[i]}=${count}`).join(' ')],
      ['threads', this.#threads],
      ['peak-live-bytes', b.peakLive],
      ['peak-live-objects', b.peakObjects],
      ['end-live-bytes', b.live],
      ['end-live-objects', b.liveObjects],
      ['largest-request', b.largest],
    ];
    for (const [key, value] of actual) {
      const declared = this.#header.get(key);
      if (declared === undefined || declared.value === String(value)) continue;
      this.#fail(
        `the header says ${key}: ${printable(declared.value, 60)}, the events give ${value}`,
        declared.line,
      );
    }
  }
}
