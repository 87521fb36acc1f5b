/**
 * What a benchmark needs of an allocator. Each subject is a thin class around one allocator, and a process loads exactly
 * one of them: the loops call through this interface, but in any one process every call site sees one class, so that V8
 * inlines it and the interface costs what the no-op subject shows.
 */

/** How a subject is to be made. */
export interface SubjectOptions {
  /** Memory for objects: more than the workload needs, so that growth is no part of what is measured. */
  readonly heapMiB: number;
  /** Start with the smallest heap and grow: for measuring memory. */
  readonly grow?: boolean;
  /** The objects are written to: the no-op allocator must give out real memory. */
  readonly touched: boolean;
}

/** The memory that addresses are offsets of. */
export interface Views {
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
  readonly f64: Float64Array;
}

/** An allocator under measurement. Addresses are byte offsets below 2^31, 0 stands for "no memory". */
export interface Subject {
  alloc(size: number): number;
  zalloc(size: number): number;
  aligned(size: number, alignment: number): number;
  /** A new size for an object, moved if need be. */
  realloc(address: number, size: number): number;
  free(address: number): void;
  /** Fills `out` with objects of `size` bytes; false when there is no memory for all of them. */
  allocBulk(size: number, out: Int32Array): boolean;
  freeBulk(addresses: Int32Array): void;
  /** Throws where objects are no offsets of one buffer. */
  views(): Views;
  /** What `attach` of the same subject needs on another thread. Absent: the allocator is not for two threads. */
  share?(): unknown;
  /** Makes this thread one more user of the same memory, as a second thread would. */
  join?(): void;
  /** This thread ends. */
  leave?(): void;
  /** Bytes of object memory in use by the allocator, and of its metadata. */
  used?(): number;
  metadata?(): number;
  /** Bytes of the pages of 4 KiB that it has written anything but zeros to, objects and metadata together. */
  touched?(): number;
  /** Called after the last round: what is wrong with the heap by now. */
  problems(): string[];
}

const MIB = 2 ** 20;

export function bytesOf({ heapMiB }: SubjectOptions): number {
  return heapMiB * MIB;
}

export function viewsOf(buffer: ArrayBufferLike): Views {
  return { u8: new Uint8Array(buffer), i32: new Int32Array(buffer), f64: new Float64Array(buffer) };
}

const PAGE = 4096;

/** Bytes of the pages of a buffer that hold anything but zeros: what nobody has touched takes no memory. */
export function touchedBytes(buffer: ArrayBufferLike): number {
  const words = new Float64Array(buffer, 0, Math.floor(buffer.byteLength / 8));
  const step = PAGE / 8;
  let pages = 0;
  for (let page = 0; page < words.length; page += step) {
    const end = Math.min(page + step, words.length);
    let at = page;
    while (at < end && words[at] === 0) at++;
    if (at < end) pages++;
  }
  return pages * PAGE;
}

/** For allocators without a call for many objects. */
export function allocEach(subject: Pick<Subject, 'alloc'>, size: number, out: Int32Array): boolean {
  for (let i = 0; i < out.length; i++) {
    const address = subject.alloc(size);
    if (address === 0) return false;
    out[i] = address;
  }
  return true;
}

export function freeEach(subject: Pick<Subject, 'free'>, addresses: Int32Array): void {
  for (let i = 0; i < addresses.length; i++) subject.free(addresses[i]);
}

/** A workload that the allocator cannot take part in; the harness leaves it out and says so. */
export function cannot(what: string): never {
  throw new Error(`it has no ${what}`);
}
