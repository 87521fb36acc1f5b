// Collections under kills: each operation killed at each of its kill points, those of the allocator beneath included. A killed
// operation has happened or it has not; the others go on at once; after recovery not a byte is lost.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Heap } from 'modslab';
import { SharedMap, SharedVector } from 'modslab/collections';
import { setKillPointHook } from 'modslab/debug';
import { killAtEach, type Plan } from './support/killEach.js';
import { skipUnlessChecked } from './support/killpoints.js';

const options = { skip: skipUnlessChecked };

interface Scene {
  readonly map: SharedMap;
  readonly theirs: SharedMap;
}

/** A map that `heap` has made and filled, and the victim has open. */
function scene(heap: Heap, victim: Heap, keys: number, buckets: number): Scene {
  const map = SharedMap.create(heap, { buckets, threads: 4 });
  for (let i = 0; i < keys; i++) map.set(`key ${i}`, `old ${i}`);
  return { map, theirs: SharedMap.open(victim, map.handle) };
}

/** After a kill: key 0 has one of these values; all others theirs; the map works; and it can be freed without a rest. */
function check({ map }: Scene, heap: Heap, keys: number, outcomes: readonly (string | undefined)[]): void {
  // Before anything is recovered.
  const value = map.getString('key 0');
  assert.ok(outcomes.includes(value), `key 0 has the value ${value}`);
  for (let i = 1; i < keys; i++) assert.equal(map.getString(`key ${i}`), `old ${i}`);
  assert.ok(map.set('key 0', 'newer') && map.set('another', 'one') && map.delete('another'));
  assert.equal(map.getString('key 0'), 'newer');
  map.recover();
  assert.equal(map.recover(), 0);
  assert.equal(map.getString('key 0'), 'newer');
  assert.equal([...map.entries()].length, Math.max(1, keys));
  map.destroy();
  heap.shrink();
  const { live, footprint } = heap.meminfo();
  assert.deepEqual([live, footprint], [0, 0]);
}

const operation = (
  keys: number,
  buckets: number,
  act: (map: SharedMap) => unknown,
  outcomes: readonly (string | undefined)[],
): Plan<Scene> => ({
  prepare: (heap, victim) => scene(heap, victim, keys, buckets),
  act: ({ theirs }) => void act(theirs),
  after: (it, heap) => check(it, heap, keys, outcomes),
});

function assertPassed(points: Set<string>, ...expected: string[]): void {
  for (const point of expected)
    assert.ok(points.has(point), `${point} was not passed: ${[...points].join(' ')}`);
}

test('insert, killed anywhere: it is there or it is not', options, () => {
  const points = killAtEach(operation(0, 4, (map) => map.set('key 0', 'new'), [undefined, 'new']));
  assertPassed(points, 'link.taken', 'hazards.filled', 'hazards.linked', 'map.sentinel');
});

test('replace, killed anywhere: the old value or the new one', options, () => {
  const points = killAtEach(operation(3, 1, (map) => map.set('key 0', 'new'), ['old 0', 'new']));
  assertPassed(
    points,
    'hazards.burying',
    'hazards.marked',
    'hazards.mourned',
    'hazards.retiring',
    'hazards.retired',
  );
  assertPassed(points, 'map.taken-out');
});

test('delete, killed anywhere: it is there or it is not', options, () => {
  const points = killAtEach(operation(3, 1, (map) => map.delete('key 0'), ['old 0', undefined]));
  assertPassed(points, 'hazards.burying', 'hazards.marked', 'hazards.retired', 'map.taken-out');
});

test('freeing what is retired, killed anywhere', options, () => {
  const plan = operation(2, 1, (map) => map.close(), ['filler']);
  const points = killAtEach<Scene>({
    ...plan,
    prepare: (heap, victim) => {
      const it = scene(heap, victim, 2, 1);
      for (let i = 0; i < 3; i++) it.theirs.set('key 0', 'filler');
      return it;
    },
  });
  assertPassed(points, 'hazards.freeing', 'hazards.unlisted', 'link.unlinked');
});

test('the table grows, killed anywhere', options, () => {
  const points = killAtEach<Scene>({
    prepare: (heap, victim) => {
      const map = SharedMap.create(heap, { buckets: 1, threads: 4 });
      for (let i = 1; i < 16; i++) map.set(`key ${i}`, `old ${i}`);
      return { map, theirs: SharedMap.open(victim, map.handle) };
    },
    act: ({ theirs }) => {
      for (let i = 0; i < 3; i++) theirs.set(`more ${i}`, 'x');
      theirs.set('key 0', 'new');
    },
    after: (it, heap) => {
      for (let i = 0; i < 3; i++) {
        assert.ok([undefined, 'x'].includes(it.map.getString(`more ${i}`)));
        it.map.delete(`more ${i}`);
      }
      check(it, heap, 16, [undefined, 'new']);
    },
  });
  assertPassed(points, 'map.segment', 'map.sentinel');
});

/** Runs `act`, which ends at its first passage of the kill point `point`. */
function dieAt(point: string, act: () => void): void {
  class Dead extends Error {}
  setKillPointHook((name) => {
    if (name === point) throw new Dead();
  });
  try {
    act();
    assert.fail(`${point} was not passed`);
  } catch (error) {
    if (!(error instanceof Dead)) throw error;
  } finally {
    setKillPointHook(undefined);
  }
}

for (const point of [
  ...[
    'link.taken',
    'hazards.filled',
    'hazards.linked',
    'hazards.burying',
    'hazards.marked',
    'hazards.mourned',
  ],
  ...['hazards.retiring', 'hazards.retired', 'hazards.freeing', 'hazards.unlisted'],
]) {
  test(`the recovery of a thread that died at ${point}, killed anywhere`, options, () => {
    const points = killAtEach<Scene>({
      prepare: (heap) => {
        const map = SharedMap.create(heap, { buckets: 1, threads: 4 });
        for (let i = 0; i < 3; i++) map.set(`key ${i}`, `old ${i}`);
        const dead = Heap.attach(heap.handle);
        dieAt(point, () => {
          const theirs = SharedMap.open(dead, map.handle);
          theirs.set('key 0', 'new');
          theirs.close();
        });
        heap.reap(dead.cpu);
        return { map, theirs: map };
      },
      act: ({ map }, victim) => SharedMap.open(victim, map.handle).close(),
      after: (it, heap) => check(it, heap, 3, ['old 0', 'new']),
    });
    assertPassed(points, 'hazards.recovering');
  });
}

test('a vector: push, killed anywhere: others append, what is written is whole', options, () => {
  interface Rows {
    readonly vector: SharedVector<'f64'>;
    readonly theirs: SharedVector<'f64'>;
  }
  const points = killAtEach<Rows>({
    prepare: (heap, victim) => {
      const vector = SharedVector.create(heap, 'f64', { first: 32 });
      for (let i = 0; i < 15; i++) vector.push(i);
      return { vector, theirs: SharedVector.open(victim, 'f64', vector.handle) };
    },
    act: ({ theirs }) => {
      for (let i = 15; i < 20; i++) theirs.push(i);
    },
    after: ({ vector }, heap) => {
      const { length } = vector;
      for (let i = 0; i < length; i++) assert.ok([i, i < length - 1 ? i : undefined].includes(vector.get(i)));
      for (let i = 0; i < 100; i++) assert.equal(vector.push(-1), length + i);
      assert.equal(vector.get(length + 99), -1);
      vector.destroy();
      heap.shrink();
      assert.equal(heap.meminfo().footprint, 0);
    },
  });
  assertPassed(points, 'vector.claimed', 'vector.written', 'link.marked');
});
