// Larson with respawning threads, short: ported/larson.ts says what was ported.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMIT } from '../support/thread.ts';
import { larson } from './larson.ts';

test('larson: 3 chains of 5,000 slots, 5 threads each, 20 rounds a life', LIMIT, async () => {
  assert.equal(await larson({ chains: 3, slots: 5000, rounds: 20, lives: 5 }), 1_500_000);
});
