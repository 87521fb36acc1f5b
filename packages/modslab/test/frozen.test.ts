// Damaged metadata: a slab that fails a consistency check is frozen, reported once, never allocated from again; the rest
// goes on.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Heap, type KmemCache } from 'modslab';
import { setKillPointHook } from 'modslab/debug';
import * as L from '#src/memory/layout.js';
import * as P from '#src/page/page.js';
import { firstStateAt } from '#src/slab/cacheTable.js';
import { smallHeap } from './support/heap.js';
import { internalsOf } from './support/internals.js';
import { skipUnlessChecked } from './support/killpoints.js';

interface Scene {
  readonly heap: Heap;
  readonly cache: KmemCache;
  readonly m: Int32Array;
  readonly s: Uint8Array;
  /** A slab with free and live objects, nobody's. */
  readonly pfn: number;
  readonly page: number;
  readonly states: number;
  readonly live: number[];
}

/** A cache of 8 objects of 512 bytes a slab; the second of its slabs has 3 live objects, the first is full. */
function scene(): Scene {
  // So small that no slab is left to the CPU that has used it last.
  const heap = smallHeap({ size: 2 ** 19, maxSize: 2 ** 19 });
  const cache = heap.createCache({ name: 'victim', size: 512 });
  // As many as a sheaf takes at a time, so that four slabs are full but for what the sheaf keeps.
  const all = Array.from({ length: 28 }, () => cache.alloc()).sort((a, b) => a - b);
  const live = all.slice(8, 11);
  for (const address of all.slice(11, 16)) cache.free(address);
  heap.shrink();
  const { m, s, layout } = internalsOf(heap).metadata;
  const pfn = Math.floor(live[0] / 4096);
  const page = L.pageAt(layout, pfn);
  assert.equal(m[page + P.PAGE_CLAIM] & P.COUNT_MASK, 5);
  return { heap, cache, m, s, pfn, page, states: firstStateAt(m, L.cacheAt(layout, cache.id), pfn), live };
}

const inSlab = ({ pfn }: Scene, address: number): boolean => Math.floor(address / 4096) === pfn;
const codes = (heap: Heap): string[] => heap.validate().map(({ code }) => code);

/** The slab is out of use; everything else works. */
function assertFrozen(it: Scene): void {
  const { heap, cache, m, page, live } = it;
  assert.notEqual(m[page + P.PAGE_CLAIM] & P.CLAIM_FROZEN, 0);
  assert.equal(P.ownerOf(m[page + P.PAGE_CLAIM]), 0);
  assert.equal(heap.reports, 1);
  for (let i = 0; i < 3; i++) assert.deepEqual(codes(heap), ['EFROZEN'], 'each validation names it');
  assert.match(heap.validate()[0].message, /'victim'.*out of use/);
  const more = Array.from({ length: 100 }, () => cache.alloc());
  assert.ok(
    more.every((address) => address !== 0 && !inSlab(it, address)),
    'never allocated from again',
  );
  for (const address of [...more, ...live]) cache.free(address);
  heap.shrink();
  assert.ok(Array.from({ length: 100 }, () => cache.alloc()).every((address) => !inSlab(it, address)));
  assert.deepEqual(codes(heap), ['EFROZEN']);
  assert.equal(heap.reports, 1, 'reported once');
  const other = Heap.attach(heap.handle);
  other.kfree(other.kmalloc(512));
  other.detach();
  assert.deepEqual(codes(heap), ['EFROZEN']);
}

const DAMAGE: [string, (it: Scene) => void, string][] = [
  [
    'a state that means nothing',
    ({ s, states }) => {
      s[states + 5] = 77;
    },
    'ESLAB',
  ],
  [
    'a count above the free objects',
    ({ m, page }) => {
      m[page + P.PAGE_CLAIM] += 2;
    },
    'ECOUNT',
  ],
  [
    'a count below the free objects',
    ({ m, page }) => {
      m[page + P.PAGE_CLAIM] -= 2;
    },
    'ECOUNT',
  ],
  [
    'a live object that became free',
    ({ s, states }) => {
      s[states] = P.FREE;
    },
    'ECOUNT',
  ],
  [
    'a first-free hint too high',
    ({ m, page }) => {
      m[page + P.PAGE_FIRST_FREE] = 7;
    },
    'ESLAB',
  ],
];

for (const [what, damage, code] of DAMAGE) {
  test(`validate freezes a slab with ${what}`, () => {
    const it = scene();
    damage(it);
    assert.equal(it.heap.reports, 0);
    assert.deepEqual(codes(it.heap), [code]);
    if (what.startsWith('a live')) it.live.shift();
    assertFrozen(it);
  });
}

test('an allocation that finds a slab with fewer free objects than it counts freezes it, and goes on with another', () => {
  for (const damage of [
    (it: Scene): void => {
      it.m[it.page + P.PAGE_CLAIM] += 3;
    },
    (it: Scene): void => {
      it.m[it.page + P.PAGE_FIRST_FREE] = 7;
    },
  ]) {
    const it = scene();
    damage(it);
    const got = Array.from({ length: 40 }, () => it.cache.alloc());
    assert.equal(it.heap.reports, 1);
    assert.equal(new Set(got).size, 40);
    it.live.push(...got.filter((address) => inSlab(it, address)));
    for (const address of got) if (!inSlab(it, address)) it.cache.free(address);
    assertFrozen(it);
  }
});

test('a parked slab that is damaged is frozen too', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'victim', size: 512 });
  for (const address of Array.from({ length: 40 }, () => cache.alloc())) cache.free(address);
  const other = Heap.attach(heap.handle);
  other.detach();
  const { m, s, layout } = internalsOf(heap).metadata;
  const { sheaves } = internalsOf(heap);
  sheaves.close(cache.id);
  const parked = m[L.cacheAt(layout, cache.id) + L.C_PARKED];
  assert.notEqual(parked, 0);
  s[firstStateAt(m, L.cacheAt(layout, cache.id), parked) + 2] = 99;
  assert.ok(codes(heap).includes('ESLAB'));
  assert.equal(heap.reports, 1);
  assert.deepEqual(codes(heap), ['EFROZEN']);
  const objects = Array.from({ length: 100 }, () => cache.alloc());
  assert.ok(objects.every((address) => Math.floor(address / 4096) !== parked));
});

const killOptions = { skip: skipUnlessChecked };

/** Runs `act`, which is killed at its first passage of the point. */
function killedAt(point: string, act: () => void): void {
  setKillPointHook((name) => {
    if (name !== point) return;
    setKillPointHook(undefined);
    throw new Error('killed');
  });
  assert.throws(act, /killed/);
}

test('reap freezes a slab of the dead that it cannot recount', killOptions, () => {
  const it = scene();
  const { heap, s, states, pfn } = it;
  const dead = Heap.attach(heap.handle);
  killedAt('slab.taking', () => dead.cache('victim').alloc());
  assert.equal(heap.virtToPage(pfn * 4096).cpu, dead.cpu);
  s[states + 6] = 55;
  heap.reap(dead.cpu);
  assertFrozen(it);
});

test('a thread killed while it freezes a slab: the reap does the rest', killOptions, () => {
  const it = scene();
  const dead = Heap.attach(it.heap.handle);
  it.s[it.states + 5] = 77;
  // (Validation never throws: it lists the exception.)
  setKillPointHook((name) => {
    if (name !== 'slab.frozen') return;
    setKillPointHook(undefined);
    throw new Error('killed');
  });
  assert.ok(dead.validate().some(({ message }) => message === 'killed'));
  it.heap.reap(dead.cpu);
  assertFrozen(it);
});

test('a damaged slab of a group is frozen, and the group can be freed', () => {
  const heap = smallHeap();
  const group = heap.createGroup();
  const address = group.kmalloc(500);
  group.kmalloc(9000);
  const { m, layout } = internalsOf(heap).metadata;
  m[L.pageAt(layout, Math.floor(address / 4096)) + P.PAGE_CLAIM] -= 1;
  assert.ok(codes(heap).includes('ECOUNT'));
  group.free();
  assert.deepEqual(codes(heap), ['EFROZEN']);
  assert.deepEqual(heap.groups(), []);
  assert.equal(heap.createGroup().usage, 0);
});
