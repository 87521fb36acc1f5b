// An HTTP server with a worker pool. Pages are made by workers and kept in a cache in shared memory: a worker allocates
// and writes, the main thread reads, and whoever replaces an entry frees it. Beside it the same server with the cache in
// the workers, so that every request is a postMessage there and one back.
//
//   node examples/lru-cache.js [--requests 20000] [--workers 2] [--pages 500]
import { Agent, createServer, get } from 'node:http';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Heap } from 'modslab';
import { SharedCache } from './lib/sharedCache.js';

/** What a page costs: some text of a few kilobytes, different for each path. */
function render(path) {
  const lines = Array.from(
    { length: 60 },
    (_, i) => `<li>${path} item ${i}: ${Math.sin(path.length * i)}</li>`,
  );
  return `<h1>${path}</h1><ul>${lines.join('')}</ul>`;
}

function serveAsWorker({ mode, handle, cache, tag }) {
  const heap = mode === 'shared' ? Heap.attach(handle, { tag }) : undefined;
  const shared = heap && new SharedCache(heap, cache);
  const own = new Map();
  parentPort.on('message', ({ id, path }) => {
    if (id === undefined) {
      shared?.close();
      heap?.detach();
      parentPort.close();
    } else if (shared) {
      const page = render(path);
      shared.set(path, page);
      parentPort.postMessage({ id, page });
    } else {
      if (!own.has(path)) own.set(path, render(path));
      parentPort.postMessage({ id, page: own.get(path) });
    }
  });
}

/** Requests over a few connections; every answer is checked. */
async function load(port, requests, pages) {
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  const expected = Array.from({ length: pages }, (_, page) => render(`/page/${page}`));
  let next = 0;
  const ask = (path) =>
    new Promise((resolve, reject) => {
      get({ port, path, agent }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => resolve(text));
      }).on('error', reject);
    });
  const client = async () => {
    while (next < requests) {
      // Some pages are asked for much more often than others.
      const page = Math.floor(pages * ((next++ * 0.618034) % 1) ** 3);
      const text = await ask(`/page/${page}`);
      if (text !== expected[page]) throw new Error(`page ${page} came with the wrong contents`);
    }
  };
  await Promise.all(Array.from({ length: 16 }, client));
  agent.destroy();
}

async function serve(mode, { requests, workers, pages }) {
  const heap = Heap.create({ size: 4 << 20, maxSize: 64 << 20, cpus: workers + 1 });
  const cache = new SharedCache(heap, { capacity: pages });
  const waiting = new Map();
  let [id, hits] = [0, 0];
  const pool = Array.from({ length: workers }, (_, tag) => {
    const data = { mode, handle: heap.handle, cache: cache.handle, tag };
    const worker = new Worker(new URL(import.meta.url), { workerData: data });
    worker.on('message', (message) => {
      waiting.get(message.id)(message.page);
      waiting.delete(message.id);
    });
    return worker;
  });
  const server = createServer((request, response) => {
    const page = mode === 'shared' ? cache.get(request.url) : undefined;
    if (page !== undefined) {
      hits++;
      response.end(page);
      return;
    }
    waiting.set(++id, (text) => response.end(text));
    pool[id % workers].postMessage({ id, path: request.url });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const start = performance.now();
  await load(server.address().port, requests, pages);
  const seconds = (performance.now() - start) / 1000;
  server.close();
  const ended = pool.map((worker) => new Promise((resolve) => worker.on('exit', resolve)));
  for (const worker of pool) worker.postMessage({});
  await Promise.all(ended);
  cache.destroy();
  const sound = heap.validate().length === 0 && heap.meminfo().live === 0;
  heap.detach();
  const rate = Math.round(requests / seconds);
  const what = mode === 'shared' ? `cache in shared memory, ${hits} hits` : 'cache in the workers';
  console.log(`${mode}: ${requests} requests, ${rate} a second (${what})${sound ? '' : ' HEAP NOT SOUND'}`);
  if (!sound) process.exitCode = 1;
}

if (isMainThread) {
  const { values } = parseArgs({
    options: { requests: { type: 'string' }, workers: { type: 'string' }, pages: { type: 'string' } },
  });
  const options = {
    requests: Number(values.requests ?? 20_000),
    workers: Number(values.workers ?? 2),
    pages: Number(values.pages ?? 500),
  };
  for (const mode of ['message', 'shared']) await serve(mode, options);
} else {
  serveAsWorker(workerData);
}
