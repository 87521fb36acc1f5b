/**
 * Reader of the kernel's own text: /sys/kernel/tracing/trace with the events of the group `kmem`.
 *
 *     TASK-PID  [CPU] FLAGS  TIMESTAMP: EVENT: KEY=VALUE KEY=VALUE …
 *
 * A task's name may hold anything (`-`, `[`, `:`, `<idle>`), so a line is recognised by the first `-PID [CPU]` that is
 * followed by flags, a time and an event name. Values may hold spaces (`call_site=loop_add+0x26/0x320 [loop]`), so
 * a field is found by its name, each behind the one before it. The bytes of a line are walked over once.
 *
 * What becomes what:
 *
 *     kmalloc                → kmalloc, kzalloc with __GFP_ZERO     kfree            → kfree, whatever it frees
 *     kmem_cache_alloc       → alloc of the cache `name`            kmem_cache_free  → free to that cache
 *     mm_page_alloc order=N  → allocPages(N)                        mm_page_free     → freePages
 *     CPU                    → thread
 *
 * Objects are known by address, pages by page frame number. A recording is a window on a running kernel, and this
 * reader replays what it shows and counts what it does not; it makes nothing up:
 *
 *     nullFrees          kfree(NULL)                                                                   skipped
 *     unmatchedFrees     free of an object whose allocation the recording does not show                skipped
 *     unmatchedPages     the same for pages                                                            skipped
 *     otherOrderFrees    pages freed under another order than they were allocated with (split)         skipped
 *     failedAllocations  the kernel got NULL                                                           skipped
 *     hiddenAddresses    the kernel printed `(____ptrval____)`: no telling which object                skipped
 *     otherEvents        events that are not allocations or frees                                      skipped
 *     lostEvents         events that the kernel says its buffer lost                                   not in the file
 *     impliedFrees       an address is handed out that was live: its free has no event                 replayed, by the
 *     impliedPageFrees   the same for pages                                                            allocating CPU
 *     otherCacheFrees    freed to another cache than it was allocated from: the object was freed unseen, and so was
 *                        the allocation of the one freed here                  one implied free, one unmatched free
 *
 * Kernels before 6.4 or so print no `name=` when they allocate from a cache. There the paired kmem_cache_free tells the name,
 * and an object that is never freed, or is freed with kfree, belongs to a cache named after its size (`size-256`).
 */
import { MAX_OPERATIONS, type Program, ProgramBuilder, type TraceCache } from '../replay/program.ts';
import { AddressTable } from './addresses.ts';
import { excerpt, printable, TraceError } from './errors.ts';
import { NameTable } from './names.ts';
import { MAX_LINE, type TraceReader } from './reader.ts';

const NEWLINE = 10;
const SPACE = 32;
const HASH = 35;
const OPEN_PAREN = 40;
const MINUS = 45;
const DOT = 46;
const COLON = 58;
const OPEN = 91;
const CLOSE = 93;
const LETTER_X = 120;

const MAX_NUMBER = 2 ** 32 - 1;
/** 4096 << 19 is the last that 32 bits hold; kernels stop at 10. */
const MAX_ORDER = 19;
/** CPUs that a trace may have; kernels are built for at most 8192. */
const MAX_CPU = 65_535;
/** Caches that a trace may have: what a heap has room for. A running kernel has some hundreds. */
const MAX_CACHES = 3900;
/** Characters of a cache's name that are kept; a heap takes 128 bytes. */
const MAX_NAME = 50;

const text = (s: string): Uint8Array => new Uint8Array(Buffer.from(s, 'latin1'));

const PTR = text(' ptr=');
const NAME = text(' name=');
const BYTES_REQ = text(' bytes_req=');
const BYTES_ALLOC = text(' bytes_alloc=');
const GFP_FLAGS = text(' gfp_flags=');
const ZERO = text('__GFP_ZERO');
const PAGE = text(' page=');
const PFN = text(' pfn=');
const ORDER = text(' order=');

const KMALLOC = text('kmalloc');
const KMALLOC_NODE = text('kmalloc_node');
const KFREE = text('kfree');
const CACHE_ALLOC = text('kmem_cache_alloc');
const CACHE_ALLOC_NODE = text('kmem_cache_alloc_node');
const CACHE_FREE = text('kmem_cache_free');
const PAGE_ALLOC = text('mm_page_alloc');
const PAGE_FREE = text('mm_page_free');

/** Lines that are not events: frames of a stack trace, and the kernel's word on a full buffer. */
const STACK_FRAME = text(' => ');
const LOST = text('CPU:');

/** What `#address` found. */
const ADDRESS = 0;
const NULL = 1;
const HIDDEN = 2;

/** Whether a file whose first line is `first` is kernel ftrace text. */
export function isFtrace(first: string): boolean {
  if (first.startsWith('# tracer:') || /^CPU:\d+ \[LOST /.test(first)) return true;
  return /^ *\S.{0,40}-\d+ +(\([ \d-]+\) +)?\[\d+\] ([^ :]+ +)? *\d+(\.\d+)?: \w+:/.test(first);
}

/** Whether `word` stands in `bytes` at `at`. */
function standsAt(bytes: Uint8Array, at: number, word: Uint8Array): boolean {
  for (let i = 0; i < word.length; i++) if (bytes[at + i] !== word[i]) return false;
  return true;
}

/** The events that are read; their names differ in length but for one pair, so one comparison tells which it is. */
const KINDS = [
  KMALLOC,
  KFREE,
  CACHE_ALLOC,
  CACHE_FREE,
  PAGE_ALLOC,
  PAGE_FREE,
  KMALLOC_NODE,
  CACHE_ALLOC_NODE,
];

/** Which of `KINDS` stands in `bytes` from `from` up to `end`, if one does. */
function kindOf(bytes: Uint8Array, from: number, end: number): Uint8Array | undefined {
  for (const kind of KINDS) if (kind.length === end - from && standsAt(bytes, from, kind)) return kind;
  return undefined;
}

const isDigit = (byte: number): boolean => byte >= 48 && byte <= 57;

export class FtraceReader implements TraceReader {
  line = 0;
  readonly #file: string;
  readonly #builder: ProgramBuilder = new ProgramBuilder();
  readonly #slab: AddressTable = new AddressTable();
  readonly #page: AddressTable = new AddressTable();
  readonly #names: NameTable = new NameTable();
  /** Caches by number: the number of its name, and its objects' size; and the number by the two. */
  readonly #cacheName: number[] = [];
  readonly #cacheSize: number[] = [];
  readonly #cacheNumber: Map<number, number> = new Map();
  readonly #cpuIndex: Int32Array = new Int32Array(MAX_CPU + 1).fill(-1);
  #cpus = 0;
  /** Event lines read; of them, of the group kmem. */
  #events = 0;
  #memoryEvents = 0;
  #declared: { inBuffer: number; written: number; line: number } | undefined;
  #lostLines = 0;
  readonly #skipped: Record<string, number> = {
    nullFrees: 0,
    unmatchedFrees: 0,
    unmatchedPages: 0,
    otherOrderFrees: 0,
    failedAllocations: 0,
    hiddenAddresses: 0,
    otherEvents: 0,
    lostEvents: 0,
  };
  readonly #implied: Record<string, number> = { impliedFrees: 0, impliedPageFrees: 0, otherCacheFrees: 0 };

  // The line in hand.
  #bytes: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;
  /** Where in its line the CPU's `[` stood last. */
  #column = 0;
  #cpu = 0;
  /** Where the field read last ended. */
  #at = 0;
  #hi = 0;
  #lo = 0;

  constructor(file: string) {
    this.#file = file;
  }

  /** Reads the complete lines in `bytes` from `from` up to `end`, which stands behind a newline. */
  push(bytes: Buffer, from: number, end: number): void {
    this.#bytes = bytes;
    let start = from;
    while (start < end) {
      const newline = bytes.indexOf(NEWLINE, start);
      this.line++;
      if (newline - start > MAX_LINE) this.#fail(`line longer than ${MAX_LINE} bytes`);
      this.#start = start;
      this.#end = newline;
      this.#oneLine();
      start = newline + 1;
    }
  }

  /** Compares the header's count with the events and hands out the program. */
  finish(): Program {
    const declared = this.#declared;
    if (declared !== undefined && declared.inBuffer !== this.#events) {
      const what = `the header says ${declared.inBuffer} entries, the file has ${this.#events} events`;
      throw new TraceError(this.#file, declared.line, what);
    }
    if (this.#memoryEvents === 0)
      this.#fail('no events of the group kmem in this trace; record with events/kmem/* enabled');
    const overwritten = declared === undefined ? 0 : Math.max(0, declared.written - declared.inBuffer);
    this.#skipped.lostEvents = Math.max(this.#lostLines, overwritten);
    const about = {
      file: this.#file,
      format: 'ftrace' as const,
      title: 'Linux kernel memory events (ftrace)',
    };
    const counts = { events: this.#events, threads: this.#cpus, caches: this.#traceCaches() };
    const program = this.#builder.finish({ ...about, ...counts });
    return { ...program, skipped: this.#skipped, implied: this.#implied };
  }

  #traceCaches(): TraceCache[] {
    return this.#cacheName.map((name, cache) => {
      const size = this.#cacheSize[cache];
      return { name: name === 0 ? `size-${size}` : printable(this.#names.text(name), MAX_NAME), size };
    });
  }

  #fail(what: string): never {
    throw new TraceError(this.#file, this.line, what);
  }

  #malformed(what: string): never {
    this.#fail(`${what} in ${excerpt(this.#bytes, this.#start)}`);
  }

  #oneLine(): void {
    const bytes = this.#bytes;
    const start = this.#start;
    if (start === this.#end || standsAt(bytes, start, STACK_FRAME)) return;
    if (bytes[start] === HASH) this.#comment();
    else if (standsAt(bytes, start, LOST)) this.#lost();
    else this.#eventLine();
  }

  #eventLine(): void {
    const event = this.#prefix();
    if (event < 0) this.#malformed('malformed line: no "-PID [CPU] … TIME: EVENT:"');
    if (this.#builder.operations >= MAX_OPERATIONS) this.#fail(`more than ${MAX_OPERATIONS} events`);
    this.#events++;
    this.#dispatch(event);
  }

  /** `# entries-in-buffer/entries-written: 317137/317137   #P:2` is worth reading; other comments are not. */
  #comment(): void {
    const line = this.#bytes.toString('latin1', this.#start, Math.min(this.#end, this.#start + 200));
    const counts = /^# entries-in-buffer\/entries-written: *(\d+)\/(\d+)/.exec(line);
    if (counts === null) return;
    this.#declared = { inBuffer: Number(counts[1]), written: Number(counts[2]), line: this.line };
  }

  /** `CPU:1 [LOST 1234 EVENTS]`, or without a number. */
  #lost(): void {
    const line = this.#bytes.toString('latin1', this.#start, Math.min(this.#end, this.#start + 200));
    const count = /^CPU:\d+ \[LOST (?:(\d+) )?EVENTS\]/.exec(line);
    if (count === null) this.#malformed('malformed line');
    this.#lostLines += Number(count[1] ?? 1);
  }

  /** Reads up to the event's name and sets the CPU. Returns where the name begins, or −1. */
  #prefix(): number {
    // The columns are the same in almost all lines; only a `[` in a task's name could stand before this one, and a
    // name ends before the column at which the CPU begins.
    const usual = this.#prefixAt(this.#start + this.#column);
    if (usual >= 0) return usual;
    for (let p = this.#start; p < this.#end; p++) {
      const event = this.#prefixAt(p);
      if (event < 0) continue;
      this.#column = p - this.#start;
      return event;
    }
    return -1;
  }

  /** As `#prefix`, if the CPU's `[` stands at `p`. */
  #prefixAt(p: number): number {
    const bytes = this.#bytes;
    if (bytes[p] !== OPEN || !isDigit(bytes[p + 1]) || p >= this.#end) return -1;
    let q = p + 1;
    let cpu = 0;
    while (isDigit(bytes[q])) cpu = Math.min(cpu * 10 + bytes[q++] - 48, MAX_NUMBER);
    if (bytes[q] !== CLOSE || bytes[q + 1] !== SPACE || !this.#pidBefore(p)) return -1;
    const event = this.#afterCpu(q + 1);
    if (event >= 0) this.#cpu = this.#denseCpu(cpu);
    return event;
  }

  /** Whether `-PID` and perhaps `(TGID)` stand before the `[` at `p`. */
  #pidBefore(p: number): boolean {
    const bytes = this.#bytes;
    let q = p - 1;
    while (q > this.#start && bytes[q] === SPACE) q--;
    if (bytes[q] === 41) {
      while (q > this.#start && bytes[q] !== OPEN_PAREN) q--;
      q--;
      while (q > this.#start && bytes[q] === SPACE) q--;
    }
    const last = q;
    while (q > this.#start && isDigit(bytes[q])) q--;
    return q < last && bytes[q] === MINUS;
  }

  /** Behind the CPU: ` FLAGS  TIME: EVENT:`, flags optional. Returns where EVENT begins, or −1. */
  #afterCpu(from: number): number {
    const bytes = this.#bytes;
    let p = this.#skipSpaces(from);
    if (!this.#isTime(p)) {
      while (p < this.#end && bytes[p] !== SPACE) p++;
      p = this.#skipSpaces(p);
      if (!this.#isTime(p)) return -1;
    }
    return this.#skipSpaces(this.#at);
  }

  /** Whether a time, `1377.922974:` or `1377922974:` by the clock chosen, stands at `p`; `#at` is then behind it. */
  #isTime(p: number): boolean {
    const bytes = this.#bytes;
    let q = p;
    while (isDigit(bytes[q])) q++;
    if (q === p) return false;
    if (bytes[q] === DOT) {
      const dot = q++;
      while (isDigit(bytes[q])) q++;
      if (q === dot + 1) return false;
    }
    if (bytes[q] !== COLON) return false;
    this.#at = q + 1;
    return true;
  }

  #skipSpaces(from: number): number {
    let p = from;
    while (p < this.#end && this.#bytes[p] === SPACE) p++;
    return p;
  }

  #denseCpu(cpu: number): number {
    if (cpu > MAX_CPU) this.#malformed(`number too large (CPU at most ${MAX_CPU})`);
    let index = this.#cpuIndex[cpu];
    if (index < 0) {
      index = this.#cpus++;
      this.#cpuIndex[cpu] = index;
    }
    return index;
  }

  #dispatch(event: number): void {
    const bytes = this.#bytes;
    let end = event;
    while (end < this.#end && bytes[end] !== COLON) end++;
    this.#at = end;
    this.#memoryEvents++;
    switch (kindOf(bytes, event, end)) {
      case CACHE_ALLOC:
      case CACHE_ALLOC_NODE:
        return this.#allocation(true);
      case CACHE_FREE:
        return this.#release(true);
      case KMALLOC:
      case KMALLOC_NODE:
        return this.#allocation(false);
      case KFREE:
        return this.#release(false);
      case PAGE_ALLOC:
        return this.#pageAllocation();
      case PAGE_FREE:
        return this.#pageRelease();
    }
    this.#memoryEvents--;
    this.#skipped.otherEvents++;
  }

  // ── slab objects ──

  #allocation(fromCache: boolean): void {
    const found = this.#address(PTR);
    const afterAddress = this.#at;
    const requested = this.#decimal(BYTES_REQ);
    const beforeRequested = this.#fieldStart;
    const allocated = this.#decimal(BYTES_ALLOC);
    const zeroed = this.#isZeroed();
    if (found !== ADDRESS) {
      this.#skipped[found === NULL ? 'failedAllocations' : 'hiddenAddresses']++;
      return;
    }
    const [hi, lo] = [this.#hi, this.#lo];
    const old = this.#slab.get(hi, lo);
    if (old >= 0) {
      this.#implied.impliedFrees++;
      this.#builder.free(old, false, this.#cpu, this.line);
    }
    let id: number;
    if (fromCache) {
      if (requested > allocated) this.#malformed('bytes_req above bytes_alloc');
      const name = this.#name(afterAddress, beforeRequested);
      id = this.#builder.cacheAlloc(requested, this.#cache(name, allocated), zeroed, this.#cpu, this.line);
    } else id = this.#builder.kmalloc(requested, zeroed, this.#cpu, this.line);
    this.#slab.set(hi, lo, id);
  }

  #release(toCache: boolean): void {
    const found = this.#address(PTR);
    if (found !== ADDRESS) {
      this.#skipped[found === NULL ? 'nullFrees' : 'hiddenAddresses']++;
      return;
    }
    const id = this.#slab.get(this.#hi, this.#lo);
    if (id < 0) {
      this.#skipped.unmatchedFrees++;
      return;
    }
    const builder = this.#builder;
    if (!toCache || !builder.isCacheObject(id)) builder.free(id, true, this.#cpu, this.line);
    else this.#freeToCache(id, this.#name(this.#at, this.#end));
    this.#slab.clear(this.#hi, this.#lo);
  }

  /** kmem_cache_free of an object that came from a cache; `name` is the cache that it is freed to, if it says. */
  #freeToCache(id: number, name: number): void {
    const builder = this.#builder;
    const cache = builder.tagOf(id);
    const known = this.#cacheName[cache];
    if (name !== 0 && known === 0) builder.bindCache(id, this.#cache(name, this.#cacheSize[cache]));
    else if (name !== 0 && known !== name) {
      this.#implied.otherCacheFrees++;
      this.#skipped.unmatchedFrees++;
    }
    builder.free(id, false, this.#cpu, this.line);
  }

  /** The cache of that name with objects of `size` bytes. No name (0): the cache of all such objects. */
  #cache(name: number, size: number): number {
    const key = name * 2 ** 32 + size;
    let cache = this.#cacheNumber.get(key);
    if (cache === undefined) {
      if (size === 0) this.#malformed('bytes_alloc=0');
      if (this.#cacheName.length >= MAX_CACHES) this.#fail(`more than ${MAX_CACHES} caches`);
      cache = this.#cacheName.push(name) - 1;
      this.#cacheSize.push(size);
      this.#cacheNumber.set(key, cache);
    }
    return cache;
  }

  // ── pages ──

  #pageAllocation(): void {
    const found = this.#pageFrame();
    const order = this.#order();
    const zeroed = this.#isZeroed();
    if (found !== ADDRESS) {
      this.#skipped[found === NULL ? 'failedAllocations' : 'hiddenAddresses']++;
      return;
    }
    const old = this.#page.get(this.#hi, this.#lo);
    if (old >= 0) {
      this.#implied.impliedPageFrees++;
      this.#builder.free(old, false, this.#cpu, this.line);
    }
    this.#page.set(this.#hi, this.#lo, this.#builder.pageAlloc(order, zeroed, this.#cpu, this.line));
  }

  #pageRelease(): void {
    const found = this.#pageFrame();
    const order = this.#order();
    const id = found === ADDRESS ? this.#page.get(this.#hi, this.#lo) : -1;
    if (found !== ADDRESS) this.#skipped[found === NULL ? 'nullFrees' : 'hiddenAddresses']++;
    else if (id < 0) this.#skipped.unmatchedPages++;
    else if (this.#builder.tagOf(id) !== order) this.#skipped.otherOrderFrees++;
    else {
      this.#builder.free(id, false, this.#cpu, this.line);
      this.#page.clear(this.#hi, this.#lo);
    }
  }

  /** A page is known by its frame number, which is never hashed; `page=` tells whether there is one. */
  #pageFrame(): number {
    const page = this.#address(PAGE);
    const frame = this.#address(PFN);
    if (page === NULL) return NULL;
    return frame === NULL ? ADDRESS : frame; // frame 0 exists
  }

  #order(): number {
    const order = this.#decimal(ORDER);
    if (order > MAX_ORDER) this.#malformed(`number too large (order at most ${MAX_ORDER})`);
    return order;
  }

  // ── fields ──

  /** Where the value of the field `key` (` name=`) begins, searched from `#at`; −1 if there is none before `end`. */
  #field(key: Uint8Array, from: number, end: number): number {
    const bytes = this.#bytes;
    const last = end - key.length;
    for (let p = from; p <= last; p++) {
      if (bytes[p] === SPACE && bytes[p + 1] === key[1] && standsAt(bytes, p, key)) {
        this.#fieldStart = p;
        return p + key.length;
      }
    }
    return -1;
  }

  /** Where the field found last begins. */
  #fieldStart = 0;

  #need(key: Uint8Array): number {
    const at = this.#field(key, this.#at, this.#end);
    if (at < 0) this.#malformed(`malformed line: no${Buffer.from(key).toString('latin1')}`);
    return at;
  }

  /** A field that is there in every kernel: decimal, at most 32 bits. */
  #decimal(key: Uint8Array): number {
    const bytes = this.#bytes;
    const at = this.#need(key);
    let p = at;
    let value = 0;
    while (isDigit(bytes[p])) value = Math.min(value * 10 + bytes[p++] - 48, MAX_NUMBER + 1);
    if (p === at || (bytes[p] !== SPACE && p !== this.#end)) this.#malformed('malformed number');
    if (value > MAX_NUMBER) this.#malformed(`number too large (at most ${MAX_NUMBER})`);
    this.#at = p;
    return value;
  }

  /** A hexadecimal address into `#hi` and `#lo`: `000000001a0975ae`, `0x27b1`, `(null)`, `(____ptrval____)`. */
  #address(key: Uint8Array): number {
    const bytes = this.#bytes;
    let p = this.#need(key);
    if (bytes[p] === OPEN_PAREN) return this.#parenthesised(p);
    if (bytes[p] === 48 && bytes[p + 1] === LETTER_X) p += 2;
    const first = p;
    let hi = 0;
    let lo = 0;
    for (; p < this.#end && bytes[p] !== SPACE; p++) {
      const byte = bytes[p] | 0x20;
      const digit = isDigit(bytes[p]) ? bytes[p] - 48 : byte >= 97 && byte <= 102 ? byte - 87 : -1;
      if (digit < 0) this.#malformed('malformed address');
      if (hi >>> 28 !== 0) this.#malformed('number too large (an address has 64 bits)');
      hi = ((hi << 4) | (lo >>> 28)) >>> 0;
      lo = ((lo << 4) | digit) >>> 0;
    }
    if (p === first) this.#malformed('malformed address');
    this.#at = p;
    this.#hi = hi;
    this.#lo = lo;
    return hi === 0 && lo === 0 ? NULL : ADDRESS;
  }

  /** The kernel's words for "none" and "not telling". */
  #parenthesised(at: number): number {
    const bytes = this.#bytes;
    let p = at;
    while (p < this.#end && bytes[p] !== SPACE) p++;
    const word = bytes.toString('latin1', at, Math.min(p, at + 24));
    this.#at = p;
    if (word === '(null)') return NULL;
    if (/^\(_*ptrval_*\)$/.test(word)) return HIDDEN;
    return this.#malformed('malformed address');
  }

  /** The number of the name in the field `name=` between `from` and `end`; 0 if there is none. */
  #name(from: number, end: number): number {
    const at = this.#field(NAME, from, end);
    return at < 0 ? 0 : this.#names.number(this.#bytes, at, end);
  }

  /** Whether the flags (a field that a kernel may lack) say `__GFP_ZERO`. */
  #isZeroed(): boolean {
    const bytes = this.#bytes;
    const at = this.#field(GFP_FLAGS, this.#at, this.#end);
    if (at < 0) return false;
    for (let p = at; p < this.#end && bytes[p] !== SPACE; p++) {
      if (bytes[p] === ZERO[0] && standsAt(bytes, p, ZERO)) return true;
    }
    return false;
  }
}
