// heap.struct: fields where C puts them, accessors of every type, arrays, nesting, growth, where the memory comes from.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { GFP, Heap, type ScalarType, SlabError, type StructFields } from 'modslab';
import { assertSound, MIB, smallHeap, thrownBy, wrong } from './support/heap.js';

const BYTES: Record<ScalarType, number> = {
  ...{ i8: 1, u8: 1, i16: 2, u16: 2, i32: 4, u32: 4, f32: 4, f64: 8, i64: 8, u64: 8, address: 4 },
};
const TYPES = Object.keys(BYTES) as ScalarType[];

test('fields lie as C lays them out', () => {
  const heap = smallHeap();
  const Inner = heap.struct({ a: 'u8', b: 'u16' });
  assert.deepEqual([Inner.size, Inner.align, Inner.offsets.b], [4, 2, 2]);
  const S = heap.struct({
    flag: 'u8',
    x: 'f64',
    id: 'u32',
    pos: ['f32', 3],
    inner: Inner,
    many: [Inner, 2],
    c: 'i8',
  });
  assert.deepEqual({ ...S.offsets }, { flag: 0, x: 8, id: 16, pos: 20, inner: 32, many: 36, c: 44 });
  assert.deepEqual([S.size, S.align], [48, 8]);
  assert.deepEqual(S.fields.pos, ['f32', 3]);
});

test('TypeScript infers what the accessors take and give', () => {
  const heap = smallHeap();
  const Inner = heap.struct({ a: 'u8' });
  const S = heap.struct({ x: 'f64', big: 'i64', pos: ['f32', 3], inner: Inner, list: [Inner, 2] });
  const at = S.alloc(GFP.ZERO);
  const x: number = S.x(at);
  const big: bigint = S.big(at);
  const third: number = S.pos(at, 2);
  const inner: number = S.inner(at);
  const second: number = S.list(at, 1);
  assert.deepEqual([x, big, third, inner - at, second - inner], [0, 0n, 0, S.offsets.inner, 2]);
  // @ts-expect-error a bigint
  assert.throws(() => S.setBig(at, 1), TypeError);
  // @ts-expect-error structs have no setter
  assert.equal(S.setInner, undefined);
  // @ts-expect-error no such field
  assert.equal(S.y, undefined);
});

test('every type: its range, signed and unsigned, single and in an array', () => {
  const heap = smallHeap();
  const values: Record<ScalarType, readonly (number | bigint)[]> = {
    ...{ i8: [-128, 127], u8: [0, 255], i16: [-32_768, 32_767], u16: [0, 65_535] },
    ...{ i32: [-(2 ** 31), 2 ** 31 - 1], u32: [0, 2 ** 32 - 1], address: [8, 2 ** 32 - 8] },
    ...{ f32: [0.5, -(2 ** 100)], f64: [Math.PI, -1e300] },
    ...{ i64: [-(2n ** 63n), 2n ** 63n - 1n], u64: [0n, 2n ** 64n - 1n] },
  };
  for (const type of TYPES) {
    const S = dynamic(heap, { pad: 'u8', one: type, list: [type, 5] });
    const at = S.alloc(GFP.ZERO);
    for (const value of values[type]) {
      S.accessors.setOne(at, value);
      S.accessors.setList(at, 4, value);
      assert.deepEqual(
        ['one', 'list'].map((name) => S.accessors[name](at, 4)).concat(S.accessors.list(at, 3)),
        [value, value, typeof value === 'bigint' ? 0n : 0],
        type,
      );
    }
    assert.equal(heap.u8[at], 0);
    S.free(at);
  }
  assert.equal(heap.meminfo().live, 0);
});

/** A struct of which TypeScript does not know the fields. */
type Accessor = (address: number, a?: unknown, b?: unknown) => unknown;
interface Dynamic {
  readonly accessors: Record<string, Accessor>;
  readonly size: number;
  readonly offsets: Record<string, number>;
  alloc(gfp?: number): number;
  free(address: number): void;
}

function dynamic(heap: Heap, fields: StructFields): Dynamic {
  const { size, offsets, alloc, free, ...accessors } = heap.struct(fields);
  return { accessors: wrong(accessors), size, offsets, alloc: wrong(alloc), free: wrong(free) };
}

/** A struct's fields, drawn at random. */
const fieldsOf = fc.array(
  fc.tuple(fc.constantFrom(...TYPES), fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined })),
  { minLength: 1, maxLength: 9 },
);

test('model: no field overlaps another, whatever the fields; a DataView sees the same', () => {
  const heap = smallHeap({ shared: false });
  fc.assert(
    fc.property(fieldsOf, fc.integer(), (list, seed) => {
      const fields: StructFields = Object.fromEntries(
        list.map(([type, count], i) => [`f${i}`, count === undefined ? type : [type, count]]),
      );
      const S = dynamic(heap, fields);
      const at = S.alloc();
      heap.view(at, S.size).fill(0xa5);
      const view = new DataView(heap.buffer, at, S.size);
      const owner = new Array<string | undefined>(S.size).fill(undefined);
      for (const [i, [type, count]] of list.entries()) {
        for (let j = 0; j < (count ?? 1); j++) {
          const value = type.endsWith('64') && type !== 'f64' ? BigInt(seed & 0xff) : (seed + i + j) & 0x7f;
          const place = S.offsets[`f${i}`] + j * BYTES[type];
          assert.equal((at + place) % BYTES[type], 0, 'aligned');
          for (let byte = 0; byte < BYTES[type]; byte++) {
            assert.equal(owner[place + byte], undefined, 'overlap');
            owner[place + byte] = type;
          }
          if (count === undefined) S.accessors[`setF${i}`](at, value);
          else S.accessors[`setF${i}`](at, j, value);
          assert.equal(count === undefined ? S.accessors[`f${i}`](at) : S.accessors[`f${i}`](at, j), value);
          assert.equal(readBy(view, type, place), value);
        }
      }
      for (const [byte, type] of owner.entries())
        if (type === undefined) assert.equal(view.getUint8(byte), 0xa5, 'padding stays as it was');
      S.free(at);
    }),
    { numRuns: 150 },
  );
});

function readBy(view: DataView, type: ScalarType, at: number): number | bigint {
  const readers: Record<ScalarType, () => number | bigint> = {
    i8: () => view.getInt8(at),
    u8: () => view.getUint8(at),
    i16: () => view.getInt16(at, true),
    u16: () => view.getUint16(at, true),
    i32: () => view.getInt32(at, true),
    u32: () => view.getUint32(at, true),
    f32: () => view.getFloat32(at, true),
    f64: () => view.getFloat64(at, true),
    i64: () => view.getBigInt64(at, true),
    u64: () => view.getBigUint64(at, true),
    address: () => view.getUint32(at, true),
  };
  return readers[type]();
}

test('the accessors follow the heap when it grows, here or on another thread', async () => {
  const heap = Heap.create({ size: MIB, maxSize: 16 * MIB, cpus: 4 });
  const S = heap.struct({ id: 'u32', x: 'f64' });
  const first = S.alloc();
  S.setId(first, 7);
  const addresses: number[] = [];
  while (heap.meminfo().size < 2 * MIB) addresses.push(heap.kmalloc(65_536));
  const behind = addresses[addresses.length - 1];
  S.setX(behind, 1.5);
  assert.deepEqual([S.id(first), S.x(behind)], [7, 1.5]);
  const program = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(workerData.modslab).then(({ Heap }) => {
      const heap = Heap.attach(workerData.handle);
      const S = heap.struct({ id: 'u32', x: 'f64' });
      const before = heap.meminfo().size;
      let at = 0;
      while (heap.meminfo().size < before + 2 ** 20) at = heap.kmalloc(65536);
      S.setX(at, 2.5);
      heap.detach();
      parentPort.postMessage(at);
    });`;
  const worker = new Worker(program, {
    eval: true,
    workerData: { handle: heap.handle, modslab: import.meta.resolve('modslab') },
  });
  const at = await new Promise<number>((resolve, reject) =>
    worker.on('message', resolve).on('error', reject),
  );
  assert.equal(S.x(at), 2.5, 'memory that did not exist when the struct was made');
});

test('memory: kmalloc, a cache by name that threads share, or an alignment', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  const Plain = heap.struct({ a: 'u32' });
  const plain = Plain.alloc(GFP.ZERO);
  assert.equal(Plain.a(plain), 0);
  assert.match(heap.virtToPage(plain).cache ?? '', /^kmalloc-8$/);
  Plain.free(plain);
  assert.throws(() => Plain.free(plain), /EDOUBLEFREE/);

  const P = heap.struct({ x: 'f64', id: 'u32' }, { cache: 'particle' });
  const Q = other.struct({ x: 'f64', id: 'u32' }, { cache: 'particle' });
  const particle = P.alloc();
  P.setX(particle, 3);
  assert.equal(heap.virtToPage(particle).cache, 'particle');
  assert.equal(Q.x(particle), 3);
  Q.free(particle);
  assert.throws(() => P.free(particle), /EDOUBLEFREE/);
  thrownBy('EINVAL', () => other.struct({ x: 'f64' }, { cache: 'particle' }));

  for (const options of [{ align: 64 }, { align: 64, cache: 'aligned' }]) {
    const A = heap.struct({ a: 'u8' }, options);
    assert.deepEqual([A.size, A.align], [64, 64]);
    const objects = Array.from({ length: 5 }, () => A.alloc());
    assert.ok(objects.every((at) => at % 64 === 0));
    for (const at of objects) A.free(at);
  }
  other.detach();
  assert.equal(heap.meminfo().live, 0);
  assertSound(heap);
});

test('what is no struct is refused', () => {
  const heap = smallHeap();
  const S = heap.struct({ list: ['u16', 3], nest: [heap.struct({ a: 'u8' }), 2] });
  const at = S.alloc(GFP.ZERO);
  for (const i of [-1, 3, 1.5, Number.NaN]) {
    thrownBy(RangeError, () => S.list(at, i));
    thrownBy(RangeError, () => S.setList(at, i, 1));
    thrownBy(RangeError, () => S.nest(at, i));
  }
  thrownBy(TypeError, () => heap.struct({ a: wrong('f16') }));
  thrownBy(TypeError, () => heap.struct({ a: wrong('constructor') }));
  thrownBy(TypeError, () => heap.struct({ a: wrong(null) }));
  thrownBy(RangeError, () => heap.struct({ a: ['u8', 0] }));
  thrownBy(RangeError, () => heap.struct({ a: ['f64', 2 ** 30] }));
  thrownBy('EINVAL', () => heap.struct({}));
  thrownBy('EINVAL', () => heap.struct({ size: 'u8' }));
  thrownBy('EINVAL', () => heap.struct({ x: 'u8', setX: 'u8' }));
  thrownBy('EINVAL', () => heap.struct({ '': 'u8' }));
  thrownBy('EINVAL', () => heap.struct({ ['__proto__']: 'u8' }));
  for (const fields of [null, undefined, 5])
    thrownBy(TypeError, () => heap.struct(wrong<StructFields>(fields)));
  thrownBy(RangeError, () => heap.struct({ a: 'u8' }, { align: 24 }));
  heap.detach();
  assert.throws(
    () => heap.struct({ a: 'u8' }),
    (error) => error instanceof SlabError && error.code === 'ESHUTDOWN',
  );
});

test('fields may have names that every object has', () => {
  const heap = smallHeap();
  const S = heap.struct({ toString: 'u32', constructor: 'u8', valueOf: ['u16', 2] });
  const address = S.alloc();
  S.setToString(address, 70_000);
  S.setConstructor(address, 9);
  S.setValueOf(address, 1, 500);
  assert.deepEqual([S.toString(address), S.constructor(address), S.valueOf(address, 1)], [70_000, 9, 500]);
  assert.deepEqual(S.offsets, { toString: 0, constructor: 4, valueOf: 6 });
});
