/**
 * What the tests of the command share: where things are, running the command, and small traces made on the spot.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import type { Program } from '#src/replay/program.js';
import { Splitter } from '#src/trace/source.js';

/** The folder whose package.json has workspaces. */
function findRoot(from: string): string {
  const file = join(from, 'package.json');
  if (existsSync(file) && 'workspaces' in JSON.parse(readFileSync(file, 'utf8'))) return from;
  const parent = dirname(from);
  if (parent === from) throw new Error('no package.json with workspaces above the tests');
  return findRoot(parent);
}

export const root: string = findRoot(import.meta.dirname);
export const bin: string = join(root, 'packages/cli/bin/modslab.js');
export const rsyslogd: string = join(root, 'packages/cli/traces/rsyslogd.mtrace.gz');

/** A trace of the public set beside the repository, or undefined where it is not there. */
export function sharedTrace(name: string): string | undefined {
  const file = join(root, '../shared/traces', name);
  return existsSync(file) ? file : undefined;
}

/** A folder for this process's files, removed when it ends. */
const folder = mkdtempSync(join(tmpdir(), 'modslab-cli-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** Writes a file into the test's folder; returns its path. */
export function write(name: string, contents: string | Uint8Array): string {
  const file = join(folder, name);
  writeFileSync(file, contents);
  return file;
}

/** A path in the test's folder. */
export const path = (name: string): string => join(folder, name);

/** What precedes the script on this runtime's command line. */
function runtimeArgs(): string[] {
  if ('Deno' in globalThis) return ['run', '-A'];
  return process.execArgv.filter((arg) => arg.startsWith('--conditions'));
}

export interface Ran {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Runs `modslab` with `args`. */
export function modslab(args: string[], extra: string[] = []): Ran {
  const env = { ...process.env, NO_COLOR: '1' };
  const all = [...runtimeArgs(), ...extra, bin, ...args];
  const ran = spawnSync(process.execPath, all, { encoding: 'utf8', env, maxBuffer: 2 ** 26 });
  return { status: ran.status, stdout: ran.stdout, stderr: ran.stderr };
}

/** The keys of `replay --json` that tests look at. */
export interface Json {
  file: string;
  events: number;
  threads: number;
  crossThreadFrees: number;
  skipped: Record<string, number>;
  implied: Record<string, number>;
  peakLive: number;
  peakFootprint: number;
  seconds: number;
  eventsPerSecond: number;
  verified: number;
  corrupted: number;
  problems: { code: string; message: string }[];
  slabinfo: { name: string; objects: number; objsize: number }[];
  operations: number;
  objects: number;
  frees: number;
}

/** Replays `file` with `--json`, asserts that all is well, and returns the object. */
export function replayWell(file: string, ...args: string[]): Json {
  const { status, stdout, stderr } = modslab(['replay', '--json', ...args, file]);
  assert.equal(stderr, '');
  assert.equal(status, 0);
  assert.equal(stdout.split('\n').length, 2, 'one line');
  const json = JSON.parse(stdout) as Json;
  assert.deepEqual(json.problems, []);
  assert.equal(json.corrupted, 0);
  return json;
}

/** Asserts that replaying `file` ends with status 2 and one line on stderr that matches. */
export function refuses(file: string, message: RegExp): void {
  const { status, stdout, stderr } = modslab(['replay', file]);
  assert.equal(stdout, '');
  assert.match(stderr, /^modslab: [^\n]*\n$/, 'one line');
  assert.match(stderr, message);
  assert.equal(status, 2);
}

/** Decodes a trace given as text, handed over in chunks of `chunk` bytes. */
export function decode(text: string | Buffer, chunk = 2 ** 30): Program {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  const splitter = new Splitter('t');
  for (let at = 0; at < bytes.length; at += chunk) splitter.push(bytes.subarray(at, at + chunk));
  return splitter.finish();
}

/** The rows of a program, as arrays that compare well. */
export function rowsOf(program: Program): number[][] {
  const { op, id, seq, size, aux, thread, line } = program.rows;
  return Array.from(op, (_, r) => [op[r], id[r], seq[r], size[r], aux[r], thread[r], line[r]]);
}

/** A generator of numbers in [0, 1), the same for the same seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What a made trace must be read as. */
export interface MadeTrace {
  text: string;
  events: number;
  objects: number;
  frees: number;
  peakLive: number;
  peakObjects: number;
  endLive: number;
  endObjects: number;
  largest: number;
}

/** A random, valid mtrace1 trace with a full header. */
export function makeTrace(events: number, threads: number, seed: number, largest = 3000): MadeTrace {
  const next = random(seed);
  const below = (n: number): number => Math.floor(next() * n);
  const size = (): number => (next() < 0.02 ? below(largest + 1) : below(next() < 0.5 ? 65 : 700));
  const live: number[] = [];
  const sizes: number[] = [];
  const ops = { a: 0, c: 0, m: 0, r: 0, f: 0 };
  const seen = new Set<number>();
  const lines: string[] = [];
  const sum = { live: 0, peak: 0, peakObjects: 0, largest: 0 };
  const took = (bytes: number): void => {
    sum.live += bytes;
    sum.peak = Math.max(sum.peak, sum.live);
    sum.peakObjects = Math.max(sum.peakObjects, live.length);
  };
  for (let n = 0; n < events; n++) {
    const thread = n < threads ? n : below(threads);
    seen.add(thread);
    const dice = next();
    if (dice < 0.5 || live.length === 0) {
      const id = sizes.length;
      const bytes = size();
      const letter = dice < 0.3 ? 'a' : dice < 0.45 ? 'c' : 'm';
      ops[letter]++;
      const align = letter === 'm' ? ` ${2 ** below(8)}` : '';
      lines.push(`${letter} ${id} ${bytes}${align} ${thread}`);
      live.push(id);
      sizes.push(bytes);
      sum.largest = Math.max(sum.largest, bytes);
      took(bytes);
      continue;
    }
    const at = below(live.length);
    const id = live[at];
    if (dice < 0.6) {
      const bytes = size();
      ops.r++;
      lines.push(`r ${id} ${bytes} ${thread}`);
      sum.largest = Math.max(sum.largest, bytes);
      took(bytes - sizes[id]);
      sizes[id] = bytes;
    } else {
      ops.f++;
      lines.push(`f ${id} ${thread}`);
      live[at] = live[live.length - 1];
      live.pop();
      sum.live -= sizes[id];
    }
  }
  const header = [
    '# mtrace1',
    '# program: made by a test',
    `# events: ${events}`,
    `# objects: ${sizes.length}`,
    `# ops: a=${ops.a} c=${ops.c} m=${ops.m} r=${ops.r} f=${ops.f}`,
    `# threads: ${seen.size}`,
    `# peak-live-bytes: ${sum.peak}`,
    `# peak-live-objects: ${sum.peakObjects}`,
    `# end-live-bytes: ${sum.live}`,
    `# end-live-objects: ${live.length}`,
    `# largest-request: ${sum.largest}`,
    '# unheard-of: key',
    '# note: one',
    '# note: two',
  ];
  return {
    text: `${[...header, ...lines].join('\n')}\n`,
    events,
    objects: sizes.length,
    frees: ops.f,
    peakLive: sum.peak,
    peakObjects: sum.peakObjects,
    endLive: sum.live,
    endObjects: live.length,
    largest: sum.largest,
  };
}

/** One line of kernel ftrace text. */
export function ftraceLine(cpu: number, event: string, args: string, task = 'bash-1234'): string {
  const at = String(cpu).padStart(3, '0');
  return `${task.padStart(21)}   [${at}] .....  1377.922974: ${event}: ${args}`;
}

/** A kernel trace with these lines, and a header that counts them (or says `entries`). */
export function ftrace(lines: string[], entries: number = lines.length): string {
  return [
    '# tracer: nop',
    '#',
    `# entries-in-buffer/entries-written: ${entries}/${entries}   #P:2`,
    '#',
    '#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION',
    ...lines,
    '',
  ].join('\n');
}

const gfp = (zero: boolean): string =>
  `gfp_flags=GFP_KERNEL${zero ? '|__GFP_ZERO' : ''} node=-1 accounted=false`;
const ptr = (address: number): string => address.toString(16).padStart(16, '0');

/** Events of a kernel trace. Addresses are small numbers. */
export const kernel = {
  kmalloc: (cpu: number, address: number, req: number, alloc: number, zero = false): string =>
    ftraceLine(
      cpu,
      'kmalloc',
      `call_site=f+0x1/0x2 ptr=${ptr(address)} bytes_req=${req} bytes_alloc=${alloc} ${gfp(zero)}`,
    ),
  kfree: (cpu: number, address: number): string =>
    ftraceLine(cpu, 'kfree', `call_site=g+0x1/0x2 [ext4] ptr=${ptr(address)}`),
  alloc: (cpu: number, address: number, name: string | undefined, req: number, size: number): string =>
    ftraceLine(
      cpu,
      'kmem_cache_alloc',
      `call_site=h+0x1/0x2 ptr=${ptr(address)}${name === undefined ? '' : ` name=${name}`} bytes_req=${req} bytes_alloc=${size} ${gfp(false)}`,
    ),
  free: (cpu: number, address: number, name: string): string =>
    ftraceLine(
      cpu,
      'kmem_cache_free',
      `call_site=loop_add+0x26/0x320 [loop] ptr=${ptr(address)} name=${name}`,
    ),
  pages: (cpu: number, pfn: number, order: number, zero = false): string =>
    ftraceLine(
      cpu,
      'mm_page_alloc',
      `page=${ptr(0xabc000 + pfn)} pfn=0x${pfn.toString(16)} order=${order} migratetype=1 ${gfp(zero)}`,
    ),
  freePages: (cpu: number, pfn: number, order: number): string =>
    ftraceLine(cpu, 'mm_page_free', `page=${ptr(0xabc000 + pfn)} pfn=0x${pfn.toString(16)} order=${order}`),
};
