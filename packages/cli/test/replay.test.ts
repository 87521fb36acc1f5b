/** The command, from its arguments to its exit status, on small traces and on two real ones. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import {
  bin,
  ftrace,
  kernel,
  makeTrace,
  modslab,
  path,
  refuses,
  replayWell,
  root,
  rsyslogd,
  sharedTrace,
  write,
} from './helpers.ts';

const { kmalloc, kfree, alloc, free, pages, freePages } = kernel;

/** Milliseconds that a real trace may take on a busy machine (Bun's limit is 5 s where nothing is said). */
const SLOW = 120_000;

/** The keys that API.md fixes, in its order. */
const KEYS = [
  ...['file', 'events', 'threads', 'crossThreadFrees', 'skipped', 'peakLive', 'peakFootprint', 'seconds'],
  ...['eventsPerSecond', 'verified', 'corrupted', 'problems', 'slabinfo'],
];

for (const threads of [1, 3, 6]) {
  const made = makeTrace(8000, threads, threads + 20, 100_000);
  const file = write(`made${threads}.gz`, gzipSync(made.text));
  for (const workers of [1, 2, 4]) {
    test(`a made trace of ${threads} threads on ${workers}`, { timeout: SLOW }, () => {
      const json = replayWell(file, '--threads', String(workers), '--verify');
      assert.equal(json.file, file);
      assert.deepEqual(Object.keys(json).slice(0, KEYS.length), KEYS);
      assert.deepEqual([json.events, json.objects, json.frees], [made.events, made.objects, made.frees]);
      assert.deepEqual([json.threads, json.verified], [workers, made.objects]);
      assert.equal(json.peakLive, made.peakLive);
      assert.ok(json.peakFootprint >= json.peakLive);
      assert.ok(json.seconds > 0 && json.eventsPerSecond > 0);
      assert.equal(json.crossThreadFrees > 0, workers > 1);
      assert.ok(json.slabinfo.some(({ name, objects }) => name === 'kmalloc-64' && objects > 0));
    });
  }
}

test('without --verify nothing is verified', () => {
  const json = replayWell(write('plain', makeTrace(2000, 2, 7).text), '-t', '2');
  assert.deepEqual([json.verified, json.corrupted], [0, 0]);
});

test('requests larger than kmalloc serves, and reallocs across that line', () => {
  const lines = [
    'a 0 9000000 0',
    'r 0 100 0',
    'r 0 9000000 0',
    'c 1 9000001 0',
    'r 1 0 0',
    'f 0 0',
    'a 2 0 0',
    'r 2 5 0',
  ];
  const file = write('large', `# mtrace1\n${lines.join('\n')}\n`);
  const json = replayWell(file, '--verify', '--max-size', '32M', '--threads', '2');
  assert.deepEqual([json.verified, json.peakLive], [3, 18_000_001]);
});

/** A kernel trace with everything in it: half of the objects freed, caches named late, colliding names, pages. */
function kernelLines(): string[] {
  const lines: string[] = [];
  for (let round = 0; round < 40; round++) {
    const cpu = round & 1;
    for (let i = 1; i <= 30; i++) {
      const at = round * 1000 + i * 8;
      lines.push(kmalloc(cpu, at, 60, 64, i % 3 === 0), alloc(cpu, at + 1, 'kmalloc-64', 64, 64));
      lines.push(alloc(cpu, at + 2, 'dentry', 180, 192), alloc(1 - cpu, at + 3, undefined, 8392, 8448));
      lines.push(pages(cpu, at, i % 4, i % 2 === 0));
      if (i % 2 === 0) {
        lines.push(kfree(1 - cpu, at), free(cpu, at + 1, 'kmalloc-64'), freePages(1 - cpu, at, i % 4));
      }
      if (i % 5 === 0) lines.push(kfree(cpu, at + 2), free(cpu, at + 3, 'task_struct'), kfree(cpu, 0));
    }
  }
  return [...lines, kfree(0, 0xdead), freePages(0, 0xdead, 0), alloc(0, 1008, 'dentry', 1, 192)];
}

const kernelFile = write('kernel', ftrace(kernelLines()));
for (const workers of [1, 2, 4]) {
  test(`a kernel trace: caches, pages, names that the heap has already; on ${workers}`, {
    timeout: SLOW,
  }, () => {
    const json = replayWell(kernelFile, '--verify', '--threads', String(workers));
    assert.deepEqual([json.events, json.verified], [kernelLines().length, json.objects]);
    const { nullFrees, unmatchedFrees, unmatchedPages } = json.skipped;
    assert.deepEqual([nullFrees, unmatchedFrees, unmatchedPages], [240, 1, 1]);
    const objects = (cache: string): number | undefined =>
      json.slabinfo.find(({ name }) => name === cache)?.objects;
    assert.equal(objects('trace:kmalloc-64'), 600);
    for (const name of ['dentry', 'task_struct', 'size-8448'])
      assert.notEqual(objects(name), undefined, name);
  });
}

test('several files: a line each, and the worst status', () => {
  const good = write('good', makeTrace(500, 1, 1).text);
  const bad = write('bad', '# mtrace1\nf 0 0\n');
  const { status, stdout, stderr } = modslab(['replay', '--json', good, bad, good]);
  assert.equal(status, 2);
  assert.equal(stdout.trimEnd().split('\n').length, 2);
  assert.equal(stderr, `modslab: ${bad}:2: free of unknown id 0\n`);
});

test('the summary', () => {
  const made = makeTrace(2000, 2, 12);
  const file = write('summary', made.text);
  const { status, stdout, stderr } = modslab(['replay', '--threads', '2', '--verify', file]);
  assert.deepEqual([status, stderr], [0, '']);
  assert.match(stdout, /made by a test/);
  assert.match(stdout, /replayed +2,000 events of 2 threads on 2 worker threads/);
  assert.match(
    stdout,
    new RegExp(`verified +all ${made.objects.toLocaleString('en-US')} objects: every byte`),
  );
  assert.match(stdout, /heap +sound: validation found no problem, and nothing leaked/);
  assert.match(stdout, /kmalloc-64/, 'slabinfo');
  assert.match(modslab(['replay', file]).stdout, /verified +no \(--verify fills/);
});

test('an empty trace is replayed, too', () => {
  const file = write('none', '# mtrace1\n# events: 0\n');
  const json = replayWell(file, '--threads', '2', '--verify');
  assert.deepEqual([json.events, json.peakLive, json.eventsPerSecond >= 0], [0, 0, true]);
  assert.equal(modslab(['replay', file]).status, 0);
});

test('no memory: status 1, which event, and the option to raise', () => {
  const lines = Array.from({ length: 5000 }, (_, i) => `a ${i} 4096 ${i & 1}`);
  const file = write('much', `# mtrace1\n${lines.join('\n')}\n`);
  for (const threads of ['1', '2']) {
    const { status, stdout, stderr } = modslab([
      'replay',
      '--json',
      '--max-size',
      '2M',
      '--threads',
      threads,
      file,
    ]);
    assert.match(
      stderr,
      /^modslab: [^\n]*much:\d+: kmalloc of object \d+: no memory for 4096 bytes: [^\n]*--max-size\n$/,
    );
    assert.equal(status, 1);
    assert.equal(JSON.parse(stdout).problems[0].code, 'ENOMEM');
  }
});

test('a worker that dies: status 1 and one line', {
  skip: 'Bun' in globalThis || 'Deno' in globalThis,
}, () => {
  const file = write('dies', makeTrace(20_000, 2, 1).text);
  for (const [how, message] of [
    ['process.exit(3)', /^modslab: [^\n]*: worker \d exited early with status 3\n$/],
    ['throw new Error("by\\nitself")', /^modslab: [^\n]*: worker \d crashed: Error: by[^\n]*itself\n$/],
  ] as const) {
    const preload = write('preload.cjs', `if (!require('node:worker_threads').isMainThread) ${how};`);
    const { status, stderr } = modslab(['replay', '--threads', '2', file], ['--require', preload]);
    assert.match(stderr, message);
    assert.equal(status, 1);
  }
});

const { text } = makeTrace(300, 1, 3);
const escape = '\u001b[31m';
for (const [what, file, message] of [
  ['a missing file', path('missing'), /missing: no such file$/m],
  ['a folder', root, / is a directory$/m],
  ['an empty file', write('e', ''), /\/e:1: the file is empty$/m],
  ['another version', write('m', '# mtrace2\n'), /\/m:1: not this version/],
  ['binary data', write('g', Buffer.from([0, 1, 2, 255, 254, 10, 13, 27])), /\/g:1: not a trace/],
  ['cut gzip', write('z.gz', gzipSync(text).subarray(0, 300)), /z\.gz:\d+: the gzip data is cut short$/m],
  ['a bad line', write('l', `${text}a 1\n`), /\/l:315: malformed event line "a 1"$/m],
  [
    'a false header',
    write('h', text.replace('# events: 300', '# events: 301')),
    /\/h:3: the header says events: 301, the events give 300$/m,
  ],
  [
    'terminal escapes',
    write('k', ftrace([kfree(0, 0), `x${escape}`])),
    /\/k:7: malformed line: .*"x\\x1b\[31m"$/m,
  ],
  ['a line break in the name', write('new\nline', 'x'), /new\\x0aline:1: /],
] as const) {
  test(`bad input: ${what}: status 2 and one line with file and line number`, () => {
    refuses(file, message);
  });
}

const valid = write('args', makeTrace(10, 1, 3).text);
for (const [args, message] of [
  [[], /no command given; see modslab --help/],
  [['repaly', valid], /unknown command 'repaly'/],
  [['replay'], /missing required argument 'file'/],
  [['replay', '--thread', '2', valid], /unknown option '--thread'/],
  [['replay', '--threads'], /option '-t, --threads <n>' argument missing/],
  [['replay', '--threads', '0', valid], /--threads.*whole number from 1 to 256/],
  [['replay', '--threads', '2.5', valid], /--threads.*whole number from 1 to 256/],
  [['replay', '--threads', '1e1', valid], /--threads.*whole number from 1 to 256/],
  [['replay', '--threads', '257', valid], /--threads.*whole number from 1 to 256/],
  [['replay', '--allocator', 'slob', valid], /--allocator.*must be one of: sheaved/],
  [['replay', '--max-size', '12Q', valid], /--max-size.*bytes from 1M to 4G/],
  [['replay', '--max-size', '8G', valid], /--max-size.*bytes from 1M to 4G/],
  [['replay', '--window', '-1', valid], /--window.*whole number from 0/],
] as [string[], RegExp][]) {
  test(`bad arguments: ${args.join(' ').replace(valid, 'FILE')}: status 2 and one line`, () => {
    const { status, stdout, stderr } = modslab(args);
    assert.match(stderr, /^modslab: [^\n]*\n$/);
    assert.match(stderr, message);
    assert.deepEqual([status, stdout], [2, '']);
  });
}

test('the version', () => {
  const { version } = JSON.parse(readFileSync(join(root, 'packages/cli/package.json'), 'utf8'));
  assert.deepEqual(modslab(['--version']), { status: 0, stdout: `${version}\n`, stderr: '' });
});

for (const args of [['--help'], ['-h'], ['help'], ['replay', '--help'], ['help', 'replay']]) {
  test(`help: ${args.join(' ')}`, () => {
    const { status, stdout, stderr } = modslab(args);
    assert.deepEqual([status, stderr], [0, '']);
    assert.match(stdout, /^Usage: modslab /);
    if (args.includes('replay')) assert.match(stdout, /--verify[\s\S]*Exit status[\s\S]*Examples/);
  });
}

test('help of a command that there is not', () => {
  const { status, stdout, stderr } = modslab(['help', 'bogus']);
  assert.equal(stderr, "modslab: unknown command 'bogus'; see modslab --help\n");
  assert.deepEqual([status, stdout], [2, '']);
});

test('the default allocator has a name', () => {
  assert.equal(modslab(['replay', '--allocator', 'sheaved', valid]).status, 0);
});

test('a reader that closes the pipe early is no error', {
  skip: 'Bun' in globalThis || 'Deno' in globalThis,
}, async () => {
  const file = write('pipe', makeTrace(200, 1, 3).text);
  const child = spawn(process.execPath, [bin, 'replay', ...Array(20).fill(file)]);
  child.stdout.destroy();
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const status = await new Promise((resolve) => child.on('close', resolve));
  assert.deepEqual([status, stderr], [0, '']);
});

test('the bundled trace of rsyslogd on two threads, verified', { timeout: SLOW }, () => {
  const json = replayWell(rsyslogd, '--threads', '2', '--verify');
  assert.deepEqual([json.events, json.objects, json.verified], [758_073, 378_183, 378_183]);
  assert.equal(json.peakLive, 2_411_192);
  assert.ok(json.crossThreadFrees > 50_000);
});

test('a worker for each of its threads: the cross-thread frees are those of the trace', {
  timeout: SLOW,
}, () => {
  assert.equal(replayWell(rsyslogd, '--threads', '13').crossThreadFrees, 122_985);
});

const host = sharedTrace('kernel-host-fs.ftrace.txt.gz');
test('a real kernel trace', {
  timeout: SLOW,
  skip: host === undefined && 'no ../shared/traces beside the repository',
}, () => {
  const json = replayWell(host ?? '', '--threads', '2', '--verify');
  const { nullFrees, unmatchedFrees, unmatchedPages } = json.skipped;
  assert.deepEqual([json.events, nullFrees, unmatchedFrees, unmatchedPages], [317_137, 12_869, 4_385, 69]);
  assert.equal(json.implied.impliedFrees, 4_581);
  assert.equal(json.verified, json.objects);
});
