// Groups: what is charged, what the limit forbids, who may free, adoption, and the end of a whole group.
import assert from 'node:assert/strict';
import test from 'node:test';
import { GFP, Heap } from 'modslab';
import { G_ROW, groupAt } from '#src/memory/layout.js';
import {
  assertFilled,
  assertSound,
  exhaust,
  fill,
  isZero,
  KIB,
  MIB,
  refused,
  smallHeap,
  thrownBy,
  wrong,
} from './support/heap.js';
import { internalsOf } from './support/internals.js';

const SIZES = [0, 1, 8, 50, 64, 96, 200, 1000, 2048, 2049, 5000, 40_000];

test('what a group allocates is charged as ksize says, and uncharged by kfree', () => {
  const heap = smallHeap();
  const group = heap.createGroup({ name: 'requests' });
  assert.equal(group.usage, 0);
  assert.equal(group.limit, Number.POSITIVE_INFINITY);
  let charged = 0;
  const objects = SIZES.map((size) => {
    const address = group.kmalloc(size);
    assert.notEqual(address, 0);
    charged += heap.ksize(address);
    assert.equal(group.usage, charged);
    fill(heap, address, size);
    return address;
  });
  for (const [i, address] of objects.entries()) assertFilled(heap, address, SIZES[i]);
  assert.equal(heap.meminfo().live, charged, 'live objects like any others');
  assertSound(heap);
  for (const [i, address] of objects.entries()) {
    charged -= heap.ksize(address);
    if (i % 2 === 0) heap.kfree(address);
    else group.kfree(address);
    assert.equal(group.usage, charged);
  }
  assert.equal(group.usage, 0);
  assertSound(heap);
  heap.shrink();
  assert.equal(heap.meminfo().footprint, 0);
});

test('kzalloc, kcalloc and GFP.ZERO of a group give zeros over all that ksize says', () => {
  const heap = smallHeap();
  const group = heap.createGroup();
  for (const size of [20, 700, 9000]) {
    const dirty = group.kmalloc(size);
    heap.view(dirty, heap.ksize(dirty)).fill(0xff);
    group.kfree(dirty);
    for (const address of [group.kzalloc(size), group.kcalloc(2, size / 2), group.kmalloc(size, GFP.ZERO)]) {
      assert.ok(isZero(heap, address, heap.ksize(address)));
    }
  }
  assertSound(heap);
});

test('objects of different groups, and of none, never share a slab', () => {
  const heap = smallHeap();
  const [a, b] = [heap.createGroup(), heap.createGroup()];
  const pages = [a, b, heap].map(
    (from) => new Set(Array.from({ length: 200 }, () => Math.floor(from.kmalloc(64) / heap.pageSize))),
  );
  for (const page of pages[0]) assert.ok(!pages[1].has(page) && !pages[2].has(page));
  for (const page of pages[1]) assert.ok(!pages[2].has(page));
  assert.equal(
    pages[0].size,
    Math.ceil(200 / (heap.pageSize / 64)),
    'slabs are filled before new ones are made',
  );
  assertSound(heap);
});

test('the limit is exact: nothing above it, everything up to it', () => {
  const heap = smallHeap();
  const group = heap.createGroup({ limit: 10 * KIB });
  assert.equal(group.limit, 10 * KIB);
  const objects = exhaust(() => group.kmalloc(1000));
  assert.equal(objects.length, 10);
  assert.equal(group.usage, 10 * KIB);
  assert.equal(group.kmalloc(8), 0);
  assert.equal(group.kmalloc(50_000), 0);
  assert.notEqual(heap.kmalloc(1000), 0, 'others go on');
  group.kfree(objects[0]);
  assert.notEqual(group.kmalloc(1024), 0);
  assert.equal(group.kmalloc(1), 0);
  group.limit = 20 * KIB;
  assert.equal(exhaust(() => group.kmalloc(1000)).length, 10);
  group.limit = 4 * KIB;
  assert.equal(group.usage, 20 * KIB, 'a lower limit frees nothing');
  for (const address of objects.slice(1)) heap.kfree(address);
  assert.equal(group.kmalloc(8), 0);
  group.limit = Number.POSITIVE_INFINITY;
  assert.notEqual(group.kmalloc(8), 0);
  assertSound(heap);
});

test('a group with limit 0 gets nothing; a call refused by the limit gives back nothing that is cached', () => {
  const heap = smallHeap();
  const group = heap.createGroup({ limit: 0 });
  for (let i = 0; i < 10; i++) heap.kfree(heap.kmalloc(64));
  const { footprint } = heap.meminfo();
  const { flush } = heap.counters();
  for (const size of SIZES) assert.equal(group.kmalloc(size), 0);
  assert.deepEqual([group.usage, heap.meminfo().footprint], [0, footprint]);
  assert.equal(heap.counters().flush, flush);
  assertSound(heap);
});

test('without memory a group gets 0, charges nothing, and finds what others had cached', () => {
  const heap = smallHeap({ maxSize: MIB });
  const group = heap.createGroup();
  const hoard = Array.from({ length: 100 }, () => heap.kmalloc(2000));
  heap.kfreeBulk(Uint32Array.from(hoard));
  const objects = exhaust(() => group.kmalloc(4096));
  assert.equal(objects.length, 255, 'every page of the heap');
  assert.equal(group.usage, 255 * 4096);
  assert.equal(group.kmalloc(16), 0);
  assert.equal(group.usage, 255 * 4096);
  assertSound(heap);
  group.free();
  assert.equal(heap.meminfo().footprint, 0);
});

test('every thread frees and charges; the sum is right whoever does what', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  const mine = heap.createGroup({ name: 'shared', limit: 100 * KIB });
  const theirs = other.group('shared');
  const objects: number[] = [];
  for (let round = 0; round < 50; round++) {
    for (let i = 0; i < 8; i++) objects.push((i % 2 === 0 ? mine : theirs).kmalloc(8 + 37 * i));
    for (let i = 0; i < 6; i++)
      (i % 3 === 0 ? heap : other).kfree(objects.splice((round * 7) % objects.length, 1)[0]);
  }
  const charged = objects.reduce((sum, address) => sum + heap.ksize(address), 0);
  assert.deepEqual([mine.usage, theirs.usage], [charged, charged]);
  other.kfreeBulk(Uint32Array.from(objects.splice(0, 50)));
  other.detach();
  assert.equal(
    mine.usage,
    objects.reduce((sum, address) => sum + heap.ksize(address), 0),
  );
  assertSound(heap);
  heap.kfreeBulk(Uint32Array.from(objects));
  assert.equal(mine.usage, 0);
  assertSound(heap);
});

test('free gives everything back at once, whoever allocated it, and ends the group for all', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  const kept = heap.kmalloc(64);
  const group = heap.createGroup({ name: 'job' });
  const theirs = other.group('job');
  for (const size of SIZES) for (let i = 0; i < 20; i++) (i % 2 === 0 ? group : theirs).kmalloc(size);
  const { usage } = group;
  assert.equal(heap.meminfo().live, usage + 64);
  assert.equal(theirs.free(), usage);
  assert.equal(heap.meminfo().live, 64);
  for (const handle of [group, theirs]) {
    for (const call of [
      () => handle.kmalloc(8),
      () => handle.usage,
      () => handle.limit,
      () => handle.free(),
      () => handle.kfree(kept),
    ]) {
      refused(heap, 'EINVAL', call);
    }
  }
  refused(heap, 'EINVAL', () => heap.group('job'));
  assert.deepEqual(heap.groups(), []);
  heap.kfree(kept);
  other.detach();
  heap.shrink();
  assert.equal(heap.meminfo().footprint, 0);
  assertSound(heap);
});

test('an object freed with its group is free: kfree of it is refused', () => {
  const heap = smallHeap();
  const group = heap.createGroup();
  const [small, large] = [group.kmalloc(64), group.kmalloc(50_000)];
  group.free();
  for (const address of [small, large]) refused(heap, 'EDOUBLEFREE', () => heap.kfree(address));
});

test('a double free and an interior pointer of a grouped object are refused and change no charge', () => {
  const heap = smallHeap();
  const group = heap.createGroup();
  const [small, second, large] = [group.kmalloc(64), group.kmalloc(64), group.kmalloc(50_000)];
  heap.kfree(small);
  const { usage } = group;
  refused(heap, 'EDOUBLEFREE', () => heap.kfree(small));
  refused(heap, 'EINTERIOR', () => heap.kfree(second + 8));
  refused(heap, 'EINTERIOR', () => heap.kfree(large + 4096));
  refused(heap, 'ECACHE', () => heap.cache('kmalloc-64').free(second));
  refused(heap, 'EDOUBLEFREE', () => heap.kfreeBulk(Uint32Array.of(second, large, second)));
  assert.equal(group.usage, usage);
  heap.kfreeBulk(Uint32Array.of(second, large));
  assert.equal(group.usage, 0);
  assertSound(heap);
});

test('a group frees and reallocates its own objects only', () => {
  const heap = smallHeap();
  const [a, b] = [heap.createGroup(), heap.createGroup()];
  const [ours, theirs, nobodys] = [a.kmalloc(64), b.kmalloc(64), heap.kmalloc(64)];
  for (const address of [theirs, nobodys]) {
    refused(heap, 'ECACHE', () => a.kfree(address));
    refused(heap, 'ECACHE', () => a.krealloc(address, 100));
  }
  a.kfree(0);
  a.kfree(ours);
  refused(heap, 'EDOUBLEFREE', () => a.kfree(ours));
  assertSound(heap);
});

test('krealloc keeps an object in its group, by the heap as by the group', () => {
  const heap = smallHeap();
  const group = heap.createGroup({ limit: 64 * KIB });
  let address = group.krealloc(0, 60);
  fill(heap, address, 60, 5);
  for (const [i, size] of [100, 3000, 20_000, 30].entries()) {
    address = i % 2 === 0 ? heap.krealloc(address, size) : group.krealloc(address, size);
    assertFilled(heap, address, 30, 5);
    assert.equal(group.usage, heap.ksize(address));
  }
  assert.equal(heap.krealloc(address, 70_000), 0, 'above the limit');
  assert.equal(group.usage, heap.ksize(address), 'the old object untouched');
  assert.equal(heap.krealloc(address, 0), 0);
  assert.equal(group.usage, 0);
  assertSound(heap);
});

test('an adopted group is part of the other: its objects, its frees, its end', () => {
  const heap = smallHeap();
  const [parent, child] = [heap.createGroup({ name: 'parent' }), heap.createGroup({ name: 'child' })];
  const objects = [64, 1000, 9000].map((size) => child.kmalloc(size));
  const own = parent.kmalloc(64);
  const before = child.usage + parent.usage;
  parent.adopt(child);
  assert.equal(parent.usage, before);
  for (const call of [
    () => child.kmalloc(8),
    () => child.usage,
    () => child.free(),
    () => parent.adopt(child),
  ])
    refused(heap, 'EINVAL', call);
  assert.deepEqual(
    heap.groups().map(({ name }) => name),
    ['parent'],
  );
  parent.kfree(objects[0]);
  heap.kfree(objects[2]);
  assert.equal(parent.usage, heap.ksize(objects[1]) + 64);
  const grand = heap.createGroup({ limit: 1024 });
  grand.adopt(parent);
  assert.equal(grand.usage, 1024 + 64, 'adoption does not ask for the limit');
  assert.equal(grand.kmalloc(8), 0);
  grand.kfree(own);
  assert.equal(grand.kmalloc(8), 0, 'still at the limit');
  grand.kfree(objects[1]);
  assert.notEqual(grand.kmalloc(8), 0);
  grand.krealloc(grand.kmalloc(8), 500);
  assertSound(heap);
  grand.free();
  assert.equal(heap.meminfo().live, 0);
  heap.shrink();
  assert.equal(heap.meminfo().footprint, 0);
  assertSound(heap);
});

test('krealloc of an object of an adopted group moves it into the group that has it now', () => {
  const heap = smallHeap();
  const [child, parent, grand] = [heap.createGroup(), heap.createGroup(), heap.createGroup()];
  const [mine, theirs] = [child.kmalloc(100), child.kmalloc(20_000)];
  fill(heap, mine, 100, 5);
  parent.adopt(child);
  const moved = parent.krealloc(mine, 5000);
  assertFilled(heap, moved, 100, 5);
  grand.adopt(parent);
  const smaller = heap.krealloc(theirs, 50);
  assert.equal(grand.usage, heap.ksize(moved) + heap.ksize(smaller));
  grand.kfree(smaller);
  assertSound(heap);
  grand.free();
  assert.equal(heap.meminfo().live, 0);
  assertSound(heap);
});

test('freeing a group frees those that it has adopted, and their slots are used again', () => {
  const heap = smallHeap();
  for (let round = 0; round < 400; round++) {
    const groups = Array.from({ length: 3 }, () => heap.createGroup());
    for (const group of groups) group.kmalloc(100);
    groups[1].adopt(groups[2]);
    groups[0].adopt(groups[1]);
    assert.equal(groups[0].free(), 3 * 128);
  }
  assert.equal(heap.meminfo().live, 0);
  assertSound(heap);
});

test('slots of adopted groups in which nothing is left are used again', () => {
  const heap = smallHeap();
  const parent = heap.createGroup();
  for (let round = 0; round < 1500; round++) {
    const child = heap.createGroup();
    const address = child.kmalloc(100);
    parent.adopt(child);
    heap.kfree(address);
  }
  assert.equal(parent.usage, 0);
  assertSound(heap);
});

test('there are 1,023 groups; one more is ENOMEM', () => {
  const heap = smallHeap();
  const groups = Array.from({ length: 1023 }, () => heap.createGroup());
  refused(heap, 'ENOMEM', () => heap.createGroup());
  groups[500].free();
  heap.createGroup();
  assert.equal(heap.groups().length, 1023);
});

test('groups have unique names; all but a wrong name, limit or partner is taken', () => {
  const heap = smallHeap();
  const group = heap.createGroup({ name: 'Gruppe № 1' });
  assert.equal(heap.group('Gruppe № 1').name, group.name);
  refused(heap, 'EINVAL', () => heap.createGroup({ name: group.name }));
  refused(heap, 'EINVAL', () => heap.group('another'));
  for (const name of ['', '#1', 'x'.repeat(129), '\ud800', wrong<string>(7)])
    refused(heap, 'EINVAL', () => heap.createGroup({ name }));
  for (const limit of [-1, 0.5, Number.NaN, 2 ** 33]) {
    refused(heap, RangeError, () => heap.createGroup({ limit }));
    refused(heap, RangeError, () => {
      group.limit = limit;
    });
  }
  refused(heap, TypeError, () => group.adopt(wrong(undefined)));
  refused(heap, TypeError, () => group.adopt(smallHeap().createGroup()));
  refused(heap, 'EINVAL', () => group.adopt(group));
  for (const size of [-1, 1.5, Number.NaN, heap.kmallocMaxSize + 1])
    refused(heap, RangeError, () => group.kmalloc(size));
  refused(heap, RangeError, () => group.kcalloc(2 ** 20, 2 ** 20));
  refused(heap, 'EINVAL', () => group.kmalloc(8, 1 << 20));
  refused(heap, 'EINVAL', () => group.kmalloc(8, GFP.DMA));
  assert.notEqual(heap.createGroup().name, heap.createGroup().name);
});

test('the caches of groups cannot be used without a group', () => {
  const heap = smallHeap();
  const group = heap.createGroup();
  const address = group.kmalloc(64);
  const cache = heap.cache('kmalloc-cg-64');
  refused(heap, 'EINVAL', () => cache.alloc());
  refused(heap, 'EINVAL', () => cache.prefill(3));
  refused(heap, 'EBUSY', () => cache.destroy());
  refused(heap, 'EINVAL', () => heap.createCache({ name: 'kmalloc-cg-72', size: 72 }));
  cache.free(address);
  assert.equal(group.usage, 0);
  assertSound(heap);
});

test('memory of a node, and of this node only, in a group', () => {
  const heap = smallHeap({ size: MIB, maxSize: MIB, nodes: 2 });
  const other = Heap.attach(heap.handle);
  const group = heap.createGroup({ name: 'g' });
  group.kmalloc(64);
  const theirs = other.group('g').kmalloc(64, GFP.THISNODE);
  assert.equal(heap.virtToPage(theirs).node, 1);
  assertSound(heap);
});

test('NOWAIT in a group does not grow the heap', () => {
  const heap = smallHeap();
  const group = heap.createGroup();
  const { size } = heap.meminfo();
  exhaust(() => group.kmalloc(3000, GFP.NOWAIT));
  assert.equal(heap.meminfo().size, size);
  assert.notEqual(group.kmalloc(3000), 0);
});

test('a group of an unshared heap works the same', () => {
  const heap = smallHeap({ shared: false });
  const group = heap.createGroup({ limit: 1000 });
  assert.equal(exhaust(() => group.kmalloc(100)).length, 7);
  assert.equal(group.free(), 7 * 128);
  assertSound(heap);
});

test('after detach a group throws ESHUTDOWN, and another thread can use and free it', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  const group = other.createGroup({ name: 'left behind' });
  const address = group.kmalloc(64);
  other.detach();
  for (const call of [
    () => group.kmalloc(8),
    () => group.usage,
    () => group.kfree(address),
    () => group.free(),
  ])
    thrownBy('ESHUTDOWN', call);
  assert.equal(heap.group('left behind').free(), 64);
  assertSound(heap);
});

test('ungrouped memory takes no step for groups: it goes through sheaves as before', () => {
  const heap = smallHeap();
  heap.createGroup().kmalloc(64);
  const address = heap.kmalloc(64);
  const before = heap.counters();
  for (let i = 0; i < 1000; i++) {
    heap.kfree(heap.kmalloc(64));
    heap.kfree(heap.kmalloc(64));
  }
  heap.kfree(address);
  assert.deepEqual(heap.counters(), before, 'no slow path at all');
});

test('the charge is wrong if an object is lost: validation says so', () => {
  const heap = smallHeap();
  const group = heap.createGroup();
  group.kmalloc(64);
  const { m, layout } = internalsOf(heap).metadata;
  m[groupAt(layout, 1) + G_ROW + heap.cpu]++;
  assert.deepEqual(
    heap.validate().map(({ code }) => code),
    ['EGROUP'],
  );
});
