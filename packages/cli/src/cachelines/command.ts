/**
 * `modslab cachelines`: how many cache lines every operation touches, counted on the real modules, beside the layouts that
 * the thread of 2006 compares; and the same in time. docs/virt-to-page.md says what follows from it.
 */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { stderr, stdout } from 'node:process';
import Table from 'cli-table3';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { makeFolder } from '../output.ts';
import { type ChurnRow, churnRows } from './churn.ts';
import { type IndirectionRow, indirectionRows } from './indirection.ts';
import { type LookupRow, lookupRows } from './lookups.ts';
import { kmallocRows, type LineRow, layoutRows, stackRows } from './operations.ts';
import { type Bar, barChart } from './plot.ts';

interface Flags {
  time: boolean;
  mib: number;
  rounds: number;
  json: boolean;
  svg?: string;
}

interface Figures {
  machine: string;
  kmalloc: LineRow[];
  stacks: LineRow[];
  layouts: LineRow[];
  lookups?: LookupRow[];
  churn?: ChurnRow[];
  indirection?: IndirectionRow[];
}

function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
}

function powerOfTwo(text: string): number {
  const value = whole(32, 1024)(text);
  if (Number.isInteger(Math.log2(value))) return value;
  throw new InvalidArgumentError('It must be a power of two from 32 to 1024.');
}

const HELP = `
Lines are 64 bytes. They are counted by proxies in the place of the heap's own typed arrays, so it is
the code that you run which is counted. "object" lines lie in the object itself; "hot", "slots" and the
like are small arrays of the thread. The layouts are re-implementations: SLAB of 2006 (without and with
its NUMA check), the same with Spraul's header found by masking, the slabifier of 2006, Linux's sheaves.

Examples:
  modslab cachelines
  modslab cachelines --time --svg docs/img`;

/** Adds the command to `parent`. */
export function addCachelines(parent: Command): void {
  parent
    .command('cachelines')
    .summary('cache lines touched by each operation')
    .description('Count the cache lines that each operation touches, and with --time what that costs.')
    .option('--time', 'measure lookups, churn and indirection as well (about a minute)', false)
    .addOption(
      new Option('--mib <n>', 'memory that cold lookups range over, in MiB')
        .default(256)
        .argParser(powerOfTwo),
    )
    .addOption(new Option('--rounds <n>', 'rounds of each timing').default(100).argParser(whole(1, 1000)))
    .option('--json', 'print one JSON object', false)
    .option('--svg <dir>', 'write plots there')
    .addHelpText('after', HELP)
    .action((flags: Flags) => {
      // Before the measurement, which takes a minute and would be lost.
      if (flags.svg !== undefined) makeFolder(flags.svg);
      const figures = measure(flags);
      stdout.write(flags.json ? `${JSON.stringify(figures)}\n` : toText(figures));
      if (flags.svg !== undefined) writePlots(flags.svg, figures);
    });
}

function measure({ time, mib, rounds }: Flags): Figures {
  const note = (what: string): void => {
    if (stderr.isTTY) stderr.write(`${what} …\n`);
  };
  const machine = `${cpus()[0]?.model.trim() ?? 'unknown'}, Node ${process.versions.node}`;
  // Times first: the counting replaces Atomics for a while, and the engine remembers.
  const timed: Partial<Figures> = {};
  if (time) {
    note('lookups');
    timed.lookups = lookupRows(mib, rounds);
    note('churn');
    timed.churn = churnRows(64, 400_000, rounds);
    note('indirection');
    timed.indirection = indirectionRows(rounds);
  }
  note('lines');
  return { machine, kmalloc: kmallocRows(), stacks: stackRows(), layouts: layoutRows(), ...timed };
}

const newTable = (head: string[]): InstanceType<typeof Table> =>
  new Table({ head, style: { head: [], border: [], compact: true } });
const round = (value: number, digits = 2): string => value.toFixed(digits).replace(/\.?0+$/, '');

function partsText(parts: Record<string, number>): string {
  return Object.entries(parts)
    .sort(([, a], [, b]) => b - a)
    .map(([name, lines]) => `${name} ${round(lines)}`)
    .join(', ');
}

function lineTable(title: string, rows: readonly LineRow[]): string {
  const table = newTable([
    'allocator',
    'size',
    'operation',
    'lines',
    'object',
    'atomics',
    'calls',
    'of which',
  ]);
  for (const row of rows) {
    table.push([
      row.allocator,
      row.size,
      row.operation,
      round(row.lines),
      round(row.object),
      round(row.atomics),
      row.samples,
      partsText(row.parts),
    ]);
  }
  return `${title}\n${table.toString()}\n\n`;
}

function nsTable(title: string, head: string[], rows: (string | number)[][]): string {
  const table = newTable(head);
  for (const row of rows)
    table.push(
      row.map((cell) => (typeof cell === 'number' ? (Number.isNaN(cell) ? '–' : cell.toFixed(1)) : cell)),
    );
  return `${title}\n${table.toString()}\n\n`;
}

function toText({ machine, kmalloc, stacks, layouts, lookups, churn, indirection }: Figures): string {
  let text = `${machine}\n\n`;
  text += lineTable('kmalloc and kfree, all checks on', kmalloc);
  text += lineTable('Slab allocators, through the interface', stacks);
  text += lineTable('Layouts of 2006 and of today', layouts);
  if (lookups !== undefined)
    text += nsTable(
      'From an address to its page, ns (the loop taken off)',
      ['lookup', 'warm', 'warm, dependent', 'cold', 'cold, dependent'],
      lookups.map((r) => [r.name, r.warmThroughput, r.warmLatency, r.coldThroughput, r.coldLatency]),
    );
  if (churn !== undefined)
    text += nsTable(
      'A free and an allocation of 64 bytes, random order, ns',
      ['layout', '256 live', '400,000 live'],
      churn.map((r) => [r.name, r.few, r.many]),
    );
  if (indirection !== undefined)
    text += nsTable(
      'Indirection, ns: an allocation and kfree; one object of a refill and flush of 60',
      ['called through', 'pair', 'slow path'],
      indirection.map((r) => [r.name, r.alloc, r.slow]),
    );
  return text;
}

function writePlots(dir: string, { kmalloc, layouts, lookups, churn }: Figures): void {
  const fast = [...kmalloc.filter(({ size }) => size === 64), ...layouts];
  const bars = fast
    .filter(({ operation }) => ['kmalloc', 'kfree', 'alloc', 'free'].includes(operation))
    .map(({ allocator, operation, parts }): Bar => {
      const label = allocator === 'kmalloc' ? `modslab: ${operation}` : `${allocator}: ${operation}`;
      return { label, parts: Object.entries(parts).map(([name, value]) => ({ name, value })) };
    });
  writeFileSync(join(dir, 'cache-lines.svg'), barChart('Cache lines of one call, 64 bytes', 'lines', bars));
  if (lookups !== undefined) {
    const one = lookups.map((r): Bar => ({ label: r.name, parts: [{ name: 'ns', value: r.coldLatency }] }));
    writeFileSync(join(dir, 'lookups.svg'), barChart('One lookup, cold, dependent', 'ns', one));
  }
  if (churn !== undefined) {
    const many = churn.map((r): Bar => ({ label: r.name, parts: [{ name: 'ns', value: r.many }] }));
    writeFileSync(
      join(dir, 'churn.svg'),
      barChart('A free and an allocation, 400,000 live objects', 'ns', many),
    );
  }
}
