/**
 * `modslab sizes FILE…`: what tables of size classes cost on real traces (docs/size-classes.md has the figures).
 *
 *     0  every file was read        2  bad arguments or bad input: one line on stderr
 */
import { stderr, stdout } from 'node:process';
import Table from 'cli-table3';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { SIZE_TABLES } from 'modslab/framework';
import { printable, TraceError } from '../trace/errors.ts';
import { readTrace } from '../trace/source.ts';
import { hasKmallocs, type SizesResult, simulateSizes } from './simulate.ts';

/** The results of one trace, by table. */
interface TraceResult {
  file: string;
  title: string;
  tables: Record<string, SizesResult>;
}

interface Flags {
  pageSize: number;
  json: boolean;
}

function pageSize(text: string): number {
  const value = Number(text);
  if ([4096, 8192, 16_384, 32_768, 65_536].includes(value)) return value;
  throw new InvalidArgumentError('It must be a power of two from 4096 to 65536.');
}

const HELP = `
FILE is a trace as modslab replay takes it. Every kmalloc of it is placed into slabs by each table
of size classes; the figures are those of the moment at which most bytes were asked for.

  given      bytes that objects got, in percent of the bytes asked for
  footprint  bytes of slabs and pages, in percent of the bytes asked for
  moves      reallocs that needed another place, in the whole trace

Example: modslab sizes traces/*.gz`;

/** Adds the command to `parent`. `report` is told each exit status. */
export function addSizes(parent: Command, report: (status: number) => void): void {
  parent
    .command('sizes')
    .summary('what tables of size classes cost on traces')
    .description('Compare tables of kmalloc size classes on allocation traces of real programs.')
    .argument('<file...>', 'mtrace1 or kmem ftrace text, plain or .gz')
    .addOption(new Option('--page-size <bytes>', 'bytes of a page frame').default(65_536).argParser(pageSize))
    .option('--json', 'print one JSON object a file, a line each', false)
    .addHelpText('after', HELP)
    .action(async (files: string[], flags: Flags) => {
      const results: TraceResult[] = [];
      for (const file of files) {
        try {
          const result = await compare(file, flags.pageSize);
          results.push(result);
          if (flags.json) stdout.write(`${JSON.stringify({ pageSize: flags.pageSize, ...result })}\n`);
          else stdout.write(traceTable(result));
        } catch (error) {
          if (!(error instanceof TraceError)) throw error;
          stderr.write(`modslab: ${error.message}\n`);
          report(2);
        }
      }
      if (!flags.json && results.length > 1) stdout.write(summaryTable(results));
    });
}

async function compare(file: string, page: number): Promise<TraceResult> {
  const program = await readTrace(file);
  if (!hasKmallocs(program)) throw new TraceError(file, undefined, 'has no kmalloc in it');
  const tables: Record<string, SizesResult> = {};
  for (const [name, table] of Object.entries(SIZE_TABLES)) tables[name] = simulateSizes(program, table, page);
  return { file, title: program.title, tables };
}

const percent = (part: number, whole: number): string =>
  `${((100 * part) / Math.max(1, whole)).toFixed(1)} %`;

const newTable = (head: string[]): InstanceType<typeof Table> =>
  new Table({
    head,
    style: { head: [], border: [] },
    colAligns: ['left', ...head.slice(1).map(() => 'right' as const)],
  });

function traceTable({ file, title, tables }: TraceResult): string {
  const table = newTable(['table', 'classes', 'asked KiB', 'given', 'footprint', 'slabs', 'large', 'moves']);
  for (const [name, r] of Object.entries(tables)) {
    table.push([
      name,
      r.classes,
      Math.round(r.requested / 1024),
      percent(r.given, r.requested),
      percent(r.footprint, r.requested),
      r.slabs,
      r.large,
      r.moves,
    ]);
  }
  return `${printable(file)}: ${title}\n${table.toString()}\n\n`;
}

/** All traces together: sums, so that a trace of a few KiB does not count as much as one of many MiB; and the worst. */
function summaryTable(results: TraceResult[]): string {
  const table = newTable(['all traces', 'classes', 'given', 'worst', 'footprint', 'slabs', 'moves']);
  for (const name of Object.keys(SIZE_TABLES)) {
    const all = results.map(({ tables }) => tables[name]);
    const sum = (of: (r: SizesResult) => number): number => all.reduce((total, r) => total + of(r), 0);
    const requested = sum((r) => r.requested);
    table.push([
      name,
      all[0].classes,
      percent(
        sum((r) => r.given),
        requested,
      ),
      percent(Math.max(...all.map((r) => r.given / Math.max(1, r.requested))), 1),
      percent(
        sum((r) => r.footprint),
        requested,
      ),
      sum((r) => r.slabs),
      sum((r) => r.moves),
    ]);
  }
  return `${table.toString()}\n`;
}
