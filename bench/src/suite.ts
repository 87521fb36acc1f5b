/**
 * The workloads: which kernel with which parameters, what its figures mean, who takes part. Names and parameters are those of
 * the programs that they are after; where one was scaled down so that a round stays short, `what` says what it does now.
 *
 * Unless a workload says otherwise, one operation is one pair, an allocation and the free of an object, so that figures
 * compare across workloads; with several threads, figures are wall time per operation of one thread.
 */

import type { Parameters, Spec } from './kernel.ts';
import type { DecodedTrace } from './traces.ts';
import { sh6Objects } from './workloads/sh6bench.ts';
import { sh8Objects } from './workloads/sh8bench.ts';
import { SLAB_TEST_PARTS } from './workloads/slabTest.ts';

/** How large the parameters are: of a full run, of a quick one, of a test. */
export type Scale = 'standard' | 'quick' | 'tiny';

export type Unit = 'ns' | 'ms' | 'KiB' | '%' | '×' | 'calls';

export interface Metric {
  readonly name: string;
  readonly unit: Unit;
  /** From a round's values and the number of calls they are the sum of. */
  of(values: readonly number[], calls: number): number;
  /** Left out of the tables: one size of many. */
  readonly detail?: boolean;
  /** Part of the geometric means. */
  readonly counts?: boolean;
  /** For speed-ups. */
  readonly more?: 'better';
}

export type Group = 'single' | 'threads' | 'traces' | 'growth' | 'memory' | 'latency' | 'start';

export interface Workload {
  readonly name: string;
  readonly group: Group;
  readonly what: string;
  readonly metrics: readonly Metric[];
  readonly spec: Spec;
  /** Every round in a new process, with no warm-up. */
  readonly cold: boolean;
  /** JavaScript subjects that take part beside modslab and the no-op allocator. */
  readonly peers: readonly string[];
  /** Whether the native allocators take part. */
  readonly native: boolean;
  /** Misses the caches: the means are also given without these. */
  readonly misses: boolean;
  /** Only the no-op allocators: the workload itself is what is measured. */
  readonly bare: boolean;
}

type Sketch = Partial<Omit<Workload, 'spec'>> &
  Pick<Workload, 'name' | 'what'> & {
    readonly kernel: string;
    readonly ops?: number;
    readonly parameters?: Parameters;
    readonly threads?: number;
    readonly respawn?: boolean;
    readonly heapMiB?: number;
    readonly touched?: boolean;
    readonly grow?: boolean;
    readonly makes?: boolean;
  };

const WASM: readonly string[] = ['dlmalloc-wasm', 'as-tlsf'];
const ALL_PEERS: readonly string[] = ['floor', 'thi.ng', 'Uint8Array', ...WASM];
const HEAP_MIB = 64;
const MIB = 2 ** 20;

function time(ops: number): Metric {
  return { name: 'time', unit: 'ns', of: ([ns = Number.NaN], calls) => ns / (calls * ops), counts: true };
}

function workload(sketch: Sketch): Workload {
  const { kernel, ops, parameters = {}, threads = 1, respawn = false, touched = false, grow } = sketch;
  const metrics = sketch.metrics ?? [time(ops ?? 1)];
  const group = sketch.group ?? (threads > 1 ? 'threads' : 'single');
  const subject = { heapMiB: sketch.heapMiB ?? HEAP_MIB, touched, ...(grow === true ? { grow } : {}) };
  // Of a workload that is not just one kind of work, the kernel knows by its parameters what its phases are.
  const phases = sketch.metrics === undefined || respawn ? 0 : Number(parameters.phases ?? 1);
  return {
    name: sketch.name,
    group,
    what: sketch.what,
    metrics,
    spec: { kernel, threads, phases, respawn, makes: sketch.makes ?? false, subject, parameters },
    cold: sketch.cold ?? false,
    peers: sketch.peers ?? (threads > 1 ? [] : WASM),
    native: sketch.native ?? true,
    misses: sketch.misses ?? false,
    bare: sketch.bare ?? false,
  };
}

/** The value for the scale. */
type By = <T>(standard: T, quick: T, tiny: T) => T;

function basic(by: By): Workload[] {
  const batch = { kernel: 'batch', peers: ALL_PEERS };
  return [
    workload({
      name: 'pair',
      what: 'kmalloc(64), kfree',
      kernel: 'pair',
      ops: 100,
      // So few that V8 enters the optimised function at its head: with 1,000, Node 24 goes through the interpreter and
      // on-stack replacement at every call.
      parameters: { pairs: 100, size: 64 },
      peers: ALL_PEERS,
    }),
    workload({
      ...batch,
      name: 'batch',
      what: '1,000 × kmalloc(64), then 1,000 × kfree in the same order',
      ops: 1000,
      parameters: { count: 1000, groups: 1, size: 64 },
    }),
    workload({
      name: 'churn',
      what: '8,192 live objects of 16…1,024 B: a random one is freed, another size allocated in its place',
      kernel: 'churn',
      ops: 256,
      // Few steps in a call, since one can take an allocator 0.1 ms.
      parameters: { slots: by(8192, 8192, 1024), steps: 256, touch: 0, even: 0 },
      peers: ALL_PEERS,
    }),
    workload({
      ...batch,
      name: 'bulk',
      what: 'kmallocBulk and kfreeBulk of 64 × 64 B; loops where an allocator has no bulk calls',
      kernel: 'bulk',
      ops: 1024,
      parameters: { count: 64, groups: 16, size: 64 },
    }),
  ];
}

function single(by: By): Workload[] {
  const large = { slots: by(200_000, 200_000, 2000), steps: 256, even: 0 };
  return [
    workload({
      name: 'churn-200k',
      what: 'churn over 200,000 objects',
      kernel: 'churn',
      ops: 256,
      parameters: { ...large, touch: 0 },
      heapMiB: 128,
      peers: ['Uint8Array', ...WASM],
      misses: true,
    }),
    workload({
      name: 'churn-200k-touched',
      what: 'the same, each object written when allocated and read when freed',
      kernel: 'churn',
      ops: 256,
      parameters: { ...large, touch: 1 },
      heapMiB: 128,
      touched: true,
      misses: true,
    }),
    workload({
      name: 'glibc-simple',
      what: 'bursts of 25…1,600 objects of 16, 32, 64 B, written; half freed in order, half in reverse',
      kernel: 'glibc_simple',
      ops: 3 * 4 * 1600,
      touched: true,
      peers: ['thi.ng', ...WASM],
    }),
    workload({
      name: 'alloc-test',
      what: '2^18 slots, few of them often (80/20): free and read whole, or allocate and write whole, ≤ 1 KiB; one operation is one of the two',
      kernel: 'alloc_test',
      ops: 256,
      parameters: { slots: by(2 ** 18, 2 ** 18, 2 ** 16), steps: 256 },
      heapMiB: 128,
      touched: true,
    }),
    workload({
      name: 'sh6bench',
      what: 'sizes 1…1,000 B, mostly small, a fifth survives each cycle; freed half in order, half in reverse',
      kernel: 'sh6bench',
      ops: sh6Objects(),
      parameters: { pointers: 10_000 },
      touched: true,
      peers: ['thi.ng', ...WASM],
    }),
    workload({
      name: 'malloc-large',
      what: '20 slots of 5…25 MiB, replaced in turn, untouched',
      kernel: 'malloc_large',
      ops: by(100, 100, 20),
      parameters: {
        slots: by(20, 20, 4),
        steps: by(100, 100, 20),
        smallest: by(5 * MIB, 5 * MIB, MIB / 2),
        largest: by(25 * MIB, 25 * MIB, 2 * MIB),
      },
      heapMiB: by(1024, 1024, 32),
      misses: true,
    }),
  ];
}

const LEVELS: readonly (readonly [string, number])[] = [
  ['1m', MIB],
  ['16m', 16 * MIB],
  ['256m', 256 * MIB],
  ['1g', 1024 * MIB],
];
/** Live bytes from which a workload's time is that of its cache misses. */
const MISSING: number = 256 * MIB;

function growth(by: By): Workload[] {
  const levels = LEVELS.slice(0, by(4, 2, 1));
  const replace = levels.map(([name, bytes]) =>
    workload({
      name: `replace-${name}`,
      group: 'growth',
      what: `random replacement of touched objects, 256 B in the mean, ${bytes / MIB} MiB live`,
      kernel: 'churn',
      ops: 256,
      parameters: { slots: bytes / 256, steps: 256, touch: 1, even: 1 },
      heapMiB: Math.max(HEAP_MIB, (bytes / MIB) * 1.75),
      touched: true,
      peers: [],
      misses: bytes >= MISSING,
    }),
  );
  const access = levels.map(([name, bytes]) =>
    workload({
      name: `access-${name}`,
      group: 'growth',
      what: `reading and writing random words of ${bytes / MIB} MiB: no allocator`,
      kernel: 'access',
      ops: 256,
      parameters: { steps: 256, bytes },
      peers: [],
      bare: true,
    }),
  );
  return [...replace, ...access];
}

/** Phase 0: one thread does all the work. Phase 1: all share it. */
function speedUp(ops: number): Metric[] {
  return [
    {
      name: 'time',
      unit: 'ns',
      of: ([, all = Number.NaN], calls) => all / (calls * ops),
      counts: true,
    },
    {
      name: 'speed-up',
      unit: '×',
      of: ([one = Number.NaN, all = Number.NaN]) => one / all,
      more: 'better',
    },
  ];
}

function twoThreads(by: By): Workload[] {
  const larson = { slots: by(5000, 5000, 500), smallest: 8, largest: 1000 };
  const lives = by(500_000, 200_000, 2000);
  const scaling = by(2000, 400, 4);
  return [
    workload({
      name: 'larson',
      what: 'each thread replaces random ones of 5,000 objects of 8…999 B, all allocated by one thread at first',
      kernel: 'larson',
      ops: 1000,
      parameters: { ...larson, steps: 1000 },
      threads: 2,
      touched: true,
    }),
    workload({
      name: 'larson-respawn',
      what: `the same; a thread lives for ${lives.toLocaleString('en-US')} replacements, and starting its successor is nearly all of the time (not in the means)`,
      kernel: 'larson',
      // Not in the means: nearly all of it is the starting of a Worker, which takes a thousand times a pthread's.
      metrics: [{ ...time(lives), counts: false }],
      parameters: { ...larson, steps: lives },
      threads: 2,
      respawn: true,
      touched: true,
    }),
    workload({
      name: 'mstress',
      what: 'sizes from 8 B to 5 MB, random frees, objects exchanged between the threads; every word written and verified',
      kernel: 'mstress',
      ops: by(5000, 5000, 500),
      parameters: { allocations: by(5000, 5000, 500), transfers: 1000 },
      threads: 2,
      heapMiB: 256,
      touched: true,
    }),
    workload({
      name: 'rptest',
      what: '1,000 slots a thread, 8…16,000 B, walked by prime strides; batches are handed to the neighbour, who frees them',
      kernel: 'rptest',
      // Of a turn, in the mean: 64.5 fills, and every second turn as many handed over.
      ops: Math.round(20 * 64.5 * 1.5),
      parameters: { slots: 1000, turns: 20, smallest: 8, largest: 16_000 },
      threads: 2,
      heapMiB: 256,
      touched: true,
    }),
    workload({
      name: 'sh6bench-2',
      what: 'sh6bench on two threads',
      kernel: 'sh6bench',
      ops: sh6Objects(),
      parameters: { pointers: 10_000 },
      threads: 2,
      touched: true,
    }),
    sh8(by),
    workload({
      name: 'alloc-test-2',
      what: 'alloc-test on two threads, half the slots each',
      kernel: 'alloc_test',
      ops: 256,
      parameters: { slots: by(2 ** 18, 2 ** 18, 2 ** 16), steps: 256 },
      threads: 2,
      heapMiB: 128,
      touched: true,
    }),
    workload({
      name: 'glibc-thread',
      what: 'each thread replaces random ones of 1,024 objects of 4 B…32 KiB, small ones by far likelier, written whole',
      kernel: 'glibc_thread',
      ops: 1024,
      parameters: { slots: 1024, steps: 1024, smallest: 4, largest: 32_768 },
      threads: 2,
      touched: true,
    }),
    workload({
      name: 'remote',
      what: 'one thread allocates batches of 1,000 × 64 B, a second one frees them',
      kernel: 'remote',
      ops: 64_000,
      parameters: { ring: 8, batch: 1000, batches: 64, size: 64 },
      threads: 2,
    }),
    ...[2, 4].map((threads) => xmalloc(threads)),
    workload({
      name: 'scaling',
      what: 'churn on each thread, each in slots of its own; the speed-up over one thread doing all of it',
      kernel: 'scaling',
      metrics: speedUp(256 * scaling),
      parameters: { slots: 8192, steps: 256, touch: 0, even: 0, calls: scaling, phases: 2 },
      threads: 2,
    }),
    ...[0, 1].map((given) => cacheLines(by, given)),
  ];
}

function sh8(by: By): Workload {
  const [turns, global] = [by(8, 2, 1), by(500_000, 100_000, 2000)];
  const mixed = turns * sh8Objects();
  return workload({
    name: 'sh8bench',
    what: `a histogram of 12 sizes up to 165 KiB, ring as in sh6bench; then ${global.toLocaleString('en-US')} × 8 B allocated by one thread, freed by both`,
    kernel: 'sh8bench',
    metrics: [
      { name: 'time', unit: 'ns', of: ([ns = 0], calls) => ns / (calls * mixed), counts: true },
      {
        name: 'global',
        unit: 'ns',
        of: ([, make = 0, drop = 0], calls) => (make + drop) / (calls * global),
      },
    ],
    parameters: { pointers: by(200_000, 100_000, 2000), turns, global, phases: 3 },
    threads: 2,
    heapMiB: 256,
    touched: true,
  });
}

function xmalloc(threads: number): Workload {
  const batches = 16;
  return workload({
    name: threads === 2 ? 'xmalloc' : `xmalloc-${threads}`,
    what: `${threads / 2} threads fill batches of 4,096 × 64 B, ${threads / 2} free them; batches pass over a locked stack of 100`,
    kernel: 'xmalloc',
    ops: 4096 * batches,
    parameters: { stack: 100, batch: 4096, batches, size: 64 },
    threads,
    heapMiB: 128,
    touched: true,
  });
}

function cacheLines(by: By, given: number): Workload {
  const [repeats, writes] = [by(100, 50, 5), by(20_000, 10_000, 100)];
  return workload({
    name: given === 1 ? 'cache-scratch' : 'cache-thrash',
    what: `each thread allocates a byte, writes it ${writes.toLocaleString('en-US')} times, frees it${given === 1 ? '; the first byte of each was allocated by one thread' : ''}`,
    kernel: 'cache_lines',
    metrics: speedUp(repeats).map((m) => ({ ...m, counts: false })),
    parameters: { repeats, writes, given, phases: 2 },
    threads: 2,
    touched: true,
  });
}

function mean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** A metric of every `step`-th value from `from` on: their geometric mean, and each by itself. */
function sizesOf(
  name: string,
  sizes: readonly number[],
  from: number,
  step: number,
  ops: number,
  counts: boolean,
): Metric[] {
  const of = (values: readonly number[], calls: number): number[] =>
    sizes.map((_, i) => (values[from + i * step] ?? Number.NaN) / (calls * ops));
  return [
    { name, unit: 'ns', of: (values, calls) => mean(of(values, calls)), counts },
    ...sizes.map(
      (size, i): Metric => ({
        name: `${name} ${size}`,
        unit: 'ns',
        of: (values, calls) => of(values, calls)[i] ?? Number.NaN,
        detail: true,
      }),
    ),
  ];
}

const SLAB_SIZES: readonly number[] = Array.from({ length: 12 }, (_, i) => 8 << i);

function slabTests(by: By): Workload[] {
  const count = by(10_000, 2000, 50);
  const { single: parts, threads: manyParts } = SLAB_TEST_PARTS;
  const phases = SLAB_SIZES.length;
  const common = { kernel: 'slab_test', heapMiB: by(640, 192, 64) };
  const names = ['kmalloc', 'kfree', 'pair'];
  const together = ['each', 'each pair', 'remote alloc', 'remote free', 'one alloc', 'N free'];
  return [
    workload({
      ...common,
      name: 'slab-test',
      what: `${count.toLocaleString('en-US')} kmalloc, as many kfree, as many pairs, of 8…16,384 B: geometric means over the sizes`,
      metrics: names.flatMap((name, i) => sizesOf(name, SLAB_SIZES, i, parts, count, true)),
      parameters: { count, smallest: 8, parts, phases: phases * parts },
    }),
    workload({
      ...common,
      name: 'slab-test-2',
      what: `the same on both threads at once; remote: the other thread allocates, thread 0 frees; one: thread 0 allocates, each frees its share`,
      metrics: together.flatMap((name, i) =>
        sizesOf(name, SLAB_SIZES, i, manyParts, i === 2 || i === 3 || i === 4 ? 2 * count : count, true),
      ),
      parameters: { count, smallest: 8, parts: manyParts, phases: phases * manyParts },
      threads: 2,
    }),
  ];
}

function special(by: By): Workload[] {
  const nth = (n: number): Metric['of'] => {
    return (values) => values[n] ?? Number.NaN;
  };
  const calls = ['kmalloc', 'kfree'].flatMap((call, c) =>
    ['p50', 'p99', 'p99.99', 'longest'].map(
      (name, i): Metric => ({ name: `${call} ${name}`, unit: 'ns', of: nth(4 * c + i) }),
    ),
  );
  const steps = by(500_000, 100_000, 2000);
  return [
    workload({
      name: 'latency',
      group: 'latency',
      what: `single calls in churn, ${steps.toLocaleString('en-US')} of each, the clock read around each; less the median of an empty measurement (resolution)`,
      kernel: 'latency',
      metrics: [
        ...calls,
        { name: 'over 50 µs, in a million', unit: 'calls', of: nth(8) },
        { name: 'resolution', unit: 'ns', of: nth(9) },
      ],
      parameters: { slots: 8192, steps },
      peers: [],
    }),
    workload({
      name: 'after-peak',
      group: 'memory',
      what: `${by(200_000, 200_000, 5000).toLocaleString('en-US')} touched objects of mixed sizes are allocated and all freed: what is left of the peak (modslab: page frames in use; C: resident)`,
      kernel: 'after_peak',
      metrics: [{ name: 'left', unit: '%', of: ([peak = 0, left = 0]) => (100 * left) / peak }],
      parameters: { objects: by(200_000, 200_000, 5000) },
      heapMiB: 128,
      touched: true,
      grow: true,
      cold: true,
      peers: [],
    }),
    workload({
      name: 'idle',
      group: 'memory',
      what: 'pages of 4 KiB that a heap of 16 MiB touches which nobody uses',
      kernel: 'idle',
      metrics: [{ name: 'touched', unit: 'KiB', of: ([bytes = 0]) => bytes / 1024 }],
      heapMiB: 16,
      cold: true,
      makes: true,
      peers: [],
      native: false,
    }),
    workload({
      name: 'metadata',
      group: 'memory',
      what: 'metadata ÷ footprint of a heap filled with objects of 64 B',
      kernel: 'metadata_share',
      metrics: [{ name: 'share', unit: '%', of: nth(0) }],
      parameters: { bytes: by(32, 32, 4) * MIB, size: 64 },
      cold: true,
      peers: [],
      native: false,
    }),
    workload({
      name: 'start',
      group: 'start',
      what: 'in a new process: Heap.create and the first kmalloc; one more Heap.attach',
      kernel: 'start',
      metrics: [
        { name: 'create', unit: 'ms', of: nth(0) },
        { name: 'attach', unit: 'ms', of: nth(1) },
      ],
      parameters: { size: 64 },
      heapMiB: 16,
      cold: true,
      makes: true,
      peers: [],
      native: false,
    }),
  ];
}

/** Memory for a trace: its peak, what size classes may add to it, and room for large objects to find a gap. */
function heapFor({ peakLive }: DecodedTrace): number {
  return Math.max(HEAP_MIB, Math.ceil((4 * peakLive) / MIB));
}

function traces(decoded: readonly DecodedTrace[]): Workload[] {
  return decoded.flatMap((trace) => [
    workload({
      name: `trace-${trace.name}`,
      group: 'traces',
      what: `${trace.operations.toLocaleString('en-US')} allocations and frees of ${trace.title}, every page of an object touched; one operation is one call`,
      kernel: 'trace',
      ops: trace.operations,
      parameters: { file: trace.file },
      heapMiB: heapFor(trace),
      touched: true,
      peers: ['dlmalloc-wasm'],
    }),
    workload({
      name: `memory-${trace.name}`,
      group: 'memory',
      what: `the same trace, once: memory touched (in C: made resident) ÷ the most bytes live, ${trace.peakLive.toLocaleString('en-US')}`,
      kernel: 'footprint',
      metrics: [{ name: 'peak', unit: '×', of: ([bytes = 0]) => bytes / trace.peakLive }],
      parameters: { file: trace.file },
      heapMiB: Math.max(256, heapFor(trace)),
      touched: true,
      grow: true,
      cold: true,
      peers: ['dlmalloc-wasm'],
    }),
  ]);
}

/** All workloads at a scale. */
export function createSuite(scale: Scale, decoded: readonly DecodedTrace[]): Workload[] {
  const by: By = (standard, quick, tiny) => ({ standard, quick, tiny })[scale];
  return [
    ...basic(by),
    ...single(by),
    ...slabTests(by),
    ...twoThreads(by),
    ...growth(by),
    ...traces(decoded),
    ...special(by),
  ];
}
