/**
 * Interleavings made by hand. One thread plays several CPUs of a heap: when one of them comes to a kill point, the hook
 * lets the others act right there, or ends the CPU by throwing, after which it never runs again. So each of these
 * schedules, found by review, is the same every time.
 *
 * A test that needs a kill point which this build does not have is skipped.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Address, Heap, type HeapOptions, SlabError } from 'modslab';
import { KILL_POINTS, setKillPointHook } from 'modslab/debug';
import { assertEmpty, assertSound } from './support/accounts.ts';
import { skipUnlessChecked } from './support/killpoints.ts';

const PAGE = 4096;
const options: HeapOptions = { size: 24 * PAGE, maxSize: 1000 * PAGE, pageSize: PAGE, cpus: 6, caches: 32 };

/** What ends a CPU of this thread in the middle of an operation. */
class Killed extends Error {}

/** For node:test: skipped without kill points, or without one of these. */
function needs(...points: string[]): { skip: string | false } {
  const missing = points.filter((point) => !KILL_POINTS.includes(point));
  return { skip: missing.length > 0 ? `this build has no kill point ${missing}` : skipUnlessChecked };
}

/** Runs `act`; at its first passage of `point`, runs `there`. */
function interrupted(point: string, act: () => void, there: () => void): void {
  let reached = false;
  setKillPointHook((name) => {
    if (name !== point) return;
    reached = true;
    setKillPointHook(undefined);
    there();
  });
  try {
    act();
  } finally {
    setKillPointHook(undefined);
  }
  assert.ok(reached, `kill point '${point}' was passed`);
}

/** Runs `act`, whose CPU dies at its first passage of `point`. */
function killedAt(point: string, act: () => void): void {
  const run = (): void =>
    interrupted(point, act, () => {
      throw new Killed();
    });
  assert.throws(run, Killed);
}

const allocate = (n: number, one: () => Address): Address[] => Array.from({ length: n }, one);

test('frames that a stopped thread has claimed are no room to grow into', needs('frames.claimed-all'), () => {
  const heap = Heap.create({ ...options, size: 101 * PAGE });
  const stopped = Heap.attach(heap.handle);
  killedAt('frames.claimed-all', () => stopped.kvmalloc(95 * PAGE));
  const address = heap.kvmalloc(200 * PAGE);
  assert.notEqual(address, 0, '200 pages of the 899 that nobody has claimed');
  heap.kvfree(address);
  heap.reap(stopped.cpu);
  assertEmpty(heap);
});

test('a cache whose destroyer has died comes to its end', needs('cache.dying'), () => {
  const heap = Heap.create(options);
  const user = Heap.attach(heap.handle);
  const destroyer = Heap.attach(heap.handle);
  destroyer.createCache({ name: 'x', size: 1024 });
  const cache = user.cache('x');
  cache.free(cache.alloc());
  killedAt('cache.dying', () => destroyer.cache('x').destroy());
  heap.reap(destroyer.cpu);
  // The user's next slow path, which large objects are, gives up its sheaf of the destroyed cache.
  user.kfree(user.kmalloc(5 * PAGE));
  assert.equal(heap.meminfo().footprint, 0);
  user.detach();
  assertEmpty(heap);
});

test('a holder killed while it collects pending objects', needs('slab.claimed', 'slab.collecting'), () => {
  // So small that no slab is left to the CPU that has used it last.
  const heap = Heap.create({ ...options, size: 101 * PAGE, maxSize: 101 * PAGE });
  const other = Heap.attach(heap.handle);
  const holder = Heap.attach(heap.handle);
  const address = other.kmalloc(1024);
  other.shrink();
  const refill = (): void => void holder.kmalloc(1024);
  // While the holder takes objects from the slab, another CPU leaves one pending in it.
  const leaveOne = (): void =>
    interrupted('slab.claimed', refill, () => {
      other.kfree(address);
      other.shrink();
      setKillPointHook((name) => {
        if (name === 'slab.collecting') throw new Killed();
      });
    });
  assert.throws(leaveOne, Killed);
  heap.reap(holder.cpu);
  assertSound(heap, 'after the reap');
  other.detach();
  assertEmpty(heap);
});

test('shrink of a cache whose number another cache gets meanwhile', needs('slab.shrinking'), () => {
  const heap = Heap.create(options);
  const other = Heap.attach(heap.handle);
  const old = heap.createCache({ name: 'old', size: 2048 });
  let live: Address[] = [];
  interrupted(
    'slab.shrinking',
    () => heap.shrink(),
    () => {
      other.cache('old').destroy();
      // 8 objects a slab; one slab with as many free ones as a slab of the old cache had in all.
      const cache = other.createCache({ name: 'new', size: 512 });
      assert.equal(cache.id, old.id);
      live = allocate(40, () => cache.alloc()).sort((a, b) => a - b);
      for (const address of live.splice(0, 2)) cache.free(address);
      other.shrink();
    },
  );
  const cache = heap.cache('new');
  assert.equal(cache.stats().live, live.length, 'live objects after the shrink');
  for (const address of live) cache.free(address);
  cache.destroy();
  other.detach();
  assertEmpty(heap);
});

test('allocation from a cache whose number another cache gets meanwhile', needs('sheaf.opening'), () => {
  const heap = Heap.create(options);
  const user = Heap.attach(heap.handle);
  heap.createCache({ name: 'old', size: 64 });
  const cache = user.cache('old');
  const misled = (): void =>
    interrupted(
      'sheaf.opening',
      () => void cache.alloc(),
      () => {
        heap.cache('old').destroy();
        heap.createCache({ name: 'new', size: 32 });
      },
    );
  assert.throws(misled, (error: unknown) => error instanceof SlabError && error.code === 'EINVAL');
  heap.cache('new').destroy();
  user.detach();
  assertEmpty(heap);
});
