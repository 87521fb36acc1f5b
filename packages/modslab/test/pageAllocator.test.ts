// The page allocator alone: runs, alignment, windows, growth, and nothing left behind.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { countSet, hasBit } from '#src/memory/bitmap.js';
import { usedFrames } from '#src/memory/cpu.js';
import { GFP } from '#src/memory/gfp.js';
import { H_FRAMES, H_PEAK_FRAMES, nodeOf, nodeStart, pageAt } from '#src/memory/layout.js';
import { PAGE_CLAIM } from '#src/page/page.js';
import { NODE_ANY } from '#src/page/pageAllocator.js';
import { createLayers, type Layers } from './support/internals.js';

function take(layers: Layers, frames: number, alignment = 1, gfp = 0, node = NODE_ANY): number {
  const pfn = layers.pages.allocateExact(frames, alignment, gfp, node);
  layers.pages.published();
  return pfn;
}

const freeFrames = ({ metadata: { m, layout } }: Layers): number =>
  countSet(m, layout.freeBitmap, layout.startFrame, m[H_FRAMES]);

/** The bitmap, the claim words and the counts say the same. */
function assertConsistent({ metadata }: Layers, used: Set<number>): void {
  const { m, layout } = metadata;
  for (let pfn = layout.startFrame; pfn < m[H_FRAMES]; pfn++) {
    assert.equal(hasBit(m, layout.freeBitmap, pfn), !used.has(pfn), `bit of frame ${pfn}`);
    assert.equal(m[pageAt(layout, pfn) + PAGE_CLAIM] === 0, !used.has(pfn), `claim of frame ${pfn}`);
  }
  assert.equal(usedFrames(metadata), used.size);
}

test('frames are handed out one by one, never frame 0, each once, until there are none', () => {
  const layers = createLayers({ frames: 40 });
  const seen = new Set<number>();
  for (let i = 0; i < 39; i++) seen.add(take(layers, 1));
  assert.deepEqual(
    [...seen].sort((a, b) => a - b),
    Array.from({ length: 39 }, (_, i) => i + 1),
  );
  assert.equal(take(layers, 1), 0);
  assertConsistent(layers, seen);
  for (const pfn of seen) layers.pages.freeExact(pfn, 1);
  assertConsistent(layers, new Set());
});

test('orders are aligned to their size; free neighbours coalesce by themselves', () => {
  const layers = createLayers({ frames: 64 });
  const singles = Array.from({ length: 63 }, () => take(layers, 1));
  for (const pfn of singles) layers.pages.free(pfn, 0);
  for (const order of [0, 1, 2, 3, 4, 5]) {
    const pfn = layers.pages.allocate(order, 0, NODE_ANY);
    layers.pages.published();
    assert.ok(pfn > 0 && pfn % 2 ** order === 0, `order ${order} at ${pfn}`);
    layers.pages.free(pfn, order);
  }
  assert.equal(take(layers, 63), 1, 'all frames in one run again');
});

test('exact runs of any length and alignment are found wherever they fit', () => {
  const layers = createLayers({ frames: 64 });
  assert.equal(take(layers, 5, 16), 16);
  assert.equal(take(layers, 15), 1);
  assert.equal(take(layers, 3), 21);
  assert.equal(take(layers, 8, 8), 24);
  assert.equal(take(layers, 33), 0, 'no run of 33 is left');
  assert.equal(take(layers, 32), 32);
  layers.pages.freeExact(16, 5);
  assert.equal(take(layers, 6), 0);
  assert.equal(take(layers, 5), 16);
});

test('random runs against a model: no overlap, aligned, and all frames come back', () => {
  const step = fc.record({
    free: fc.boolean(),
    frames: fc.integer({ min: 1, max: 9 }),
    log: fc.nat(4),
    pick: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 80 }), (steps) => {
      const layers = createLayers({ frames: 70 });
      const runs: [number, number][] = [];
      const used = new Set<number>();
      for (const { free, frames, log, pick } of steps) {
        if (free && runs.length > 0) {
          const [[head, length]] = runs.splice(pick % runs.length, 1);
          layers.pages.freeExact(head, length);
          for (let i = 0; i < length; i++) used.delete(head + i);
          continue;
        }
        const head = take(layers, frames, 2 ** log);
        if (head === 0) continue;
        assert.equal(head % 2 ** log, 0);
        for (let i = 0; i < frames; i++) {
          assert.ok(!used.has(head + i), 'no frame twice');
          used.add(head + i);
        }
        runs.push([head, frames]);
      }
      assertConsistent(layers, used);
      for (const [head, length] of runs) layers.pages.freeExact(head, length);
      assertConsistent(layers, new Set());
    }),
    { numRuns: 150 },
  );
});

test('without memory nothing is held and the heap is as before', () => {
  const layers = createLayers({ frames: 16 });
  const pfn = take(layers, 10);
  assert.equal(take(layers, 6), 0);
  assert.equal(take(layers, 4, 16), 0);
  assert.equal(take(layers, 1000), 0);
  assertConsistent(layers, new Set(Array.from({ length: 10 }, (_, i) => pfn + i)));
});

test('DMA requests stay in their window; others use it last', () => {
  const layers = createLayers({ frames: 32, dma: { start: 8, end: 12 } });
  assert.equal(take(layers, 1, 1, GFP.DMA), 8);
  const others = Array.from({ length: 27 }, () => take(layers, 1));
  assert.ok(others.every((pfn) => pfn < 8 || pfn >= 12));
  assert.deepEqual([take(layers, 1), take(layers, 1)], [9, 10], 'the window is used when all else is');
  assert.equal(take(layers, 1, 1, GFP.DMA), 11);
  assert.equal(take(layers, 1, 1, GFP.DMA), 0);
});

test('without a DMA window, DMA requests find nothing', () => {
  assert.equal(take(createLayers(), 1, 1, GFP.DMA), 0);
});

test('a node is asked first, others after it, and none but it with THISNODE', () => {
  const layers = createLayers({ frames: 33, nodes: 4 });
  const { layout } = layers.metadata;
  for (let node = 3; node >= 0; node--) {
    const pfn = take(layers, 1, 1, 0, node);
    assert.equal(nodeOf(layout, pfn), node);
    assert.equal(pfn, nodeStart(layout, node));
  }
  for (let i = 0; i < 7; i++) assert.equal(nodeOf(layout, take(layers, 1, 1, GFP.THISNODE, 2)), 2);
  assert.equal(take(layers, 1, 1, GFP.THISNODE, 2), 0);
  assert.notEqual(take(layers, 1, 1, 0, 2), 0);
});

test('the heap grows by what is needed, up to its largest size, and not with NOWAIT or ATOMIC', () => {
  const layers = createLayers({ frames: 8, maxFrames: 64 });
  const { m } = layers.metadata;
  take(layers, 7);
  assert.equal(take(layers, 1, 1, GFP.NOWAIT), 0);
  assert.equal(take(layers, 1, 1, GFP.ATOMIC), 0);
  assert.equal(m[H_FRAMES], 8);
  assert.equal(take(layers, 1), 8);
  assert.equal(m[H_FRAMES], 9);
  assert.equal(take(layers, 16, 16), 16);
  assert.equal(m[H_FRAMES], 32);
  assert.equal(take(layers, 33), 0, 'the rest is smaller');
  assert.equal(take(layers, 32), 32);
  assert.equal(m[H_FRAMES], 64);
  assert.equal(layers.data.views().u8.length, 64 * 4096);
  assert.equal(m[H_PEAK_FRAMES], usedFrames(layers.metadata));
});

test('growth uses the free frames before the end', () => {
  const layers = createLayers({ frames: 16, maxFrames: 24 });
  take(layers, 10);
  assert.equal(freeFrames(layers), 5);
  assert.equal(take(layers, 13), 11, '5 old frames and 8 new ones');
  assert.equal(freeFrames(layers), 0);
});

test('growth finds a run that lies in one zone, though free frames of another come before it', () => {
  const layers = createLayers({ frames: 32, maxFrames: 128, dma: { start: 24, end: 32 } });
  take(layers, 23);
  assert.notEqual(take(layers, 16), 0, '96 frames may be added');
});

test('growth finds a run that lies in one node', () => {
  const layers = createLayers({ frames: 32, maxFrames: 129, nodes: 2 });
  for (let i = 0; i < 4; i++) {
    assert.notEqual(take(layers, 20), 0, `run ${i}: frames 1 to 64 are one node's, 65 to 128 the other's`);
  }
});

test('a growth that cannot help does not happen', () => {
  const layers = createLayers({ frames: 17, maxFrames: 65, nodes: 4 });
  const { m } = layers.metadata;
  take(layers, 16, 1, GFP.THISNODE);
  assert.equal(take(layers, 4, 1, GFP.THISNODE), 0);
  assert.equal(take(layers, 4, 1, GFP.THISNODE, 0), 0);
  assert.equal(m[H_FRAMES], 17);
});
