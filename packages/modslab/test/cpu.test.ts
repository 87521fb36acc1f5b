// CPUs: attach, detach, tags, generations, and reaping from the same thread (two Heap objects are two CPUs).
import assert from 'node:assert/strict';
import test from 'node:test';
import { GFP, Heap, type HeapHandle } from 'modslab';
import { setKillPointHook } from 'modslab/debug';
import { usedFrames } from '#src/memory/cpu.js';
import { VERSION } from '#src/memory/layout.js';
import {
  assertFilled,
  assertSound,
  exhaust,
  fill,
  refused,
  smallHeap,
  thrownBy,
  wrong,
} from './support/heap.js';
import { internalsOf } from './support/internals.js';
import { skipUnlessChecked } from './support/killpoints.js';

test('the creator is CPU 0; each attach takes the lowest free slot', () => {
  const heap = smallHeap();
  const second = Heap.attach(heap.handle);
  const third = Heap.attach(second.handle);
  assert.deepEqual([heap.cpu, second.cpu, third.cpu], [0, 1, 2]);
  second.detach();
  assert.equal(Heap.attach(heap.handle).cpu, 1);
});

test('cpus() tells slots, tags and generations; a slot taken again has the next generation', () => {
  const heap = smallHeap();
  const second = Heap.attach(heap.handle, { tag: 'worker-7' });
  const third = Heap.attach(heap.handle, { tag: 42 });
  const [own, tagged, numbered] = heap.cpus();
  assert.deepEqual([own.cpu, own.online, 'tag' in own], [0, true, false]);
  assert.deepEqual([tagged.cpu, tagged.online, tagged.tag], [1, true, 'worker-7']);
  assert.deepEqual([numbered.cpu, numbered.online, numbered.tag], [2, true, 42]);
  second.detach();
  const gone = heap.cpus()[1];
  assert.deepEqual([gone.online, gone.tag, gone.generation], [false, undefined, tagged.generation]);
  Heap.attach(heap.handle, { tag: '' });
  const again = heap.cpus()[1];
  assert.deepEqual([again.online, again.tag, again.generation], [true, '', tagged.generation + 1]);
  third.detach();
});

test('a tag is kept as it is: text of any script, any number; one that is too long or of another type is refused', () => {
  const heap = smallHeap();
  for (const tag of ['Wörker № 3', 'x'.repeat(124), 0, -1.5, 2 ** 53, Number.POSITIVE_INFINITY]) {
    const other = Heap.attach(heap.handle, { tag });
    assert.equal(heap.cpus()[1].tag, tag);
    other.detach();
  }
  thrownBy('EINVAL', () => Heap.attach(heap.handle, { tag: 'x'.repeat(125) }));
  thrownBy('EINVAL', () => Heap.attach(heap.handle, { tag: wrong({}) }));
  assert.deepEqual(
    heap.cpus().map(({ online }) => online),
    [true, false],
    'no slot was taken',
  );
});

test('when all CPUs are attached, attach says ENOCPU; a detach makes room', () => {
  const heap = smallHeap({ cpus: 3 });
  const others = [Heap.attach(heap.handle), Heap.attach(heap.handle)];
  refused(heap, 'ENOCPU', () => Heap.attach(heap.handle));
  others[0].detach();
  assert.equal(Heap.attach(heap.handle).cpu, 1);
});

test('a handle of another version, of something else or cut short is refused, and takes no CPU', () => {
  const heap = smallHeap();
  const { handle } = heap;
  refused(heap, 'EVERSION', () => Heap.attach({ ...handle, version: VERSION + 1 }));
  refused(heap, 'EVERSION', () => Heap.attach({ ...handle, metadata: new SharedArrayBuffer(1 << 16) }));
  refused(heap, 'EVERSION', () => Heap.attach({ ...handle, metadata: new SharedArrayBuffer(8) }));
  const part = new SharedArrayBuffer(4096);
  new Uint8Array(part).set(new Uint8Array(handle.metadata, 0, 4096));
  refused(heap, 'EVERSION', () => Heap.attach({ ...handle, metadata: part }));
  refused(heap, 'EINVAL', () => Heap.attach({ ...handle, memory: new SharedArrayBuffer(4096) }));
  for (const nothing of [undefined, null, 7, 'handle', {}]) {
    refused(heap, TypeError, () => Heap.attach(wrong<HeapHandle>(nothing)));
  }
  assert.equal(heap.cpus().length, 1);
});

test('metadata of another layout version is refused', () => {
  const heap = smallHeap();
  const { m } = internalsOf(heap).metadata;
  m[1] = VERSION + 1;
  thrownBy('EVERSION', () => Heap.attach(heap.handle));
});

test('an unshared heap has no handle', () => {
  const heap = smallHeap({ shared: false });
  refused(heap, 'EINVAL', () => heap.handle);
  const plain = Heap.create({ memory: new ArrayBuffer(1 << 20) });
  refused(plain, 'EINVAL', () => plain.handle);
});

test('one CPU frees what another allocated; both see the same bytes and caches', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  const cache = heap.createCache({ name: 'both', size: 100 });
  for (let round = 0; round < 3; round++) {
    const addresses = Array.from({ length: 300 }, () => cache.alloc());
    for (const address of addresses) fill(heap, address, 100);
    for (const address of addresses) {
      assertFilled(other, address, 100);
      other.cache('both').free(address);
    }
  }
  assert.equal(cache.stats().live, 0);
  assertSound(heap);
  other.detach();
  assertSound(heap);
});

test('detach gives back everything cached; what was allocated stays', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  const kept = other.kmalloc(100);
  for (const address of Array.from({ length: 500 }, () => other.kmalloc(64))) other.kfree(address);
  other.detach();
  assertSound(heap);
  assert.equal(heap.meminfo().live, 128);
  heap.shrink();
  assert.equal(heap.meminfo().footprint, heap.pageSize);
  heap.kfree(kept);
  heap.shrink();
  assert.equal(heap.meminfo().footprint, 0);
});

test('detach gives back what was set aside, and its sheaf is dead', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  const sheaf = other.createCache({ name: 'aside', size: 64 }).prefill(100);
  other.detach();
  assertSound(heap);
  thrownBy('ESHUTDOWN', () => sheaf.alloc());
  assert.deepEqual([heap.cache('aside').stats().live, heap.cache('aside').stats().cached], [0, 0]);
});

test('after detach every call throws ESHUTDOWN, detach and dispose are harmless, validate reports it', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  const address = other.kmalloc(64);
  const page = other.allocPages(0);
  const cache = other.createCache({ name: 'x', size: 64 });
  const object = cache.alloc();
  other.detach();
  const calls: [string, () => unknown][] = [
    ['kmalloc', () => other.kmalloc(64)],
    ['kmalloc of pages', () => other.kmalloc(100_000)],
    ['kzalloc', () => other.kzalloc(64)],
    ['kcalloc', () => other.kcalloc(2, 32)],
    ['kmallocNode', () => other.kmallocNode(64, 0, 0)],
    ['kmallocAligned', () => other.kmallocAligned(64, 64)],
    ['krealloc', () => other.krealloc(address, 128)],
    ['kfree', () => other.kfree(address)],
    ['kfreeSensitive', () => other.kfreeSensitive(address)],
    ['ksize', () => other.ksize(address)],
    ['kmallocBulk', () => other.kmallocBulk(64, new Uint32Array(2))],
    ['kfreeBulk', () => other.kfreeBulk(Uint32Array.of(address))],
    ['kvmalloc', () => other.kvmalloc(64)],
    ['kvfree', () => other.kvfree(address)],
    ['allocPages', () => other.allocPages(0)],
    ['freePages', () => other.freePages(page, 0)],
    ['createCache', () => other.createCache({ name: 'y', size: 8 })],
    ['cache', () => other.cache('x')],
    ['caches', () => other.caches()],
    ['cache.alloc', () => cache.alloc()],
    ['cache.allocNode', () => cache.allocNode(0, 0)],
    ['cache.free', () => cache.free(object)],
    ['cache.allocBulk', () => cache.allocBulk(new Uint32Array(2))],
    ['cache.freeBulk', () => cache.freeBulk(Uint32Array.of(object))],
    ['cache.prefill', () => cache.prefill(1)],
    ['cache.shrink', () => cache.shrink()],
    ['cache.destroy', () => cache.destroy()],
    ['cache.stats', () => cache.stats()],
    ['cache.objects', () => [...cache.objects()]],
    ['shrink', () => other.shrink()],
    ['reap', () => other.reap(3)],
    ['virtToPage', () => other.virtToPage(address)],
    ['slabinfo', () => other.slabinfo()],
    ['meminfo', () => other.meminfo()],
    ['buddyinfo', () => other.buddyinfo()],
    ['counters', () => other.counters()],
  ];
  const silent = calls.filter(([, call]) => {
    try {
      call();
      return true;
    } catch (error) {
      return (error as { code?: string }).code !== 'ESHUTDOWN';
    }
  });
  assert.deepEqual(
    silent.map(([name]) => name),
    [],
  );
  other.detach();
  other[Symbol.dispose]();
  assert.deepEqual(
    other.validate().map(({ code }) => code),
    ['ESHUTDOWN'],
  );
  assert.equal(heap.meminfo().live, 64 + 64 + heap.pageSize, 'nothing has changed');
  assertSound(heap);
});

test('dispose detaches', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  other[Symbol.dispose]();
  assert.equal(heap.cpus()[1].online, false);
});

test('reap refuses the own CPU and what is no CPU; an offline slot or another generation changes nothing', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  const nothing = (cpu: number) => ({ cpu, objects: 0, slabs: 0, pages: 0 });
  refused(heap, 'EBUSY', () => heap.reap(0));
  for (const cpu of [-1, 8, 1.5, Number.NaN, wrong<number>('1'), wrong<number>(undefined)]) {
    refused(heap, 'EINVAL', () => heap.reap(cpu));
  }
  assert.deepEqual(heap.reap(7), nothing(7));
  const { generation } = heap.cpus()[1];
  for (const odd of [wrong<number>('3'), wrong<number>(null)])
    refused(heap, TypeError, () => heap.reap(1, odd));
  for (const odd of [Number.NaN, 0.5, -1]) refused(heap, RangeError, () => heap.reap(1, odd));
  assert.deepEqual(heap.reap(1, generation + 1), nothing(1));
  assert.equal(heap.cpus()[1].online, true);
  other.detach();
  assert.deepEqual(heap.reap(1), nothing(1));
  assert.deepEqual(heap.reap(1, generation), nothing(1));
  assertSound(heap);
});

test('reap takes back what a CPU had cached and leaves what it had allocated', () => {
  const heap = smallHeap();
  const dead = Heap.attach(heap.handle, { tag: 'dead' });
  const kept = Array.from({ length: 100 }, () => dead.kmalloc(64));
  for (const address of kept) fill(dead, address, 64);
  const cached = heap.slabinfo().reduce((sum, row) => sum + row.cached, 0);
  assert.ok(cached > 0);
  const report = heap.reap(dead.cpu);
  assert.deepEqual([report.cpu, report.objects], [1, cached]);
  assertSound(heap);
  for (const address of kept) assertFilled(heap, address, 64);
  assert.deepEqual([heap.cpus()[1].online, heap.cpus()[1].tag], [false, undefined]);
  assert.equal(heap.meminfo().live, 6400);
  heap.kfreeBulk(Uint32Array.from(kept));
  heap.shrink();
  assert.equal(heap.meminfo().footprint, 0);
});

test('reap takes back what a dead CPU had set aside', () => {
  const heap = smallHeap();
  const dead = Heap.attach(heap.handle);
  dead.createCache({ name: 'aside', size: 64 }).prefill(100);
  assert.equal(heap.reap(1).objects, 100);
  assertSound(heap);
  assert.equal(heap.cache('aside').stats().cached, 0);
});

test('a CPU that finds itself reaped gets ESHUTDOWN from its next slow path', () => {
  const heap = smallHeap();
  const reaped = Heap.attach(heap.handle);
  heap.reap(1);
  const before = heap.slabinfo();
  thrownBy('ESHUTDOWN', () => reaped.kmalloc(64));
  thrownBy('ESHUTDOWN', () => reaped.allocPages(0));
  thrownBy('ESHUTDOWN', () => reaped.createCache({ name: 'late', size: 8 }));
  thrownBy('ESHUTDOWN', () => reaped.shrink());
  reaped.detach();
  assert.deepEqual(heap.slabinfo(), before);
  assertSound(heap);
});

test('a slot that was reaped is taken again, and the old owner stays out', () => {
  const heap = smallHeap();
  const reaped = Heap.attach(heap.handle);
  heap.reap(1);
  const next = Heap.attach(heap.handle);
  assert.equal(next.cpu, 1);
  thrownBy('ESHUTDOWN', () => reaped.kmalloc(64));
  reaped.detach();
  assert.equal(heap.cpus()[1].online, true, 'the new owner is still there');
  assert.notEqual(next.kmalloc(64), 0);
  assertSound(heap);
});

test('views of all CPUs follow the growth that one of them caused', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  const before = heap.u8.length;
  exhaust(() => other.kmalloc(64 * 1024));
  assert.ok(heap.u8.length > before);
  assert.equal(heap.u8.length, other.u8.length);
  assert.equal(heap.kmalloc(64 * 1024, GFP.NOWAIT), 0);
});

test('frames that others take and free while a CPU is reaped are counted', {
  skip: skipUnlessChecked,
}, () => {
  const heap = smallHeap({ cpus: 4 });
  const victim = Heap.attach(heap.handle);
  const other = Heap.attach(heap.handle);
  const pages = [2, 0, 1].map((order) => victim.allocPages(order));
  const taken: number[] = [];
  setKillPointHook((point) => {
    if (!point.startsWith('reap.')) return;
    setKillPointHook(undefined);
    taken.push(other.allocPages(0), other.allocPages(1));
    other.freePages(pages[0], 2);
  });
  heap.reap(victim.cpu);
  setKillPointHook(undefined);
  assert.equal(taken.length, 2);
  const { metadata } = internalsOf(heap);
  assert.equal(usedFrames(metadata) * heap.pageSize, heap.meminfo().footprint);
  other.detach();
  assertSound(heap);
});

for (const [point, passage] of [
  ['frames.claimed-some', 2],
  ['frames.claimed-all', 1],
  ['frames.bits-cleared', 1],
  ['frames.release-begun', 1],
  ['frames.tail-released', 2],
  ['frames.bits-set', 1],
  ['frames.bits-set', 2],
  ['large.claimed', 1],
] as const) {
  test(`the count of frames is right after a kill at ${point}, passage ${passage}`, {
    skip: skipUnlessChecked,
  }, () => {
    const heap = smallHeap({ cpus: 4 });
    const victim = Heap.attach(heap.handle);
    let left: number = passage;
    setKillPointHook((at) => {
      if (at === point && --left === 0) throw new Error('killed');
    });
    assert.throws(() => victim.kfree(victim.kmalloc(5 * heap.pageSize)), /killed/);
    setKillPointHook(undefined);
    heap.reap(victim.cpu);
    assertSound(heap);
    assert.equal(usedFrames(internalsOf(heap).metadata) * heap.pageSize, heap.meminfo().footprint);
  });
}
