// The model of model.test.ts: what a heap must hold, as a plain Map, and the heaps under test beside it.
import assert from 'node:assert/strict';
import { Heap, type HeapOptions, type KmemCache, type Sheaf } from 'modslab';
import { assertFilled, assertSound, fill } from './heap.js';

export interface Live {
  /** Bytes that the object may use; what `meminfo().live` counts. */
  bytes: number;
  seed: number;
  /** 'kmalloc', 'pages', or the name of a cache. */
  from: string;
}

export interface Aside {
  cache: string;
  cpu: number;
  sheaf: Sheaf;
}

const CHECKED_BYTES = 160;

/** The model, and two CPUs on one thread: the second comes and goes, if the heap is shared. */
export class World {
  readonly live: Map<number, Live> = new Map();
  /** Addresses in ascending order, to find neighbours. */
  private sorted: number[] = [];
  /** Caches by name, with the bytes from one object to the next, known after the first allocation. */
  readonly caches: Map<string, { size: number; template: boolean }> = new Map();
  readonly aside: Aside[] = [];
  readonly freed: number[] = [];
  readonly first: Heap;
  second: Heap | undefined;
  private seed = 0;
  private readonly canShare: boolean;

  /** Whether memory is one window, so that a run of free frames is one that can be had. */
  readonly simple: boolean;

  constructor(options: HeapOptions) {
    const size = { size: 64 * 4096, maxSize: 160 * 4096, pageSize: 4096, cpus: 2, caches: 32 };
    this.first = Heap.create({ ...size, ...options });
    this.simple = options.nodes === undefined && options.dma === undefined;
    this.canShare = options.shared !== false;
    if (this.canShare) this.attach();
  }

  attach(): void {
    if (this.canShare) this.second = Heap.attach(this.first.handle);
  }

  /** The second CPU goes, in one way or the other, and with it what it had set aside. */
  leave(go: (heap: Heap) => void): void {
    if (this.second === undefined) return;
    go(this.second);
    this.second = undefined;
    for (let i = this.aside.length - 1; i >= 0; i--) if (this.aside[i].cpu === 1) this.aside.splice(i, 1);
  }

  heap(cpu: number): Heap {
    return cpu === 1 && this.second !== undefined ? this.second : this.first;
  }

  cpuOf(cpu: number): number {
    return this.heap(cpu) === this.first ? 0 : 1;
  }

  pick(index: number, from?: string): number | undefined {
    const all = from === undefined ? this.sorted : this.sorted.filter((a) => this.live.get(a)?.from === from);
    return all.length === 0 ? undefined : all[index % all.length];
  }

  cacheName(index: number): string | undefined {
    return [...this.caches.keys()][index % Math.max(1, this.caches.size)];
  }

  cacheOn(cpu: number, name: string): KmemCache {
    return this.heap(cpu).cache(name);
  }

  /** A new object: it overlaps no other, is as large as it should be, and gets a pattern. */
  add(address: number, size: number, align: number, from: string, pageBytes = 0): void {
    const heap = this.first;
    assert.ok(Number.isInteger(address) && address >= heap.pageSize, `address ${address}`);
    assert.equal(address % align, 0, `${address} is aligned to ${align}`);
    const bytes = pageBytes || heap.ksize(address);
    assert.ok(bytes >= size, `${bytes} bytes for ${size}`);
    const at = this.place(address);
    const before = this.sorted[at - 1];
    const behind = this.sorted[at];
    if (before !== undefined) assert.ok(before + (this.live.get(before)?.bytes ?? 0) <= address, 'overlap');
    if (behind !== undefined) assert.ok(address + bytes <= behind, 'overlap');
    this.sorted.splice(at, 0, address);
    const seed = ++this.seed;
    this.live.set(address, { bytes, seed, from });
    this.write(address, bytes, seed);
  }

  /** An object that is about to be freed: its pattern is as it was written. */
  check(address: number): Live {
    const object = this.live.get(address);
    assert.ok(object);
    this.read(address, object.bytes, object.seed);
    return object;
  }

  remove(address: number): void {
    this.check(address);
    this.forget(address);
  }

  /** The object is no longer at that address. */
  forget(address: number): void {
    this.live.delete(address);
    this.sorted.splice(this.place(address), 1);
    this.freed.push(address);
    if (this.freed.length > 50) this.freed.shift();
  }

  get liveBytes(): number {
    let sum = 0;
    for (const { bytes } of this.live.values()) sum += bytes;
    return sum;
  }

  /** Every object is intact, and the heap says the same as the model. */
  checkAll(): void {
    for (const address of this.live.keys()) this.check(address);
    assert.equal(this.first.meminfo().live, this.liveBytes);
    for (const [name] of this.caches) {
      const mine = this.sorted.filter((address) => this.live.get(address)?.from === name);
      assert.deepEqual(
        [...this.first.cache(name).objects()].sort((a, b) => a - b),
        mine,
      );
    }
    assertSound(this.first);
    if (this.second !== undefined) assertSound(this.second);
  }

  /** Everything is freed, by either CPU: not a frame is left in use. */
  tearDown(): void {
    for (const { sheaf } of this.aside.splice(0)) sheaf.release();
    for (const [i, address] of [...this.sorted].entries()) {
      const { from, bytes } = this.check(address);
      const heap = this.heap(i % 2);
      if (from === 'pages') heap.freePages(address, Math.log2(bytes / heap.pageSize));
      else heap.kfree(address);
      this.remove(address);
    }
    for (const name of this.caches.keys()) this.cacheOn(this.live.size % 2, name).destroy();
    this.second?.detach();
    this.first.shrink();
    assert.deepEqual([this.first.meminfo().live, this.first.meminfo().footprint], [0, 0]);
    assertSound(this.first);
  }

  private place(address: number): number {
    let low = 0;
    let high = this.sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.sorted[middle] < address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The beginning and the end of an object carry its pattern. */
  private write(address: number, bytes: number, seed: number): void {
    fill(this.first, address, Math.min(bytes, CHECKED_BYTES), seed);
    if (bytes > CHECKED_BYTES) fill(this.first, address + bytes - 8, 8, seed);
  }

  private read(address: number, bytes: number, seed: number): void {
    assertFilled(this.first, address, Math.min(bytes, CHECKED_BYTES), seed);
    if (bytes > CHECKED_BYTES) assertFilled(this.first, address + bytes - 8, 8, seed);
  }
}
