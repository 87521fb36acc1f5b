// What a CPU leaves behind that dies between two steps which no kill point parts: set by hand here, then reaped.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Heap } from 'modslab';
import { setKillPointHook } from 'modslab/debug';
import { entryOf } from '#src/memory/entry.js';
import { C_OBJECTS, CPU_PENDING_ENTRY, cacheAt, cpuAt, pageAt } from '#src/memory/layout.js';
import { PAGE_FIRST_FREE, PENDING } from '#src/page/page.js';
import { stateAt } from '#src/slab/cacheTable.js';
import { dieAt } from './support/deaths.js';
import { assertSound, smallHeap } from './support/heap.js';
import { internalsOf } from './support/internals.js';
import { skipUnlessChecked } from './support/killpoints.js';

const options = { skip: skipUnlessChecked };

/** Does something once, while `heap` holds a slab. */
function whileHolding(act: () => void): void {
  let done = false;
  setKillPointHook((name) => {
    if (done || name !== 'slab.taking') return;
    done = true;
    act();
  });
}

test(
  'a CPU that died just after it left an object pending is no cause for its reaper to touch that object later',
  options,
  () => {
    const heap = smallHeap();
    const cache = heap.createCache({ name: 'pended', size: 64 });
    const { metadata } = internalsOf(heap);
    const { m, s, layout } = metadata;
    const objects = [cache.alloc()];
    const entry = entryOf(objects[0]);
    const state = stateAt(m, cacheAt(layout, cache.id), entry);
    const dead = Heap.attach(heap.handle);
    const named = cpuAt(layout, dead.cpu) + CPU_PENDING_ENTRY;
    let isPended = false;
    whileHolding(() => {
      dead.cache('pended').free(objects[0]);
      dead.shrink();
      assert.equal(s[state], PENDING, 'its slab is held by the other CPU');
      // As it stands between the last two steps of leaving it.
      m[named] = entry;
      isPended = true;
    });
    try {
      while (!isPended && objects.length < 1000) objects.push(cache.alloc());
    } finally {
      setKillPointHook(undefined);
    }
    while (s[state] === PENDING && objects.length < 1000) objects.push(cache.alloc());
    assert.ok(objects.length < 1000);
    assert.equal(m[named], 0, 'whoever collects the object clears the entry');
    heap.reap(dead.cpu);
    for (const object of objects.slice(1)) cache.free(object);
    cache.destroy();
    assertSound(heap);
  },
);

test(
  'the first-free hint of a dead CPU is not believed: its plain stores may come in another order',
  options,
  () => {
    const heap = smallHeap();
    const cache = heap.createCache({ name: 'hinted', size: 64 });
    const { m, layout } = internalsOf(heap).metadata;
    const dead = Heap.attach(heap.handle);
    const theirs = dead.cache('hinted');
    const kept = theirs.alloc();
    const more: number[] = [];
    assert.ok(
      dieAt(/^slab\.taking$/, 1, () => {
        while (more.length < 1000) more.push(theirs.alloc());
      }),
    );
    const head = heap.virtToPage(kept).pfn;
    m[pageAt(layout, head) + PAGE_FIRST_FREE] = m[cacheAt(layout, cache.id) + C_OBJECTS];
    heap.reap(dead.cpu);
    assertSound(heap);
    const perSlab = m[cacheAt(layout, cache.id) + C_OBJECTS];
    const objects = Array.from({ length: 20 * perSlab }, () => cache.alloc());
    const found = [kept, ...more, ...objects].filter((object) => heap.virtToPage(object).pfn === head);
    assert.equal(found.length, perSlab, 'all objects of the slab are handed out');
    for (const object of [kept, ...more, ...objects]) cache.free(object);
    cache.destroy();
    assertSound(heap);
  },
);
