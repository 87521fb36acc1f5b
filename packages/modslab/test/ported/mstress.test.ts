// mimalloc's test-stress and mstress, short: ported/mstress.ts says what was ported, mstress.soak.ts has the full counts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMIT } from '../support/thread.ts';
import { mstress } from './mstress.ts';

test('test-stress: 8 threads, 10 rounds at scale 10', LIMIT, async () => {
  const made = await mstress({ threads: 8, scale: 10, rounds: 10, way: 'rounds' });
  assert.equal(made, 540_000);
});

test('mstress: 2 threads, 2 rounds at scale 50, each with threads of its own', LIMIT, async () => {
  const made = await mstress({ threads: 2, scale: 50, rounds: 2, way: 'lives' });
  assert.equal(made, 45_000);
});
