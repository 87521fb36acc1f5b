/**
 * The goals that modslab has set itself, each with the figure of a report that tells whether it is met. A figure that the
 * run does not have (a workload left out, a peer not installed) is "not measured", never "met".
 */

import { bestNative, type Report, type Result, type Row, resultOf, summary } from './results.ts';
import { figure } from './table.ts';

export interface Goal {
  readonly goal: string;
  /** What the figure must be at most, or at least. */
  readonly limit: number;
  readonly atLeast: boolean;
  readonly unit: string;
  readonly value: number | undefined;
  /** What else there is to say: the figure compared with, the exceptions. */
  readonly note: string;
}

export function isMet({ value, limit, atLeast }: Goal): boolean | undefined {
  if (value === undefined || Number.isNaN(value)) return undefined;
  return atLeast ? value >= limit : value <= limit;
}

/** "met", or by how much not. */
export function verdict(goal: Goal): string {
  const met = isMet(goal);
  if (met === undefined || goal.value === undefined) return 'not measured';
  if (met) return '**met**';
  const off = goal.atLeast ? goal.limit / goal.value : goal.value / goal.limit;
  return goal.limit === 0 ? 'not met' : `not met, by a factor of ${figure(off)}`;
}

class Figures {
  private readonly report: Report;

  constructor(report: Report) {
    this.report = report;
  }

  row(workload: string, metric = 'time'): Row | undefined {
    return this.report.rows.find((row) => row.workload === workload && row.metric === metric);
  }

  result(workload: string, metric = 'time', allocator = 'modslab', side: 'js' | 'c' = 'js'): Result | undefined {
    const row = this.row(workload, metric);
    return row === undefined ? undefined : resultOf(row, allocator, side);
  }

  value(workload: string, metric = 'time', allocator = 'modslab', side: 'js' | 'c' = 'js'): number | undefined {
    return this.result(workload, metric, allocator, side)?.gross.figure;
  }

  /** modslab's time ÷ mimalloc's. */
  toMimalloc(workload: string, metric = 'time'): number | undefined {
    return this.result(workload, metric, 'mimalloc', 'c')?.ratio?.gross;
  }

  mean(name: string): { gross: number | undefined; note: string } {
    const all = summary(this.report).filter((mean) => mean.name === name);
    const mimalloc = all.find((mean) => mean.allocator === 'mimalloc');
    const others = all.filter((mean) => mean !== mimalloc).map((m) => `${m.allocator} ${figure(m.gross)}`);
    const net = mimalloc?.net === undefined ? '' : `net ${figure(mimalloc.net)}; `;
    return { gross: mimalloc?.gross, note: `${net}to ${others.join(', ')}` };
  }
}

function goal(text: string, limit: number, value: number | undefined, more: Partial<Goal> = {}): Goal {
  return { goal: text, limit, value, atLeast: false, unit: '', note: '', ...more };
}

function speed(figures: Figures): Goal[] {
  const means = [
    ['one thread: geometric mean of time ÷ mimalloc’s', 'one thread'],
    ['the same without the workloads that miss the caches', 'one thread, caches hit'],
    ['two threads: geometric mean of time ÷ mimalloc’s', 'two threads'],
    ['traces: geometric mean of time ÷ mimalloc’s', 'traces'],
  ].map(([text = '', name = '']) => {
    const { gross, note } = figures.mean(name);
    return goal(text, 1, gross, { note });
  });
  const single = ['pair', 'batch', 'churn', 'remote', 'xmalloc'].map((name) => {
    const row = figures.row(name);
    const best = row === undefined ? undefined : bestNative(row);
    const note =
      best === undefined ? '' : `to the best native, ${best.allocator}, ${figure(best.ratio?.gross ?? Number.NaN)}`;
    return goal(`${name}: time ÷ mimalloc’s`, 1, figures.toMimalloc(name), { note });
  });
  const thing = figures.result('churn', 'time', 'thi.ng')?.ratio?.gross;
  const bulk = figures.value('bulk');
  return [
    ...means,
    ...single,
    goal('churn over 8,192 objects: @thi.ng/malloc’s time ÷ modslab’s', 1000, thing === undefined ? undefined : 1 / thing, {
      atLeast: true,
    }),
    goal('bulk calls, an object (half of a pair)', 2, bulk === undefined ? undefined : bulk / 2, { unit: 'ns' }),
  ];
}

function scaling(figures: Figures): Goal[] {
  return [
    ['scaling', 'two threads on disjoint work: speed-up'],
    ['cache-scratch', 'no passive false sharing: speed-up of cache-scratch'],
    ['cache-thrash', 'no active false sharing: speed-up of cache-thrash'],
  ].map(([name = '', text = '']) => {
    const noop = figures.value(name, 'speed-up', 'noop');
    const note = noop === undefined ? '' : `with no allocator at all ${figure(noop)}: what the machine gave`;
    return goal(text, 1.95, figures.value(name, 'speed-up'), { atLeast: true, unit: '×', note });
  });
}

/** How the cost grows from 1 MiB to the largest size that was run. */
function growth(report: Report, figures: Figures): Goal {
  const levels = report.rows.filter((row) => row.workload.startsWith('replace-')).map((row) => row.workload.slice(8));
  const last = levels.at(-1) ?? '1g';
  const own = (figures.value(`replace-${last}`) ?? Number.NaN) / (figures.value('replace-1m') ?? Number.NaN);
  const bare =
    (figures.value(`access-${last}`, 'time', 'noop') ?? Number.NaN) /
    (figures.value('access-1m', 'time', 'noop') ?? Number.NaN);
  const text = 'growth of cost from 1 MiB to 1 GiB live ÷ that of a bare random access';
  const note = `${figure(own)} ÷ ${figure(bare)}, up to ${last}`;
  return goal(text, 1.5, last === '1g' ? own / bare : undefined, { note });
}

function memory(report: Report, figures: Figures): Goal[] {
  const peaks = report.rows.filter((row) => row.metric === 'peak');
  const against = (allocator: string): Goal => {
    const ratios = peaks.map((row) => ({
      name: row.workload.slice('memory-'.length),
      ratio: resultOf(row, allocator, 'c')?.ratio?.gross ?? Number.NaN,
    }));
    const worst = ratios.reduce((a, b) => (b.ratio > a.ratio ? b : a), { name: '', ratio: 0 });
    const met = ratios.filter(({ ratio }) => ratio <= 1).length;
    return goal(`peak memory ÷ ${allocator}’s, the worst trace`, 1, ratios.length === 0 ? undefined : worst.ratio, {
      note: `${worst.name}; at most ${allocator}’s on ${met} of ${ratios.length} traces`,
    });
  };
  return [
    against('mimalloc'),
    against('jemalloc'),
    goal('metadata ÷ footprint at objects of 64 bytes', 2, figures.value('metadata', 'share'), { unit: '%' }),
    goal('memory touched by an idle heap of 16 MiB', 256, figures.value('idle', 'touched'), { unit: 'KiB' }),
    goal('memory still in use after a peak', 10, figures.value('after-peak', 'left'), {
      unit: '% of it',
      note: `mimalloc’s ${figure(figures.value('after-peak', 'left', 'mimalloc', 'c') ?? Number.NaN)} %, resident`,
    }),
  ];
}

function latency(figures: Figures): Goal[] {
  const tails = ['kmalloc', 'kfree'].map((call) => {
    const own = figures.value('latency', `${call} p99.99`);
    const other = figures.value('latency', `${call} p99.99`, 'mimalloc', 'c');
    return goal(`${call}, p99.99 ÷ mimalloc’s`, 1, own === undefined || other === undefined ? undefined : own / other, {
      note: `${figure(own ?? Number.NaN)} ns to ${figure(other ?? Number.NaN)} ns`,
    });
  });
  const over = 'over 50 µs, in a million';
  const own = figures.value('latency', over);
  const noop = figures.value('latency', over, 'noop');
  return [
    ...tails,
    goal('calls over 50 µs in a million, less those around no allocator', 0, own === undefined ? undefined : own - (noop ?? 0), {
      note: `${figure(own ?? Number.NaN)} less ${figure(noop ?? Number.NaN)}`,
    }),
  ];
}

/** `importSize`: bytes of `import { Heap }`, minified and gzipped, as `npm run size` measures it. */
export function goalsOf(report: Report, importSize: number | undefined): Goal[] {
  const figures = new Figures(report);
  return [
    ...speed(figures),
    ...scaling(figures),
    growth(report, figures),
    ...memory(report, figures),
    ...latency(figures),
    goal('Heap.create and the first kmalloc, cold', 1, figures.value('start', 'create'), { unit: 'ms' }),
    goal('Heap.attach', 1, figures.value('start', 'attach'), { unit: 'ms' }),
    goal('import { Heap }, minified and gzipped', 10_000, importSize, { unit: 'bytes' }),
  ];
}
