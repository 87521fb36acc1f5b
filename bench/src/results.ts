/**
 * What a run yields, and the arithmetic on it.
 *
 * A row is one metric of one workload. For times, gross is what the clock says; net is gross less what the same loop costs on
 * the same side (C, or JavaScript on the same runtime) around an allocator that does nothing. Both are medians over rounds (or the least of them). A
 * net time under NET_RESOLUTION is below what subtracting two medians can tell, and no ratio is formed with it.
 */

import type { Group, Unit } from './suite.ts';

export type Side = 'js' | 'c';
/** The least is for a busy machine: with short rounds, some are not disturbed. */
export type Statistic = 'median' | 'least';

export interface Times {
  /** The figure: the median of the rounds, or the least one. */
  readonly figure: number;
  readonly min: number;
  readonly max: number;
}

export interface Result {
  readonly allocator: string;
  readonly side: Side;
  /** Absent for the runtime that runs the harness. */
  readonly runtime?: string;
  readonly identity: string;
  readonly gross: Times;
  /** Absent for the no-op allocator itself, for what is no time, and without a no-op of its side to subtract. */
  readonly net?: number;
  /** modslab's figure ÷ this one's. Absent for modslab itself. */
  readonly ratio?: { readonly gross?: number; readonly net?: number };
  readonly rounds: readonly number[];
}

export interface Row {
  readonly workload: string;
  readonly metric: string;
  readonly unit: Unit;
  readonly group: Group;
  readonly what: string;
  readonly detail: boolean;
  readonly counts: boolean;
  readonly misses: boolean;
  readonly results: readonly Result[];
}

export interface Problem {
  readonly workload: string;
  readonly allocator: string;
  readonly text: string;
}

/** A function or a line, and its share of the samples, 0 … 1. */
export interface Part {
  readonly name: string;
  readonly share: number;
}

/** Where modslab's time in a workload goes, the parts that take most first. */
export interface Profile {
  readonly workload: string;
  readonly parts: readonly Part[];
}

/** What page frames and metadata in use are made of, when a trace has most bytes live: multiples of these. */
export interface MemoryParts {
  readonly trace: string;
  /** Bytes. */
  readonly live: number;
  readonly rounding: number;
  readonly free: number;
  readonly metadata: number;
}

/** Calls of kmalloc and kfree that took long, by what they did; times in ns. */
export interface LongCalls {
  readonly what: string;
  readonly inMillion: number;
  readonly median: number;
  readonly longest: number;
}

export interface Report {
  readonly format: 2;
  readonly machine: string;
  readonly runtime: string;
  readonly date: string;
  readonly parameters: {
    readonly scale: string;
    readonly rounds: number;
    readonly roundMs: number;
    readonly warmMs: number;
    /** Which of its rounds stands for a contestant. */
    readonly statistic: Statistic;
  };
  readonly operation: string;
  readonly rows: readonly Row[];
  /** Heaps that failed validation or changed objects after the last round. */
  readonly problems: readonly Problem[];
  readonly missing: readonly string[];
  /** What is to be a document has these too: profiles of the workloads that take longer than mimalloc. */
  readonly profiles?: readonly Profile[];
  readonly memoryParts?: readonly MemoryParts[];
  readonly longCalls?: readonly LongCalls[];
}

export interface Measured {
  readonly allocator: string;
  readonly side: Side;
  readonly runtime?: string;
  readonly identity: string;
  readonly rounds: readonly number[];
}

/** Nanoseconds. */
const NET_RESOLUTION = 0.2;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** Adds net times and ratios to what was measured. */
export function evaluate(
  measured: readonly Measured[],
  {
    isTime = true,
    figure = median,
  }: { isTime?: boolean; figure?: (rounds: readonly number[]) => number } = {},
): Result[] {
  const gross = new Map(measured.map((m) => [m, figure(m.rounds)]));
  const netOf = (m: Measured): number | undefined => {
    const noop = measured.find(
      (other) => other.allocator === 'noop' && other.side === m.side && other.runtime === m.runtime,
    );
    if (!isTime || noop === undefined || noop === m) return undefined;
    return (gross.get(m) ?? Number.NaN) - (gross.get(noop) ?? Number.NaN);
  };
  const own = measured.find((m) => m.allocator === 'modslab' && m.runtime === undefined);
  return measured.map((m) => {
    const net = netOf(m);
    const times = {
      figure: gross.get(m) ?? Number.NaN,
      min: Math.min(...m.rounds),
      max: Math.max(...m.rounds),
    };
    const compared = own !== undefined && m !== own && m.allocator !== 'noop';
    const ratio = compared ? ratioOf(gross.get(own), times.figure, netOf(own), net) : undefined;
    return {
      ...m,
      gross: times,
      ...(net === undefined ? {} : { net }),
      ...(ratio === undefined ? {} : { ratio }),
    };
  });
}

function ratioOf(
  ownGross: number | undefined,
  gross: number,
  ownNet: number | undefined,
  net: number | undefined,
): { gross?: number; net?: number } {
  const grossRatio = ownGross === undefined ? {} : { gross: ownGross / gross };
  const tellable =
    ownNet !== undefined && net !== undefined && ownNet > NET_RESOLUTION && net > NET_RESOLUTION;
  return tellable ? { ...grossRatio, net: ownNet / net } : grossRatio;
}

/** Of a row, the result of an allocator in C, or of a subject on the harness's own runtime. */
export function resultOf(row: Row, allocator: string, side: Side): Result | undefined {
  return row.results.find((r) => r.allocator === allocator && r.side === side && r.runtime === undefined);
}

/** The native allocator that is fastest in the row. */
export function bestNative(row: Row): Result | undefined {
  const natives = row.results.filter((r) => r.side === 'c' && r.allocator !== 'noop');
  return natives.reduce<Result | undefined>(
    (best, r) => (best === undefined || r.gross.figure < best.gross.figure ? r : best),
    undefined,
  );
}

export interface Mean {
  readonly name: string;
  readonly allocator: string;
  readonly workloads: number;
  readonly gross: number;
  readonly net: number | undefined;
}

/**
 * Geometric means of modslab's ratios to each native allocator, and to the best one of each row, over the given rows. A
 * workload of several rows counts as one, by their mean.
 */
export function means(name: string, rows: readonly Row[]): Mean[] {
  const natives = new Set(
    rows.flatMap((row) =>
      row.results.filter((r) => r.side === 'c' && r.allocator !== 'noop').map((r) => r.allocator),
    ),
  );
  const workloads = [...new Set(rows.map((row) => row.workload))];
  const of = (allocator: string, pick: (row: Row) => Result | undefined): Mean | undefined => {
    const ratios = (side: 'gross' | 'net'): number[] =>
      workloads
        .map((workload) =>
          rows
            .filter((row) => row.workload === workload)
            .map((row) => pick(row)?.ratio?.[side])
            .filter((ratio) => ratio !== undefined),
        )
        .filter((found) => found.length > 0)
        .map(geometricMean);
    const [gross, net] = [ratios('gross'), ratios('net')];
    if (gross.length === 0) return undefined;
    return {
      name,
      allocator,
      workloads: gross.length,
      gross: geometricMean(gross),
      net: net.length === 0 ? undefined : geometricMean(net),
    };
  };
  return [
    ...[...natives].map((allocator) => of(allocator, (row) => resultOf(row, allocator, 'c'))),
    of('best of each', bestNative),
  ].filter((mean) => mean !== undefined);
}

/** The means that a report is summed up by. */
export function summary(report: Report): Mean[] {
  const counting = report.rows.filter((row) => row.counts);
  const single = counting.filter((row) => row.group === 'single' || row.workload === 'replace-1g');
  const threads = counting.filter((row) => row.group === 'threads');
  const traces = counting.filter((row) => row.group === 'traces');
  return [
    ...means('one thread', single),
    ...means(
      'one thread, caches hit',
      single.filter((row) => !row.misses),
    ),
    ...means('two threads', threads),
    ...means('traces', traces),
  ];
}
