/**
 * What addresses above 4 GiB would cost on the fast path, `npm run bench:wide`: the fast path's code on a small model of the
 * metadata (one slab, one sheaf, the same loads, stores and checks), with addresses as
 *
 *     bytes32    byte offsets below 2^32: what modslab has
 *     bytes53    byte offsets of any size, as doubles: entry * 8, address / 8
 *     granules   numbers of granules of 8 bytes: what sheaves store already, unchanged, up to 32 GiB
 *
 * in three loops: a pair of allocation and free; 60 held in a plain array; 60 held in a typed array (of 32 bits, of doubles for
 * bytes53). And where the slab lies: low, where every address is a small integer to V8, or high: above 2 GiB (bytes32), above
 * 12 GiB (the others). Nanoseconds a pair, the best of many rounds, in processes that
 * take turns. docs/addresses-above-4gib.md has what follows.
 */

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const PAGE_SHIFT = 16;
const STRIDE = 64;
const OBJECTS = 1024;
const HELD = 60;
const PAGE_WORDS_SHIFT = 4;
const [BASE, STRIDE_WORD, RECIPROCAL, STATES] = [0, 1, 2, 3];
const RECIPROCAL_SHIFT = 16;
const [CACHED, LIVE] = [1, 2];
const SHEAF_WORDS = 256;
const GIB = 2 ** 30;

/** The metadata of one slab whose page is number `pfn`; offsets and strides in `unit` bytes. */
class Model {
  readonly m: Int32Array;
  readonly s: Uint8Array;
  readonly hot: Int32Array;
  readonly maxFrames: number;
  readonly vmemMap: number = SHEAF_WORDS * 2;

  constructor(pfn: number, unit: number) {
    this.maxFrames = pfn + 1;
    this.m = new Int32Array(new SharedArrayBuffer(4 * (this.vmemMap + (this.maxFrames << PAGE_WORDS_SHIFT))));
    this.s = new Uint8Array(new SharedArrayBuffer(OBJECTS));
    this.hot = new Int32Array(16);
    const page = this.vmemMap + (pfn << PAGE_WORDS_SHIFT);
    this.m[page + BASE] = (pfn * 2 ** PAGE_SHIFT) / unit;
    this.m[page + STRIDE_WORD] = STRIDE / unit;
    this.m[page + RECIPROCAL] = Math.ceil(2 ** RECIPROCAL_SHIFT / (STRIDE / 8));
    this.hot[0] = SHEAF_WORDS;
    for (let i = 0; i < HELD + 4; i++) {
      this.hot[0] += 2;
      this.m[this.hot[0]] = (pfn * 2 ** PAGE_SHIFT + i * STRIDE) / 8;
      this.m[this.hot[0] + 1] = i;
      this.s[i] = CACHED;
    }
  }
}

class Bytes32 extends Model {
  alloc(): number {
    const { hot, m } = this;
    const top = hot[0];
    const entry = m[top];
    if (entry === 0) return 0;
    this.s[m[top | 1]] = LIVE;
    hot[0] = top - 2;
    m[top] = 0;
    return (entry << 3) >>> 0;
  }

  free(address: number): boolean {
    const { hot, m, s } = this;
    const pfn = address >>> PAGE_SHIFT;
    if (pfn >= this.maxFrames || address >>> 0 !== address) return false;
    const page = (this.vmemMap + (pfn << PAGE_WORDS_SHIFT)) | 0;
    const top = (hot[0] + 2) | 0;
    if ((top & 255) === 0) return false;
    const offset = (address - m[page | BASE]) | 0;
    const index = Math.imul(offset >>> 3, m[page | RECIPROCAL]) >>> RECIPROCAL_SHIFT;
    const state = (m[page | STATES] + index) | 0;
    if (Math.imul(index, m[page | STRIDE_WORD]) !== offset || s[state] !== LIVE) return false;
    m[top | 1] = state;
    m[top] = address >>> 3;
    s[state] = CACHED;
    hot[0] = top;
    return true;
  }
}

class Bytes53 extends Model {
  alloc(): number {
    const { hot, m } = this;
    const top = hot[0];
    const entry = m[top];
    if (entry === 0) return 0;
    this.s[m[top | 1]] = LIVE;
    hot[0] = top - 2;
    m[top] = 0;
    return (entry >>> 0) * 8;
  }

  free(address: number): boolean {
    const { hot, m, s } = this;
    const granule = address * 0.125;
    const pfn = granule >>> (PAGE_SHIFT - 3);
    if (pfn >= this.maxFrames || granule >>> 0 !== granule) return false;
    const page = (this.vmemMap + (pfn << PAGE_WORDS_SHIFT)) | 0;
    const top = (hot[0] + 2) | 0;
    if ((top & 255) === 0) return false;
    const offset = (granule - m[page | BASE]) | 0;
    const index = Math.imul(offset, m[page | RECIPROCAL]) >>> RECIPROCAL_SHIFT;
    const state = (m[page | STATES] + index) | 0;
    if (Math.imul(index, m[page | STRIDE_WORD]) !== offset || s[state] !== LIVE) return false;
    m[top | 1] = state;
    m[top] = granule;
    s[state] = CACHED;
    hot[0] = top;
    return true;
  }
}

class Granules extends Model {
  alloc(): number {
    const { hot, m } = this;
    const top = hot[0];
    const entry = m[top];
    if (entry === 0) return 0;
    this.s[m[top | 1]] = LIVE;
    hot[0] = top - 2;
    m[top] = 0;
    return entry >>> 0;
  }

  free(granule: number): boolean {
    const { hot, m, s } = this;
    const pfn = granule >>> (PAGE_SHIFT - 3);
    if (pfn >= this.maxFrames || granule >>> 0 !== granule) return false;
    const page = (this.vmemMap + (pfn << PAGE_WORDS_SHIFT)) | 0;
    const top = (hot[0] + 2) | 0;
    if ((top & 255) === 0) return false;
    const offset = (granule - m[page | BASE]) | 0;
    const index = Math.imul(offset, m[page | RECIPROCAL]) >>> RECIPROCAL_SHIFT;
    const state = (m[page | STATES] + index) | 0;
    if (Math.imul(index, m[page | STRIDE_WORD]) !== offset || s[state] !== LIVE) return false;
    m[top | 1] = state;
    m[top] = granule;
    s[state] = CACHED;
    hot[0] = top;
    return true;
  }
}

interface Subject {
  alloc(): number;
  free(address: number): boolean;
}
type Loop = (subject: Subject, held: number[] | Uint32Array | Float64Array, pairs: number) => boolean;

const pair: Loop = (subject, _held, pairs) => {
  let ok = true;
  for (let i = 0; i < pairs; i++) ok = subject.free(subject.alloc()) && ok;
  return ok;
};
const batch: Loop = (subject, held, pairs) => {
  let ok = true;
  for (let left = pairs; left > 0; left -= HELD) {
    for (let i = 0; i < HELD; i++) held[i] = subject.alloc();
    for (let i = 0; i < HELD; i++) ok = subject.free(held[i]) && ok;
  }
  return ok;
};

const PAIRS = 60_000;
const ROUNDS = 100;
const TURNS = 4;
const FRAMES_PER_GIB: number = GIB / 2 ** PAGE_SHIFT;
const PLACES: Readonly<Record<string, { readonly bytes32: number; readonly wide: number }>> = {
  low: { bytes32: 1, wide: 1 },
  high: { bytes32: 3, wide: 12 },
};
const TYPES: Readonly<Record<string, new (pfn: number, unit: number) => Subject>> = {
  bytes32: Bytes32,
  bytes53: Bytes53,
  granules: Granules,
};
const LOOPS: readonly ((name: string) => [Loop, number[] | Uint32Array | Float64Array])[] = [
  () => [pair, []],
  () => [batch, Array<number>(HELD).fill(0)],
  (name) => [batch, name === 'bytes53' ? new Float64Array(HELD) : new Uint32Array(HELD)],
];

/** In a process of its own, so that nothing is measured with what the engine has learnt from another: ns a pair. */
function measure(name: string, where: string, loop: number): number {
  const { bytes32, wide } = PLACES[where];
  const isWide = name !== 'bytes32';
  const subject = new TYPES[name](FRAMES_PER_GIB * (isWide ? wide : bytes32), isWide ? 8 : 1);
  const [run, held] = LOOPS[loop](name);
  let best = Number.MAX_VALUE;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    if (!run(subject, held, PAIRS)) throw new Error(`${name}, ${where}: a free was refused`);
    best = Math.min(best, ((performance.now() - start) * 1e6) / PAIRS);
  }
  return best;
}

function inProcess(name: string, where: string, loop: number): number {
  const self = fileURLToPath(import.meta.url);
  const { stdout } = spawnSync(process.execPath, [self, name, where, String(loop)], { encoding: 'utf8' });
  return Number(stdout);
}

function whatBuffersThereAre(): void {
  for (const gib of [4, 8, 16]) {
    for (const [name, make] of [
      ['SharedArrayBuffer', () => new SharedArrayBuffer(gib * GIB)],
      ['growable SharedArrayBuffer', () => new SharedArrayBuffer(0, { maxByteLength: gib * GIB })],
      ['Uint8Array of it', () => new Uint8Array(new SharedArrayBuffer(gib * GIB))],
      ['Float64Array of it', () => new Float64Array(new SharedArrayBuffer(gib * GIB))],
    ] as const) {
      let outcome = 'yes';
      try {
        make();
      } catch (error) {
        outcome = (error as Error).message;
      }
      console.log(`${gib} GiB, ${name}: ${outcome}`);
    }
  }
}

const [name, where, loop] = process.argv.slice(2);
if (name !== undefined) {
  process.stdout.write(String(measure(name, where, Number(loop))));
} else {
  const rows = Object.keys(PLACES).flatMap((place) =>
    Object.keys(TYPES).map((type) => ({ type, place, best: LOOPS.map(() => Number.MAX_VALUE) })),
  );
  for (let turn = 0; turn < TURNS; turn++)
    for (const { type, place, best } of rows)
      for (const i of best.keys()) best[i] = Math.min(best[i], inProcess(type, place, i));
  console.log('| addresses | slab | pair | in an array | in a typed array |\n|---|---|---:|---:|---:|');
  for (const { type, place, best } of rows)
    console.log(`| ${type} | ${place} | ${best.map((ns) => ns.toFixed(1)).join(' | ')} |`);
  whatBuffersThereAre();
}
