/**
 * `npm run bench:watch`: what it costs to watch a heap from inside, in ns a pair of calls; each figure is the least of the short
 * rounds of half a second, the first of which compile the loop.
 *
 *     never        nobody has listened since the program began
 *     no more      somebody has, and has stopped
 *     listener     `heap.on('kmalloc', …)` with an empty function (the free, which nobody listens to, goes the long way too)
 *     recorded     `heap.record({ write })` into nothing
 *     call sites   the same with `callSites: true`
 *
 * for kmalloc and kfree of 64 bytes, for a cache's alloc and free, and for a batch of 1,000 allocations and then 1,000 frees, which
 * goes through whole sheaves and so through the counters too. A program a row: what has been compiled for a heap that somebody
 * listens to is not what the next one runs on. The second table: snapshots of heaps of several sizes, in milliseconds.
 */

import { spawnSync } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { Heap } from 'modslab';
import { openSnapshot } from 'modslab/stat';

const MILLISECONDS = 500;
const PAIRS = 5000;
const BATCH = 1000;
const SNAPSHOTS = 5;
const MIB = 2 ** 20;
/** Objects of the snapshots' heaps: each takes a class between 16 bytes and 8 KiB. */
const SIZES = [16, 48, 200, 700, 3000, 8192];

const KINDS = ['never', 'no more', 'listener', 'recorded', 'call sites'] as const;
type Kind = (typeof KINDS)[number];

const nothing = (): void => {};

/** Makes the heap be watched. */
function watch(heap: Heap, kind: Kind): void {
  if (kind === 'no more') {
    const stop = heap.on('kmalloc', nothing);
    const recording = heap.record({ write: nothing });
    for (let i = 0; i < PAIRS; i++) heap.kfree(heap.kmalloc(64));
    recording.stop();
    stop();
  }
  if (kind === 'listener') heap.on('kmalloc', nothing);
  if (kind === 'recorded') heap.record({ write: nothing });
  if (kind === 'call sites') heap.record({ write: nothing, callSites: true });
}

/** The least time of a pair, in nanoseconds, of at least `rounds` and until `milliseconds` have passed. */
function least(rounds: number, milliseconds: number, pairs: number, round: () => void): number {
  const end = performance.now() + milliseconds;
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < rounds || performance.now() < end; i++) {
    const start = performance.now();
    round();
    best = Math.min(best, performance.now() - start);
  }
  return (best * 1e6) / pairs;
}

function measure(kind: Kind): number[] {
  const heap = Heap.create({ size: 16 * MIB });
  const cache = heap.createCache({ name: 'watched', size: 100 });
  const batch = new Uint32Array(BATCH);
  watch(heap, kind);
  return [
    least(1, MILLISECONDS, PAIRS, () => {
      for (let i = 0; i < PAIRS; i++) heap.kfree(heap.kmalloc(64));
    }),
    least(1, MILLISECONDS, PAIRS, () => {
      for (let i = 0; i < PAIRS; i++) cache.free(cache.alloc());
    }),
    least(1, MILLISECONDS, BATCH, () => {
      for (let i = 0; i < BATCH; i++) batch[i] = heap.kmalloc(64);
      for (let i = 0; i < BATCH; i++) heap.kfree(batch[i]);
    }),
  ];
}

function calls(): void {
  console.log('| ns a pair | kmalloc, kfree | cache.alloc, free | batch of 1,000 |\n|---|--:|--:|--:|');
  for (const kind of KINDS) {
    const { stdout, stderr } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), kind], {
      encoding: 'utf8',
    });
    if (stdout === '') throw new Error(stderr);
    const cells = (JSON.parse(stdout) as number[]).map((ns) => (ns < 100 ? ns.toFixed(1) : ns.toFixed(0)));
    console.log(`| ${kind} | ${cells.join(' | ')} |`);
  }
}

const milliseconds = (act: () => unknown): string =>
  (least(SNAPSHOTS, 0, 1, () => void act()) / 1e6).toFixed(1);

function snapshots(): void {
  console.log(
    '\n| heap in use | metadata, MB | taken, ms | opened, ms | with data, MB | taken, ms | restored, ms |\n|---|--:|--:|--:|--:|--:|--:|',
  );
  for (const mib of [16, 128, 1024]) {
    const heap = Heap.create({ size: mib * MIB, maxSize: Math.max(256, mib) * MIB });
    for (let used = 0, i = 0; used < (mib * MIB * 3) / 4; i++) {
      const size = SIZES[i % SIZES.length];
      const address = heap.kmalloc(size);
      if (address === 0) break;
      heap.u32[address >>> 2] = i + 1;
      used += size;
    }
    const metadata = heap.snapshot({ data: false });
    const row = [
      `${mib} MiB`,
      (metadata.length / 1e6).toFixed(1),
      milliseconds(() => heap.snapshot({ data: false })),
      milliseconds(() => openSnapshot(metadata)),
    ];
    const all = heap.snapshot();
    row.push(
      (all.length / 1e6).toFixed(1),
      milliseconds(() => heap.snapshot()),
      milliseconds(() => Heap.restore(all).detach()),
    );
    console.log(`| ${row.join(' | ')} |`);
  }
}

const [kind] = process.argv.slice(2);
if (kind !== undefined) console.log(JSON.stringify(measure(kind as Kind)));
else {
  calls();
  snapshots();
}
