// Objects that are left pending in a slab which somebody else holds: who left them is forgotten when they are collected.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Heap } from 'modslab';
import { setKillPointHook } from 'modslab/debug';
import { entryOf } from '#src/memory/entry.js';
import { CPU_PENDING_ENTRY, cacheAt, cpuAt } from '#src/memory/layout.js';
import { PENDING } from '#src/page/page.js';
import { stateAt } from '#src/slab/cacheTable.js';
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
