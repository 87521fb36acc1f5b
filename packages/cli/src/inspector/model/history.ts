/**
 * The past that time lines show: samples of a heap's figures, of bounded number. When the store is full every second sample of
 * its older half goes, so that a long watch keeps its whole span, finer the nearer to now.
 */
import type { Moment } from './moment.ts';
import { scattered, unused } from './moment.ts';

/** What one line shows of one moment. */
export interface Sample {
  /** Seconds since 1970; of a trace, events executed. */
  time: number;
  /** Objects allocated since the heap was made; differences over time are the rate. */
  allocations: number;
  frees: number;
  /** Bytes. */
  footprint: number;
  live: number;
  /** Shares, 0 … 1. */
  unused: number;
  scattered: number;
}

const SAMPLES_MAX = 1200;

/** Sums of what all CPUs have allocated and freed. */
export interface Operations {
  allocations: number;
  frees: number;
}

export function sampleOf(moment: Moment, operations: Operations, time: number): Sample {
  const { figures } = moment;
  return {
    time,
    ...operations,
    footprint: figures.footprint,
    live: figures.live,
    unused: unused(figures),
    scattered: scattered(figures),
  };
}

/** Thins the older half of `list` out; its first and last stay. */
export function thin<T>(list: readonly T[]): T[] {
  const half = list.length >>> 1;
  return list.filter((_, i) => i >= half || i % 2 === 0);
}

export class History {
  private list: Sample[] = [];

  get samples(): readonly Sample[] {
    return this.list;
  }

  /** Adds a sample. One that is not later than the last takes its place: time has gone back, or stands. */
  add(sample: Sample): void {
    const last = this.list[this.list.length - 1];
    if (last !== undefined && sample.time <= last.time) this.list.pop();
    this.list.push(sample);
    if (this.list.length > SAMPLES_MAX) this.list = thin(this.list);
  }

  replace(samples: readonly Sample[]): void {
    this.list = [...samples];
  }

  /** Columns as a plot takes them: times, allocations a second, frees a second, and the rest. */
  columns(): { times: number[]; allocations: number[]; frees: number[] } & Record<
    'footprint' | 'live' | 'unused' | 'scattered',
    number[]
  > {
    const { list } = this;
    return {
      times: list.map(({ time }) => time),
      allocations: rates(list, (sample) => sample.allocations),
      frees: rates(list, (sample) => sample.frees),
      footprint: list.map(({ footprint }) => footprint),
      live: list.map(({ live }) => live),
      unused: list.map((sample) => sample.unused * 100),
      scattered: list.map((sample) => sample.scattered * 100),
    };
  }
}

/** A count's growth for each unit of time; the first moment has what the second has. A count that fell was cleared. */
function rates(list: readonly Sample[], of: (sample: Sample) => number): number[] {
  const result: number[] = [];
  for (let i = 1; i < list.length; i++) {
    const grown = of(list[i]) - of(list[i - 1]);
    result.push(Math.max(0, grown) / (list[i].time - list[i - 1].time));
  }
  return list.length === 0 ? [] : [result[0] ?? 0, ...result];
}
