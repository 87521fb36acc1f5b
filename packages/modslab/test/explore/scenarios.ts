/**
 * What the explorer runs: for each scenario a small world, and for each CPU its operations. Slabs have four objects, a
 * frame 4 KiB, sheaves hold one or two objects: so four operations refill, flush, exchange with a barn, park a slab, and
 * release one.
 *
 * An operation that needs an object which nobody has any more, or a CPU that is not dead, does nothing.
 */

import { SLAB_SLOB } from '#src/slab/flags.js';
import { $quiet } from './shim.ts';
import type { Actor, Address, CacheSetup, SteppedCache, Steps, World, WorldSetup } from './world.ts';

export interface Operation {
  readonly text: string;
  run(actor: Actor): Steps<void>;
  /** Codes of errors that are an answer here. */
  readonly allowed?: readonly string[];
}

export interface Scenario {
  readonly name: string;
  readonly world?: Partial<Omit<WorldSetup, 'cpus'>>;
  readonly programs: readonly (readonly Operation[])[];
  readonly prepare?: (world: World) => void;
  /** What the living do in the end, while the dead are not yet reaped. */
  readonly goOn: readonly Operation[];
  /** Memory may run out: an allocation may return 0. */
  readonly mayFail?: boolean;
  /** Its space within two preemptions is small: explored in `npm test`, not only in the soak. */
  readonly small?: boolean;
  /** Takes minutes with a kill. */
  readonly long?: boolean;
  /** Kills that make sense: 2 where the reaper itself is to die. */
  readonly kills?: number;
  /** CPUs that are not killed. */
  readonly immortal?: readonly number[];
}

/** The one size class of kmalloc in these worlds. */
const SIZE = 1024;
/** More than a size class: two frames. */
const LARGE = 8192;

/** A heap that may grow so large that CPUs leave slabs and sheaves to each other (slab/affinity.ts). */
const ROOMY: Partial<WorldSetup> = { maxFrames: 256 };

const operation = (text: string, run: Operation['run'], allowed: readonly string[] = []): Operation => ({
  text,
  run,
  allowed,
});

/** Allocates by kmalloc. */
const alloc = (size: number = SIZE): Operation =>
  operation(`kmalloc(${size})`, function* (actor) {
    actor.taking = 1;
    actor.took(yield* actor.own.kmalloc(size));
  });

function* freeOf(owner: Actor, at: number, free: (address: Address) => Steps<void>): Steps<void> {
  const address = owner.held.at(at);
  if (address === undefined) return;
  owner.gives(address);
  yield* free(address);
}

/** Frees the object that this CPU got last (-1), or first (0). */
const free = (at = -1): Operation =>
  operation(`kfree(its ${at})`, function* (actor) {
    const address = actor.held.at(at);
    if (address === undefined) return;
    actor.giving = [address];
    yield* freeOf(actor, at, (object) => actor.own.kfree(object));
  });

/** Frees an object of another CPU. */
const cross = (owner: number, at = 0): Operation =>
  operation(`kfree(${at} of cpu ${owner})`, function* (actor) {
    const from = actor.world.actors[owner];
    const address = from.held.at(at);
    if (address === undefined) return;
    actor.giving = [address];
    yield* freeOf(from, at, (object) => actor.own.kfree(object));
  });

/** The large object that CPU 0 has had since the beginning, which more than one CPU frees. */
const contested: Operation = operation(
  'kfree(what others free too)',
  function* (actor) {
    const [first] = actor.world.actors;
    const address = actor.world.contested;
    actor.giving = [address];
    if (first.held.includes(address)) first.gives(address);
    yield* actor.own.kfree(address);
  },
  ['EDOUBLEFREE', 'EFAULT'],
);

const shrink: Operation = operation('shrink()', function* (actor) {
  yield* actor.own.shrink();
});

const allocBulk = (n: number): Operation =>
  operation(`kmallocBulk(${n})`, function* (actor) {
    const out = new Int32Array(n);
    actor.taking = n;
    const got = yield* actor.own.kmallocBulk(SIZE, out, n);
    for (let i = 0; i < got; i++) actor.took(out[i]);
  });

const freeBulk = (n: number): Operation =>
  operation(`kfreeBulk(${n})`, function* (actor) {
    const addresses = Int32Array.from(actor.held.slice(0, n));
    actor.giving = [...addresses];
    for (const address of addresses) actor.gives(address);
    yield* actor.own.kfreeBulk(addresses, addresses.length);
  });

const allocPages = (order: number): Operation =>
  operation(`allocPages(${order})`, function* (actor) {
    actor.taking = 1;
    actor.took(yield* actor.own.allocPages(order));
  });

const freePages = (order: number): Operation =>
  operation(`freePages(${order})`, function* (actor) {
    const address = actor.held.at(-1);
    if (address === undefined) return;
    actor.giving = [address];
    yield* freeOf(actor, -1, (object) => actor.own.freePages(object, order));
  });

const attach: Operation = operation('attach()', function* (actor) {
  if (actor.heap !== undefined) return;
  const heap = yield* actor.world.modules.attach(actor.world.handle);
  actor.attached(heap);
});

const detach: Operation = operation('detach()', function* (actor) {
  const { heap } = actor;
  if (heap === undefined) return;
  yield* heap.detach();
  actor.attached(undefined);
});

const reap = (victim: number): Operation =>
  operation(`reap(${victim})`, function* (actor) {
    const { dead, heap } = actor.world.actors[victim];
    if (!dead || heap === undefined) return;
    yield* actor.own.reap(heap.cpu);
  });

/** Errors of caches that others create and destroy. */
const GONE = ['EINVAL', 'EBUSY'];

const cacheOf = (actor: Actor, name: string): SteppedCache | undefined => actor.caches.get(name);

const create = (name: string, size: number = SIZE): Operation =>
  operation(
    `createCache('${name}')`,
    function* (actor) {
      actor.caches.set(name, yield* actor.own.createCache({ name, size }));
    },
    GONE,
  );

const open = (name: string): Operation =>
  operation(
    `cache('${name}')`,
    function* (actor) {
      actor.caches.set(name, yield* actor.own.cache(name));
    },
    GONE,
  );

const destroy = (name: string): Operation =>
  operation(
    `destroy('${name}')`,
    function* (actor) {
      yield* cacheOf(actor, name)?.destroy() ?? nothing();
    },
    GONE,
  );

function* nothing(): Steps<void> {}

const cacheAlloc = (name: string): Operation =>
  operation(
    `'${name}'.alloc()`,
    function* (actor) {
      const cache = cacheOf(actor, name);
      if (cache === undefined) return;
      actor.taking = 1;
      actor.took(yield* cache.alloc());
    },
    GONE,
  );

const cacheFree = (name: string): Operation =>
  operation(`'${name}'.free(its last)`, function* (actor) {
    const cache = cacheOf(actor, name);
    const address = actor.held.at(-1);
    if (cache === undefined || address === undefined) return;
    actor.giving = [address];
    yield* freeOf(actor, -1, (object) => cache.free(object));
  });

const cacheShrink = (name: string): Operation =>
  operation(
    `'${name}'.shrink()`,
    function* (actor) {
      yield* actor.named(name).shrink();
    },
    GONE,
  );

/** Its caches are found by their names, and work. */
const useCaches: Operation = operation('alloc() and free() of its caches', function* (actor) {
  for (const name of actor.caches.keys()) {
    const cache = yield* actor.own.cache(name);
    yield* cache.free(yield* cache.alloc());
  }
});

const prefill = (name: string, n: number): Operation =>
  operation(`'${name}'.prefill(${n})`, function* (actor) {
    actor.sheaves.push(yield* actor.named(name).prefill(n));
  });

const sheafAlloc: Operation = operation('sheaf.alloc()', function* (actor) {
  const sheaf = actor.sheaves.at(-1);
  if (sheaf === undefined || sheaf.size === 0) return;
  actor.taking = 1;
  actor.took(yield* sheaf.alloc());
});

const sheafRelease: Operation = operation('sheaf.release()', function* (actor) {
  const sheaf = actor.sheaves.pop();
  if (sheaf !== undefined) yield* sheaf.release();
});

/** Runs operations of one CPU to their end, for a world's beginning. */
function doNow(world: World, cpu: number, operations: readonly Operation[]): void {
  for (const each of operations) {
    $quiet(each.run(world.actors[cpu]));
    world.actors[cpu].taking = 0;
    world.actors[cpu].giving = [];
  }
}

const times = (n: number, each: Operation): Operation[] => Array.from({ length: n }, () => each);

/** CPUs 0 … n - 1 take `each` objects, one after another, so that they lie in the same slabs. */
function dealOut(world: World, cpus: number, each: number): void {
  for (let round = 0; round < each; round++) {
    for (let cpu = 0; cpu < cpus; cpu++) doNow(world, cpu, [alloc()]);
  }
}

const goOn: readonly Operation[] = [alloc(), alloc(), alloc(), free(), free(), free()];
/** Two caches in pages that caches share, of 64 granules; their objects have two and five. */
const SHARED: readonly CacheSetup[] = [
  { name: 'short', size: 16, capacity: 1, flags: SLAB_SLOB },
  { name: 'long', size: 40, capacity: 1, flags: SLAB_SLOB },
];
const SHARED_WORLD = { pageShift: 9, size: 256, caches: SHARED };
const goOnSharing: readonly Operation[] = [
  cacheAlloc('short'),
  cacheAlloc('long'),
  cacheFree('long'),
  cacheFree('short'),
];
const SMALL: CacheSetup = { name: 'other', size: SIZE, capacity: 1 };

/** Two CPUs, four operations each; three CPUs, three operations each. */
export const scenarios: readonly Scenario[] = [
  {
    name: 'two refill from one slab, free and go on',
    small: true,
    programs: [
      [alloc(), alloc(), alloc(), free()],
      [alloc(), free(), alloc(), alloc()],
    ],
    goOn,
  },
  {
    name: 'two flush into the same slabs',
    world: { capacity: 1 },
    prepare: (world) => dealOut(world, 2, 4),
    programs: [
      [free(), free(), shrink, alloc()],
      [free(), free(), free(), shrink],
    ],
    goOn,
  },
  {
    name: 'a refill meets a flush into the same slab',
    small: true,
    world: { capacity: 1 },
    prepare: (world) => dealOut(world, 2, 3),
    programs: [
      [free(0), shrink, alloc(), free()],
      [alloc(), alloc(), free(0), alloc()],
    ],
    goOn,
  },
  {
    name: 'objects freed by another CPU than had them',
    small: true,
    world: { capacity: 1 },
    prepare: (world) => dealOut(world, 2, 3),
    programs: [
      [cross(1), cross(1), shrink, alloc()],
      [cross(0), alloc(), cross(0), shrink],
    ],
    goOn,
  },
  {
    name: 'sheaves through the barn',
    small: true,
    world: { capacity: 1 },
    prepare: (world) => dealOut(world, 2, 4),
    programs: [
      [free(), free(), free(), alloc()],
      [alloc(), alloc(), alloc(), free()],
    ],
    goOn,
  },
  {
    name: 'two exchange with the barn in both directions',
    small: true,
    world: { capacity: 1 },
    prepare: (world) => {
      dealOut(world, 2, 4);
      doNow(world, 0, times(3, free()));
    },
    programs: [
      [free(), alloc(), alloc(), alloc()],
      [free(), free(), free(), free()],
    ],
    goOn,
  },
  {
    name: 'slabs are left to the CPU that uses them',
    small: true,
    world: { capacity: 1, ...ROOMY },
    prepare: (world) => dealOut(world, 2, 4),
    programs: [
      [free(), free(), shrink, alloc()],
      [alloc(), free(0), alloc(), alloc()],
    ],
    goOn,
  },
  {
    name: 'sheaves that another CPU has filled come home',
    small: true,
    world: { capacity: 1, ...ROOMY },
    prepare: (world) => dealOut(world, 2, 4),
    programs: [
      [cross(1), cross(1), cross(1), alloc()],
      [alloc(), alloc(), free(0), alloc()],
    ],
    goOn,
  },
  {
    name: 'the last objects of a slab come home',
    world: { capacity: 2 },
    prepare: (world) => dealOut(world, 2, 2),
    programs: [
      [free(), free(), shrink, alloc()],
      [free(), free(), shrink, alloc()],
    ],
    goOn,
  },
  {
    name: 'a parked slab is wanted by two',
    small: true,
    world: { capacity: 1 },
    prepare: (world) => {
      dealOut(world, 2, 2);
      // CPU 0 parks the slab: its last objects come home without a shrink of what is parked.
      doNow(world, 0, [free(), free()]);
      doNow(world, 1, [free(), free(), detach, attach]);
    },
    programs: [
      [alloc(), alloc(), shrink, alloc()],
      [alloc(), shrink, alloc(), free()],
    ],
    goOn,
  },
  {
    name: 'large objects',
    world: { frames: 10 },
    programs: [
      [alloc(LARGE), free(), alloc(LARGE), alloc()],
      [alloc(LARGE), alloc(), free(0), free()],
    ],
    goOn,
  },
  {
    name: 'pages of several orders',
    world: { frames: 10 },
    programs: [
      [allocPages(1), freePages(1), allocPages(0), freePages(0)],
      [allocPages(0), allocPages(1), freePages(1), alloc()],
    ],
    goOn,
  },
  {
    name: 'growth',
    small: true,
    world: { frames: 3, maxFrames: 12 },
    programs: [
      [alloc(LARGE), alloc(), free(0), alloc(LARGE)],
      [alloc(LARGE), free(), alloc(), free()],
    ],
    goOn,
  },
  {
    name: 'growth by two, of which one needs much more',
    small: true,
    world: { frames: 3, maxFrames: 40 },
    prepare: (world) => doNow(world, 1, [alloc(LARGE)]),
    programs: [[alloc(LARGE)], [alloc(8 * LARGE), free(0)]],
    goOn,
  },
  {
    name: 'the last frames, fought for',
    world: { frames: 4 },
    mayFail: true,
    programs: [
      [alloc(LARGE), free(), alloc(), free()],
      [alloc(), free(), alloc(LARGE), free()],
    ],
    goOn: [alloc(), free()],
  },
  {
    name: 'a barn is filled while its cache is destroyed',
    small: true,
    world: { caches: [SMALL] },
    prepare: (world) => doNow(world, 1, [...times(4, cacheAlloc('other')), ...times(4, cacheFree('other'))]),
    programs: [[destroy('other')], [...times(4, cacheAlloc('other')), ...times(4, free())]],
    goOn,
  },
  {
    name: 'a large object freed by two at once',
    small: true,
    prepare: (world) => {
      doNow(world, 0, [alloc(LARGE)]);
      world.contested = world.actors[0].held[0];
    },
    programs: [[contested], [contested]],
    goOn: [alloc(LARGE), free()],
  },
  {
    name: 'two caches created at once',
    small: true,
    programs: [[create('first')], [create('second')]],
    goOn: [useCaches],
  },
  {
    name: 'one name for the caches of two',
    small: true,
    programs: [[create('new')], [create('new')]],
    goOn: [useCaches],
  },
  {
    name: 'caches of one name created by two',
    programs: [
      [create('new'), cacheAlloc('new'), cacheFree('new'), destroy('new')],
      [create('new'), open('new'), cacheAlloc('new'), cacheFree('new')],
    ],
    goOn,
  },
  {
    name: 'a cache destroyed under another CPU',
    world: { caches: [SMALL] },
    prepare: (world) => {
      doNow(world, 1, [cacheAlloc('other'), cacheAlloc('other'), cacheFree('other'), cacheFree('other')]);
    },
    programs: [
      [destroy('other'), create('next'), cacheAlloc('next'), cacheFree('next')],
      [cacheAlloc('other'), cacheFree('other'), cacheShrink('other'), alloc()],
    ],
    goOn,
  },
  {
    name: 'attach and detach',
    world: { capacity: 1, detached: [0] },
    prepare: (world) => {
      doNow(world, 1, times(4, alloc()));
    },
    programs: [
      [attach, alloc(), cross(1), detach],
      [free(), detach, attach, alloc()],
    ],
    goOn,
  },
  {
    name: 'a bulk free beside a refill',
    small: true,
    world: { capacity: 1 },
    prepare: (world) => dealOut(world, 2, 3),
    programs: [
      [freeBulk(3), allocBulk(2), freeBulk(2), alloc()],
      [alloc(), freeBulk(2), shrink, alloc()],
    ],
    goOn,
  },
  {
    name: 'constructors',
    world: { caches: [{ name: 'other', size: SIZE, capacity: 1, ctor: () => undefined }] },
    programs: [
      [cacheAlloc('other'), cacheFree('other'), cacheShrink('other'), cacheAlloc('other')],
      [cacheAlloc('other'), cacheAlloc('other'), cacheFree('other'), cacheShrink('other')],
    ],
    goOn,
  },
  {
    name: 'templates',
    world: { caches: [{ name: 'other', size: SIZE, capacity: 1, ctor: Uint8Array.of(1, 2, 3) }] },
    programs: [
      [cacheAlloc('other'), cacheFree('other'), cacheShrink('other'), cacheAlloc('other')],
      [cacheAlloc('other'), cacheAlloc('other'), cacheFree('other'), cacheShrink('other')],
    ],
    goOn,
  },
  {
    name: 'pages that caches share',
    world: SHARED_WORLD,
    prepare: (world) => {
      for (const cpu of [0, 1]) doNow(world, cpu, [cacheAlloc('short'), cacheAlloc('long')]);
    },
    programs: [
      [cacheFree('long'), cacheAlloc('short'), cacheFree('short')],
      [cacheFree('long'), cacheFree('short'), cacheAlloc('long')],
    ],
    goOn: goOnSharing,
  },
  {
    name: 'the last objects of a page that caches share come home',
    world: SHARED_WORLD,
    prepare: (world) => {
      for (const cpu of [0, 1]) doNow(world, cpu, [cacheAlloc('long')]);
    },
    programs: [
      [cacheFree('long'), cacheAlloc('short')],
      [cacheFree('long'), cacheShrink('long'), cacheAlloc('long')],
    ],
    goOn: goOnSharing,
  },
  {
    name: 'objects set aside',
    small: true,
    world: { caches: [{ name: 'other', size: SIZE, capacity: 2 }] },
    programs: [
      [prefill('other', 3), sheafAlloc, sheafRelease, cacheFree('other')],
      [prefill('other', 2), sheafAlloc, sheafAlloc, cacheAlloc('other')],
    ],
    goOn,
  },
  {
    name: 'a dead CPU reaped while another works',
    small: true,
    world: { capacity: 1 },
    prepare: (world) => dealOut(world, 3, 2),
    programs: [
      [free(), shrink, alloc()],
      [alloc(), reap(0), alloc()],
      [cross(0), free(), alloc()],
    ],
    immortal: [1],
    goOn,
  },
  {
    name: 'a reaper dies',
    small: true,
    world: { capacity: 1 },
    prepare: (world) => dealOut(world, 3, 2),
    programs: [
      [free(), shrink, alloc()],
      [reap(0), alloc(), free()],
      [free(), reap(1), alloc()],
    ],
    kills: 2,
    immortal: [2],
    goOn,
  },
  {
    name: 'a dead CPU reaped by two at once',
    small: true,
    world: { capacity: 1 },
    prepare: (world) => dealOut(world, 3, 2),
    programs: [
      [cross(1), shrink, alloc()],
      [reap(0), alloc(), free()],
      [reap(0), free(), alloc()],
    ],
    goOn,
  },
  {
    name: 'three refill, free and flush',
    world: { capacity: 1 },
    prepare: (world) => dealOut(world, 3, 1),
    programs: [
      [alloc(), free(0), shrink],
      [free(), alloc(), free()],
      [alloc(), cross(0), alloc()],
    ],
    goOn,
  },
  {
    name: 'create, destroy and reap',
    world: { caches: [SMALL] },
    prepare: (world) => doNow(world, 1, [cacheAlloc('other'), cacheFree('other')]),
    programs: [
      [destroy('other'), create('next'), cacheAlloc('next')],
      [reap(0), cacheAlloc('other'), cacheFree('other')],
      [create('next'), open('other'), cacheAlloc('other')],
    ],
    goOn,
  },
  {
    name: 'growth, large objects and reap',
    long: true,
    world: { frames: 4, maxFrames: 14 },
    programs: [
      [alloc(LARGE), free(), alloc()],
      [alloc(), reap(0), alloc(LARGE)],
      [alloc(LARGE), alloc(), free(0)],
    ],
    goOn,
  },
  {
    name: 'attach, detach and reap',
    world: { capacity: 1, detached: [2] },
    prepare: (world) => dealOut(world, 2, 2),
    programs: [
      [free(), shrink, detach],
      [reap(0), alloc(), detach],
      [attach, cross(0), alloc()],
    ],
    goOn,
  },
];
