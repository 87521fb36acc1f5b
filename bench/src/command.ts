/** What `bench.ts` and `micro.ts` share: the options, and the run. */

import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { writeDocument } from './document.ts';
import { explained } from './explained.ts';
import { type Plan, runSuite, SUBJECTS, statusOf, workloadNames } from './measure.ts';
import type { Report } from './results.ts';
import { runtimeNames } from './runtimes.ts';
import { formatReport } from './table.ts';

/** What a command does when it is not told otherwise. */
export interface Preset {
  readonly name: string;
  readonly only?: readonly string[];
  readonly subjects?: readonly string[];
  readonly rounds: number;
  readonly roundMs: number;
}

/** A mistake of the caller: one line, exit status 2. */
class UsageError extends Error {}

interface Options {
  readonly plan: Plan;
  /** true: print JSON in place of tables; a name: write it there too. */
  readonly json: boolean | string;
  readonly details: boolean;
  readonly report: boolean;
  /** A run's JSON to make the report from, in place of a run. */
  readonly from: string | undefined;
}

function usage({ name }: Preset): string {
  return `usage: ${name} [--quick] [--json[=FILE]] [--only WORKLOAD,…] [--subjects ALLOCATOR,…] [--runtime NAME,…] [--before COMMIT]
    [--rounds N] [--ms N] [--least] [--details] [--traces FOLDER] [--report [--from FILE]]
  --quick     few and short rounds, smaller parameters: figures for a glance
  --json      one object instead of tables; with a file, tables and the object in the file
  --only      of ${workloadNames(undefined).join(', ')}
  --subjects  of ${SUBJECTS.join(', ')}
  --runtime   modslab on other runtimes too (installed from npm into .matrix/): node20, node22, node24, node26, bun, deno, chromium
  --before    modslab as it was at a commit too (built in .matrix/)
  --rounds    rounds of every contestant and workload
  --ms        milliseconds of a round; the warm-up takes twelve times as long, and at least 0.5 s (quick: 0.3 s)
  --least     the least of the rounds in place of their median: for a busy machine, with many short rounds
  --details   also the rows of single sizes
  --traces    a folder of allocation traces, in place of those that are found
  --report    write docs/benchmarks.md and its plots; --from takes a run's JSON in place of a new run`;
}

function positive(option: string, text: string | undefined, standard: number): number {
  if (text === undefined) return standard;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new UsageError(`${option}: not a positive whole number: ${text}`);
  return value;
}

function chosen(option: string, text: string | undefined, known: readonly string[]): string[] | undefined {
  if (text === undefined) return undefined;
  const names = text.split(',');
  const wrong = names.find((name) => !known.includes(name));
  if (wrong !== undefined)
    throw new UsageError(`${option}: unknown: ${wrong} (there are ${known.join(', ')})`);
  return names;
}

/** parseArgs has no option with an optional value: `--json=FILE` is taken out first. */
function takeJson(args: readonly string[]): { rest: string[]; json: boolean | string } {
  const given = args.findLast((arg) => arg === '--json' || arg.startsWith('--json='));
  const rest = args.filter((arg) => arg !== '--json' && !arg.startsWith('--json='));
  if (given === undefined) return { rest, json: false };
  return { rest, json: given === '--json' ? true : given.slice('--json='.length) };
}

async function readOptions(args: readonly string[], preset: Preset): Promise<Options | undefined> {
  const { rest, json } = takeJson(args);
  const { values } = parseArgs({
    args: rest,
    options: {
      help: { type: 'boolean', short: 'h' },
      quick: { type: 'boolean' },
      tiny: { type: 'boolean' },
      only: { type: 'string' },
      subjects: { type: 'string' },
      with: { type: 'string' },
      runtime: { type: 'string' },
      before: { type: 'string' },
      rounds: { type: 'string' },
      ms: { type: 'string' },
      least: { type: 'boolean' },
      details: { type: 'boolean' },
      traces: { type: 'string' },
      report: { type: 'boolean' },
      from: { type: 'string' },
    },
  });
  if (values.help === true) return undefined;
  if (values.from !== undefined && values.report !== true) throw new UsageError('--from goes with --report');
  const quick = values.quick === true || values.tiny === true;
  const subjects = values.subjects ?? values.with;
  const plan: Plan = {
    scale: values.tiny === true ? 'tiny' : quick ? 'quick' : 'standard',
    rounds: positive('--rounds', values.rounds, quick ? 5 : preset.rounds),
    roundMs: positive('--ms', values.ms, quick ? 10 : preset.roundMs),
    statistic: values.least === true ? 'least' : 'median',
    only: chosen('--only', values.only, workloadNames(values.traces)) ?? preset.only,
    subjects: chosen('--subjects', subjects, SUBJECTS) ?? preset.subjects ?? SUBJECTS,
    runtimes: chosen('--runtime', values.runtime, await runtimeNames()) ?? [],
    before: values.before,
    traces: values.traces,
    progress: (text) => process.stderr.write(`${text} …\n`),
  };
  const { details = false, report = false, from } = values;
  return { plan, json, details, report, from };
}

function readReport(file: string): Report {
  const report = JSON.parse(readFileSync(file, 'utf8')) as Report;
  if (report.format !== 2) throw new UsageError(`${file}: not a benchmark report of this version`);
  return report;
}

/** The run's report, or that of an earlier run; what is to be a document says more. */
async function reportOf({ plan, from, report }: Options, partial: (report: Report) => void): Promise<Report> {
  const measured = from === undefined ? await runSuite({ ...plan, partial }) : readReport(from);
  return report ? explained(measured, plan) : measured;
}

async function run(args: readonly string[], preset: Preset): Promise<number> {
  const options = await readOptions(args, preset);
  if (options === undefined) {
    console.log(usage(preset));
    return 0;
  }
  const { plan, json, details } = options;
  const write = (report: Report): void => {
    if (typeof json === 'string') writeFileSync(json, `${JSON.stringify(report, undefined, 1)}\n`);
  };
  const report = await reportOf(options, write);
  write(report);
  console.log(json === true ? JSON.stringify(report, undefined, 1) : formatReport(report, details).trimEnd());
  if (options.report) for (const file of writeDocument(report)) process.stderr.write(`wrote ${file}\n`);
  return statusOf(report, plan.subjects);
}

/** Runs the command; the exit status. */
export async function command(args: readonly string[], preset: Preset): Promise<number> {
  try {
    return await run(args, preset);
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    const misused = error instanceof UsageError || (error instanceof TypeError && 'code' in error);
    return misused ? 2 : 1;
  }
}
