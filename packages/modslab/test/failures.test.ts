// The n-th failure: each page request, growth, cache descriptor, sheaf and group slot fails once, and from the n-th on for
// good. A call that gives up has changed nothing, and the heap goes on.
import assert from 'node:assert/strict';
import test from 'node:test';
import { GFP, Heap, SlabError } from 'modslab';
import { FAIL_POINTS, setFailPointHook } from 'modslab/debug';
import { assertSound, KIB } from './support/heap.js';
import { skipUnlessChecked } from './support/killpoints.js';

const PAGE = 4096;
/** Requests after which an operation must have come to its end. */
const REQUESTS_MAX = 200;

const OPERATIONS: [string, (heap: Heap) => unknown][] = [
  ['kmalloc', (heap) => heap.kmalloc(64)],
  ['kzalloc', (heap) => heap.kzalloc(1000)],
  ['kmalloc of pages', (heap) => heap.kmalloc(3 * PAGE)],
  ['kmalloc that must grow', (heap) => heap.kmalloc(100 * PAGE)],
  ['DMA', (heap) => heap.kmalloc(64, GFP.DMA)],
  ['NOWAIT', (heap) => heap.kmalloc(64, GFP.NOWAIT)],
  ['kmallocNode', (heap) => heap.kmallocNode(64, 0, 0)],
  ['kmallocAligned', (heap) => heap.kmallocAligned(64, 4 * PAGE)],
  ['kvmalloc', (heap) => heap.kvmalloc(150 * PAGE)],
  ['allocPages', (heap) => heap.allocPages(3)],
  ['kmallocBulk', (heap) => heap.kmallocBulk(2048, new Uint32Array(30))],
  ['krealloc', (heap) => heap.krealloc(heap.kmalloc(64), 5000)],
  ['createCache', (heap) => heap.createCache({ name: 'new', size: 100 })],
  ['cache.alloc', (heap) => heap.cache('templates').alloc()],
  ['cache.alloc with a constructor', (heap) => heap.cache('constructed').alloc()],
  ['cache.allocBulk', (heap) => heap.cache('templates').allocBulk(new Uint32Array(50))],
  ['cache.prefill', (heap) => heap.cache('templates').prefill(40).size],
  ['createMempool', (heap) => heap.createMempool(10, 1000).reserved],
  ['createMempool of pages', (heap) => heap.createMempool(3, 9000).reserved],
  ['createGroup', (heap) => heap.createGroup()],
  ['group.kmalloc', (heap) => heap.group('g').kmalloc(64)],
  ['group.kmalloc of pages', (heap) => heap.group('g').kmalloc(9000)],
  ['group.krealloc', (heap) => heap.group('g').krealloc(heap.group('g').kmalloc(64), 5000)],
  ['allocInto', (heap) => heap.allocInto(PAGE_OF_SLOTS, 64)],
  ['allocInto of pages', (heap) => heap.allocInto(PAGE_OF_SLOTS, 9000)],
];

/** The first page that the heap hands out. */
const PAGE_OF_SLOTS: number = PAGE;

function createHeap(): Heap {
  const dma = { start: 40 * PAGE, end: 48 * PAGE };
  const heap = Heap.create({
    size: 64 * PAGE,
    maxSize: 1024 * KIB,
    pageSize: PAGE,
    cpus: 2,
    caches: 48,
    dma,
  });
  assert.equal(heap.allocPages(0, GFP.ZERO), PAGE_OF_SLOTS);
  heap.createCache({ name: 'templates', size: 700, ctor: new Uint8Array(700) });
  heap.createCache({
    name: 'constructed',
    size: 300,
    ctor: (address, it) => it.u8.fill(1, address, address + 1),
  });
  heap.createGroup({ name: 'g' });
  return heap;
}

/** What a call that gave up must leave as it was: growth apart, and empty caches that it made for itself. */
function accounts(heap: Heap): unknown {
  heap.shrink();
  const objects = heap.slabinfo().filter((row) => row.objects > 0);
  const { live, footprint } = heap.meminfo();
  const names = heap.groups().map((group) => [group.name, group.usage]);
  return { live, footprint, objects, names, slot: heap.u32[PAGE_OF_SLOTS / 4] };
}

interface Outcome {
  /** How often the request was made. */
  readonly asked: number;
  readonly failed: boolean;
}

/** Runs an operation while requests fail; that it throws `ENOMEM`, or returns something false, is a failure. */
function run(
  heap: Heap,
  point: string,
  fails: (n: number) => boolean,
  operation: (heap: Heap) => unknown,
): Outcome {
  let asked = 0;
  setFailPointHook((name) => name === point && fails(++asked));
  try {
    const result = operation(heap);
    return { asked, failed: result === 0 };
  } catch (error) {
    assert.ok(error instanceof SlabError && error.code === 'ENOMEM', String(error));
    return { asked, failed: true };
  } finally {
    setFailPointHook(undefined);
  }
}

/** `krealloc` and the like allocate first: their own object stays, which is what they must do. */
const allocatesFirst = (name: string): boolean => name.endsWith('krealloc');

for (const point of FAIL_POINTS) {
  test(`the n-th '${point}' fails, once or for good`, { skip: skipUnlessChecked }, () => {
    let failures = 0;
    let requests = 0;
    for (const [name, operation] of OPERATIONS) {
      for (const forGood of [false, true]) {
        for (let n = 1; ; n++) {
          assert.ok(n < REQUESTS_MAX, `${name} ends`);
          const heap = createHeap();
          const before = accounts(heap);
          const { asked, failed } = run(heap, point, (i) => (forGood ? i >= n : i === n), operation);
          assertSound(heap);
          if (failed && !allocatesFirst(name)) assert.deepEqual(accounts(heap), before, `${name}, ${n}`);
          if (failed) failures++;
          else assert.ok(allocatesFirst(name) || heap.meminfo().live >= 0);
          // It goes on: the same call works, now that nothing fails.
          if (failed) assert.ok(operation(heap), `${name} afterwards`);
          assertSound(heap);
          if (asked < n) break;
          requests++;
        }
      }
    }
    assert.ok(requests > 0, 'the request was made');
    assert.ok(failures > 0, 'some calls gave up');
  });
}
