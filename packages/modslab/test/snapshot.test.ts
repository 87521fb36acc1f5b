// Snapshots: what comes back out of them is the heap that went in, whatever its threads were doing; nothing else is read.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type Address, GFP, Heap, type HeapOptions, type KmemCache, SLAB } from 'modslab';
import { setKillPointHook } from 'modslab/debug';
import { checksumOf, S_CHECKSUM, SNAPSHOT_WORDS } from '#src/debug/snapshot.js';
import { assertFilled, assertSound, fill, KIB, MIB, smallHeap, thrownBy, wrong } from './support/heap.ts';
import { skipUnlessChecked } from './support/killpoints.ts';
import { Random } from './support/random.ts';

/** Some of everything: sizes, caches, pages, areas, groups; half of it freed again. What is live, filled. */
function populate(heap: Heap, seed = 1): Map<Address, number> {
  const random = new Random(seed);
  const live = new Map<Address, number>();
  const caches = [
    heap.createCache({ name: 'plain', size: 72 }),
    heap.createCache({ name: 'template', size: 100, ctor: new Uint8Array(100).fill(7) }),
    heap.createCache({ name: 'rcu', size: 300, flags: SLAB.TYPESAFE_BY_RCU }),
  ];
  const group = heap.createGroup({ name: 'group' });
  for (let i = 0; i < 1500; i++) {
    const size = random.oneIn(40) ? random.between(8 * KIB, 40 * KIB) : random.between(0, 600);
    const cache = caches[i % 12];
    const address = cache?.alloc() ?? (i % 12 === 5 ? group.kmalloc(size) : heap.kmalloc(size));
    assert.notEqual(address, 0, 'the test heap is large enough');
    const bytes = cache?.size ?? size;
    fill(heap, address, bytes);
    live.set(address, bytes);
    if (!random.oneIn(2)) continue;
    const [old] = live.keys();
    live.delete(old);
    heap.kfree(old);
  }
  for (const order of [0, 2]) {
    const pages = heap.allocPages(order);
    fill(heap, pages, 4096);
    live.set(pages, 4096);
  }
  return live;
}

function assertAll(heap: Heap, live: Map<Address, number>): void {
  for (const [address, bytes] of live) assertFilled(heap, address, bytes);
}

/** What must be alike in a heap and its copy. */
function figures(heap: Heap): unknown {
  heap.shrink();
  const { size, maxSize, live } = heap.meminfo();
  const rows = heap
    .slabinfo()
    .map(({ name, objects, objsize, allocator }) => [name, objects, objsize, allocator]);
  return { size, maxSize, live, rows, groups: heap.groups().map(({ name, usage }) => [name, usage]) };
}

for (const shared of [true, false]) {
  test(`a restored heap has every object at its address, and goes on (${shared ? 'shared' : 'plain'})`, () => {
    const heap = smallHeap({ shared });
    const live = populate(heap);
    heap.createCache({ name: 'unused', size: 100, ctor: new Uint8Array(100).fill(7) });
    const bytes = heap.snapshot();
    assertSound(heap);
    const copy = Heap.restore(bytes, { shared: !shared });
    assertSound(copy);
    assertAll(copy, live);
    assert.deepEqual(figures(copy), figures(heap));
    assert.equal(copy.buffer instanceof SharedArrayBuffer, !shared);
    for (const [address] of live) {
      if (copy.virtToPage(address).flags === 'pages') continue;
      copy.kfree(address);
      thrownBy('EDOUBLEFREE', () => copy.kfree(address));
    }
    const again = copy.cache('unused').alloc();
    assert.deepEqual([...copy.view(again, 100)], new Array(100).fill(7));
    assertSound(copy);
    assertAll(heap, live);
    assertSound(heap);
  });
}

test('a snapshot is as small as what is in it, and metadata alone is smaller still', () => {
  const heap = Heap.create({ size: 64 * MIB, maxSize: 1024 * MIB });
  for (let i = 0; i < 1000; i++) fill(heap, heap.kmalloc(1000), 1000);
  const all = heap.snapshot();
  const metadata = heap.snapshot({ data: false });
  assert.ok(all.length > 1_000_000 && all.length < 2_000_000, `${all.length} bytes`);
  assert.ok(metadata.length < 200_000, `${metadata.length} bytes of metadata`);
  const copy = Heap.restore(metadata);
  assertSound(copy);
  assert.equal(copy.meminfo().live, heap.meminfo().live);
  assert.ok(copy.u32.every((word) => word === 0));
});

test('memory with a window, of WebAssembly, in nodes and zones comes back with the same geometry', () => {
  const memory = new WebAssembly.Memory({ initial: 64, maximum: 128, shared: true });
  const dma = { start: 2 * MIB, end: 3 * MIB };
  const heap = Heap.create({ memory, start: MIB, end: 4 * MIB, pageSize: 4096, nodes: 2, dma, cpus: 1 });
  const addresses = [heap.kmalloc(100), heap.kmalloc(100, GFP.DMA), heap.kmallocNode(50_000, 0, 1)];
  for (const address of addresses) fill(heap, address, 100);
  const copy = Heap.restore(heap.snapshot());
  assertSound(copy);
  for (const address of addresses) assertFilled(copy, address, 100);
  assert.deepEqual(
    copy.buddyinfo().map(({ node, zone }) => [node, zone]),
    heap.buddyinfo().map(({ node, zone }) => [node, zone]),
  );
  const dmaObject = copy.kmalloc(100, GFP.DMA);
  assert.ok(dmaObject >= dma.start && dmaObject < dma.end);
});

test('areas of vmalloc, readers, waiting objects, prefilled sheaves and pools survive as if their thread had died', () => {
  const heap = smallHeap({ cpus: 1 });
  const area = heap.vmalloc(20_000);
  assert.ok(area);
  area.fill(3);
  heap.rcuReadLock();
  heap.kfreeRcu(heap.kmalloc(64));
  heap.cache('kmalloc-128').prefill(20);
  heap.createMempool(4, 256);
  const copy = Heap.restore(heap.snapshot());
  assertSound(copy);
  const same = copy.vmArea(area.addr);
  assert.deepEqual(
    [...same.segments()].map((part) => [part.length, part[0]]),
    [...area.segments()].map((part) => [part.length, 3]),
  );
  copy.vfree(area.addr);
  copy.shrink();
  assert.equal(copy.meminfo().footprint, 0, 'nothing is left of the dead thread');
  heap.rcuReadUnlock();
});

test('slab debugging goes on in the copy: red zones, poison and owners are there', () => {
  const heap = Heap.create({ size: 2 * MIB, debug: 'FZPU', cpus: 1 });
  const freed = heap.kmalloc(100);
  heap.kfree(freed);
  const address = heap.kmalloc(100);
  const copy = Heap.restore(heap.snapshot());
  assertSound(copy);
  copy.u8[address + 100] ^= 1;
  thrownBy('EREDZONE', () => copy.kfree(address));
  thrownBy('EDOUBLEFREE', () => copy.kfree(address));
  assertSound(heap);
});

test('a snapshot of a snapshot is the same heap', () => {
  const heap = smallHeap();
  const live = populate(heap, 5);
  const copy = Heap.restore(Heap.restore(heap.snapshot()).snapshot());
  assertSound(copy);
  assertAll(copy, live);
});

/** What a CPU does that is killed, in few steps. */
const ACTS: Record<string, (heap: Heap, cache: KmemCache) => void> = {
  allocation: (heap) => void heap.kmalloc(3000),
  free: (heap) => {
    const addresses = Array.from({ length: 200 }, () => heap.kmalloc(64));
    for (const address of addresses) heap.kfree(address);
  },
  'a large object': (heap) => heap.kfree(heap.kmalloc(40_000)),
  area: (heap) => heap.vfree(heap.vmalloc(9000) ?? 0),
  cache: (heap) => heap.createCache({ name: 'new', size: 500 }).destroy(),
  'read section': (heap, cache) => {
    heap.rcuReadLock();
    heap.kfreeRcu(cache.alloc());
    heap.rcuReadUnlock();
    heap.shrink();
  },
  group: (heap) => heap.createGroup({ name: 'g' }).kmalloc(100),
};

/** Runs `act` up to its n-th kill point; false if it has not so many. */
function stopAt(n: number, act: () => void): boolean {
  let left = n;
  const stop = new Error('stopped');
  setKillPointHook(() => {
    if (--left === 0) throw stop;
  });
  try {
    act();
    return false;
  } catch (error) {
    if (error !== stop) throw error;
    return true;
  } finally {
    setKillPointHook(undefined);
  }
}

for (const [what, act] of Object.entries(ACTS)) {
  test(`a snapshot taken at any instant of another thread's ${what} restores sound`, {
    skip: skipUnlessChecked,
  }, () => {
    const geometry: HeapOptions = { size: 64 * 4096, maxSize: 256 * 4096, pageSize: 4096, caches: 32 };
    let n = 1;
    for (; n < 400; n += n < 40 ? 1 : 5) {
      // All slots taken, or one free.
      const heap = Heap.create({ ...geometry, cpus: 2 + (n % 2) });
      const cache = heap.createCache({ name: 'typesafe', size: 120, flags: SLAB.TYPESAFE_BY_RCU });
      const address = heap.kmalloc(100);
      const victim = Heap.attach(heap.handle);
      const stopped = stopAt(n, () => act(victim, victim.cache(cache.name)));
      const copy = Heap.restore(heap.snapshot(), { shared: n % 3 === 0 });
      assert.deepEqual(copy.validate(), [], `stopped at its kill point ${n}`);
      copy.kfree(address);
      assert.deepEqual(copy.validate(), []);
      if (!stopped) break;
    }
    assert.ok(n > 1 && n < 400, `${n} kill points`);
  });
}

test('what is no snapshot, or one of another version, is refused with its reason', () => {
  const bytes = smallHeap().snapshot({ data: false });
  thrownBy(TypeError, () => Heap.restore(wrong('bytes')));
  assert.match(thrownBy('EINVAL', () => Heap.restore(new Uint8Array(0))).message, /no snapshot/);
  assert.match(thrownBy('EINVAL', () => Heap.restore(new Uint8Array(5000).fill(65))).message, /no snapshot/);
  assert.match(thrownBy('EINVAL', () => Heap.restore(gzipSync(bytes))).message, /gzip/);
  for (const word of [1, 2]) {
    const other = bytes.slice();
    new Int32Array(other.buffer)[word] += 1;
    assert.match(thrownBy('EVERSION', () => Heap.restore(other)).message, /version/);
  }
});

test('a snapshot that lost its end, or any one bit, is refused', () => {
  const heap = smallHeap({ cpus: 2, caches: 32 });
  fill(heap, heap.kmalloc(500), 500);
  const bytes = heap.snapshot();
  for (const length of [7, 63, 64, 1000, bytes.length - 4, bytes.length - 1])
    assert.match(
      thrownBy('ECORRUPT', () => Heap.restore(bytes.subarray(0, length))).message,
      /cut short|has \d+ bytes/,
    );
  const longer = new Uint8Array(bytes.length + 4);
  longer.set(bytes);
  thrownBy('ECORRUPT', () => Heap.restore(longer));
  for (let i = 12; i < bytes.length; i += 1 + Math.floor(bytes.length / 500)) {
    const bit = 1 << (i & 7);
    bytes[i] ^= bit;
    thrownBy('ECORRUPT', () => Heap.restore(bytes), `byte ${i} of ${bytes.length}`);
    bytes[i] ^= bit;
  }
  assertSound(Heap.restore(bytes));
  // From the middle of a larger buffer, at an odd place.
  const moved = new Uint8Array(bytes.length + 3);
  moved.set(bytes, 3);
  assertSound(Heap.restore(moved.subarray(3)));
});

test('a snapshot whose checksum is right but whose contents cannot be is refused all the same', () => {
  const words = new Int32Array(smallHeap({ cpus: 2, caches: 32 }).snapshot({ data: false }).buffer);
  const refusedWith = (word: number, value: number): void => {
    const changed = words.slice();
    changed[word] = value;
    changed[S_CHECKSUM] = checksumOf(changed);
    thrownBy('ECORRUPT', () => Heap.restore(new Uint8Array(changed.buffer)), `word ${word} = ${value}`);
  };
  // The first run: its line, its length; then the header's magic and geometry.
  for (const word of [0, 1, 2, 4, 5, 6, 7, 8, 9, 12])
    for (const value of [-1, 0x7fffffff]) refusedWith(SNAPSHOT_WORDS + word, value);
  for (const runs of [0, 1e6, -1]) refusedWith(6, runs);
});

test('a detached heap has no snapshot', () => {
  const heap = smallHeap();
  heap.detach();
  thrownBy('ESHUTDOWN', () => heap.snapshot());
});
