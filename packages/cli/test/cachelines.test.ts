// modslab cachelines: the tracer counts what it should, the layouts are allocators, and the counts are those of docs/.
import assert from 'node:assert/strict';
import test from 'node:test';
import { LAYOUTS } from '#src/cachelines/layouts/index.js';
import { lookupRows } from '#src/cachelines/lookups.js';
import { kmallocRows, layoutRows, stackRows } from '#src/cachelines/operations.js';
import { barChart } from '#src/cachelines/plot.js';
import { LineTracer } from '#src/cachelines/tracer.js';
import { modslab, write } from './helpers.ts';

test('the tracer counts distinct lines of 64 bytes, whatever reads or writes them', () => {
  const tracer = new LineTracer();
  try {
    const buffer = new SharedArrayBuffer(4096);
    const holder = { words: new Int32Array(buffer), bytes: new Uint8Array(buffer), other: new Int32Array(4) };
    tracer.name(buffer, (byte) => (byte < 1024 ? 'low' : 'high'));
    tracer.traceAll(holder);
    const { words, bytes, other } = holder;
    const touch = (call: () => void): Record<string, number> => tracer.measure(call).lines;
    assert.deepEqual(
      touch(() => {
        words[0] = 1;
        words[15] += words[3];
        bytes[63] = 2;
      }),
      { low: 1 },
    );
    assert.deepEqual(
      touch(() => {
        words[16] = bytes[1024];
        other[0]++;
      }),
      { low: 1, high: 1, other: 1 },
    );
    assert.deepEqual(
      touch(() => bytes.fill(7, 60, 70)),
      { low: 2 },
    );
    assert.deepEqual(
      touch(() => words.set([1, 2, 3], 300)),
      { high: 1 },
    );
    const atomic = tracer.measure(() => {
      Atomics.add(words, 20, 5);
      Atomics.compareExchange(words, 40, 0, 1);
    });
    assert.deepEqual([atomic.lines, atomic.total, atomic.atomics], [{ low: 2 }, 2, 2]);
    assert.deepEqual([words[20], words[40], words[0], bytes[63]], [5, 1, 1, 7]);
    words[1] = 9;
    assert.equal(tracer.measure(() => {}).total, 0, 'nothing is noted in between');
  } finally {
    tracer.dispose();
  }
  assert.equal(Atomics.load(new Int32Array([7]), 0), 7);
});

test('every layout hands out distinct objects, takes them back and hands them out again', () => {
  for (const make of LAYOUTS) {
    const layout = make(64, 64);
    for (let round = 0; round < 3; round++) {
      const live = new Set<number>();
      for (let i = 0; i < 3000; i++) live.add(layout.alloc());
      assert.equal(live.size, 3000, layout.name);
      const sorted = [...live].sort((a, b) => a - b);
      assert.ok(
        sorted.every((address, i) => i === 0 || address - sorted[i - 1] >= 16),
        layout.name,
      );
      for (const address of live) layout.free(address);
    }
  }
});

test('kmalloc and kfree touch three lines of metadata at most, none of the object, whatever the size', () => {
  for (const row of kmallocRows([64, 1024])) {
    assert.equal(row.object, 0, row.operation);
    if (!['kmalloc', 'kfree', "kfree, another CPU's"].includes(row.operation)) continue;
    const shared = [
      'page descriptor',
      'states',
      'sheaf',
      'cache descriptor',
      'CPU record',
      'header',
      'bitmap',
    ];
    const lines = shared.reduce((sum, name) => sum + (row.parts[name] ?? 0), 0);
    assert.ok(lines <= 3, `${row.operation}: ${JSON.stringify(row.parts)}`);
    assert.ok(row.lines <= 4, `${row.operation}: ${JSON.stringify(row.parts)}`);
    assert.equal(row.atomics, 0);
  }
});

test('the layouts differ as the thread says: who touches the object, and who the page', () => {
  const rows = layoutRows();
  const find = (name: string, operation: string): (typeof rows)[number] => {
    const row = rows.find((r) => r.allocator === name && r.operation === operation);
    assert.ok(row, `${name}: ${operation}`);
    return row;
  };
  assert.equal(find('slabifier 2006', 'alloc').object, 1);
  assert.equal(find('slabifier 2006', 'free').object, 1);
  assert.equal(find('SLAB 2006', 'free').parts['struct page'], 1);
  assert.equal(find('header by mask (Spraul)', 'free').parts['struct page'], undefined);
  assert.equal(find('header by mask (Spraul)', 'free').parts['slab header'], 1);
  assert.equal(find('SLAB 2006, NUMA', 'free').lines, find('SLAB 2006', 'free').lines + 1);
  assert.equal(find('Linux sheaves', 'alloc, from slabs').object, 60);
});

test('every stack is counted', () => {
  const names = new Set(stackRows().map(({ allocator }) => allocator));
  assert.deepEqual([...names], ['slabifier', 'sheaved', 'numa', 'sheaved:numa', 'sheaved:dma', 'page_slab']);
});

test('lookups are timed, and a chart is drawn', () => {
  const rows = lookupRows(32, 1);
  assert.equal(rows.length, 6);
  assert.ok(rows.every((row) => row.coldLatency >= 0 && Number.isFinite(row.warmThroughput)));
  const svg = barChart('a < b', 'ns', [{ label: 'x & y', parts: [{ name: 'ns', value: 3 }] }]);
  assert.match(svg, /^<svg [^>]*>.*a &lt; b.*x &amp; y.*<\/svg>\n$/s);
});

test('--svg FILE is refused before anything is measured', () => {
  const { status, stdout, stderr } = modslab(['cachelines', '--svg', write('plots', '')]);
  assert.match(stderr, /^modslab: cannot write \S+: it cannot be a folder: [^\n]+\n$/);
  assert.deepEqual([status, stdout], [2, '']);
});
