// The cache that lru-cache.js is built on.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { Heap, type HeapHandle } from 'modslab';

interface Cache {
  readonly handle: { capacity: number; map: number };
  get(key: string): Uint8Array | undefined;
  set(key: string, value: string | Uint8Array): boolean;
  destroy(): void;
}
type CacheClass = new (heap: Heap, options: { capacity?: number; map?: number }) => Cache;

const lib: string = new URL('../../lib/sharedCache.js', import.meta.url).href;
const { SharedCache } = (await import(lib)) as { SharedCache: CacheClass };

const text = (bytes: Uint8Array | undefined): string | undefined => bytes && new TextDecoder().decode(bytes);

test('keeps values, replaces them, evicts the least recently used, frees everything', () => {
  const heap = Heap.create({ shared: false, size: 2 ** 20 });
  const cache = new SharedCache(heap, { capacity: 8 });
  assert.equal(cache.get('a'), undefined);
  cache.set('a', 'one');
  cache.set('a', 'two, and longer');
  assert.equal(text(cache.get('a')), 'two, and longer');
  for (let i = 0; i < 7; i++) cache.set(`k${i}`, `value ${i}`);
  assert.equal(text(cache.get('a')), 'two, and longer', 'eight fit');
  cache.set('new', 'x');
  assert.equal(cache.get('k0'), undefined, 'the one that was not used for longest has gone');
  assert.equal(text(cache.get('a')), 'two, and longer');
  assert.equal(text(cache.get('k1')), 'value 1');
  cache.destroy();
  assert.equal(heap.meminfo().live, 0);
});

test('a value that has no memory is not kept, and nothing is lost', () => {
  const heap = Heap.create({ shared: false, size: 2 ** 18, maxSize: 2 ** 18, pageSize: 4096 });
  const cache = new SharedCache(heap, { capacity: 64 });
  const results = Array.from({ length: 64 }, (_, i) => cache.set(`k${i}`, 'x'.repeat(8000)));
  assert.ok(results.includes(true) && results.includes(false));
  cache.destroy();
  assert.equal(heap.meminfo().live, 0);
});

test('four threads read and write it at once: a value is always its key’s', async () => {
  const heap = Heap.create({ size: 2 ** 20, maxSize: 2 ** 26, cpus: 8 });
  const cache = new SharedCache(heap, { capacity: 64 });
  const program = `
    const { parentPort, workerData } = require('node:worker_threads');
    (async () => {
      const { Heap } = await import(workerData.modslab);
      const { SharedCache } = await import(workerData.lib);
      const heap = Heap.attach(workerData.handle);
      const cache = new SharedCache(heap, workerData.cache);
      let wrong = 0;
      for (let i = 0; i < 5000; i++) {
        const key = 'key' + (i * 7 + workerData.worker * 13) % 100;
        const value = cache.get(key);
        if (value === undefined) cache.set(key, key.repeat(1 + i % 20));
        else if (!new TextDecoder().decode(value).startsWith(key)) wrong++;
      }
      heap.detach();
      parentPort.postMessage(wrong);
    })();`;
  const start = (handle: HeapHandle, worker: number): Promise<number> => {
    const modslab = import.meta.resolve('modslab');
    const data = { handle, cache: cache.handle, worker, lib, modslab };
    const thread = new Worker(program, { eval: true, workerData: data });
    return new Promise((resolve, reject) => thread.on('message', resolve).on('error', reject));
  };
  const wrong = await Promise.all([0, 1, 2, 3].map((worker) => start(heap.handle, worker)));
  assert.deepEqual(wrong, [0, 0, 0, 0]);
  cache.destroy();
  assert.equal(heap.meminfo().live, 0);
  assert.deepEqual(heap.validate(), []);
});
