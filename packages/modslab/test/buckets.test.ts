// Buckets: a private set of size classes for one client.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Heap } from 'modslab';
import { assertSound, isZero, refused, smallHeap, thrownBy, wrong } from './support/heap.js';

test('a set has a cache a size class, which shares no slab with kmalloc', () => {
  const heap = smallHeap();
  const buckets = heap.createBuckets('io');
  assert.deepEqual(
    buckets.caches.map(({ name }) => name.replace('io-', 'kmalloc-')),
    heap.caches().flatMap(({ name }) => (name.startsWith('kmalloc-') ? [name] : [])),
  );
  const [mine, other] = [buckets.alloc(100), heap.kmalloc(100)];
  assert.equal(heap.virtToPage(mine).cache, 'io-128');
  assert.notEqual(heap.virtToPage(mine).pfn, heap.virtToPage(other).pfn);
  heap.view(mine, 128).fill(7);
  buckets.free(mine);
  const clean = buckets.zalloc(128);
  assert.ok(isZero(heap, clean, 128));
  buckets.free(clean);
  assertSound(heap);
});

test('a set takes back its own and nothing else', () => {
  const heap = smallHeap();
  const [a, b] = [heap.createBuckets('a'), heap.createBuckets('b')];
  const [mine, theirs, small] = [a.alloc(64), b.alloc(64), heap.kmalloc(64)];
  refused(heap, 'ECACHE', () => a.free(theirs));
  refused(heap, 'ECACHE', () => a.free(small));
  refused(heap, 'EINTERIOR', () => a.free(mine + 8));
  refused(heap, 'EFAULT', () => a.free(2 ** 31));
  heap.kfree(mine);
  refused(heap, 'EDOUBLEFREE', () => a.free(mine));
  const large = a.alloc(100_000);
  a.free(large);
  refused(heap, RangeError, () => a.alloc(-1));
});

test('above its largest size a set gives whole pages, and takes them back', () => {
  const heap = smallHeap();
  const buckets = heap.createBuckets('io', { sizes: [32, 64, 128, 256] });
  const [large, zeroed] = [buckets.alloc(300), buckets.zalloc(5000)];
  assert.equal(heap.virtToPage(large).cache, undefined, 'in nobody’s slab');
  assert.ok(isZero(heap, zeroed, 5000));
  for (const address of [large, zeroed]) {
    assert.ok(heap.ksize(address) >= 300);
    buckets.free(address);
  }
  const told: string[] = [];
  const stop = heap.on('kmalloc', ({ requested }) => told.push(`${requested}`));
  buckets.free(buckets.alloc(300));
  stop();
  assert.deepEqual(told, ['300']);
  assert.equal(heap.meminfo().live, 0);
  assertSound(heap);
});

test('powers of two are aligned to themselves, whatever lies between objects', () => {
  for (const debug of ['', 'Z', 'FZPU', 'G']) {
    const heap = smallHeap({ debug });
    const buckets = heap.createBuckets('io');
    for (let size = 8; size <= 2048; size *= 2) {
      const some = Array.from({ length: 5 }, () => buckets.alloc(size));
      for (const address of some) assert.equal(address % size, 0, `${size} bytes with debug '${debug}'`);
      for (const address of some) buckets.free(address);
    }
    assertSound(heap);
  }
});

test('on slob a set knows its objects in pages that all caches share', () => {
  const heap = smallHeap({ allocator: 'slob' });
  const [a, b] = [heap.createBuckets('a'), heap.createBuckets('b')];
  const [mine, theirs, small] = [a.alloc(64), b.alloc(64), heap.kmalloc(64)];
  refused(heap, 'ECACHE', () => a.free(theirs));
  refused(heap, 'ECACHE', () => a.free(small));
  a.free(mine);
  refused(heap, 'EDOUBLEFREE', () => a.free(mine));
  b.free(theirs);
  heap.kfree(small);
  assert.equal(heap.meminfo().live, 0);
  assertSound(heap);
});

test('sizes are the caller’s, if they make a table', () => {
  const heap = smallHeap();
  const buckets = heap.createBuckets('fine', { sizes: [16, 32, 48, 64, 80, 128, 256] });
  assert.equal(heap.ksize(buckets.alloc(70)), 80);
  thrownBy(RangeError, () => heap.createBuckets('bad', { sizes: [16, 32, 40, 64, 128, 256] }));
  thrownBy(RangeError, () => heap.createBuckets('bad', { sizes: [32, 64, 128] }));
});

test('a set is opened by its name on another thread, and destroyed whole or not at all', () => {
  const heap = smallHeap();
  const buckets = heap.createBuckets('shared');
  const other = Heap.attach(heap.handle);
  const address = other.buckets('shared').alloc(500);
  assert.match(thrownBy('EBUSY', () => buckets.destroy()).message, /shared-512/);
  assert.notEqual(buckets.alloc(8), 0, 'it is as it was');
  thrownBy('EINVAL', () => heap.buckets('none'));
  thrownBy('EINVAL', () => heap.buckets('kmalloc'));
  thrownBy('EINVAL', () => heap.createBuckets('shared'));
  buckets.free(address);
  for (const object of [...heap.cache('shared-8').objects()]) buckets.free(object);
  buckets.destroy();
  thrownBy('EINVAL', () => heap.buckets('shared'));
  other.detach();
  assertSound(heap);
});

test('a set for which there are not enough descriptors leaves none behind', () => {
  const heap = smallHeap({ caches: 32 });
  const before = heap.caches().length;
  const sizes = [16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640];
  thrownBy('ENOMEM', () => heap.createBuckets('large', { sizes }));
  assert.equal(heap.caches().length, before);
});

test('a set without a name, or with flags that are no union of bits, is refused', () => {
  const heap = smallHeap();
  for (const name of [undefined, '', 5]) refused(heap, 'EINVAL', () => heap.createBuckets(wrong(name)));
  for (const flags of [Number.NaN, 0.5, 2 ** 32])
    refused(heap, 'EINVAL', () => heap.createBuckets('odd', { flags }));
});
