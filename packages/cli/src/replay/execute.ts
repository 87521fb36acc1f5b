/**
 * Executes rows of a program on a heap: the same code in the workers, for the trace, and on the main thread, for the
 * epilogue.
 *
 *     addresses[i]    where object i is in the heap; 0 once it is freed. Written by whoever executes a row of object i;
 *                     the gates order those (sequencer.ts), so plain accesses are enough
 *
 * A request above `heap.kmallocMaxSize` goes to kvmalloc, and its free to kvfree; a realloc that crosses that line moves
 * by hand, as a kernel caller would. `realloc` to 0 bytes keeps the object (the format says so: where the program
 * freed, the trace has a free), so it becomes kmalloc(0) and kfree, since krealloc(p, 0) frees. Half of the callocs go
 * through kcalloc.
 *
 * With verification, before an object is freed or reallocated all its bytes are compared with its pattern; a realloc
 * must have kept the bytes that both sizes have; zeroed memory must be zero over the requested size; and addresses
 * must be aligned as the contract says. A wrong object is counted and reported, and the replay goes on: the pattern of
 * the next generation is written anew.
 */
import { GFP, type Heap, type KmemCache } from 'modslab';
import { SIGNALS, WAITS } from './deal.ts';
import { OP_MASK, Op, type Rows, TRACE_PAGE, ZEROED } from './program.ts';
import { awaitObject, type Gates, keepPace, publishObject, publishProgress } from './sequencer.ts';
import { check, checkZero, fill, patternByte, seed } from './verify.ts';

/** Rows between two looks at how far the other workers are: rare enough to cost nothing. */
const PACE_ROWS = 256;
/** Findings that are kept in full; the others are counted. */
const MAX_FINDINGS = 8;

/** What verification found wrong with an object. */
export interface Finding {
  what: 'changed' | 'not kept by realloc' | 'not zeroed' | 'misaligned';
  /** Object, in order of allocation in the trace. */
  id: number;
  /** Line of the trace at which it was found; 0: when the objects that the trace leaves live were freed. */
  line: number;
  address: number;
  size: number;
  /** First wrong byte; for 'misaligned', 0, and `expected` is the alignment, `found` what is beyond it. */
  offset: number;
  expected: number;
  found: number;
}

/** What one thread has done. */
export interface Tally {
  /** Objects whose whole contents were compared when they were freed. */
  verified: number;
  /** Comparisons in all: those, and the ones at realloc and of zeroed memory. */
  checks: number;
  /** Comparisons that failed. */
  corrupted: number;
  findings: Finding[];
  /** Milliseconds spent waiting for other workers. */
  waited: number;
}

/** The tally of nothing. */
export const noTally = (): Tally => ({ verified: 0, checks: 0, corrupted: 0, findings: [], waited: 0 });

/** What all executors of one replay share. */
export interface Job {
  rows: Rows;
  code: Uint8Array<SharedArrayBuffer>;
  addresses: Uint32Array<SharedArrayBuffer>;
  gates: Gates;
  operations: number;
  verify: boolean;
  /** How many rows a worker may be ahead of the slowest; 0: any number. */
  window: number;
}

/** A row that could not be executed. */
export class ReplayFailure extends Error {
  readonly row: number;
  readonly code: string;

  constructor(row: number, code: string, message: string) {
    super(message);
    this.row = row;
    this.code = code;
  }
}

export class Executor {
  readonly tally: Tally = noTally();
  /** The row in hand. */
  row = 0;
  readonly #heap: Heap;
  readonly #job: Job;
  readonly #rows: Rows;
  readonly #code: Uint8Array;
  readonly #addresses: Uint32Array;
  readonly #caches: KmemCache[];
  readonly #verify: boolean;
  readonly #max: number;

  constructor(heap: Heap, job: Job, caches: KmemCache[]) {
    this.#heap = heap;
    this.#job = job;
    this.#rows = job.rows;
    this.#code = job.code;
    this.#addresses = job.addresses;
    this.#caches = caches;
    this.#verify = job.verify;
    this.#max = heap.kmallocMaxSize;
  }

  /** Executes the rows of `list`, those of worker `self`, each when its turn has come. */
  runList(list: Uint32Array, self: number): void {
    const { gates, operations, window } = this.#job;
    const seq = this.#rows.seq;
    const ids = this.#rows.id;
    const tally = this.tally;
    for (let k = 0; k < list.length; k++) {
      const row = list[k];
      const code = this.#code[row];
      this.row = row;
      if (k % PACE_ROWS === 0) tally.waited += keepPace(gates, self, row, window);
      if ((code & WAITS) !== 0) tally.waited += awaitObject(gates, self, row, ids[row], seq[row]);
      this.#execute(row, code);
      if ((code & SIGNALS) !== 0) publishObject(gates, ids[row], seq[row] + 1);
    }
    publishProgress(gates, self, operations);
  }

  /** Executes the rows from `from` up to `end`, with no regard to gates. */
  runRange(from: number, end: number): void {
    for (let row = from; row < end; row++) {
      this.row = row;
      this.#execute(row, this.#code[row]);
    }
  }

  #execute(row: number, code: number): void {
    const id = this.#rows.id[row];
    const size = this.#rows.size[row];
    switch (code & OP_MASK) {
      case Op.Kmalloc:
        return this.#allocated(
          row,
          id,
          size,
          size > this.#max ? this.#heap.kvmalloc(size) : this.#heap.kmalloc(size),
          0,
        );
      case Op.Kzalloc:
        return this.#allocated(row, id, size, this.#zalloc(row, size), 1);
      case Op.Aligned:
        return this.#allocated(row, id, size, this.#heap.kmallocAligned(size, this.#rows.aux[row]), 0);
      case Op.Realloc:
        return this.#realloc(row, id, size);
      case Op.Kfree: {
        const address = this.#release(row, id, size);
        return size > this.#max ? this.#heap.kvfree(address) : this.#heap.kfree(address);
      }
      case Op.CacheAlloc: {
        const zeroed = code & ZEROED;
        const address = this.#caches[this.#rows.aux[row]].alloc(zeroed === 0 ? GFP.KERNEL : GFP.ZERO);
        return this.#allocated(row, id, size, address, zeroed);
      }
      case Op.CacheFree:
        return this.#caches[this.#rows.aux[row]].free(this.#release(row, id, size));
      case Op.PageAlloc: {
        const zeroed = code & ZEROED;
        const address = this.#heap.allocPages(this.#rows.aux[row], zeroed === 0 ? GFP.KERNEL : GFP.ZERO);
        return this.#allocated(row, id, size, address, zeroed);
      }
      case Op.PageFree:
        return this.#heap.freePages(this.#release(row, id, size), this.#rows.aux[row]);
      default:
        throw new ReplayFailure(row, 'EINVAL', `operation ${code} is none`);
    }
  }

  #zalloc(row: number, size: number): number {
    const heap = this.#heap;
    if (size > this.#max) return heap.kvmalloc(size, GFP.ZERO);
    if ((row & 1) === 0 && (size & 7) === 0) return heap.kcalloc(size >>> 3, 8);
    return heap.kzalloc(size);
  }

  /** Books a new object. */
  #allocated(row: number, id: number, size: number, address: number, zeroed: number): void {
    if (address === 0) this.#noMemory(row, size);
    this.#addresses[id] = address;
    if (!this.#verify) return;
    this.#checkAlignment(row, id, size, address);
    if (zeroed !== 0) {
      this.tally.checks++;
      const offset = checkZero(this.#heap, address, size);
      if (offset >= 0) this.#found('not zeroed', row, id, size, address, offset, 0);
    }
    fill(this.#heap, address, size, seed(id, 0));
  }

  /** Unbooks an object that is about to be freed; returns its address. */
  #release(row: number, id: number, size: number): number {
    const address = this.#addresses[id];
    if (this.#verify) {
      this.tally.verified++;
      this.#compare(row, id, address, size, this.#rows.seq[row] - 1);
    }
    this.#addresses[id] = 0;
    return address;
  }

  /** Whether the first `size` bytes of an object are the pattern of `generation`. */
  #compare(row: number, id: number, address: number, size: number, generation: number): boolean {
    const first = seed(id, generation);
    this.tally.checks++;
    const offset = check(this.#heap, address, size, first);
    if (offset < 0) return true;
    this.#found('changed', row, id, size, address, offset, patternByte(first, offset));
    return false;
  }

  #realloc(row: number, id: number, size: number): void {
    const before = this.#rows.aux[row];
    const generation = this.#rows.seq[row];
    const old = this.#addresses[id];
    const sound = this.#verify && this.#compare(row, id, old, before, generation - 1);
    const moves = size === 0 || size > this.#max || before > this.#max;
    const address = moves ? this.#moveByHand(row, old, before, size) : this.#heap.krealloc(old, size);
    if (address === 0) this.#noMemory(row, size);
    this.#addresses[id] = address;
    if (!this.#verify) return;
    if (address !== old) this.#checkAlignment(row, id, size < 16 ? size : 16, address);
    if (sound) {
      const first = seed(id, generation - 1);
      const kept = Math.min(before, size);
      const offset = check(this.#heap, address, kept, first);
      if (offset >= 0)
        this.#found('not kept by realloc', row, id, kept, address, offset, patternByte(first, offset));
    }
    fill(this.#heap, address, size, seed(id, generation));
  }

  /** Allocate, copy, free. Returns 0 when there is no memory; the old object is then untouched. */
  #moveByHand(row: number, old: number, before: number, size: number): number {
    const heap = this.#heap;
    const address = size > this.#max ? heap.kvmalloc(size) : heap.kmalloc(size);
    if (address === 0) this.#noMemory(row, size);
    heap.u8.copyWithin(address, old, old + Math.min(before, size));
    if (before > this.#max) heap.kvfree(old);
    else heap.kfree(old);
    return address;
  }

  /** Aligned to 8, to 16 from 16 bytes up, powers of two up to a page to themselves, or as asked. */
  #checkAlignment(row: number, id: number, size: number, address: number): void {
    const what = this.#code[row] & OP_MASK;
    let align = 8;
    if (what === Op.PageAlloc) align = TRACE_PAGE;
    else if (what === Op.Aligned) align = Math.max(8, this.#rows.aux[row]);
    else if (what !== Op.CacheAlloc && size >= 16)
      align = size <= TRACE_PAGE && (size & (size - 1)) === 0 ? size : 16;
    if (address % align === 0) return;
    this.#found('misaligned', row, id, size, address, 0, align);
  }

  #found(
    what: Finding['what'],
    row: number,
    id: number,
    size: number,
    address: number,
    offset: number,
    expected: number,
  ): void {
    this.tally.corrupted++;
    if (this.tally.findings.length >= MAX_FINDINGS) return;
    const found = what === 'misaligned' ? address % expected : this.#heap.u8[address + offset];
    this.tally.findings.push({
      what,
      id,
      line: this.#rows.line[row],
      address,
      size,
      offset,
      expected,
      found,
    });
  }

  #noMemory(row: number, size: number): never {
    throw new ReplayFailure(row, 'ENOMEM', `no memory for ${size} bytes`);
  }
}
