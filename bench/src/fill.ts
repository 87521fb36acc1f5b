/**
 * `npm run bench:fill`: what ways of filling shared memory with zeros cost, by length; what kmalloc/fill.ts chose its loop by.
 * Each is the best of many rounds.
 */

import { layOut } from './table.ts';

const LENGTHS: readonly number[] = [64, 256, 1024, 4096];
const ROUNDS = 20;
const CALLS = 20_000;
const BYTES = 2 ** 24;
const MASK: number = BYTES / 2 - 1;

const buffer = new SharedArrayBuffer(BYTES);
const u8 = new Uint8Array(buffer);
const f64 = new Float64Array(buffer);
const zeros = new Uint8Array(4096);

function loop(at: number, bytes: number): void {
  const end = (at + bytes) >>> 3;
  let i = at >>> 3;
  for (; i <= end - 8; i += 8) {
    f64[i] = 0;
    f64[i + 1] = 0;
    f64[i + 2] = 0;
    f64[i + 3] = 0;
    f64[i + 4] = 0;
    f64[i + 5] = 0;
    f64[i + 6] = 0;
    f64[i + 7] = 0;
  }
  for (; i < end; i++) f64[i] = 0;
}

const WAYS: Readonly<Record<string, (at: number, bytes: number) => void>> = {
  'loop of doubles, 8 a step': loop,
  'Float64Array.fill': (at, bytes) => void f64.fill(0, at >>> 3, (at + bytes) >>> 3),
  'Uint8Array.fill': (at, bytes) => void u8.fill(0, at, at + bytes),
  'set from a part of an array of zeros': (at, bytes) => u8.set(zeros.subarray(0, bytes), at),
};

function best(way: (at: number, bytes: number) => void, bytes: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < CALLS; i++) way((i * bytes) & MASK, bytes);
    least = Math.min(least, Number(process.hrtime.bigint() - start) / CALLS);
  }
  return least;
}

const rows = Object.entries(WAYS).map(([name, way]) => [
  name,
  ...LENGTHS.map((bytes) => best(way, bytes).toFixed(1)),
]);
for (const line of layOut([['ns', ...LENGTHS.map((bytes) => `${bytes} B`)], ...rows])) console.log(line);
