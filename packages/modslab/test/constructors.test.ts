// Constructors: templates and functions, once for each object when its slab is made, and functions that misbehave.
import assert from 'node:assert/strict';
import test from 'node:test';
import { GFP, Heap } from 'modslab';
import { assertSound, exhaust, MIB, refused, smallHeap, thrownBy } from './support/heap.js';

test('a function runs once for each object when its slab is made, not at each allocation', () => {
  const heap = smallHeap();
  const seen: number[] = [];
  const cache = heap.createCache({
    name: 'built',
    size: 256,
    ctor: (address, owner) => {
      assert.equal(owner, heap);
      seen.push(address);
      owner.u32[address / 4] = 0xc0ffee;
    },
  });
  assert.equal(seen.length, 0, 'not at creation');
  const first = cache.alloc();
  assert.equal(seen.length, 16, 'all objects of one slab');
  assert.equal(new Set(seen).size, 16);
  for (let i = 0; i < 50; i++) cache.free(cache.alloc());
  assert.equal(seen.length, 16);
  const others = Array.from({ length: 15 }, () => cache.alloc());
  assert.equal(seen.length, 16);
  for (const address of [first, ...others]) {
    assert.ok(seen.includes(address));
    assert.equal(heap.u32[address / 4], 0xc0ffee);
  }
  cache.alloc();
  assert.equal(seen.length, 32);
});

test('a template is copied into every object, however it is allocated', () => {
  const heap = smallHeap();
  const template = Uint8Array.from({ length: 30 }, (_, i) => i + 1);
  const cache = heap.createCache({ name: 'stamped', size: 40, ctor: template });
  template.fill(0); // The cache has its own copy.
  const bulk = new Uint32Array(100);
  cache.allocBulk(bulk);
  const sheaf = cache.prefill(10);
  const addresses = [cache.alloc(), ...bulk, cache.allocNode(0, 0), cache.alloc(GFP.NOWAIT), sheaf.alloc()];
  for (const address of addresses) {
    assert.deepEqual(
      [...heap.view(address, 30)],
      Array.from({ length: 30 }, (_, i) => i + 1),
    );
  }
  const empty = heap.createCache({ name: 'nothing', size: 8, ctor: new Uint8Array(0) });
  assert.notEqual(empty.alloc(), 0);
});

test('an object keeps what its user left in it while it is free', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'kept', size: 64, ctor: Uint8Array.of(1) });
  const address = cache.alloc();
  heap.u8[address + 5] = 77;
  cache.free(address);
  assert.equal(cache.alloc(), address);
  assert.deepEqual([heap.u8[address], heap.u8[address + 5]], [1, 77]);
});

test('bulk, prefill and allocNode construct too', () => {
  const heap = smallHeap();
  const built = new Set<number>();
  const cache = heap.createCache({ name: 'ways', size: 200, ctor: (address) => built.add(address) });
  const bulk = new Uint32Array(70);
  assert.equal(cache.allocBulk(bulk), 70);
  const sheaf = cache.prefill(70);
  const aside = Array.from({ length: 70 }, () => sheaf.alloc());
  const node = Array.from({ length: 40 }, () => cache.allocNode(0, 0));
  for (const address of [...bulk, ...aside, ...node]) assert.ok(built.has(address));
  assertSound(heap);
});

test('with NOWAIT no constructor runs: 0 when no constructed object is at hand', () => {
  const heap = smallHeap();
  let runs = 0;
  const cache = heap.createCache({
    name: 'patient',
    size: 64,
    ctor: () => {
      runs++;
    },
  });
  assert.equal(cache.alloc(GFP.NOWAIT), 0);
  assert.equal(cache.alloc(GFP.ATOMIC), 0);
  assert.equal(runs, 0);
  cache.free(cache.alloc());
  assert.notEqual(cache.alloc(GFP.NOWAIT), 0);
});

test('a constructor that throws: the error comes through, the slab is given back, the heap is sound', () => {
  const heap = smallHeap();
  let fail = true;
  const cache = heap.createCache({
    name: 'failing',
    size: 64,
    ctor: (address) => {
      if (fail && address % 4096 === 640) throw new RangeError('the tenth object');
    },
  });
  const ways = [
    () => cache.alloc(),
    () => cache.allocNode(0, 0),
    () => cache.allocBulk(new Uint32Array(5)),
    () => cache.prefill(5),
  ];
  for (const way of ways) {
    const error = refused(heap, RangeError, way);
    assert.equal(error.message, 'the tenth object');
    assert.equal(heap.meminfo().footprint, 0);
  }
  fail = false;
  assert.notEqual(cache.alloc(), 0);
  fail = true;
  const rest = Array.from({ length: 63 }, () => cache.alloc());
  assert.ok(!rest.includes(0));
  refused(heap, RangeError, () => cache.alloc());
});

test('a prefill whose constructor throws half-way sets nothing aside', () => {
  const heap = smallHeap();
  let calls = 0;
  const cache = heap.createCache({
    name: 'half',
    size: 64,
    ctor: () => {
      if (++calls > 100) throw new RangeError('enough');
    },
  });
  thrownBy(RangeError, () => cache.prefill(100));
  assert.equal(cache.stats().cached, 0);
  const other = Heap.attach(heap.handle);
  heap.detach();
  assertSound(other);
});

test('a constructor may allocate, free, make caches and shrink', () => {
  const heap = smallHeap();
  const inner: number[] = [];
  let made = 0;
  const cache = heap.createCache({
    name: 'outer',
    size: 512,
    ctor: (address) => {
      const text = heap.kmalloc(100);
      inner.push(text);
      heap.u32[address / 4] = text;
      heap.kfree(heap.kmalloc(64));
      if (made++ % 8 === 3) heap.createCache({ name: `made-${made}`, size: 8 }).alloc();
      if (made % 8 === 5) heap.shrink();
      assertSound(heap);
    },
  });
  const addresses = Array.from({ length: 20 }, () => cache.alloc());
  assert.equal(inner.length, 24);
  assert.ok(addresses.every((address) => inner.includes(heap.u32[address / 4])));
  assertSound(heap);
});

test('a constructor that allocates from its own cache ends when memory does', () => {
  const heap = smallHeap({ size: 64 * 4096, maxSize: 64 * 4096 });
  const nested: number[] = [];
  let recursing = true;
  const cache = heap.createCache({
    name: 'recursive',
    size: 1024,
    ctor: () => {
      if (recursing) nested.push(cache.alloc());
    },
  });
  cache.alloc();
  recursing = false;
  assertSound(heap);
  assert.ok(nested.includes(0), 'without memory the inner allocation got 0');
  for (const address of nested) if (address !== 0) cache.free(address);
  for (const address of [...cache.objects()]) cache.free(address);
  cache.destroy();
  assert.equal(heap.meminfo().footprint, 0);
});

test('an object under construction cannot be freed', () => {
  const heap = smallHeap();
  let tried = 0;
  const cache = heap.createCache({
    name: 'unborn',
    size: 2048,
    ctor: (address) => {
      thrownBy('EDOUBLEFREE', () => heap.kfree(address));
      tried++;
    },
  });
  cache.alloc();
  assert.equal(tried, 2);
  assertSound(heap);
});

test('a constructor that destroys its own cache gets no object of it', () => {
  const heap = smallHeap();
  let destroyed = false;
  const cache = heap.createCache({
    name: 'suicidal',
    size: 64,
    ctor: () => {
      if (!destroyed) cache.destroy();
      destroyed = true;
    },
  });
  thrownBy('EINVAL', () => cache.alloc());
  heap.shrink();
  assert.equal(heap.meminfo().live, 0);
  assertSound(heap);
});

test('a constructor that detaches its own heap leaves it to the others sound', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  const cache = heap.createCache({ name: 'leaving', size: 64, ctor: () => heap.detach() });
  thrownBy('ESHUTDOWN', () => cache.alloc());
  assertSound(other);
});

test('without memory a constructed cache gives 0, and the constructor does not run', () => {
  const heap = smallHeap({ maxSize: MIB });
  let runs = 0;
  const cache = heap.createCache({
    name: 'poor',
    size: 64,
    ctor: () => {
      runs++;
    },
  });
  const rest = exhaust(() => heap.kmalloc(4096));
  assert.equal(cache.alloc(), 0);
  assert.equal(runs, 0);
  heap.kfree(rest[0]);
  assert.notEqual(cache.alloc(), 0);
});

test('a thread that does not know the constructor may use what is there, and is told so when it needs more', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  const built: number[] = [];
  const cache = heap.createCache({ name: 'known', size: 64, ctor: (address) => built.push(address) });
  const unknowing = other.cache('known');
  const error = thrownBy('EINVAL', () => unknowing.alloc());
  assert.match(error.message, /known/);
  cache.free(cache.alloc());
  heap.shrink();
  const half = Array.from({ length: 32 }, () => cache.alloc());
  cache.freeBulk(Uint32Array.from(half));
  const knowing = other.cache('known', { ctor: (address, owner) => owner.u8.fill(9, address, address + 64) });
  const addresses = Array.from({ length: 100 }, () => knowing.alloc());
  const own = addresses.filter((address) => !built.includes(address));
  assert.ok(own.length > 0 && own.every((address) => heap.u8[address] === 9));
  assertSound(heap);
});

test('only a cache that was created with a function takes one when it is opened', () => {
  const heap = smallHeap();
  heap.createCache({ name: 'plain', size: 64 });
  heap.createCache({ name: 'template', size: 64, ctor: Uint8Array.of(1) });
  refused(heap, 'EINVAL', () => heap.cache('plain', { ctor: () => {} }));
  refused(heap, 'EINVAL', () => heap.cache('template', { ctor: () => {} }));
});

test('a descriptor that is used again has forgotten the constructor of the cache before, on every CPU', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  let stale = 0;
  heap.createCache({
    name: 'old',
    size: 64,
    ctor: () => {
      stale++;
    },
  });
  other.cache('old').destroy();
  other.createCache({ name: 'new', size: 64, ctor: () => {} });
  thrownBy('EINVAL', () => heap.cache('new').alloc());
  assert.equal(stale, 0);
});
