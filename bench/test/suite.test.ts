/**
 * Every workload runs on every subject that this machine has, with tiny parameters, and leaves the heap sound. Nothing here
 * looks at how fast anything is: times on a busy machine prove nothing, and a test that fails now and then is worse than none.
 */

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { CHROMIUM } from '#src/chromium.js';
import { documentOf } from '#src/document.js';
import { goalsOf, isMet } from '#src/goals.js';
import { longCalls } from '#src/longCalls.js';
import { memoryParts } from '#src/memoryParts.js';
import { plotsOf } from '#src/plots.js';
import type { Report, Row } from '#src/results.js';
import { createSuite } from '#src/suite.js';
import { decodeTrace } from '#src/traces.js';
import { has, run } from './support.js';

const TINY = ['--tiny', '--rounds', '1', '--ms', '1'];
const folder = mkdtempSync(join(tmpdir(), 'modslab-bench-test-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** The program of a few allocations as a trace: every kind of call, and one object that is never freed. */
const TRACE = `# mtrace1
# program: a test
# truncated: no
a 0 100 0
c 1 5000 0
m 2 64 64 0
r 0 70000 0
f 1 1
f 0 0
`;

function traces(): string {
  writeFileSync(join(folder, 'small.mtrace'), TRACE);
  return folder;
}

/** Workloads that only the no-op allocators run, and those of modslab alone. */
const BARE = /^access-/;
const ALONE = /^(idle|metadata|start)$/;

function readReport(name: string, ...args: string[]): { report: Report; stdout: string } {
  const file = join(folder, name);
  const { status, stdout, stderr } = run('bench', ...TINY, `--json=${file}`, '--traces', traces(), ...args);
  assert.equal(status, 0, stderr);
  const report = JSON.parse(readFileSync(file, 'utf8')) as Report;
  assert.deepEqual(report.problems, []);
  return { report, stdout };
}

/** Each of the subjects has a figure in the row. */
function assertTakePart(
  { workload, metric, results }: Row,
  subjects: readonly string[],
  report: Report,
): void {
  const what = `${workload} ${metric}; left out: ${report.missing.join('; ')}`;
  const names = results.map((r) => `${r.side} ${r.allocator}`);
  for (const name of subjects) assert.ok(names.includes(name), `no ${name} in ${what}`);
  for (const { gross } of results) assert.ok(!Number.isNaN(gross.figure), what);
}

test('every workload runs on modslab and malloc, and leaves its heap sound', (t) => {
  const native = has('gcc', 'cc');
  if (!native) t.diagnostic('no C compiler: the native side is not tested');
  const { report, stdout } = readReport('report.json', '--subjects', 'modslab,glibc');
  const small = { name: 'small', title: '', file: '', operations: 1, peakLive: 1 };
  assert.deepEqual(
    [...new Set(report.rows.map((row) => row.workload))],
    createSuite('tiny', [small]).map((workload) => workload.name),
  );
  for (const row of report.rows.filter(({ workload }) => !BARE.test(workload))) {
    const c = native && !ALONE.test(row.workload) ? ['c glibc'] : [];
    assertTakePart(row, ['js modslab', ...c], report);
  }
  assert.match(stdout, /^\| mstress +\| +ns \| +[\d.,]+ \|/m);
  theDocumentIsWhole(report);
});

test('the allocators that do nothing run alone, on one thread and on two, written to and not', () => {
  const only = 'churn,churn-200k-touched,access-1m,mstress,scaling,latency,trace-small';
  const { report } = readReport('noop.json', '--subjects', 'noop', '--only', only);
  const native = has('gcc', 'cc') ? ['c noop'] : [];
  for (const row of report.rows) assertTakePart(row, ['js noop', ...native], report);
});

function theDocumentIsWhole(report: Report): void {
  const plots = plotsOf(report);
  const text = documentOf(report, plots);
  for (const heading of ['## Goals', '## Geometric means', '## Figures', '## Workloads'])
    assert.ok(text.includes(`${heading}\n`), heading);
  assert.ok(!/NaN|undefined/.test(text), /.*(NaN|undefined).*/.exec(text)?.[0] ?? '');
  for (const { file, svg } of plots) {
    assert.match(svg, /^<svg [^>]*>\n<title>/, file);
    assert.ok(!svg.includes('NaN'), file);
  }
}

test('the document says what a trace’s memory is made of, and what makes calls long', async () => {
  const { file } = await decodeTrace('small', join(traces(), 'small.mtrace'), folder);
  const parts = memoryParts('small', file);
  assert.equal(parts.live, 75_064, '70,000 + 5,000 + 64 + 100: at the realloc');
  assert.ok(parts.rounding > 0 && parts.free > 0 && parts.metadata > 0);
  const long = longCalls(200_000);
  assert.ok(
    long.every(({ inMillion, median, longest }) => inMillion > 0 && median >= 400 && longest >= median),
  );
  const { report } = readReport('explained.json', '--subjects', 'modslab', '--only', 'pair');
  const profiles = [{ workload: 'pair', parts: [{ name: 'pop sheaves.js:79', share: 0.25 }] }];
  const text = documentOf({ ...report, profiles, memoryParts: [parts], longCalls: long }, []);
  assert.match(text, /^\| pair +\| +[\d.,]+ \| +– \| +pop \(sheaves\) [\d.,]+ \|$/m);
  assert.match(text, /^\| small +\| +0.07 \|/m);
  assert.match(text, /## What makes calls long/);
});

test('the peers take part where their tools are there', (t) => {
  const only = 'pair,churn,glibc-simple,alloc-test,sh6bench,slab-test';
  const subjects = 'modslab,floor,thi.ng,Uint8Array,dlmalloc-wasm';
  const { rows, missing } = readReport('peers.json', '--only', only, '--subjects', subjects).report;
  const taking = (workload: string): string[] =>
    rows.find((row) => row.workload === workload)?.results.map((r) => r.allocator) ?? [];
  const wasm = taking('alloc-test').includes('dlmalloc-wasm') ? ['dlmalloc-wasm'] : [];
  if (wasm.length === 0) {
    t.diagnostic(`dlmalloc in WebAssembly is not tested: ${missing.join('; ')}`);
    assert.ok(missing.some((text) => text.startsWith('dlmalloc-wasm (on Debian: apt install')));
  }
  assert.deepEqual(taking('pair'), ['modslab', 'floor', 'thi.ng', 'Uint8Array', ...wasm]);
  assert.deepEqual(taking('alloc-test'), ['modslab', ...wasm]);
  assert.deepEqual(taking('sh6bench'), ['modslab', 'thi.ng', ...wasm]);
});

test('a goal without its figure is not measured, one with it is met or not', () => {
  const result = (allocator: string, side: 'js' | 'c', figure: number, ratio?: number) => ({
    allocator,
    side,
    identity: allocator,
    gross: { figure, min: figure, max: figure },
    rounds: [figure],
    ...(ratio === undefined ? {} : { ratio: { gross: ratio } }),
  });
  const row = {
    workload: 'pair',
    metric: 'time',
    unit: 'ns',
    group: 'single',
    what: '',
    detail: false,
    counts: true,
    misses: false,
    results: [result('modslab', 'js', 5), result('mimalloc', 'c', 10, 0.5)],
  } as const;
  const report: Report = {
    format: 2,
    machine: '',
    runtime: '',
    date: '',
    parameters: { scale: 'tiny', rounds: 1, roundMs: 1, warmMs: 1, statistic: 'median' },
    operation: '',
    rows: [row],
    problems: [],
    missing: [],
  };
  const goals = goalsOf(report, 12_000);
  const met = (part: string): boolean | undefined => {
    const found = goals.find(({ goal }) => goal.startsWith(part));
    assert.ok(found !== undefined, part);
    return isMet(found);
  };
  assert.equal(met('pair'), true);
  assert.equal(met('one thread: geometric mean'), true);
  assert.equal(met('import'), false);
  assert.equal(met('batch'), undefined);
  assert.equal(met('kmalloc, p99.99'), undefined);
});

test('profile tells where the time of a workload goes', () => {
  const { status, stdout, stderr } = run('profile', 'churn', '--quick', '--ms', '100');
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^churn, modslab: time [\d.,]+ ns$/m);
  assert.match(stdout, /^\| run churn\.js:\d+ +\| +[\d.]+ % \|$/m);
  assert.equal(run('profile', 'pears').status, 2);
  assert.equal(run('profile').status, 2);
});

test('in a page of Chromium: workloads of one thread, each with a figure; those of several are left out', {
  skip: existsSync(CHROMIUM) ? false : `no Chromium at ${CHROMIUM}: install it, or set CHROMIUM to its path`,
}, () => {
  const { report } = readReport(
    'chromium.json',
    ...['--only', 'pair,bulk,sh6bench,xmalloc', '--runtime', 'chromium', '--subjects', 'modslab,noop'],
  );
  const inPages = report.rows
    .filter(({ results }) => results.some(({ runtime }) => runtime?.startsWith('Chromium ') === true))
    .map(({ workload }) => workload);
  assert.deepEqual(inPages, ['pair', 'bulk', 'sh6bench']);
});
