// Two threads and one cache: whatever comes between the steps of destroy, one of them destroys it, and nothing else.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Heap } from 'modslab';
import { assertSound, smallHeap, thrownBy } from './support/heap.ts';
import { internalsOf } from './support/internals.ts';

test('of two threads that destroy a cache at the same time one does it, and the other is told', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  const cache = heap.createCache({ name: 'contended', size: 40 });
  const same = other.cache('contended');
  const objects = cache.objects.bind(cache);
  // Behind the check that the cache is in use, and before the step that takes it out of use.
  cache.objects = () => {
    const found = objects();
    same.destroy();
    return found;
  };
  thrownBy('EINVAL', () => cache.destroy());
  thrownBy('EINVAL', () => heap.cache('contended'));
  assertSound(heap);
});

test('a cache that takes over the number of one being destroyed is not destroyed with it', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  const cache = heap.createCache({ name: 'old', size: 40 });
  const { sheaves } = internalsOf(heap);
  const drainBarns = sheaves.drainBarns.bind(sheaves);
  let next = cache;
  // Between the layers of destroy: the cache is out of use, and nothing of it is left.
  sheaves.drainBarns = (number) => {
    sheaves.drainBarns = drainBarns;
    drainBarns(number);
    next = other.createCache({ name: 'new', size: 200 });
    assert.equal(next.id, number, 'the new cache has the number of the old one');
  };
  cache.destroy();
  const address = next.alloc();
  assert.notEqual(address, 0);
  next.free(address);
  next.destroy();
  assertSound(heap);
});
