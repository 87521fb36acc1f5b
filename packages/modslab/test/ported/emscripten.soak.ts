// test_malloc_multithreading with emscripten's own TOTAL: see ported/emscripten.ts. (Its other tests are whole in the short form.)
import { test } from 'node:test';
import { mallocMultithreading } from './emscripten.ts';

for (const workers of [1, 2, 4, 8]) {
  test(`test_malloc_multithreading: ${workers} workers, 100,000,000 operations`, async () => {
    await mallocMultithreading(workers, 100_000_000);
  });
}
