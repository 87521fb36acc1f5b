/** What the inspector computes: grids, colours, comparisons, histories, tables' rows. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Heap } from 'modslab';
import { FRAME } from 'modslab/inspect';
import {
  blendAll,
  type Coloring,
  DARK,
  LIGHT,
  meanColor,
  Ranking,
  rampAt,
} from '#src/inspector/model/colors.js';
import { compare } from '#src/inspector/model/compare.js';
import * as format from '#src/inspector/model/format.js';
import { boxOf, cellAt, cellsOf, clamped, gridOf, indexAt, zoomed } from '#src/inspector/model/grid.js';
import { History, sampleOf, thin } from '#src/inspector/model/history.js';
import { leakRows } from '#src/inspector/model/leaks.js';
import { kept, type Moment, momentOf, scattered, unused } from '#src/inspector/model/moment.js';
import { rasterOf } from '#src/inspector/model/raster.js';
import { matches, nextOrder, sorted } from '#src/inspector/model/rows.js';
import { random } from '../helpers.ts';

const momentOfHeap = (heap: Heap): Moment => momentOf(heap.snapshot({ data: false }));
const coloring = (by: Coloring['by'], more: Partial<Coloring> = {}): Coloring => ({
  by,
  palette: DARK,
  caches: new Map(),
  cpus: new Map(),
  change: undefined,
  ...more,
});

describe('grid', () => {
  const sizes: [number, number, number][] = [
    [1, 900, 400],
    [255, 826, 420],
    [1727, 826, 420],
    [16_384, 1000, 460],
    [262_144, 826, 420],
    [7, 40, 3000],
  ];
  for (const [count, width, height] of sizes) {
    test(`${count} things on ${width} × ${height}`, () => {
      const grid = gridOf(100, count, width, height);
      assert.ok(grid.width <= width && grid.height <= height);
      assert.ok(Number.isInteger(Math.log2(grid.columns)) && Number.isInteger(Math.log2(grid.perCell)));
      assert.ok(grid.rows * grid.columns * grid.perCell >= count, 'everything has a place');
      const pixels = new Uint8Array(Math.ceil(grid.width) * Math.ceil(grid.height));
      for (let cell = 0; cell < cellsOf(grid); cell++) {
        const box = boxOf(grid, cell);
        assert.ok(box.width >= 1 && box.height >= 1);
        assert.equal(cellAt(grid, indexAt(grid, box.x, box.y)), cell, 'the first pixel of a cell finds it');
        assert.equal(cellAt(grid, indexAt(grid, box.x + box.width - 1, box.y + box.height - 1)), cell);
        pixels[box.y * Math.ceil(grid.width) + box.x]++;
      }
      assert.ok(!pixels.some((n) => n > 1), 'no two cells begin at one pixel');
      assert.equal(indexAt(grid, -1, 0), -1);
      assert.equal(indexAt(grid, grid.width, 0), -1);
      assert.equal(cellAt(grid, 99), -1);
      assert.equal(cellAt(grid, 100 + count), -1);
    });
  }

  test('things that have no room of their own share cells', () => {
    assert.equal(gridOf(0, 16_384, 1000, 460).perCell, 1);
    assert.ok(gridOf(0, 262_144, 826, 420).perCell > 1);
  });

  test('zooming keeps what is under the pointer, and stays inside', () => {
    let window = { first: 10, count: 1000 };
    for (let i = 0; i < 4; i++) window = zoomed(window, 0.5, 300, 10, 1010);
    assert.ok(window.first <= 300 && 300 < window.first + window.count);
    assert.ok(window.count < 70);
    for (let i = 0; i < 12; i++) window = zoomed(window, 0.5, 300, 10, 1010);
    assert.equal(window.count, 16);
    for (let i = 0; i < 12; i++) window = zoomed(window, 2, 300, 10, 1010);
    assert.deepEqual(window, { first: 10, count: 1000 });
    assert.deepEqual(clamped({ first: 990, count: 100 }, 10, 1010), { first: 910, count: 100 });
  });
});

describe('raster', () => {
  test('a pixel has the colour of its cell, or none where a gap is, at any ratio', () => {
    for (const ratio of [1, 1.5, 2]) {
      const grid = gridOf(0, 1000, 320, 170);
      const colorOf = (cell: number): [number, number, number] => [cell >> 8, cell & 255, 7];
      const { width, height, pixels } = rasterOf(grid, ratio, colorOf, (cell) => ({
        right: cell % 2,
        below: 1,
      }));
      assert.deepEqual([width, height], [grid.width * ratio, grid.height * ratio]);
      const at = (x: number, y: number): number[] => [
        ...pixels.subarray(4 * (y * width + x), 4 * (y * width + x) + 4),
      ];
      for (let cell = 0; cell < cellsOf(grid); cell++) {
        const box = boxOf(grid, cell);
        const [left, top] = [Math.round(box.x * ratio), Math.round(box.y * ratio)];
        const right = Math.round((box.x + box.width) * ratio) - 1;
        assert.deepEqual(at(left, top), [...colorOf(cell), 255]);
        assert.deepEqual(at(right, top), cell % 2 === 1 ? [0, 0, 0, 0] : [...colorOf(cell), 255]);
        assert.deepEqual(at(left, Math.round((box.y + box.height) * ratio) - 1), [0, 0, 0, 0]);
      }
    }
  });
});

describe('colours', () => {
  test('an empty slab is fainter than a full one, free frames are like each other', () => {
    const heap = Heap.create({ size: 2 ** 20, maxSize: 2 ** 22, shared: false });
    const address = heap.kmalloc(2048);
    const moment = momentOfHeap(heap);
    const colors = blendAll(coloring('kind'), moment.frames);
    const { start, end, kind } = moment.frames;
    const free = colors.filter((_, pfn) => pfn >= start && kind[pfn] === FRAME.FREE);
    assert.equal(new Set(free).size, 1);
    assert.notEqual(colors[heap.virtToPage(address).pfn], free[0]);
    assert.equal(colors.length, end);
    for (const by of ['cache', 'cpu', 'fill'] as const)
      assert.notEqual(blendAll(coloring(by), moment.frames)[heap.virtToPage(address).pfn], free[0], by);
  });

  test('the mean of colours', () => {
    const colors = Uint32Array.of(0xff0000, 0x0000ff, 0x00ff00);
    assert.deepEqual(meanColor(colors, 0, 2), [128, 0, 128]);
    assert.deepEqual(meanColor(colors, 2, 5), [0, 255, 0]);
  });

  test('ramps go from their first colour to their last, in both themes', () => {
    for (const palette of [LIGHT, DARK]) {
      assert.deepEqual(rampAt(palette, 0), palette.ramp[0]);
      assert.deepEqual(rampAt(palette, 1), palette.ramp[palette.ramp.length - 1]);
      assert.deepEqual(rampAt(palette, 7), palette.ramp[palette.ramp.length - 1]);
    }
  });

  test('who has a colour keeps it', () => {
    const ranking = new Ranking();
    ranking.see([5, 3]);
    ranking.see([9, 3, 5]);
    assert.deepEqual(
      [...ranking.ranks],
      [
        [5, 0],
        [3, 1],
        [9, 2],
      ],
    );
  });
});

describe('comparison', () => {
  test('counts objects, bytes and frames, by cache and together', () => {
    const heap = Heap.create({ size: 2 ** 22, maxSize: 2 ** 22, shared: false });
    const cache = heap.createCache({ name: 'point', size: 64 });
    const gone = heap.kmalloc(300_000);
    const before = kept(momentOfHeap(heap), 'before');
    const points = Array.from({ length: 1000 }, () => cache.alloc());
    heap.kfree(gone);
    const after = momentOfHeap(heap);
    const found = compare(before, after);
    assert.equal(found.liveObjects, 1000);
    assert.equal(found.live, after.figures.live - before.figures.live);
    assert.deepEqual(
      found.caches.map(({ name, live, liveBytes }) => [name, live, liveBytes]),
      [['point', 1000, 64_000]],
    );
    const frames = Math.ceil(300_000 / heap.pageSize);
    assert.equal(found.released, frames);
    assert.ok(found.taken > 0);
    const { pfn } = heap.virtToPage(points[0]);
    assert.ok(found.change.delta[pfn] > 0);
    assert.equal(found.change.delta[Math.floor(gone / heap.pageSize) + frames - 1], -1);
    assert.ok(blendAll(coloring('change', { change: found.change }), after.frames)[pfn] !== 0);
  });

  test('nothing has changed', () => {
    const heap = Heap.create({ size: 2 ** 20, shared: false });
    heap.kmalloc(10);
    const [a, b] = [momentOfHeap(heap), momentOfHeap(heap)];
    const { caches, taken, released, changed, footprint } = compare(a, b);
    assert.deepEqual([caches, taken, released, changed, footprint], [[], 0, 0, 0, 0]);
  });

  test('a heap that has grown, and a cache that is gone', () => {
    const heap = Heap.create({ size: 2 ** 20, maxSize: 2 ** 24, shared: false });
    const cache = heap.createCache({ name: 'gone', size: 64 });
    const object = cache.alloc();
    const small = momentOfHeap(heap);
    cache.free(object);
    cache.destroy();
    heap.kmalloc(2 ** 22);
    const large = momentOfHeap(heap);
    const found = compare(small, large);
    assert.equal(found.caches.find(({ name }) => name === 'gone')?.live, -1);
    // The slab's frame may be used again.
    assert.ok(found.taken >= 2 ** 22 / heap.pageSize - 1);
    assert.equal(compare(large, small).footprint, -found.footprint);
  });
});

describe('history', () => {
  const sample = (time: number, allocations: number) => ({ ...empty, time, allocations });
  const empty = { time: 0, allocations: 0, frees: 0, footprint: 1, live: 1, unused: 0, scattered: 0 };

  test('rates are differences over time', () => {
    const history = new History();
    for (const [time, count] of [
      [0, 0],
      [2, 100],
      [3, 100],
      [4, 50],
    ])
      history.add(sample(time, count));
    assert.deepEqual(history.columns().allocations, [50, 50, 0, 0]);
    assert.deepEqual(history.columns().times, [0, 2, 3, 4]);
  });

  test('it stays bounded, and keeps its span', () => {
    const history = new History();
    for (let i = 0; i < 10_000; i++) history.add(sample(i, i));
    assert.ok(history.samples.length <= 1200);
    assert.equal(history.samples[0].time, 0);
    assert.equal(history.samples[history.samples.length - 1].time, 9999);
    assert.ok(history.columns().allocations.every((rate) => Math.abs(rate - 1) < 1e-9));
    assert.deepEqual(thin([1, 2, 3, 4, 5, 6]), [1, 3, 4, 5, 6]);
  });

  test('a sample that is not later takes the place of the last', () => {
    const history = new History();
    history.add(sample(5, 1));
    history.add(sample(5, 2));
    assert.equal(history.samples.length, 1);
    assert.equal(history.samples[0].allocations, 2);
  });

  test('shares of a heap', () => {
    const heap = Heap.create({ size: 2 ** 20, maxSize: 2 ** 20, shared: false });
    assert.equal(unused(momentOfHeap(heap).figures), 0);
    assert.equal(scattered(momentOfHeap(heap).figures), 0);
    const objects = Array.from({ length: 20 }, () => heap.kmalloc(heap.pageSize * 3));
    for (let i = 0; i < 20; i += 2) heap.kfree(objects[i]);
    const moment = momentOfHeap(heap);
    assert.ok(scattered(moment.figures) > 0);
    const { live, footprint } = sampleOf(moment, { allocations: 20, frees: 10 }, 1);
    assert.equal(live, moment.figures.live);
    assert.equal(footprint, heap.meminfo().footprint);
  });
});

describe('tables', () => {
  const rows = [
    { n: 2, s: 'b' },
    { n: 10, s: 'kmalloc-64' },
    { n: 1, s: 'kmalloc-192' },
  ];
  const columns = [
    { key: 'n', title: 'N', value: (row: (typeof rows)[0]) => row.n, text: () => '' },
    { key: 's', title: 'S', value: (row: (typeof rows)[0]) => row.s, text: () => '' },
  ];

  test('rows are sorted by numbers, and by words with the numbers in them', () => {
    const by = (column: string, descending: boolean) =>
      sorted(rows, columns, { column, descending }).map(({ n }) => n);
    assert.deepEqual(by('n', true), [10, 2, 1]);
    assert.deepEqual(by('n', false), [1, 2, 10]);
    assert.deepEqual(by('s', false), [2, 10, 1]);
  });

  test('a heading turns the order round, or begins with what suits it', () => {
    assert.deepEqual(nextOrder({ column: 'n', descending: true }, 'n', false), {
      column: 'n',
      descending: false,
    });
    assert.deepEqual(nextOrder({ column: 'n', descending: true }, 's', true), {
      column: 's',
      descending: false,
    });
    assert.deepEqual(nextOrder({ column: 's', descending: true }, 'n', false), {
      column: 'n',
      descending: true,
    });
  });

  test('filters: all words, none of those with a minus', () => {
    assert.equal(matches('kmalloc-64', ''), true);
    assert.equal(matches('kmalloc-64', 'KMALLOC 64'), true);
    assert.equal(matches('kmalloc-64', 'kmalloc -64'), false);
    assert.equal(matches('dentry', '- dent'), true);
  });

  test('leaks of any shape are read', () => {
    assert.deepEqual(leakRows(undefined), []);
    assert.deepEqual(leakRows([1, null, 'x']), []);
    const groups = [
      { cache: 'point', stack: ['at make (a.js:1)', 'at main (a.js:9)'], count: 3, bytes: 120, waste: 24 },
      { cache: 'kmalloc-64', stack: [], count: 1, bytes: 50, addresses: [64] },
    ];
    assert.deepEqual(leakRows(groups), [
      { cache: 'point', stack: 'at make (a.js:1)\nat main (a.js:9)', objects: 3, bytes: 120 },
      { cache: 'kmalloc-64', stack: 'not tracked', objects: 1, bytes: 50 },
    ]);
  });
});

describe('format', () => {
  test('bytes, counts, rates, shares', () => {
    assert.deepEqual([0, 999, 1000, 1536, 15_000_000, 2 ** 30 * 3, -2048].map(format.bytes), [
      ...['0 B', '999 B', '0.98 KiB', '1.50 KiB', '14.3 MiB', '3.00 GiB', '−2.00 KiB'],
    ]);
    assert.deepEqual([0, 1234, 1_234_567, -1234].map(format.count), ['0', '1,234', '1,234,567', '−1,234']);
    assert.deepEqual([0.426, 3, 1234, 12_345, 1_234_567].map(format.short), [
      '0.43',
      '3',
      '1,234',
      '12.3 k',
      '1.23 M',
    ]);
    assert.deepEqual([0.426, Number.NaN].map(format.percent), ['43 %', '—']);
    assert.deepEqual(
      [5, -5, 0].map((n) => format.signed(n)),
      ['+5', '−5', '0'],
    );
    assert.equal(format.word(-1), '0xffffffff');
    assert.equal(format.address(0x1234), '0x00001234');
  });
});

test('moments of a heap in use at random are drawn without an error', () => {
  const heap = Heap.create({ size: 2 ** 20, maxSize: 2 ** 24, shared: false });
  const next = random(11);
  const live: number[] = [];
  let last: Moment | undefined;
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 500; i++) {
      if (next() < 0.5 && live.length > 0) heap.kfree(live.splice(Math.floor(next() * live.length), 1)[0]);
      else live.push(heap.kmalloc(Math.floor(next() ** 4 * 30_000)));
    }
    const moment = momentOfHeap(heap);
    assert.equal(moment.figures.live, heap.meminfo().live);
    if (last !== undefined)
      blendAll(coloring('change', { change: compare(last, moment).change }), moment.frames);
    last = kept(moment, 'x');
  }
});
