/**
 * What each mode of slab debugging costs, `npm run bench:debug`: a pair of kmalloc and kfree of 64 bytes, a churn over 4,096
 * live objects of 8 … 1,024 bytes, and the beginnings of traces of real programs. Each mode runs in a process of its own, so
 * that none meets code that was compiled for another; they take turns, and the best of `--rounds` (default 5) counts. `--modes off,kfence`
 * measures some only, `--traces FOLDER` says where more traces are.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Heap, type HeapOptions } from 'modslab';
import { machineLine } from './measure.ts';
import { SEED, xorshift32 } from './random.ts';
import { layOut } from './table.ts';
import { ALIGNED, HEADER_WORDS, REALLOCATE, RELEASE, ROW_WORDS, ZEROED } from './traceFormat.ts';
import { decodeTrace, findTraces } from './traces.ts';
import { loadTrace } from './workloads/trace.ts';

interface Mode {
  readonly name: string;
  readonly options: HeapOptions;
  /** Of so many stacks one is taken. */
  readonly every?: number;
}

const MODES: readonly Mode[] = [
  { name: 'off', options: {} },
  { name: 'kfence', options: { kfence: true } },
  { name: 'R', options: { debug: 'R' } },
  { name: 'F', options: { debug: 'F' } },
  { name: 'Z', options: { debug: 'Z' } },
  { name: 'P', options: { debug: 'P' } },
  { name: 'U', options: { debug: 'U' } },
  { name: 'U, one stack in 100', options: { debug: 'U' }, every: 100 },
  { name: 'A', options: { debug: 'A' } },
  { name: 'I', options: { debug: 'I' } },
  { name: 'W', options: { debug: 'W' } },
  { name: 'Q', options: { debug: 'Q' } },
  { name: 'G', options: { debug: 'G' } },
  { name: 'S', options: { debug: 'S' } },
  { name: 'FZPU', options: { debug: 'FZPU' } },
];

const LIVE = 4096;
const TRACES_MAX = 2;
/** Rows of a trace that are replayed: with a stack for every call, each takes some 20 µs. */
const TRACE_ROWS = 100_000;
/** Warm-up, and what is measured. */
const TRACE_MS = 500;

/** Nanoseconds an operation, from as many as fill about `milliseconds`. */
function time(run: (n: number) => void, milliseconds: number): number {
  let n = 200;
  for (;;) {
    const start = performance.now();
    run(n);
    const spent = performance.now() - start;
    if (spent >= milliseconds) return (spent * 1e6) / n;
    n = Math.ceil(n * Math.min(10, Math.max(1.5, (1.2 * milliseconds) / Math.max(0.01, spent))));
  }
}

function pair(heap: Heap): (n: number) => void {
  return (n) => {
    for (let i = 0; i < n; i++) heap.kfree(heap.kmalloc(64));
  };
}

function churn(heap: Heap): (n: number) => void {
  let state = SEED;
  const below = (limit: number): number => {
    state = xorshift32(state);
    return (state >>> 0) % limit;
  };
  const sizes = Int32Array.from({ length: LIVE }, () => 8 + below(1017));
  const places = Int32Array.from({ length: LIVE }, () => below(LIVE));
  const live = Int32Array.from(sizes, (size) => heap.kmalloc(size));
  let at = 0;
  return (n) => {
    for (let i = 0; i < n; i++) {
      const place = places[at];
      at = (at + 1) & (LIVE - 1);
      heap.kfree(live[place] >>> 0);
      live[place] = heap.kmalloc(sizes[at]);
    }
  };
}

/** Replays the beginning of a decoded trace, then frees what is live; how many operations that was. */
function replay(heap: Heap, words: Int32Array, addresses: Uint32Array): number {
  const rows = Math.min(words[1], TRACE_ROWS);
  const end = HEADER_WORDS + rows * ROW_WORDS;
  for (let at = HEADER_WORDS; at < end; at += ROW_WORDS) {
    const [kind, object, size] = [words[at], words[at + 1], words[at + 2]];
    if (kind === RELEASE) {
      heap.kfree(addresses[object]);
      addresses[object] = 0;
    } else if (kind === REALLOCATE) addresses[object] = heap.krealloc(addresses[object], size);
    else if (kind === ZEROED) addresses[object] = heap.kzalloc(size);
    else if (kind === ALIGNED) addresses[object] = heap.kmallocAligned(size, words[at + 3]);
    else addresses[object] = heap.kmalloc(size);
  }
  for (let at = HEADER_WORDS; at < end; at += ROW_WORDS) {
    const object = words[at + 1];
    heap.kfree(addresses[object]);
    addresses[object] = 0;
  }
  return rows;
}

function traced(mode: Mode, file: string): number {
  const words = loadTrace(file);
  const heap = heapOf(mode);
  const addresses = new Uint32Array(words[2]);
  const pass = (milliseconds: number): number => {
    const start = performance.now();
    let operations = 0;
    do operations += replay(heap, words, addresses);
    while (performance.now() - start < milliseconds);
    return ((performance.now() - start) * 1e6) / operations;
  };
  pass(TRACE_MS);
  return pass(TRACE_MS);
}

function heapOf({ options, every }: Mode): Heap {
  const heap = Heap.create({ size: 2 ** 26, maxSize: 2 ** 30, ...options });
  if (every !== undefined) heap.tracking = { every };
  return heap;
}

/** In a process of its own: one mode, all figures, as JSON. */
function measureHere(mode: Mode, traces: readonly string[]): number[] {
  const figures = [pair, churn].map((workload) => {
    const run = workload(heapOf(mode));
    time(run, 100);
    return Math.min(time(run, 200), time(run, 200));
  });
  return [...figures, ...traces.map((file) => traced(mode, file))];
}

function measure(mode: Mode, traces: readonly string[]): number[] {
  const script = fileURLToPath(import.meta.url);
  const args = [script, '--child', mode.name, ...traces];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${mode.name}: ${stderr}`);
  return JSON.parse(stdout) as number[];
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      child: { type: 'string' },
      rounds: { type: 'string', default: '5' },
      modes: { type: 'string' },
      traces: { type: 'string' },
    },
  });
  const child = MODES.find(({ name }) => name === values.child);
  if (child !== undefined) {
    console.log(JSON.stringify(measureHere(child, positionals)));
    return;
  }
  const wanted = values.modes?.split(',');
  const modes = MODES.filter(({ name }) => wanted === undefined || wanted.includes(name));
  const folder = mkdtempSync(join(tmpdir(), 'modslab-debugging-'));
  try {
    const found = [...findTraces(values.traces)].slice(0, TRACES_MAX);
    const decoded = await Promise.all(found.map(([name, file]) => decodeTrace(name, file, folder)));
    const files = decoded.map(({ file }) => file);
    const best = modes.map(() => [] as number[]);
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const [i, mode] of modes.entries()) {
        const figures = measure(mode, files);
        for (const [k, figure] of figures.entries()) best[i][k] = Math.min(best[i][k] ?? figure, figure);
      }
    }
    print(modes, best, ['pair of 64 B', 'churn', ...decoded.map(({ name }) => name)]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function print(modes: readonly Mode[], best: readonly number[][], titles: readonly string[]): void {
  console.log(`ns an operation, and beside mode '${modes[0].name}'. ${machineLine()}\n`);
  const rows = modes.map(({ name }, i) => [
    name,
    ...best[i].flatMap((figure, k) => [figure.toFixed(1), `${(figure / best[0][k]).toFixed(3)} ×`]),
  ]);
  console.log(layOut([['mode', ...titles.flatMap((title) => [title, ''])], ...rows]).join('\n'));
}

await main();
