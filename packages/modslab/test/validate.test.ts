// validate(): silent on sound heaps; every corruption of the metadata that it knows is reported; it never throws.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Heap, type Problem } from 'modslab';
import { clearBit, setBit } from '#src/memory/bitmap.js';
import { entryOf } from '#src/memory/entry.js';
import * as L from '#src/memory/layout.js';
import * as P from '#src/page/page.js';
import { CACHE_CREATING, firstStateAt, stateAt } from '#src/slab/cacheTable.js';
import { IN_BARN } from '#src/slab/sheaves.js';
import { assertSound, smallHeap } from './support/heap.js';
import { internalsOf } from './support/internals.js';

/** Words from one object of a sheaf to the next; also those before the first. */
const ENTRY: number = 1 << L.PAIR_SHIFT;

interface Scene {
  heap: Heap;
  m: Int32Array;
  s: Uint8Array;
  layout: L.Layout;
  /** Cache number of the cache 'victim' (512 bytes, 8 objects a slab); its frames by state. */
  id: number;
  /** Word offset of its descriptor. */
  cache: number;
  /** A slab with live, cached and free objects. */
  partial: number;
  /** A slab without free objects. */
  full: number;
  parked: number;
  /** First frame of a large object of 4 frames. */
  large: number;
  /** A frame that is free. */
  free: number;
  /** Word offset of this CPU's main sheaf of the cache. */
  sheaf: number;
  /** The place below its first object; it holds some. */
  main: number;
  page(pfn: number): number;
}

/** Makes a slab of the cache empty, so that it is kept. */
function park(heap: Heap, cache: number): void {
  const { slabifier } = internalsOf(heap);
  const addresses = Array.from({ length: 200 }, () => slabifier.alloc(cache, 0));
  for (const address of addresses) slabifier.free(cache, address);
}

/** A small heap in which every structure has something in it. */
function scene(): Scene {
  const heap = smallHeap();
  const { metadata } = internalsOf(heap);
  const { m, s, layout } = metadata;
  const victim = heap.createCache({ name: 'victim', size: 512 });
  const addresses = Array.from({ length: 8 * 64 }, () => victim.alloc()).sort((a, b) => a - b);
  // Of 64 slabs, 8 stay full, 24 keep one object, 32 become empty; then sheaves and the barn get some of the rest.
  for (const [i, address] of addresses.entries())
    if (i >= 64 && (i % 8 !== 0 || i >= 256)) victim.free(address);
  victim.shrink();
  const more = Array.from({ length: 28 * 5 }, () => victim.alloc());
  for (const address of more) victim.free(address);
  for (let i = 0; i < 10; i++) victim.alloc();
  park(heap, victim.id);
  const large = heap.kmalloc(4 * heap.pageSize) / heap.pageSize;
  const id = victim.id;
  const cache = L.cacheAt(layout, id);
  const page = (pfn: number): number => L.pageAt(layout, pfn);
  const find = (what: string, test: (pfn: number) => boolean): number => {
    for (let pfn = layout.startFrame; pfn < m[L.H_FRAMES]; pfn++) if (test(pfn)) return pfn;
    assert.fail(`the scene has no ${what}`);
  };
  const isSlab = (pfn: number): boolean => m[page(pfn) + P.PAGE_FLAGS] === P.flagsOf(P.KIND_SLAB, id);
  const claimOf = (pfn: number): number => m[page(pfn) + P.PAGE_CLAIM];
  const countOf = (pfn: number): number => claimOf(pfn) & P.COUNT_MASK;
  const hasLive = (pfn: number): boolean =>
    s.subarray(firstStateAt(m, cache, pfn), firstStateAt(m, cache, pfn) + 8).includes(P.LIVE);
  const isParked = (pfn: number): boolean => P.ownerOf(claimOf(pfn)) === P.OWNER_PARKED;
  const parked = find('parked slab', (pfn) => isSlab(pfn) && isParked(pfn));
  const partial = find(
    'partial slab',
    (pfn) => isSlab(pfn) && !isParked(pfn) && countOf(pfn) > 0 && hasLive(pfn),
  );
  const full = find('full slab', (pfn) => isSlab(pfn) && countOf(pfn) === 0 && hasLive(pfn));
  const free = find('free frame', (pfn) => claimOf(pfn) === 0);
  const sheaves = L.sheavesAt(layout, id);
  const bottomOf = (sheaf: number): number => sheaf + L.SHEAF_TOP - m[cache + L.C_CAPACITY] * ENTRY;
  const owned = Array.from({ length: layout.sheavesPerCache }, (_, i) => sheaves + i * L.SHEAF_WORDS).find(
    (sheaf) => m[sheaf] === 1 && m[bottomOf(sheaf) + ENTRY] !== 0,
  );
  assert.ok(owned, 'the scene has a sheaf with objects');
  assertSound(heap);
  return {
    heap,
    m,
    s,
    layout,
    id,
    cache,
    partial,
    full,
    parked,
    large,
    free,
    sheaf: owned,
    main: bottomOf(owned),
    page,
  };
}

const codesOf = (problems: Problem[]): string[] => [...new Set(problems.map(({ code }) => code))].sort();

/** Frees the state byte of a slab's object. */
const stateOf = ({ m, cache }: Scene, pfn: number, index: number): number =>
  firstStateAt(m, cache, pfn) + index;

function indexWithState(it: Scene, pfn: number, state: number): number {
  for (let index = 0; index < 8; index++) if (it.s[stateOf(it, pfn, index)] === state) return index;
  assert.fail(`no object in state ${state}`);
}

const barnBit = ({ layout, id }: Scene): [number, number] => [
  L.barnAt(layout, id, 0),
  layout.sheavesPerCache,
];

function sheafWithOwner({ m, layout, id }: Scene, owner: number): { sheaf: number; number: number } {
  for (let number = 0; number < layout.sheavesPerCache; number++) {
    const sheaf = L.sheavesAt(layout, id) + number * L.SHEAF_WORDS;
    if (m[sheaf] === owner) return { sheaf, number };
  }
  assert.fail(`no sheaf of owner ${owner}`);
}

function put(words: Int32Array | Uint8Array, at: number, value: number): void {
  words[at] = value;
}

const CORRUPTIONS: [string, string, (it: Scene) => void][] = [
  ['EHEADER', 'the magic number is gone', ({ m }) => put(m, L.H_MAGIC, 1)],
  ['EHEADER', 'the version is another', ({ m }) => put(m, L.H_VERSION, m[L.H_VERSION] + 1)],
  ['EHEADER', 'a cache descriptor is where none was taken', ({ m }) => put(m, L.H_CACHES_TAKEN, 3)],
  ['EHEADER', 'the heap ends before it begins', ({ m }) => put(m, L.H_FRAMES, 0)],
  [
    'EHEADER',
    'the heap ends where there is no memory',
    ({ m, layout }) => put(m, L.H_FRAMES, layout.maxFrames),
  ],
  [
    'EHEADER',
    'the heap ends behind its largest end',
    ({ m, layout }) => put(m, L.H_FRAMES, layout.maxFrames + 1),
  ],
  ['EFRAME', 'a free frame has no free bit', ({ m, layout, free }) => clearBit(m, layout.freeBitmap, free)],
  ['EFRAME', 'a used frame has a free bit', ({ m, layout, full }) => setBit(m, layout.freeBitmap, full)],
  [
    'EFRAME',
    'a free frame has a kind',
    ({ m, page, free }) => put(m, page(free) + P.PAGE_FLAGS, P.KIND_LARGE),
  ],
  [
    'EFRAME',
    'a used frame has no kind',
    ({ m, page, full }) => put(m, page(full) + P.PAGE_FLAGS, P.KIND_NONE),
  ],
  [
    'EFRAME',
    'a frame is held by a CPU that is offline',
    ({ m, page, partial }) =>
      put(m, page(partial) + P.PAGE_CLAIM, m[page(partial) + P.PAGE_CLAIM] | P.ownerBits(5)),
  ],
  [
    'ERUN',
    'a large object is not LIVE',
    ({ m, page, large }) => put(m, page(large) + P.PAGE_CLAIM, P.CLAIM_USED),
  ],
  ['ERUN', 'a run has no frames', ({ m, page, large }) => put(m, page(large) + P.PAGE_RUN, 0)],
  ['ERUN', 'a run is shorter than its tails', ({ m, page, large }) => put(m, page(large) + P.PAGE_RUN, 3)],
  ['ERUN', 'a run is longer than its tails', ({ m, page, large }) => put(m, page(large) + P.PAGE_RUN, 5)],
  [
    'ERUN',
    'a tail names another head',
    ({ m, page, large, full }) => put(m, page(large + 2) + P.PAGE_HEAD, full),
  ],
  ['ERUN', 'a tail names itself', ({ m, page, large }) => put(m, page(large + 1) + P.PAGE_HEAD, large + 1)],
  [
    'ERUN',
    'a tail has a count',
    ({ m, page, large }) => put(m, page(large + 1) + P.PAGE_CLAIM, m[page(large + 1) + P.PAGE_CLAIM] + 1),
  ],
  [
    'ESLAB',
    'a slab is LIVE',
    ({ m, page, full }) => put(m, page(full) + P.PAGE_CLAIM, m[page(full) + P.PAGE_CLAIM] | P.CLAIM_LIVE),
  ],
  ['ESLAB', 'a state means nothing', (it) => put(it.s, stateOf(it, it.full, 3), 77)],
  [
    'ESLAB',
    'the first-free hint is behind a free object',
    (it) => put(it.m, it.page(it.partial) + P.PAGE_FIRST_FREE, 8),
  ],
  [
    'EPARTIAL',
    'a partial slab is not listed',
    (it) => clearBit(it.m, L.partialAt(it.layout, it.id), it.partial),
  ],
  ['EPARTIAL', 'a full slab is listed', (it) => setBit(it.m, L.partialAt(it.layout, it.id), it.full)],
  ['EPARTIAL', 'a parked slab is listed', (it) => setBit(it.m, L.partialAt(it.layout, it.id), it.parked)],
  ['EPARTIAL', 'a free frame is listed', (it) => setBit(it.m, L.partialAt(it.layout, it.id), it.free)],
  ['EPARTIAL', "another cache's slab is listed", (it) => setBit(it.m, L.partialAt(it.layout, 3), it.full)],
  [
    'EPARKED',
    'no slot names a parked slab',
    (it) => it.m.fill(0, it.cache + L.C_PARKED, it.cache + L.C_PARKED + 10),
  ],
  ['EPARKED', 'a slot names a slab in use', (it) => put(it.m, it.cache + L.C_PARKED + 9, it.full)],
  ['EPARKED', 'two slots name a slab', (it) => put(it.m, it.cache + L.C_PARKED + 9, it.parked)],
  ['EPARKED', 'a slot names a free frame', (it) => put(it.m, it.cache + L.C_PARKED + 9, it.free)],
  [
    'EPARKED',
    'a parked slab has an object in use',
    (it) => {
      it.s[stateOf(it, it.parked, 0)] = P.LIVE;
      it.m[it.page(it.parked) + P.PAGE_CLAIM]--;
    },
  ],
  [
    'ECOUNT',
    'a slab counts one too many',
    ({ m, page, partial }) => put(m, page(partial) + P.PAGE_CLAIM, m[page(partial) + P.PAGE_CLAIM] + 1),
  ],
  [
    'ECOUNT',
    'a slab counts one too few',
    ({ m, page, partial }) => put(m, page(partial) + P.PAGE_CLAIM, m[page(partial) + P.PAGE_CLAIM] - 1),
  ],
  [
    'ECOUNT',
    'a parked slab counts one too few',
    ({ m, page, parked }) => put(m, page(parked) + P.PAGE_CLAIM, m[page(parked) + P.PAGE_CLAIM] - 1),
  ],
  [
    'ECOUNT',
    'a live object became free behind the count',
    (it) => put(it.s, stateOf(it, it.partial, indexWithState(it, it.partial, P.LIVE)), P.FREE),
  ],
  [
    'ECOUNT',
    'an object is lost: cached, but in no sheaf',
    (it) => {
      const index = indexWithState(it, it.full, P.LIVE);
      it.s[stateOf(it, it.full, index)] = P.CACHED;
    },
  ],
  ['ECOUNT', 'a sheaf has lost an entry', (it) => put(it.m, it.main + ENTRY, 0)],
  [
    'ESHEAF',
    "nobody's sheaf holds an object",
    (it) => put(it.m, sheafWithOwner(it, 0).sheaf + ENTRY, it.m[it.main + ENTRY]),
  ],
  [
    'ESHEAF',
    'an object stands in a sheaf twice',
    (it) => put(it.m, it.main + 2 * ENTRY, it.m[it.main + ENTRY]),
  ],
  [
    'ESHEAF',
    'an object in a sheaf is live',
    (it) => put(it.s, stateAt(it.m, it.cache, it.m[it.main + ENTRY]), P.LIVE),
  ],
  [
    'ESHEAF',
    'an object in a sheaf is free',
    (it) => put(it.s, stateAt(it.m, it.cache, it.m[it.main + ENTRY]), P.FREE),
  ],
  ['ESHEAF', 'an entry lies in no slab', (it) => put(it.m, it.main + ENTRY, entryOf(it.free * 4096))],
  ['ESHEAF', 'an entry lies in a large object', (it) => put(it.m, it.main + ENTRY, entryOf(it.large * 4096))],
  ['ESHEAF', 'a sheaf belongs to a CPU that is offline', (it) => put(it.m, it.sheaf, 6)],
  ['ESHEAF', 'a sheaf belongs to no CPU at all', (it) => put(it.m, it.sheaf, 1000)],
  [
    'EBARN',
    "nobody's sheaf is named by a barn",
    (it) => setBit(it.m, barnBit(it)[0], sheafWithOwner(it, 0).number),
  ],
  [
    'EBARN',
    'a sheaf in a barn is not named by it',
    (it) => clearBit(it.m, barnBit(it)[0], sheafWithOwner(it, IN_BARN).number),
  ],
  [
    'EBARN',
    'a sheaf in a barn is not full',
    (it) => put(it.m, sheafWithOwner(it, IN_BARN).sheaf + L.SHEAF_TOP, 0),
  ],
  [
    'ECPU',
    'an idle CPU names a run',
    ({ m, layout, full }) => put(m, L.cpuAt(layout, 0) + L.CPU_RUN_HEAD, full),
  ],
  [
    'ECPU',
    'an idle CPU names a pending object',
    (it) => put(it.m, L.cpuAt(it.layout, 0) + L.CPU_PENDING_ENTRY, 600),
  ],
  [
    'ECPU',
    'an offline CPU has objects',
    (it) => put(it.m, L.cpuAt(it.layout, 5) + L.CPU_SCRATCH + L.SCRATCH_CAPACITY * ENTRY, 600),
  ],
];

for (const [code, what, corrupt] of CORRUPTIONS) {
  test(`${code}: ${what}`, () => {
    const it = scene();
    corrupt(it);
    const codes = codesOf(it.heap.validate());
    assert.ok(codes.includes(code), `reported: ${codes.join(' ') || 'nothing'}`);
  });
}

/** Words of a cache descriptor that follow from its size and alignment. */
const DESCRIPTOR_WORDS: [string, number][] = [
  ['size', L.C_SIZE],
  ['stride', L.C_STRIDE],
  ['frames', L.C_FRAMES],
  ['objects', L.C_OBJECTS],
  ['reciprocal', L.C_RECIPROCAL],
  ["reciprocal's shift", L.C_RECIPROCAL_SHIFT],
  ['states', L.C_STATES],
  ["states' shift", L.C_STATE_SHIFT],
  ['granules', L.C_GRANULES],
  ["slab's shift", L.C_SLAB_SHIFT],
  ['offset mask', L.C_OFFSET_MASK],
  ['capacity', L.C_CAPACITY],
  ['order', L.C_ORDER],
];

for (const [what, word] of DESCRIPTOR_WORDS) {
  test(`ECACHEDESC: the ${what} of a descriptor contradicts the rest`, () => {
    // A cache without slabs, so that nothing else goes wrong with it.
    const heap = smallHeap();
    const { id } = heap.createCache({ name: 'victim', size: 500, align: 64 });
    const { m, layout } = internalsOf(heap).metadata;
    m[L.cacheAt(layout, id) + word] += word === L.C_SIZE ? 64 : 1;
    const problems = heap.validate();
    assert.deepEqual(codesOf(problems), ['ECACHEDESC']);
    assert.equal(problems[0].cache, 'victim');
  });
}

test('ECACHEDESC: a descriptor is being made by nobody', () => {
  const heap = smallHeap();
  const { m, layout } = internalsOf(heap).metadata;
  const { id } = heap.createCache({ name: 'begun', size: 100 });
  put(m, L.cacheAt(layout, id) + L.C_STATE, CACHE_CREATING | (5 << 4));
  assert.deepEqual(codesOf(heap.validate()), ['ECACHEDESC']);
});

test('ECACHEDESC: two caches have one name', () => {
  const heap = smallHeap();
  const [first, second] = ['one', 'two'].map((name) => heap.createCache({ name, size: 100 }).id);
  const { m, layout } = internalsOf(heap).metadata;
  const [from, to] = [first, second].map((id) => L.cacheAt(layout, id) + L.C_NAME);
  m.copyWithin(to, from, from + L.NAME_BYTES / 4);
  // Another thread's handle, which has not read the names yet.
  const problems = Heap.attach(heap.handle).validate();
  assert.deepEqual(codesOf(problems), ['ECACHEDESC']);
  assert.equal(problems[0].cache, 'one');
});

test('a problem says where: a message, and the address and cache that it is about', () => {
  const it = scene();
  it.s[stateOf(it, it.full, 3)] = 77;
  const [problem] = it.heap.validate();
  assert.deepEqual([problem.code, problem.cache, problem.address], ['ESLAB', 'victim', it.full * 4096]);
  assert.match(problem.message, /object 3 .*77/);
});

test('the count of used frames is checked against the bitmap', () => {
  const it = scene();
  it.m[L.cpuAt(it.layout, it.heap.cpu) + L.CPU_FRAMES] += 3;
  assert.deepEqual(codesOf(it.heap.validate()), ['ECOUNT']);
});

for (const [what, word] of [
  ['base', P.PAGE_BASE],
  ['reciprocal', P.PAGE_RECIPROCAL],
  ['stride', P.PAGE_STRIDE],
  ['states', P.PAGE_STATES],
] as const) {
  test(`ESLAB: the ${what} that a page descriptor holds for frees is not its slab's`, () => {
    const it = scene();
    it.m[it.page(it.full) + word] += 8;
    assert.ok(codesOf(it.heap.validate()).includes('ESLAB'));
  });
}

test('ESHEAF: the state that a sheaf holds beside an entry is not the state of its object', () => {
  const it = scene();
  it.m[it.main + ENTRY + 1]++;
  assert.ok(codesOf(it.heap.validate()).includes('ESHEAF'));
});

test('a slab tail that names another cache is reported', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'several frames', size: 1500 });
  const address = cache.alloc();
  const { m, layout } = internalsOf(heap).metadata;
  const tail = L.pageAt(layout, address / 4096 + 1);
  assert.equal(P.kindOf(m[tail + P.PAGE_FLAGS]), P.KIND_SLAB_TAIL);
  m[tail + P.PAGE_FLAGS] = P.flagsOf(P.KIND_SLAB_TAIL, 3);
  assert.notDeepEqual(heap.validate(), []);
});

test('a sound heap is sound at any moment of its life, and looking changes nothing', () => {
  const heap = smallHeap();
  assertSound(heap);
  const cache = heap.createCache({ name: 'life', size: 700 });
  const live: number[] = [];
  for (let round = 0; round < 30; round++) {
    for (let i = 0; i < 25; i++)
      live.push(round % 3 === 0 ? cache.alloc() : heap.kmalloc((round * 37 * i) % 9000));
    const before = [heap.slabinfo(), heap.meminfo(), heap.buddyinfo()];
    assertSound(heap);
    assert.deepEqual([heap.slabinfo(), heap.meminfo(), heap.buddyinfo()], before);
    while (live.length > 100) heap.kfree(live.splice((round * 7) % live.length, 1)[0]);
  }
  for (const address of live) heap.kfree(address);
  assertSound(heap);
  cache.destroy();
  heap.shrink();
  assertSound(heap);
});

test('with other CPUs attached, and after they have left or were reaped, a sound heap stays sound', () => {
  const heap = smallHeap();
  const others = [Heap.attach(heap.handle), Heap.attach(heap.handle), Heap.attach(heap.handle)];
  for (const other of others) for (let i = 0; i < 200; i++) other.kfree(heap.kmalloc(100 + i));
  for (const each of [heap, ...others]) assertSound(each);
  others[0].detach();
  assertSound(heap);
  heap.reap(2);
  assertSound(heap);
});

test('a thread that comes and works while the objects are counted is not taken for damage', () => {
  const heap = smallHeap();
  const { table } = internalsOf(heap).slabifier;
  const ready = table.ready.bind(table);
  let calls = 0;
  for (let when = 0; when < 5; when++) {
    let visitor: Heap | undefined;
    calls = 0;
    // What each walk over the caches begins with; the last one follows on the count of all objects.
    table.ready = () => {
      if (calls++ !== when) return ready();
      visitor = Heap.attach(heap.handle);
      visitor.kfree(visitor.kmalloc(512));
      return ready();
    };
    assertSound(heap);
    visitor?.detach();
  }
  assert.equal(calls, 5);
  table.ready = ready;
  assertSound(heap);
});

test('a detached heap has one problem, ESHUTDOWN', () => {
  const heap = smallHeap();
  heap.detach();
  assert.deepEqual(
    heap.validate().map(({ code }) => code),
    ['ESHUTDOWN'],
  );
});

test('no more than a hundred problems or so are listed', () => {
  const it = scene();
  it.m.fill(0x5a5a5a5a, it.page(it.layout.startFrame), it.page(200));
  const { length } = it.heap.validate();
  assert.ok(length > 0 && length <= 101);
});

test('validate ends soon, however far the heap is said to reach', () => {
  const { heap, m } = scene();
  m[L.H_FRAMES] = 0x200000;
  assert.ok(codesOf(heap.validate()).includes('EHEADER'));
});

test('validate never throws, whatever word of the metadata is overwritten with whatever value', () => {
  let seed = 12345;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const values = [0, -1, 1, 0x7fff, 0x10001, 0x2000001, -0x80000000];
  const it = scene();
  const { m, layout } = it;
  const sections = [
    [L.cpuAt(layout, 0), L.cpuAt(layout, 8)],
    [L.cacheAt(layout, 1), L.cacheAt(layout, it.id + 1)],
    [it.page(1), it.page(120)],
    [layout.freeBitmap, layout.freeBitmap + 8],
    [L.partialAt(layout, it.id), L.partialAt(layout, it.id) + 8],
    [L.sheavesAt(layout, it.id), L.sheavesAt(layout, it.id + 1)],
    [L.barnAt(layout, it.id, 0), L.barnAt(layout, it.id + 1, 0)],
    [layout.stateRegions[3] / 4, layout.stateRegions[4] / 4],
  ];
  const copies = sections.map(([from, end]) => m.slice(from, end));
  for (let round = 0; round < 64; round++) {
    const [from, end] = sections[round % sections.length];
    m[from + random(end - from)] = values[random(values.length)];
    assert.ok(Array.isArray(it.heap.validate()));
    for (const [i, copy] of copies.entries()) m.set(copy, sections[i][0]);
  }
  assertSound(it.heap);
});

test('a descriptor that becomes another cache’s while it is looked at is not taken for damage', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'gone', size: 200 });
  const { metadata, slabifier } = internalsOf(heap);
  const { m, layout } = metadata;
  const id = slabifier.table.find('gone');
  cache.destroy();
  // What its next creator has done so far: claimed, and not all written.
  const at = L.cacheAt(layout, id);
  put(m, at, (m[at] & ~0xffff) | (1 << 4) | CACHE_CREATING);
  put(m, at + L.C_STRIDE, 48);
  put(m, at + L.C_SIZE, 40);
  const table = slabifier.table as { ready(): number[] };
  const { ready } = table;
  table.ready = () => [...ready.call(table), id];
  try {
    assertSound(heap);
  } finally {
    table.ready = ready;
  }
});
