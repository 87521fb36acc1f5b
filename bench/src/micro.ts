/**
 * The micro benchmark, `npm run bench:micro`: modslab beside the floor, native malloc in C and @thi.ng/malloc, in one run.
 *
 * Every pair of contestant and workload has a process of its own, so that what V8 learns of one allocator's types does
 * not slow another's loops. The processes of a workload all start and warm up one after the other, then take turns: one
 * round each, in an order that shifts with every round, so that a machine that slows down or is disturbed for a while
 * does so for all. Medians over the rounds are compared.
 */

import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { type Command, Contestant } from './contestant.ts';
import { compileNative, findLibraries, LIBRARIES, type NativeProgram } from './native.ts';
import { sibling } from './paths.ts';
import { evaluate, type Measured, type Report, type Side, type WorkloadResult } from './results.ts';
import { formatReport } from './table.ts';
import { WORKLOADS, type WorkloadInfo } from './workloads.ts';

const USAGE = `usage: bench:micro [--quick] [--json] [--only WORKLOAD,…] [--with ALLOCATOR,…] [--rounds N] [--ms N]
  --quick    few and short rounds: figures for a glance
  --json     one object instead of tables
  --only     of ${WORKLOADS.map((w) => w.name).join(', ')}
  --with     of modslab, floor, thi.ng, noop, glibc, ${LIBRARIES.map((l) => l.name).join(', ')}
  --rounds   rounds of every contestant and workload
  --ms       milliseconds of a round; the warm-up takes twelve times as long`;

/** A mistake of the caller: one line, exit status 2. */
class UsageError extends Error {}

interface Options {
  readonly json: boolean;
  readonly workloads: readonly WorkloadInfo[];
  readonly allocators: readonly string[];
  readonly rounds: number;
  readonly roundMs: number;
  readonly warmMs: number;
}

/** Who takes part, before it is known whether it can. */
interface Entry {
  readonly allocator: string;
  readonly side: Side;
  readonly threads: boolean;
  command(workload: string, options: Options): Command;
}

const JAVASCRIPT: readonly { name: string; threads: boolean }[] = [
  { name: 'modslab', threads: true },
  { name: 'floor', threads: false },
  { name: 'thi.ng', threads: false },
];

/** V8's highest tier is reached after about half a second of the standard rounds. */
const WARM_ROUNDS = 12;

function readOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: 'boolean', short: 'h' },
      quick: { type: 'boolean' },
      json: { type: 'boolean' },
      only: { type: 'string' },
      with: { type: 'string' },
      rounds: { type: 'string' },
      ms: { type: 'string' },
    },
  });
  if (values.help === true) return undefined;
  const roundMs = positive('--ms', values.ms, values.quick === true ? 10 : 50);
  const names = WORKLOADS.map((w) => w.name);
  const only = chosen('--only', values.only, names);
  const known = [...JAVASCRIPT.map((j) => j.name), 'noop', 'glibc', ...LIBRARIES.map((l) => l.name)];
  return {
    json: values.json === true,
    workloads: WORKLOADS.filter((w) => only.includes(w.name)),
    allocators: chosen('--with', values.with, known),
    rounds: positive('--rounds', values.rounds, values.quick === true ? 5 : 15),
    roundMs,
    warmMs: roundMs * WARM_ROUNDS,
  };
}

function positive(option: string, text: string | undefined, standard: number): number {
  if (text === undefined) return standard;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new UsageError(`${option}: not a positive whole number: ${text}`);
  return value;
}

function chosen(option: string, text: string | undefined, known: readonly string[]): readonly string[] {
  if (text === undefined) return known;
  const names = text.split(',');
  const wrong = names.find((name) => !known.includes(name));
  if (wrong !== undefined)
    throw new UsageError(`${option}: unknown: ${wrong} (there are ${known.join(', ')})`);
  return names;
}

function javaScriptEntry(allocator: string, threads: boolean): Entry {
  const script = sibling(import.meta.url, 'contestant-process');
  return {
    allocator,
    side: 'js',
    threads,
    command: (workload, { roundMs, warmMs }) => ({
      program: process.execPath,
      args: [
        ...process.execArgv,
        decodeURIComponent(script.pathname),
        allocator,
        workload,
        `${roundMs}`,
        `${warmMs}`,
      ],
    }),
  };
}

function nativeEntry(allocator: string, program: string, library: string | undefined): Entry {
  return {
    allocator,
    side: 'c',
    threads: true,
    command: (workload, { roundMs, warmMs }) => ({
      program,
      args: [workload, `${roundMs}`, `${warmMs}`],
      ...(library === undefined ? {} : { env: { LD_PRELOAD: library } }),
    }),
  };
}

/** All that can take part; what cannot is added to `missing`. */
function enter(native: NativeProgram | string, options: Options, missing: string[]): Entry[] {
  const entries = JAVASCRIPT.map(({ name, threads }) => javaScriptEntry(name, threads));
  if (typeof native === 'string') {
    missing.push(native);
  } else {
    entries.push(nativeEntry('glibc', native.malloc, undefined));
    const libraries = findLibraries();
    for (const { name, debian } of LIBRARIES) {
      const library = libraries.get(name);
      if (library !== undefined) entries.push(nativeEntry(name, native.malloc, library));
      else if (options.allocators.includes(name)) missing.push(`${name} (on Debian: apt install ${debian})`);
    }
    entries.push(nativeEntry('noop', native.noop, undefined));
  }
  entries.push(javaScriptEntry('noop', true));
  return entries.filter((entry) => options.allocators.includes(entry.allocator));
}

interface Started {
  readonly entry: Entry;
  readonly contestant: Contestant;
  readonly rounds: number[];
}

/** A preloaded library that did not take would pass for glibc. */
function checkIdentity(entry: Entry, contestant: Contestant): void {
  const preloaded = entry.side === 'c' && LIBRARIES.some((library) => library.name === entry.allocator);
  if (preloaded && !contestant.identity.startsWith(entry.allocator)) {
    throw new Error(`preloading had no effect: ${contestant.identity} answers`);
  }
}

async function startAll(
  workload: string,
  entries: readonly Entry[],
  options: Options,
  missing: string[],
): Promise<Started[]> {
  const started: Started[] = [];
  for (const entry of entries) {
    if (workload === 'remote' && !entry.threads) continue;
    try {
      const contestant = await Contestant.start(entry.command(workload, options));
      started.push({ entry, contestant, rounds: [] });
      checkIdentity(entry, contestant);
    } catch (error) {
      missing.push(
        `${entry.allocator} in ${workload}: ${error instanceof Error ? error.message : String(error)}`,
      );
      if (started.at(-1)?.entry === entry) started.pop()?.contestant.kill();
    }
  }
  return started;
}

async function takeTurns(started: readonly Started[], rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < started.length; i++) {
      const next = started[(i + round) % started.length];
      next?.rounds.push(await next.contestant.round());
    }
  }
}

async function measure(
  workload: WorkloadInfo,
  entries: readonly Entry[],
  options: Options,
  missing: string[],
): Promise<WorkloadResult> {
  const started = await startAll(workload.name, entries, options, missing);
  const problems: string[] = [];
  try {
    await takeTurns(started, options.rounds);
    for (const { contestant } of started) problems.push(...(await contestant.quit()));
  } finally {
    for (const { contestant } of started) contestant.kill();
  }
  const measured: Measured[] = started.map(({ entry, contestant, rounds }) => ({
    allocator: entry.allocator,
    side: entry.side,
    identity: contestant.identity,
    rounds,
  }));
  return { workload: workload.name, what: workload.what, results: evaluate(measured), problems };
}

function machineLine(): string {
  const processors = cpus();
  return `${processors.length} × ${processors[0]?.model.trim() ?? 'unknown processor'}, ${process.platform} ${process.arch}`;
}

async function benchmark(options: Options): Promise<Report> {
  const missing: string[] = [];
  const native = compileNative();
  try {
    const entries = enter(native, options, missing);
    const workloads: WorkloadResult[] = [];
    for (const workload of options.workloads) {
      process.stderr.write(`${workload.name} …\n`);
      workloads.push(await measure(workload, entries, options, missing));
    }
    const compiler = typeof native === 'string' ? '' : `, ${native.compiler}`;
    return {
      format: 1,
      machine: machineLine(),
      runtime: `Node ${process.version}, V8 ${process.versions.v8}${compiler}`,
      parameters: { rounds: options.rounds, roundMs: options.roundMs, warmMs: options.warmMs },
      operation: 'one operation is one allocation and one free (of the same or another object)',
      workloads,
      missing,
    };
  } finally {
    if (typeof native !== 'string') native.remove();
  }
}

/** Exit status 1 when modslab itself could not run or its heap failed validation. */
function statusOf(report: Report, options: Options): number {
  const sound = report.workloads.every((w) => w.problems.length === 0);
  const ran = report.workloads.every((w) => w.results.some((r) => r.allocator === 'modslab'));
  return sound && (ran || !options.allocators.includes('modslab')) ? 0 : 1;
}

async function main(): Promise<number> {
  try {
    const options = readOptions(process.argv.slice(2));
    if (options === undefined) {
      console.log(USAGE);
      return 0;
    }
    const report = await benchmark(options);
    console.log(options.json ? JSON.stringify(report, undefined, 2) : formatReport(report).trimEnd());
    return statusOf(report, options);
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    const misused = error instanceof UsageError || (error instanceof TypeError && 'code' in error);
    return misused ? 2 : 1;
  }
}

process.exitCode = await main();
