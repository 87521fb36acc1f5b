// A living thread that was reaped by mistake is told so, ESHUTDOWN, at its next slow path, wherever that is; and as long as
// its first call is not a free that its sheaves have room for, it does no harm.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Heap } from 'modslab';
import { assertSound, smallHeap, thrownBy } from './support/heap.js';

interface Scene {
  readonly heap: Heap;
  readonly other: Heap;
}

/** Everything that a thread can have, on the one that will be reaped. */
function scene(): Scene & { calls: [string, () => unknown][] } {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  const cache = other.createCache({ name: 'theirs', size: 300 });
  const group = other.createGroup({ name: 'g' });
  const pool = other.createMempool(3, 100);
  const sheaf = cache.prefill(5);
  const slots = other.kzalloc(64);
  other.allocInto(slots, 64);
  const large = other.kmalloc(9000);
  const pages = other.allocPages(1);
  const grouped = group.kmalloc(64);
  const object = cache.alloc();
  const small = Array.from({ length: 8 }, () => other.kmalloc(64));
  other.kfree(small[0]);
  const bulk = new Uint32Array(10);
  heap.reap(other.cpu);
  const calls: [string, () => unknown][] = [
    ['kmalloc, from a sheaf that it had', () => other.kmalloc(64)],
    ['kmalloc, of a class that it had not', () => other.kmalloc(2000)],
    ['kmalloc of pages', () => other.kmalloc(9000)],
    ['kzalloc', () => other.kzalloc(64)],
    ['kcalloc', () => other.kcalloc(2, 64)],
    ['kmallocNode', () => other.kmallocNode(64, 0, 0)],
    ['kmallocAligned', () => other.kmallocAligned(64, 8192)],
    ['krealloc', () => other.krealloc(small[1], 500)],
    ['krealloc of nothing', () => other.krealloc(0, 500)],
    ['kfree of pages', () => other.kfree(large)],
    ['kfree of a grouped object', () => other.kfree(grouped)],
    ['kfreeSensitive', () => other.kfreeSensitive(small[1])],
    ['kmallocBulk', () => other.kmallocBulk(64, bulk)],
    ['kvmalloc', () => other.kvmalloc(100_000)],
    ['kvfree', () => other.kvfree(large)],
    ['allocPages', () => other.allocPages(1)],
    ['freePages', () => other.freePages(pages, 1)],
    ['createCache', () => other.createCache({ name: 'y', size: 8 })],
    ['cache', () => other.cache('theirs')],
    ['caches', () => other.caches()],
    ['cache.alloc', () => cache.alloc()],
    ['cache.allocNode', () => cache.allocNode(0, 0)],
    ['cache.allocBulk', () => cache.allocBulk(bulk)],
    ['cache.prefill', () => cache.prefill(3)],
    ['cache.shrink', () => cache.shrink()],
    ['cache.destroy', () => cache.destroy()],
    ['sheaf.alloc', () => sheaf.alloc()],
    ['sheaf.release', () => sheaf.release()],
    ['createGroup', () => other.createGroup()],
    ['group', () => other.group('g')],
    ['groups', () => other.groups()],
    ['group.kmalloc', () => group.kmalloc(64)],
    ['group.kfree', () => group.kfree(grouped)],
    ['group.krealloc', () => group.krealloc(grouped, 500)],
    ['group.usage', () => group.usage],
    ['group.free', () => group.free()],
    ['allocInto', () => other.allocInto(slots + 4, 64)],
    ['freeFrom', () => other.freeFrom(slots)],
    ['createMempool', () => other.createMempool(1, 64)],
    ['pool.alloc', () => pool.alloc()],
    ['pool.resize', () => pool.resize(10)],
    ['pool.free', () => pool.free(small[1])],
    ['pool.destroy', () => pool.destroy()],
    ['registerShrinker', () => other.registerShrinker({ count: () => 0, scan: () => 0 })],
    ['reap', () => other.reap(heap.cpu)],
    ['shrink', () => other.shrink()],
  ];
  assert.ok(object !== 0);
  return { heap, other, calls };
}

const names = scene().calls.map(([name]) => name);

for (const [i, name] of names.entries()) {
  test(`${name} says ESHUTDOWN, and changes nothing`, () => {
    const { heap, other, calls } = scene();
    const { live } = heap.meminfo();
    thrownBy('ESHUTDOWN', calls[i][1], name);
    thrownBy('ESHUTDOWN', calls[i][1], `${name}, again`);
    assert.equal(heap.meminfo().live, live);
    assertSound(heap);
    other.detach();
    assertSound(heap);
  });
}

test('after ESHUTDOWN the thread can attach again', () => {
  const { heap, other } = scene();
  thrownBy('ESHUTDOWN', () => other.shrink());
  other.detach();
  const again = Heap.attach(heap.handle);
  again.kfree(again.kmalloc(64));
  again.detach();
  assertSound(heap);
});

test('validate on the reaped CPU says ESHUTDOWN', () => {
  const { other } = scene();
  assert.deepEqual(
    other.validate().map(({ code }) => code),
    ['ESHUTDOWN'],
  );
});
