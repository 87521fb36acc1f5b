// allocInto and freeFrom: an object and the word that names it, in one step, whatever is killed.
import assert from 'node:assert/strict';
import test from 'node:test';
import { GFP, type Heap } from 'modslab';
import {
  assertSound,
  exhaust,
  fill,
  isZero,
  MIB,
  picture,
  refused,
  smallHeap,
  wrong,
} from './support/heap.js';
import { killAtEach, type Plan } from './support/killEach.js';
import { skipUnlessChecked } from './support/killpoints.js';

/** An object of zeros to have slots in. */
const table = (heap: Heap, bytes = 64): number => heap.kzalloc(bytes);
const slotOf = (heap: Heap, slot: number): number => heap.u32[slot / 4];
const setSlot = (heap: Heap, slot: number, value: number): void => {
  heap.u32[slot / 4] = value;
};

test('allocInto stores the address of a new object, freeFrom frees it and clears the slot', () => {
  const heap = smallHeap();
  const slots = table(heap);
  for (const [i, size] of [0, 8, 64, 100, 2048, 5000, 300_000].entries()) {
    const slot = slots + 4 * i;
    const address = heap.allocInto(slot, size);
    assert.notEqual(address, 0);
    assert.equal(slotOf(heap, slot), address);
    assert.ok(heap.ksize(address) >= size);
    fill(heap, address, size);
  }
  assertSound(heap);
  for (let i = 0; i < 7; i++) {
    const address = slotOf(heap, slots + 4 * i);
    assert.equal(heap.freeFrom(slots + 4 * i), address);
    assert.equal(slotOf(heap, slots + 4 * i), 0);
    assert.equal(heap.freeFrom(slots + 4 * i), 0, 'an empty slot');
    assert.throws(() => heap.kfree(address), /EDOUBLEFREE/);
  }
  heap.kfree(slots);
  heap.shrink();
  assert.equal(heap.meminfo().footprint, 0);
  assertSound(heap);
});

test('a slot may lie anywhere in an object, a large one or pages too', () => {
  const heap = smallHeap();
  for (const home of [heap.kzalloc(4096 * 5), heap.allocPages(1, GFP.ZERO), heap.kzalloc(96)]) {
    for (const offset of [0, 4, 92, home % 8192 === 0 ? 8188 : 60]) {
      const slot = home + Math.min(offset, 92);
      heap.allocInto(slot, 32);
      heap.freeFrom(slot);
    }
  }
  assertSound(heap);
});

test('gfp: zeros, no growth, the DMA zone', () => {
  const heap = smallHeap({ dma: { start: MIB / 2, end: MIB } });
  const slot = table(heap);
  for (const size of [100, 9000]) {
    const dirty = heap.kmalloc(size);
    heap.view(dirty, size).fill(0xff);
    heap.kfree(dirty);
    heap.shrink();
    assert.ok(isZero(heap, heap.allocInto(slot, size, GFP.ZERO), size));
    heap.freeFrom(slot);
    const address = heap.allocInto(slot, size, GFP.DMA);
    assert.ok(address >= MIB / 2 && address < MIB);
    heap.freeFrom(slot);
  }
  exhaust(() => heap.kmalloc(4096, GFP.NOWAIT));
  const { size } = heap.meminfo();
  assert.equal(heap.allocInto(slot, 100_000, GFP.NOWAIT), 0);
  assert.equal(slotOf(heap, slot), 0);
  assert.equal(heap.meminfo().size, size);
});

test('a slot that is not empty, not a slot, or in nothing live is refused; so is a wrong object to free', () => {
  const heap = smallHeap();
  const home = table(heap);
  const object = heap.allocInto(home, 64);
  refused(heap, 'EBUSY', () => heap.allocInto(home, 64));
  refused(heap, 'EINVAL', () => heap.allocInto(home + 2, 64));
  refused(heap, 'EINVAL', () => heap.freeFrom(home + 1));
  refused(heap, RangeError, () => heap.allocInto(home + 4, -1));
  refused(heap, TypeError, () => heap.allocInto(wrong('slot'), 8));
  for (const slot of [0, 4, 2 ** 31, heap.kmalloc(64) + 4096 * 20]) {
    refused(heap, 'EFAULT', () => heap.allocInto(slot, 8));
    refused(heap, 'EFAULT', () => heap.freeFrom(slot));
  }
  const gone = heap.kmalloc(64);
  heap.kfree(gone);
  refused(heap, 'EFAULT', () => heap.allocInto(gone, 8));
  for (const [value, code] of [
    [gone, 'EDOUBLEFREE'],
    [object + 8, 'EINTERIOR'],
    [heap.kmalloc(9000) + 4096, 'EINTERIOR'],
    [0x7ffffff0, 'EFAULT'],
  ] as const) {
    setSlot(heap, home + 8, value);
    refused(heap, code, () => heap.freeFrom(home + 8));
    assert.equal(slotOf(heap, home + 8), value, 'the slot stays as it is');
  }
});

test('without memory allocInto returns 0 and the slot stays empty', () => {
  const heap = smallHeap({ maxSize: MIB });
  const slot = table(heap);
  exhaust(() => heap.kmalloc(4096));
  exhaust(() => heap.kmalloc(64));
  const before = picture(heap);
  for (const size of [64, 50_000]) assert.equal(heap.allocInto(slot, size), 0);
  assert.deepEqual(picture(heap), before);
  assertSound(heap);
});

test('freeFrom of an object that is charged to a group uncharges it', () => {
  const heap = smallHeap();
  const group = heap.createGroup();
  const slot = table(heap);
  for (const size of [64, 9000]) {
    setSlot(heap, slot, group.kmalloc(size));
    heap.freeFrom(slot);
    assert.equal(group.usage, 0);
  }
  assertSound(heap);
});

interface Scene {
  readonly slot: number;
  readonly live: number;
}

const prepare = (heap: Heap, fillSlot: (slot: number) => void): Scene => {
  const slot = heap.kzalloc(64);
  for (let i = 0; i < 3; i++) heap.kmalloc(100);
  fillSlot(slot);
  return { slot, live: heap.meminfo().live };
};

const allocating = (size: number): Plan<Scene> => ({
  prepare: (heap) => prepare(heap, () => {}),
  act: ({ slot }, victim) => void victim.allocInto(slot, size),
  after: ({ slot, live }, heap, point) => {
    const address = slotOf(heap, slot);
    if (address === 0) {
      assert.equal(heap.meminfo().live, live, 'nothing is lost');
      assert.ok(point !== 'link.published' && point !== '', point);
      heap.allocInto(slot, size);
    } else {
      assert.equal(heap.meminfo().live, live + heap.ksize(address), 'the slot has it');
    }
    heap.freeFrom(slot);
    assert.equal(heap.meminfo().live, live);
  },
});

const freeing = (size: number, grouped: boolean): Plan<Scene> => ({
  prepare: (heap) => {
    const group = heap.createGroup({ name: 'g' });
    return prepare(heap, (slot) => {
      if (grouped) setSlot(heap, slot, group.kmalloc(size));
      else heap.allocInto(slot, size);
    });
  },
  act: ({ slot }, victim) => void victim.freeFrom(slot),
  after: ({ slot, live }, heap, point) => {
    const address = slotOf(heap, slot);
    if (address === 0) {
      assert.ok(heap.meminfo().live < live, 'it was freed');
    } else {
      assert.ok(heap.ksize(address) >= size, 'the slot still has it');
      assert.equal(heap.meminfo().live, live);
      assert.ok(!point.startsWith('link.') && !point.startsWith('large.'), point);
      heap.freeFrom(slot);
    }
    assert.equal(heap.group('g').usage, 0);
    assert.equal(live - heap.meminfo().live, size <= 2048 ? size : 12_288);
  },
});

const killOptions = { skip: skipUnlessChecked };

test('allocInto killed anywhere: the slot has the object, or nobody has', killOptions, () => {
  for (const size of [1024, 9000]) {
    const points = killAtEach(allocating(size));
    for (const point of ['link.marked', 'link.taken', 'link.published']) assert.ok(points.has(point), point);
  }
});

test('freeFrom killed anywhere: the slot has the object, or it is free', killOptions, () => {
  for (const size of [1024, 9000]) {
    for (const grouped of [false, true]) {
      const points = killAtEach(freeing(size, grouped));
      assert.ok(points.has('link.unlinked'));
    }
  }
});

test(
  'after allocInto is published, others may take and free the object though its thread has died',
  killOptions,
  () => {
    killAtEach<Scene>({
      ...allocating(1024),
      after: ({ slot, live }, heap) => {
        // As a consumer does that knows nothing of modslab: take the address out and free it.
        const address = slotOf(heap, slot);
        setSlot(heap, slot, 0);
        heap.kfree(address);
        assert.equal(heap.meminfo().live, live);
      },
    });
  },
);
