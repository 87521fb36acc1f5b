// slub_kunit (Linux, lib/tests/slub_kunit.c): its twelve cases, from their description, with the counts of errors that it
// expects. One for what is wrong, and one for putting it right.
import assert from 'node:assert/strict';
import test from 'node:test';
import { GFP, Heap, type KmemCache, SLAB, type SlabFlags } from 'modslab';
import { setKillPointHook } from 'modslab/debug';
import { powersOfTwo } from 'modslab/framework';
import { cacheAt } from '#src/memory/layout.js';
import { stateAt } from '#src/slab/cacheTable.js';
import { assertSound, smallHeap } from '../support/heap.js';
import { internalsOf } from '../support/internals.js';
import { skipUnlessChecked } from '../support/killpoints.js';

interface Scene {
  readonly heap: Heap;
  readonly cache: KmemCache;
  /** Reports since the last call. */
  readonly errors: () => number;
}

function scene(flags: SlabFlags, debug = '', size = 64): Scene {
  const heap = smallHeap({ debug });
  const cache = heap.createCache({ name: 'TestSlub', size, flags: flags | SLAB.NO_MERGE });
  let before = heap.reports;
  const errors = (): number => {
    const now = heap.reports;
    const since = now - before;
    before = now;
    return since;
  };
  return { heap, cache, errors };
}

test('test_clobber_zone: a byte behind a live object', () => {
  const { heap, cache, errors } = scene(SLAB.RED_ZONE);
  const p = cache.alloc();
  heap.u8[p + 64] = 0x12;
  assert.deepEqual(
    heap.validate().map(({ code }) => code),
    ['EREDZONE'],
  );
  assert.equal(errors(), 2);
  cache.free(p);
  cache.destroy();
  assert.equal(errors(), 0, 'it was put right');
});

test('test_next_pointer: what says that an object is free', () => {
  const { heap, cache, errors } = scene(SLAB.POISON);
  const p = cache.alloc();
  cache.free(p);
  const { m, s, layout } = internalsOf(heap).metadata;
  // No pointer lies in an object, so no write of the application gets there: the test breaks the state byte.
  const state = stateAt(m, cacheAt(layout, cache.id), p >>> 3);
  s[state] = ~s[state];
  heap.validate();
  assert.equal(errors(), 3, 'the broken state, the wrong count, the count put right');
  s[state] = 0;
  heap.validate();
  assert.equal(errors(), 2, 'the count is wrong again, and put right');
  assertSound(heap);
  assert.equal(errors(), 0);
  cache.destroy();
});

test('test_first_word: a write to the first word of a freed object', () => {
  const { heap, cache, errors } = scene(SLAB.POISON);
  const p = cache.alloc();
  cache.free(p);
  heap.u8[p] = 0x78;
  assert.deepEqual(
    heap.validate().map(({ code }) => code),
    ['EPOISON'],
  );
  assert.equal(errors(), 2);
  cache.destroy();
  assert.equal(errors(), 0);
});

test('test_clobber_50th_byte: a write into the middle of a freed object', () => {
  const { heap, cache, errors } = scene(SLAB.POISON);
  const p = cache.alloc();
  cache.free(p);
  heap.u8[p + 50] = 0x9a;
  heap.validate();
  assert.equal(errors(), 2);
  cache.destroy();
  assert.equal(errors(), 0);
});

test('test_clobber_redzone_free: a write behind a freed object', () => {
  const { heap, cache, errors } = scene(SLAB.RED_ZONE);
  const p = cache.alloc();
  cache.free(p);
  heap.u8[p + 64] = 0xab;
  heap.validate();
  assert.equal(errors(), 2);
  cache.destroy();
  assert.equal(errors(), 0);
});

test('test_kmalloc_redzone_access: behind the 18 bytes asked for, within the 32 that there are', () => {
  const { heap, errors } = scene(0, 'ZU,kmalloc-*');
  const p = heap.kmalloc(18);
  assert.equal(heap.virtToPage(p).cache, 'kmalloc-32');
  heap.u8[p + 18] = 0x61;
  heap.u8[p + 19] = 0x62;
  heap.validate();
  assert.equal(errors(), 2);
  heap.kfree(p);
  assert.equal(errors(), 0);
});

test('test_kfree_rcu: an object that waits for a grace period does not keep its cache', async () => {
  for (const flags of [0, SLAB.RED_ZONE | SLAB.POISON | SLAB.STORE_USER]) {
    const { heap, cache, errors } = scene(flags);
    const p = cache.alloc();
    heap.kfreeRcu(p);
    await heap.rcuBarrier();
    assertSound(heap);
    cache.destroy();
    assertSound(heap);
    assert.equal(errors(), 0);
  }
});

test('test_kfree_rcu_wq_destroy: ten caches, destroyed at once or a little later', async () => {
  const { heap, errors } = scene(0, 'FZPU');
  for (let i = 0; i < 10; i++) {
    const cache = heap.createCache({ name: `wq-${i}`, size: 64 + i });
    const p = cache.alloc();
    heap.kfreeRcu(p);
    if (i % 2 === 1) await new Promise((resolve) => setTimeout(resolve, i));
    await heap.rcuBarrier();
    cache.destroy();
  }
  assertSound(heap);
  assert.equal(errors(), 0);
});

test('test_leak_destroy: a cache with a live object stays, and says so', () => {
  const { heap, cache, errors } = scene(0);
  const p = cache.alloc();
  assert.throws(() => cache.destroy(), { code: 'EBUSY' });
  assert.equal(errors(), 2, 'for the slab with the object, and for the cache');
  cache.free(p);
  cache.destroy();
  assertSound(heap);
  assert.equal(errors(), 0);
});

test('test_krealloc_redzone_zeroing: what is grown into is zero, what is given up is a zone', () => {
  const heap = smallHeap({ debug: 'ZU', sizeClasses: powersOfTwo(8) });
  const errors = (): number => heap.reports;
  const bytes = (p: number, from: number, to: number): number[] => [
    ...new Set(heap.u8.subarray(p + from, p + to)),
  ];
  let p = heap.kmalloc(48, GFP.ZERO);
  heap.u8.fill(0xff, p, p + 48);
  p = heap.krealloc(p, 40, GFP.ZERO);
  assert.deepEqual(bytes(p, 40, 64), [0xcc]);
  const q = heap.krealloc(p, 56, GFP.ZERO);
  assert.equal(q, p, 'in place');
  assert.deepEqual(bytes(p, 0, 40), [0xff]);
  assert.deepEqual(bytes(p, 40, 56), [0]);
  assert.deepEqual(bytes(p, 56, 64), [0xcc]);
  p = heap.krealloc(p, 112, GFP.ZERO);
  assert.deepEqual(bytes(p, 0, 40), [0xff]);
  assert.deepEqual(bytes(p, 40, 112), [0]);
  assert.deepEqual(bytes(p, 112, heap.virtToPage(p).cache === 'kmalloc-128' ? 128 : 112), [0xcc]);
  assertSound(heap);
  heap.kfree(p);
  assert.equal(errors(), 0);
});

/**
 * Many allocations and frees, while another CPU, which never waits, allocates and frees at every step of them: as the handler
 * of an interrupt or of a kprobe does in the kernel's test.
 */
function nolock(debug: string, alloc: (heap: Heap) => number, free: (heap: Heap, p: number) => void): void {
  const { heap, errors } = scene(0, debug);
  using other = Heap.attach(heap.handle);
  let interrupted = false;
  let calls = 0;
  setKillPointHook(() => {
    if (interrupted) return;
    interrupted = true;
    const p = other.kmalloc(64, GFP.NOWAIT);
    if (p !== 0) other.kfree(p);
    calls++;
    interrupted = false;
  });
  try {
    const objects = new Array<number>(100).fill(0);
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < objects.length; i++) objects[i] = alloc(heap);
      for (const p of objects) if (p !== 0) free(heap, p);
    }
  } finally {
    setKillPointHook(undefined);
  }
  assert.ok(calls > 0);
  assertSound(heap);
  assert.equal(errors(), 0);
}

test('test_kmalloc_kfree_nolock', { skip: skipUnlessChecked }, () => {
  for (const debug of ['', 'FZPU'])
    nolock(
      debug,
      (heap) => heap.kmalloc(64),
      (heap, p) => heap.kfree(p),
    );
});

test('test_kmalloc_kfree_nolock_kprobe: and without waiting on either side', {
  skip: skipUnlessChecked,
}, () => {
  for (const debug of ['', 'FZPU'])
    nolock(
      debug,
      (heap) => heap.kmalloc(64, GFP.NOWAIT),
      (heap, p) => heap.kfree(p),
    );
});
