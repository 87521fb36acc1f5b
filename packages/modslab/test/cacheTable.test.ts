// Cache descriptors: unique names, reuse after destruction, and their end.
import assert from 'node:assert/strict';
import test from 'node:test';
import { GFP, SLAB } from 'modslab';
import { setKillPointHook } from 'modslab/debug';
import { C_NAME_LENGTH, cacheAt, NAME_BYTES } from '#src/memory/layout.js';
import { thrownBy } from './support/heap.js';
import { createLayers, layersOn, spec } from './support/internals.js';

test('descriptors are numbered from 1 and found by name', () => {
  const { slabifier } = createLayers();
  const { table } = slabifier;
  assert.deepEqual(
    ['a', 'b', 'c'].map((name) => table.create(spec(name, 64))),
    [1, 2, 3],
  );
  assert.equal(table.find('b'), 2);
  assert.equal(table.find('d'), 0);
  assert.equal(table.name(3), 'c');
  assert.deepEqual(table.ready(), [1, 2, 3]);
});

test('a taken name is refused, on every CPU', () => {
  const layers = createLayers();
  const other = layersOn(layers.metadata, layers.data);
  layers.slabifier.table.create(spec('taken', 64));
  thrownBy('EINVAL', () => layers.slabifier.table.create(spec('taken', 32)));
  thrownBy('EINVAL', () => other.slabifier.table.create(spec('taken', 32)));
  assert.deepEqual(other.slabifier.table.ready(), [1]);
});

test('of two CPUs that create one name at the same time, at most one succeeds', {
  skip: !hasKillPoints(),
}, () => {
  const layers = createLayers();
  const other = layersOn(layers.metadata, layers.data);
  let race: number | undefined;
  setKillPointHook((name) => {
    if (name !== 'cache.candidate' || race !== undefined) return;
    race = 0;
    race = other.slabifier.table.create(spec('raced', 64));
  });
  try {
    thrownBy('EINVAL', () => layers.slabifier.table.create(spec('raced', 64)));
  } finally {
    setKillPointHook(undefined);
  }
  assert.deepEqual(layers.slabifier.table.ready(), [race]);
});

/** Whether this is the checked build. */
function hasKillPoints(): boolean {
  let seen = false;
  setKillPointHook(() => {
    seen = true;
  });
  createLayers();
  setKillPointHook(undefined);
  return seen;
}

test('a name may fill its place to the last byte of UTF-8, and no further', () => {
  const { slabifier, metadata } = createLayers();
  const name = 'é'.repeat(NAME_BYTES / 2);
  const id = slabifier.table.create(spec(name, 64));
  assert.equal(slabifier.table.name(id), name);
  assert.equal(metadata.m[cacheAt(metadata.layout, id) + C_NAME_LENGTH], NAME_BYTES);
  thrownBy('EINVAL', () => slabifier.table.create(spec(`${name}x`, 64)));
});

test('a name is itself when it is read again, whatever it is made of', () => {
  for (const name of ['\ufeffmarked', 'a\ud800b', 'tab\there', '\0']) {
    const { table } = createLayers().slabifier;
    let id = 0;
    try {
      id = table.create(spec(name, 64));
    } catch {
      continue; // Refused is as good.
    }
    assert.equal(table.find(name), id, JSON.stringify(name));
    thrownBy('EINVAL', () => table.create(spec(name, 64)));
  }
});

test('a destroyed descriptor is used again, under another generation', () => {
  const { slabifier } = createLayers({ caches: 32 });
  const { table } = slabifier;
  const id = slabifier.create(spec('first', 64));
  const generation = table.generation(id);
  assert.ok(table.beginDestroy(id));
  assert.equal(table.beginDestroy(id), false, 'only once');
  slabifier.destroy(id);
  assert.deepEqual([table.isReady(id), table.isDying(id), table.find('first')], [false, true, 0]);
  assert.equal(slabifier.create(spec('second', 128)), id);
  assert.notEqual(table.generation(id), generation);
  assert.equal(table.name(id), 'second');
});

test('a destroyed descriptor is not used again while a slab or a sheaf of it is left', () => {
  const layers = createLayers({ caches: 32 });
  const other = layersOn(layers.metadata, layers.data);
  const { sheaves, slabifier } = layers;
  const id = sheaves.create(spec('left', 64));
  const address = other.sheaves.alloc(id, 0);
  other.sheaves.free(id, address);
  assert.ok(slabifier.table.beginDestroy(id));
  sheaves.destroy(id);
  assert.notEqual(sheaves.create(spec('next', 64)), id, 'the other CPU has objects of it');
  other.sheaves.leave();
  assert.equal(sheaves.create(spec('after', 64)), id);
});

test('when all descriptors are in use, create says ENOMEM; a destroyed one makes room', () => {
  const { slabifier } = createLayers({ caches: 32 });
  for (let i = 1; i < 32; i++) assert.equal(slabifier.create(spec(`cache-${i}`, 64)), i);
  thrownBy('ENOMEM', () => slabifier.create(spec('one too many', 64)));
  slabifier.table.beginDestroy(7);
  slabifier.destroy(7);
  assert.equal(slabifier.create(spec('fits', 64)), 7);
});

test('a create that is refused leaves no descriptor behind', () => {
  const { slabifier } = createLayers({ caches: 32 });
  for (let i = 0; i < 40; i++) {
    thrownBy('EINVAL', () => slabifier.create(spec('long', 100_000, { ctor: new Uint8Array(70_000) })));
  }
  assert.equal(slabifier.create(spec('short', 64)), 1);
});

test('the bits of flags are distinct', () => {
  for (const flags of [SLAB, GFP]) {
    const bits = Object.values(flags).filter((bit) => bit !== 0);
    assert.ok(bits.every((bit) => Number.isInteger(Math.log2(bit))));
    assert.equal(new Set(bits).size, bits.length);
  }
});
