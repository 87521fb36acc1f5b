// The behaviour of @thi.ng/malloc's MemPool, test by test of its own suite; what differs is named in README.md.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemPool, NativePool } from '@modslab/thi.ng-malloc';
import type { IMemPool as TheirPool } from '@thi.ng/malloc';

const small = (): MemPool => new MemPool({ size: 0x100 });
const ALL_TYPES = ['u8', 'u8c', 'i8', 'u16', 'i16', 'u32', 'i32', 'u64', 'i64', 'f32', 'f64'] as const;

test('a MemPool is an IMemPool of @thi.ng/malloc', () => {
  // The types are the same but for TypedArrayTypeMap, which TypeScript does not compare across packages.
  const pool: Omit<TheirPool, 'mallocAs' | 'callocAs'> = small();
  assert.notEqual(pool.malloc(8), 0);
});

describe('constructor', () => {
  test('defaults: the whole buffer, compacting, splitting', () => {
    const pool = small();
    assert.equal(pool.start, 0);
    assert.equal(pool.end, 0x100);
    assert.ok(pool.doCompact && pool.doSplit);
    assert.equal(pool.align, 8);
    assert.ok(pool.buf.byteLength >= 0x100);
  });

  test('a window', () => {
    const pool = new MemPool({ size: 0x100, start: 0x0c, end: 0x80 });
    assert.equal(pool.start, 0x0c);
    assert.equal(pool.end, 0x80);
    assert.ok(pool.malloc(16) >= 0x0c);
  });

  test('refuses windows without room, bad alignment, bad split threshold', () => {
    for (const opts of [
      { size: 0x100, start: 0, end: 0 },
      { size: 0x100, start: 0x100, end: 0x200 },
      { size: 0x100, start: 0x80, end: 0 },
      { buf: new ArrayBuffer(4096) },
      { size: 0x100, align: 4 },
      { size: 0x100, align: 24 },
      { size: 0x100, minSplit: 8 },
      { buf: new ArrayBuffer(65_536), skipInitialization: true },
      { skipInitialization: true },
    ]) {
      assert.throws(() => new MemPool(opts), Error, JSON.stringify(opts));
    }
  });

  test('skipInitialization opens the pool that is there', () => {
    const buf = new ArrayBuffer(65_536);
    const first = new MemPool({ buf, start: 64 });
    const second = new MemPool({ buf, start: 64, skipInitialization: true });
    const block = first.malloc(100);
    assert.ok(second.free(block));
    assert.equal(first.free(block), false);
    first.release();
    assert.notEqual(second.malloc(100), 0);
  });

  test('a window of a buffer stays within it', () => {
    const buf = new SharedArrayBuffer(256 * 1024);
    const u8 = new Uint8Array(buf).fill(0x77);
    const pool = new MemPool({ buf, start: 40_000, end: 200_000 });
    for (let block = pool.calloc(500); block !== 0; block = pool.calloc(500)) {
      assert.ok(block >= 40_000 && block + 500 <= 200_000);
    }
    assert.ok(u8.subarray(0, 40_000).every((byte) => byte === 0x77));
    assert.ok(u8.subarray(200_000).every((byte) => byte === 0x77));
  });
});

describe('malloc and free', () => {
  test('sizes that cannot be are 0', () => {
    const pool = small();
    for (const size of [256, 0x1000, -1, 0, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.equal(pool.malloc(size), 0, String(size));
    }
  });

  test('blocks are distinct and aligned, free says whether it was one, stats count', () => {
    const pool = small();
    const blocks = [12, 31, 24].map((size) => pool.malloc(size));
    assert.equal(new Set(blocks).size, 3);
    for (const block of blocks) assert.ok(block > 0 && block % 8 === 0);
    const { used, available, total } = pool.stats();
    assert.equal(used.count, 3);
    assert.ok(used.size >= 12 + 31 + 24);
    assert.equal(available, total - used.size);
    assert.deepEqual(
      blocks.map((block) => pool.free(block)),
      [true, true, true],
    );
    assert.equal(pool.free(blocks[1]), false);
    assert.equal(pool.free(blocks[1] + 8), false);
    assert.equal(pool.free(0), false);
    assert.equal(pool.free(1e9), false);
    assert.deepEqual(pool.stats().used, { count: 0, size: 0 });
    assert.equal(pool.stats().available, total);
  });

  test('all that fits into @thi.ng/malloc’s pool fits here', () => {
    for (const [bytes, size] of [
      [0x100, 16],
      [0x1000, 33],
      [0x10000, 129],
      [0x10000, 2049],
      [0x100000, 513],
    ]) {
      const pool = new MemPool({ size: bytes });
      const blocks = Math.floor((bytes - 36) / (Math.ceil((size + 8) / 8) * 8));
      for (let i = 0; i < blocks; i++) assert.notEqual(pool.malloc(size), 0, `${bytes} ${size} ${i}`);
    }
  });

  test('memory is used again: free blocks of any size make room for any other', () => {
    const pool = new MemPool({ size: 0x10000 });
    for (const size of [16, 3000, 100, 60_000, 24]) {
      const blocks: number[] = [];
      for (let block = pool.malloc(size); block !== 0; block = pool.malloc(size)) blocks.push(block);
      assert.ok(blocks.length * size >= 0x10000 / 2, `${size}: ${blocks.length}`);
      for (const block of blocks) assert.ok(pool.free(block));
    }
    assert.equal(pool.stats().used.count, 0);
  });

  test('freeAll', () => {
    const pool = new MemPool({ size: 0x10000, align: 16 });
    const { available, top } = pool.stats();
    const block = pool.malloc(15);
    pool.callocAs('u8', 11);
    pool.malloc(40_000);
    pool.freeAll();
    const stats = pool.stats();
    assert.deepEqual(stats.used, { count: 0, size: 0 });
    assert.deepEqual(stats.free, { count: 0, size: 0 });
    assert.equal(stats.available, available);
    assert.equal(stats.top, top);
    assert.equal(pool.free(block), false);
    assert.notEqual(pool.malloc(40_000), 0);
  });

  for (const align of [8, 16, 32, 64, 256]) {
    test(`align ${align}`, () => {
      const pool = new MemPool({ size: 0x8000, align });
      const blocks = [15, 11, 7, 3, 1, 100, 1000].map((size) => pool.malloc(size));
      for (const block of blocks) assert.ok(block > 0 && block % align === 0, `${block}`);
      const moved = pool.realloc(blocks[0], 5000);
      assert.ok(moved > 0 && moved % align === 0);
      assert.deepEqual(
        [moved, ...blocks.slice(1)].map((block) => pool.free(block)),
        Array(7).fill(true),
      );
    });
  }

  test('release: the pool can be used no more', () => {
    const pool = small();
    assert.equal(pool.release(), true);
    assert.equal(pool.release(), true);
    assert.throws(() => pool.malloc(8));
    assert.throws(() => pool.free(8));
  });
});

describe('typed arrays', () => {
  test('mallocAs', () => {
    const pool = small();
    assert.equal(pool.mallocAs('u8', 257), undefined);
    assert.equal(pool.mallocAs('u16', 129), undefined);
    assert.equal(pool.mallocAs('u32', 65), undefined);
    assert.equal(pool.mallocAs('f64', 33), undefined);
    assert.equal(pool.mallocAs('u8', -1), undefined);
    const a = pool.mallocAs('f32', 3);
    const b = pool.mallocAs('f64', 3);
    assert.ok(a instanceof Float32Array && b instanceof Float64Array);
    assert.deepEqual([a.length, a.byteLength, b.length, b.byteLength], [3, 12, 3, 24]);
    a.set([1, 2, 3]);
    b.set([10, 20, 30]);
    assert.deepEqual([...a, ...b], [1, 2, 3, 10, 20, 30]);
    assert.deepEqual([pool.free(a), pool.free(b), pool.free(a), pool.free(b)], [true, true, false, false]);
    assert.equal(pool.free(new Uint16Array(1)), false);
  });

  test('every type, WebGL’s numbers too', () => {
    const pool = new MemPool({ size: 0x1000 });
    for (const type of ALL_TYPES) {
      const array = pool.callocAs(type, 5, 3);
      assert.ok(array !== undefined);
      assert.equal(array.length, 5);
      assert.equal(Number(array[4]), 3);
      assert.ok(array.buffer === pool.buf);
    }
    assert.ok(pool.mallocAs(5126 as unknown as 'f32', 4) instanceof Float32Array);
    assert.throws(() => pool.mallocAs('f128' as 'f64', 4), TypeError);
  });

  test('calloc and callocAs fill, and no byte more', () => {
    const pool = small();
    const dirty = pool.malloc(8);
    const u8 = new Uint8Array(pool.buf);
    u8.fill(0xff, dirty, dirty + 8);
    assert.ok(pool.free(dirty));
    const a = pool.calloc(6);
    assert.equal(a, dirty);
    assert.deepEqual([...u8.subarray(a, a + 8)], [0, 0, 0, 0, 0, 0, 0xff, 0xff]);
    assert.deepEqual([...(pool.callocAs('f32', 3) ?? [])], [0, 0, 0]);
    assert.deepEqual([...(pool.callocAs('u32', 2, 0xaa55aa55) ?? [])], [0xaa55aa55, 0xaa55aa55]);
  });

  test('NativePool: typed arrays of the JavaScript heap', () => {
    const pool = new NativePool();
    const a = pool.callocAs('u16', 3, 9);
    assert.deepEqual([...pool.reallocArray(a, 5)], [9, 9, 9, 0, 0]);
    assert.equal(pool.reallocArray(a, 3), a);
    assert.equal(pool.mallocAs('f64', 2).length, 2);
    pool.freeAll();
    assert.ok(pool.free(a) && pool.release());
  });
});

describe('realloc', () => {
  test('keeps the contents, in place or moved, larger and smaller', () => {
    const pool = new MemPool({ size: 0x1000 });
    const u8 = new Uint8Array(pool.buf);
    const a = pool.malloc(8);
    u8.fill(0xff, a, a + 8);
    assert.equal(pool.realloc(a, 0), 0);
    const b = pool.realloc(a, 65);
    assert.deepEqual([...u8.subarray(b, b + 8)], Array(8).fill(0xff));
    assert.equal(pool.realloc(b, 70), b, 'in place, where the block has the room');
    const c = pool.realloc(b, 31);
    assert.deepEqual([...u8.subarray(c, c + 8)], Array(8).fill(0xff));
    assert.equal(pool.stats().used.count, 1);
    assert.ok(pool.free(c));
  });

  test('of no block, or without memory: 0, and nothing has changed', () => {
    const pool = new MemPool({ size: 0x1000 });
    const a = pool.malloc(100);
    assert.equal(pool.realloc(a + 8, 200), 0);
    assert.equal(pool.realloc(0, 200), 0);
    assert.equal(pool.realloc(a, 0x2000), 0);
    assert.ok(pool.free(a));
    assert.equal(pool.realloc(a, 200), 0);
  });

  test('reallocArray', () => {
    const pool = small();
    const a = pool.callocAs('f32', 4, 1);
    assert.ok(a !== undefined);
    const b = pool.reallocArray(a, 8);
    assert.ok(b !== undefined);
    assert.deepEqual([b.length, ...b.subarray(0, 4)], [8, 1, 1, 1, 1]);
    assert.equal(pool.reallocArray(b, 10_000), undefined);
    assert.equal(pool.reallocArray(new Float32Array(4), 8), undefined);
    assert.ok(pool.free(b));
  });
});

describe("the original README's example in a heap of 64 KiB", () => {
  const buffers: [string, () => ArrayBufferLike][] = [
    ['an ArrayBuffer', () => new ArrayBuffer(0x10000)],
    ['a SharedArrayBuffer', () => new SharedArrayBuffer(0x10000)],
  ];
  for (const [name, buffer] of buffers) {
    test(name, () => {
      const pool = new MemPool({ buf: buffer(), start: 8, compact: true, split: true, minSplit: 16 });
      const { total, available } = pool.stats();
      // But for the frame at address 0.
      assert.ok(total > 0.98 * 0x10000 && available === total);
      let ptr = pool.malloc(16);
      assert.ok(ptr >= 8 && ptr % 8 === 0);
      let vec = pool.mallocAs('f64', 4);
      assert.ok(vec !== undefined);
      vec.set([1, 2, 3, 4]);
      assert.equal(pool.stats().used.count, 2);
      ptr = pool.realloc(ptr, 32);
      assert.notEqual(ptr, 0);
      vec = pool.reallocArray(vec, 5);
      assert.ok(vec !== undefined);
      assert.deepEqual([...vec.subarray(0, 4)], [1, 2, 3, 4]);
      assert.equal(pool.free(ptr), true);
      assert.equal(pool.free(vec), true);
      assert.equal(pool.free(vec), false);
      assert.deepEqual(pool.stats().used, { count: 0, size: 0 });
      pool.freeAll();
      assert.equal(pool.stats().available, available, 'all of it is there again');
    });
  }
});
