/**
 * The compact program that a trace is decoded into, and its builder.
 *
 * A reader turns each event into one operation (an implied free makes one more); an operation is a row over parallel
 * typed arrays in shared memory, so that any number of workers read it in place:
 *
 *     op      what to do (`Op`), and the bit ZEROED
 *     id      the object: 0, 1, 2, … in order of allocation
 *     seq     how many operations on this object come before this one; allocations have 0
 *     size    allocating: bytes asked for.  freeing: bytes that the object has at this point (what verification checks)
 *     aux     Aligned: the alignment.  Realloc: the size before.  Cache*: index of the cache.  Page*: the order
 *     thread  the trace's thread (or CPU), numbered densely in order of appearance
 *     line    where the event stands in the file, for messages
 *
 * Rows 0 … operations−1 are the trace. Behind them stands the *epilogue*: one free for each object that the trace
 * leaves live, so that the same code can release them after the figures have been taken.
 *
 * Everything that follows from the order of the trace alone is computed here, once: peaks, live objects, sizes at free.
 * Hence the figures do not depend on the number of threads or on luck.
 *
 * Invariants (checked by the readers before they call, so that their messages can name the line):
 *   seq of an operation on object i  =  number of earlier rows with id i
 *   the last row of every object, epilogue included, is a free
 */

/** What an operation does. */
export const Op = {
  Kmalloc: 0,
  Kzalloc: 1,
  Aligned: 2,
  Realloc: 3,
  Kfree: 4,
  CacheAlloc: 5,
  CacheFree: 6,
  PageAlloc: 7,
  PageFree: 8,
} as const;

/** The call that executes an operation, by `Op`. */
export const CALLS: readonly string[] = [
  ...['kmalloc', 'kzalloc', 'kmallocAligned', 'krealloc', 'kfree'],
  ...['kmem_cache_alloc', 'kmem_cache_free', 'allocPages', 'freePages'],
];

/** The bits of a row's `op` that hold the `Op`. */
export const OP_MASK = 0x0f;
/** Bit of `op`: the memory is asked for zeroed (cache and page allocations; `Kzalloc` says it by itself). */
export const ZEROED = 0x10;

/** The page of the traced machine, in bytes: what an order of 0 means in a kernel trace (x86-64). */
export const TRACE_PAGE = 4096;

/** More rows than this are refused: positions are kept doubled in an Int32 (see sequencer.ts). */
export const MAX_OPERATIONS: number = 2 ** 30 - 1;

/** A slab cache of a kernel trace: its name and the size of its objects in bytes. */
export interface TraceCache {
  name: string;
  size: number;
}

/** The arrays of a program, in shared memory. */
export interface Rows {
  op: Uint8Array<SharedArrayBuffer>;
  id: Uint32Array<SharedArrayBuffer>;
  seq: Uint32Array<SharedArrayBuffer>;
  size: Uint32Array<SharedArrayBuffer>;
  aux: Uint32Array<SharedArrayBuffer>;
  thread: Uint16Array<SharedArrayBuffer>;
  line: Uint32Array<SharedArrayBuffer>;
}

/** A decoded trace. Sizes are in bytes. */
export interface Program {
  file: string;
  format: 'mtrace1' | 'ftrace';
  /** What was recorded, in words: the header's program and command. */
  title: string;
  /** Event lines in the file, those that were skipped included. */
  events: number;
  /** Rows to replay; the epilogue follows them. */
  operations: number;
  objects: number;
  /** Distinct threads (kernel traces: CPUs) in the trace. */
  threads: number;
  rows: Rows;
  caches: TraceCache[];
  /** Whether there are page operations. */
  pages: boolean;
  frees: number;
  peakLive: number;
  peakObjects: number;
  endLive: number;
  endObjects: number;
  largest: number;
  /** The most that one allocation may need in one piece: its size, or size and alignment. */
  widest: number;
  /** Events that were read but not replayed, by reason. */
  skipped: Record<string, number>;
  /** Frees that the trace does not show but implies, by reason; they were replayed. */
  implied: Record<string, number>;
}

/** What kind of memory a live object is, and so how the epilogue releases it. */
const DEAD = 0;
const KMALLOC = 1;
const CACHE = 2;
const PAGE = 3;

/** A typed array that grows by doubling. Callers read `data` anew after `room`. */
class Column<T extends Uint8Array | Uint16Array | Uint32Array> {
  data: T;
  readonly make: (length: number) => T;

  constructor(make: (length: number) => T, length = 1024) {
    this.make = make;
    this.data = make(length);
  }

  room(index: number): void {
    if (index < this.data.length) return;
    const grown = this.make(Math.max(index + 1, this.data.length * 2));
    grown.set(this.data);
    this.data = grown;
  }
}

const bytes = (): Column<Uint8Array> => new Column((n) => new Uint8Array(n));
const halves = (): Column<Uint16Array> => new Column((n) => new Uint16Array(n));
const words = (): Column<Uint32Array> => new Column((n) => new Uint32Array(n));

function shared8(from: Uint8Array, length: number): Uint8Array<SharedArrayBuffer> {
  const to = new Uint8Array(new SharedArrayBuffer(length));
  to.set(from.subarray(0, length));
  return to;
}

function shared16(from: Uint16Array, length: number): Uint16Array<SharedArrayBuffer> {
  const to = new Uint16Array(new SharedArrayBuffer(length * 2));
  to.set(from.subarray(0, length));
  return to;
}

function shared32(from: Uint32Array, length: number): Uint32Array<SharedArrayBuffer> {
  const to = new Uint32Array(new SharedArrayBuffer(length * 4));
  to.set(from.subarray(0, length));
  return to;
}

/** Collects rows in trace order and keeps the books: who is live, how large, what the peaks are. */
export class ProgramBuilder {
  operations = 0;
  objects = 0;
  live = 0;
  liveObjects = 0;
  peakLive = 0;
  peakObjects = 0;
  largest = 0;
  widest = 0;
  frees = 0;
  pages = false;

  readonly op: Column<Uint8Array> = bytes();
  readonly id: Column<Uint32Array> = words();
  readonly seq: Column<Uint32Array> = words();
  readonly sizes: Column<Uint32Array> = words();
  readonly aux: Column<Uint32Array> = words();
  readonly thread: Column<Uint16Array> = halves();
  readonly lines: Column<Uint32Array> = words();

  // By object: kind (DEAD once freed), current size, operations so far, cache or order.
  readonly kind: Column<Uint8Array> = bytes();
  readonly objectSize: Column<Uint32Array> = words();
  readonly count: Column<Uint32Array> = words();
  readonly tag: Column<Uint32Array> = words();

  /** Whether object `id` exists and has not been freed. */
  isLive(id: number): boolean {
    return id < this.objects && this.kind.data[id] !== DEAD;
  }

  /** Whether object `id` was ever allocated. */
  isKnown(id: number): boolean {
    return id < this.objects;
  }

  /** Bytes that object `id` has now, or had when it was freed. */
  sizeOf(id: number): number {
    return this.objectSize.data[id];
  }

  /** The cache or the order that object `id` was allocated with. */
  tagOf(id: number): number {
    return this.tag.data[id];
  }

  /** Whether object `id` came from a slab cache. */
  isCacheObject(id: number): boolean {
    return this.kind.data[id] === CACHE;
  }

  kmalloc(size: number, zeroed: boolean, thread: number, line: number): number {
    return this.#allocate(zeroed ? Op.Kzalloc : Op.Kmalloc, KMALLOC, size, 0, 0, thread, line);
  }

  aligned(size: number, align: number, thread: number, line: number): number {
    if (size + align > this.widest) this.widest = size + align;
    return this.#allocate(Op.Aligned, KMALLOC, size, align, 0, thread, line);
  }

  cacheAlloc(size: number, cache: number, zeroed: boolean, thread: number, line: number): number {
    return this.#allocate(Op.CacheAlloc | (zeroed ? ZEROED : 0), CACHE, size, cache, cache, thread, line);
  }

  pageAlloc(order: number, zeroed: boolean, thread: number, line: number): number {
    this.pages = true;
    return this.#allocate(
      Op.PageAlloc | (zeroed ? ZEROED : 0),
      PAGE,
      TRACE_PAGE * 2 ** order,
      order,
      order,
      thread,
      line,
    );
  }

  /** `realloc` of the live object `id` to `size` bytes. One step: the peak never counts both sizes. */
  realloc(id: number, size: number, thread: number, line: number): void {
    const before = this.objectSize.data[id];
    this.#row(Op.Realloc, id, size, before, thread, line);
    this.objectSize.data[id] = size;
    this.live += size - before;
    if (size > this.largest) this.largest = size;
    if (this.live > this.peakLive) this.peakLive = this.live;
  }

  /** Frees the live object `id`; `asKmalloc` where the trace called kfree, whatever the object came from. */
  free(id: number, asKmalloc: boolean, thread: number, line: number): void {
    const size = this.objectSize.data[id];
    this.#row(asKmalloc ? Op.Kfree : this.#release(id), id, size, this.tag.data[id], thread, line);
    this.kind.data[id] = DEAD;
    this.live -= size;
    this.liveObjects--;
    this.frees++;
  }

  /** Says late which cache object `id` belongs to (its free told). */
  bindCache(id: number, cache: number): void {
    this.tag.data[id] = cache;
  }

  /** Appends the epilogue, settles the caches and moves the rows to shared memory. */
  finish(about: {
    file: string;
    format: Program['format'];
    title: string;
    events: number;
    threads: number;
    caches: TraceCache[];
  }): Program {
    const { operations, frees, live: endLive, liveObjects: endObjects } = this;
    for (let id = 0; id < this.objects; id++) if (this.kind.data[id] !== DEAD) this.free(id, false, 0, 0);
    const caches = this.#settleCaches(about.caches);
    const length = this.operations;
    const rows: Rows = {
      op: shared8(this.op.data, length),
      id: shared32(this.id.data, length),
      seq: shared32(this.seq.data, length),
      size: shared32(this.sizes.data, length),
      aux: shared32(this.aux.data, length),
      thread: shared16(this.thread.data, length),
      line: shared32(this.lines.data, length),
    };
    const { objects, pages, peakLive, peakObjects, largest } = this;
    const widest = Math.max(largest, this.widest);
    const figures = { peakLive, peakObjects, endLive, endObjects, largest, widest };
    return {
      ...about,
      operations,
      objects,
      rows,
      caches,
      pages,
      frees,
      ...figures,
      skipped: {},
      implied: {},
    };
  }

  #allocate(
    op: number,
    kind: number,
    size: number,
    aux: number,
    tag: number,
    thread: number,
    line: number,
  ): number {
    const id = this.objects++;
    this.kind.room(id);
    this.objectSize.room(id);
    this.count.room(id);
    this.tag.room(id);
    this.kind.data[id] = kind;
    this.objectSize.data[id] = size;
    this.tag.data[id] = tag;
    this.#row(op, id, size, aux, thread, line);
    this.live += size;
    this.liveObjects++;
    if (size > this.largest) this.largest = size;
    if (this.live > this.peakLive) this.peakLive = this.live;
    if (this.liveObjects > this.peakObjects) this.peakObjects = this.liveObjects;
    return id;
  }

  #row(op: number, id: number, size: number, aux: number, thread: number, line: number): void {
    const row = this.operations++;
    if (row >= this.op.data.length) this.#grow(row);
    this.op.data[row] = op;
    this.id.data[row] = id;
    this.seq.data[row] = this.count.data[id]++;
    this.sizes.data[row] = size;
    this.aux.data[row] = aux;
    this.thread.data[row] = thread;
    this.lines.data[row] = line;
  }

  #grow(row: number): void {
    for (const column of [this.op, this.id, this.seq, this.sizes, this.aux, this.thread, this.lines])
      column.room(row);
  }

  #release(id: number): number {
    const kind = this.kind.data[id];
    return kind === CACHE ? Op.CacheFree : kind === PAGE ? Op.PageFree : Op.Kfree;
  }

  /** Renumbers the caches that are used, 0, 1, … in order of first use, and writes their numbers into the rows. */
  #settleCaches(all: TraceCache[]): TraceCache[] {
    const number = new Map<number, number>();
    const used: TraceCache[] = [];
    for (let row = 0; row < this.operations; row++) {
      const op = this.op.data[row] & OP_MASK;
      if (op !== Op.CacheAlloc && op !== Op.CacheFree) continue;
      const cache = this.tag.data[this.id.data[row]];
      let settled = number.get(cache);
      if (settled === undefined) {
        settled = used.push(all[cache]) - 1;
        number.set(cache, settled);
      }
      this.aux.data[row] = settled;
    }
    return uniqueNames(used);
  }
}

/** Gives caches of one name but several object sizes names of their own: `pid`, then `pid#192`. */
function uniqueNames(caches: TraceCache[]): TraceCache[] {
  const taken = new Set<string>();
  return caches.map(({ name, size }) => {
    let unique = name;
    for (let n = 0; taken.has(unique); n++) unique = n === 0 ? `${name}#${size}` : `${name}#${size}#${n}`;
    taken.add(unique);
    return { name: unique, size };
  });
}
