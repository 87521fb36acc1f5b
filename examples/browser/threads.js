// The page of threads.html. `?kills=N` sets the number of kills.
import { Heap } from '/modslab/index.js';

const WORKERS = 3;
const SLOTS = 256;
const kills = Number(new URLSearchParams(location.search).get('kills') ?? 200);
const output = document.querySelector('pre');

function startWorker(heap, board, tag, rounds) {
  const worker = new Worker('/browser/threads-worker.js', { type: 'module' });
  worker.postMessage({ handle: heap.handle, board, tag, rounds });
  return worker;
}

const answer = (worker) =>
  new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (event) => reject(new Error(event.message));
  });

/** Frees what is on the board; how many objects were not as they should be. */
function clear(heap, board) {
  let wrong = 0;
  for (let i = 0; i < SLOTS; i++) {
    const object = Atomics.exchange(board, i, 0) >>> 0;
    if (object === 0) continue;
    if (heap.u32[object >>> 2] !== object) wrong++;
    heap.kfree(object);
  }
  return wrong;
}

async function exchange() {
  const heap = Heap.create({ size: 1 << 20, maxSize: 64 << 20, cpus: 8 });
  const board = new Int32Array(new SharedArrayBuffer(4 * SLOTS));
  const workers = Array.from({ length: WORKERS }, (_, i) => startWorker(heap, board, `worker ${i}`, 20_000));
  const wrong = (await Promise.all(workers.map(answer))).reduce((sum, n) => sum + n, 0);
  for (const worker of workers) worker.terminate();
  const report = { wrong: wrong + clear(heap, board), live: heap.meminfo().live };
  return { ...report, problems: heap.validate().length };
}

/** Kills: a worker that never ends is terminated, its CPU reaped, the heap checked, the next one started. */
async function killStorm() {
  const heap = Heap.create({ size: 1 << 20, maxSize: 64 << 20, cpus: 8 });
  const board = new Int32Array(new SharedArrayBuffer(4 * SLOTS));
  let [problems, reaped, wrong] = [0, 0, 0];
  for (let kill = 0; kill < kills; kill++) {
    const worker = startWorker(heap, board, kill, 0);
    await answer(worker);
    await new Promise((resolve) => setTimeout(resolve, kill % 4));
    worker.terminate();
    // terminate() does not tell when the thread has ended: its Web Lock, held for life, does.
    await navigator.locks.request(`modslab-${kill}`, () => {});
    for (const { cpu, online, tag, generation } of heap.cpus()) {
      if (!online || tag !== kill) continue;
      heap.reap(cpu, generation);
      reaped++;
    }
    problems += heap.validate().length;
    if (kill % 20 === 19) wrong += clear(heap, board);
  }
  return { kills, reaped, problems, wrong: wrong + clear(heap, board) };
}

function time(shared) {
  const heap = Heap.create({ size: 4 << 20, maxSize: 4 << 20, shared });
  const pairs = 2_000_000;
  const run = () => {
    for (let i = 0; i < pairs; i++) heap.kfree(heap.kmalloc(64));
  };
  run();
  const start = performance.now();
  run();
  return Number((((performance.now() - start) * 1e6) / pairs).toFixed(1));
}

try {
  const result = { isolated: crossOriginIsolated, nanosecondsPerPair: time(crossOriginIsolated) };
  if (crossOriginIsolated) {
    result.exchange = await exchange();
    result.killStorm = await killStorm();
  } else {
    // What a program that asks for no particular memory gets here.
    const heap = Heap.create();
    result.shared = heap.buffer instanceof ArrayBuffer === false;
  }
  window.result = result;
} catch (error) {
  window.result = { error: String(error.stack ?? error) };
}
output.textContent = JSON.stringify(window.result, undefined, 1);
