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

/** The alias is a hook of Node's module loader. */
const skip =
  'bun' in process.versions || 'deno' in process.versions ? 'no hooks of the module loader here' : false;

test('the alias is in force', { skip }, () => {
  assert.equal(malloc.MemPool as unknown, MemPool);
});

describe('@thi.ng/vector-pools', { skip }, () => {
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

  interface Component {
    readonly vals: Float32Array;
    readonly sparse: Uint8Array;
    readonly size: number;
    readonly stride: number;
    delete(id: number): boolean;
    set(id: number, value: unknown): boolean;
    values(): Iterable<ArrayLike<number>>;
  }
  interface Group {
    has(id: number): boolean;
    getEntity(id: number): Record<string, unknown> | undefined;
    forEach(visit: (entity: Record<string, unknown>) => void): void;
  }
  const define = (world: InstanceType<typeof ECS>, options: unknown): Component =>
    world.defComponent(options as never) as never as Component;
  /** The group's entities by id, with plain values: the order in which they are packed is the ECS's own. */
  const entitiesOf = (group: Group): Record<string, unknown>[] => {
    const all: Record<string, unknown>[] = [];
    group.forEach((entity) => {
      all.push({ ...entity, b: [...(entity.b as Float32Array)] });
    });
    return all.sort((x, y) => Number(x.id) - Number(y.id));
  };

  test('sizes, strides and types of components', () => {
    const world = ecs(new MemPool({ size: 0x4000 }));
    const single = define(world, { id: 'single', type: 'u8' });
    assert.deepEqual([single.vals.length, single.size, single.stride], [16, 1, 1]);
    const arrays: unknown[] = [single.vals, single.sparse];
    assert.ok(arrays.every((array) => array instanceof Uint8Array));
    const padded = define(world, { id: 'padded', type: 'f32', size: 3, stride: 4 });
    assert.deepEqual([padded.vals.length, padded.size, padded.stride], [64, 3, 4]);
    assert.equal((padded as never as { get(id: number): unknown }).get(3), undefined);
  });

  test('groups: entities come, change, lose a component, and survive a larger capacity', () => {
    const pool = new MemPool({ size: 0x8000 });
    const world = ecs(pool);
    const a = define(world, { id: 'a', default: () => 'a' });
    const values = pool.callocAs('f32', 2 * 16);
    const b = define(world, { id: 'b', type: 'f32', size: 2, buf: pool.buf, byteOffset: values?.byteOffset });
    const group = world.defGroup([a, b] as never) as never as Group;
    world.defEntity(['a', 'b'] as never);
    world.defEntity({ a: 'aa', b: [1, 2] } as never);
    world.defEntity({ a: 'aaa', b: [3, 4] } as never);
    assert.deepEqual(
      [0, 1, 2, 3].map((id) => group.has(id)),
      [true, true, true, false],
    );
    assert.deepEqual([...world.componentsForID(2)] as unknown[], [a, b]);
    assert.deepEqual([...world.groupsForID(2)] as unknown[], [group]);
    const [one, two] = [
      { a: 'aa', b: [1, 2], id: 1 },
      { a: 'aaa', b: [3, 4], id: 2 },
    ];
    assert.deepEqual(entitiesOf(group), [{ a: 'a', b: [0, 0], id: 0 }, one, two]);
    a.delete(0);
    assert.deepEqual(entitiesOf(group), [one, two]);
    world.setCapacity(64);
    assert.equal(b.sparse.length, 64);
    assert.ok(b.vals.buffer === pool.buf);
    assert.deepEqual(entitiesOf(group), [one, two]);
    a.delete(2);
    a.set(1, 'hi');
    assert.deepEqual(entitiesOf(group), [{ ...one, a: 'hi' }]);
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

describe('libraries that take an allocator', () => {
  test('alloc, free and realloc as the guide has them', async () => {
    const { Heap } = await import('modslab');
    const heap = Heap.create({ shared: false, size: 2 ** 20 });
    const alloc = (size: number): number => heap.kmalloc(size);
    const free = (address: number): void => heap.kfree(address);
    const realloc = (address: number, size: number): number => heap.krealloc(address, size);
    const a = alloc(10);
    heap.u8.fill(7, a, a + 10);
    const b = realloc(a, 1000);
    assert.deepEqual([...heap.u8.subarray(b, b + 10)], Array(10).fill(7));
    assert.equal(alloc(heap.kmallocMaxSize) === 0 || heap.meminfo().size > 2 ** 20, true);
    free(b);
    assert.throws(() => free(b), { code: 'EDOUBLEFREE' });
  });
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
