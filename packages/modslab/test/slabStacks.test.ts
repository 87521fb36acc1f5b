// Every legal stack of slab allocators behaves like the plain one, plus its own effect (conformance/ has what each must do); every
// other one says why not.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { Heap, SLAB, SlabError } from 'modslab';
import {
  adoptCache,
  dmaifySlabAllocator,
  kmallocSlabAllocator,
  numaSlab,
  rcuifySlabAllocator,
  type SlabAllocator,
  sheaved,
  slabifier,
} from 'modslab/framework';
import { DMA, PLAIN, STACKS, type Stack, stackHeap, titleOf } from './conformance/stacks.js';
import { assertSound, exhaust, MIB, smallHeap, thrownBy } from './support/heap.js';
import { spec } from './support/internals.js';

test('any stack behaves like the plain one, whatever is done with it', () => {
  const operation = fc.oneof(
    { weight: 5, arbitrary: fc.constant({ kind: 'alloc' as const, pick: 0 }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('free' as const), pick: fc.nat(1000) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('kfree' as const), pick: fc.nat(1000) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('refuse' as const), pick: fc.nat(1000) }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'shrink' as const, pick: 0 }) },
  );
  const operations = fc.array(operation, { maxLength: 120 });
  const run = (stack: Stack, size: number, ops: readonly { kind: string; pick: number }[]): string[] => {
    const heap = stackHeap();
    const allocator = stack.build(heap);
    const cache = allocator.create(spec('any', size));
    const live: number[] = [];
    const log: string[] = [];
    for (const { kind, pick } of ops) {
      const address = live[pick % Math.max(1, live.length)] ?? 0;
      if (kind === 'alloc') live.push(allocator.alloc(cache, 0));
      else if (kind === 'refuse') log.push(outcome(() => allocator.free(cache, address + 8)));
      else if (kind === 'shrink') allocator.shrink(cache);
      else if (address !== 0) {
        if (kind === 'kfree') heap.kfree(address);
        else allocator.free(cache, address);
        live.splice(live.indexOf(address), 1);
        log.push(outcome(() => allocator.free(cache, address)));
      }
      log.push(`${kind} ${allocator.getObjects(cache).live} ${new Set(live).size} ${live.includes(0)}`);
    }
    assert.ok(live.every((address) => allocator.validPointer(cache, address)));
    assertSound(heap);
    return log;
  };
  const anyStack = fc.constantFrom(...STACKS.filter((stack) => stack !== PLAIN));
  fc.assert(
    fc.property(anyStack, fc.constantFrom(16, 64, 200, 1500), operations, (stack, size, ops) => {
      assert.deepEqual(run(stack, size, ops), run(PLAIN, size, ops), titleOf(stack));
    }),
    { numRuns: 40 },
  );
});

const outcome = (call: () => void): string => {
  try {
    call();
    return 'done';
  } catch (error) {
    return error instanceof SlabError ? error.code : String(error);
  }
};

test('stacks that make no sense are refused, with the reason', () => {
  const heap = stackHeap();
  const base = slabifier(heap.pageAllocator);
  const kmalloc = kmallocSlabAllocator(heap.slabAllocator);
  const refusals: [RegExp, () => unknown][] = [
    [/in sheaves already/, () => sheaved(sheaved(base))],
    [/have their sheaves already/, () => sheaved(kmalloc)],
    [/put sheaved over numa/, () => numaSlab(sheaved(base))],
    [/last word/, () => numaSlab(numaSlab(base))],
    [/everybody's/, () => numaSlab(kmalloc)],
    [/in the DMA zone already/, () => dmaifySlabAllocator(dmaifySlabAllocator(base))],
    [/no slabs of its own/, () => dmaifySlabAllocator(kmalloc)],
    [/already/, () => kmallocSlabAllocator(kmalloc)],
    [/no policy/, () => kmallocSlabAllocator(numaSlab(base))],
    [/before its grace period/, () => sheaved(rcuifySlabAllocator(base))],
    [/wait for a grace period already/, () => rcuifySlabAllocator(rcuifySlabAllocator(base))],
    [/use kfreeRcu/, () => rcuifySlabAllocator(kmalloc)],
    [/kfree would not wait/, () => kmallocSlabAllocator(rcuifySlabAllocator(base))],
    [/no DMA zone/, () => dmaifySlabAllocator(smallHeap().slabAllocator)],
    [/no policy 'nearest'/, () => numaSlab(base, { policy: 'nearest' as 'local' })],
    [/takes one node/, () => numaSlab(base, { policy: 'preferred' })],
    [/takes no nodes/, () => numaSlab(base, { policy: 'local', nodes: [1] })],
    [/at least one node/, () => numaSlab(base, { policy: 'bind' })],
  ];
  for (const [reason, call] of refusals) assert.match(thrownBy('EINVAL', call).message, reason);
  thrownBy(RangeError, () => numaSlab(base, { policy: 'bind', nodes: [2] }));
});

test('dma: every object lies in the DMA zone, and there are no more than fit', () => {
  const heap = stackHeap();
  const allocator = sheaved(dmaifySlabAllocator(slabifier(heap.pageAllocator)));
  const cache = allocator.create(spec('device', 2048));
  const addresses = exhaust(() => allocator.alloc(cache, 0));
  assert.equal(addresses.length, (DMA.end - DMA.start) / 2048);
  assert.ok(addresses.every((address) => address >= DMA.start && address < DMA.end));
  assert.equal(
    heap
      .slabinfo()
      .find(({ name }) => name === 'device')
      ?.allocator.startsWith('dma:'),
    true,
  );
});

test('rcu: what is freed is handed out again only when no reader can hold it, whoever frees it', () => {
  const heap = smallHeap({ size: MIB, maxSize: MIB });
  const reader = Heap.attach(heap.handle);
  const allocator = rcuifySlabAllocator(sheaved(slabifier(heap.pageAllocator)));
  const cache = allocator.create(spec('read', 2048));
  const all = exhaust(() => allocator.alloc(cache, 0));
  reader.rcuReadLock();
  const [mine, kfreed] = all;
  heap.view(mine, 8).fill(7);
  allocator.free(cache, mine);
  heap.kfree(kfreed);
  thrownBy('EDOUBLEFREE', () => heap.kfree(mine));
  assert.equal(allocator.alloc(cache, 0), 0, 'a reader may still look at them');
  assert.ok(reader.view(mine, 8).every((byte) => byte === 7));
  assertSound(heap);
  reader.rcuReadUnlock();
  heap.shrink();
  assert.deepEqual(new Set(exhaust(() => allocator.alloc(cache, 0))), new Set([mine, kfreed]));
  reader.detach();
  assertSound(heap);
});

test('numa: policies place objects; a node that is named has the last word', () => {
  const heap = smallHeap({ size: 4 * MIB, nodes: 2 });
  const nodeOf = (address: number): number => heap.virtToPage(address).node;
  const base = slabifier(heap.pageAllocator);
  const nodesOf = (allocator: SlabAllocator, flags = 0): number[] => {
    const cache = allocator.create(spec('placed', 512, { flags }));
    const addresses = Array.from({ length: 40 }, () => allocator.alloc(cache, 0));
    assert.equal(nodeOf(allocator.allocNode(cache, 0, 1)), 1);
    assert.equal(nodeOf(allocator.allocNode(cache, 0, 0)), 0);
    const nodes = addresses.map(nodeOf);
    for (const address of [...heap.cache('placed').objects()]) allocator.free(cache, address);
    allocator.destroy(cache);
    return [nodes.filter((node) => node === 0).length, nodes.filter((node) => node === 1).length];
  };
  assert.deepEqual(nodesOf(numaSlab(base)), [40, 0]);
  assert.deepEqual(nodesOf(numaSlab(base, { policy: 'preferred', nodes: [1] })), [0, 40]);
  assert.deepEqual(nodesOf(numaSlab(base, { policy: 'bind', nodes: [1] })), [0, 40]);
  assert.deepEqual(nodesOf(numaSlab(base, { policy: 'interleave' })), [20, 20]);
  assert.deepEqual(nodesOf(numaSlab(base), SLAB.MEM_SPREAD), [20, 20], 'spread whatever the policy');
});

test('numa: bind fails when its nodes are full, preferred goes elsewhere', () => {
  const heap = smallHeap({ size: MIB, maxSize: MIB, nodes: 2 });
  const base = slabifier(heap.pageAllocator);
  const bound = numaSlab(base, { policy: 'bind', nodes: [1] });
  const cache = bound.create(spec('bound', 4096));
  const addresses = exhaust(() => bound.alloc(cache, 0));
  assert.ok(addresses.length > 100 && addresses.every((address) => heap.virtToPage(address).node === 1));
  const preferring = numaSlab(base, { policy: 'preferred', nodes: [1] });
  const other = preferring.create(spec('preferring', 4096));
  assert.equal(heap.virtToPage(preferring.alloc(other, 0)).node, 0);
});

test('MEM_SPREAD: a plain cache has its slabs on all nodes in turn', () => {
  const heap = smallHeap({ size: 4 * MIB, nodes: 4 });
  const cache = heap.createCache({ name: 'inode', size: 1024, flags: SLAB.MEM_SPREAD });
  for (let i = 0; i < 48; i++) cache.alloc();
  const nodes = [...cache.objects()].map((address) => heap.virtToPage(address).node);
  for (const node of [0, 1, 2, 3]) assert.equal(nodes.filter((n) => n === node).length, 12);
  assertSound(heap);
});

test('kmalloc re-exported: a fitting cache shares slabs, what does not fit is refused', () => {
  const heap = stackHeap();
  const allocator = kmallocSlabAllocator(heap.slabAllocator);
  const cache = allocator.create(spec('request', 60));
  assert.equal(allocator.table.name(cache), 'kmalloc-64');
  const [mine, other] = [allocator.alloc(cache, 0), heap.kmalloc(64)];
  assert.equal(heap.virtToPage(mine).pfn, heap.virtToPage(other).pfn);
  assert.equal(allocator.table.name(allocator.create(spec('aligned', 40, { align: 64 }))), 'kmalloc-64');
  thrownBy('EINVAL', () => allocator.create(spec('large', 70_000)));
  thrownBy('EINVAL', () => allocator.create(spec('constructed', 64, { ctor: () => {} })));
  thrownBy('EINVAL', () => allocator.create(spec('device', 64, { flags: SLAB.CACHE_DMA })));
  thrownBy('EINVAL', () => allocator.create(spec('placed', 64, { node: 1 })));
});

test('a cache that must go through its own stack does, by kfree and by handles, on threads that have made the stack', () => {
  const heap = smallHeap({ size: 4 * MIB, nodes: 2 });
  const stackOn = (on: Heap): SlabAllocator =>
    sheaved(numaSlab(slabifier(on.pageAllocator), { policy: 'bind', nodes: [1] }));
  const allocator = stackOn(heap);
  allocator.create(spec('stacked', 64));
  const handle = heap.cache('stacked');
  const addresses = Array.from({ length: 200 }, () => handle.alloc());
  assert.ok(addresses.every((address) => heap.virtToPage(address).node === 1));
  for (const address of addresses.slice(0, 100)) heap.kfree(address);
  for (const address of addresses.slice(100, 150)) handle.free(address);
  assertSound(heap);

  const other = Heap.attach(heap.handle);
  assert.match(thrownBy('EINVAL', () => other.kfree(addresses[150])).message, /derived allocator/);
  thrownBy('EINVAL', () => other.cache('stacked').alloc());
  adoptCache(stackOn(other), 'stacked');
  other.kfree(addresses[150]);
  assert.equal(other.virtToPage(other.cache('stacked').alloc()).node, 1);
  other.detach();
  assertSound(heap);
});
