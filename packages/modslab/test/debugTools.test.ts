// What slab debugging offers besides finding damage: leaks, accounting, handles, checked access, fault injection, sampling,
// and the derivations as the framework exports them.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test from 'node:test';
import { GFP, Heap, type LeakGroup, SLAB, SlabError } from 'modslab';
import { diffLeaks, setTraceOutput } from 'modslab/debug';
import {
  checked,
  failslab,
  initializedOnAlloc,
  initializedOnFree,
  numaSlab,
  numbered,
  poisoned,
  quarantined,
  randomized,
  rcuifySlabAllocator,
  redzoned,
  type SlabAllocator,
  sheaved,
  traced,
  tracked,
} from 'modslab/framework';
import { assertSound, smallHeap, thrownBy } from './support/heap.js';
import { internalsOf, spec } from './support/internals.js';

const DENO = 'Deno' in globalThis && 'Deno takes no module on its command line';

// `return heap.kmalloc(…)` would be a tail call, and JavaScriptCore has no frame of a function that makes one.
function fromHere(heap: Heap, size: number): number {
  return Number(heap.kmalloc(size));
}

function fromThere(heap: Heap, size: number): number {
  return Number(heap.kmalloc(size));
}

const at = (groups: readonly LeakGroup[], name: string): LeakGroup => {
  const found = groups.find(({ stack }) => stack[0]?.includes(name));
  assert.ok(found !== undefined, `a group of ${name} among ${groups.map(({ stack }) => stack[0])}`);
  return found;
};

test('leaks are grouped by who allocated them', () => {
  const heap = smallHeap({ debug: 'U' });
  const some = Array.from({ length: 5 }, () => fromHere(heap, 50));
  for (let i = 0; i < 3; i++) fromThere(heap, 100);
  fromThere(heap, 30_000);
  const before = heap.leaks();
  const here = at(before, 'fromHere');
  assert.deepEqual([here.cache, here.count, here.bytes], ['kmalloc-64', 5, 250]);
  assert.ok(here.waste > 0 && here.age.min <= here.age.avg && here.age.avg <= here.age.max);
  assert.deepEqual(
    [here.cpus, here.nodes, here.addresses],
    [[heap.cpu], [0], [...some].sort((a, b) => a - b)],
  );
  assert.equal(before[0].cache, 'kmalloc-large', 'most bytes first');
  assert.deepEqual(at(before.slice(1), 'fromThere').count, 3);
  for (const address of some) heap.kfree(address);
  fromThere(heap, 100);
  const diff = diffLeaks(before, heap.leaks());
  assert.deepEqual(
    diff.map(({ count, bytes }) => [count, bytes]),
    [
      [1, 100],
      [-5, -250],
    ],
  );
  assert.deepEqual(heap.leaks({ cache: 'kmalloc-large' }).length, 1);
  assert.deepEqual(heap.leaks({ cpu: 5 }), []);
  assert.deepEqual(heap.leaks({ since: Date.now() + 1000 }), []);
  assert.match(
    heap.traces('kmalloc-128', 'alloc'),
    /^ {6}3 fromThere .*waste=\d+\/\d+ age=\d+.* cpus=0\n {8}/,
  );
  assert.match(heap.traces('kmalloc-64', 'free'), /^ {6}5 .*debugTools/);
  assert.equal(heap.traces('kmalloc-32', 'free'), 'No data\n');
  assert.match(heap.traces('kmalloc-large', 'alloc'), /^ {6}1 fromThere /);
  for (const what of ['alloc', 'free'] as const) thrownBy('EINVAL', () => heap.traces('nosuch', what));
});

test('what a group left behind is listed, and accounted for', () => {
  const heap = smallHeap({ debug: 'U', nodes: 2 });
  const group = heap.createGroup({ name: 'worker-7' });
  const other = heap.createGroup({ name: 'worker-8' });
  group.kmalloc(100);
  group.kmalloc(20_000);
  other.kmalloc(30);
  heap.kmalloc(64);
  assert.deepEqual(
    heap.leaks({ group: 'worker-7' }).map(({ bytes }) => bytes),
    [20_000, 100],
  );
  assert.deepEqual(heap.leaks({ group }).length, 2);
  const { groups, cpus, total, caches } = heap.accounting();
  assert.equal(groups['worker-7'].requested, 20_100);
  assert.equal(groups['worker-8'].live, 1);
  assert.equal(cpus[heap.cpu].live, 4);
  assert.deepEqual([total.live, total.requested], [4, 20_194]);
  assert.equal(caches['kmalloc-64'].requested, 64);
  group.adopt(other);
  assert.equal(heap.leaks({ group: 'worker-7' }).length, 3, 'those that it has adopted included');
  group.free();
  assert.deepEqual(heap.leaks({ group: 'worker-7' }), []);
  assertSound(heap);
});

test('peaks are exact where objects are tracked', () => {
  const heap = smallHeap({ debug: 'U,kmalloc-64' });
  const all = Array.from({ length: 30 }, () => heap.kmalloc(60));
  for (const address of all.slice(1)) heap.kfree(address);
  const { caches } = heap.accounting();
  const { live, requested, peakLive, peakRequested } = caches['kmalloc-64'];
  assert.deepEqual([live, requested, peakLive, peakRequested], [1, 60, 30, 1800]);
});

test('a handle is refused once its object has been freed, whatever is there by then', () => {
  const heap = smallHeap({ debug: 'G' });
  const address = heap.kmalloc(64);
  const handle = heap.objectHandle(address);
  assert.ok(Number.isSafeInteger(handle));
  assert.equal(heap.resolve(handle), address);
  heap.kfree(address);
  thrownBy('EFAULT', () => heap.resolve(handle));
  assert.equal(heap.kmalloc(64), address, 'the same place');
  thrownBy('EFAULT', () => heap.resolve(handle));
  assert.equal(heap.resolve(heap.objectHandle(address)), address);
  for (const wrong of [0, 1, -5, 0.5, Number.NaN, 2 ** 53, handle + 1, Number.MAX_SAFE_INTEGER])
    thrownBy('EFAULT', () => heap.resolve(wrong));
  thrownBy('EINTERIOR', () => heap.objectHandle(address + 8));
  const plain = smallHeap();
  thrownBy('EINVAL', () => plain.objectHandle(plain.kmalloc(64)));
  const large = heap.kmalloc(200_000);
  assert.match(thrownBy('EINVAL', () => heap.objectHandle(large)).message, /too large for a cache/);
  thrownBy('EINTERIOR', () => heap.objectHandle(large + heap.pageSize));
  heap.kfree(large);
  thrownBy('EDOUBLEFREE', () => heap.objectHandle(large));
});

test('checked access refuses what is not of the object', () => {
  for (const debug of ['', 'FZPUG']) {
    const heap = smallHeap({ debug });
    for (const size of [16, 64, 20_000]) {
      const address = heap.kmalloc(size);
      const object = heap.checked(address);
      const end = heap.ksize(address);
      assert.equal(object.size, end);
      object.setFloat64(0, 1.5);
      object.setUint8(end - 1, 7);
      assert.deepEqual(
        [object.getFloat64(0), heap.f64[address / 8], object.getUint8(end - 1)],
        [1.5, 1.5, 7],
      );
      object.write(8, [1, 2, 3]);
      assert.deepEqual([...object.read(8, 3)], [1, 2, 3]);
      for (const access of [
        () => object.getUint8(end),
        () => object.getUint8(-1),
        () => object.setUint32(end - 2, 1),
        () => object.fill(0, 0, end + 1),
        () => object.move(end - 8, 0, 16),
        () => object.read(1, end),
      ])
        assert.match(thrownBy('EFAULT', access).message, /out-of-bounds/);
      thrownBy(RangeError, () => object.read(0, -1));
      heap.kfree(address);
      assert.equal(object.isLive, false);
      const error = thrownBy('EFAULT', () => object.getInt8(0));
      assert.match(error.message, /use-after-free/);
      if (debug !== '' && size < 4096)
        assert.ok((error as SlabError).report?.freed !== undefined, 'and who freed it');
      thrownBy('EFAULT', () => object.setBigInt64(0, 1n));
      if (debug === '' || size >= 4096) continue;
      assert.equal(heap.kmalloc(size), address);
      assert.match(
        thrownBy('EFAULT', () => object.getInt8(0)).message,
        /use-after-free/,
        'another object by now',
      );
    }
  }
});

test('checked access stays within what a cache lets be seen', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'user', size: 64, useroffset: 16, usersize: 8 });
  const address = cache.alloc();
  const object = heap.checked(address);
  object.setUint32(16, 5);
  object.setUint32(20, 6);
  for (const offset of [0, 15, 21, 24])
    assert.match(thrownBy('EFAULT', () => object.getUint32(offset)).message, /usercopy/);
  heap.checked(address, { whole: true }).setUint32(0, 1);
});

test('fault injection fails what it is told to fail', () => {
  const heap = smallHeap({ debug: 'A,victim' });
  const victim = heap.createCache({ name: 'victim', size: 64 });
  assert.notEqual(victim.alloc(), 0, 'nothing fails before it is told to');
  heap.failslab = { probability: 1 };
  assert.equal(victim.alloc(), 0);
  assert.notEqual(heap.kmalloc(64), 0, 'other caches do not');
  assert.notEqual(victim.alloc(GFP.NOFAIL), 0);
  heap.failslab = { times: 2 };
  assert.deepEqual([victim.alloc(), victim.alloc(), victim.alloc() !== 0], [0, 0, true]);
  heap.failslab = { times: -1, interval: 3 };
  const outcomes = Array.from({ length: 9 }, () => victim.alloc() !== 0);
  assert.equal(outcomes.filter((ok) => !ok).length, 3);
  heap.failslab = { interval: 1, space: 4 };
  assert.deepEqual(
    Array.from({ length: 5 }, () => victim.alloc() !== 0),
    [true, true, true, true, false],
  );
  thrownBy(RangeError, () => {
    heap.failslab = { probability: 2 };
  });
  assertSound(heap);
});

test('traces say what is allocated and freed', (t) => {
  const lines: string[] = [];
  setTraceOutput((line) => lines.push(line));
  t.after(() => setTraceOutput(undefined));
  const heap = smallHeap({ debug: 'T,kmalloc-64' });
  const address = heap.kmalloc(64);
  heap.kfree(address);
  heap.kfree(heap.kmalloc(32));
  const hex = `0x${address.toString(16)}`;
  assert.deepEqual(lines, [
    `TRACE kmalloc-64 alloc ${hex} inuse=1 cpu=0`,
    `TRACE kmalloc-64 free ${hex} inuse=1 cpu=0`,
  ]);
});

test('a trace output that throws loses no object: the host is told', { skip: DENO }, () => {
  const program = `
    import { Heap } from ${JSON.stringify(import.meta.resolve('modslab'))};
    import { setTraceOutput } from ${JSON.stringify(import.meta.resolve('modslab/debug'))};
    process.on('unhandledRejection', (error) => console.log('unhandled', error.message));
    const heap = Heap.create({ size: 1 << 20, debug: 'T,kmalloc-64' });
    setTraceOutput((line) => { throw new Error(line.split(' ')[2]); });
    heap.kfree(heap.kmalloc(60));
    console.log(heap.meminfo().live, heap.validate().length);`;
  const ran = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  assert.equal(ran.stdout, '0 0\nunhandled alloc\nunhandled free\n', ran.stderr);
});

test('a quarantined object is not handed out again at once, but is not lost', () => {
  const heap = smallHeap({ debug: 'PQ' });
  heap.onReport(() => {});
  const first = heap.kmalloc(64);
  heap.kfree(first);
  thrownBy('EDOUBLEFREE', () => heap.kfree(first));
  for (let i = 0; i < 100; i++) {
    const address = heap.kmalloc(64);
    assert.notEqual(address, first);
    heap.kfree(address);
  }
  assertSound(heap);
  heap.u8[first + 3] = 1;
  for (let i = 0; i < 100; i++) heap.kfree(heap.kmalloc(64));
  assert.equal(heap.reports, 3, 'the double free, and the write to it when it left');
  const cache = heap.createCache({ name: 'short', size: 64 });
  cache.free(cache.alloc());
  cache.destroy();
  heap.shrink();
  assert.equal(heap.meminfo().footprint, 0);
  assertSound(heap);
});

test('what is charged to a group is held back by no quarantine: the group is uncharged, and its end takes nothing twice', () => {
  for (const debug of ['Q', 'FZPUQ']) {
    const heap = smallHeap({ debug });
    const group = heap.createGroup();
    group.kfree(group.kmalloc(100));
    assert.equal(group.usage, 0, debug);
    assertSound(heap);
    const last = group.kmalloc(100);
    heap.kfree(group.kmalloc(100));
    group.free();
    thrownBy('EDOUBLEFREE', () => heap.kfree(last));
    const next = heap.createGroup();
    const all = Array.from({ length: 300 }, () => next.kmalloc(100));
    assert.equal(new Set(all).size, all.length, `${debug}: each handed out once`);
    for (const address of all) next.kfree(address);
    heap.shrink();
    assert.equal(heap.meminfo().live, 0);
    assertSound(heap);
  }
});

test('objects are zero when they are allocated, or as soon as they are freed', () => {
  const isZero = (heap: Heap, address: number): boolean => heap.view(address, 64).every((byte) => byte === 0);
  for (const debug of ['I', 'W', 'ZI']) {
    const heap = smallHeap({ debug });
    const address = heap.kmalloc(64);
    heap.u8.fill(9, address, address + 64);
    heap.kfree(address);
    if (debug === 'W') assert.ok(isZero(heap, address));
    assert.equal(heap.kmalloc(64), address);
    assert.ok(isZero(heap, address));
    assertSound(heap);
  }
});

test('random order: neighbours in time are seldom neighbours in memory', () => {
  const steps = (debug: string): number => {
    const heap = smallHeap({ debug });
    const all = Array.from({ length: 60 }, () => heap.kmalloc(64));
    assertSound(heap);
    for (const address of all) heap.kfree(address);
    heap.shrink();
    assert.equal(heap.meminfo().footprint, 0);
    return all.slice(1).filter((address, i) => Math.abs(address - all[i]) === 64).length;
  };
  assert.equal(steps(''), 59);
  assert.ok(steps('R') < 20);
});

test('random order loses nothing of pools and of what is set aside, which use the first place of a sheaf', () => {
  const heap = smallHeap({ debug: 'R' });
  const cache = heap.createCache({ name: 'random', size: 2000, flags: SLAB.RANDOM });
  const pool = heap.createMempool(3, 100);
  // More objects than a slab has: the sheaf is filled in several goes.
  const sheaf = cache.prefill(30);
  for (const min of [20, 90, 120, 5, 60]) {
    pool.resize(min);
    assertSound(heap);
  }
  const all = Array.from({ length: 30 }, () => sheaf.alloc());
  assert.equal(new Set(all).size, 30);
  for (const address of all) cache.free(address);
  sheaf.release();
  pool.destroy();
  heap.shrink();
  assert.equal(heap.meminfo().footprint, 0);
  assertSound(heap);
});

test('call sites: the place that allocates decides which copy of a class it gets', () => {
  const heap = smallHeap({ debug: 'S' });
  const names = new Set<string | undefined>();
  const sites = [
    () => Number(heap.kmalloc(64)),
    () => Number(heap.kmalloc(64)),
    () => Number(heap.kmalloc(64)),
    () => Number(heap.kmalloc(64)),
    () => Number(heap.kmalloc(64)),
    () => Number(heap.kmalloc(64)),
  ];
  for (const site of sites) {
    const [one, two] = [site(), site()];
    assert.equal(heap.virtToPage(one).cache, heap.virtToPage(two).cache, 'the same place, the same copy');
    assert.match(heap.virtToPage(one).cache ?? '', /^kmalloc-rnd-\d-64$/);
    names.add(heap.virtToPage(one).cache);
    heap.kfree(one);
    heap.kfree(two);
  }
  assert.ok(names.size > 1, 'different places get different copies');
  assertSound(heap);
});

test('sampling takes objects by count, finds what is done to them, and says who', () => {
  const heap = smallHeap({ kfence: { every: 500, interval: 0 } });
  let sampled = 0;
  for (let round = 0; sampled < 3 && round < 200; round++) {
    const all = Array.from({ length: 200 }, () => Number(heap.kmalloc(100)));
    for (const address of all) {
      const isSampled = heap.virtToPage(address).cache === 'kfence';
      if (!isSampled) {
        heap.kfree(address);
        continue;
      }
      sampled++;
      assert.equal(heap.ksize(address), 100);
      heap.u8[address + 100] = 1;
      try {
        heap.kfree(address);
        assert.fail('nothing was thrown');
      } catch (error) {
        assert.ok(error instanceof SlabError && error.code === 'EREDZONE');
        assert.match(error.report?.allocated?.stack[0] ?? '', /debugTools/);
      }
      const twice = thrownBy('EDOUBLEFREE', () => heap.kfree(address)) as SlabError;
      assert.ok(twice.report?.allocated !== undefined && twice.report.freed !== undefined, 'both stacks');
    }
  }
  assert.equal(sampled, 3);
  assertSound(heap);
});

test('what is sampled is aligned as its size class, and has room for all that was asked for', () => {
  for (const size of [64 * 1024, 1024 * 1024]) {
    const heap = Heap.create({ size, maxSize: size, kfence: { every: 1, interval: 0, objects: 64 } });
    const { pageSize } = heap;
    const cache = heap.createCache({ name: 'aligned', size: 64, align: 64 });
    let sampled = 0;
    const check = (address: number, align: number, size: number): void => {
      assert.notEqual(address, 0);
      assert.equal(address % align, 0, `${size} bytes aligned to ${align}: ${address}`);
      assert.ok(heap.ksize(address) >= size);
      if (heap.virtToPage(address).cache === 'kfence') sampled++;
    };
    for (let round = 0; round < 40; round++) {
      for (let size = 8; size <= 2048; size *= 2) {
        const moved = heap.krealloc(heap.kmalloc(3), size);
        const all = [heap.kmalloc(size), heap.kmallocAligned(5, size), moved];
        for (const [i, address] of all.entries())
          check(address, Math.min(size, pageSize), i === 1 ? 5 : size);
        for (const address of all) heap.kfree(address);
      }
      for (const size of [100, 300, 700, 1500]) {
        const address = heap.kmalloc(size);
        check(address, 8, size);
        heap.view(address, size).fill(1);
        heap.kfree(address);
      }
      const object = cache.alloc();
      check(object, 64, 64);
      cache.free(object);
    }
    assert.ok(sampled > 20, `${sampled} of pages of ${pageSize}`);
    assertSound(heap);
    heap.detach();
  }
});

test('sampling by time takes the next allocation, of a program that uses its sheaves only too', async () => {
  const heap = smallHeap({ kfence: { every: 0, interval: 5 } });
  let sampled = false;
  for (let tries = 0; tries < 100 && !sampled; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    const address = heap.kmalloc(40);
    sampled = heap.virtToPage(address).cache === 'kfence';
    heap.kfree(address);
    assertSound(heap);
  }
  assert.ok(sampled);
  heap.detach();
});

type Derivation = (base: SlabAllocator) => SlabAllocator;
const DERIVATIONS: readonly [string, Derivation, number][] = [
  ['redzone', redzoned, SLAB.RED_ZONE],
  ['poison', poisoned, SLAB.POISON],
  ['track', tracked, SLAB.STORE_USER],
  ['failslab', failslab, SLAB.FAILSLAB],
  ['checked', checked, SLAB.CONSISTENCY_CHECKS],
  ['init_on_alloc', initializedOnAlloc, SLAB.INIT_ON_ALLOC],
  ['init_on_free', initializedOnFree, SLAB.INIT_ON_FREE],
  ['quarantine', quarantined, SLAB.QUARANTINE],
  ['number', numbered, SLAB.GENERATIONS],
];

test('each derivation does its part over any base, and any two together', () => {
  for (const [one, first, flag] of DERIVATIONS) {
    for (const [two, second] of DERIVATIONS) {
      const heap = smallHeap();
      const once = first(heap.slabAllocator);
      assert.equal(once.name, `${one}:sheaved:slabifier`);
      if (one === two) {
        thrownBy('EINVAL', () => second(once));
        continue;
      }
      const stack = second(once);
      const id = stack.create(spec('derived', 64));
      assert.equal(stack.name, `${two}:${one}:sheaved:slabifier`);
      const { m, layout } = internalsOf(heap).metadata;
      assert.notEqual(m[layout.cacheTable + id * 80 + 4] & flag, 0);
      const all = Array.from({ length: 20 }, () => stack.alloc(id, 0));
      for (const address of all) heap.u8.fill(1, address, address + 64);
      assertSound(heap);
      for (const [i, address] of all.entries()) {
        if (i % 2 === 0) stack.free(id, address);
        else heap.kfree(address);
      }
      assertSound(heap);
      stack.destroy(id);
      heap.shrink();
      assert.equal(heap.meminfo().footprint, 0);
    }
  }
});

test('a red-zoned stack finds what is written behind its objects, whoever frees them', () => {
  const heap = smallHeap();
  const stack = tracked(redzoned(heap.slabAllocator));
  const id = stack.create(spec('zoned', 64));
  const address = stack.alloc(id, 0);
  heap.u8[address + 64] = 1;
  thrownBy('EREDZONE', () => heap.kfree(address));
  const numa = redzoned(numaSlab(internalsOf(heap).slabifier, { policy: 'local' }));
  const other = numa.create(spec('numa', 64));
  const second = numa.alloc(other, 0);
  heap.u8[second + 64] = 1;
  thrownBy('EREDZONE', () => heap.kfree(second));
  assertSound(heap);
});

test('stacks that make no sense are refused', () => {
  const heap = smallHeap();
  const base = heap.slabAllocator;
  thrownBy('EINVAL', () => sheaved(redzoned(internalsOf(heap).slabifier)));
  thrownBy('EINVAL', () => redzoned(rcuifySlabAllocator(base)));
  thrownBy('EINVAL', () => poisoned(numaSlab(redzoned(internalsOf(heap).slabifier), { policy: 'local' })));
  thrownBy('EINVAL', () => randomized(randomized(base)));
  assert.equal(traced(base).name, 'trace:sheaved:slabifier');
});

test('stacks as deep, and taken as seldom, as the heap is told', () => {
  const heap = smallHeap({ debug: 'U' });
  heap.tracking = { depth: 2 };
  heap.kmalloc(8);
  assert.equal(heap.leaks()[0].stack.length, 2);
  heap.tracking = { every: 10 };
  for (let i = 0; i < 40; i++) heap.kmalloc(16);
  const counts = heap.leaks({ cache: 'kmalloc-16' }).map(({ count, stack }) => [stack.length, count]);
  assert.deepEqual(counts, [
    [0, 36],
    [2, 4],
  ]);
  thrownBy(RangeError, () => {
    heap.tracking = { depth: 0 };
  });
});
