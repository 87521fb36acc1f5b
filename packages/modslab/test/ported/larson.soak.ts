// Larson with its own arguments, 5,000 slots and 100 rounds: see ported/larson.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { larson } from './larson.ts';

test('larson: 4 chains of 5,000 slots, 25 threads each, 100 rounds a life', async () => {
  assert.equal(await larson({ chains: 4, slots: 5000, rounds: 100, lives: 25 }), 50_000_000);
});
