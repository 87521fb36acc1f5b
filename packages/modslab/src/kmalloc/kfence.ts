/**
 * Sampling, for production (Linux: KFENCE): once in a while an object of kmalloc comes from a guarded pool instead of its size
 * class. Around it lie red zones from its first to its last byte, it is poisoned and held back when it is freed, and both
 * call stacks are kept; so a bug that happens often enough is found sooner or later, with who allocated and who freed, at
 * next to no cost.
 *
 * The pool is a cache, `kfence`, with the flags `FZPUQ`; its objects are aligned to their size, and so to whatever a size class that
 * they stand for promises. What kmalloc's fast path gives cannot be sampled without a cost, so two
 * things bring an allocation here:
 *
 *     by count   each sheaf that is used up stands for as many allocations as it had; after about `every` of them
 *     by time    a timer, every `interval` milliseconds, closes this CPU's sheaves of kmalloc's caches until the next allocation
 *                or free of any of them, which finds them closed, opens them all again, and is the one (Linux's gate)
 *
 * (slab/sampledSheaves.ts.) A thread that never returns to its event loop is sampled by count only, and one that has only few
 * objects at a time, so that it never uses up a sheaf, by time only.
 */

import { checkInteger } from '../memory/errors.ts';
import { GFP_FAST, type GfpFlags } from '../memory/gfp.ts';
import {
  C_CAPACITY,
  C_TRACKED_LIVE,
  cacheAt,
  H_KFENCE_EVERY,
  H_KFENCE_INTERVAL,
  H_KFENCE_OBJECTS,
  H_KMALLOC_CACHES,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { NODE_ANY } from '../page/pageAllocator.ts';
import type { CacheTable } from '../slab/cacheTable.ts';
import { SLAB } from '../slab/flags.ts';
import type { SampledSheaves } from '../slab/sampledSheaves.ts';
import type { Address } from '../slab/slabAllocator.ts';

/** Settings of sampling; see docs/debugging.md. */
export interface KfenceOptions {
  /** About so many allocations of a thread to one that is sampled; 0: not by count (default 1,000,000). */
  readonly every?: number;
  /** Milliseconds between two that are sampled; 0: not by time (default 100). */
  readonly interval?: number;
  /** Most live objects in the pool (default 255). */
  readonly objects?: number;
}

const NAME = 'kfence';
/** Larger objects are not sampled, nor those of more than half a page. A power of two: the pool is aligned to it. */
const SIZE_MAX = 2048;
/** A sample costs some 35 µs, most of it two call stacks: so, less than a hundredth of the fastest loop of kmalloc and kfree. */
const EVERY = 1_000_000;
const INTERVAL_MS = 100;
const OBJECTS = 255;

/** Checks the option and writes it into the header of a new heap. Throws `TypeError` or `RangeError`. */
export function storeKfence(metadata: Metadata, option: KfenceOptions | boolean | undefined): void {
  if (option === undefined || option === false) return;
  if (option !== true && (typeof option !== 'object' || option === null))
    throw new TypeError(`kfence must be true, false or an object of settings, not ${String(option)}`);
  const { every = EVERY, interval = INTERVAL_MS, objects = OBJECTS } = option === true ? {} : option;
  checkInteger('kfence.every', every, 0, 2 ** 30);
  checkInteger('kfence.interval', interval, 0, 2 ** 30);
  checkInteger('kfence.objects', objects, 1, 2 ** 16);
  const { m } = metadata;
  m[H_KFENCE_EVERY] = every;
  m[H_KFENCE_INTERVAL] = interval;
  m[H_KFENCE_OBJECTS] = objects;
}

/** The platform's timer, where it has one. */
interface Host {
  setInterval?(callback: () => void, milliseconds: number): unknown;
  clearInterval?(timer: unknown): void;
}

export class Kfence {
  private readonly metadata: Metadata;
  private readonly table: CacheTable;
  private readonly sheaves: SampledSheaves;
  private readonly every: number;
  /** Bytes of the pool's objects, and what they are aligned to. */
  private readonly size: number;
  private isDue = false;
  private cache = 0;
  private generation = 0;
  private timer: unknown;

  constructor(metadata: Metadata, table: CacheTable, sheaves: SampledSheaves) {
    const { m } = metadata;
    this.metadata = metadata;
    this.table = table;
    this.sheaves = sheaves;
    this.every = m[H_KFENCE_EVERY];
    this.size = Math.min(SIZE_MAX, 2 ** (metadata.layout.pageShift - 1));
    if (this.every > 0) sheaves.left = this.every;
    if (m[H_KFENCE_INTERVAL] > 0) this.startTimer(m[H_KFENCE_INTERVAL]);
  }

  /** For an allocation on the slow path of `cache`: an object of the pool, or 0 if it is not its turn. */
  sample(cache: number, size: number, gfp: GfpFlags): Address {
    const { m, layout } = this.metadata;
    const { sheaves } = this;
    sheaves.left -= m[cacheAt(layout, cache) + C_CAPACITY];
    const isDue = this.isDue || sheaves.left <= 0;
    if (!isDue || size > this.size || (gfp & ~GFP_FAST) !== 0) return 0;
    this.isDue = false;
    // Not at regular intervals: a program may have the same ones.
    if (this.every > 0) sheaves.left = Math.ceil(this.every * (0.5 + Math.random()));
    const pool = this.pool();
    if (pool === 0 || m[cacheAt(layout, pool) + C_TRACKED_LIVE] >= m[H_KFENCE_OBJECTS]) return 0;
    return this.table.debugOf(pool)?.allocSized(pool, gfp, NODE_ANY, size) ?? 0;
  }

  /** For `detach`. */
  stop(): void {
    (globalThis as Host).clearInterval?.(this.timer);
  }

  private startTimer(milliseconds: number): void {
    const { setInterval } = globalThis as Host;
    if (setInterval === undefined) return;
    this.timer = setInterval(() => this.arm(), milliseconds);
    // Node's timers keep the process alive unless told otherwise.
    (this.timer as { unref?(): void }).unref?.();
  }

  private arm(): void {
    this.isDue = true;
    for (let cache = 1; cache <= this.metadata.m[H_KMALLOC_CACHES]; cache++) this.sheaves.gate(cache);
  }

  /** The pool's cache, made when it is first needed; 0 if there is no room for a descriptor. */
  private pool(): number {
    if (this.cache !== 0 && this.table.generation(this.cache) === this.generation) return this.cache;
    this.cache = this.table.find(NAME) || this.create();
    this.generation = this.table.generation(this.cache);
    return this.cache;
  }

  private create(): number {
    const flags =
      SLAB.CONSISTENCY_CHECKS |
      SLAB.RED_ZONE |
      SLAB.POISON |
      SLAB.STORE_USER |
      SLAB.QUARANTINE |
      SLAB.NO_MERGE;
    const { size } = this;
    try {
      return this.sheaves.create({
        name: NAME,
        size,
        align: size,
        flags,
        node: NODE_ANY,
        useroffset: 0,
        usersize: size,
      });
    } catch {
      return this.table.find(NAME);
    }
  }
}
