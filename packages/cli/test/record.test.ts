// `modslab record`: a program's heaps, of all its threads, become traces that replay reads; the program does not notice.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { modslab, path, replayWell, root, write } from './helpers.ts';

/** It is Node's programs that are recorded: others do not read NODE_OPTIONS. */
const skip =
  'bun' in process.versions || 'deno' in process.versions ? 'records programs that run in Node' : false;

const index = pathToFileURL(`${root}/packages/modslab/dist/index.js`).href;

const program = write(
  'recorded.mjs',
  `import { Worker, isMainThread, workerData } from 'node:worker_threads';
import { Heap } from ${JSON.stringify(index)};
if (isMainThread) {
  const heap = Heap.create({ size: 1 << 21 });
  const cache = heap.createCache({ name: 'task_struct', size: 300 });
  const all = Array.from({ length: 3000 }, (_, i) => (i % 5 === 0 ? cache.alloc() : heap.kmalloc(i % 900)));
  heap.krealloc(all[1], 2000);
  const second = Heap.create({ size: 1 << 20 });
  second.kfree(second.kmalloc(77));
  const list = all.filter((_, i) => i > 1);
  const worker = new Worker(new URL(import.meta.url), { workerData: { handle: heap.handle, list } });
  worker.on('exit', () => {
    console.log('problems', heap.validate().length, process.argv.slice(2).join(' '));
    process.exitCode = 7;
  });
} else {
  const heap = Heap.attach(workerData.handle);
  for (const address of workerData.list) heap.kfree(address);
  for (let i = 0; i < 100; i++) heap.kfree(heap.kzalloc(100));
  heap.detach();
}
`,
);

test('every heap of every thread is recorded; the status and output are the program’s', { skip }, () => {
  const trace = path('recorded.mtrace.gz');
  const { status, stdout, stderr } = modslab([
    'record',
    '-o',
    trace,
    '--',
    process.execPath,
    program,
    'a',
    'b',
  ]);
  assert.equal(stdout, 'problems 0 a b\n', stderr);
  assert.equal(status, 7);
  assert.match(stderr, /recorded\.mtrace\.gz: 6199 events of 2 ends/);
  assert.match(stderr, /recorded\.mtrace\.2\.gz: 2 events of 1 ends/);
  const json = replayWell(trace, '--verify', '--threads', '2');
  assert.deepEqual([json.events, json.objects, json.frees], [6199, 3100, 3098]);
  assert.ok(json.crossThreadFrees > 0);
  assert.equal(replayWell(path('recorded.mtrace.2.gz')).events, 2);
});

test('as ftrace text: caches have names, call sites are there, and it is replayed just so', { skip }, () => {
  const trace = path('recorded.ftrace');
  const { stderr } = modslab(['record', '-f', 'ftrace', '-c', '-o', trace, '--', process.execPath, program]);
  const text = readFileSync(trace, 'utf8');
  assert.match(
    text,
    /kmem_cache_alloc: call_site=\S+@recorded\.mjs:\d+ ptr=[\da-f]{16} name=task_struct bytes_req=300 /,
    stderr,
  );
  const json = replayWell(trace, '--verify');
  assert.equal(json.events, 6200, 'the realloc is an allocation and a free');
  assert.deepEqual([json.objects, json.frees], [3101, 3099]);
  assert.ok(json.slabinfo.some(({ name }) => name === 'task_struct'));
});

test('what makes no heap, does not start, or is killed', { skip }, () => {
  const nothing = modslab(['record', '-o', path('nothing'), '--', process.execPath, '-e', '0']);
  assert.equal(nothing.status, 2);
  assert.match(nothing.stderr, /no heap was made/);
  assert.ok(!existsSync(path('nothing')));
  const missing = modslab(['record', '--', 'no-such-program-here']);
  assert.equal(missing.status, 127);
  assert.match(missing.stderr, /^modslab: .*ENOENT\n$/);
  const killed = modslab([
    'record',
    '-o',
    path('killed.mtrace'),
    '--',
    process.execPath,
    '--input-type=module',
    '-e',
    `import { Heap } from ${JSON.stringify(index)}; const heap = Heap.create(); for (let i = 0; i < 5000; i++) heap.kmalloc(64); process.kill(process.pid, 'SIGKILL');`,
  ]);
  assert.equal(killed.status, 137);
  const { events } = replayWell(path('killed.mtrace'));
  assert.ok(events > 4500 && events <= 5000, `${events} events`);
  assert.equal(modslab(['record']).status, 2);
});

test('where the trace cannot be written, nothing is run', { skip }, () => {
  const ran = path('has-run');
  const code = `require('node:fs').writeFileSync(${JSON.stringify(ran)}, '')`;
  const file = write('a-file', '');
  const cases: [string, RegExp][] = [
    [path('no-folder/trace'), /^modslab: cannot write \S+trace: there is no folder \S+no-folder\n$/],
    [dirname(file), /^modslab: cannot write \S+: it is a folder: name a file\n$/],
    [join(file, 'trace'), /^modslab: cannot write \S+trace: [^\n]+\n$/],
  ];
  for (const [output, message] of cases) {
    const { status, stderr } = modslab(['record', '-o', output, '--', process.execPath, '-e', code]);
    assert.match(stderr, message);
    assert.equal(status, 2);
    assert.ok(!existsSync(ran));
  }
});
