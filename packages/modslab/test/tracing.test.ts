// Trace events: every way in and out of the heap is told of once, after it is over; nothing is left of it afterwards.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { type Address, GFP, Heap, type TraceEvent, type TraceEventName } from 'modslab';
import { assertSound, smallHeap, thrownBy, wrong } from './support/heap.ts';
import { Random } from './support/random.ts';

const EVENTS: readonly TraceEventName[] = [
  'kmalloc',
  'kfree',
  'kmem_cache_alloc',
  'kmem_cache_free',
  'mm_page_alloc',
  'mm_page_free',
];

/** Listens to everything; what it was told, without the times. */
function listen(heap: Heap): { told: Omit<TraceEvent, 'time'>[]; stop: () => void } {
  const told: Omit<TraceEvent, 'time'>[] = [];
  const stops = EVENTS.map((event) =>
    heap.on(event, ({ time, ...rest }) => {
      assert.ok(Math.abs(time - Date.now()) < 60_000);
      told.push(rest);
    }),
  );
  return { told, stop: () => stops.forEach((stop) => void stop()) };
}

const names = (told: Omit<TraceEvent, 'time'>[]): string[] =>
  told.map(({ event, address, requested }) => `${event} ${address} ${requested}`);

test('an event has the operation, the object, what was asked for and what it got', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'told', size: 100 });
  const { told, stop } = listen(heap);
  const small = heap.kmalloc(50, GFP.ZERO);
  const large = heap.kmalloc(100_000);
  const object = cache.alloc();
  const pages = heap.allocPages(1, GFP.RECLAIMABLE);
  heap.kfree(small);
  heap.kfree(large);
  cache.free(object);
  heap.freePages(pages, 1);
  stop();
  heap.kfree(heap.kmalloc(50));
  const { cpu } = heap;
  const bytes = heap.pageSize;
  const run = Math.ceil(100_000 / bytes) * bytes;
  assert.deepEqual(told, [
    {
      event: 'kmalloc',
      cache: 'kmalloc-64',
      address: small,
      requested: 50,
      allocated: 64,
      gfp: GFP.ZERO,
      cpu,
    },
    { event: 'kmalloc', address: large, requested: 100_000, allocated: run, gfp: 0, cpu },
    {
      event: 'kmem_cache_alloc',
      cache: 'told',
      address: object,
      requested: 100,
      allocated: 112,
      gfp: 0,
      cpu,
    },
    {
      event: 'mm_page_alloc',
      address: pages,
      requested: 2 * bytes,
      allocated: 2 * bytes,
      gfp: GFP.RECLAIMABLE,
      cpu,
    },
    { event: 'kfree', cache: 'kmalloc-64', address: small, requested: 0, allocated: 64, gfp: 0, cpu },
    { event: 'kfree', address: large, requested: 0, allocated: run, gfp: 0, cpu },
    { event: 'kmem_cache_free', cache: 'told', address: object, requested: 0, allocated: 112, gfp: 0, cpu },
    { event: 'mm_page_free', address: pages, requested: 0, allocated: 2 * bytes, gfp: 0, cpu },
  ]);
});

/** Every call that gives an object, or takes one; how it is told. */
const CALLS: Record<string, (heap: Heap) => string[]> = {
  kzalloc: (heap) => [`kmalloc ${heap.kzalloc(40)} 40`],
  kcalloc: (heap) => [`kmalloc ${heap.kcalloc(3, 10)} 30`],
  kmallocNode: (heap) => [`kmalloc ${heap.kmallocNode(40, 0, 0)} 40`],
  kmallocAligned: (heap) => [`kmalloc ${heap.kmallocAligned(40, 128)} 40`],
  'kmallocAligned, large': (heap) => [`kmalloc ${heap.kmallocAligned(40, 65_536)} 40`],
  kvmalloc: (heap) => [`kmalloc ${heap.kvmalloc(40)} 40`],
  'kvmalloc, large': (heap) => [`kmalloc ${heap.kvmalloc(1_500_000)} 1500000`],
  kfreeSensitive: (heap) => {
    const address = heap.kmalloc(40);
    heap.kfreeSensitive(address);
    return [`kmalloc ${address} 40`, `kfree ${address} 0`];
  },
  kfreeRcu: (heap) => {
    const address = heap.kmalloc(40);
    heap.kfreeRcu(address);
    return [`kmalloc ${address} 40`, `kfree ${address} 0`];
  },
  'krealloc, moved': (heap) => {
    const address = heap.kmalloc(40);
    const moved = heap.krealloc(address, 400);
    return [`kmalloc ${address} 40`, `kmalloc ${moved} 400`, `kfree ${address} 0`];
  },
  'krealloc, in place': (heap) => {
    const address = heap.kmalloc(40);
    assert.equal(heap.krealloc(address, 45), address);
    return [`kmalloc ${address} 40`];
  },
  'krealloc of nothing, to nothing': (heap) => {
    const address = heap.krealloc(0, 30);
    heap.krealloc(address, 0);
    return [`kmalloc ${address} 30`, `kfree ${address} 0`];
  },
  'kmallocBulk, kfreeBulk': (heap) => {
    const out = new Uint32Array(3);
    heap.kmallocBulk(24, out);
    heap.kfreeBulk(Uint32Array.of(out[0], 0, out[1]));
    return [
      ...Array.from(out, (address) => `kmalloc ${address} 24`),
      `kfree ${out[0]} 0`,
      `kfree ${out[1]} 0`,
    ];
  },
  'allocBulk, freeBulk': (heap) => {
    const cache = heap.createCache({ name: 'bulk', size: 24 });
    const out = new Uint32Array(2);
    cache.allocBulk(out);
    cache.freeBulk(out);
    const told = (event: string, size: number) => Array.from(out, (address) => `${event} ${address} ${size}`);
    return [...told('kmem_cache_alloc', 24), ...told('kmem_cache_free', 0)];
  },
  allocNode: (heap) => [`kmem_cache_alloc ${heap.createCache({ name: 'n', size: 90 }).allocNode(0, 0)} 90`],
  prefill: (heap) => {
    const sheaf = heap.createCache({ name: 'prefilled', size: 90 }).prefill(2);
    const address = sheaf.alloc();
    sheaf.release();
    return [`kmem_cache_alloc ${address} 90`];
  },
  group: (heap) => {
    const group = heap.createGroup();
    const address = group.kmalloc(40);
    const moved = group.krealloc(address, 4000);
    group.kfree(moved);
    return [`kmalloc ${address} 40`, `kmalloc ${moved} 4000`, `kfree ${address} 0`, `kfree ${moved} 0`];
  },
  mempool: (heap) => {
    const pool = heap.createMempool(2, 40);
    const address = pool.alloc();
    pool.free(address);
    return [`kmem_cache_alloc ${address} ${pool.size}`, `kmem_cache_free ${address} 0`];
  },
  buckets: (heap) => {
    const buckets = heap.createBuckets('own');
    const address = buckets.alloc(30);
    return [`kmem_cache_alloc ${address} 32`];
  },
  'allocInto, freeFrom': (heap) => {
    const slot = heap.kzalloc(8);
    const address = heap.allocInto(slot, 40);
    heap.freeFrom(slot);
    return [`kmalloc ${slot} 8`, `kmalloc ${address} 40`, `kfree ${address} 0`];
  },
  'a merged cache': (heap) => {
    const cache = heap.createCache({ name: 'merged', size: 30 });
    const address = cache.alloc();
    cache.free(address);
    return [`kmem_cache_alloc ${address} 30`, `kmem_cache_free ${address} 0`];
  },
  'nothing at all': (heap) => {
    heap.kfree(0);
    assert.equal(heap.kmalloc(heap.kmallocMaxSize, GFP.NOWAIT), 0);
    thrownBy('EFAULT', () => heap.kfree(12));
    thrownBy(RangeError, () => heap.kmalloc(-1));
    heap.vfree(heap.vmalloc(9000) ?? 0);
    return [];
  },
};

for (const [what, call] of Object.entries(CALLS)) {
  test(`told of once: ${what}`, () => {
    const heap = smallHeap({ merge: what === 'a merged cache' });
    const { told, stop } = listen(heap);
    const expected = call(heap);
    stop();
    assert.deepEqual(names(told), expected);
    assertSound(heap);
  });
}

test('a handle of a cache that was there before is heard, and one made while somebody listens is quiet afterwards', () => {
  const heap = smallHeap();
  const before = heap.createCache({ name: 'before', size: 40 });
  before.free(before.alloc());
  const { told, stop } = listen(heap);
  before.alloc();
  const during = heap.createCache({ name: 'during', size: 48 });
  during.free(during.alloc());
  assert.equal(told.length, 3);
  stop();
  during.free(during.alloc());
  before.alloc();
  assert.equal(told.length, 3);
});

test('once nobody listens the fast paths are as they were', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'fast', size: 40 });
  for (const round of [1, 2]) {
    const { stop } = listen(heap);
    cache.free(cache.alloc());
    heap.kfree(heap.kmalloc(40));
    stop();
    stop();
    cache.free(cache.alloc());
    const counted = heap.counters();
    for (let i = 0; i < 100; i++) {
      cache.free(cache.alloc());
      heap.kfree(heap.kmalloc(40));
      heap.kfree(heap.kzalloc(40));
    }
    assert.deepEqual(heap.counters(), counted, `no slow path in round ${round}`);
  }
});

test('the heap is as fast to fill while it is watched: sheaves are used, not bypassed', () => {
  const heap = smallHeap();
  const { stop } = listen(heap);
  const addresses = Array.from({ length: 500 }, () => heap.kmalloc(64));
  for (const address of addresses) heap.kfree(address);
  stop();
  const { refill } = heap.counters();
  assert.ok(refill < 30, `${refill} refills`);
});

test('a listener may call the heap; what it does there is not told', () => {
  const heap = smallHeap();
  const inner: Address[] = [];
  let calls = 0;
  const stop = heap.on('kmalloc', ({ address }) => {
    calls++;
    assert.equal(heap.ksize(address), 64, 'the operation is over');
    inner.push(heap.kmalloc(3000));
    heap.createCache({ name: `made ${calls}`, size: 50 }).alloc();
    assertSound(heap);
  });
  const outer = [heap.kmalloc(64), heap.kmalloc(64)];
  stop();
  assert.equal(calls, 2);
  for (const address of [...inner, ...outer]) heap.kfree(address);
  assertSound(heap);
});

test('listeners come and go by themselves, one function as often as it likes, also while it runs', () => {
  const heap = smallHeap();
  let calls = 0;
  const listener = (): void => void calls++;
  const first = heap.on('kfree', listener);
  const second = heap.on('kfree', listener);
  heap.kfree(heap.kmalloc(8));
  first();
  first();
  heap.kfree(heap.kmalloc(8));
  second();
  heap.kfree(heap.kmalloc(8));
  assert.equal(calls, 3);
  const once = heap.on('kfree', () => {
    calls++;
    once();
  });
  heap.kfree(heap.kmalloc(8));
  heap.kfree(heap.kmalloc(8));
  assert.equal(calls, 4);
});

test('no listener runs under NOWAIT or ATOMIC; only the thread itself is heard', () => {
  const heap = smallHeap();
  const other = Heap.attach(heap.handle);
  const cache = heap.createCache({ name: 'bounded', size: 40 });
  const { told, stop } = listen(heap);
  heap.kmalloc(64, GFP.NOWAIT);
  heap.kmalloc(64, GFP.ATOMIC | GFP.ZERO);
  cache.alloc(GFP.NOWAIT);
  other.kfree(other.kmalloc(64));
  assert.deepEqual(told, []);
  stop();
});

test('who listened when the heap was detached may stop listening after it', () => {
  const heap = smallHeap();
  const stop = heap.on('kmalloc', () => undefined);
  const recording = heap.record();
  heap.detach();
  stop();
  assert.equal(recording.stop().split('\n').length, 2);
});

test('what can be no event, or no listener, is refused', () => {
  const heap = smallHeap();
  thrownBy('EINVAL', () => heap.on(wrong('kmalloc_node'), () => undefined));
  thrownBy(TypeError, () => heap.on('kmalloc', wrong(undefined)));
  heap.detach();
  thrownBy('ESHUTDOWN', () => heap.on('kmalloc', () => undefined));
});

const DENO = 'Deno' in globalThis && 'Deno takes no module on its command line';

test('a listener that throws does not harm the call: the host is told', { skip: DENO }, () => {
  const program = `
    import { Heap } from ${JSON.stringify(import.meta.resolve('modslab'))};
    process.on('unhandledRejection', (error) => console.log('unhandled', error.message));
    const heap = Heap.create({ size: 1 << 20 });
    heap.on('kmalloc', () => { throw new Error('from the listener'); });
    heap.on('kmalloc', () => console.log('the next one'));
    console.log(heap.ksize(heap.kmalloc(60)), heap.validate().length);`;
  const ran = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  assert.equal(ran.stdout, 'the next one\n64 0\nunhandled from the listener\n', ran.stderr);
});

test('what two threads are told of adds up to what is live', () => {
  const heap = smallHeap();
  const ends = [heap, Heap.attach(heap.handle)];
  heap.createCache({ name: 'mixed', size: 72 });
  const live = new Map<Address, string>();
  for (const end of ends) {
    for (const event of ['kmalloc', 'kmem_cache_alloc', 'mm_page_alloc'] as const)
      end.on(event, ({ address, cache }) => {
        assert.ok(!live.has(address), 'no address is handed out twice');
        live.set(address, cache ?? '');
      });
    for (const event of ['kfree', 'kmem_cache_free', 'mm_page_free'] as const)
      end.on(event, ({ address, cache }) => {
        assert.equal(live.get(address), cache ?? '', 'and every one comes back as what it was');
        live.delete(address);
      });
  }
  const random = new Random(11);
  const caches = ends.map((end) => end.cache('mixed'));
  for (let i = 0; i < 4000; i++) {
    const which = random.below(2);
    const addresses = [...live.keys()];
    const victim = addresses[random.below(Math.max(1, addresses.length))] ?? 0;
    if (random.oneIn(2) && victim !== 0) {
      if (live.get(victim) === 'mixed') caches[which].free(victim);
      else if (random.oneIn(4)) heap.krealloc(victim, random.below(3000));
      else ends[which].kfree(victim);
    } else if (random.oneIn(3)) caches[which].alloc();
    else if (live.size < 300) ends[which].kmalloc(random.below(random.oneIn(9) ? 30_000 : 900));
  }
  const expected = heap
    .caches()
    .flatMap((cache) => [...cache.objects()])
    .sort((a, b) => a - b);
  const told = [...live].filter(([, cache]) => cache !== '').map(([address]) => address);
  assert.deepEqual(
    told.sort((a, b) => a - b),
    expected,
  );
  assertSound(heap);
});
