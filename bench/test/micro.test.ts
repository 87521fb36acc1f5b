/**
 * The micro benchmark runs and its report is whole. Nothing here looks at how fast anything is: times on a busy machine
 * prove nothing, and a test that fails now and then is worse than none.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Floor } from '#src/floor.js';
import { evaluate, type Report } from '#src/results.js';
import { deoptsInRounds, ROUND_BEGINS, ROUND_ENDS } from '#src/trace.js';
import { has, run } from './support.js';

test('micro has its own workloads and subjects', (t) => {
  const { status, stdout, stderr } = run('micro', '--json', '--tiny', '--rounds', '1', '--ms', '1');
  assert.equal(status, 0, stderr);
  const { rows, problems, missing } = JSON.parse(stdout) as Report;
  assert.deepEqual(problems, []);
  assert.deepEqual(
    rows.map((row) => row.workload),
    ['pair', 'batch', 'churn', 'bulk', 'remote'],
  );
  const native = has('gcc', 'cc');
  if (!native) t.diagnostic('no C compiler: the native side is not tested');
  for (const { workload, results } of rows) {
    for (const { allocator, gross } of results)
      assert.ok(gross.figure > 0, `${workload} ${allocator}: ${gross.figure}`);
    const names = results.map((r) => `${r.side} ${r.allocator}`);
    const expected = ['js modslab', 'js noop'];
    if (workload !== 'remote') expected.push('js floor', 'js thi.ng');
    if (native) expected.push('c glibc', 'c noop');
    for (const name of expected)
      assert.ok(names.includes(name), `${workload}: no ${name}; missing: ${missing.join('; ')}`);
  }
});

test('micro prints tables', () => {
  const args = ['--tiny', '--rounds', '1', '--ms', '1', '--only', 'pair', '--subjects', 'modslab,floor,noop'];
  const { status, stdout, stderr } = run('micro', ...args);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^\| +\| +unit \| modslab \(JS\) \| floor \(JS\) \|/m);
  assert.match(stdout, /^\| pair +\| +ns \| +[\d.,]+ \| +[\d.,]+ \|/m);
});

test('micro refuses what it does not know, with status 2 and one line', () => {
  for (const args of [
    ['--only', 'pears'],
    ['--rounds', '0'],
    ['--nonsense'],
    ['--subjects', 'nobody'],
    ['--from', 'x'],
  ]) {
    const { status, stderr, stdout } = run('micro', ...args);
    assert.equal(status, 2, args.join(' '));
    assert.equal(stdout, '');
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
  }
});

test('net times and ratios', () => {
  const measured = [
    { allocator: 'modslab', side: 'js', identity: 'modslab', rounds: [7, 6, 20] },
    { allocator: 'glibc', side: 'c', identity: 'glibc', rounds: [9, 8, 10, 9] },
    { allocator: 'noop', side: 'c', identity: 'noop', rounds: [1] },
    { allocator: 'noop', side: 'js', identity: 'noop', rounds: [3] },
  ] as const;
  const [modslab, glibc, noop] = evaluate(measured);
  assert.deepEqual(modslab?.gross, { figure: 7, min: 6, max: 20 });
  assert.equal(modslab?.net, 4);
  assert.equal(modslab?.ratio, undefined);
  assert.deepEqual(glibc?.ratio, { gross: 7 / 9, net: 4 / 8 });
  assert.equal(noop?.net, undefined);
});

test('deoptimisations count between the marks only', () => {
  const bailout = (name: string): string =>
    `[bailout (kind: deopt-eager, reason: wrong map): begin. deoptimizing 0x1, <JSFunction ${name} (sfi = 0x2)>, 0x3]`;
  const trace = [
    bailout('early'),
    ROUND_BEGINS,
    bailout('run'),
    '[marking 0x1]',
    bailout('timed'),
    ROUND_ENDS,
    bailout('late'),
  ];
  assert.deepEqual(deoptsInRounds(trace.join('\n')), [
    { kind: 'deopt-eager', reason: 'wrong map', where: 'run' },
  ]);
});

test('the floor gives out each object once and checks every free', () => {
  const floor = new Floor();
  const seen = new Set<number>();
  for (const size of [8, 16, 24, 64, 65, 100, 192, 1000, 1024]) {
    for (let i = 0; i < 500; i++) {
      const address = floor.alloc(size);
      assert.ok(address > 0 && !seen.has(address));
      seen.add(address);
    }
  }
  const [address] = seen;
  assert.ok(address !== undefined);
  assert.throws(() => floor.free(address + 1), /EINTERIOR/);
  assert.throws(() => floor.free(2 ** 31), /EFAULT/);
  for (const live of seen) floor.free(live);
  for (const dead of seen) assert.throws(() => floor.free(dead), /EDOUBLEFREE/);
});
