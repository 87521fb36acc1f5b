// The metadata's layout: sections that never overlap, whatever the geometry, and the arithmetic of nodes.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import {
  barnAt,
  CACHE_COUNTERS_WORDS,
  CACHE_WORDS,
  CPU_WORDS,
  cacheAt,
  cpuAt,
  type Geometry,
  HEADER_WORDS,
  type Layout,
  LINE_WORDS,
  layoutOf,
  nodeOf,
  nodeStart,
  PAGE_WORDS,
  pageAt,
  partialAt,
  SHEAF_WORDS,
  sheavesAt,
  TEMPLATE_BYTES_MAX,
  templateAt,
} from '#src/memory/layout.js';

/** What each section must hold, in bytes: `[name, start, end)`. */
function sections(layout: Layout): [string, number, number][] {
  const { maxFrames, cpus, nodes, caches, sheavesPerCache } = layout;
  const words = (name: string, start: number, count: number): [string, number, number] => [
    name,
    start * 4,
    (start + count) * 4,
  ];
  const bitmap = Math.ceil(maxFrames / 32);
  return [
    words('header', 0, HEADER_WORDS),
    words('CPU records', layout.cpuRecords, cpus * CPU_WORDS),
    words('caches', layout.cacheTable, caches * CACHE_WORDS),
    words('vmem_map', layout.vmemMap, maxFrames * PAGE_WORDS),
    words('free bitmap', layout.freeBitmap, bitmap),
    words('partial bitmaps', layout.partialBitmaps, (caches - 1) * layout.bitmapWords + bitmap),
    words('barns', layout.barns, caches * nodes * Math.ceil(sheavesPerCache / 32)),
    words('sheaves', layout.sheaves, caches * sheavesPerCache * SHEAF_WORDS),
    words('cache counters', layout.cacheCounters, cpus * caches * CACHE_COUNTERS_WORDS),
    words('templates', layout.templates, (caches * TEMPLATE_BYTES_MAX) / 4),
    ...layout.stateRegions.map((start, r): [string, number, number] => [
      `state region ${r}`,
      start,
      start + maxFrames * 2 ** r,
    ]),
  ];
}

function assertDisjoint(geometry: Geometry): void {
  const layout = layoutOf(geometry);
  const list = sections(layout).sort((a, b) => a[1] - b[1]);
  for (const [i, [name, start, end]] of list.entries()) {
    assert.equal(start % (LINE_WORDS * 4), 0, `${name} begins on a cache line`);
    const next = list[i + 1]?.[1] ?? layout.totalBytes;
    assert.ok(end <= next, `${name} of ${JSON.stringify(geometry)} ends at ${end}, behind ${next}`);
  }
}

test('sections begin on cache lines and never overlap, whatever the geometry', () => {
  const geometry = fc.record<Geometry>({
    pageShift: fc.integer({ min: 12, max: 16 }),
    startFrame: fc.constant(1),
    maxFrames: fc.integer({ min: 2, max: 70_000 }),
    cpus: fc.integer({ min: 1, max: 1024 }),
    nodes: fc.integer({ min: 1, max: 64 }),
    caches: fc.integer({ min: 32, max: 256 }),
  });
  fc.assert(fc.property(geometry, assertDisjoint), { numRuns: 500 });
});

test('sections do not overlap for any number of frames', () => {
  for (let maxFrames = 2; maxFrames < 300; maxFrames++) {
    assertDisjoint({ pageShift: 12, startFrame: 1, maxFrames, cpus: 3, nodes: 1, caches: 32 });
  }
});

test('a state region is there for every size of window, up to one byte for each granule of a page', () => {
  for (let pageShift = 12; pageShift <= 16; pageShift++) {
    const layout = layoutOf({ pageShift, startFrame: 1, maxFrames: 100, cpus: 1, nodes: 1, caches: 32 });
    assert.equal(layout.stateRegions.length, pageShift - 3 + 1);
  }
});

test('every structure lies inside its section', () => {
  const layout = layoutOf({ pageShift: 12, startFrame: 1, maxFrames: 77, cpus: 5, nodes: 3, caches: 40 });
  assert.equal(pageAt(layout, 76) + PAGE_WORDS, layout.vmemMap + 77 * PAGE_WORDS);
  assert.ok(cpuAt(layout, 4) + CPU_WORDS <= layout.cacheTable);
  assert.ok(cacheAt(layout, 39) + CACHE_WORDS <= layout.vmemMap);
  assert.ok(partialAt(layout, 39) + layout.bitmapWords <= layout.barns);
  assert.ok(barnAt(layout, 39, 2) + layout.barnWords <= layout.sheaves);
  assert.ok(sheavesAt(layout, 39) + layout.sheavesPerCache * SHEAF_WORDS <= layout.templates);
  assert.ok(templateAt(layout, 39) + TEMPLATE_BYTES_MAX <= layout.stateRegions[0]);
  assert.equal(pageAt(layout, 5) % PAGE_WORDS, pageAt(layout, 0) % PAGE_WORDS, 'a descriptor fills one line');
});

test('nodes are windows that follow each other and cover all frames', () => {
  for (const nodes of [1, 2, 3, 7]) {
    const layout = layoutOf({ pageShift: 12, startFrame: 5, maxFrames: 105, cpus: 1, nodes, caches: 32 });
    assert.equal(nodeStart(layout, 0), 5);
    assert.equal(nodeStart(layout, nodes), 105);
    for (let pfn = 5; pfn < 105; pfn++) {
      const node = nodeOf(layout, pfn);
      assert.ok(nodeStart(layout, node) <= pfn && pfn < nodeStart(layout, node + 1));
    }
  }
});
