/**
 * A recorded trace, run in the page, forward and back.
 *
 * Time is counted in events. Going forward executes them; going back restores the last checkpoint before and executes from there.
 * A checkpoint is a snapshot of the metadata with the addresses of the live objects, taken every `operations / CHECKPOINTS`
 * events while the trace is run through once.
 *
 *     state(n) = restore(checkpoint k), then events k·every … n - 1          k = floor(n / every)
 *
 * A restored heap has nothing in sheaves, and its CPU knows nothing of before. So whoever passes a checkpoint, the first time too,
 * does so by detaching and attaching again: state(n) is the same whichever way one comes to n.
 *
 * The heap is shared, though one thread has it, since only so can its CPU be changed, and the map be drawn without a snapshot.
 *
 * All events run on one CPU: what a trace of several threads shows here is their sum. Objects' contents are not kept.
 */
import { type Address, Heap, type HeapHandle, type KmemCache } from 'modslab';
import { type HeapView, viewOf } from 'modslab/inspect';
import { CALLS, OP_MASK, Op } from '../../replay/program.ts';
import { type Sample, sampleOf } from './history.ts';
import { type Moment, momentOfView } from './moment.ts';
import type { Trace } from './traceFile.ts';

/** Checkpoints of a trace: going back takes 1/48 of running it all, at most. */
const CHECKPOINTS = 48;
/** Points of the overview, over all of the trace. */
const SAMPLES = 288;

/** One CPU, and the one that takes its place. */
const CPUS = 2;

interface Checkpoint {
  readonly snapshot: Uint8Array;
  /** Number and address of every live object, in turn. */
  readonly live: Uint32Array;
  readonly allocations: number;
  readonly frees: number;
}

/** Lets the page do other things. */
export type Pause = () => Promise<void>;

export class Scrubber {
  readonly trace: Trace;
  /** Events between two checkpoints. */
  private readonly every: number;
  private readonly checkpoints: Checkpoint[] = [];
  private readonly addresses: Uint32Array;
  private heap: Heap;
  private view: HeapView;
  private caches: KmemCache[];
  /** Events executed on `heap`. */
  private at = 0;
  /** Whether `heap` stands at a checkpoint, with nothing executed since. */
  private isFresh = false;
  private allocations = 0;
  private frees = 0;

  /** Throws `EINVAL` where there is no shared memory: a page must be cross-origin isolated. */
  constructor(trace: Trace) {
    this.trace = trace;
    this.every = Math.max(1, Math.ceil(trace.operations / CHECKPOINTS));
    this.addresses = new Uint32Array(trace.objects);
    this.heap = Heap.create({ ...trace.heap, cpus: CPUS, shared: true });
    this.view = viewOf(this.heap.handle);
    const taken = new Set(this.heap.caches().map((cache) => cache.name));
    this.caches = trace.caches.map(({ name, size }) => {
      let free = name;
      while (taken.has(free)) free = `trace:${free}`;
      taken.add(free);
      return this.heap.createCache({ name: free, size });
    });
  }

  /** The event that the heap stands before. */
  get position(): number {
    return this.at;
  }

  /**
   * Runs the trace through once, making checkpoints; the overview's samples. `progress`: events done. Throws `RangeError` if the
   * heap has no memory for an event.
   */
  async prepare(pause: Pause, progress: (done: number) => void): Promise<Sample[]> {
    const { operations } = this.trace;
    const step = Math.max(1, Math.ceil(operations / SAMPLES));
    const samples: Sample[] = [];
    for (let next = 0; ; next = Math.min(operations, next + step)) {
      this.runTo(next);
      samples.push(sampleOf(this.moment(), { allocations: this.allocations, frees: this.frees }, this.at));
      progress(next);
      await pause();
      if (next === operations) return samples;
    }
  }

  /** Goes to just before event `position`, from wherever it is. Cost: a checkpoint's restore, and the events from there. */
  seek(position: number): void {
    const target = Math.max(0, Math.min(this.trace.operations, Math.round(position)));
    const last = Math.min(this.checkpoints.length - 1, Math.floor(target / this.every));
    const isAhead = target >= this.at && last * this.every <= this.at;
    if (!isAhead && last >= 0) this.restore(last);
    this.runTo(target);
  }

  /** The heap as it stands; of the present until the next event is executed. */
  moment(): Moment {
    return momentOfView(this.view, this.at, `event ${this.at}`, () => this.heap.snapshot({ data: false }));
  }

  /** What event `n` does, in words. */
  describe(n: number): string {
    const { trace } = this;
    if (n >= trace.operations) return 'the end of the trace';
    const what = trace.op[n] & OP_MASK;
    const cache =
      what === Op.CacheAlloc || what === Op.CacheFree ? `${trace.caches[trace.aux[n]].name}, ` : '';
    const size = `${trace.size[n]} bytes`;
    return `${CALLS[what]}: ${cache}${size}, object ${trace.id[n]}, thread ${trace.thread[n]}, line ${trace.line[n]}`;
  }

  /** The address of the object of event `n`, if it is live now; else 0. */
  addressOf(n: number): Address {
    return n < this.trace.operations ? this.addresses[this.trace.id[n]] : 0;
  }

  private runTo(target: number): void {
    for (;;) {
      if (this.at % this.every === 0) this.passCheckpoint(this.at / this.every);
      if (this.at >= target) return;
      const stop = Math.min(target, (Math.floor(this.at / this.every) + 1) * this.every);
      while (this.at < stop) this.execute(this.at++);
      this.isFresh = false;
    }
  }

  /** Makes the checkpoint if it is the first time, and goes on with a fresh CPU. */
  private passCheckpoint(number: number): void {
    if (this.isFresh) return;
    this.renew(this.heap.handle);
    if (number === this.checkpoints.length) this.checkpoint();
  }

  /** The present CPU detaches, and another takes its slot; the lowest, if the present one has not that. */
  private renew(handle: HeapHandle): void {
    const names = this.caches.map((cache) => cache.name);
    const isLowest = this.heap.cpu === 0;
    if (isLowest) this.heap.detach();
    const next = Heap.attach(handle);
    if (!isLowest) this.heap.detach();
    this.heap = next;
    this.caches = names.map((name) => next.cache(name));
    this.isFresh = true;
  }

  private checkpoint(): void {
    const live: number[] = [];
    this.addresses.forEach((address, id) => {
      if (address !== 0) live.push(id, address);
    });
    const { allocations, frees } = this;
    const snapshot = this.heap.snapshot({ data: false });
    this.checkpoints.push({ snapshot, live: Uint32Array.from(live), allocations, frees });
  }

  private restore(number: number): void {
    const { snapshot, live, allocations, frees } = this.checkpoints[number];
    this.heap = Heap.restore(snapshot, { shared: true });
    this.renew(this.heap.handle);
    this.view = viewOf(this.heap.handle);
    this.addresses.fill(0);
    for (let i = 0; i < live.length; i += 2) this.addresses[live[i]] = live[i + 1];
    this.allocations = allocations;
    this.frees = frees;
    this.at = number * this.every;
  }

  private execute(n: number): void {
    const { trace, heap, addresses } = this;
    const id = trace.id[n];
    const what = trace.op[n] & OP_MASK;
    if (what === Op.Kfree || what === Op.CacheFree || what === Op.PageFree) {
      this.free(n, what, addresses[id]);
      addresses[id] = 0;
      this.frees++;
      return;
    }
    const address = what === Op.Realloc ? this.realloc(n, addresses[id]) : this.allocate(n, what);
    if (address === 0) {
      const most = heap.meminfo().maxSize;
      throw new RangeError(
        `no memory for event ${n} (line ${trace.line[n]}): the heap is at most ${most} bytes`,
      );
    }
    addresses[id] = address;
    if (what !== Op.Realloc) this.allocations++;
  }

  /** Zeroed or not is the same to the metadata. */
  private allocate(n: number, what: number): Address {
    const { trace, heap, caches } = this;
    const size = trace.size[n];
    if (what === Op.CacheAlloc) return caches[trace.aux[n]].alloc();
    if (what === Op.PageAlloc) return heap.allocPages(trace.aux[n]);
    if (what === Op.Aligned) return heap.kmallocAligned(size, trace.aux[n]);
    return size > heap.kmallocMaxSize ? heap.kvmalloc(size) : heap.kmalloc(size);
  }

  private free(n: number, what: number, address: Address): void {
    const { trace, heap, caches } = this;
    if (what === Op.CacheFree) caches[trace.aux[n]].free(address);
    else if (what === Op.PageFree) heap.freePages(address, trace.aux[n]);
    else heap.kfree(address);
  }

  /** As a replay does it (replay/execute.ts): to 0 bytes the object stays, and large ones move. */
  private realloc(n: number, old: Address): Address {
    const { trace, heap } = this;
    const size = trace.size[n];
    const most = heap.kmallocMaxSize;
    if (size > 0 && size <= most && trace.aux[n] <= most) return heap.krealloc(old, size);
    const address = size > most ? heap.kvmalloc(size) : heap.kmalloc(size);
    if (address !== 0) heap.kfree(old);
    return address;
  }
}
