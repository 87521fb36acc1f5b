/**
 * The small world that schedules run in: one heap of a few pages, a CPU for each actor, and the record of who has which
 * object. It can be put back to its beginning in a few microseconds: the metadata by the machine's log of writes, what
 * each CPU keeps in memory of its own by a snapshot, the data buffer by a new one if it has grown.
 *
 * Capacities of sheaves are made small when the heap is set up (the word CAPACITY of a cache's descriptor), so that a few
 * operations refill, flush and exchange. `Heap.validate` finds that, rightly; that one finding is left out.
 */

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Problem } from 'modslab';
import { createDataBuffer, DataMemory } from '#src/memory/data.js';
import {
  C_CAPACITY,
  CPU_WORDS,
  cacheAt,
  cacheCountersAt,
  H_KMALLOC_CACHES,
  VERSION,
} from '#src/memory/layout.js';
import { createMetadata, type Metadata } from '#src/memory/metadata.js';
import { layersOn, spec } from '../support/internals.ts';
import { $quiet, machine, mixInto } from './shim.ts';

/** What a call of a transformed function is: a run of steps, with a result. */
export type Steps<T> = Generator<undefined, T>;
export type Address = number;

export interface SteppedSheaf {
  readonly size: number;
  alloc(): Steps<Address>;
  release(): Steps<void>;
}

/** A KmemCache of the transformed modules. */
export interface SteppedCache {
  alloc(gfp?: number): Steps<Address>;
  free(address: Address): Steps<void>;
  prefill(n: number): Steps<SteppedSheaf>;
  shrink(): Steps<number>;
  destroy(): Steps<void>;
}

/** A Heap of the transformed modules. */
export interface SteppedHeap {
  readonly cpu: number;
  kmalloc(size: number, gfp?: number): Steps<Address>;
  kfree(address: Address): Steps<void>;
  kmallocBulk(size: number, out: Int32Array, n?: number): Steps<number>;
  kfreeBulk(addresses: Int32Array, n?: number): Steps<void>;
  allocPages(order: number): Steps<Address>;
  freePages(address: Address, order: number): Steps<void>;
  createCache(options: object): Steps<SteppedCache>;
  cache(name: string, options?: object): Steps<SteppedCache>;
  shrink(): Steps<number>;
  reap(cpu: number): Steps<unknown>;
  detach(): Steps<void>;
}

/** The transformed modules. */
export interface Modules {
  attach(handle: object): Steps<SteppedHeap>;
  setKillPointHook(hook: (name: string) => void): void;
}

export async function loadModules(folder: string): Promise<Modules> {
  const load = (name: string): Promise<Record<string, unknown>> =>
    import(pathToFileURL(join(folder, name)).href) as Promise<Record<string, unknown>>;
  const heap = (await load('heap.js')).Heap as { attach: Modules['attach'] };
  const hook = (await load('memory/assert.js')).setKillPointHook as Modules['setKillPointHook'];
  return { attach: (handle) => heap.attach(handle), setKillPointHook: hook };
}

export interface CacheSetup {
  readonly name: string;
  readonly size: number;
  /** Objects that a sheaf holds. */
  readonly capacity: number;
  readonly ctor?: (() => void) | Uint8Array;
  readonly flags?: number;
}

export interface WorldSetup {
  /** CPUs that have a program. Two more come for the audit. */
  readonly cpus: number;
  /** Frames at the start, frame 0 included, and at the most. */
  readonly frames?: number;
  readonly maxFrames?: number;
  /** Log2 of the bytes of a frame. */
  readonly pageShift?: number;
  /** The one size class of kmalloc, and the capacity of its sheaves. */
  readonly size?: number;
  readonly capacity?: number;
  readonly caches?: readonly CacheSetup[];
  /** CPUs that are not attached at the start. */
  readonly detached?: readonly number[];
}

const PAGE_SHIFT = 12;
/** Descriptors of caches: number 0, kmalloc's, and room for three more. */
const CACHES = 5;

type Key = string | number;

/** Everything that a CPU keeps in memory of its own, found by a walk over its objects. */
class PrivateState {
  private readonly fields: { object: Record<Key, unknown>; key: Key; value: unknown }[] = [];
  private readonly arrays: { array: Int32Array; copy: Int32Array }[] = [];
  private readonly maps: { map: Map<unknown, unknown>; copy: [unknown, unknown][] }[] = [];
  private readonly numbers: { object: Record<Key, unknown>; key: Key }[] = [];

  constructor(root: object) {
    const seen = new Set<object>();
    const walk = (object: object): void => {
      if (seen.has(object)) return;
      seen.add(object);
      if (ArrayBuffer.isView(object)) {
        if (object.buffer instanceof SharedArrayBuffer || !(object instanceof Int32Array)) return;
        this.arrays.push({ array: object, copy: object.slice() });
        return;
      }
      if (object instanceof Map) this.maps.push({ map: object, copy: [...object] });
      if (object instanceof SharedArrayBuffer || object instanceof ArrayBuffer) return;
      this.enterFields(object as Record<Key, unknown>, walk);
    };
    walk(root);
  }

  private enterFields(object: Record<Key, unknown>, walk: (child: object) => void): void {
    if (Array.isArray(object) && object.length > 8) return;
    for (const key of Object.keys(object)) {
      const value = object[key];
      if (key === 'layout' || key === 'slots') continue;
      this.fields.push({ object, key, value });
      if (typeof value === 'number' || typeof value === 'boolean') this.numbers.push({ object, key });
      if (typeof value === 'object' && value !== null) walk(value);
    }
  }

  restore(): void {
    for (const { object, key, value } of this.fields) if (object[key] !== value) object[key] = value;
    for (const { array, copy } of this.arrays) array.set(copy);
    for (const { map, copy } of this.maps) {
      map.clear();
      for (const [key, value] of copy) map.set(key, value);
    }
  }

  hash(seed: number): number {
    let hash = seed;
    for (const { object, key } of this.numbers) hash = mixInto(hash, Number(object[key]));
    for (const { array } of this.arrays) {
      for (let i = 0; i < array.length; i++) if (array[i] !== 0) hash = mixInto(hash, mixInto(i, array[i]));
    }
    return hash;
  }
}

/** A CPU as the scenario sees it, and what it has. */
export class Actor {
  readonly index: number;
  readonly world: World;
  heap: SteppedHeap | undefined;
  readonly caches: Map<string, SteppedCache> = new Map();
  /** Objects that it has; the oldest first. */
  held: Address[] = [];
  /** Prefilled sheaves that it has. */
  sheaves: SteppedSheaf[] = [];
  /** It was killed. */
  dead = false;
  /** How many objects the operation under way may have got without anybody knowing. */
  taking = 0;
  /** Objects that the operation under way gives up: nobody's, if it dies. */
  giving: Address[] = [];
  private state: PrivateState | undefined;
  private atStart: {
    heap: SteppedHeap | undefined;
    state: PrivateState | undefined;
    caches: [string, SteppedCache][];
    held: Address[];
    sheaves: SteppedSheaf[];
  } = { heap: undefined, state: undefined, caches: [], held: [], sheaves: [] };

  constructor(world: World, index: number) {
    this.world = world;
    this.index = index;
  }

  /** Its heap; for operations. */
  get own(): SteppedHeap {
    if (this.heap === undefined) throw new Error(`actor ${this.index} is not attached`);
    return this.heap;
  }

  named(cache: string): SteppedCache {
    const found = this.caches.get(cache);
    if (found === undefined) throw new Error(`actor ${this.index} has not opened '${cache}'`);
    return found;
  }

  /** An address that an allocation returned is this actor's now. */
  took(address: Address): void {
    this.taking = 0;
    if (address === 0) {
      if (!this.world.mayFail) throw new Error('an allocation failed, though there is memory');
      return;
    }
    if (this.world.isHeld(address)) throw new Error(`0x${address.toString(16)} was handed out twice`);
    this.held.push(address);
  }

  /** The address is nobody's any more, as it is about to be freed. */
  gives(address: Address): void {
    this.held.splice(this.held.indexOf(address), 1);
  }

  attached(heap: SteppedHeap | undefined): void {
    this.heap = heap;
    this.state = heap === undefined ? undefined : new PrivateState(heap);
  }

  /** All that it holds privately between two operations, as a hash. */
  hash(seed: number): number {
    let hash = this.state?.hash(seed) ?? seed;
    for (const [, cache] of this.caches) hash = mixInto(hash, (cache as unknown as { id: number }).id);
    for (const sheaf of this.sheaves) hash = mixInto(hash, sheaf.size);
    return mixInto(hash, this.caches.size);
  }

  hashHeld(seed: number): number {
    let hash = mixInto(seed, this.held.length);
    for (const address of this.held) hash = mixInto(hash, address);
    for (const address of this.giving) hash = mixInto(hash, ~address);
    return mixInto(hash, this.taking);
  }

  /** Remembers how everything is now. */
  markStart(): void {
    if (this.heap !== undefined) this.attached(this.heap);
    const { heap, state, held, sheaves } = this;
    this.atStart = { heap, state, caches: [...this.caches], held: [...held], sheaves: [...sheaves] };
  }

  restart(): void {
    const { heap, state, caches, held, sheaves } = this.atStart;
    this.heap = heap;
    this.state = state;
    if (
      this.caches.size !== caches.length ||
      caches.some(([name, cache]) => this.caches.get(name) !== cache)
    ) {
      this.caches.clear();
      for (const [name, cache] of caches) this.caches.set(name, cache);
    }
    this.held = [...held];
    this.sheaves = [...sheaves];
    this.taking = 0;
    this.giving = [];
    this.dead = false;
    state?.restore();
  }
}

export class World {
  readonly metadata: Metadata;
  readonly setup: WorldSetup;
  readonly modules: Modules;
  readonly actors: Actor[];
  /** Whether the scenario runs out of memory, so that 0 is an answer. */
  mayFail = false;
  /** An object that more than one actor frees. */
  contested: Address = 0;
  memory: SharedArrayBuffer;
  private readonly base: Int32Array;
  private readonly bytesAtStart: number;

  constructor(modules: Modules, setup: WorldSetup, prepare: (world: World) => void) {
    const { frames = 8, maxFrames = frames, cpus, detached = [], pageShift = PAGE_SHIFT } = setup;
    this.setup = setup;
    this.modules = modules;
    const geometry = {
      pageShift,
      startFrame: 1,
      maxFrames,
      cpus: cpus + 2,
      nodes: 1,
      caches: CACHES,
    };
    this.metadata = createMetadata(geometry, frames, { start: 0, end: 0 }, true);
    this.memory = this.freshMemory();
    this.bytesAtStart = this.memory.byteLength;
    this.createCaches();
    machine.open(this.metadata.m, () => false);
    this.actors = Array.from({ length: cpus }, (_, index) => new Actor(this, index));
    for (const actor of this.actors) {
      if (detached.includes(actor.index)) continue;
      actor.attached($quiet(modules.attach(this.handle)));
      for (const { name, ctor } of setup.caches ?? []) this.openCache(actor, name, ctor);
    }
    prepare(this);
    for (const actor of this.actors) actor.markStart();
    this.base = this.metadata.m.slice();
  }

  get handle(): { version: number; metadata: SharedArrayBuffer; memory: SharedArrayBuffer } {
    return { version: VERSION, metadata: this.metadata.buffer as SharedArrayBuffer, memory: this.memory };
  }

  isHeld(address: Address): boolean {
    return this.actors.some((actor) => actor.held.includes(address));
  }

  /** Puts everything back. `all`: the metadata was written to by others than the machine. */
  restart(all: boolean): void {
    if (all) {
      this.metadata.m.set(this.base);
      machine.forget();
    } else {
      machine.undo();
      this.restoreCounters();
    }
    for (const actor of this.actors) actor.restart();
    if (this.memory.byteLength !== this.bytesAtStart) this.memory = this.freshMemory();
    for (const { heap } of this.actors) {
      if (heap === undefined) continue;
      (heap as unknown as { data: { memory: SharedArrayBuffer } }).data.memory = this.memory;
    }
  }

  /** Whether everything is as it was at the start: for a test of the machine's log. */
  isAtStart(): boolean {
    const { m } = this.metadata;
    return this.base.every((word, at) => m[at] === word);
  }

  private freshMemory(): SharedArrayBuffer {
    const { frames = 8, maxFrames = frames, pageShift = PAGE_SHIFT } = this.setup;
    return createDataBuffer(frames << pageShift, maxFrames << pageShift, true) as SharedArrayBuffer;
  }

  /** The counters of slow paths are not followed by the machine. */
  private restoreCounters(): void {
    const { m, layout } = this.metadata;
    const { cpuRecords, cpus } = layout;
    for (let at = cpuRecords; at < cpuRecords + cpus * CPU_WORDS; at++) m[at] = this.base[at];
    const end = cacheCountersAt(layout, cpus, 0);
    m.set(this.base.subarray(layout.cacheCounters, end), layout.cacheCounters);
  }

  private createCaches(): void {
    const { size = 1024, capacity = 2, caches = [] } = this.setup;
    const { m, layout } = this.metadata;
    const layers = layersOn(this.metadata, new DataMemory(this.memory, this.metadata));
    const all: CacheSetup[] = [{ name: `kmalloc-${size}`, size, capacity }, ...caches];
    for (const { name, size: bytes, capacity: few, ctor, flags = 0 } of all) {
      const id = layers.sheaves.create(spec(name, bytes, { ctor, flags }));
      m[cacheAt(layout, id) + C_CAPACITY] = few;
    }
    m[H_KMALLOC_CACHES] = 1;
    layers.cpu.beginLeave();
    layers.sheaves.leave();
    layers.cpu.endLeave();
  }

  private openCache(actor: Actor, name: string, ctor: (() => void) | Uint8Array | undefined): void {
    const options = typeof ctor === 'function' ? { ctor } : {};
    actor.caches.set(name, $quiet(actor.own.cache(name, options)));
  }
}

/** Problems but for the capacities that the world has changed. */
export function withoutCapacities(problems: readonly Problem[]): string[] {
  return problems
    .filter(({ code, message }) => code !== 'ECACHEDESC' || !message.includes('contradicts itself'))
    .map(({ code, message }) => `${code} ${message}`);
}
