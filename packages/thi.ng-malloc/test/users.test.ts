// The packages that use @thi.ng/malloc, unchanged, with this pool in its place.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import './support/alias.js';
import { MemPool } from '@modslab/thi.ng-malloc';
import type { createWasmHeapManager as CreateManager } from 'wasm-heap-manager';

const { AttribPool, VecPool } = await import('@thi.ng/vector-pools');
const { ECS } = await import('@thi.ng/ecs');
const malloc = await import('@thi.ng/malloc');
const { createWasmHeapManager } = (await import('wasm-heap-manager')) as {
  createWasmHeapManager: typeof CreateManager;
};

test('the alias is in force', () => {
  assert.equal(malloc.MemPool as unknown, MemPool);
});

describe('@thi.ng/vector-pools', () => {
  const attribs = {
    pos: {
      type: 'f32',
      size: 2,
      byteOffset: 0,
      data: [
        [1, 2],
        [3, 4],
      ],
    },
    id: { type: 'u32', size: 1, byteOffset: 8, data: [1, 2], index: 4 },
    index: { type: 'u16', size: 1, byteOffset: 12, data: [10, 20] },
    col: {
      type: 'u8',
      size: 4,
      byteOffset: 14,
      data: [
        [128, 129, 130, 131],
        [255, 254, 253, 252],
      ],
      index: 6,
    },
  } as const;
  const attribPool = (mem: unknown): InstanceType<typeof AttribPool> =>
    new AttribPool({ mem, num: 8, attribs } as never);

  test('AttribPool: interleaved attributes, as its own test has them', () => {
    const pool = attribPool({ size: 0x100 });
    assert.ok(pool.pool instanceof MemPool);
    const values = (id: string): number[][] =>
      [...pool.attribValues(id)].map((value) =>
        typeof value === 'number' ? [value] : Array.from(value as ArrayLike<number>),
      );
    assert.deepEqual(values('pos').slice(0, 3), [
      [1, 2],
      [3, 4],
      [0, 0],
    ]);
    assert.deepEqual(values('id').flat(), [0, 0, 0, 0, 1, 2, 0, 0]);
    assert.deepEqual(values('index').flat(), [10, 20, 0, 0, 0, 0, 0, 0]);
    assert.deepEqual(values('col').slice(5), [
      [0, 0, 0, 0],
      [128, 129, 130, 131],
      [255, 254, 253, 252],
    ]);
    assert.deepEqual([...pool.attribArray('pos')].slice(0, 5), [1, 2, 3, 4, 0]);
  });

  test('AttribPool on a given pool: grows through realloc, adds and removes attributes', () => {
    const mem = new MemPool({ size: 0x4000 });
    const pool = attribPool(mem);
    assert.equal(pool.pool as unknown, mem);
    pool.ensure(200);
    assert.deepEqual([...pool.attribArray('pos')].slice(0, 4), [1, 2, 3, 4]);
    pool.setAttribValue('pos', 150, [7, 8]);
    pool.addAttribs({ mass: { type: 'f32', size: 1, byteOffset: 20 } } as never);
    assert.deepEqual([...(pool.attribValue('pos', 150) as Float32Array)], [7, 8]);
    pool.removeAttrib('id');
    assert.deepEqual([...(pool.attribValue('pos', 1) as Float32Array)], [3, 4]);
    assert.equal(mem.stats().used.count, 1);
  });

  test('VecPool: vectors as views of blocks', () => {
    const mem = new MemPool({ size: 0x1000 });
    const vectors = new VecPool(mem as never);
    const a = vectors.malloc(3, 'f32' as never);
    assert.ok(a !== undefined);
    assert.equal(mem.stats().used.count, 1);
    vectors.free(a as never);
    assert.equal(mem.stats().used.count, 0);
  });
});

describe('@thi.ng/ecs', () => {
  const ecs = (pool: MemPool): InstanceType<typeof ECS> => new ECS({ capacity: 16, pool: pool as never });

  test('components, defaults, groups and resizing, all in the pool', () => {
    const pool = new MemPool({ size: 0x4000 });
    const world = ecs(pool);
    const values = pool.callocAs('f32', 2 * 16);
    const place = { buf: pool.buf, byteOffset: values?.byteOffset };
    const a = world.defComponent({
      id: 'a',
      type: 'f32',
      size: 2,
      default: [1, 2],
      ...place,
    } as never) as never as {
      vals: Float32Array;
      sparse: Uint8Array;
      dense: Uint8Array;
      add(id: number, value?: number[]): boolean;
      get(id: number): Float32Array;
      packedValues(): Iterable<number>;
    };
    assert.ok(a.vals.buffer === pool.buf);
    assert.equal(a.sparse.length, 16);
    assert.ok(a.add(8));
    assert.ok(a.add(9, [10, 20]));
    assert.equal(a.add(16), false);
    assert.equal(a.add(8, [-1, -2]), false);
    assert.deepEqual([...a.get(8), ...a.get(9)], [1, 2, 10, 20]);
    assert.deepEqual([...a.packedValues()], [1, 2, 10, 20]);
    const before = pool.stats().used.count;
    assert.equal(before, 3);
    world.setCapacity(32);
    assert.equal(a.sparse.length, 32);
    assert.deepEqual([...a.get(8), ...a.get(9)], [1, 2, 10, 20]);
    assert.equal(pool.stats().used.count, before);
  });

  test('a component that does not fit is refused', () => {
    const world = new ECS({ capacity: 1000, pool: new MemPool({ size: 0x100 }) as never });
    assert.equal(world.defComponent({ id: 'big', type: 'f64' } as never), undefined);
  });
});

test('a sample buffer pool, as SuperSonic’s BufferManager keeps one in its shared memory', () => {
  const [start, size] = [1_048_576, 4_194_304];
  const buf = new SharedArrayBuffer(start + size);
  const pool = new MemPool({ buf, start, size, align: 8 });
  const buffers = new Map<number, { ptr: number; size: number }>();
  for (let id = 0; id < 12; id++) {
    const bytes = (44_100 + id * 1000) * 4;
    const ptr = pool.malloc(bytes);
    assert.notEqual(ptr, 0);
    new Float32Array(buf, ptr, bytes / 4).fill(id / 16);
    buffers.set(id, { ptr, size: bytes });
  }
  assert.equal(pool.malloc(size), 0);
  for (const [id, { ptr, size: bytes }] of buffers) {
    assert.ok(new Float32Array(buf, ptr, bytes / 4).every((sample) => sample === id / 16));
    assert.ok(pool.free(ptr));
  }
  const { available, total, used } = pool.stats();
  assert.deepEqual([available, used.count], [total, 0]);
});

describe('wasm-heap-manager', () => {
  test('takes the allocator of a heap in three lines', async () => {
    const { Heap } = await import('modslab');
    const heap = Heap.create({ shared: false, size: 2 ** 20 });
    const manager = createWasmHeapManager(
      () => heap.buffer as ArrayBuffer,
      (size) => heap.kmalloc(size),
      (address) => heap.kfree(address),
    );
    const text = manager.allocNullTerminatedUtf8String('grüße');
    const floats = manager.allocFloat64Array(10);
    assert.equal(text.value, 'grüße');
    floats.view.fill(1.5);
    assert.equal(floats.view.length, 10);
    assert.ok(heap.meminfo().live > 0);
    text.free();
    floats.free();
    assert.equal(heap.meminfo().live, 0);
  });
});
