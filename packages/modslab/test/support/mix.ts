/**
 * The mix: random operations over the whole allocating interface, as one thread of several that share a heap. Every
 * object is claimed, filled and verified (support/objects.ts); some travel to other threads through the board's slots
 * and are freed there. Sizes run from 0 to several times kmalloc's largest class.
 *
 * `inflight` says at every instant how many objects the operation under way may have that no list names. Whoever finds
 * this thread dead then knows how many live objects may be unaccounted for: no more than that.
 */

import { type Address, GFP, type Heap, type KmemCache } from 'modslab';
import type { Board } from './board.ts';
import { CACHE, KMALLOC, MARK, MARKED, Objects, orderOf, PAGES, wholeAt } from './objects.ts';
import { Random } from './random.ts';

/** The caches of the mix, whose kinds are CACHE, CACHE + 1, CACHE + 2 = MARKED. */
const CACHES = [
  { name: 'mix-plain', size: 40 },
  { name: 'mix-template', size: 200 },
  { name: 'mix-marked', size: 720 },
] as const;
const TEMPLATE: Uint8Array = Uint8Array.from({ length: 200 }, (_, i) => i);
const BULK_MAX = 20;

const mark = (address: Address, heap: Heap): void => {
  heap.i32[address / 4] = MARK;
};

/** Creates the caches of the mix. Once a heap, before the workers start. */
export function createMixCaches(heap: Heap): void {
  const [plain, template, marked] = CACHES;
  heap.createCache(plain);
  heap.createCache({ ...template, ctor: TEMPLATE });
  heap.createCache({ ...marked, ctor: mark });
}

/** Destroys them, which fails if one of their objects is live. */
export function destroyMixCaches(heap: Heap): void {
  for (const { name } of CACHES) heap.cache(name).destroy();
}

export interface MixOptions {
  readonly heap: Heap;
  readonly board: Board;
  /** This thread's number: its list of holdings. */
  readonly worker: number;
  readonly seed: number;
  /** Tells this thread from an earlier one of the same number. */
  readonly life?: number;
  /** Largest size of an object. */
  readonly sizeMax?: number;
}

export class Mix {
  /** Allocations that returned 0. */
  failed = 0;
  private readonly heap: Heap;
  private readonly board: Board;
  private readonly worker: number;
  private readonly objects: Objects;
  private readonly random: Random;
  private readonly holdings: Int32Array;
  private readonly caches: KmemCache[];
  private readonly bulk: Uint32Array = new Uint32Array(BULK_MAX);
  private readonly sizeMax: number;
  private held = 0;

  constructor({ heap, board, worker, seed, life = 0, sizeMax = 300_000 }: MixOptions) {
    this.heap = heap;
    this.board = board;
    this.worker = worker;
    this.objects = new Objects(heap, board, worker, life);
    this.random = new Random(seed);
    this.holdings = board.holdings(worker);
    this.sizeMax = sizeMax;
    const [plain, template, marked] = CACHES;
    this.caches = [
      heap.cache(plain.name),
      heap.cache(template.name),
      heap.cache(marked.name, { ctor: mark }),
    ];
    while (this.held < this.holdings.length && this.holdings[this.held] !== 0) this.held++;
  }

  /** One random operation. */
  step(): void {
    const { random } = this;
    Atomics.add(this.board.steps, this.worker, 1);
    const full = this.held + BULK_MAX > this.holdings.length;
    const choice = full ? 60 + random.below(40) : random.below(100);
    if (choice < 30) this.allocateOne();
    else if (choice < 38) this.allocateFromCache();
    else if (choice < 42) this.allocateBulk();
    else if (choice < 44) this.allocateBulkFromCache();
    else if (choice < 46) this.allocatePrefilled();
    else if (choice < 48) this.allocatePages();
    else if (choice < 60) this.exchange();
    else if (choice < 64) this.reallocate();
    else if (choice < 88) this.freeOne();
    else if (choice < 93) this.freeBulk();
    else if (choice < 98) this.verifyOne();
    else if (choice < 99 || !random.oneIn(8)) this.freeOne();
    else this.heap.shrink();
  }

  /** Puts an object into a slot and takes out what was there. */
  exchange(): void {
    const slot = this.random.below(this.board.slots.length);
    this.inflight(2);
    const mine = this.held === 0 || this.random.oneIn(8) ? 0 : this.takeOut();
    const theirs = Atomics.exchange(this.board.slots, slot, mine) >>> 0;
    if (theirs !== 0) {
      this.objects.check(theirs);
      this.enter(theirs);
    }
    this.inflight(0);
  }

  /** Frees all that this thread holds. */
  freeAll(): void {
    while (this.held > 0) this.freeOne();
  }

  /** Frees what stands in the slots, whoever put it there. */
  freeSlots(): void {
    for (let slot = 0; slot < this.board.slots.length; slot++) {
      this.inflight(1);
      const address = Atomics.exchange(this.board.slots, slot, 0) >>> 0;
      if (address !== 0) this.giveBack(address);
      this.inflight(0);
    }
  }

  /** Frees one of the objects held, in one of the ways there are for its kind. */
  freeOne(): void {
    if (this.held === 0) return;
    this.inflight(1);
    this.giveBack(this.takeOut());
    this.inflight(0);
  }

  /** An object of the mix's third cache, which has a constructor. */
  allocateMarked(): void {
    if (this.held === this.holdings.length) this.freeOne();
    this.received(this.caches[2], 1, (cache) => cache.alloc());
  }

  private inflight(objects: number): void {
    this.board.inflight[this.worker] = objects;
  }

  /** Small sizes more often than large ones. */
  private size(): number {
    const { random, sizeMax } = this;
    const choice = random.below(100);
    if (choice < 50) return Math.min(sizeMax, random.below(129));
    if (choice < 75) return Math.min(sizeMax, random.below(1025));
    if (choice < 91) return Math.min(sizeMax, random.below(8193));
    if (choice < 98) return Math.min(sizeMax, random.below(65_537));
    return random.below(sizeMax + 1);
  }

  /** Sometimes with a flag that changes nothing for the caller. */
  private gfp(): number {
    return this.random.oneIn(16) ? GFP.NOWARN | GFP.RECLAIMABLE : GFP.KERNEL;
  }

  private enter(address: Address): void {
    if (this.held === this.holdings.length) throw new Error('the list of holdings is full');
    this.holdings[this.held++] = address;
  }

  /** Takes a random address out of the list: the last one takes its place. */
  private takeOut(): Address {
    const { holdings } = this;
    const i = this.random.below(this.held);
    const address = holdings[i] >>> 0;
    const last = --this.held;
    holdings[i] = holdings[last];
    holdings[last] = 0;
    return address;
  }

  private accept(address: Address, size: number, kind: number): void {
    if (address === 0) {
      this.failed++;
      return;
    }
    this.objects.own(address, size, kind);
    this.enter(address);
  }

  private allocateOne(): void {
    const { heap, random } = this;
    const size = this.size();
    this.inflight(1);
    const way = random.below(10);
    if (way < 6) this.accept(heap.kmalloc(size, this.gfp()), size, KMALLOC);
    else if (way < 8) this.accept(this.zeroed(heap.kzalloc(size)), size, KMALLOC);
    else if (way < 9) this.accept(this.zeroed(heap.kcalloc(3, size >>> 2)), 3 * (size >>> 2), KMALLOC);
    else this.allocateAligned(size);
    this.inflight(0);
  }

  private allocateAligned(size: number): void {
    const align = 2 ** this.random.below(14);
    const address = this.heap.kmallocAligned(size, align);
    if (address % align !== 0) throw new Error(`${address} is not aligned to ${align}`);
    this.accept(address, size, KMALLOC);
  }

  /** Checks that all of a new object that its owner may use is zero (samples of a large one). */
  private zeroed(address: Address): Address {
    if (address === 0) return 0;
    // With red zones it may use no more than it asked for: perhaps not a whole number of words.
    const words = Math.floor(this.heap.ksize(address) / 4);
    const { i32 } = this.heap;
    for (let i = 0; i < words; i += i < 256 ? 1 : 61) {
      if (i32[address / 4 + i] !== 0)
        throw new Error(`kzalloc: ${address} has ${i32[address / 4 + i]} at word ${i}`);
    }
    return address;
  }

  /** Runs `allocate` on a cache of the mix and takes its object in. */
  private received(cache: KmemCache, objects: number, allocate: (cache: KmemCache) => Address): void {
    this.inflight(objects);
    this.acceptFrom(cache, allocate(cache));
    this.inflight(0);
  }

  private acceptFrom(cache: KmemCache, address: Address): void {
    const kind = CACHE + this.caches.indexOf(cache);
    if (kind === MARKED && address !== 0 && this.heap.i32[address / 4] !== MARK) {
      throw new Error(`${address} of '${cache.name}' was never constructed`);
    }
    this.accept(address, cache.size, kind);
  }

  private someCache(): KmemCache {
    return this.caches[this.random.below(this.caches.length)];
  }

  private allocateFromCache(): void {
    const gfp = this.random.oneIn(16) ? GFP.ZERO : GFP.KERNEL;
    const cache = this.someCache();
    // ZERO would wipe the constructor's mark out.
    this.received(cache, 1, () => cache.alloc(cache === this.caches[2] ? GFP.KERNEL : gfp));
  }

  private allocateBulk(): void {
    const size = this.random.below(700);
    const n = this.random.between(1, BULK_MAX);
    this.inflight(n);
    const got = this.heap.kmallocBulk(size, this.bulk, n);
    if (got === 0) this.failed++;
    for (let i = 0; i < got; i++) this.accept(this.bulk[i], size, KMALLOC);
    this.inflight(0);
  }

  private allocateBulkFromCache(): void {
    const cache = this.someCache();
    const n = this.random.between(1, BULK_MAX);
    this.inflight(n);
    const got = cache.allocBulk(this.bulk, n);
    if (got === 0) this.failed++;
    for (let i = 0; i < got; i++) this.acceptFrom(cache, this.bulk[i]);
    this.inflight(0);
  }

  /** Sets objects aside, takes some of them, gives the rest back. */
  private allocatePrefilled(): void {
    const cache = this.someCache();
    const n = this.random.between(1, BULK_MAX);
    const taken = this.random.between(0, n);
    this.inflight(1);
    const sheaf = cache.prefill(n);
    for (let i = 0; i < taken; i++) this.acceptFrom(cache, sheaf.alloc());
    sheaf.release();
    this.inflight(0);
  }

  private allocatePages(): void {
    const order = this.random.below(3);
    this.inflight(1);
    const address = this.heap.allocPages(order);
    this.accept(address, this.heap.pageSize * 2 ** order, PAGES);
    this.inflight(0);
  }

  private reallocate(): void {
    if (this.held === 0) return;
    this.inflight(2);
    const old = this.takeOut();
    const whole = wholeAt(this.board, old);
    if (whole?.kind === KMALLOC) this.resize(old, this.size());
    else this.giveBack(old);
    this.inflight(0);
  }

  private resize(old: Address, size: number): void {
    const tag = this.objects.tagOf(old);
    const { size: before } = this.objects.disown(old);
    const moved = this.heap.krealloc(old, size);
    if (size === 0) return;
    if (moved === 0) {
      this.accept(old, before, KMALLOC);
      this.failed++;
      return;
    }
    this.objects.checkMoved(moved, Math.min(before, size), tag);
    this.accept(moved, size, KMALLOC);
  }

  /** Frees an object that no list names any more. */
  private giveBack(address: Address): void {
    const { heap, random } = this;
    const whole = this.objects.disown(address);
    if (whole.kind === PAGES) heap.freePages(address, orderOf(heap, whole));
    else if (whole.kind >= CACHE && random.oneIn(2)) this.caches[whole.kind - CACHE].free(address);
    else if (whole.kind !== MARKED && random.oneIn(8)) heap.kfreeSensitive(address);
    else heap.kfree(address);
  }

  private freeBulk(): void {
    const n = Math.min(this.random.between(1, BULK_MAX), this.held);
    this.inflight(n);
    let inBulk = 0;
    for (let i = 0; i < n; i++) {
      const address = this.takeOut();
      if (wholeAt(this.board, address)?.kind === PAGES) {
        this.giveBack(address);
      } else {
        this.objects.disown(address);
        this.bulk[inBulk++] = address;
      }
    }
    this.heap.kfreeBulk(this.bulk, inBulk);
    this.inflight(0);
  }

  private verifyOne(): void {
    if (this.held > 0) this.objects.check(this.holdings[this.random.below(this.held)] >>> 0);
  }
}
