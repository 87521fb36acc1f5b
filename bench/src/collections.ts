/**
 * What a SharedMap and a SharedVector cost, `npm run bench:collections`: nanoseconds a call on one thread, keys of 8 to 12 bytes
 * and values of 32, beside a Map of strings to Uint8Arrays, which no other thread can see; and calls a second of 1, 2 and 4
 * threads at once on one map (nine `get` to one `set`, over 10,000 keys).
 */

import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Heap, type HeapHandle } from 'modslab';
import { SharedMap, SharedVector } from 'modslab/collections';

const KEYS = 10_000;
const ROUNDS = 12;
const CALLS = 200_000;
const keys = Array.from({ length: KEYS }, (_, i) => `key ${i * 7919}`);
const value = new Uint8Array(32).fill(65);

interface Task {
  readonly handle: HeapHandle;
  readonly map: number;
  readonly seed: number;
  readonly gate: Int32Array;
}

function mixed(map: SharedMap, seed: number): void {
  let x = seed;
  for (let i = 0; i < CALLS; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    const key = keys[(x >>> 8) % KEYS];
    if (i % 10 === 0) map.set(key, value);
    else map.get(key);
  }
}

function best(act: () => void): string {
  let least = Number.MAX_VALUE;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    act();
    least = Math.min(least, ((performance.now() - start) * 1e6) / KEYS);
  }
  return least.toFixed(0);
}

/** Million calls a second of so many threads together. */
async function together(heap: Heap, map: SharedMap, threads: number): Promise<string> {
  const gate = new Int32Array(new SharedArrayBuffer(8));
  const workers = Array.from({ length: threads }, (_, seed) => {
    const data: Task = { handle: heap.handle, map: map.handle, seed: seed + 1, gate };
    return new Worker(new URL(import.meta.url), { workerData: data });
  });
  const ready = workers.map((worker) => new Promise((resolve) => worker.once('message', resolve)));
  await Promise.all(ready);
  const ended = workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)));
  const start = performance.now();
  Atomics.store(gate, 0, 1);
  Atomics.notify(gate, 0);
  await Promise.all(ended);
  return ((threads * CALLS) / 1000 / (performance.now() - start)).toFixed(2);
}

if (isMainThread) {
  const heap = Heap.create({ size: 2 ** 24, maxSize: 2 ** 28, cpus: 16 });
  const map = SharedMap.create(heap);
  const plain = new Map<string, Uint8Array>();
  for (const key of keys) map.set(key, value);
  console.log('| call | SharedMap, ns | Map, ns |\n|---|---:|---:|');
  const each = (act: (key: string, i: number) => void) => (): void => {
    for (let i = 0; i < KEYS; i++) act(keys[i], i);
  };
  const calls: [string, () => void, () => void][] = [
    ['get', each((key) => map.get(key)), each((key) => plain.get(key)?.slice())],
    ['has', each((key) => map.has(key)), each((key) => plain.has(key))],
    ['set (replace)', each((key) => map.set(key, value)), each((key) => plain.set(key, value.slice()))],
    [
      'delete and set',
      each((key) => map.delete(key) && map.set(key, value)),
      each((key) => plain.delete(key) && plain.set(key, value.slice())),
    ],
  ];
  for (const [name, shared, own] of calls) console.log(`| ${name} | ${best(shared)} | ${best(own)} |`);
  const vector = SharedVector.create(heap, 'f64');
  const push = best(each((_, i) => vector.push(i)));
  console.log(`SharedVector: push ${push} ns, get ${best(each((_, i) => vector.get(i)))} ns`);
  for (const threads of [1, 2, 4])
    console.log(`${threads} threads: ${await together(heap, map, threads)} million calls a second`);
} else {
  const { handle, map, seed, gate } = workerData as Task;
  const heap = Heap.attach(handle);
  const shared = SharedMap.open(heap, map);
  mixed(shared, seed);
  parentPort?.postMessage('ready');
  Atomics.wait(gate, 0, 0);
  mixed(shared, seed);
  shared.close();
  heap.detach();
  process.exit();
}
