// Groups under kills: each operation killed at each of its kill points. The charge must be exact after the reap, and the
// group must be usable, and free as a whole, by others.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Group, Heap } from 'modslab';
import { assertSoundAlone, killAtEach, type Plan } from './support/killEach.js';
import { skipUnlessChecked } from './support/killpoints.js';

const options = { skip: skipUnlessChecked };

/** A group with objects, the victim's handle of it, and the address that the operation is about. */
interface Scene {
  readonly theirs: Group;
  readonly objects: number[];
  readonly before: number;
  done: boolean;
}

function prepare(heap: Heap, victim: Heap, size: number, objects: number): Scene {
  const group = heap.createGroup({ name: 'g', limit: 300_000 });
  const addresses = Array.from({ length: objects }, () => group.kmalloc(size));
  return { theirs: victim.group('g'), objects: addresses, before: group.usage, done: false };
}

/** The group can be used, and freed as a whole, after which nothing is left. */
function useAndFree(heap: Heap, left: readonly number[]): void {
  const group = heap.group('g');
  const { usage } = group;
  const some = [16, 2000, 9000].map((size) => group.kmalloc(size));
  assert.ok(!some.includes(0));
  for (const address of some) heap.kfree(address);
  assert.equal(group.usage, usage);
  for (const address of left) assert.ok(heap.ksize(address) > 0);
  assert.equal(group.free(), usage);
  heap.shrink();
  const { live, footprint } = heap.meminfo();
  assert.deepEqual([live, footprint], [0, 0]);
}

const allocating = (size: number, have: number): Plan<Scene> => ({
  prepare: (heap, victim) => prepare(heap, victim, size, have),
  act: (scene) => {
    scene.theirs.kmalloc(size);
    scene.done = true;
  },
  after: ({ before, objects }, heap, point) => {
    const { usage } = heap.group('g');
    const one = heap.ksize(heap.group('g').kmalloc(size));
    const grown = heap.group('g').usage - one - before;
    assert.equal(heap.group('g').usage, usage + one);
    // Handed out or taken back: no third way.
    assert.ok(grown === 0 || grown === one, `${grown} bytes more than before`);
    if (point === 'charge.charged' || point === 'charge.object-taken' || point === 'charge.run-taken')
      assert.equal(grown, 0);
    if (point === 'charge.settled' || point === 'charge.run-published') assert.equal(grown, one);
    useAndFree(heap, objects);
  },
});

const freeing = (size: number, have: number, how: (heap: Heap, address: number) => void): Plan<Scene> => ({
  prepare: (heap, victim) => prepare(heap, victim, size, have),
  act: ({ objects }, victim) => how(victim, objects[0]),
  after: ({ before, objects }, heap, point) => {
    const group = heap.group('g');
    const one = before / have;
    const isFreed = group.usage === before - one;
    assert.ok(isFreed || group.usage === before, `${group.usage} of ${before} bytes are charged`);
    if (point === 'charge.free-intended') assert.ok(!isFreed);
    if (point.startsWith('charge.') && point !== 'charge.free-intended') assert.ok(isFreed);
    if (isFreed) assert.throws(() => heap.kfree(objects[0]), { code: 'EDOUBLEFREE' });
    else heap.kfree(objects[0]);
    assert.equal(group.usage, before - one);
    useAndFree(heap, objects.slice(1));
  },
});

test('kmalloc of a group, killed anywhere: the first object, one of several, a large one', options, () => {
  const small = killAtEach(allocating(64, 0));
  for (const point of ['charge.intended', 'charge.charged', 'charge.object-taken', 'charge.settled'])
    assert.ok(small.has(point), point);
  assert.ok(small.has('slab.published'));
  killAtEach(allocating(64, 5));
  killAtEach(allocating(1000, 4));
  const large = killAtEach(allocating(9000, 1));
  for (const point of ['charge.run-taken', 'charge.run-published']) assert.ok(large.has(point), point);
});

test('kfree of a grouped object, killed anywhere', options, () => {
  const free = (heap: Heap, address: number): void => heap.kfree(address);
  const small = killAtEach(freeing(64, 5, free));
  for (const point of ['charge.free-intended', 'charge.free-decided', 'charge.uncharged', 'charge.settled'])
    assert.ok(small.has(point), point);
  killAtEach(freeing(64, 1, free));
  killAtEach(freeing(9000, 2, free));
  killAtEach(freeing(64, 3, (heap, address) => heap.group('g').kfree(address)));
});

test('krealloc of a grouped object, killed anywhere: never charged less than what is live', options, () => {
  killAtEach<Scene>({
    prepare: (heap, victim) => prepare(heap, victim, 64, 3),
    act: ({ objects }, victim) => void victim.krealloc(objects[0], 900),
    // Validation compares the charge with the objects.
    after: ({ objects }, heap) => useAndFree(heap, objects.slice(1)),
  });
});

test('a call above the limit, killed anywhere, charges nothing', options, () => {
  killAtEach<Scene>({
    prepare: (heap, victim) => {
      const scene = prepare(heap, victim, 64, 2);
      heap.group('g').limit = 150;
      return scene;
    },
    act: ({ theirs }) => void assert.equal(theirs.kmalloc(64), 0),
    after: ({ before, objects }, heap) => {
      assert.equal(heap.group('g').usage, before);
      heap.group('g').limit = Number.POSITIVE_INFINITY;
      useAndFree(heap, objects);
    },
  });
});

test(
  'createGroup killed anywhere: the group is there or not, and the name is free in the end',
  options,
  () => {
    const points = killAtEach<null>({
      prepare: () => null,
      act: (_, victim) => void victim.createGroup({ name: 'new' }),
      after: (_, heap) => {
        for (const group of heap.groups()) group.free();
        heap.createGroup({ name: 'new' }).free();
        assert.equal(heap.groups().length, 0);
      },
    });
    assert.deepEqual([...points].sort(), ['group.candidate', 'group.created-slot']);
  },
);

test('adopt killed anywhere: the child is part of the parent or not, and no charge is lost', options, () => {
  const points = killAtEach<{ parent: Group; child: Group; bytes: number }>({
    prepare: (heap, victim) => {
      heap.createGroup({ name: 'parent' }).kmalloc(64);
      const child = heap.createGroup({ name: 'child' });
      for (const size of [64, 9000]) child.kmalloc(size);
      return { parent: victim.group('parent'), child: victim.group('child'), bytes: child.usage };
    },
    act: ({ parent, child }) => parent.adopt(child),
    after: ({ bytes }, heap, point) => {
      const parent = heap.group('parent');
      if (heap.groups().length === 2) {
        assert.equal(parent.usage, 64);
        assert.equal(heap.group('child').usage, bytes);
        parent.adopt(heap.group('child'));
      } else {
        assert.ok(point === 'group.adopted' || point === '');
      }
      assert.equal(parent.usage, bytes + 64);
      assert.equal(parent.free(), bytes + 64);
      assert.equal(heap.meminfo().live, 0);
    },
  });
  for (const point of ['group.adopting', 'group.adopted']) assert.ok(points.has(point), point);
});

test('freeing a group, killed anywhere, is completed by the reap', options, () => {
  const points = killAtEach<{ group: Group; kept: number }>({
    prepare: (heap, victim) => {
      const group = heap.createGroup({ name: 'g' });
      const child = heap.createGroup();
      for (const each of [group, child])
        for (const size of [16, 64, 64, 1000, 9000, 20_000]) each.kmalloc(size);
      group.adopt(child);
      return { group: victim.group('g'), kept: heap.kmalloc(64) };
    },
    act: ({ group }) => void group.free(),
    after: ({ kept }, heap, point) => {
      if (point === '' || point.startsWith('group.')) assert.equal(heap.groups().length, 0, 'free had begun');
      for (const group of heap.groups()) group.free();
      assert.equal(heap.meminfo().live, 64);
      assert.equal(heap.ksize(kept), 64);
      heap.kfree(kept);
      heap.shrink();
      assert.equal(heap.meminfo().footprint, 0);
    },
  });
  for (const point of ['group.dying', 'group.completing', 'group.slab-emptied', 'group.released'])
    assert.ok(points.has(point), point);
});

test('what a dead thread had allocated is freed as a whole, or adopted', options, () => {
  killAtEach<null>({
    prepare: () => null,
    act: (_, victim) => {
      const group = victim.createGroup({ name: 'worker 1' });
      for (const size of [64, 500, 9000]) group.kmalloc(size);
    },
    after: (_, heap) => {
      const legacy = heap.createGroup({ name: 'legacy' });
      for (const group of heap.groups()) if (group.name === 'worker 1') legacy.adopt(group);
      legacy.free();
      heap.shrink();
      assert.deepEqual([heap.meminfo().live, heap.meminfo().footprint], [0, 0]);
      assertSoundAlone(heap, 'in the end');
    },
  });
});
