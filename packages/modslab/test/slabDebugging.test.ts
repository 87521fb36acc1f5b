// Slab debugging: what each part finds, when, and that the heap is put right and goes on.
import assert from 'node:assert/strict';
import test from 'node:test';
import { GFP, type Heap, SLAB, SlabError, type SlabReport } from 'modslab';
import { cacheAt, pageAt } from '#src/memory/layout.js';
import { PAGE_STRIDE } from '#src/page/page.js';
import { debugFlagsFor } from '#src/slab/debugOption.js';
import { assertSound, fill, smallHeap, thrownBy } from './support/heap.js';
import { internalsOf } from './support/internals.js';

/** What a call throws, which must be a SlabError of that code with a report. */
function reportOf(code: string, call: () => void): SlabReport {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof SlabError);
    assert.equal(error.code, code, error.message);
    assert.ok(error.report !== undefined, 'it carries a report');
    return error.report;
  }
  return assert.fail(`nothing was thrown, but ${code} was to be`);
}

function* sizes(): Iterable<number> {
  for (const size of [1, 7, 8, 15, 16, 24, 63, 64, 100, 500, 1024, 4000, 4096, 5000, 8192]) yield size;
}

test('the option gives each cache its flags', () => {
  const { RED_ZONE: Z, POISON: P, STORE_USER: U, CONSISTENCY_CHECKS: F, TRACE: T } = SLAB;
  const cases: [string, Record<string, number>][] = [
    ['', { dentry: 0 }],
    ['-', { dentry: 0, 'kmalloc-64': 0 }],
    ['FZPU', { dentry: F | Z | P | U, 'kmalloc-64': F | Z | P | U }],
    ['fzpu', { dentry: F | Z | P | U }],
    ['FZ,kmalloc-*;P,dentry', { 'kmalloc-64': F | Z, dentry: P, inode: 0 }],
    ['FZPU;-,kmalloc-*', { 'kmalloc-64': 0, dentry: F | Z | P | U }],
    ['FZPU,kmalloc-*;P,dentry;-', { 'kmalloc-96': F | Z | P | U, dentry: P, inode: 0 }],
    [',dentry', { dentry: F | Z | P | U, inode: 0 }],
    ['T,a.c;Z,a*c', { 'a.c': T, abc: Z, abcd: 0 }],
    ['ZPO,page', { page: 0, other: 0 }],
    ['T,a*b*a;Z,*ab*ab;P,*', { aba: T, aa: P, abab: Z, ab: P, xabxab: Z, xabab: Z, abxa: T, ababx: P }],
    ['T,**x**', { x: T, axb: T, ab: 0, '': 0 }],
  ];
  for (const [debug, wanted] of cases) {
    const { metadata } = internalsOf(smallHeap({ debug }));
    for (const [name, flags] of Object.entries(wanted))
      assert.equal(debugFlagsFor(metadata, name, name === 'page' ? 4096 : 64, 0), flags, `${debug}: ${name}`);
  }
});

test('a pattern of many stars takes no longer than its length', () => {
  const heap = smallHeap({ debug: `F,${'*a'.repeat(40)}b` });
  const { metadata } = internalsOf(heap);
  const before = performance.now();
  assert.equal(debugFlagsFor(metadata, 'a'.repeat(100), 64, 0), 0);
  assert.equal(debugFlagsFor(metadata, `${'a'.repeat(100)}b`, 64, 0), SLAB.CONSISTENCY_CHECKS);
  assert.ok(performance.now() - before < 1000);
});

test('krealloc to and from any size moves what is in the object, and not a byte into what lies around it', () => {
  const heap = smallHeap({ debug: 'FZPU' });
  const lengths = [1, 3, 6, 7, 9, 30, 31, 61, 97, 99, 115, 127, 129, 131, 250, 1001, 20_003];
  for (const before of lengths) {
    for (const after of lengths) {
      const address = heap.kmalloc(before);
      for (let i = 0; i < before; i++) heap.u8[address + i] = i + 1;
      const moved = heap.krealloc(address, after);
      for (let i = 0; i < Math.min(before, after); i++)
        assert.equal(heap.u8[moved + i], (i + 1) & 255, `${before} to ${after}: byte ${i}`);
      heap.kfree(moved);
    }
  }
  assertSound(heap);
});

test('with every mode, memory of any size is whole, aligned, and can be freed by anybody', () => {
  for (const debug of ['F', 'Z', 'P', 'U', 'FZPU', 'ZPUIWQG', 'R', 'FZPUR', 'ZO']) {
    const heap = smallHeap({ debug });
    for (const size of [...sizes(), 20_000, 100_000]) {
      const all = Array.from({ length: 20 }, () => heap.kmalloc(size)).filter((address) => address !== 0);
      for (const address of all) {
        assert.equal(address % (size < 16 ? 8 : 16), 0);
        if (size <= 4096 && (size & (size - 1)) === 0)
          assert.equal(address % size, 0, `${debug}: ${size} is aligned to itself`);
        assert.ok(heap.ksize(address) >= size);
        fill(heap, address, heap.ksize(address));
      }
      assertSound(heap);
      for (const address of all) heap.kfree(address);
    }
    assertSound(heap);
    assert.equal(heap.reports, 0, debug);
    heap.shrink();
    assert.equal(heap.meminfo().live, 0);
    assertSound(heap);
  }
});

test('a write behind an object or before it is found when it is freed, and the free is completed', () => {
  for (const size of sizes()) {
    const isLarge = (heap: Heap): boolean => heap.virtToPage(heap.kmalloc(size)).cache === undefined;
    for (const [offset, what] of [
      [size, 'Redzone'],
      [-1, 'Left Redzone'],
    ] as const) {
      const heap = smallHeap({ debug: 'FZPU' });
      // A large object begins with its pages.
      if (isLarge(heap) && offset < 0) continue;
      const address = heap.kmalloc(size);
      heap.u8[address + offset] = 0x12;
      const report = reportOf('EREDZONE', () => heap.kfree(address));
      assert.match(report.bug, new RegExp(what));
      assert.equal(report.address, address);
      assert.equal(report.requested, size);
      assert.deepEqual([report.findings[0].from, report.findings[0].found], [address + offset, 0x12]);
      assert.match(report.allocated?.stack[0] ?? '', /slabDebugging/, 'who allocated it');
      assert.match(report.text, /^=+\nBUG kmalloc-\w+ \(Not tainted\): .*Redzone overwritten\n/);
      assert.match(report.text, /\nFIX kmalloc-\w+: Restoring /);
      assert.equal(heap.reports, 2);
      assertSound(heap);
      thrownBy('EDOUBLEFREE', () => heap.kfree(address));
    }
  }
});

test('a write to a freed object is found when it is allocated again, and by validation', () => {
  const heap = smallHeap({ debug: 'P' });
  const seen: SlabReport[] = [];
  heap.onReport((report) => seen.push(report));
  const address = heap.kmalloc(64);
  heap.kfree(address);
  heap.u8[address + 9] = 1;
  assert.equal(heap.kmalloc(64), address, 'the allocation gets its object');
  assert.deepEqual(
    seen.map(({ bug }) => bug),
    ['Poison overwritten'],
  );
  heap.kfree(address);
  heap.u8[address + 63] = 1;
  assert.deepEqual(
    heap.validate().map(({ code, report }) => [code, report?.bug]),
    [['EPOISON', 'End Poison overwritten']],
  );
  assertSound(heap);
  assert.equal(heap.reports, 4);
});

test('a double free, an interior pointer and the wrong cache come with who allocated and who freed', () => {
  const heap = smallHeap({ debug: 'U' });
  const mine = heap.createCache({ name: 'mine', size: 100 });
  const other = heap.createCache({ name: 'other', size: 100 });
  const address = mine.alloc();
  assert.ok(reportOf('EINTERIOR', () => heap.kfree(address + 8)).allocated !== undefined);
  assert.equal(reportOf('ECACHE', () => other.free(address)).cache, 'mine');
  mine.free(address);
  const { allocated, freed, bug } = reportOf('EDOUBLEFREE', () => mine.free(address));
  assert.equal(bug, 'Object already free');
  assert.match(allocated?.stack[0] ?? '', /slabDebugging/);
  assert.match(freed?.stack[0] ?? '', /slabDebugging/);
  assert.equal(heap.reports, 3);
  assertSound(heap);
});

test('a validation makes one report a slab', () => {
  const heap = smallHeap({ debug: 'Z' });
  const all = Array.from({ length: 5 }, () => heap.kmalloc(64));
  for (const address of all) heap.u8[address + 64] = 1;
  for (let left = 5; left > 0; left--) assert.equal(heap.validate().length, 1);
  assertSound(heap);
  for (const address of all) heap.kfree(address);
});

test('a bulk free goes on behind an object with a broken zone', () => {
  const heap = smallHeap({ debug: 'Z' });
  const out = new Uint32Array(10);
  assert.equal(heap.kmallocBulk(32, out), 10);
  heap.u8[out[3] + 32] = 1;
  reportOf('EREDZONE', () => heap.kfreeBulk(out));
  for (const address of out) thrownBy('EDOUBLEFREE', () => heap.kfree(address));
  assertSound(heap);
});

test('large objects have a zone and a track', () => {
  const heap = smallHeap({ debug: 'FZPU' });
  for (const size of [20_000, 5 * 4096, 5 * 4096 - 1]) {
    const address = heap.kmalloc(size);
    assert.equal(heap.ksize(address), size);
    fill(heap, address, size);
    assertSound(heap);
    heap.u8[address + size] = 9;
    const report = reportOf('EREDZONE', () => heap.kfree(address));
    assert.equal(report.cache, 'kmalloc-large');
    assert.match(report.allocated?.stack[0] ?? '', /slabDebugging/);
    thrownBy('EDOUBLEFREE', () => heap.kfree(address));
  }
  const address = heap.kmalloc(20_000);
  heap.u8[address + 20_000] = 9;
  assert.deepEqual(
    heap.validate().map(({ code }) => code),
    ['EREDZONE'],
  );
  assertSound(heap);
  const grown = heap.krealloc(address, 20_100);
  assert.equal(grown, address);
  assert.equal(heap.ksize(grown), 20_100);
  assertSound(heap);
  heap.kfree(grown);
  assertSound(heap);
});

test('what the consistency checks find in a page descriptor is put right', () => {
  const heap = smallHeap({ debug: 'F' });
  const { m, layout } = internalsOf(heap).metadata;
  const address = heap.kmalloc(64);
  m[pageAt(layout, address >>> layout.pageShift) + PAGE_STRIDE] = 7;
  const report = reportOf('ECORRUPT', () => heap.kfree(address));
  assert.match(report.bug, /Page descriptor/);
  assertSound(heap);
});

test('a track that was written over is reported, and believed no more', () => {
  const heap = smallHeap({ debug: 'ZU' });
  const { metadata } = internalsOf(heap);
  const address = heap.kmalloc(10);
  const cache = heap.virtToPage(address).cache ?? '';
  const id = heap.cache(cache).id;
  const track = address + metadata.m[cacheAt(metadata.layout, id) + 67];
  heap.u8.fill(0xff, track, track + 8);
  const report = reportOf('ECORRUPT', () => heap.kfree(address));
  assert.match(report.bug, /Track/);
  assert.equal(report.allocated, undefined);
  assertSound(heap);
});

test('objects of a constructor keep their bytes, and poison leaves them alone', () => {
  const heap = smallHeap({ debug: 'ZPUI' });
  const cache = heap.createCache({ name: 'made', size: 40, ctor: new Uint8Array([1, 2, 3]) });
  const address = cache.alloc();
  assert.deepEqual([...heap.view(address, 3)], [1, 2, 3]);
  heap.u8[address] = 9;
  cache.free(address);
  assert.equal(cache.alloc(), address);
  assert.deepEqual([...heap.view(address, 3)], [9, 2, 3]);
  assertSound(heap);
});

test('prefilled sheaves, pools, groups, links and grace periods run the checks too', async () => {
  const heap = smallHeap({ debug: 'FZPU' });
  const cache = heap.createCache({ name: 'set-aside', size: 48 });
  const sheaf = cache.prefill(5);
  const first = sheaf.alloc();
  fill(heap, first, 48);
  assertSound(heap);
  heap.u8[first + 48] = 1;
  reportOf('EREDZONE', () => cache.free(first));
  sheaf.release();
  const pool = heap.createMempool(4, 64);
  const pooled = pool.alloc();
  heap.u8[pooled + 64] = 1;
  reportOf('EREDZONE', () => pool.free(pooled));
  pool.destroy();
  const group = heap.createGroup({ name: 'g' });
  const charged = group.kmalloc(30);
  heap.u8[charged + 30] = 1;
  reportOf('EREDZONE', () => heap.kfree(charged));
  const large = group.kzalloc(30_000);
  fill(heap, large, heap.ksize(large));
  assertSound(heap);
  heap.kfree(large);
  group.free();
  const slot = heap.kzalloc(8);
  const linked = heap.allocInto(slot, 33);
  fill(heap, linked, 33);
  heap.u8[linked + 33] = 1;
  reportOf('EREDZONE', () => heap.freeFrom(slot));
  assert.equal(heap.u32[slot / 4], 0);
  heap.kfree(slot);
  heap.kfreeRcu(heap.kmalloc(64));
  await heap.rcuBarrier();
  assertSound(heap);
  heap.shrink();
  assert.equal(heap.meminfo().live, 0);
  assertSound(heap);
});

test('zeros reach as far as was asked for, and no farther', () => {
  const heap = smallHeap({ debug: 'ZPU' });
  for (const size of sizes()) {
    const address = heap.kzalloc(size);
    assert.ok(heap.view(address, size).every((byte) => byte === 0));
    assertSound(heap);
    heap.kfreeSensitive(address);
    const cache = heap.createCache({ name: `z-${size}`, size });
    const object = cache.alloc(GFP.ZERO);
    assert.ok(heap.view(object, size).every((byte) => byte === 0));
    assertSound(heap);
    cache.free(object);
    cache.destroy();
  }
  assert.equal(heap.reports, 0);
});

test('compaction moves objects with their zones and tracks', () => {
  const heap = smallHeap({ debug: 'FZPU' });
  const known = new Set<number>();
  const cache = heap.createCache({
    name: 'moving',
    size: 200,
    move: (from, to, { u8 }) => {
      u8.copyWithin(to, from, from + 200);
      known.delete(from);
      known.add(to);
      return true;
    },
  });
  for (let i = 0; i < 100; i++) known.add(cache.alloc());
  let i = 0;
  for (const address of [...known]) {
    if (i++ % 3 === 0) continue;
    cache.free(address);
    known.delete(address);
  }
  assert.ok(cache.shrink() > 0);
  assertSound(heap);
  for (const address of known) cache.free(address);
  assertSound(heap);
  assert.equal(heap.reports, 0);
});

const attached = (heap: Heap, call: (other: Heap) => void): void => {
  const { handle } = heap;
  const other = (heap.constructor as typeof Heap).attach(handle);
  call(other);
  other.detach();
};

test('another CPU sees the same settings, and reads the stacks of this one', () => {
  const heap = smallHeap({ debug: 'FZPU,kmalloc-*;U,shared' });
  const cache = heap.createCache({ name: 'shared', size: 64 });
  const first = heap.kmalloc(64);
  const second = cache.alloc();
  heap.u8[first - 1] = 0;
  attached(heap, (other) => {
    const report = reportOf('EREDZONE', () => other.kfree(first));
    assert.equal(report.allocated?.cpu, heap.cpu);
    assert.match(report.allocated?.stack.join('\n') ?? '', /slabDebugging/);
    other.cache('shared').free(second);
    const plain = other.createCache({ name: 'shared-not', size: 64 });
    assert.equal(reportOf('EDOUBLEFREE', () => other.kfree(second)).freed?.cpu, other.cpu);
    plain.destroy();
  });
  assertSound(heap);
});
