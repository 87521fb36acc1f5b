// vmalloc: areas out of scattered frames, their page table, and what becomes of them when threads die.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { GFP, Heap, type VmArea } from 'modslab';
import { slabifier, vmallocPageAllocator } from 'modslab/framework';
import { pageAt } from '#src/memory/layout.js';
import { KIND_VMALLOC, kindOf, PAGE_FLAGS, PAGE_VPN } from '#src/page/page.js';
import { NODE_ANY } from '#src/page/pageAllocator.js';
import { frameAt, VMALLOC_START, walk, walkOrMake } from '#src/page/pageTable.js';
import { Vmalloc } from '#src/page/vmalloc.js';
import { atEveryDeath, dieAt } from './support/deaths.js';
import { assertSound, exhaust, isZero, refused, smallHeap, thrownBy, wrong } from './support/heap.js';
import { createLayers, internalsOf, spec } from './support/internals.js';
import { skipUnlessChecked } from './support/killpoints.js';

const PAGE = 4096;

/** `vmalloc` that must work. */
function vmalloc(heap: Heap, size: number, gfp = 0): VmArea {
  const area = heap.vmalloc(size, gfp);
  assert.ok(area !== null, `an area of ${size} bytes`);
  return area;
}

/** Takes all frames, then gives back every second one: no two free frames lie side by side. */
function scatter(heap: Heap): number[] {
  const pages = exhaust(() => heap.allocPages(0));
  const kept = pages.filter((_, i) => i % 2 === 0);
  for (const address of pages) if (!kept.includes(address)) heap.freePages(address, 0);
  return kept;
}

test('where no two frames are adjacent, kmalloc has no two pages, and vmalloc has an area', () => {
  const heap = smallHeap();
  const kept = scatter(heap);
  assert.equal(heap.kmalloc(2 * PAGE), 0);
  const area = vmalloc(heap, 20 * PAGE + 5);
  assert.equal(area.size, 20 * PAGE + 5);
  assert.equal(area.segments().length, 21);
  assertSound(heap);
  heap.vfree(area);
  for (const address of kept) heap.freePages(address, 0);
  assert.equal(heap.meminfo().footprint, 0);
  assertSound(heap);
});

test('bytes written at any offset are read again, across pages, and lie in the segments in order', () => {
  const heap = smallHeap();
  scatter(heap);
  const area = vmalloc(heap, 5 * PAGE - 100);
  fc.assert(
    fc.property(fc.nat(area.size), fc.uint8Array({ maxLength: 3 * PAGE, size: 'max' }), (offset, bytes) => {
      const part = bytes.subarray(0, area.size - offset);
      area.write(offset, part);
      assert.deepEqual(area.read(offset, part.length), part.slice());
      const whole = new Uint8Array(area.segments().flatMap((piece) => [...piece]));
      assert.equal(whole.length, area.size);
      assert.deepEqual(whole.subarray(offset, offset + part.length), part.slice());
    }),
    { numRuns: 30 },
  );
  for (const offset of [0, PAGE - 3, PAGE - 1, PAGE, 2 * PAGE - 2, area.size - 4]) {
    area.writeU32(offset, 0xfedcba98);
    assert.equal(area.readU32(offset), 0xfedcba98);
    assert.deepEqual([...area.read(offset, 4)], [0x98, 0xba, 0xdc, 0xfe]);
    assert.equal(area.readU16(offset + 1), 0xdcba);
    area.writeU16(offset, 0x1234);
    area.writeU8(offset + 2, 0x56);
    assert.equal(area.readU32(offset), 0xfe561234);
    assert.equal(area.readU8(offset + 2), 0x56);
  }
  area.fill(7, PAGE - 1, 2);
  assert.deepEqual([...area.read(PAGE - 1, 2)], [7, 7]);
  for (const call of [
    () => area.readU8(area.size),
    () => area.readU32(area.size - 3),
    () => area.readU16(-1),
    () => area.write(area.size - 1, new Uint8Array(2)),
    () => area.read(0.5, 1),
    () => area.fill(0, 1, area.size),
  ])
    refused(heap, RangeError, call);
  refused(heap, TypeError, () => area.write(0, wrong('text')));
});

test('ZERO, sizes from nothing to everything, and no memory', () => {
  const heap = smallHeap({ size: 64 * PAGE, maxSize: 64 * PAGE });
  heap.u8.fill(0xff);
  const zeroed = vmalloc(heap, 3 * PAGE, GFP.ZERO);
  assert.ok(zeroed.read(0, zeroed.size).every((byte) => byte === 0));
  const empty = vmalloc(heap, 0);
  assert.deepEqual([empty.size, empty.segments()], [0, []]);
  assert.notEqual(empty.addr, vmalloc(heap, 0).addr);
  refused(heap, RangeError, () => heap.vmalloc(64 * PAGE));
  refused(heap, RangeError, () => heap.vmalloc(-1));
  refused(heap, RangeError, () => heap.vmalloc(Number.NaN));
  refused(heap, TypeError, () => heap.vmalloc(wrong('1')));
  assert.equal(heap.vmalloc(62 * PAGE), null);
  assertSound(heap);
  heap.vfree(zeroed);
  const all = vmalloc(heap, 63 * PAGE);
  assert.equal(heap.vmalloc(1), null);
  heap.vfree(all.addr);
  heap.vfree(empty);
  assertSound(heap);
});

test('an address of an area is none of the data buffer: kfree, virtToPage and others refuse it', () => {
  const heap = smallHeap();
  const area = vmalloc(heap, 2 * PAGE);
  assert.ok(area.addr > 2 ** 32 && area.addr >= VMALLOC_START);
  for (const call of [
    () => heap.kfree(area.addr),
    () => heap.kvfree(area.addr),
    () => heap.kfreeRcu(area.addr),
    () => heap.ksize(area.addr),
    () => heap.virtToPage(area.addr),
    () => heap.freePages(area.addr, 1),
  ])
    refused(heap, 'EFAULT', call);
  const { pfn, flags } = heap.vmallocToPage(area.addr + PAGE + 17);
  assert.equal(flags, 'vmalloc');
  area.writeU8(PAGE + 17, 99);
  assert.equal(heap.u8[pfn * PAGE + 17], 99);
  refused(heap, 'EFAULT', () => heap.kfree(pfn * PAGE));
  refused(heap, 'EFAULT', () => heap.vmallocToPage(area.addr + 2 * PAGE));
  refused(heap, 'EFAULT', () => heap.vmallocToPage(area.addr - 1));
  const object = heap.kmalloc(8);
  refused(heap, 'EFAULT', () => heap.vmallocToPage(object));
});

test('an area is freed once, by its first byte; what is left of it refuses to work', () => {
  const heap = smallHeap();
  const area = vmalloc(heap, 3 * PAGE);
  const same = heap.vmArea(area.addr);
  refused(heap, 'EINTERIOR', () => heap.vfree(area.addr + 1));
  refused(heap, 'EINTERIOR', () => heap.vfree(area.addr + PAGE));
  refused(heap, 'EINTERIOR', () => heap.vmArea(area.addr + PAGE));
  refused(heap, 'EFAULT', () => heap.vfree(area.addr + 3 * PAGE));
  refused(heap, 'EFAULT', () => heap.vfree(0));
  refused(heap, TypeError, () => heap.vfree(wrong('area')));
  heap.vfree(area);
  refused(heap, 'EDOUBLEFREE', () => heap.vfree(area));
  refused(heap, 'EDOUBLEFREE', () => heap.vfree(same));
  refused(heap, 'EFAULT', () => heap.vfree(area.addr));
  refused(heap, 'EFAULT', () => same.readU8(0));
  refused(heap, 'EFAULT', () => same.segments());
  refused(heap, 'EFAULT', () => heap.vmArea(area.addr));
  assert.equal(heap.meminfo().footprint, 0);
});

test('an area of another heap is refused, not taken for the one at its address; any end of its own frees it', () => {
  const [heap, stranger] = [smallHeap(), smallHeap()];
  const [area, theirs] = [vmalloc(heap, 2 * PAGE), vmalloc(stranger, 2 * PAGE)];
  assert.equal(area.addr, theirs.addr);
  refused(heap, 'EINVAL', () => heap.vfree(theirs));
  refused(stranger, 'EINVAL', () => stranger.vfree(area));
  assert.ok(area.isLive && theirs.isLive);
  const other = Heap.attach(structuredClone(heap.handle));
  const restored = Heap.restore(heap.snapshot());
  refused(restored, 'EINVAL', () => restored.vfree(area));
  other.vfree(area);
  stranger.vfree(theirs);
  assert.ok(!area.isLive && !theirs.isLive);
  assertSound(heap);
});

test('another CPU finds an area by its address, uses it, and frees it', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  const area = vmalloc(heap, 2 * PAGE);
  area.writeU32(PAGE - 2, 123_456_789);
  const theirs = other.vmArea(area.addr);
  assert.deepEqual([theirs.size, theirs.readU32(PAGE - 2)], [2 * PAGE, 123_456_789]);
  other.vfree(theirs);
  thrownBy('EFAULT', () => area.readU8(0));
  assertSound(heap);
});

test('an area survives the thread that made it', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  const { addr } = vmalloc(other, 3 * PAGE);
  heap.reap(other.cpu);
  assertSound(heap);
  heap.vmArea(addr).writeU8(PAGE, 1);
  heap.vfree(addr);
  assert.equal(heap.meminfo().footprint, 0);
});

test('the page table is as deep as it must be, and entries of one area are no other’s', () => {
  for (const [frames, levels] of [
    [16, 1],
    [256, 1],
    [512, 2],
    [140_000, 3],
  ]) {
    const { metadata } = createLayers({ frames: 16, maxFrames: frames });
    const { vmallocPages, pageTables } = metadata.layout;
    assert.equal(pageTables.length, levels);
    const seen = new Set<number>();
    for (const vpn of [0, 1, 511, Math.floor(vmallocPages / 2), vmallocPages - 1]) {
      const at = walkOrMake(metadata, vpn);
      assert.equal(walk(metadata, vpn), at);
      seen.add(at);
    }
    assert.equal(seen.size, new Set([0, 1, 511, Math.floor(vmallocPages / 2), vmallocPages - 1]).size);
    assert.equal(frameAt(metadata, 0), 0);
  }
});

test('random areas against a model: no page twice, every byte stays, all frames come back', () => {
  const step = fc.record({ free: fc.boolean(), pages: fc.nat(9), pick: fc.nat(), who: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 60 }), (steps) => {
      const heap = smallHeap({ size: 48 * PAGE, maxSize: 48 * PAGE, cpus: 2, caches: 32 });
      const heaps = [heap, Heap.attach(heap.handle)];
      const areas: { area: VmArea; tag: number }[] = [];
      for (const [tag, { free, pages, pick, who }] of steps.entries()) {
        if (free && areas.length > 0) {
          const [{ area, tag: wrote }] = areas.splice(pick % areas.length, 1);
          assert.ok(area.read(0, area.size).every((byte) => byte === wrote));
          heaps[Number(who)].vfree(area.addr);
          continue;
        }
        const size = pages * PAGE - (pages > 0 ? pick % PAGE : 0);
        const area = heaps[Number(who)].vmalloc(size);
        const used = areas.reduce((sum, one) => sum + Math.ceil(one.area.size / PAGE), 0);
        if (area === null) {
          assert.ok(used + pages > 47, `${used} of 47 frames are used, ${pages} more were refused`);
          continue;
        }
        area.fill(tag);
        areas.push({ area, tag });
      }
      assertSound(heap);
      for (const { area, tag } of areas) {
        assert.ok(area.read(0, area.size).every((byte) => byte === tag));
        heap.vfree(area);
      }
      heap.shrink();
      assert.equal(heap.meminfo().footprint, 0);
    }),
    { numRuns: 40 },
  );
});

test('a thread that dies anywhere in vmalloc or vfree leaves nothing behind', {
  skip: skipUnlessChecked,
}, () => {
  const passages = atEveryDeath((passage) => {
    const heap = smallHeap({ size: 2 ** 17, maxSize: 2 ** 17, cpus: 2, caches: 32 });
    const victim = Heap.attach(heap.handle);
    const neighbour = vmalloc(heap, 2 * PAGE);
    let area: VmArea | null = null;
    const died = dieAt(/^(vmalloc|frames)[.]/, passage, () => {
      area = victim.vmalloc(3 * PAGE);
      const addr = area?.addr;
      area = null;
      victim.vfree(addr ?? 0);
    });
    heap.reap(victim.cpu);
    assertSound(heap);
    neighbour.writeU8(PAGE, 1);
    heap.vfree(neighbour);
    assert.equal(heap.meminfo().footprint, 0, `passage ${passage}`);
    const again = vmalloc(heap, 20 * PAGE);
    heap.vfree(again);
    assertSound(heap);
    return died;
  });
  assert.ok(passages > 30, `${passages} kill points were passed`);
});

test('vmalloc that runs out of memory half way gives everything back, whoever else is there', () => {
  const heap = smallHeap({ size: 32 * PAGE, maxSize: 32 * PAGE });
  const held = Array.from({ length: 20 }, () => heap.allocPages(0));
  const before = heap.meminfo().footprint;
  assert.equal(heap.vmalloc(12 * PAGE), null);
  assert.equal(heap.meminfo().footprint, before);
  for (const address of held) heap.freePages(address, 0);
  assertSound(heap);
});

test('real threads make and free areas side by side', async () => {
  const heap = smallHeap({ cpus: 4 });
  const code = `
    const { workerData } = require('node:worker_threads');
    import('modslab').then(({ Heap }) => {
      const heap = Heap.attach(workerData.handle);
      for (let i = 0; i < 400; i++) {
        const area = heap.vmalloc((1 + i % 5) * 4096);
        if (area === null) continue;
        area.fill(workerData.tag);
        if (!area.read(0, area.size).every((byte) => byte === workerData.tag)) throw new Error('somebody else wrote');
        heap.vfree(area);
      }
      heap.detach();
    });`;
  const { handle } = heap;
  await Promise.all(
    [1, 2].map(
      (tag) =>
        new Promise<void>((resolve, reject) => {
          const worker = new Worker(code, { eval: true, workerData: { handle, tag } });
          worker.on('error', reject);
          worker.on('exit', () => resolve());
        }),
    ),
  );
  assertSound(heap);
  assert.equal(heap.meminfo().footprint, 0);
});

// 2006: V1's vmalloc_allocator applied virt_to_page to a vmalloc address, which names no page of anything.
test('vmalloc as a page allocator: from the first page all others are found, and it is freed by that page', () => {
  const heap = smallHeap();
  const kept = scatter(heap);
  const pages = vmallocPageAllocator(heap.pageAllocator);
  assert.equal(pages.name, 'vmalloc:page_allocator');
  const { metadata } = pages.frames;
  const before = heap.meminfo().footprint;
  const pfn = pages.allocate(3, GFP.KERNEL, NODE_ANY);
  assert.equal(kindOf(metadata.m[pageAt(metadata.layout, pfn) + PAGE_FLAGS]), KIND_VMALLOC);
  const area = new Vmalloc(heap.pageAllocator);
  const found = [...Array(8).keys()].map((i) =>
    area.frameOf(VMALLOC_START + (metadata.m[pageAt(metadata.layout, pfn) + PAGE_VPN] + i) * PAGE),
  );
  assert.equal(found[0], pfn);
  assert.equal(new Set(found).size, 8);
  assert.ok(found.every((frame) => heap.virtToPage(frame * PAGE).flags === 'vmalloc'));
  assertSound(heap);
  thrownBy('EFAULT', () => pages.free(found[1], 3));
  thrownBy('EFAULT', () => pages.free(pfn, 2));
  pages.free(pfn, 3);
  assert.equal(heap.meminfo().footprint, before);
  for (const address of kept) heap.freePages(address, 0);
});

test('a slabifier on vmalloc needs no adjacent frames; objects never lie across two', () => {
  const heap = smallHeap();
  scatter(heap);
  const slabs = slabifier(vmallocPageAllocator(heap.pageAllocator), internalsOf(heap).slabifier.table);
  assert.equal(slabs.pageAllocatorName, 'vmalloc:page_allocator');
  const cache = slabs.create(spec('scattered', 1500));
  const addresses = Array.from({ length: 40 }, () => slabs.alloc(cache, 0));
  assert.equal(new Set(addresses).size, 40);
  for (const address of addresses) {
    assert.equal(Math.floor(address / PAGE), Math.floor((address + 1499) / PAGE));
    assert.equal(heap.virtToPage(address).order, 0);
    assert.ok(isZero(heap, address, 1));
  }
  assertSound(heap);
  for (const address of addresses) heap.kfree(address);
  heap.shrink();
  slabs.shrink(cache);
  assert.equal(slabs.getObjects(cache).live, 0);
  assertSound(heap);
  thrownBy('EINVAL', () => slabs.create(spec('large', PAGE + 1)));
});
