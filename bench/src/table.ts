/**
 * The report as text: Markdown tables whose columns are padded, so that they read well on a terminal and can be pasted
 * into a README as they are. One row a metric of a workload, one column a contestant.
 */

import { type Mean, type Report, type Result, type Row, summary } from './results.ts';

const NONE = '–';

export function formatReport(report: Report, details = false): string {
  const { scale, rounds, roundMs, statistic } = report.parameters;
  const which = statistic === 'median' ? 'medians of' : 'the least of';
  const rows = report.rows.filter((row) => details || !row.detail);
  const lines = [
    `${report.machine}; ${report.runtime}; ${report.date}`,
    `${report.operation}; ${which} ${rounds} interleaved rounds of ${roundMs} ms, ${scale} parameters`,
    '',
    'Gross, harness included:',
    '',
    ...timeTable(rows),
    '',
    'Net, less the no-op allocator of the same side, in nanoseconds:',
    '',
    ...table(rows, (r) => (r.net === undefined ? NONE : figure(r.net)), hasNet),
    '',
    "modslab's figure ÷ the other's, gross (net); below 1 modslab's is the smaller one:",
    '',
    ...ratioTable(rows),
    '',
    'Geometric means of these ratios:',
    '',
    ...meanTable(summary(report)),
    '',
    ...legend(rows),
    ...report.missing.map((text) => `- missing: ${text}`),
    ...report.problems.map((p) => `- PROBLEM in ${p.workload}, ${p.allocator}: ${p.text}`),
  ];
  return `${lines.join('\n').replaceAll(/\n{3,}/g, '\n\n')}\n`;
}

export function timeTable(rows: readonly Row[]): string[] {
  return table(rows, (result) => figure(result.gross.figure), undefined, true);
}

export function ratioTable(rows: readonly Row[]): string[] {
  return table(rows, ratioCell, (result) => result.ratio !== undefined);
}

export function legend(rows: readonly Row[]): string[] {
  const seen = new Map(rows.map((row) => [row.workload, row.what]));
  const floor = rows.some((row) => row.results.some((r) => r.allocator === 'floor'));
  return [
    ...[...seen].map(([workload, what]) => `- ${workload}: ${what}`),
    ...(floor
      ? ['- floor: a bare pop and push on a shared Int32Array plus the checks of a free; no refill, one thread']
      : []),
  ];
}

export function meanTable(means: readonly Mean[]): string[] {
  if (means.length === 0) return [];
  const names = [...new Set(means.map((mean) => mean.name))];
  const allocators = [...new Set(means.map((mean) => mean.allocator))];
  const cell = (name: string, allocator: string): string => {
    const mean = means.find((m) => m.name === name && m.allocator === allocator);
    return mean === undefined ? NONE : both(mean.gross, mean.net);
  };
  const count = (name: string): string => `${Math.max(...means.filter((m) => m.name === name).map((m) => m.rows))}`;
  return layOut([
    ['', 'rows', ...allocators],
    ...names.map((name) => [name, count(name), ...allocators.map((allocator) => cell(name, allocator))]),
  ]);
}

type Cell = (result: Result) => string;
type Wanted = (result: Result) => boolean;

function hasNet(result: Result): boolean {
  return result.net !== undefined;
}

/** Columns in the order in which the contestants first appear. */
function table(rows: readonly Row[], cell: Cell, wanted: Wanted = () => true, units = false): string[] {
  const columns = new Map<string, Result>();
  for (const result of rows.flatMap((row) => row.results.filter(wanted)))
    if (!columns.has(keyOf(result))) columns.set(keyOf(result), result);
  if (columns.size === 0) return [];
  const shown = rows.filter((row) => row.results.some(wanted));
  return layOut([
    ['', ...(units ? ['unit'] : []), ...[...columns.values()].map(labelOf)],
    ...shown.map((row) => [
      nameOf(row),
      ...(units ? [row.unit] : []),
      ...[...columns.keys()].map((key) => cellOf(row, key, cell, wanted)),
    ]),
  ]);
}

export function nameOf({ workload, metric }: Row): string {
  return metric === 'time' ? workload : `${workload} ${metric}`;
}

function cellOf(row: Row, key: string, cell: Cell, wanted: Wanted): string {
  const result = row.results.find((r) => keyOf(r) === key);
  return result === undefined || !wanted(result) ? NONE : cell(result);
}

function keyOf(result: Result): string {
  return `${result.side} ${result.runtime ?? ''} ${result.allocator}`;
}

function labelOf(result: Result): string {
  return `${result.identity} (${result.side === 'c' ? 'C' : (result.runtime ?? 'JS')})`;
}

function ratioCell(result: Result): string {
  const { gross, net } = result.ratio ?? {};
  return gross === undefined || Number.isNaN(gross) ? NONE : both(gross, net);
}

function both(gross: number, net: number | undefined): string {
  return `${ratio(gross)} (${net === undefined ? NONE : ratio(net)})`;
}

export function figure(value: number): string {
  if (!Number.isFinite(value)) return NONE;
  if (value >= 100) return Math.round(value).toLocaleString('en-US');
  return Math.abs(value) < 10 ? value.toFixed(2) : value.toFixed(1);
}

function ratio(value: number): string {
  if (!Number.isFinite(value)) return NONE;
  return value < 0.01 ? value.toPrecision(1) : value.toFixed(2);
}

export function layOut(grid: readonly (readonly string[])[]): string[] {
  const widths = (grid[0] ?? []).map((_, column) =>
    Math.max(3, ...grid.map((row) => (row[column] ?? '').length)),
  );
  const line = (row: readonly string[]): string =>
    `| ${row.map((text, i) => (i === 0 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0))).join(' | ')} |`;
  const rule = `|${widths.map((width, i) => (i === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return [line(grid[0] ?? []), rule, ...grid.slice(1).map(line)];
}
