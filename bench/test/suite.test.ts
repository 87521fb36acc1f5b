/**
 * Every workload runs on every subject that this machine has, with tiny parameters, and leaves the heap sound. Nothing here
 * looks at how fast anything is: times on a busy machine prove nothing, and a test that fails now and then is worse than none.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { documentOf } from '#src/document.js';
import { goalsOf, isMet } from '#src/goals.js';
import { plotsOf } from '#src/plots.js';
import type { Report, Row } from '#src/results.js';
import { createSuite } from '#src/suite.js';
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

/** Subjects without which a workload's row is not whole. */
function expected(row: Row, native: boolean): string[] {
  if (row.workload.startsWith('access-')) return ['js noop', ...(native ? ['c noop'] : [])];
  const memory = row.group === 'memory' || row.group === 'start';
  const alone = ['idle', 'metadata', 'start'].includes(row.workload);
  const c = native && !alone ? ['c glibc', ...(memory ? [] : ['c noop'])] : [];
  return ['js modslab', ...(memory ? [] : ['js noop']), ...c];
}

test('every workload runs on modslab and malloc, and leaves its heap sound', (t) => {
  const native = has('gcc', 'cc');
  if (!native) t.diagnostic('no C compiler: the native side is not tested');
  const file = join(folder, 'report.json');
  const subjects = 'modslab,noop,glibc';
  const { status, stdout, stderr } = run(
    'bench',
    ...TINY,
    `--json=${file}`,
    ...['--subjects', subjects, '--traces', traces()],
  );
  assert.equal(status, 0, stderr);
  const report = JSON.parse(readFileSync(file, 'utf8')) as Report;
  assert.deepEqual(report.problems, []);
  const small = { name: 'small', title: '', file: '', operations: 1, peakLive: 1 };
  assert.deepEqual(
    [...new Set(report.rows.map((row) => row.workload))],
    createSuite('tiny', [small]).map((workload) => workload.name),
  );
  for (const row of report.rows) {
    const names = row.results.map((r) => `${r.side} ${r.allocator}`);
    const what = `${row.workload}; left out: ${report.missing.join('; ')}`;
    for (const name of expected(row, native)) assert.ok(names.includes(name), `no ${name} in ${what}`);
    for (const { gross } of row.results) assert.ok(!Number.isNaN(gross.figure), `${row.metric} in ${what}`);
  }
  assert.match(stdout, /^\| mstress +\| +ns \| +[\d.,]+ \|/m);
  theDocumentIsWhole(report);
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

test('the peers take part where their tools are there', (t) => {
  const file = join(folder, 'peers.json');
  const only = 'pair,churn,glibc-simple,alloc-test,sh6bench,slab-test';
  const subjects = 'modslab,floor,thi.ng,Uint8Array,dlmalloc-wasm';
  const { status, stderr } = run('bench', ...TINY, `--json=${file}`, '--only', only, '--subjects', subjects);
  assert.equal(status, 0, stderr);
  const { rows, missing } = JSON.parse(readFileSync(file, 'utf8')) as Report;
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
  assert.match(stdout, /^churn, modslab: time [\d.]+ ns$/m);
  assert.match(stdout, /^\| run churn\.js:\d+ +\| +[\d.]+ % \|$/m);
  assert.equal(run('profile', 'pears').status, 2);
  assert.equal(run('profile').status, 2);
});
