/**
 * V8's sampling profiler around a workload: which functions take its time. The workload runs, warm, in a process of its own.
 * Counted is what runs inside of the workload's own functions, on all threads; starting, waiting and validating are left out. The
 * optimizing compiler's inlining is switched off, else nearly all would be the workload's: that makes everything slower, more so
 * the short functions. By line it stays on: the numbers of lines are right, but the file may be that of the caller.
 */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, Contestant } from './contestant.ts';
import { sibling } from './paths.ts';
import type { Part } from './results.ts';
import { createSuite, type Scale, type Workload } from './suite.ts';
import { figure } from './table.ts';
import { decodeTrace, findTraces } from './traces.ts';

/** V8's default is 1,000 µs; finer, so that a second is enough. */
const INTERVAL_US = 200;
const WARM_MS = 1000;
const NO_INLINING = '--no-turbo-inlining';

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

export interface Sampled {
  /** What the workload measured meanwhile, in words. */
  readonly figures: string;
  /** Those that take most first. */
  readonly parts: readonly Part[];
}

/** Samples by function, or by line, summed over the profiles (one a thread). */
function collect(profiles: readonly ProfileNode[][], byLine: boolean): Part[] {
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
  const total = [...hits.values()].reduce((sum, ticks) => sum + ticks, 0);
  return [...hits].sort(([, a], [, b]) => b - a).map(([name, ticks]) => ({ name, share: ticks / total }));
}

/** The command that runs a workload, warm, for so many milliseconds a round. */
export function commandOf(
  workload: Workload,
  allocator: string,
  ms: number,
  flags: readonly string[],
): Command {
  const script = fileURLToPath(sibling(import.meta.url, 'contestant-process'));
  const spec = JSON.stringify(workload.spec);
  return {
    program: process.execPath,
    args: [...process.execArgv, ...flags, script, allocator, spec, `${ms}`, `${WARM_MS}`],
  };
}

/** One round of it; its figures in words. */
export async function play(command: Command, workload: Workload): Promise<string> {
  const contestant = await Contestant.start(command);
  const { calls, values } = await contestant.round();
  await contestant.quit(true);
  const shown = workload.metrics.filter((metric) => metric.detail !== true);
  return shown.map(({ name, unit, of }) => `${name} ${figure(of(values, calls))} ${unit}`).join(', ');
}

/** Runs a workload under the profiler. */
export async function sample(
  workload: Workload,
  allocator: string,
  ms: number,
  byLine: boolean,
): Promise<Sampled> {
  const folder = mkdtempSync(join(tmpdir(), 'modslab-profile-'));
  try {
    const profiler = ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-interval=${INTERVAL_US}`];
    const flags = byLine ? profiler : [...profiler, NO_INLINING];
    const figures = await play(commandOf(workload, allocator, ms, flags), workload);
    const profiles = readdirSync(folder).map(
      (file) => (JSON.parse(readFileSync(join(folder, file), 'utf8')) as { nodes: ProfileNode[] }).nodes,
    );
    return { figures, parts: collect(profiles, byLine) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The workload of that name; that of a trace is decoded into `folder` first. `traces`: a folder in place of those found. */
export async function findWorkload(
  name: string,
  scale: Scale,
  folder: string,
  traces?: string,
): Promise<Workload> {
  const trace = /^(?:trace|memory)-(.*)$/.exec(name)?.[1] ?? '';
  const file = findTraces(traces).get(trace);
  const decoded = file === undefined ? [] : [await decodeTrace(trace, file, folder)];
  const suite = createSuite(scale, decoded);
  const workload = suite.find((candidate) => candidate.name === name);
  if (workload === undefined)
    throw new Error(`no workload '${name}'; there are ${suite.map((w) => w.name).join(', ')}`);
  return workload;
}
