/** Writes `docs/benchmarks.md` and its plots from one run's report. */

import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { goalsOf, isMet, verdict } from './goals.ts';
import { packageFile } from './paths.ts';
import { type Plot, plotsOf } from './plots.ts';
import { type Part, type Report, resultOf, summary } from './results.ts';
import { figure, layOut, legend, meanTable, ratioTable, timeTable } from './table.ts';

/** Bytes, from `npm run size`; undefined where it cannot be run. */
function importSize(): number | undefined {
  const { stdout } = spawnSync(process.execPath, [packageFile('../scripts/size.mjs')], { encoding: 'utf8' });
  const digits = /import \{ Heap \}.*?([\d,]+) (?:B|bytes)/.exec(stdout ?? '')?.[1];
  return digits === undefined ? undefined : Number(digits.replaceAll(',', ''));
}

function goalTable(report: Report): string[] {
  return layOut([
    ['goal', 'at', 'figure', '', ''],
    ...goalsOf(report, importSize()).map((goal) => [
      goal.goal,
      `${goal.atLeast ? '≥' : '≤'} ${goal.limit.toLocaleString('en-US')} ${goal.unit}`.trim(),
      isMet(goal) === undefined ? '–' : `${figure(goal.value ?? Number.NaN)} ${goal.unit}`.trim(),
      verdict(goal),
      goal.note,
    ]),
  ]);
}

/** "push (sheaves) 2.9"; in ns if the workload's figure is known, else in percent. */
function partText({ name, share }: Part, ns: number | undefined): string {
  const [, called = name, file = ''] = /^(.*) ([\w-]+)\.[jt]s:\d+$/.exec(name) ?? [];
  const amount = ns === undefined ? `${Math.round(100 * share)} %` : figure(ns * share);
  return `${called}${file === '' ? '' : ` (${file})`} ${amount}`;
}

/** A workload of several figures has parts in percent. */
function whereTimeGoes({ rows, profiles = [] }: Report): string[] {
  if (profiles.length === 0) return [];
  const grid = profiles.map(({ workload, parts }) => {
    const own = rows.filter((row) => row.workload === workload && row.counts);
    const [ns, mimallocs] = (['js', 'c'] as const).map((side) =>
      own.length === 1 && own[0] !== undefined
        ? resultOf(own[0], side === 'js' ? 'modslab' : 'mimalloc', side)?.gross.figure
        : undefined,
    );
    const times = [ns, mimallocs].map((time) => (time === undefined ? '–' : figure(time)));
    return [workload, ...times, parts.map((part) => partText(part, ns)).join(' · ')];
  });
  return [
    '## Where the time goes',
    '',
    "Of the workloads that take longer than mimalloc: the functions that take most, of V8's sampling profiler with inlining switched",
    "off, as shares of the workload's ns (in percent where it has several figures). Those of the workload are the benchmark itself.",
    '`npm run bench:profile -- WORKLOAD` has all, by line with `--lines`.',
    '',
    ...layOut([['workload', 'ns', "mimalloc's", 'of which'], ...grid]),
    '',
  ];
}

function whatMemoryIs({ memoryParts = [] }: Report): string[] {
  if (memoryParts.length === 0) return [];
  return [
    '## What the memory is made of',
    '',
    'modslab, when a trace has most bytes live: page frames and metadata in use, as multiples of those bytes. *Rounding*: objects are',
    'as large as their size class. *Free*: objects in sheaves and slabs.',
    '',
    ...layOut([
      ['trace', 'MiB live', 'rounding', 'free', 'metadata', 'in all'],
      ...memoryParts.map(({ trace, live, rounding, free, metadata }) => [
        trace,
        figure(live / 2 ** 20),
        ...[rounding, free, metadata, 1 + rounding + free + metadata].map(figure),
      ]),
    ]),
    '',
  ];
}

function whatTakesLong({ longCalls = [] }: Report): string[] {
  if (longCalls.length === 0) return [];
  return [
    '## What makes calls long',
    '',
    'Single calls of kmalloc and kfree in churn that take 0.4 µs or more, by what the counters of the slow paths say they did.',
    '',
    ...layOut([
      ['what they did', 'of a million calls', 'median, ns', 'longest, ns'],
      ...longCalls.map(({ what, inMillion, median, longest }) => [
        what,
        ...[inMillion, median, longest].map(figure),
      ]),
    ]),
    '',
  ];
}

/** The document's text; plots are linked as files of the folder `benchmarks/` beside it. */
export function documentOf(report: Report, plots: readonly Plot[]): string {
  const { scale, rounds, roundMs, warmMs, statistic } = report.parameters;
  const rows = report.rows.filter((row) => !row.detail);
  const which = statistic === 'median' ? 'medians' : 'the least';
  return `${[
    '# Benchmarks',
    '',
    'Made by `npm run bench:report`; every figure, plot and mark below comes from that one run. Absolute figures do not carry',
    'over to another machine; ratios roughly do. Both sides run the same loops with the same parameters and the same random',
    'numbers (`bench/src/workloads/` and `bench/native/`), each contestant in a process of its own, and take turns round by',
    'round. *Net* is less what the same loop costs around an allocator that does nothing.',
    '',
    `- machine: ${report.machine}`,
    `- ${report.runtime}; ${report.date}`,
    `- ${scale} parameters; ${which} of ${rounds} rounds of ${roundMs} ms, after ${warmMs} ms of warm-up`,
    `- ${report.operation}`,
    '',
    '## Goals',
    '',
    ...goalTable(report),
    '',
    'What was tried for those that are not met, kept and dropped, is in section 10 of [design.md](design.md).',
    '',
    ...whereTimeGoes(report),
    ...whatMemoryIs(report),
    ...whatTakesLong(report),
    '## Geometric means',
    '',
    "modslab's time ÷ the other's, gross (net); below 1 modslab is the faster. `replace-1g` counts as a workload of one thread.",
    '',
    ...meanTable(summary(report)),
    '',
    ...plots.flatMap(({ file, title }) => [`![${title}](benchmarks/${file})`, '']),
    '## Figures',
    '',
    ...timeTable(rows),
    '',
    "modslab's figure ÷ the other's, gross (net):",
    '',
    ...ratioTable(rows),
    '',
    '## Workloads',
    '',
    ...legend(rows),
    '',
    ...(report.missing.length > 0 ? ['Left out:', '', ...report.missing.map((line) => `- ${line}`), ''] : []),
    ...report.problems.map((p) => `**PROBLEM** in ${p.workload}, ${p.allocator}: ${p.text}`),
  ]
    .join('\n')
    .replaceAll(/\n{3,}/g, '\n\n')
    .trimEnd()}\n`;
}

/** Writes the document and its plots into `docs/` (or `folder`); the files written. */
export function writeDocument(report: Report, folder: string = packageFile('../docs')): string[] {
  const plots = plotsOf(report);
  const pictures = join(folder, 'benchmarks');
  rmSync(pictures, { recursive: true, force: true });
  mkdirSync(pictures, { recursive: true });
  const files = plots.map(({ file, svg }) => {
    writeFileSync(join(pictures, file), svg);
    return join(pictures, file);
  });
  const document = join(folder, 'benchmarks.md');
  writeFileSync(document, documentOf(report, plots));
  return [document, ...files];
}
