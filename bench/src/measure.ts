/**
 * Measures workloads: starts a process for every contestant and lets them take turns.
 *
 * Every pair of contestant and workload has a process of its own, so that what V8 learns of one allocator's types does
 * not slow another's loops. The processes of a workload all start and warm up one after the other, then take turns: one
 * round each, in an order that shifts with every round, so that a machine that slows down or is disturbed for a while
 * does so for all. Medians over the rounds are compared.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { modslabBefore } from './before.ts';
import { type Command, Contestant, type Round } from './contestant.ts';
import { nativeArgument } from './kernel.ts';
import { compileNative, findLibraries, LIBRARIES, type NativeProgram } from './native.ts';
import { sibling } from './paths.ts';
import { buildWasmPeers, WASM_PEERS } from './peers.ts';
import {
  evaluate,
  median,
  type Problem,
  type Report,
  type Row,
  type Side,
  type Statistic,
} from './results.ts';
import { findRuntimes, type Runtime } from './runtimes.ts';
import { WASM_FOLDER } from './subjects/load.ts';
import { createSuite, type Scale, type Workload } from './suite.ts';
import { type DecodedTrace, decodeTrace, findTraces } from './traces.ts';

/** V8's highest tier is reached after about half a second, whatever the rounds; a test need not wait for it. */
const WARM_ROUNDS = 12;
const WARM_MS_LEAST: Readonly<Record<Scale, number>> = { standard: 500, quick: 300, tiny: 1 };
/** Kernels that read files, or a clock of nanoseconds, or whose every round is to be a new process. */
const NOT_IN_PAGES: readonly string[] = ['trace', 'start', 'latency'];
/** New processes for a workload that starts cold. */
const COLD_ROUNDS = 3;

export interface Plan {
  readonly scale: Scale;
  readonly rounds: number;
  readonly roundMs: number;
  readonly statistic: Statistic;
  /** Names of workloads; all without. */
  readonly only: readonly string[] | undefined;
  readonly subjects: readonly string[];
  readonly runtimes: readonly string[];
  /** A commit whose modslab takes part too. */
  readonly before: string | undefined;
  /** A folder of traces in place of those that are found. */
  readonly traces: string | undefined;
  /** Told what goes on. */
  readonly progress: (text: string) => void;
  /** Given the report so far after every workload: a run that is stopped leaves what it has. */
  readonly partial?: (report: Report) => void;
}

export const JAVASCRIPT: readonly string[] = ['modslab', 'floor', 'thi.ng', 'Uint8Array', ...WASM_PEERS];
export const SUBJECTS: readonly string[] = [
  ...JAVASCRIPT,
  'noop',
  'glibc',
  ...LIBRARIES.map((library) => library.name),
];

/** Who takes part, before it is known whether it can. */
interface Entry {
  readonly allocator: string;
  readonly side: Side;
  readonly runtime?: string;
  /** Within a page: one thread, no files. */
  readonly isPage?: boolean;
  command(workload: Workload, warmMs: number, roundMs: number): Command;
}

interface Started {
  readonly entry: Entry;
  readonly contestant: Contestant;
  readonly rounds: Round[];
}

function javaScriptEntry(allocator: string, folder: string, runtime?: Runtime): Entry {
  const script = runtime?.script ?? fileURLToPath(sibling(import.meta.url, 'contestant-process'));
  const program = runtime?.program ?? process.execPath;
  const before = runtime?.args ?? process.execArgv;
  return {
    allocator,
    side: 'js',
    ...(runtime === undefined ? {} : { runtime: runtime.name, isPage: runtime.isPage === true }),
    command: ({ spec }, warmMs, roundMs) => ({
      program,
      args: [...before, script, allocator, JSON.stringify(spec), `${roundMs}`, `${warmMs}`],
      env: { [WASM_FOLDER]: folder },
    }),
  };
}

function nativeEntry(allocator: string, native: NativeProgram, library: string | undefined): Entry {
  const programOf = (touched: boolean): string => {
    if (allocator !== 'noop') return native.malloc;
    return touched ? native.noopTouched : native.noop;
  };
  return {
    allocator,
    side: 'c',
    command: ({ spec }, warmMs, roundMs) => ({
      program: programOf(spec.subject.touched),
      args: [spec.kernel, `${roundMs}`, `${warmMs}`, nativeArgument(spec)],
      ...(library === undefined ? {} : { env: { LD_PRELOAD: library } }),
    }),
  };
}

function nativeEntries(plan: Plan, native: NativeProgram, missing: string[]): Entry[] {
  const entries = [nativeEntry('glibc', native, undefined)];
  const libraries = findLibraries();
  for (const { name, debian } of LIBRARIES) {
    const library = libraries.get(name);
    if (library !== undefined) entries.push(nativeEntry(name, native, library));
    else if (plan.subjects.includes(name)) missing.push(`${name} (on Debian: apt install ${debian})`);
  }
  return [...entries, nativeEntry('noop', native, undefined)];
}

/** All that can take part; what cannot is added to `missing`. */
async function enter(
  plan: Plan,
  folder: string,
  missing: string[],
): Promise<{ entries: Entry[]; tools: string }> {
  const wasm = buildWasmPeers(plan.subjects, folder, missing);
  const names = JAVASCRIPT.filter((name) => !WASM_PEERS.includes(name) || wasm.includes(name));
  const entries = names.map((name) => javaScriptEntry(name, folder));
  const wantsNative = plan.subjects.some((name) => name === 'noop' || !JAVASCRIPT.includes(name));
  const native = wantsNative ? compileNative(folder) : '';
  if (typeof native !== 'string') entries.push(...nativeEntries(plan, native, missing));
  else if (native !== '') missing.push(native);
  entries.push(javaScriptEntry('noop', folder));
  for (const runtime of await findRuntimes(plan.runtimes, missing))
    entries.push(javaScriptEntry('modslab', folder, runtime), javaScriptEntry('noop', folder, runtime));
  const before = plan.before === undefined ? undefined : modslabBefore(plan.before, missing);
  if (before !== undefined) entries.push(javaScriptEntry('modslab', folder, before));
  return {
    entries: entries.filter((entry) => plan.subjects.includes(entry.allocator)),
    tools: typeof native === 'string' ? '' : `, ${native.compiler}`,
  };
}

function warmMsOf({ scale, roundMs }: Plan): number {
  return Math.max(WARM_MS_LEAST[scale], scale === 'tiny' ? 0 : WARM_ROUNDS * roundMs);
}

function takesPart({ allocator, side, runtime, isPage }: Entry, workload: Workload): boolean {
  if (isPage === true && (workload.spec.threads > 1 || NOT_IN_PAGES.includes(workload.spec.kernel)))
    return false;
  // Node's own ways of looking at memory.
  if (runtime !== undefined && workload.group === 'memory') return false;
  if (workload.bare) return allocator === 'noop';
  if (side === 'c') return workload.native && !(allocator === 'noop' && workload.group === 'memory');
  if (allocator === 'noop') return workload.group !== 'memory' && workload.group !== 'start';
  return allocator === 'modslab' || workload.peers.includes(allocator);
}

/** A preloaded library that did not take would pass for glibc. */
function checkIdentity(entry: Entry, contestant: Contestant): void {
  const preloaded = entry.side === 'c' && LIBRARIES.some((library) => library.name === entry.allocator);
  if (preloaded && !contestant.identity.startsWith(entry.allocator))
    throw new Error(`preloading had no effect: ${contestant.identity} answers`);
}

function labelOf({ allocator, side, runtime }: Entry): string {
  return `${allocator} (${side === 'c' ? 'C' : (runtime ?? 'JS')})`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Rounds of a workload, by contestant. */
class Match {
  readonly started: Started[] = [];
  readonly problems: Problem[] = [];
  private readonly workload: Workload;
  private readonly plan: Plan;
  private readonly missing: string[];

  constructor(workload: Workload, plan: Plan, missing: string[]) {
    this.workload = workload;
    this.plan = plan;
    this.missing = missing;
  }

  /** All start and warm up, then take turns. */
  async warm(entries: readonly Entry[]): Promise<void> {
    try {
      for (const entry of entries) {
        const contestant = await this.start(entry, warmMsOf(this.plan));
        if (contestant !== undefined) this.started.push({ entry, contestant, rounds: [] });
      }
      for (let round = 0; round < this.plan.rounds; round++) await this.turn(round);
      for (const { entry, contestant } of this.started) await this.quit(entry, contestant);
    } finally {
      for (const { contestant } of this.started) contestant.kill();
    }
  }

  /** Every round in a new process, which does nothing else. */
  async cold(entries: readonly Entry[]): Promise<void> {
    for (const entry of entries) {
      const rounds: Round[] = [];
      for (let i = 0; i < Math.min(COLD_ROUNDS, this.plan.rounds); i++) {
        const contestant = await this.start(entry, 0);
        if (contestant === undefined) break;
        try {
          rounds.push(await contestant.round());
          await this.quit(entry, contestant);
          if (i === 0) this.started.push({ entry, contestant, rounds });
        } catch (error) {
          this.leaveOut(entry, error);
          break;
        } finally {
          contestant.kill();
        }
      }
    }
  }

  private async turn(round: number): Promise<void> {
    const order = this.started.map((_, i) => this.started[(i + round) % this.started.length]);
    for (const next of order) {
      if (next === undefined) continue;
      try {
        next.rounds.push(await next.contestant.round());
      } catch (error) {
        this.leaveOut(next.entry, error);
        next.contestant.kill();
        this.started.splice(this.started.indexOf(next), 1);
      }
    }
  }

  private async start(entry: Entry, warmMs: number): Promise<Contestant | undefined> {
    let contestant: Contestant | undefined;
    try {
      contestant = await Contestant.start(entry.command(this.workload, warmMs, this.plan.roundMs));
      checkIdentity(entry, contestant);
      return contestant;
    } catch (error) {
      contestant?.kill();
      this.leaveOut(entry, error);
      return undefined;
    }
  }

  private async quit(entry: Entry, contestant: Contestant): Promise<void> {
    const { name } = this.workload;
    for (const text of await contestant.quit())
      this.problems.push({ workload: name, allocator: labelOf(entry), text });
  }

  private leaveOut(entry: Entry, error: unknown): void {
    this.missing.push(`${labelOf(entry)} in ${this.workload.name}: ${messageOf(error)}`);
  }
}

function least(values: readonly number[]): number {
  return Math.min(...values);
}

function rowsOf(workload: Workload, started: readonly Started[], statistic: Statistic): Row[] {
  const { name, group, what, misses, metrics } = workload;
  return metrics.map(({ name: metric, unit, of, detail = false, counts = false }) => {
    const isTime = unit === 'ns' && group !== 'latency';
    const figure = statistic === 'least' && (unit === 'ns' || unit === 'ms') ? least : median;
    const measured = started.map(({ entry, contestant, rounds }) => ({
      allocator: entry.allocator,
      side: entry.side,
      ...(entry.runtime === undefined ? {} : { runtime: entry.runtime }),
      identity: contestant.identity,
      rounds: rounds.map(({ values, calls }) => of(values, calls)),
    }));
    const results = evaluate(measured, { isTime, figure });
    return { workload: name, metric, unit, group, what, detail, counts, misses, results };
  });
}

export function machineLine(): string {
  const processors = cpus();
  return `${processors.length} × ${processors[0]?.model.trim() ?? 'unknown processor'}, ${process.platform} ${process.arch}`;
}

async function decodeTraces(plan: Plan, folder: string, missing: string[]): Promise<DecodedTrace[]> {
  const wanted = plan.only;
  const found = findTraces(plan.traces);
  const names = [...found.keys()].filter(
    (name) => wanted === undefined || wanted.includes(`trace-${name}`) || wanted.includes(`memory-${name}`),
  );
  if (found.size < 2) missing.push('traces: only what is in the repository (name a folder with --traces)');
  const decoded: DecodedTrace[] = [];
  for (const name of names) {
    plan.progress(`decoding ${name}`);
    decoded.push(await decodeTrace(name, found.get(name) ?? '', folder));
  }
  return decoded;
}

/** Names of all workloads, for messages; traces by their files' names. */
export function workloadNames(traces: string | undefined): string[] {
  const decoded = [...findTraces(traces).keys()].map((name) => ({
    name,
    title: name,
    file: '',
    operations: 1,
    peakLive: 1,
  }));
  return createSuite('standard', decoded).map((workload) => workload.name);
}

function heading(plan: Plan, tools: string): Omit<Report, 'rows' | 'problems' | 'missing'> {
  const { scale, rounds, roundMs, statistic } = plan;
  return {
    format: 2,
    machine: machineLine(),
    runtime: `Node ${process.version}, V8 ${process.versions.v8}${tools}`,
    date: new Date().toISOString().slice(0, 10),
    parameters: { scale, rounds, roundMs, warmMs: warmMsOf(plan), statistic },
    operation:
      'one operation is one allocation and one free (of the same or another object), unless said otherwise',
  };
}

/** Runs what the plan says. */
export async function runSuite(plan: Plan): Promise<Report> {
  const missing: string[] = [];
  const folder = mkdtempSync(join(tmpdir(), 'modslab-bench-'));
  try {
    const { entries, tools } = await enter(plan, folder, missing);
    const all = createSuite(plan.scale, await decodeTraces(plan, folder, missing));
    const rows: Row[] = [];
    const problems: Problem[] = [];
    const report = (): Report => ({ ...heading(plan, tools), rows, problems, missing });
    for (const workload of all.filter((w) => plan.only === undefined || plan.only.includes(w.name))) {
      plan.progress(workload.name);
      const match = new Match(workload, plan, missing);
      await match[workload.cold ? 'cold' : 'warm'](entries.filter((entry) => takesPart(entry, workload)));
      rows.push(...rowsOf(workload, match.started, plan.statistic));
      problems.push(...match.problems);
      plan.partial?.(report());
    }
    return report();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Exit status 1 when modslab itself could not run or a heap failed validation. */
export function statusOf(report: Report, subjects: readonly string[]): number {
  if (report.problems.length > 0) return 1;
  const own = report.rows.filter((row) => !row.workload.startsWith('access-'));
  const ran = own.every((row) => row.results.some((r) => r.allocator === 'modslab'));
  return ran || !subjects.includes('modslab') ? 0 : 1;
}
