// mimalloc's test-stress and mstress with their own counts: see ported/mstress.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mstress } from './mstress.ts';

test('test-stress: 32 threads, scale 10, 50 rounds', async () => {
  const made = await mstress({ threads: 32, scale: 10, rounds: 50, way: 'lives' });
  assert.equal(made, 10_800_000);
});

test('mstress: 4 threads, scale 50, 25 rounds', async () => {
  const made = await mstress({ threads: 4, scale: 50, rounds: 25, way: 'lives' });
  assert.equal(made, 1_875_000);
});
