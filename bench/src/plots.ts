/**
 * The plots of the report, as SVG, made by hand: bars on a logarithmic axis, and lines. Colours are legible on light and dark
 * ground, and the ground is left to the page.
 */

import { type Report, type Row, resultOf } from './results.ts';
import { figure, nameOf } from './table.ts';

export interface Plot {
  readonly file: string;
  readonly title: string;
  readonly svg: string;
}

const COLOURS: Readonly<Record<string, string>> = {
  modslab: '#d9480f',
  mimalloc: '#1971c2',
  jemalloc: '#2f9e44',
  tcmalloc: '#9c36b5',
  glibc: '#868e96',
  'dlmalloc-wasm': '#c2a000',
  noop: '#adb5bd',
};
const INK = '#868e96';
const WIDTH = 760;
const BAR = 16;
const LABEL = 190;
const TOP = 34;

interface Bar {
  readonly label: string;
  readonly value: number;
  readonly colour: string;
}

interface Series {
  readonly name: string;
  readonly points: readonly (readonly [number, number])[];
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

function text(x: number, y: number, content: string, anchor = 'start', size = 11): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" font-size="${size}" fill="${INK}">${escape(content)}</text>`;
}

function line(x1: number, y1: number, x2: number, y2: number, dash = ''): string {
  const style = dash === '' ? '' : ` stroke-dasharray="${dash}"`;
  return `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" stroke="${INK}" stroke-width="1"${style}/>`;
}

function document(height: number, title: string, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" role="img">`,
    `<title>${escape(title)}</title>`,
    text(0, 14, title, 'start', 13),
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

/** A scale from values to pixels by logarithm, and its powers of two or ten. */
function logScale(values: readonly number[], from: number, to: number): { at(v: number): number; ticks: number[] } {
  const low = Math.min(...values);
  const high = Math.max(...values, low * 2);
  const [a, b] = [Math.log(low / 1.15), Math.log(high * 1.15)];
  const base = b - a > Math.log(60) ? 10 : 2;
  const ticks: number[] = [];
  for (let e = Math.ceil(a / Math.log(base)); e * Math.log(base) <= b; e++) ticks.push(base ** e);
  return { at: (v) => from + ((Math.log(v) - a) / (b - a)) * (to - from), ticks };
}

/** Bars from 1 to each value: to the left what is less, to the right what is more. */
function ratioBars(title: string, bars: readonly Bar[]): string {
  const height = TOP + bars.length * (BAR + 4) + 24;
  const { at, ticks } = logScale([...bars.map((bar) => bar.value), 1], LABEL, WIDTH - 50);
  const parts = ticks.flatMap((tick) => [
    line(at(tick), TOP - 6, at(tick), height - 18, tick === 1 ? '' : '2 4'),
    text(at(tick), height - 6, `${tick < 1 ? figure(tick) : tick}`, 'middle'),
  ]);
  bars.forEach(({ label, value, colour }, i) => {
    const y = TOP + i * (BAR + 4);
    const [left, right] = [Math.min(at(1), at(value)), Math.max(at(1), at(value))];
    parts.push(
      text(LABEL - 8, y + 12, label, 'end'),
      `<rect x="${left.toFixed(1)}" y="${y}" width="${Math.max(1, right - left).toFixed(1)}" height="${BAR}" fill="${colour}"/>`,
      value < 1
        ? text(left - 4, y + 12, figure(value), 'end', 10)
        : text(right + 4, y + 12, figure(value), 'start', 10),
    );
  });
  return document(height, title, parts);
}

function lines(title: string, series: readonly Series[], xLabel: (x: number) => string): string {
  const height = 360;
  const all = series.flatMap(({ points }) => points);
  const x = logScale(all.map(([value]) => value), 60, WIDTH - 130);
  const y = logScale(all.map(([, value]) => value), height - 30, TOP);
  const xs = [...new Set(all.map(([value]) => value))].sort((a, b) => a - b);
  const parts = [
    ...xs.map((value) => text(x.at(value), height - 10, xLabel(value), 'middle', 10)),
    ...y.ticks.flatMap((tick) => [
      line(60, y.at(tick), WIDTH - 130, y.at(tick), '2 4'),
      text(52, y.at(tick) + 4, tick < 1 ? figure(tick) : `${tick}`, 'end', 10),
    ]),
  ];
  series.forEach(({ name, points }, i) => {
    const colour = COLOURS[name] ?? INK;
    const path = points.map(([a, b]) => `${x.at(a).toFixed(1)},${y.at(b).toFixed(1)}`).join(' ');
    parts.push(
      `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`,
      `<rect x="${WIDTH - 120}" y="${TOP + i * 18}" width="12" height="3" fill="${colour}"/>`,
      text(WIDTH - 102, TOP + 5 + i * 18, name),
    );
  });
  return document(height, title, parts);
}

function ratiosToMimalloc(rows: readonly Row[]): Bar[] {
  return rows.flatMap((row) => {
    const value = resultOf(row, 'mimalloc', 'c')?.ratio?.gross;
    if (value === undefined || !(value > 0)) return [];
    return [{ label: nameOf(row), value, colour: value <= 1 ? '#2f9e44' : '#d9480f' }];
  });
}

const LINE_SUBJECTS: readonly (readonly [string, 'js' | 'c'])[] = [
  ['modslab', 'js'],
  ['mimalloc', 'c'],
  ['jemalloc', 'c'],
  ['tcmalloc', 'c'],
  ['glibc', 'c'],
];

/** Rows by a number in their names, as one line for each allocator. */
function seriesOf(rows: readonly (readonly [number, Row])[]): Series[] {
  return LINE_SUBJECTS.flatMap(([name, side]) => {
    const points = rows.flatMap(([x, row]): (readonly [number, number])[] => {
      const y = resultOf(row, name, side)?.gross.figure;
      return y === undefined || !(y > 0) ? [] : [[x, y]];
    });
    return points.length < 2 ? [] : [{ name, points }];
  });
}

function slabTest(report: Report, metric: string): Series[] {
  const rows = report.rows.filter((row) => row.workload === 'slab-test' && row.metric.startsWith(`${metric} `));
  return seriesOf(rows.map((row) => [Number(row.metric.slice(metric.length + 1)), row]));
}

const MIB_OF: Readonly<Record<string, number>> = { '1m': 1, '16m': 16, '256m': 256, '1g': 1024 };

function growth(report: Report): Series[] {
  const level = (row: Row): number => MIB_OF[row.workload.replace(/^\w+-/, '')] ?? 1;
  const replace = report.rows.filter((row) => row.workload.startsWith('replace-'));
  const access = report.rows.filter((row) => row.workload.startsWith('access-'));
  const points = access.flatMap((row): (readonly [number, number])[] => {
    const y = resultOf(row, 'noop', 'js')?.gross.figure;
    return y === undefined ? [] : [[level(row), y]];
  });
  const bare = points.length < 2 ? [] : [{ name: 'noop', points }];
  return [...seriesOf(replace.map((row) => [level(row), row])), ...bare];
}

function size(bytes: number): string {
  return bytes < 1024 ? `${bytes}` : `${bytes / 1024}K`;
}

/** Those plots that the report has the figures for. */
export function plotsOf(report: Report): Plot[] {
  const times = report.rows.filter((row) => row.counts && !row.detail);
  const peaks = report.rows.filter((row) => row.metric === 'peak');
  const ratioTitle = "modslab's time ÷ mimalloc's; left of 1 modslab is the faster";
  const memoryTitle = "modslab's peak memory ÷ mimalloc's, by trace";
  const plots: Plot[] = [];
  const add = (file: string, title: string, something: readonly unknown[], draw: () => string): void => {
    if (something.length > 0) plots.push({ file, title, svg: draw() });
  };
  const speed = ratiosToMimalloc(times);
  const memory = ratiosToMimalloc(peaks).map((bar) => ({ ...bar, label: bar.label.replace(/^memory-| peak$/g, '') }));
  add('ratios.svg', ratioTitle, speed, () => ratioBars(ratioTitle, speed));
  for (const metric of ['kmalloc', 'kfree', 'pair']) {
    const title = `slab-test, ${metric}: nanoseconds by object size`;
    const series = slabTest(report, metric);
    add(`slab-test-${metric}.svg`, title, series, () => lines(title, series, size));
  }
  const curves = growth(report);
  const growthTitle = 'random replacement: nanoseconds by MiB live (noop: a bare random access)';
  add('growth.svg', growthTitle, curves, () => lines(growthTitle, curves, (x) => `${x}`));
  add('memory.svg', memoryTitle, memory, () => ratioBars(memoryTitle, memory));
  return plots;
}
