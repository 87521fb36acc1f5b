/**
 * Trace events, under the names of the kernel's tracepoints. What this thread does on the heap is told to *listeners*, which
 * are the user's functions, and to *recorders*, which only write it down (kmalloc/recording.ts).
 *
 * While nobody listens, nothing is there: no branch and no load in any fast path. When somebody comes, the heap takes
 * another kmalloc (`TracedKmalloc`) into its hand, and its sheaves are *sealed*: no handle of a cache finds the generation
 * that it looks for, so every call of it goes the slow way, which asks here.
 *
 * A listener is called when the operation is over and nothing is half done, so it may call the heap itself; what it does
 * there is told to recorders, but not to listeners, or it would never end. With `NOWAIT` and `ATOMIC` no listener runs. What
 * one throws is the host's unhandled rejection: the operation has happened, and its caller gets what it asked for.
 *
 * Recorders want all operations of all threads in one order in which an address is never handed out before it was given
 * back. So each operation takes a *place* from a counter of the heap: an allocation after it has been made, a free before.
 */

import type { Cpu } from '../memory/cpu.ts';
import { invalid } from '../memory/errors.ts';
import { GFP_BOUNDED, type GfpFlags } from '../memory/gfp.ts';
import { C_STRIDE, cacheAt, H_TRACE_PLACE, pageAt } from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { cacheOf, KIND_LARGE, KIND_PAGES, kindOf, PAGE_FLAGS, PAGE_RUN } from '../page/page.ts';
import type { CacheTable } from '../slab/cacheTable.ts';
import { ownerAt } from '../slab/granules.ts';
import type { Address } from '../slab/slabAllocator.ts';

const EVENTS = [
  'kmalloc',
  'kfree',
  'kmem_cache_alloc',
  'kmem_cache_free',
  'mm_page_alloc',
  'mm_page_free',
] as const;
export type TraceEventName = (typeof EVENTS)[number];

/** An operation of this thread that is over. */
export interface TraceEvent {
  event: TraceEventName;
  /** The cache that the object is of; absent for whole pages. */
  cache?: string;
  address: Address;
  /** Bytes that were asked for; 0 for frees. */
  requested: number;
  /** Bytes that the object has. */
  allocated: number;
  gfp: GfpFlags;
  cpu: number;
  /** Milliseconds since 1970, with what fractions the platform has. */
  time: number;
}

export type TraceListener = (event: TraceEvent) => void;

/** What a recorder is told beyond the event. */
export interface TraceDetail {
  /** Where the operation stands among those of all threads. */
  place: number;
  /** The alignment that was asked for; 0: none. */
  align: number;
  /** For an object that `krealloc` made of another: where that was; 0: no such. */
  from: Address;
  /** For an object that `krealloc` moved: the place of the old one's end. */
  vacated: number;
}

export interface TraceRecorder {
  record(event: TraceEvent, detail: TraceDetail): void;
}

/** An object that is about to be freed, while it can still be looked at. */
interface Doomed {
  cache: number;
  allocated: number;
  place: number;
}

const { performance: clock } = globalThis as {
  readonly performance?: { now(): number; readonly timeOrigin?: number };
};
const now = (): number => (clock?.timeOrigin === undefined ? Date.now() : clock.timeOrigin + clock.now());

/** Who listens to one thread's end of a heap. */
export class Tracing {
  /** Whether anybody does. */
  isOn = false;
  private readonly metadata: Metadata;
  private readonly cpu: Cpu;
  private readonly table: CacheTable;
  private readonly listeners: Map<TraceEventName, TraceListener[]> = new Map();
  private recorders: readonly TraceRecorder[] = [];
  /** A listener runs. */
  private isTelling = false;
  /** The operation under way is part of one that will be told as a whole. */
  private isInner = false;
  /** Called when the first one comes, and when the last one goes. */
  private readonly changed: (isOn: boolean) => void;

  constructor(metadata: Metadata, cpu: Cpu, table: CacheTable, changed: (isOn: boolean) => void) {
    this.metadata = metadata;
    this.cpu = cpu;
    this.table = table;
    this.changed = changed;
  }

  /** Adds a listener; a function that removes it. Throws `EINVAL` for an unknown event. */
  on(event: TraceEventName, listener: TraceListener): () => void {
    if (!EVENTS.includes(event)) invalid(`there is no event '${String(event)}': ${EVENTS.join(', ')}`);
    if (typeof listener !== 'function') throw new TypeError('a listener is a function');
    // Its own, so that one function can listen twice and stop once.
    const own: TraceListener = (told) => listener(told);
    this.listeners.set(event, [...(this.listeners.get(event) ?? []), own]);
    this.update();
    return () => {
      const left = (this.listeners.get(event) ?? []).filter((other) => other !== own);
      if (left.length > 0) this.listeners.set(event, left);
      else this.listeners.delete(event);
      this.update();
    };
  }

  /** Adds a recorder. */
  addRecorder(recorder: TraceRecorder): void {
    this.recorders = [...this.recorders, recorder];
    this.update();
  }

  removeRecorder(recorder: TraceRecorder): void {
    this.recorders = this.recorders.filter((other) => other !== recorder);
    this.update();
  }

  /** Runs an allocation and tells of what it gave, if anything. */
  alloc(
    event: TraceEventName,
    requested: number,
    gfp: GfpFlags,
    run: () => Address,
    align: number = 0,
  ): Address {
    if (this.isInner) return run();
    const address = run();
    if (address !== 0) this.allocated(event, address, requested, gfp, align);
    return address;
  }

  /** Tells of an allocation that has been made. */
  allocated(
    event: TraceEventName,
    address: Address,
    requested: number,
    gfp: GfpFlags,
    align: number = 0,
  ): void {
    const { cache, allocated, place } = this.look(address);
    this.tell(event, cache, address, requested, allocated, gfp, { place, align, from: 0, vacated: 0 });
  }

  /** Runs a free and tells of it, unless it throws. 0 is no object. */
  free(event: TraceEventName, address: Address, run: () => void): void {
    if (this.isInner || address === 0) {
      run();
      return;
    }
    const doomed = this.look(address);
    run();
    this.freed(event, address, doomed);
  }

  /** Runs a free that gives the address: most likely `expected`, which can be looked at before. */
  freeFound(event: TraceEventName, expected: Address, run: () => Address): Address {
    const doomed = this.look(expected);
    const address = run();
    if (address !== 0) this.freed(event, address, address === expected ? doomed : this.look(address));
    return address;
  }

  /** The same for several addresses at once; none is told if the call throws. */
  freeAll(event: TraceEventName, addresses: readonly Address[], run: () => void): void {
    const live = addresses.filter((address) => address !== 0);
    const doomed = live.map((address) => this.look(address));
    run();
    doomed.forEach((each, i) => {
      this.freed(event, live[i], each);
    });
  }

  /** Runs a `krealloc`: listeners are told of an object that moved as of an allocation and a free. */
  realloc(from: Address, requested: number, gfp: GfpFlags, run: () => Address): Address {
    const doomed = from === 0 ? undefined : this.look(from);
    const address = run();
    if (doomed === undefined) {
      if (address !== 0) this.allocated('kmalloc', address, requested, gfp);
    } else if (address !== 0) {
      this.reallocated(from, doomed, address, requested, gfp);
    } else if (requested === 0) {
      this.freed('kfree', from, doomed);
    }
    return address;
  }

  /** Runs what may call other traced operations, which are not told of. */
  inner<T>(run: () => T): T {
    const before = this.isInner;
    this.isInner = true;
    try {
      return run();
    } finally {
      this.isInner = before;
    }
  }

  private reallocated(
    from: Address,
    doomed: Doomed,
    address: Address,
    requested: number,
    gfp: GfpFlags,
  ): void {
    const { cache, allocated, place } = this.look(address);
    const detail: TraceDetail = { place, align: 0, from, vacated: doomed.place };
    const event = this.eventOf('kmalloc', cache, address, requested, allocated, gfp);
    for (const recorder of this.recorders) recorder.record(event, detail);
    if (address === from) return;
    this.listen(event);
    this.listen(this.eventOf('kfree', doomed.cache, from, 0, doomed.allocated, 0));
  }

  private freed(event: TraceEventName, address: Address, { cache, allocated, place }: Doomed): void {
    this.tell(event, cache, address, 0, allocated, 0, { place, align: 0, from: 0, vacated: 0 });
  }

  /** What lies at an address, if anything does: whoever frees it checks that. Takes a place for it. */
  private look(address: Address): Doomed {
    const { m, layout } = this.metadata;
    const place = this.recorders.length === 0 ? 0 : Atomics.add(m, H_TRACE_PLACE, 1) >>> 0;
    const pfn = address >>> layout.pageShift;
    if (pfn >= layout.maxFrames) return { cache: 0, allocated: 0, place };
    const page = pageAt(layout, pfn);
    const flags = m[page + PAGE_FLAGS];
    const slabs = cacheOf(flags);
    const cache = slabs === 0 ? 0 : ownerAt(this.metadata, slabs, address);
    if (cache !== 0) return { cache, allocated: m[cacheAt(layout, cache) + C_STRIDE], place };
    const isRun = kindOf(flags) === KIND_LARGE || kindOf(flags) === KIND_PAGES;
    return { cache, allocated: isRun ? m[page + PAGE_RUN] * 2 ** layout.pageShift : 0, place };
  }

  private eventOf(
    event: TraceEventName,
    cache: number,
    address: Address,
    requested: number,
    allocated: number,
    gfp: GfpFlags,
  ): TraceEvent {
    const told: TraceEvent = { event, address, requested, allocated, gfp, cpu: this.cpu.id, time: now() };
    if (cache !== 0) told.cache = this.table.name(cache);
    return told;
  }

  private tell(
    event: TraceEventName,
    cache: number,
    address: Address,
    requested: number,
    allocated: number,
    gfp: GfpFlags,
    detail: TraceDetail,
  ): void {
    if (this.recorders.length === 0 && !this.isHeard(event, gfp)) return;
    const told = this.eventOf(event, cache, address, requested, allocated, gfp);
    for (const recorder of this.recorders) recorder.record(told, detail);
    this.listen(told);
  }

  private isHeard(event: TraceEventName, gfp: GfpFlags): boolean {
    return !this.isTelling && (gfp & GFP_BOUNDED) === 0 && this.listeners.has(event);
  }

  private listen(told: TraceEvent): void {
    if (!this.isHeard(told.event, told.gfp)) return;
    this.isTelling = true;
    try {
      for (const listener of this.listeners.get(told.event) ?? []) {
        try {
          listener({ ...told });
        } catch (error) {
          Promise.reject(error);
        }
      }
    } finally {
      this.isTelling = false;
    }
  }

  private update(): void {
    const isOn = this.listeners.size > 0 || this.recorders.length > 0;
    if (isOn === this.isOn) return;
    this.isOn = isOn;
    this.changed(isOn);
  }
}
