// What happens before an allocation gives up: shrinkers are asked, NOFAIL waits. (memoryPressure.test.ts has the rest.)
import assert from 'node:assert/strict';
import test from 'node:test';
import { GFP, Heap } from 'modslab';
import { H_WAITERS } from '#src/memory/layout.js';
import { announceWaiter } from '#src/memory/waiters.js';
import { assertSound, exhaust, MIB, refused, smallHeap, thrownBy, wrong } from './support/heap.js';
import { internalsOf } from './support/internals.js';
import { boardFor } from './support/rounds.js';
import { LIMIT, skipUnlessDeathIsTold, Thread, until } from './support/thread.js';

/** A cache of an application: pages that it can do without. */
class Hoard {
  readonly asked: number[] = [];
  counted = 0;
  private readonly heap: Heap;
  private readonly pages: number[];

  constructor(heap: Heap, pages: number[]) {
    this.heap = heap;
    this.pages = pages;
  }

  get size(): number {
    return this.pages.length;
  }

  count(): number {
    this.counted++;
    return this.pages.length;
  }

  scan(n: number): number {
    this.asked.push(n);
    const freed = this.pages.splice(0, n);
    for (const address of freed) this.heap.kfree(address);
    return freed.length;
  }
}

const fullHeap = (): { heap: Heap; hoard: Hoard } => {
  const heap = smallHeap({ maxSize: MIB });
  return {
    heap,
    hoard: new Hoard(
      heap,
      exhaust(() => heap.kmalloc(4096)),
    ),
  };
};

test('a shrinker is asked for an eighth of what it counts, and for more only if that does not help', () => {
  const { heap, hoard } = fullHeap();
  heap.registerShrinker(hoard);
  assert.notEqual(heap.kmalloc(64), 0);
  assert.deepEqual(hoard.asked, [Math.ceil(255 / 8)]);
  exhaust(() => (hoard.asked.length > 1 ? 0 : heap.kmalloc(4096)));
  assert.equal(hoard.asked.length, 2);
  assert.equal(hoard.asked[1], Math.ceil(223 / 8));
  assertSound(heap);
});

test('for a large object a shrinker is asked until it has nothing left', () => {
  const { heap, hoard } = fullHeap();
  heap.registerShrinker(hoard);
  assert.notEqual(heap.kvmalloc(250 * 4096), 0);
  assert.deepEqual(hoard.asked, [32, 56, 84, 83], 'an eighth, a quarter, half, all');
  assert.equal(hoard.size, 0);
  assert.equal(heap.kmalloc(100 * 4096), 0);
  assertSound(heap);
});

test('every way to allocate asks the shrinkers before it gives up', () => {
  const ways: [string, (heap: Heap) => unknown][] = [
    ['kmalloc', (heap) => heap.kmalloc(5000)],
    ['kzalloc', (heap) => heap.kzalloc(64)],
    ['kmallocNode', (heap) => heap.kmallocNode(64, 0, 0)],
    ['kmallocAligned', (heap) => heap.kmallocAligned(64, 8192)],
    ['krealloc', (heap) => heap.krealloc(0, 64)],
    ['kvmalloc', (heap) => heap.kvmalloc(600_000)],
    ['allocPages', (heap) => heap.allocPages(2)],
    ['kmallocBulk', (heap) => heap.kmallocBulk(64, new Uint32Array(5))],
    ['cache.alloc', (heap) => heap.createCache({ name: 'x', size: 500 }).alloc()],
    ['group.kmalloc', (heap) => heap.createGroup().kmalloc(500)],
    ['group.kmalloc of pages', (heap) => heap.createGroup().kmalloc(9000)],
  ];
  for (const [name, allocate] of ways) {
    const { heap, hoard } = fullHeap();
    heap.registerShrinker(hoard);
    assert.ok(allocate(heap), name);
    assert.ok(hoard.asked.length > 0, name);
    assertSound(heap);
  }
});

test('allocInto asks the shrinkers too', () => {
  const heap = smallHeap({ maxSize: MIB });
  const slot = heap.kzalloc(64);
  const hoard = new Hoard(
    heap,
    exhaust(() => heap.kmalloc(4096)),
  );
  heap.registerShrinker(hoard);
  assert.notEqual(heap.allocInto(slot, 5000), 0);
  assert.ok(hoard.asked.length > 0);
});

test('no shrinker runs with NOWAIT or ATOMIC, while there is memory, on another thread, or once unregistered', () => {
  const { heap, hoard } = fullHeap();
  const other = Heap.attach(heap.handle);
  const unregister = heap.registerShrinker(hoard);
  for (const gfp of [GFP.NOWAIT, GFP.ATOMIC, GFP.NOWAIT | GFP.ZERO]) assert.equal(heap.kmalloc(64, gfp), 0);
  assert.equal(other.kmalloc(64), 0);
  unregister();
  unregister();
  assert.equal(heap.kmalloc(64), 0);
  assert.equal(hoard.counted, 0);
  heap.registerShrinker(hoard);
  hoard.scan(1);
  assert.notEqual(heap.kmalloc(64), 0);
  assert.equal(hoard.counted, 0);
});

test('a shrinker may allocate and free; it is never called inside itself', () => {
  const { heap, hoard } = fullHeap();
  let depth = 0;
  heap.registerShrinker({
    count: () => hoard.size,
    scan(n) {
      assert.equal(depth++, 0);
      assert.equal(heap.kmalloc(100_000), 0, 'no memory, and nobody is asked for it');
      const freed = hoard.scan(n);
      heap.kfree(heap.kmalloc(64));
      depth--;
      return freed;
    },
  });
  assert.notEqual(heap.kmalloc(4096), 0);
  assertSound(heap);
});

test('what a shrinker throws comes out of the call; the heap is sound, and goes on', () => {
  const { heap, hoard } = fullHeap();
  const unregister = heap.registerShrinker({
    count: () => 1,
    scan: () => {
      throw new Error('of the user');
    },
  });
  assert.throws(() => heap.kmalloc(64), /of the user/);
  assert.throws(() => heap.createGroup({ name: 'g' }).kmalloc(64), /of the user/);
  assert.equal(heap.group('g').usage, 0);
  assertSound(heap);
  unregister();
  heap.registerShrinker(hoard);
  assert.notEqual(heap.kmalloc(64), 0);
});

test('a shrinker that frees nothing, or detaches its heap, does not keep the call', () => {
  const { heap } = fullHeap();
  heap.registerShrinker({ count: () => 1000, scan: () => 0 });
  heap.registerShrinker({ count: () => 1000, scan: () => 7 });
  heap.registerShrinker({ count: () => 0, scan: () => assert.fail('it has nothing') });
  assert.equal(heap.kmalloc(64), 0);
  heap.registerShrinker({
    count: () => 1,
    scan: () => {
      heap.detach();
      return 1;
    },
  });
  thrownBy('ESHUTDOWN', () => heap.kmalloc(64));
});

test('what is no shrinker is refused', () => {
  const heap = smallHeap();
  for (const nothing of [undefined, null, {}, { count: () => 1 }, { scan: () => 1, count: 3 }])
    refused(heap, TypeError, () => heap.registerShrinker(wrong(nothing)));
});

test('memory that is given back wakes who waits for it: pages, slabs, groups', async (t) => {
  const heap = smallHeap({ maxSize: MIB });
  const { m } = internalsOf(heap).metadata;
  const cache = heap.createCache({ name: 'x', size: 1000 });
  const objects = Array.from({ length: 40 }, () => cache.alloc());
  const page = heap.kmalloc(9000);
  const group = heap.createGroup();
  group.kmalloc(9000);
  const givers = [
    () => heap.kfree(page),
    () => void group.free(),
    () => {
      cache.free(objects[0]);
      heap.shrink();
    },
  ];
  // Deno does not stay alive for what only Atomics.waitAsync would end.
  const alive = setInterval(() => undefined, 1000);
  t.after(() => clearInterval(alive));
  for (const give of givers) {
    announceWaiter(m);
    const { async, value } = Atomics.waitAsync(m, H_WAITERS, 1, 100_000);
    assert.ok(async);
    give();
    assert.equal(await value, 'ok', 'woken, not timed out');
    assert.equal(m[H_WAITERS], 0);
  }
});

test('NOFAIL on a worker waits until there is memory', LIMIT, async () => {
  const heap = smallHeap({ maxSize: MIB });
  const pages = exhaust(() => heap.kmalloc(4096));
  const board = boardFor({ maxSize: MIB }, 1);
  const thread = new Thread();
  try {
    for (const size of [64, 20_000]) {
      const address = thread.run('wait.nofail', heap.handle, board, { size });
      await until(() => internalsOf(heap).metadata.m[H_WAITERS] === 1, 'a waiter', board);
      for (const page of pages.splice(0, 6)) heap.kfree(page);
      assert.notEqual(await address, 0);
      heap.kfree(Number(await address));
      pages.push(...exhaust(() => heap.kmalloc(4096)));
    }
  } finally {
    await thread.kill();
  }
});

test('a waiter that is killed does no harm', { ...LIMIT, skip: skipUnlessDeathIsTold }, async () => {
  const heap = smallHeap({ maxSize: MIB });
  const pages = exhaust(() => heap.kmalloc(4096));
  const { m } = internalsOf(heap).metadata;
  const board = boardFor({ maxSize: MIB }, 1);
  for (let i = 0; i < 2; i++) {
    const thread = new Thread();
    thread.launch('wait.nofail', heap.handle, board, { size: 64 });
    await thread.until(() => m[H_WAITERS] === 1, 'a waiter', board);
    await thread.kill();
    for (const { cpu, online } of heap.cpus()) if (online && cpu !== heap.cpu) heap.reap(cpu);
    assertSound(heap);
    heap.kfree(pages.pop() ?? 0);
    assert.equal(m[H_WAITERS], 0);
    pages.push(heap.kmalloc(4096));
  }
});
