// `replay --plot`: the figures are those of the trace, the drawing is well-formed.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { traceFigures } from '#src/replay/plot/figures.js';
import { plotOf } from '#src/replay/plot/plot.js';
import { decode, modslab, path, rsyslogd, sharedTrace, write } from './helpers.ts';

const TRACE = `# mtrace1
a 0 10 0
c 1 100 0
r 0 40 0
a 2 100000 0
f 1 0
a 3 64 0
f 2 0
`;

test('live bytes, the peak and the classes at the peak follow from the trace', () => {
  const { live, peak, classes } = traceFigures(decode(TRACE), [32, 64, 128], 4096);
  assert.deepEqual(live, [
    [0, 0],
    [1, 10],
    [2, 110],
    [3, 140],
    [4, 100_140],
    [5, 100_140],
    [6, 100_104],
    [7, 100_104],
    [7, 104],
  ]);
  assert.deepEqual(peak, [4, 100_140]);
  assert.deepEqual(
    classes.map(({ size, requests, objects, requested, allocated }) => [
      size,
      requests,
      objects,
      requested,
      allocated,
    ]),
    [
      [32, 1, 0, 0, 0],
      [64, 2, 1, 40, 64],
      [128, 1, 1, 100, 128],
      [Number.POSITIVE_INFINITY, 1, 1, 100_000, 102_400],
    ],
  );
});

/** Tags closed in the order in which they were opened, and no number that is none. */
function assertWellFormed(svg: string): void {
  const open: string[] = [];
  for (const [, closing, name, rest] of svg.matchAll(/<(\/?)([a-z]+)([^<>]*)>/g)) {
    if (closing !== '') assert.equal(open.pop(), name);
    else if (!rest.endsWith('/')) open.push(name);
  }
  assert.deepEqual(open, []);
  assert.doesNotMatch(svg, /NaN|Infinity|undefined/);
}

test('a plot is well-formed, of an empty trace too', () => {
  for (const trace of [TRACE, '# mtrace1\n']) {
    const figures = traceFigures(decode(trace), [32, 64, 128], 4096);
    const svg = plotOf('a <title> & more', figures, [
      [0, 0],
      [7, 200_000],
    ]);
    assertWellFormed(svg);
    assert.match(svg, /a &lt;title&gt; &amp; more/);
  }
});

test('replay --plot draws the footprint up to the last event', () => {
  const file = path('plot.svg');
  const { status, stderr } = modslab(['replay', '--plot', file, rsyslogd]);
  assert.equal(status, 0, stderr);
  const svg = readFileSync(file, 'utf8');
  assertWellFormed(svg);
  assert.match(svg, /rsyslogd/);
  const lines = [...svg.matchAll(/<polyline points="([^"]*)"/g)].map(([, points]) => points.split(' '));
  assert.equal(lines.length, 2);
  const [footprint, live] = lines;
  assert.ok(footprint.length > 5 && live.length > 1000);
  assert.equal(footprint.at(-1)?.split(',')[0], live.at(-1)?.split(',')[0]);
});

test('one trace a plot; a file that cannot be written is one line and status 2', () => {
  const two = modslab(['replay', '--plot', path('two.svg'), rsyslogd, rsyslogd]);
  assert.equal(two.status, 2);
  assert.match(two.stderr, /^modslab: .*one file\n$/);
  const file = write('small.mtrace', TRACE);
  const nowhere = modslab(['replay', '--plot', path('no/such/folder.svg'), file]);
  assert.equal(nowhere.status, 2);
  assert.match(nowhere.stderr, /^modslab: cannot write [^\n]*: there is no folder [^\n]*\n$/);
  assert.equal(nowhere.stdout, '', 'before the replay');
});

test('a kernel trace can be plotted', {
  skip: sharedTrace('kernel-host-fs.ftrace.txt.gz') ? false : 'the public traces are missing',
}, () => {
  const file = path('kernel.svg');
  const { status, stderr } = modslab([
    'replay',
    '--plot',
    file,
    sharedTrace('kernel-host-fs.ftrace.txt.gz') ?? '',
  ]);
  assert.equal(status, 0, stderr);
  assertWellFormed(readFileSync(file, 'utf8'));
});
