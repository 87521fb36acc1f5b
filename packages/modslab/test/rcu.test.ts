// RCU: read sections, grace periods, and what waits for them.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { GFP, Heap, SLAB } from 'modslab';
import { Rcu } from '#src/memory/rcu.js';
import { atEveryDeath, dieAt } from './support/deaths.js';
import { assertSound, exhaust, refused, smallHeap, thrownBy, wrong } from './support/heap.js';
import { createLayers, layersOn } from './support/internals.js';
import { skipUnlessChecked } from './support/killpoints.js';

/** Two threads of one heap. */
function pair(): [Heap, Heap] {
  const heap = smallHeap();
  return [heap, Heap.attach(heap.handle)];
}

const usedBytes = (heap: Heap): number => {
  heap.shrink();
  return heap.meminfo().footprint;
};

test('a grace period ends when everybody who was reading has stopped', () => {
  const first = createLayers();
  const second = layersOn(first.metadata, first.data);
  const [reader, writer] = [first.pages.rcu, second.pages.rcu];
  const before = writer.target();
  assert.ok(writer.poll(before), 'nobody reads');
  reader.readLock();
  const target = writer.target();
  assert.ok(!writer.poll(target));
  assert.ok(!reader.poll(target), 'whoever asks');
  reader.readUnlock();
  assert.ok(!writer.isOver(target), 'nobody has looked yet');
  assert.ok(writer.poll(target));
  assert.ok(writer.poll(before));
});

test('a section that begins after a grace period has begun is not waited for', () => {
  const first = createLayers();
  const second = layersOn(first.metadata, first.data);
  const third = layersOn(first.metadata, first.data);
  first.pages.rcu.readLock();
  const target = third.pages.rcu.target();
  assert.ok(!third.pages.rcu.poll(target), 'it has begun');
  second.pages.rcu.readLock();
  first.pages.rcu.readUnlock();
  assert.ok(third.pages.rcu.poll(target));
  assert.ok(!third.pages.rcu.poll(third.pages.rcu.target()), 'the next one waits for it');
  second.pages.rcu.readUnlock();
});

test('sections nest: the outermost counts', () => {
  const { pages } = createLayers();
  const { rcu } = pages;
  rcu.readLock();
  rcu.readLock();
  const target = rcu.target();
  rcu.readUnlock();
  assert.ok(rcu.isReading && !rcu.poll(target));
  rcu.readUnlock();
  assert.ok(!rcu.isReading && rcu.poll(target));
  thrownBy('EINVAL', () => rcu.readUnlock());
});

test('random readers against a model: a grace period is over only if none that had begun before is left', () => {
  const READERS = 3;
  const step = fc.record({
    who: fc.nat(READERS - 1),
    what: fc.constantFrom('lock', 'unlock', 'ask', 'poll'),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => {
      const first = createLayers();
      const readers = [first, layersOn(first.metadata, first.data), layersOn(first.metadata, first.data)];
      const rcus = readers.map(({ pages }) => pages.rcu);
      const depth = [0, 0, 0];
      // Of each target: the readers that were within a section when it was asked for, and still are.
      const asked: { target: number; readers: Set<number> }[] = [];
      for (const { who, what } of steps) {
        const rcu = rcus[who];
        if (what === 'lock') {
          rcu.readLock();
          depth[who]++;
        } else if (what === 'unlock' && depth[who] > 0) {
          rcu.readUnlock();
          depth[who]--;
          if (depth[who] === 0) for (const { readers: left } of asked) left.delete(who);
        } else if (what === 'ask') {
          const reading = [0, 1, 2].filter((reader) => depth[reader] > 0);
          asked.push({ target: rcu.target(), readers: new Set(reading) });
        }
        for (const { target, readers: left } of asked) {
          const [over, byBits] = [rcu.poll(target), rcu.pollBits(target & 3)];
          assert.ok(left.size === 0 || !(over || byBits), 'over, though a reader of before is left');
          assert.ok(!byBits || over, 'two bits never say more than the number');
        }
      }
      for (const [who, rcu] of rcus.entries()) for (; depth[who] > 0; depth[who]--) rcu.readUnlock();
      for (const { target } of asked) {
        assert.ok(rcus[0].poll(target), 'without readers all are over');
        assert.ok(rcus[0].pollBits(target & 3) || rcus[0].pollBits(target & 3), 'by its bits too');
      }
    }),
    { numRuns: 200 },
  );
});

test('a killed reader is in the way until it is reaped; one that detaches is not', async () => {
  const [heap, other] = pair();
  other.rcuReadLock();
  const address = heap.kmalloc(100);
  heap.kfreeRcu(address);
  heap.shrink();
  assert.equal(heap.meminfo().footprint > 0, true);
  heap.reap(other.cpu);
  await heap.synchronizeRcu();
  assert.equal(usedBytes(heap), 0);
  const third = Heap.attach(heap.handle);
  third.rcuReadLock();
  third.detach();
  await heap.synchronizeRcu();
  assertSound(heap);
});

test('kfreeRcu: the object is nobody else’s until every reader has left, then free', () => {
  const [heap, reader] = pair();
  const size = 1000;
  const all = exhaust(() => heap.kmalloc(size));
  reader.rcuReadLock();
  const address = all[10];
  heap.u8.fill(7, address, address + size);
  heap.kfreeRcu(address);
  assert.equal(heap.kmalloc(size), 0, 'a reader may hold it');
  assert.equal(reader.u8[address + size - 1], 7);
  assertSound(heap);
  reader.rcuReadUnlock();
  assert.equal(heap.kmalloc(size), address, 'memory pressure alone ends the grace period');
  for (const one of all) heap.kfree(one);
  assert.equal(usedBytes(heap), 0);
});

test('kfreeRcu makes every check of kfree at once, and a waiting object cannot be freed again', () => {
  const [heap, reader] = pair();
  reader.rcuReadLock();
  const [small, large] = [heap.kmalloc(64), heap.kmalloc(100_000)];
  refused(heap, 'EINTERIOR', () => heap.kfreeRcu(small + 8));
  refused(heap, 'EFAULT', () => heap.kfreeRcu(1));
  refused(heap, TypeError, () => heap.kfreeRcu(wrong('x')));
  heap.kfreeRcu(0);
  heap.kfreeRcu(small);
  heap.kfreeRcu(large);
  for (const address of [small, large]) {
    refused(heap, 'EDOUBLEFREE', () => heap.kfree(address));
    refused(heap, 'EDOUBLEFREE', () => heap.kfreeRcu(address));
  }
  assert.equal(heap.meminfo().live, 0);
  assert.equal(heap.virtToPage(large).flags, 'waiting');
  assert.ok(usedBytes(heap) > 100_000);
  reader.rcuReadUnlock();
  assert.equal(usedBytes(heap), 0);
  refused(heap, 'EDOUBLEFREE', () => heap.kfree(large));
});

test('thousands wait without any queue, in batches they become free', () => {
  const heap = smallHeap();
  for (let i = 0; i < 20_000; i++) heap.kfreeRcu(heap.kmalloc(200));
  assert.ok(heap.meminfo().peakFootprint < 200 * 20_000, 'memory was used again meanwhile');
  assertSound(heap);
  assert.equal(usedBytes(heap), 0);
});

test('with a reader in the way, memory that waits is not handed out, and allocation ends with 0', () => {
  const [heap, reader] = pair();
  const addresses = exhaust(() => heap.kmalloc(4096));
  reader.rcuReadLock();
  for (const address of addresses) heap.kfreeRcu(address);
  assert.equal(heap.kmalloc(4096), 0);
  assert.equal(heap.kmalloc(64 * 1024, GFP.NOWAIT), 0);
  reader.rcuReadUnlock();
  assert.notEqual(heap.kmalloc(64 * 1024, GFP.NOWAIT), 0);
});

test('callbacks run in order, from a timer, after the readers of before', async () => {
  const [heap, reader] = pair();
  const ran: string[] = [];
  reader.rcuReadLock();
  heap.callRcu(() => ran.push('first'));
  heap.callRcu(() => ran.push('second'));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(ran, []);
  reader.rcuReadUnlock();
  assert.deepEqual(ran, []);
  await heap.rcuBarrier();
  assert.deepEqual(ran, ['first', 'second']);
  refused(heap, TypeError, () => heap.callRcu(wrong(undefined)));
});

test('rcuBarrier waits for the callbacks of other threads, and not for those of the dead', async () => {
  const [heap, other] = pair();
  const dead = Heap.attach(heap.handle);
  let ran = false;
  other.callRcu(() => {
    ran = true;
  });
  dead.callRcu(() => {});
  heap.reap(dead.cpu);
  await heap.rcuBarrier();
  assert.ok(ran);
  const gone = Heap.attach(heap.handle);
  gone.callRcu(() => assert.fail('it has detached'));
  gone.detach();
  await heap.rcuBarrier();
});

test('rcuBarrier: all that was waiting is free', async () => {
  const [heap, other] = pair();
  for (let i = 0; i < 30; i++) other.kfreeRcu(heap.kmalloc(500));
  await heap.rcuBarrier();
  const row = heap.slabinfo().find(({ name }) => name === 'kmalloc-512');
  assert.equal(row?.objects, 0);
  assertSound(heap);
});

test('synchronizeRcu and rcuBarrier within a read section, or of a detached heap, are refused', async () => {
  const [heap, other] = pair();
  heap.rcuReadLock();
  await assert.rejects(heap.synchronizeRcu(), { code: 'EINVAL' });
  await assert.rejects(heap.rcuBarrier(), { code: 'EINVAL' });
  heap.rcuReadUnlock();
  heap.rcuReadLock();
  const late = other.synchronizeRcu();
  other.detach();
  await assert.rejects(late, { code: 'ESHUTDOWN' });
  thrownBy('ESHUTDOWN', () => other.rcuReadLock());
  thrownBy('ESHUTDOWN', () => other.callRcu(() => {}));
  thrownBy('ESHUTDOWN', () => other.kfreeRcu(8));
  heap.rcuReadUnlock();
});

test('typesafe by RCU: the frames of a cache are not reused by others while a reader may look', () => {
  const [heap, reader] = pair();
  const cache = heap.createCache({ name: 'sighand', size: 1000, flags: SLAB.TYPESAFE_BY_RCU });
  const address = cache.alloc();
  const others = exhaust(() => heap.kmalloc(4096));
  reader.rcuReadLock();
  cache.free(address);
  heap.shrink();
  cache.shrink();
  assert.equal(heap.virtToPage(address).flags, 'waiting');
  assert.equal(heap.kmalloc(4096), 0, 'its frame is the only one');
  refused(heap, 'EDOUBLEFREE', () => cache.free(address));
  reader.rcuReadUnlock();
  const taken = heap.kmalloc(4096);
  assert.equal(Math.floor(taken / 4096), Math.floor(address / 4096));
  for (const one of [...others, taken]) heap.kfree(one);
  assert.equal(usedBytes(heap), 0);
});

test('typesafe by RCU: an object may be used again at once, by the same cache', () => {
  const [heap, reader] = pair();
  const cache = heap.createCache({ name: 'sighand', size: 64, flags: SLAB.TYPESAFE_BY_RCU });
  reader.rcuReadLock();
  const address = cache.alloc();
  cache.free(address);
  assert.equal(cache.alloc(), address);
});

test('a thread that dies anywhere in kfreeRcu, or in a collection, loses nothing', {
  skip: skipUnlessChecked,
}, () => {
  const passages = atEveryDeath((passage) => {
    const heap = smallHeap({ size: 2 ** 18, maxSize: 2 ** 18, cpus: 2 });
    const victim = Heap.attach(heap.handle);
    const cache = victim.createCache({ name: 'typesafe', size: 3000, flags: SLAB.TYPESAFE_BY_RCU });
    const objects = Array.from({ length: 6 }, () => cache.alloc());
    const [small, large] = [victim.kmalloc(64), victim.kmalloc(40_000)];
    let freed = 0;
    const died = dieAt(/^(rcu|deferred|waiting|frames)[.]|slab[.]unpublished/, passage, () => {
      victim.rcuReadLock();
      victim.rcuReadUnlock();
      for (const address of [small, large]) {
        victim.kfreeRcu(address);
        freed++;
      }
      for (const address of objects) cache.free(address);
      victim.shrink();
    });
    heap.reap(victim.cpu);
    assertSound(heap);
    if (freed < 2) for (const row of heap.slabinfo()) assert.ok(row.objects <= 6 + 1, row.name);
    freeWhatIsLive(heap, [small, large, ...objects]);
    assert.equal(usedBytes(heap), 0, `passage ${passage}`);
    assertSound(heap);
    return died;
  });
  assert.ok(passages > 20, `${passages} kill points were passed`);
});

/** Frees those of the addresses that are live. */
function freeWhatIsLive(heap: Heap, addresses: number[]): void {
  for (const address of addresses) {
    try {
      heap.kfree(address);
    } catch {
      // Freed before its thread died.
    }
  }
}

test('Rcu is in the framework for derivations of one’s own', () => {
  assert.ok(createLayers().pages.rcu instanceof Rcu);
});
