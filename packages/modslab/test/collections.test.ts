// Strings, vectors and maps in shared memory, on one thread: what they hold, against plain JavaScript models.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { GFP, Heap } from 'modslab';
import {
  bytesOf,
  createBytes,
  createString,
  equalBytes,
  lengthOf,
  SharedMap,
  SharedVector,
  stringOf,
} from 'modslab/collections';
import {
  allRefused,
  assertSound,
  exhaust,
  MIB,
  refused,
  smallHeap,
  thrownBy,
  wrong,
} from './support/heap.js';

const text = (bytes: Uint8Array | undefined): string | undefined => bytes && new TextDecoder().decode(bytes);

/** Nothing is left, not even a page. */
function assertEmpty(heap: Heap): void {
  heap.shrink();
  assertSound(heap);
  const { live, footprint } = heap.meminfo();
  assert.deepEqual([live, footprint], [0, 0]);
}

test('strings and byte strings know their length and do not change', () => {
  const heap = smallHeap();
  const a = createString(heap, 'grüße, 世界 🌍');
  const b = createBytes(heap, new TextEncoder().encode('grüße, 世界 🌍'));
  const c = createString(heap, '');
  assert.equal(stringOf(heap, a), 'grüße, 世界 🌍');
  assert.equal(lengthOf(heap, a), new TextEncoder().encode('grüße, 世界 🌍').length);
  assert.equal(stringOf(heap, c), '');
  assert.deepEqual([equalBytes(heap, a, b), equalBytes(heap, a, c)], [true, false]);
  const copy = bytesOf(heap, a, { copy: true });
  bytesOf(heap, a)[0] = 0x47;
  assert.equal(stringOf(heap, a)[0], 'G');
  assert.equal(copy[0], 0x67);
  heap.u32[c / 4] = 2 ** 31;
  for (const bad of [0, a + 1, c, 2 ** 31]) thrownBy('EFAULT', () => lengthOf(heap, bad));
  for (const at of [a, b, c]) heap.kfree(at);
  const all = exhaust(() => createString(heap, 'x'.repeat(9000)));
  assert.ok(all.length > 10);
  for (const at of all) heap.kfree(at);
  assertEmpty(heap);
});

test('a vector of every kind of number, read while it grows', () => {
  const heap = smallHeap();
  const f64 = SharedVector.create(heap, 'f64', { first: 32 });
  const u8 = SharedVector.create(heap, 'u8');
  const i64 = SharedVector.create(heap, 'i64');
  for (let i = 0; i < 3000; i++) {
    assert.equal(f64.push(i / 2), i);
    assert.equal(u8.push(i & 255), i);
    assert.equal(i64.push(BigInt(i) << 40n), i);
  }
  const again = SharedVector.open(heap, 'f64', f64.handle);
  for (let i = 0; i < 3000; i += 7)
    assert.deepEqual([again.get(i), u8.get(i), i64.get(i)], [i / 2, i & 255, BigInt(i) << 40n]);
  assert.deepEqual([again.length, again.get(3000), again.set(3000, 1)], [3000, undefined, false]);
  assert.ok(again.set(5, -1));
  assert.equal([...f64.values()][5], -1);
  assert.equal(new Set(Array.from({ length: 3000 }, (_, i) => f64.addressOf(i))).size, 3000);
  for (const index of [-1, 1.5, 2 ** 32]) thrownBy(RangeError, () => f64.get(index));
  for (const vector of [f64, u8, i64]) vector.destroy();
  assertEmpty(heap);
});

test('a vector of structs', () => {
  const heap = smallHeap();
  const P = heap.struct({ x: 'f64', id: 'u32' });
  const vector = SharedVector.create(heap, P);
  for (let i = 0; i < 200; i++) vector.emplace((at) => P.setId(at, i));
  assert.equal(P.id(vector.addressOf(150)), 150);
  thrownBy('EINVAL', () => vector.push(wrong(1)));
  thrownBy('EINVAL', () => vector.get(0));
  thrownBy('EINVAL', () => SharedVector.open(heap, 'u8', vector.handle));
  thrownBy('EFAULT', () => SharedVector.open(heap, P, heap.kzalloc(64)));
  thrownBy('EINVAL', () => SharedVector.create(heap, heap.struct({ a: 'u8' }, { align: 64 })));
  thrownBy(RangeError, () => SharedVector.create(heap, 'u8', { first: 33 }));
});

test('a vector that has been destroyed refuses every call, and leaves what is there now alone', () => {
  const heap = smallHeap();
  const vector = SharedVector.create(heap, 'f64');
  const second = SharedVector.open(heap, 'f64', vector.handle);
  vector.push(1);
  vector.destroy();
  thrownBy('ESHUTDOWN', () => second.push(2));
  const next = SharedVector.create(heap, 'f64');
  assert.equal(next.handle, vector.handle, 'another vector is there');
  next.push(3);
  allRefused(heap, 'ESHUTDOWN', [
    () => vector.length,
    () => vector.push(2),
    () => vector.emplace(() => {}),
    () => vector.get(0),
    () => vector.set(0, 2),
    () => vector.addressOf(0),
    () => [...vector.values()],
    () => vector.destroy(),
  ]);
  assert.deepEqual([...next.values()], [3]);
  next.destroy();
  assertEmpty(heap);
});

test('what is no element makes no vector, and nothing is lost', () => {
  const heap = smallHeap();
  allRefused(
    heap,
    TypeError,
    [{}, 5, null, undefined, 'f16', { size: '8', align: 8 }, { size: 8 }].map(
      (element) => () => SharedVector.create(heap, wrong<'f64'>(element)),
    ),
  );
  refused(heap, RangeError, () => SharedVector.create(heap, { size: 0, align: 1 }));
  const { handle } = SharedVector.create(heap, 'f64');
  thrownBy(TypeError, () => SharedVector.open(heap, wrong<'f64'>(undefined), handle));
});

test('a value of the wrong type is refused before it has an index', () => {
  const heap = smallHeap();
  const f64 = SharedVector.create(heap, 'f64');
  const u64 = SharedVector.create(heap, 'u64');
  f64.push(1);
  u64.push(1n);
  allRefused(heap, TypeError, [
    () => f64.push(wrong(1n)),
    () => f64.push(wrong('1')),
    () => f64.push(wrong(undefined)),
    () => f64.set(0, wrong(1n)),
    () => f64.emplace(wrong(5)),
    () => u64.push(wrong(5)),
    () => u64.set(0, wrong(5)),
  ]);
  assert.deepEqual([f64.push(2), u64.push(2n)], [1, 1]);
  assert.deepEqual(
    [[...f64.values()], [...u64.values()]],
    [
      [1, 2],
      [1n, 2n],
    ],
  );
});

test('a vector without memory: -1, and nothing is claimed', () => {
  const heap = smallHeap({ maxSize: MIB });
  const vector = SharedVector.create(heap, 'f64');
  let pushed = 0;
  while (vector.push(pushed) !== -1) pushed++;
  assert.ok(pushed >= 64);
  assert.equal(vector.length, pushed);
  vector.destroy();
  assertEmpty(heap);
});

test('a map: set, replace, delete, has, entries, sizes from none to large', () => {
  const heap = smallHeap();
  const map = SharedMap.create(heap);
  assert.equal(map.get('a'), undefined);
  assert.ok(map.set('a', 'one') && map.set('a', 'two, and longer'));
  assert.equal(map.getString('a'), 'two, and longer');
  assert.ok(map.set('', '') && map.set(new Uint8Array([0, 255]), new Uint8Array([1, 2, 3])));
  assert.deepEqual(map.get(''), new Uint8Array(0));
  assert.deepEqual(map.get(new Uint8Array([0, 255])), new Uint8Array([1, 2, 3]));
  for (const name of ['ключ', 'a🌍', 'x'.repeat(64), 'x'.repeat(65)]) {
    assert.ok(map.set(name, name));
    assert.equal(map.getString(new TextEncoder().encode(name)), name);
    assert.ok(map.delete(name));
  }
  assert.ok(map.set('big', 'x'.repeat(100_000)));
  assert.equal(map.getString('big')?.length, 100_000);
  assert.deepEqual([map.size, map.has('a'), map.has('b')], [4, true, false]);
  assert.deepEqual([...map.entries()].map(([key]) => text(key)?.slice(0, 3)).sort(), [
    '',
    '\0\ufffd',
    'a',
    'big',
  ]);
  assert.deepEqual([map.delete('a'), map.delete('a'), map.has('a'), map.size], [true, false, false, 3]);
  thrownBy(TypeError, () => map.get(wrong(1)));
  thrownBy(TypeError, () => map.set('a', wrong(undefined)));
  thrownBy(RangeError, () => map.set('a', new Uint8Array(2 ** 22)));
  thrownBy('EFAULT', () => SharedMap.open(heap, heap.kzalloc(64)));
  map.destroy();
  thrownBy('ESHUTDOWN', () => map.get('a'));
});

test('update and compareAndSet', () => {
  const heap = smallHeap();
  const map = SharedMap.create(heap);
  const count = (): string => map.update('n', (old) => String(Number(text(old) ?? 0) + 1));
  assert.deepEqual([count(), count(), map.getString('n')], ['1', '2', '2']);
  assert.equal(map.compareAndSet('n', '1', '9'), false);
  assert.equal(map.compareAndSet('n', undefined, '9'), false);
  assert.equal(map.compareAndSet('n', '2', '9'), true);
  assert.equal(map.compareAndSet('m', undefined, '1'), true);
  assert.equal(map.compareAndSet('m', '2', undefined), false);
  assert.equal(
    map.update('m', () => undefined),
    undefined,
  );
  assert.deepEqual([map.has('m'), map.getString('n'), map.size], [false, '9', 1]);
  map.destroy();
  assertEmpty(heap);
});

test('the table grows with the map, and what a map takes is given back', () => {
  const heap = Heap.create({ size: MIB, maxSize: 64 * MIB, cpus: 2 });
  const map = SharedMap.create(heap, { buckets: 1 });
  const n = 10_000;
  for (let i = 0; i < n; i++) assert.ok(map.set(`key ${i}`, `value ${i}`));
  for (let i = 0; i < n; i++) assert.equal(map.getString(`key ${i}`), `value ${i}`);
  assert.equal(map.size, n);
  assert.equal(new Set([...map.entries()].map(([key]) => text(key))).size, n);
  for (let i = 0; i < n; i += 2) assert.ok(map.delete(`key ${i}`));
  for (let i = 0; i < n; i++) assert.equal(map.has(`key ${i}`), i % 2 === 1);
  const replaceAll = (): number => {
    for (let i = 1; i < n; i += 2) map.set(`key ${i}`, `value ${i}`);
    return heap.meminfo().live;
  };
  const live = replaceAll();
  for (let round = 0; round < 3; round++)
    assert.ok(replaceAll() < live + 16_384, 'replaced values are freed');
  map.destroy();
  assertEmpty(heap);
});

test('evict takes what has not been used for longest', () => {
  const heap = smallHeap();
  const map = SharedMap.create(heap);
  for (let i = 0; i < 10; i++) map.set(`k${i}`, 'v');
  map.get('k0');
  map.set('later', 'v');
  assert.ok(map.evict(64));
  assert.deepEqual([map.has('k1'), map.has('k0'), map.size], [false, true, 10]);
  for (let i = 0; i < 10; i++) assert.ok(map.evict(1));
  assert.deepEqual([map.evict(), map.size], [false, 0]);
  map.destroy();
  assertEmpty(heap);
});

test('a map without memory: false, the old value stays, nothing is lost', () => {
  const heap = smallHeap({ size: 64 * 4096, maxSize: 64 * 4096 });
  const map = SharedMap.create(heap, { threads: 2 });
  const sets = Array.from({ length: 64 }, (_, i) => map.set(`k${i}`, 'x'.repeat(8000)));
  assert.ok(sets.includes(true) && sets.includes(false));
  assert.equal(map.set('k0', 'y'.repeat(130_000)), false);
  assert.equal(map.getString('k0')?.[0], 'x');
  thrownBy('ENOMEM', () => map.update('k0', () => 'y'.repeat(130_000)));
  assert.equal(map.set('k1', 'new', GFP.NOWAIT) || map.delete('k2'), true);
  map.destroy();
  assertEmpty(heap);
  const full = exhaust(() => heap.kmalloc(16));
  thrownBy('ENOMEM', () => SharedMap.create(heap));
  thrownBy('ENOMEM', () => SharedVector.create(heap, 'u8'));
  for (const at of full) heap.kfree(at);
  assertEmpty(heap);
});

test('bytes whose buffer was transferred are refused, and the map goes on', () => {
  const heap = smallHeap();
  const map = SharedMap.create(heap);
  map.set('a', '1');
  const gone = Uint8Array.of(1, 2, 3);
  structuredClone(gone, { transfer: [gone.buffer] });
  allRefused(heap, TypeError, [
    () => map.set('a', gone),
    () => map.set(gone, '2'),
    () => map.get(gone),
    () => map.has(gone),
    () => map.delete(gone),
    () => map.compareAndSet('a', gone, '2'),
    () => map.compareAndSet('a', '1', gone),
    () => createBytes(heap, gone),
  ]);
  assert.ok(map.set('a', new Uint8Array(0)));
  assert.equal(map.getString('a'), '');
  map.destroy();
  assertEmpty(heap);
});

test('a map whose parts are larger than any object of its heap is refused, and nothing is lost', () => {
  const heap = smallHeap({ size: 64 * 1024, maxSize: 64 * 1024 });
  allRefused(heap, RangeError, [
    () => SharedMap.create(heap, { buckets: 2 ** 20 }),
    () => SharedMap.create(heap, { threads: 1024 }),
    () => SharedMap.create(heap, { buckets: 48 }),
    () => SharedMap.create(heap, { threads: 0 }),
  ]);
  SharedMap.create(heap, { threads: 4 }).destroy();
  assertEmpty(heap);
});

test('handles: a limited number, given back by close and by detach; destroy wants to be alone', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  const map = SharedMap.create(heap, { threads: 2 });
  const theirs = SharedMap.open(other, map.handle);
  theirs.set('a', '1');
  thrownBy('ENOCPU', () => SharedMap.open(heap, map.handle));
  thrownBy('EBUSY', () => map.destroy());
  theirs.close();
  thrownBy('ESHUTDOWN', () => theirs.get('a'));
  SharedMap.open(other, map.handle);
  other.detach();
  const third = Heap.attach(heap.handle);
  assert.equal(
    SharedMap.open(third, map.handle).getString('a'),
    '1',
    'the record of one that has left is taken over',
  );
  third.detach();
  map.destroy();
  assertEmpty(heap);
});

test('a handle whose heap is detached leaves the record alone, which another thread has by now', () => {
  const heap = smallHeap();
  const map = SharedMap.create(heap, { threads: 2 });
  map.set('a', '1');
  const gone = Heap.attach(heap.handle);
  assert.ok(gone.isAttached);
  const late = SharedMap.open(gone, map.handle);
  const entries = late.entries()[Symbol.iterator]();
  entries.next();
  gone.detach();
  assert.equal(gone.isAttached, false);
  const other = Heap.attach(heap.handle);
  const theirs = SharedMap.open(other, map.handle);
  allRefused(heap, 'ESHUTDOWN', [
    () => late.size,
    () => late.get('a'),
    () => late.has('a'),
    () => late.set('b', '2'),
    () => late.delete('a'),
    () => late.compareAndSet('a', '1', '2'),
    () => late.update('a', () => '2'),
    () => late.evict(),
    () => late.recover(),
    () => entries.next(),
    () => late.destroy(),
  ]);
  late.close();
  thrownBy('ENOCPU', () => SharedMap.open(Heap.attach(heap.handle), map.handle));
  assert.equal(theirs.getString('a'), '1');
  theirs.close();
  map.destroy();
});

test('a handle whose CPU was reaped is closed', () => {
  const heap = smallHeap();
  const map = SharedMap.create(heap, { threads: 2 });
  const dead = Heap.attach(heap.handle);
  const theirs = SharedMap.open(dead, map.handle);
  heap.reap(dead.cpu);
  assert.equal(dead.isAttached, false);
  thrownBy('ESHUTDOWN', () => theirs.set('a', '1'));
  assert.equal(map.recover(), 1);
  map.destroy();
});

const key = fc.integer({ min: 0, max: 40 }).map((i) => `k${i}`);
const value = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.integer({ min: 0, max: 5000 }).map((n) => 'z'.repeat(n)),
);
const operation = fc.oneof(
  fc.record({ what: fc.constant('set' as const), key, value }),
  fc.record({ what: fc.constant('delete' as const), key }),
  fc.record({ what: fc.constant('get' as const), key }),
  fc.record({ what: fc.constant('cas' as const), key, value, right: fc.boolean() }),
  fc.record({ what: fc.constant('all' as const) }),
);

/** Lets something happen just after `heap` has looked at the CPU slots for the nth time. */
function afterLook(heap: Heap, nth: number, then: () => void): void {
  const look = heap.cpus.bind(heap);
  let looks = 0;
  heap.cpus = () => {
    const infos = look();
    if (++looks === nth) then();
    return infos;
  };
}

test('a thread that attaches and opens while another recovers is not taken for dead', () => {
  const heap = smallHeap();
  const map = SharedMap.create(heap, { threads: 4 });
  let theirs: SharedMap | undefined;
  afterLook(heap, 1, () => {
    theirs = SharedMap.open(Heap.attach(heap.handle), map.handle);
  });
  assert.equal(map.recover(), 0);
  thrownBy('EBUSY', () => map.destroy());
  theirs?.close();
  map.destroy();
});

test('a thread that attaches and opens while another opens keeps its record', () => {
  const heap = smallHeap();
  const map = SharedMap.create(heap, { threads: 2 });
  const dead = Heap.attach(heap.handle);
  SharedMap.open(dead, map.handle);
  heap.reap(dead.cpu);
  const second = Heap.attach(heap.handle);
  // Whose records are free, and who is alive: in between, another takes the dead one's.
  afterLook(second, 2, () => SharedMap.open(Heap.attach(heap.handle), map.handle));
  thrownBy('ENOCPU', () => SharedMap.open(second, map.handle));
});

test('model: random calls through two handles do what a Map does', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 120 }), fc.constantFrom(1, 4, 64), (operations, buckets) => {
      const maps = [SharedMap.create(heap, { buckets, threads: 4 })];
      maps.push(SharedMap.open(other, maps[0].handle));
      const model = new Map<string, string>();
      for (const [i, op] of operations.entries()) {
        const map = maps[i % 2];
        if (op.what === 'set') {
          assert.ok(map.set(op.key, op.value));
          model.set(op.key, op.value);
        } else if (op.what === 'delete') assert.equal(map.delete(op.key), model.delete(op.key));
        else if (op.what === 'get') assert.equal(map.getString(op.key), model.get(op.key));
        else if (op.what === 'cas') {
          const expected = op.right ? model.get(op.key) : 'never this one';
          assert.equal(map.compareAndSet(op.key, expected, op.value), op.right);
          if (op.right) model.set(op.key, op.value);
        } else {
          const all = new Map([...map.entries()].map(([k, v]) => [text(k) ?? '', text(v) ?? '']));
          assert.deepEqual(all, model);
          assert.equal(map.size, model.size);
        }
      }
      maps[1].close();
      maps[0].destroy();
      heap.shrink();
      other.shrink();
      assert.equal(heap.meminfo().live, 0);
    }),
    { numRuns: 60 },
  );
  assertSound(heap);
});
