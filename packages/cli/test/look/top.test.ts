// `modslab top`: its pages, and under tmux its keys, against a replay that is running.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import process from 'node:process';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Heap } from 'modslab';
import { openSnapshot } from 'modslab/stat';
import { momentOf, PAGES, pageText, SORT_KEYS } from '#src/top/pages.js';
import { bin, modslab, path, rsyslogd, write } from '../helpers.ts';

const heap = Heap.create({ size: 2 ** 21, nodes: 2, cpus: 4 });
const other = Heap.attach(heap.handle, { tag: 'worker' });
const cache = heap.createCache({ name: 'a_cache_whose_name_is_too_long_for_its_column', size: 100 });
for (let i = 0; i < 2000; i++) [heap, other][i % 2].kmalloc(i % 500);
for (let i = 0; i < 900; i++) cache.alloc();
const moment = () => momentOf(openSnapshot(heap.snapshot({ data: false })));

test('every page fits into 80 columns, by every key', () => {
  const before = moment();
  for (let i = 0; i < 500; i++) heap.kmalloc(64);
  const now = moment();
  for (const page of PAGES) {
    for (const key of Object.keys(SORT_KEYS)) {
      const { head, body } = pageText(page, now, before, key);
      for (const line of [...head, ...body]) assert.ok(line.length <= 80, `${page} by ${key}: ${line}`);
      assert.ok(body.length > 0);
    }
  }
});

test('sort keys order the table by their column', () => {
  const column = (key: string, n: number): string[] =>
    pageText('caches', moment(), undefined, key).body.map((line) => line.trim().split(/\s+/)[n]);
  const descends = (values: number[]): boolean =>
    values.every((value, i) => i === 0 || value <= values[i - 1]);
  const number = (text: string): number =>
    Number.parseFloat(text) * ({ K: 1e3, M: 1e6 }[text.at(-1) ?? ''] ?? 1);
  for (const [key, n] of [
    ['o', 0],
    ['a', 1],
    ['s', 3],
    ['l', 4],
    ['b', 5],
    ['c', 6],
  ] as const)
    assert.ok(descends(column(key, n).map(number)), key);
  assert.deepEqual(column('n', 7), [...column('n', 7)].sort());
});

test('the summary is that of slabtop', () => {
  const { head } = pageText('caches', moment(), undefined, 'o');
  const objects = heap.slabinfo().reduce((sum, row) => sum + row.objects, 0);
  assert.match(
    head[0],
    new RegExp(`^ Active / Total Objects \\(% used\\) +: ${objects} / \\d+ \\([\\d.]+%\\)$`),
  );
  assert.match(head[4], /^ Minimum \/ Average \/ Maximum Object : [\d.]+K \/ [\d.]+K \/ [\d.]+K$/);
});

test('rates are of the time between two looks, and of the CPU that was busy', () => {
  const before = moment();
  for (let i = 0; i < 40; i++) other.kfree(other.kmalloc(4000));
  const held = Array.from({ length: 2000 }, () => other.kmalloc(200));
  for (const address of held) other.kfree(address);
  const now = moment();
  Object.defineProperty(now.image, 'time', { value: before.image.time + 2000 });
  const row = (text: readonly string[], end: string): string[] =>
    text
      .find((line) => line.endsWith(end))
      ?.trim()
      .split(/\s+/) ?? [];
  const activity = row(pageText('activity', now, before, 'o').body, ' kmalloc-256');
  assert.ok(Number(activity[0]) > 900 && Number(activity[0]) <= 1000, String(activity));
  const cpus = pageText('cpus', now, before, 'o').body;
  assert.equal(row(cpus, ' #0')[2], '0');
  assert.ok(Number(row(cpus, ' worker')[2]) > 900);
});

test('-o prints a page of a snapshot and ends; so does output that is no terminal', () => {
  const file = write('top.snapshot', heap.snapshot());
  const expected = pageText('caches', moment(), undefined, 's');
  for (const args of [
    ['-o', '-s', 's', file],
    ['-s', 's', file],
  ]) {
    const { status, stdout } = modslab(['top', ...args]);
    assert.equal(status, 0);
    assert.equal(stdout, `${[...expected.head, ...expected.body].join('\n')}\n`);
  }
  const bad = modslab(['top', '-s', 'x', file]);
  assert.equal(bad.status, 2);
  assert.match(bad.stderr, /^modslab: [^\n]*\n$/);
});

const socket = `modslab-top-${process.pid}`;
const hasTmux = spawnSync('tmux', ['-V']).status === 0;
let replay: ChildProcess | undefined;
after(() => {
  if (hasTmux) spawnSync('tmux', ['-L', socket, 'kill-server']);
  replay?.kill();
});

const tmux = (...args: string[]): string =>
  spawnSync('tmux', ['-L', socket, ...args], { encoding: 'utf8' }).stdout;

/** The screen, once it matches. */
async function screen(pattern: RegExp): Promise<string> {
  let shown = '';
  for (let i = 0; i < 300; i++) {
    shown = tmux('capture-pane', '-p');
    if (pattern.test(shown)) return shown;
    await sleep(100);
  }
  assert.fail(`the screen never matches ${pattern}:\n${shown}`);
}

/** A replay that is exposed and takes its time; its address. */
async function exposedReplay(): Promise<string> {
  const child = spawn(process.execPath, [
    ...process.execArgv.filter((arg) => arg.startsWith('--conditions')),
    bin,
    'replay',
    '--expose-port',
    '0',
    '--over',
    '600',
    '--threads',
    '2',
    rsyslogd,
  ]);
  replay = child;
  let said = '';
  for await (const chunk of child.stderr) {
    said += String(chunk);
    const [, address] = /exposed at (\S+)/.exec(said) ?? [];
    if (address !== undefined) return address;
  }
  throw new Error(`the replay is not exposed: ${said}`);
}

test('under tmux: live figures of a running replay, keys, pages, resize, quit', {
  skip: hasTmux ? false : 'tmux is missing',
  timeout: 120_000,
}, async () => {
  const address = await exposedReplay();
  const ended = path('top-ended');
  // Deno takes no program without a permission to run it.
  const runtime = 'deno' in process.versions ? `${process.execPath} run -A` : process.execPath;
  const command = `${runtime} ${bin} top -d 0.2 '${address}'; echo status $? > ${ended}; sleep 60`;
  tmux('-f', '/dev/null', 'new-session', '-d', '-x', '80', '-y', '24', command);
  const first = await screen(/OBJS +ACTIVE +USE[\s\S]*kmalloc-\d+[\s\S]*caches, by objects/);
  assert.match(first, /modslab top: replay of .*rsyslogd/);
  const lines = first.trimEnd().split('\n');
  assert.ok(lines.length === 24 && lines.every((line) => line.length <= 80));
  const total = (text: string): string => /Total Objects.*: (\d+) \//.exec(text)?.[1] ?? '';
  await screen(new RegExp(`Total Objects.*: (?!${total(first)} )\\d`));
  tmux('send-keys', 's');
  await screen(/by object size/);
  tmux('send-keys', 'P');
  assert.match(await screen(/CPU STATE[\s\S]*cpus, by/), /\n +1 online/);
  tmux('send-keys', 'N');
  await screen(/NODE ZONE[\s\S]*FREE RUNS[\s\S]*nodes, by/);
  tmux('send-keys', 'Tab');
  await screen(/caches, by object size/);
  tmux('send-keys', 'A');
  await screen(/ALLOC>=[\s\S]*activity, by/);
  tmux('send-keys', 'h');
  await screen(/Arrows and page keys scroll/);
  tmux('send-keys', 'C');
  await screen(/caches, by/);
  tmux('resize-window', '-x', '60', '-y', '14');
  const small = await screen(/^(?:.*\n){13} caches, by/);
  assert.ok(small.split('\n').every((line) => line.length <= 60));
  tmux('send-keys', 'q');
  for (let i = 0; i < 100 && spawnSync('cat', [ended]).status !== 0; i++) await sleep(100);
  assert.equal(spawnSync('cat', [ended], { encoding: 'utf8' }).stdout, 'status 0\n');
  replay?.kill();
});
