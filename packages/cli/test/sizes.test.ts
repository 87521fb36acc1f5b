// modslab sizes: what a table of size classes costs on a trace, counted by hand.
import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { checkSizeClasses, SIZE_TABLES } from 'modslab/framework';
import { simulateSizes } from '#src/sizes/simulate.js';
import { readTrace } from '#src/trace/source.js';

async function programOf(events: string[]): ReturnType<typeof readTrace> {
  const file = join(mkdtempSync(join(tmpdir(), 'sizes-')), 'trace');
  writeFileSync(file, `# mtrace1\n${events.join('\n')}\n`);
  return await readTrace(file);
}

test('figures are those of the moment at which most was asked for', async () => {
  const program = await programOf(['a 0 100 0', 'a 1 40 0', 'a 2 5000 0', 'f 0 0', 'f 2 0', 'a 3 10 0']);
  const result = simulateSizes(program, [8, 16, 32, 64, 128, 256, 512, 1024, 2048], 4096);
  assert.deepEqual(result, {
    classes: 9,
    requested: 5140,
    given: 128 + 64 + 8192,
    footprint: 4096 + 4096 + 8192,
    slabs: 2,
    large: 1,
    moves: 0,
  });
});

test('a slab that is empty is given back, the lowest with room is filled first', async () => {
  const events = Array.from({ length: 8 }, (_, id) => `a ${id} 2048 0`);
  // Four slabs of two; the last two are emptied, one object of the first goes, one more comes.
  const program = await programOf([
    ...events,
    'f 7 0',
    'f 6 0',
    'f 5 0',
    'f 4 0',
    'f 0 0',
    'a 8 2000 0',
    'a 9 20000 0',
  ]);
  const { slabs, footprint } = simulateSizes(program, [32, 64, 128, 256, 512, 1024, 2048], 4096);
  assert.deepEqual([slabs, footprint], [2, 2 * 4096 + 20_480]);
});

test('a realloc that fits stays, one that does not moves', async () => {
  const program = await programOf(['a 0 20 0', 'r 0 30 0', 'r 0 33 0', 'r 0 5 0', 'r 0 60 0']);
  const { moves, given, requested } = simulateSizes(program, [32, 64, 128, 256], 4096);
  assert.deepEqual([moves, given, requested], [1, 64, 60]);
});

test('every table that is compared but the finest is one that kmalloc takes', () => {
  for (const [name, table] of Object.entries(SIZE_TABLES)) {
    if (table.length <= 120) assert.doesNotThrow(() => checkSizeClasses(table), name);
  }
});
