/** The reader of mtrace1: what it makes of good traces, and the line it names in bad ones. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Op } from '#src/replay/program.js';
import { decode, makeTrace, rowsOf } from './helpers.ts';

const trace = (...lines: string[]): string => `# mtrace1\n${lines.map((line) => `${line}\n`).join('')}`;

/** Asserts that the trace is refused with this message. */
function fails(text: string, message: string): void {
  assert.throws(() => decode(text), { name: 'TraceError', message: `t:${message}` });
}

test('every event becomes a row, and an object left live a free after the last', () => {
  const program = decode(
    trace(
      '# program: p',
      '# command: p -x',
      'a 0 10 0',
      'c 1 20 7',
      'm 2 30 64 0',
      'r 0 40 7',
      'f 1 0',
      'r 2 0 0',
    ),
  );
  assert.deepEqual(rowsOf(program), [
    [Op.Kmalloc, 0, 0, 10, 0, 0, 4],
    [Op.Kzalloc, 1, 0, 20, 0, 1, 5],
    [Op.Aligned, 2, 0, 30, 64, 0, 6],
    [Op.Realloc, 0, 1, 40, 10, 1, 7],
    [Op.Kfree, 1, 1, 20, 0, 0, 8],
    [Op.Realloc, 2, 1, 0, 30, 0, 9],
    [Op.Kfree, 0, 2, 40, 0, 0, 0],
    [Op.Kfree, 2, 2, 0, 0, 0, 0],
  ]);
  const { events, operations, objects, threads, frees, title } = program;
  assert.deepEqual(
    { events, operations, objects, threads, frees },
    { events: 6, operations: 6, objects: 3, threads: 2, frees: 1 },
  );
  assert.equal(title, 'p (p -x)');
  assert.equal(program.peakLive, 90, 'a realloc is one step');
  assert.deepEqual([program.peakObjects, program.endObjects, program.endLive], [3, 2, 40]);
});

test('a trace of no events is a trace', () => {
  const program = decode(trace('# events: 0'));
  assert.deepEqual([program.events, program.objects, program.threads], [0, 0, 0]);
});

test('made traces are read as made, whatever the chunks', () => {
  for (const [seed, threads] of [1, 3, 13].entries()) {
    const { text, ...figures } = makeTrace(3000, threads, seed);
    const program = decode(text);
    const { events, objects, frees, peakLive, peakObjects, endLive, endObjects, largest } = program;
    assert.deepEqual(
      { events, objects, frees, peakLive, peakObjects, endLive, endObjects, largest },
      figures,
    );
    assert.equal(program.threads, threads);
    const rows = rowsOf(program);
    for (const chunk of [1, 2, 7, 64, 1000]) assert.deepEqual(rowsOf(decode(text, chunk)), rows);
  }
});

test('the largest numbers that fit are read', () => {
  const program = decode(trace('a 0 4294967295 65535', 'm 1 1 134217728 0'));
  assert.equal(program.rows.size[0], 4294967295);
  assert.equal(program.rows.aux[1], 134217728);
});

test('malformed lines', () => {
  for (const line of [
    'a 0 10',
    'a 0 10 0 0',
    'a 0  10 0',
    ' a 0 10 0',
    'a 0 10 0 ',
    'a 0 10 0\r',
    'a 0 -1 0',
    'a 0 1.5 0',
    'a 0 0x10 0',
    'a\t0 10 0',
    'a 0 ten 0',
    'b 0 10 0',
    'ab 0 10 0',
    'A 0 10 0',
    'a',
    'a ',
    'm 0 10 0',
    'f',
    'hello world',
    '',
  ]) {
    const quoted = line.replace(/[\t\r]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
    fails(trace('# note: n', line), `3: malformed event line "${quoted}"`);
  }
  fails(trace('a 0 1 0', 'f 0 0 0'), '3: malformed event line "f 0 0 0"');
  fails(trace('a 0 1 0', `a 1 ${'x'.repeat(100)}`), `3: malformed event line "a 1 ${'x'.repeat(56)}…"`);
});

test('numbers that are too large', () => {
  fails(trace('a 0 4294967296 0'), '2: number too large in "a 0 4294967296 0" (at most 4294967295)');
  const long = '9'.repeat(400);
  fails(trace(`a 0 ${long} 0`), `2: number too large in "a 0 ${'9'.repeat(56)}…" (at most 4294967295)`);
  fails(trace('f 99999999999 0'), '2: number too large in "f 99999999999 0" (at most 4294967295)');
  fails(trace('a 0 1 65536'), '2: number too large: thread 65536 (at most 65535)');
  fails(trace('m 0 1 268435456 0'), '2: number too large: alignment 268435456 (at most 134217728)');
});

test('objects', () => {
  fails(trace('a 0 1 0', 'f 1 0'), '3: free of unknown id 1');
  fails(trace('a 0 1 0', 'r 5 10 0'), '3: realloc of unknown id 5');
  fails(trace('a 0 1 0', 'f 0 0', 'f 0 1'), '4: double free of id 0');
  fails(trace('a 0 1 0', 'f 0 0', 'r 0 1 1'), '4: realloc of freed id 0');
  fails(trace('a 0 1 0', 'a 0 1 0'), '3: id 0 out of order: the next new object must be 1');
  fails(trace('a 1 1 0'), '2: id 1 out of order: the next new object must be 0');
  fails(trace('a 0 1 0', 'c 2 1 0'), '3: id 2 out of order: the next new object must be 1');
  for (const align of [0, 3, 24])
    fails(trace(`m 0 1 ${align} 0`), `2: alignment ${align} is not a power of two`);
});

test('the header must say what the events add up to', () => {
  const { text } = makeTrace(500, 3, 5);
  const lines = text.split('\n');
  for (const [index, line] of lines.entries()) {
    const match =
      /^# (events|objects|threads|peak-live-bytes|peak-live-objects|end-live-bytes|end-live-objects|largest-request): (\d+)$/.exec(
        line,
      );
    if (match === null) continue;
    const [, key, value] = match;
    const wrong = lines.with(index, `# ${key}: ${Number(value) + 1}`).join('\n');
    fails(wrong, `${index + 1}: the header says ${key}: ${Number(value) + 1}, the events give ${value}`);
  }
  fails(trace('# events: many', 'a 0 1 0'), '2: the header says events: many, the events give 1');
  fails(
    trace('# ops: a=0 c=1 m=0 r=0 f=0', 'a 0 1 0'),
    '2: the header says ops: a=0 c=1 m=0 r=0 f=0, the events give a=1 c=0 m=0 r=0 f=0',
  );
  const short = lines.slice(0, -10).join('\n');
  assert.throws(
    () => decode(`${short}\n`),
    /^TraceError: t:3: the header says events: 500, the events give 491$/,
  );
});

test('header lines', () => {
  fails(trace('# events: 1', '# events: 1', 'a 0 1 0'), '3: header key "events" for the second time');
  fails(trace('a 0 1 0', '# note: late'), '3: header line after the first event');
  for (const line of ['#', '#x', '# ', '# : v', '# no colon', '#events: 1']) {
    fails(trace(line), `2: malformed header line "${line}"`);
  }
});
