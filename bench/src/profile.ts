/**
 * `npm run bench:profile -- WORKLOAD [--ms N] [--with ALLOCATOR] [--quick]`: where the time of a workload goes.
 *
 * The workload runs, warm, in a process of its own, under V8's sampling profiler: which functions take the time, and with
 * `--lines` which lines. What is counted is what runs inside of the workload's own functions, on all threads; starting, waiting
 * and validating are left out. V8 knows of inlined functions too, so the parts of a hot path that it has inlined into the loop
 * are told apart. `--perf` records the whole process with perf instead, machine code and kernel included, jitted code named.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Command, Contestant } from './contestant.ts';
import { sibling } from './paths.ts';
import { createSuite, type Workload } from './suite.ts';
import { figure, layOut } from './table.ts';
import { decodeTrace, findTraces } from './traces.ts';

/** V8's default is 1,000 µs; finer, so that a second is enough. */
const INTERVAL_US = 200;
const WARM_MS = 1000;
const MOST_ROWS = 25;

interface ProfileNode {
  readonly id: number;
  readonly children?: readonly number[];
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly hitCount?: number;
  readonly positionTicks?: readonly { readonly line: number; readonly ticks: number }[];
}

/** Where the workloads' functions are; compiled, or stripped of types. */
const WORKLOADS = /\/workloads\/\w+\.[jt]s$/;

/** The nodes of a profile inside of a workload's functions: these and all that they call. */
function inside(nodes: readonly ProfileNode[]): ProfileNode[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const found: ProfileNode[] = [];
  const visit = (node: ProfileNode, within: boolean): void => {
    const counted = within || (WORKLOADS.test(node.callFrame.url) && node.callFrame.functionName !== '');
    if (counted) found.push(node);
    for (const id of node.children ?? []) {
      const child = byId.get(id);
      if (child !== undefined) visit(child, counted);
    }
  };
  const root = nodes[0];
  if (root !== undefined) visit(root, false);
  return found;
}

/** Samples by function, or by line, summed over the profiles (one a thread). */
function collect(profiles: readonly ProfileNode[][], byLine: boolean): Map<string, number> {
  const hits = new Map<string, number>();
  const count = (key: string, ticks: number): void => {
    hits.set(key, (hits.get(key) ?? 0) + ticks);
  };
  for (const { callFrame, hitCount = 0, positionTicks = [] } of profiles.flatMap(inside)) {
    const { functionName, url, lineNumber } = callFrame;
    const file = url === '' ? 'built in' : basename(url);
    const name = functionName || '(anonymous)';
    if (byLine) for (const { line, ticks } of positionTicks) count(`${file}:${line} ${name}`, ticks);
    else count(`${name} ${file}:${lineNumber + 1}`, hitCount);
  }
  return hits;
}

function profileTable(profiles: readonly ProfileNode[][], byLine: boolean): string {
  const hits = [...collect(profiles, byLine)].sort(([, a], [, b]) => b - a);
  const total = hits.reduce((sum, [, ticks]) => sum + ticks, 0);
  const rows = hits.slice(0, MOST_ROWS).map(([key, ticks]) => [key, `${figure((100 * ticks) / total)} %`]);
  return layOut([[byLine ? 'line' : 'function', 'time'], ...rows]).join('\n');
}

function commandOf(workload: Workload, allocator: string, ms: number, flags: readonly string[]): Command {
  const script = fileURLToPath(sibling(import.meta.url, 'contestant-process'));
  const spec = JSON.stringify(workload.spec);
  return {
    program: process.execPath,
    args: [...process.execArgv, ...flags, script, allocator, spec, `${ms}`, `${WARM_MS}`],
  };
}

async function play(command: Command, workload: Workload): Promise<string> {
  const contestant = await Contestant.start(command);
  const { calls, values } = await contestant.round();
  await contestant.quit(true);
  const shown = workload.metrics.filter((metric) => metric.detail !== true);
  return shown.map(({ name, unit, of }) => `${name} ${figure(of(values, calls))} ${unit}`).join(', ');
}

async function sample(workload: Workload, allocator: string, ms: number, byLine: boolean): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'modslab-profile-'));
  try {
    const flags = ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-interval=${INTERVAL_US}`];
    const figures = await play(commandOf(workload, allocator, ms, flags), workload);
    const profiles = readdirSync(folder).map(
      (file) => (JSON.parse(readFileSync(join(folder, file), 'utf8')) as { nodes: ProfileNode[] }).nodes,
    );
    console.log(`${workload.name}, ${allocator}: ${figures}\n\n${profileTable(profiles, byLine)}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** perf around the whole process, start and warm-up included: the round is made long. */
async function record(workload: Workload, allocator: string, ms: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'modslab-perf-'));
  const data = join(folder, 'perf.data');
  const { program, args } = commandOf(workload, allocator, ms, [
    '--perf-basic-prof',
    '--interpreted-frames-native-stack',
  ]);
  const perf = ['record', '-q', '-e', 'cpu-clock', '-F', '5000', '-o', data, '--', program, ...args];
  try {
    console.log(`${workload.name}, ${allocator}: ${await play({ program: 'perf', args: perf }, workload)}\n`);
    const options = ['--stdio', '-q', '--no-children', '--percent-limit', '1', '--sort', 'symbol'];
    const { stdout, status, stderr } = spawnSync('perf', ['report', '-i', data, ...options], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`perf report: ${stderr.trim().split('\n').at(-1)}`);
    console.log(stdout.replaceAll(/\s+-\s+-\s*$/gm, '').trim());
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The workload of that name; that of a trace is decoded into `folder` first. */
async function find(name: string, quick: boolean, folder: string): Promise<Workload> {
  const trace = /^(?:trace|memory)-(.*)$/.exec(name)?.[1] ?? '';
  const file = findTraces(undefined).get(trace);
  const decoded = file === undefined ? [] : [await decodeTrace(trace, file, folder)];
  const suite = createSuite(quick ? 'quick' : 'standard', decoded);
  const workload = suite.find((candidate) => candidate.name === name);
  if (workload === undefined)
    throw new Error(`no workload '${name}'; there are ${suite.map((w) => w.name).join(', ')}`);
  return workload;
}

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      ms: { type: 'string', default: '2000' },
      with: { type: 'string', default: 'modslab' },
      quick: { type: 'boolean', default: false },
      lines: { type: 'boolean', default: false },
      perf: { type: 'boolean', default: false },
    },
  });
  const ms = Number(values.ms);
  if (positionals.length === 0 || !(ms > 0)) {
    console.error('usage: bench:profile WORKLOAD… [--with ALLOCATOR] [--ms N] [--lines] [--perf] [--quick]');
    return 2;
  }
  const folder = mkdtempSync(join(tmpdir(), 'modslab-profile-'));
  try {
    for (const name of positionals) {
      const workload = await find(name, values.quick, folder);
      if (values.perf) await record(workload, values.with, ms);
      else await sample(workload, values.with, ms, values.lines);
    }
    return 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 2;
}
