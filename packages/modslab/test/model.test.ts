// Random sequences of calls over the whole public API, on two CPUs of one thread, against a plain Map: no two live
// objects overlap, contents stay, sizes and alignment are as promised, 0 means that there is no memory, a refused call
// changes nothing, and the heap's figures are the model's.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { GFP, type Heap, type HeapOptions, SLAB, SlabError, type SlabErrorCode } from 'modslab';
import { isZero, thrownBy } from './support/heap.js';
import { World } from './support/model.js';

type Model = Record<string, never>;

/** One call, with its arguments in the counterexample. */
class Call implements fc.Command<Model, World> {
  private readonly text: string;
  private readonly act: (world: World) => void;

  constructor(text: string, act: (world: World) => void) {
    this.text = text;
    this.act = act;
  }

  check(): boolean {
    return true;
  }

  run(_: Model, world: World): void {
    this.act(world);
  }

  toString(): string {
    return this.text;
  }
}

function call<T extends unknown[]>(
  name: string,
  args: { [K in keyof T]: fc.Arbitrary<T[K]> },
  act: (world: World, ...args: T) => void,
): fc.Arbitrary<Call> {
  return fc
    .tuple<T>(...args)
    .map((values) => new Call(`${name}(${values.join(', ')})`, (world) => act(world, ...values)));
}

const cpu = fc.nat(1);
const index = fc.nat(10_000);
const count = fc.integer({ min: 0, max: 40 });
const size = fc.oneof(
  { weight: 6, arbitrary: fc.nat(300) },
  { weight: 3, arbitrary: fc.nat(6000) },
  { weight: 1, arbitrary: fc.nat(120_000) },
);
const gfp = fc.constantFrom(0, 0, 0, 0, GFP.NOWAIT, GFP.ATOMIC | GFP.NOWARN, GFP.THISNODE, GFP.ACCOUNT);
const log2 = fc.nat(14);
const badKind = fc.constantFrom('freed', 'interior', 'low', 'high', 'unaligned', 'pages');

const naturalAlignment = (bytes: number): number => (bytes < 16 ? 8 : 16);

/** A call that must throw; what lives is the same as before. */
function denied(world: World, code: SlabErrorCode, act: () => unknown): void {
  thrownBy(code, act);
  assert.equal(world.first.meminfo().live, world.liveBytes);
}

function longestFreeRun(heap: Heap): number {
  let longest = 0;
  let run = 0;
  for (let address = heap.pageSize; address < heap.u8.length; address += heap.pageSize) {
    run = heap.virtToPage(address).flags === 'free' ? run + 1 : 0;
    longest = Math.max(longest, run);
  }
  return longest;
}

/** There was no memory: then no run of so many frames is free, and nothing is left to grow into. */
function assertExhausted(world: World, frames: number, flags: number): void {
  const { size: now, maxSize } = world.first.meminfo();
  if (!world.simple && (frames > 1 || (flags & GFP.THISNODE) !== 0)) return;
  const bounded = (flags & (GFP.NOWAIT | GFP.ATOMIC)) !== 0;
  assert.ok(longestFreeRun(world.first) < frames, `0 was returned, but ${frames} frames are free`);
  if (!bounded && frames === 1) assert.equal(now, maxSize, '0 was returned before the heap had grown');
}

function allocated(world: World, address: number, bytes: number, flags: number, align: number): void {
  if (address !== 0) world.add(address, bytes, align, 'kmalloc');
  else assertExhausted(world, Math.max(1, Math.ceil(bytes / world.first.pageSize)), flags);
}

const allocations = [
  call<[number, number, number]>('kmalloc', [cpu, size, gfp], (world, on, bytes, flags) => {
    allocated(world, world.heap(on).kmalloc(bytes, flags), bytes, flags, naturalAlignment(bytes));
  }),
  call<[number, number, number]>('kzalloc', [cpu, size, gfp], (world, on, bytes, flags) => {
    const heap = world.heap(on);
    const address = heap.kzalloc(bytes, flags);
    if (address !== 0) assert.ok(isZero(heap, address, heap.ksize(address)), 'zeros');
    allocated(world, address, bytes, flags, naturalAlignment(bytes));
  }),
  call<[number, number, number]>('kcalloc', [cpu, fc.nat(50), fc.nat(100)], (world, on, n, each) => {
    const heap = world.heap(on);
    const address = heap.kcalloc(n, each);
    if (address !== 0) assert.ok(isZero(heap, address, heap.ksize(address)), 'zeros');
    allocated(world, address, n * each, 0, naturalAlignment(n * each));
  }),
  call<[number, number, number]>('kmallocAligned', [cpu, size, log2], (world, on, bytes, log) => {
    const address = world.heap(on).kmallocAligned(bytes, 2 ** log);
    if (address !== 0) world.add(address, bytes, 2 ** log, 'kmalloc');
  }),
  call<[number, number]>('kmalloc of the DMA zone', [cpu, fc.nat(9000)], (world, on, bytes) => {
    if (world.simple) return;
    const address = world.heap(on).kmalloc(bytes, GFP.DMA);
    if (address === 0) return;
    world.add(address, bytes, naturalAlignment(bytes), 'kmalloc');
    assert.ok(address >= 16 * 4096 && address < 32 * 4096, 'inside its window');
  }),
  call<[number, number, number]>('kmallocNode', [cpu, size, cpu], (world, on, bytes, wanted) => {
    const node = world.simple ? 0 : wanted;
    const address = world.heap(on).kmallocNode(bytes, GFP.THISNODE, node);
    if (address === 0) return;
    world.add(address, bytes, naturalAlignment(bytes), 'kmalloc');
    assert.equal(world.first.virtToPage(address).node, node);
  }),
  call<[number, number, number]>('kvmalloc', [cpu, fc.nat(380_000), gfp], (world, on, bytes, flags) => {
    allocated(world, world.heap(on).kvmalloc(bytes, flags), bytes, flags, naturalAlignment(bytes));
  }),
  call<[number, number]>('allocPages', [cpu, fc.nat(4)], (world, on, order) => {
    const bytes = world.first.pageSize * 2 ** order;
    const address = world.heap(on).allocPages(order);
    if (address !== 0) world.add(address, bytes, bytes, 'pages', bytes);
    else if (order === 0) assertExhausted(world, 1, 0);
  }),
  call<[number, number, number]>('kmallocBulk', [cpu, fc.nat(5000), count], (world, on, bytes, n) => {
    const out = new Uint32Array(n + 1);
    const got = world.heap(on).kmallocBulk(bytes, out, n);
    assert.ok(got === n || got === 0, 'all or nothing');
    for (let i = 0; i < got; i++) world.add(out[i], bytes, naturalAlignment(bytes), 'kmalloc');
    assert.equal(out[n], 0, 'no more than asked for');
  }),
];

function reallocate(world: World, on: number, address: number, bytes: number, zero: boolean): void {
  const { from, bytes: old, seed } = world.check(address);
  if (from === 'pages') return;
  const heap = world.heap(on);
  const moved = heap.krealloc(address, bytes, zero ? GFP.ZERO : 0);
  if (bytes === 0) {
    assert.equal(moved, 0);
    world.remove(address);
  } else if (moved === 0) {
    world.check(address);
    assert.ok(bytes > old, 'a smaller size cannot fail');
  } else if (moved !== address) {
    const kept = Math.min(old, bytes, 160);
    for (let i = 0; i < kept; i++) {
      assert.equal(heap.u8[moved + i], (seed + i * 7 + (i >>> 8)) & 0xff, `byte ${i} moved along`);
    }
    if (zero && bytes > old) assert.ok(isZero(heap, moved + old, heap.ksize(moved) - old), 'zeros behind');
    world.forget(address);
    world.add(moved, bytes, naturalAlignment(bytes), 'kmalloc');
  }
}

function freeOne(world: World, on: number, address: number, way: number): void {
  const { from, bytes } = world.check(address);
  const heap = world.heap(on);
  if (from === 'pages') heap.freePages(address, Math.log2(bytes / heap.pageSize));
  else if (from !== 'kmalloc' && way % 3 === 0) heap.cache(from).free(address);
  else if (way % 3 === 1) heap.kvfree(address);
  else heap.kfree(address);
  world.remove(address);
}

const frees = [
  call<[number, number, number]>('free', [cpu, index, fc.nat(2)], (world, on, which, way) => {
    const address = world.pick(which);
    if (address !== undefined) freeOne(world, on, address, way);
  }),
  call<[number, number, number]>('free several', [cpu, index, count], (world, on, which, n) => {
    for (let i = 0; i < n; i++) {
      const address = world.pick(which + i * 7);
      if (address !== undefined) freeOne(world, on, address, i);
    }
  }),
  call<[number, number]>('kfreeSensitive', [cpu, index], (world, on, which) => {
    const address = world.pick(which, 'kmalloc');
    if (address === undefined) return;
    const { bytes } = world.check(address);
    world.remove(address);
    world.heap(on).kfreeSensitive(address);
    assert.ok(isZero(world.first, address, bytes), 'nothing is left of it');
  }),
  call<[number, number, number]>('kfreeBulk', [cpu, index, count], (world, on, which, n) => {
    const chosen = new Set<number>();
    for (let i = 0; i < n; i++) {
      const address = world.pick(which + i * 13);
      if (address !== undefined && world.live.get(address)?.from !== 'pages') chosen.add(address);
    }
    const list = Uint32Array.from([...chosen, 0]);
    for (const address of chosen) world.check(address);
    if (chosen.size > 1 && which % 4 === 0) {
      const twice = Uint32Array.from([...chosen, list[which % chosen.size]]);
      denied(world, 'EDOUBLEFREE', () => world.heap(on).kfreeBulk(twice));
    }
    world.heap(on).kfreeBulk(list);
    for (const address of chosen) world.remove(address);
  }),
  call<[number, number, number, boolean]>(
    'krealloc',
    [cpu, index, size, fc.boolean()],
    (world, on, which, bytes, zero) => {
      const address = world.pick(which);
      if (address !== undefined) reallocate(world, on, address, bytes, zero);
    },
  ),
];

const caches = [
  call<[number, number, number, boolean]>(
    'createCache',
    [cpu, fc.integer({ min: 1, max: 9000 }), fc.constantFrom(0, 0, 64, 512), fc.boolean()],
    (world, on, bytes, align, template) => {
      const name = `cache-${world.caches.size}`;
      if (world.caches.size >= 6) return;
      if (world.caches.has(name)) return;
      const options = { name, size: bytes, align, flags: bytes % 2 === 0 ? SLAB.HWCACHE_ALIGN : 0 };
      world.heap(on).createCache(template ? { ...options, ctor: Uint8Array.of(0xab) } : options);
      world.caches.set(name, { size: bytes, template });
    },
  ),
  call<[number, number, number]>('cache.alloc', [cpu, index, gfp], (world, on, which, flags) => {
    const name = world.cacheName(which);
    if (name === undefined) return;
    const { size: bytes } = world.caches.get(name) ?? { size: 0 };
    const address = world.cacheOn(on, name).alloc(flags);
    if (address !== 0) world.add(address, bytes, naturalAlignment(bytes), name);
  }),
  call<[number, number, number]>('cache.allocBulk', [cpu, index, count], (world, on, which, n) => {
    const name = world.cacheName(which);
    if (name === undefined) return;
    const { size: bytes } = world.caches.get(name) ?? { size: 0 };
    const out = new Int32Array(n);
    const got = world.cacheOn(on, name).allocBulk(out);
    assert.ok(got === n || got === 0);
    for (let i = 0; i < got; i++) world.add(out[i] >>> 0, bytes, naturalAlignment(bytes), name);
  }),
  call<[number, number, number]>('cache.freeBulk', [cpu, index, count], (world, on, which, n) => {
    const name = world.cacheName(which);
    if (name === undefined) return;
    const chosen = new Set<number>();
    for (let i = 0; i < n; i++) {
      const address = world.pick(which + i, name);
      if (address !== undefined) chosen.add(address);
    }
    for (const address of chosen) world.check(address);
    world.cacheOn(on, name).freeBulk(Int32Array.from(chosen));
    for (const address of chosen) world.remove(address);
  }),
  call<[number, number, number]>('cache.prefill', [cpu, index, count], (world, on, which, n) => {
    const name = world.cacheName(which);
    if (name === undefined || world.aside.length > 5) return;
    try {
      world.aside.push({ cache: name, cpu: world.cpuOf(on), sheaf: world.cacheOn(on, name).prefill(n) });
    } catch (error) {
      assert.ok(error instanceof SlabError && error.code === 'ENOMEM');
    }
  }),
  call<[number, number]>('sheaf.alloc', [index, count], (world, which, n) => {
    const aside = world.aside[which % Math.max(1, world.aside.length)];
    if (aside === undefined) return;
    const { size: bytes } = world.caches.get(aside.cache) ?? { size: 0 };
    for (let i = Math.min(n, aside.sheaf.size); i > 0; i--) {
      world.add(aside.sheaf.alloc(), bytes, naturalAlignment(bytes), aside.cache);
    }
    if (n > 20) {
      aside.sheaf.release();
      world.aside.splice(world.aside.indexOf(aside), 1);
    }
  }),
  call<[number, number]>('cache.shrink', [cpu, index], (world, on, which) => {
    const name = world.cacheName(which);
    if (name !== undefined) world.cacheOn(on, name).shrink();
  }),
  call<[number, number]>('cache.destroy', [cpu, index], (world, on, which) => {
    const name = world.cacheName(which);
    if (name === undefined || world.aside.some(({ cache }) => cache === name)) return;
    const cache = world.cacheOn(on, name);
    if (world.pick(0, name) !== undefined) {
      denied(world, 'EBUSY', () => cache.destroy());
      return;
    }
    cache.destroy();
    world.caches.delete(name);
    denied(world, 'EINVAL', () => cache.alloc());
  }),
];

const wholes = [
  call<[number]>('shrink', [cpu], (world, on) => {
    world.heap(on).shrink();
  }),
  call<[]>('detach or attach', [], (world) => {
    if (world.second === undefined) world.attach();
    else world.leave((heap) => heap.detach());
  }),
  call<[]>('die and be reaped', [], (world) => {
    if (world.second === undefined) return;
    world.leave((heap) => {
      assert.equal(world.first.reap(heap.cpu).cpu, heap.cpu);
    });
  }),
  call<[number, number, string]>('bad free', [cpu, index, badKind], badFree),
];

function badFree(world: World, on: number, which: number, kind: string): void {
  const heap = world.heap(on);
  const live = world.pick(which);
  let address: number | undefined;
  if (kind === 'freed') address = world.freed[which % Math.max(1, world.freed.length)];
  else if (kind === 'interior') address = live === undefined ? undefined : live + 8;
  else if (kind === 'unaligned') address = live === undefined ? undefined : live + 3;
  else if (kind === 'low') address = 8 + (which % 4000);
  else if (kind === 'high') address = heap.u8.length + which;
  else address = world.pick(which, 'pages');
  if (address === undefined || (world.live.has(address) && kind !== 'pages')) return;
  const bad = address;
  const before = world.liveBytes;
  const calls = [() => heap.kfree(bad), () => heap.ksize(bad), () => heap.kfreeBulk(Uint32Array.of(bad))];
  assert.throws(
    calls[which % calls.length],
    (error) => error instanceof SlabError && ['EFAULT', 'EINTERIOR', 'EDOUBLEFREE'].includes(error.code),
  );
  assert.equal(heap.meminfo().live, before);
}

const HEAPS: [string, HeapOptions][] = [
  ['a shared heap with two CPUs', {}],
  ['a plain heap of fixed size', { shared: false, size: 96 * 4096, maxSize: 96 * 4096 }],
  ['a heap with nodes and a DMA zone', { nodes: 2, dma: { start: 16 * 4096, end: 32 * 4096 } }],
];

for (const [name, options] of HEAPS) {
  test(`any sequence of calls does to ${name} what it does to a Map`, () => {
    const arbitraries = [...allocations, ...frees, ...caches, ...allocations, ...frees, ...wholes];
    const commands = fc.commands(arbitraries, { maxCommands: 250, size: 'max' });
    fc.assert(
      fc.property(commands, (sequence) => {
        const world = new World(options);
        fc.modelRun(() => ({ model: {}, real: world }), sequence);
        world.checkAll();
        world.tearDown();
      }),
      // Below the 5 seconds that some runners give a test; what fails is reported with its seed and path.
      { numRuns: 120, interruptAfterTimeLimit: 3500, includeErrorInReport: true },
    );
  });
}
