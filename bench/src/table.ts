/**
 * The report as text: Markdown tables whose columns are padded, so that they read well on a terminal and can be pasted
 * into a README as they are.
 */

import type { Report, Result, WorkloadResult } from './results.ts';

const NONE = '–';

export function formatReport(report: Report): string {
  const { rounds, roundMs } = report.parameters;
  const lines = [
    `${report.machine}; ${report.runtime}`,
    `${report.operation}; medians of ${rounds} interleaved rounds of ${roundMs} ms`,
    '',
    'Nanoseconds an operation, harness included (in brackets without it: less the no-op allocator of the same side):',
    '',
    ...table(report, timeCell),
    '',
    "modslab's time ÷ the other's, gross (net); below 1 modslab is the faster one:",
    '',
    ...table(report, ratioCell, (result) => result.ratio !== undefined),
    '',
    ...report.workloads.map((w) => `- ${w.workload}: ${w.what}`),
    '- floor: a bare pop and push on a shared Int32Array plus the checks of a free; no refill, one thread',
    ...report.missing.map((text) => `- missing: ${text}`),
    ...report.workloads.flatMap((w) => w.problems.map((text) => `- PROBLEM in ${w.workload}: ${text}`)),
  ];
  return `${lines.join('\n').replaceAll('\n\n\n', '\n\n')}\n`;
}

type Cell = (result: Result) => string;
type Wanted = (result: Result) => boolean;

/** One row a contestant, one column a workload; the order is that of the first workload that has the contestant. */
function table(report: Report, cell: Cell, wanted: Wanted = () => true): string[] {
  const rows = new Map<string, Result>();
  for (const result of report.workloads.flatMap((w) => w.results)) {
    if (wanted(result) && !rows.has(keyOf(result))) rows.set(keyOf(result), result);
  }
  if (rows.size === 0) return [];
  const grid = [
    ['', ...report.workloads.map((w) => w.workload)],
    ...[...rows].map(([key, result]) => [
      labelOf(result),
      ...report.workloads.map((w) => cellOf(w, key, cell)),
    ]),
  ];
  return layOut(grid);
}

function cellOf(workload: WorkloadResult, key: string, cell: Cell): string {
  const result = workload.results.find((r) => keyOf(r) === key);
  return result === undefined ? NONE : cell(result);
}

function keyOf(result: Result): string {
  return `${result.side} ${result.allocator}`;
}

function labelOf(result: Result): string {
  return `${result.identity} (${result.side === 'c' ? 'C' : 'JS'})`;
}

function timeCell(result: Result): string {
  return result.net === undefined
    ? time(result.gross.median)
    : `${time(result.gross.median)} (${time(result.net)})`;
}

function ratioCell(result: Result): string {
  const { gross, net } = result.ratio ?? {};
  return gross === undefined ? NONE : `${ratio(gross)} (${net === undefined ? NONE : ratio(net)})`;
}

function time(nanoseconds: number): string {
  if (nanoseconds >= 100) return Math.round(nanoseconds).toLocaleString('en-US');
  return nanoseconds.toFixed(1);
}

function ratio(value: number): string {
  return value < 0.01 ? value.toPrecision(1) : value.toFixed(2);
}

function layOut(grid: readonly (readonly string[])[]): string[] {
  const widths = (grid[0] ?? []).map((_, column) =>
    Math.max(3, ...grid.map((row) => (row[column] ?? '').length)),
  );
  const line = (row: readonly string[]): string =>
    `| ${row.map((text, i) => (i === 0 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0))).join(' | ')} |`;
  const rule = `|${widths.map((width, i) => (i === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return [line(grid[0] ?? []), rule, ...grid.slice(1).map(line)];
}
