// Emscripten's threaded malloc tests, short: ported/emscripten.ts says what was ported.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMIT } from '../support/thread.ts';
import { mallocBench, mallocFree, mallocMultithreading } from './emscripten.ts';

test('test_malloc_multithreading: 4 workers, 4,000,000 operations', LIMIT, async () => {
  await mallocMultithreading(4, 4_000_000);
});

test(
  'test_pthread_malloc_free: 8 threads allocate 50,000 objects each, the main thread frees them',
  LIMIT,
  async () => {
    assert.equal(await mallocFree(8, 50_000), 400_000);
  },
);

test('malloc_bench: 32,768 bins, 6 Mi operations', () => {
  mallocBench(6 * 2 ** 20);
});
