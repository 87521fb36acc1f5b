/**
 * `modslab info [OPTION…] [TARGET] [CACHE]`: what slabinfo of the kernel's tools says, of a live heap or a snapshot.
 *
 *     0  well    1  -v found problems    2  bad arguments, or nothing to look at: one line on stderr
 */
import { stderr, stdout } from 'node:process';
import { type Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { Heap, type Problem } from 'modslab';
import { formatAttributes, formatSlabinfo, type HeapImage } from 'modslab/stat';
import { type CacheRow, cacheRows, headLine, tableLine } from '../look/figures.ts';
import { type Look, LookError, openLook } from '../look/source.ts';
import { printable } from '../trace/errors.ts';
import { columnsFor, type View } from './columns.ts';
import { reportOf } from './report.ts';
import { totalsOf } from './totals.ts';

interface Flags {
  aliases: boolean;
  activity: boolean;
  bytes: boolean;
  displayActivity: boolean;
  empty: boolean;
  inverted: boolean;
  loss: boolean;
  numa: boolean;
  lines?: number;
  partial: boolean;
  report: boolean;
  shrink: boolean;
  size: boolean;
  tracking: boolean;
  totals: boolean;
  unreclaim: boolean;
  validate: boolean;
  extended: boolean;
  zero: boolean;
  attributes: boolean;
  proc?: SlabinfoVersion;
  json: boolean;
}

const HELP = `
TARGET is a socket, a process or an address of a program that calls expose(heap), or a
file: a snapshot (heap.snapshot()), which may be gzipped. Without: the only heap that
your programs expose. CACHE is a regular expression: only caches whose names match.

Sizes are those of slabs. Allocations and frees are at least so many: threads that free
what they have just allocated do not count (docs/inspect.md).

Examples:
  modslab info                      the caches of the heap that is exposed
  modslab info -T heap.snapshot     totals of a snapshot
  modslab info -r 4711 kmalloc-64   everything about one cache of process 4711`;

function lines(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value > 0) return value;
  throw new InvalidArgumentError('It must be a whole number above 0.');
}

type SlabinfoVersion = '3.0' | '2.1';

function slabinfoVersion(text: string): SlabinfoVersion {
  if (text === '3.0' || text === '2.1') return text;
  throw new InvalidArgumentError('The version is 3.0 or 2.1: write --proc=2.1 if a target follows.');
}

/** What slab debugging finds in the bytes of objects and between them, rather than in the metadata. */
const IN_BYTES = /Redzone$|Poison$|^Track$/;

const isInBytes = ({ report }: Problem): boolean =>
  report !== undefined &&
  report.findings.length > 0 &&
  report.findings.every(({ what }) => IN_BYTES.test(what));

/** Adds the command to `parent`; `report` is told the exit status. */
export function addInfo(parent: Command, report: (status: number) => void): void {
  parent
    .command('info')
    .summary('figures of a live heap or a snapshot, as slabinfo prints them')
    .description('Print the caches of a live heap or a snapshot, with the options of slabinfo.')
    .argument('[target]', 'socket, process, address or snapshot')
    .argument('[cache]', 'only caches whose names match this regular expression')
    .option('-a, --aliases', 'which caches share the slabs of which', false)
    .option('-A, --activity', 'most active caches first', false)
    .option('-B, --bytes', 'sizes in bytes, numbers in full', false)
    .option('-D, --display-activity', 'what each cache was used for, not what it has', false)
    .option('-e, --empty', 'only caches without objects', false)
    .option('-i, --inverted', 'the other way round', false)
    .option('-L, --loss', 'caches that lose most memory first; show the loss', false)
    .option('-n, --numa', 'slabs by node', false)
    .addOption(new Option('-N, --lines <n>', 'so many caches at most').argParser(lines))
    .option('-P, --partial', 'caches with most partial slabs first', false)
    .option('-r, --report', 'all that is known of each cache', false)
    .option('-s, --shrink', 'give cached memory back first, where the program lets others do that', false)
    .option('-S, --size', 'largest caches first', false)
    .option('-t, --tracking', 'live objects by who allocated them, where the heap tracks that', false)
    .option('-T, --totals', 'a summary of all caches', false)
    .option('-U, --unreclaim', 'only caches whose memory is not reclaimable', false)
    .option('-v, --validate', 'check every invariant of the heap (status 1 if one does not hold)', false)
    .option('-X, --extended', 'the summary, and the largest, most partial and most wasteful caches', false)
    .option('-z, --zero', 'caches without slabs too', false)
    .option('-x, --attributes', 'the files of /sys/kernel/slab/<cache>/', false)
    .addOption(
      new Option('--proc [version]', 'the text of /proc/slabinfo')
        .choices(['3.0', '2.1'])
        .preset('2.1')
        .argParser(slabinfoVersion),
    )
    .option('--json', 'attributes as JSON', false)
    .addHelpText('after', HELP)
    .action(async (target: string | undefined, cache: string | undefined, flags: Flags) => {
      report(await info(target, cache, flags));
    });
}

function pattern(text: string | undefined): RegExp {
  try {
    return new RegExp(text ?? '');
  } catch (error) {
    const { message } = error as Error;
    throw new CommanderError(2, 'modslab.pattern', `the cache is no regular expression: ${message}`);
  }
}

async function info(target: string | undefined, cache: string | undefined, flags: Flags): Promise<number> {
  const matches = pattern(cache);
  let look: Look | undefined;
  try {
    look = await openLook(target);
    if (flags.shrink) await shrink(look);
    const image = await look.image();
    const [text, status] = await answer(look, image, matches, flags);
    stdout.write(text);
    return status;
  } catch (error) {
    if (!(error instanceof LookError)) throw error;
    stderr.write(`modslab: ${error.message}\n`);
    return 2;
  } finally {
    look?.close();
  }
}

async function shrink(look: Look): Promise<void> {
  if (look.live === undefined) throw new LookError(`${look.name}: only a live heap can be shrunk`);
  try {
    await look.live.shrink();
  } catch (error) {
    throw new LookError(`${look.name}: ${printable((error as Error).message)}`);
  }
}

async function answer(
  look: Look,
  image: HeapImage,
  matches: RegExp,
  flags: Flags,
): Promise<[string, number]> {
  if (flags.validate) return validate(look, image);
  if (flags.tracking) return [await tracking(look), 0];
  const all = cacheRows(image).filter(({ name }) => matches.test(name));
  if (flags.totals) return [totalsOf(all, image, flags.bytes), 0];
  if (flags.extended) return [extended(all, image, flags), 0];
  const rows = chosen(all, flags);
  if (flags.json)
    return [`${JSON.stringify({ name: look.name, time: image.time, ...rest(image), caches: rows })}\n`, 0];
  if (flags.attributes)
    return [rows.map((row) => `${row.name}\n${indent(formatAttributes(row))}`).join(''), 0];
  if (flags.proc !== undefined) {
    const named = new Set(rows.map(({ name }) => name));
    return [
      formatSlabinfo(
        image.slabinfo().filter(({ name }) => named.has(name)),
        flags.proc,
      ),
      0,
    ];
  }
  if (flags.report) return [rows.map((row) => reportOf(row, image, flags.bytes)).join('\n'), 0];
  if (flags.aliases) return [aliases(rows), 0];
  return [table(rows, viewOf(flags), flags.bytes, image.nodes), 0];
}

const rest = (image: HeapImage): object => ({
  meminfo: image.meminfo(),
  buddyinfo: image.buddyinfo(),
  cpus: image.cpus(),
  counters: image.counters(),
});

const indent = (text: string): string => text.replaceAll(/^(?=.)/gm, '    ');

function viewOf(flags: Flags): View {
  if (flags.displayActivity) return 'activity';
  if (flags.numa) return 'numa';
  return flags.loss ? 'loss' : 'slabs';
}

/** The order of rows that the flags ask for, and which of them. */
function chosen(rows: readonly CacheRow[], flags: Flags): CacheRow[] {
  const kept = rows.filter((row) => {
    if (flags.empty && row.objects > 0) return false;
    if (!flags.zero && !flags.empty && !flags.aliases && row.slabs === 0) return false;
    return !(flags.unreclaim && row.reclaimAccount);
  });
  const key = sortKey(flags);
  const ordered = key === undefined ? kept : [...kept].sort((a, b) => key(b) - key(a));
  const turned = flags.inverted ? ordered.reverse() : ordered;
  return turned.slice(0, flags.lines ?? turned.length);
}

function sortKey(flags: Flags): ((row: CacheRow) => number) | undefined {
  if (flags.size) return (row) => row.space;
  if (flags.loss) return (row) => row.loss;
  if (flags.partial) return (row) => row.partial;
  if (flags.activity) return (row) => row.activity;
  return undefined;
}

function table(rows: readonly CacheRow[], view: View, exact: boolean, nodes: number): string {
  const columns = columnsFor(view, exact, nodes);
  return `${[headLine(columns), ...rows.map((row) => tableLine(columns, row))].join('\n')}\n`;
}

function aliases(rows: readonly CacheRow[]): string {
  const lines = rows.flatMap(({ name, aliasNames }) =>
    aliasNames.map((alias) => `${alias.padEnd(24)} -> ${name}\n`),
  );
  return lines.length === 0 ? 'no cache shares the slabs of another\n' : lines.join('');
}

/** slabinfo -X: the summary, and three short lists. */
function extended(rows: readonly CacheRow[], image: HeapImage, flags: Flags): string {
  const few = { ...flags, lines: flags.lines ?? 5, zero: true };
  const list = (title: string, by: Partial<Flags>, view: View): string =>
    `\n${title}\n${'-'.repeat(title.length)}\n${table(chosen(rows, { ...few, size: false, loss: false, partial: false, ...by }), view, flags.bytes, image.nodes)}`;
  return [
    totalsOf(rows, image, flags.bytes),
    list('Largest caches', { size: true }, 'slabs'),
    list('Caches that lose most', { loss: true }, 'loss'),
    list('Most partial slabs', { partial: true }, 'slabs'),
  ].join('');
}

/** Checks a copy, whose threads have been reaped. */
function validate(look: Look, image: HeapImage): [string, number] {
  const restored = Heap.restore(look.bytes, { shared: false });
  // Red zones, poison and tracks lie in the data, which this snapshot may be without: there they read as zeros.
  const problems = restored.validate().filter((problem) => image.hasData || !isInBytes(problem));
  const frozen = image.reports;
  const found = problems.map(({ code, message }) => `${code}: ${printable(message)}\n`);
  if (frozen > 0) found.push(`${frozen} reports of damage since the heap was made\n`);
  if (found.length === 0) return ['sound: every invariant holds\n', 0];
  // While threads run, the parts of a snapshot are of different instants.
  const torn = look.isFile ? '' : 'the heap was in use: look again before you believe it\n';
  return [`${found.join('')}${torn}`, 1];
}

async function tracking(look: Look): Promise<string> {
  if (look.live === undefined) throw new LookError(`${look.name}: only a live heap tells who allocated what`);
  const leaks = await look.live.leaks();
  if (leaks === undefined)
    throw new LookError(`${look.name}: the heap does not track its objects: create it with { debug: 'U' }`);
  return `${JSON.stringify(leaks, undefined, 2)}\n`;
}
