/**
 * `modslab replay FILE…`: arguments, the loop over the files, exit status.
 *
 *     0  every file was replayed, its heap sound, its objects unchanged
 *     1  a heap failed validation, an object's contents changed, memory ran out, or a worker died
 *     2  bad arguments or bad input: one line on stderr
 *
 * With several files each is replayed on a heap of its own; a bad one does not keep the next from its turn, and the
 * greatest status counts. Progress goes to stderr and to terminals only; stdout has the results and nothing else.
 */
import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { stderr, stdout } from 'node:process';
import { SingleBar } from 'cli-progress';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { expose } from '../live/expose.ts';
import { checkOutput } from '../output.ts';
import { printable, TraceError } from '../trace/errors.ts';
import { readTrace } from '../trace/source.ts';
import { traceFigures } from './plot/figures.ts';
import { plotOf } from './plot/plot.ts';
import { Sampler } from './plot/sampler.ts';
import type { Program } from './program.ts';
import { isWell, toJson, toText } from './report.ts';
import {
  DEFAULT_WINDOW,
  GREATEST_MAX_SIZE,
  type Outcome,
  type ReplayOptions,
  run,
  type Watch,
} from './run.ts';

/** What `--allocator` knows. */
const ALLOCATORS = ['sheaved'];
/** More worker threads than this are a typing error. */
const MAX_THREADS = 256;
/** The smallest heap that is worth trying, in bytes. */
const LEAST_MAX_SIZE: number = 2 ** 20;

interface Flags {
  threads: number;
  allocator: string;
  verify: boolean;
  json: boolean;
  maxSize?: number;
  window: number;
  expose?: boolean;
  exposePort?: number;
  over?: number;
  plot?: string;
}

/** A whole number from `least` to `most`. */
function integer(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
}

/** Bytes: `67108864`, `64M`, `1G`, `64MiB`. */
export function parseBytes(text: string): number {
  const match = /^(\d+)(?:([kmg])(?:i?b)?)?$/i.exec(text);
  const factor = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 }[match?.[2]?.toLowerCase() ?? ''] ?? 1;
  const value = match === null ? Number.NaN : Number(match[1]) * factor;
  if (value >= LEAST_MAX_SIZE && value <= 4 * 2 ** 30) return Math.min(value, GREATEST_MAX_SIZE);
  throw new InvalidArgumentError('It must be a number of bytes from 1M to 4G.');
}

function allocator(name: string): string {
  if (ALLOCATORS.includes(name)) return name;
  throw new InvalidArgumentError(`It must be one of: ${ALLOCATORS.join(', ')}.`);
}

const HELP = `
FILE is an mtrace1 trace of a program's malloc calls, or the text of the kernel's
/sys/kernel/tracing/trace with the kmem events; either may be gzipped. What it is
is told by its content.

Every event is executed on one shared heap. The trace's threads (a kernel trace's
CPUs) are spread over the worker threads: thread t runs on worker t mod N. If there
are more workers than threads, the objects of a thread go round several workers, and
every third object is freed by another worker than the one that allocated it. An
allocation, its reallocs and its free keep their order wherever they cross threads.

With --expose or --expose-port the heap can be looked at while it runs, by this user alone
(modslab top, info, inspect). --over gives one the time to.

Exit status: 0 all is well; 1 the heap failed validation, an object's contents changed,
or memory ran out; 2 bad arguments or input.

Examples:
  modslab replay --threads 2 --verify traces/rsyslogd.mtrace.gz
  modslab replay --json *.mtrace.gz | jq '[.file, .eventsPerSecond]'`;

/** Adds the command to `parent`. `report` is told each exit status. */
export function addReplay(parent: Command, report: (status: number) => void): void {
  parent
    .command('replay')
    .summary('run allocation traces of real programs on a heap')
    .description(
      'Run allocation traces of real programs on a shared heap, on real threads, and say how it went.',
    )
    .argument('<file...>', 'mtrace1 or kmem ftrace text, plain or .gz')
    .addOption(
      new Option('-t, --threads <n>', 'worker threads').default(1).argParser(integer(1, MAX_THREADS)),
    )
    .addOption(
      new Option('--allocator <name>', `one of: ${ALLOCATORS.join(', ')}`)
        .default('sheaved')
        .argParser(allocator),
    )
    .option('--verify', 'fill every object with a pattern of its own; check it at free and realloc', false)
    .option('--json', 'print one JSON object a file, a line each', false)
    .addOption(
      new Option(
        '--max-size <bytes>',
        'how large the heap may grow (1M to 4G; default: 4 times the peak, 64M at least)',
      ).argParser(parseBytes),
    )
    .addOption(
      new Option('--window <events>', 'how far a worker may run ahead of the slowest; 0: any distance')
        .default(DEFAULT_WINDOW)
        .argParser(integer(0, 2 ** 30)),
    )
    .option('--expose', 'serve the heap on a socket of this user, to be looked at while it runs')
    .addOption(
      new Option(
        '--expose-port <port>',
        'serve it on this port of 127.0.0.1 instead, with a token; 0: a free one',
      ).argParser(integer(0, 65_535)),
    )
    .addOption(
      new Option('--over <seconds>', 'spread the replay over so much time').argParser(integer(1, 86_400)),
    )
    .option('--plot <file.svg>', 'draw memory over the trace, requests by size, and waste by size class')
    .addHelpText('after', HELP)
    .action(async (files: string[], flags: Flags) => {
      if (flags.plot !== undefined && files.length > 1)
        throw new InvalidArgumentError("error: option '--plot' draws one trace: name one file");
      if (flags.plot !== undefined) checkOutput(flags.plot);
      if (flags.over !== undefined && flags.window === 0)
        throw new InvalidArgumentError("error: option '--over' needs a window: leave out '--window 0'");
      for (const file of files) report(await replayOne(file, flags));
    });
}

/** A bar on a terminal; nothing elsewhere. */
class Progress {
  readonly #bar: SingleBar | undefined;

  constructor(label: string) {
    if (!stderr.isTTY) return;
    const format = `${label} [{bar}] {percentage} %`;
    this.#bar = new SingleBar({
      format,
      stream: stderr,
      clearOnComplete: true,
      hideCursor: false,
      barsize: 30,
    });
    this.#bar.start(1, 0);
  }

  update(done: number, total: number): void {
    if (this.#bar === undefined || total <= 0) return;
    this.#bar.setTotal(total);
    this.#bar.update(done);
  }

  stop(): void {
    this.#bar?.stop();
  }
}

async function read(file: string): Promise<Program> {
  const bar = new Progress('reading  ');
  try {
    return await readTrace(file, (done, total) => bar.update(done, total));
  } finally {
    bar.stop();
  }
}

/** What watches the replay of `program`. */
function watchOf(program: Program, flags: Flags, sampler: Sampler | undefined): Watch {
  const { exposePort: port, over } = flags;
  const isExposed = flags.expose === true || port !== undefined;
  const sample = sampler === undefined ? {} : { sample: (row: number) => sampler.take(row) };
  if (!isExposed) {
    if (sampler === undefined) return { over };
    return { over, ...sample, onHeap: (heap) => Promise.resolve(sampler.start(heap)) };
  }
  const name = `replay of ${printable(program.file)}`;
  const onHeap: Watch['onHeap'] = async (heap) => {
    const exposed = await expose(heap, { name, ...(port === undefined ? {} : { port }) });
    stderr.write(`modslab: exposed at ${exposed.address}\n`);
    sampler?.start(heap);
    return () => exposed.close();
  };
  return { onHeap, over, ...sample };
}

/** Draws the plot; what was wrong with the file. */
function draw(file: string, program: Program, sampler: Sampler): string | undefined {
  const figures = traceFigures(program, sampler.sizes, sampler.pageSize);
  const title = `Replay of ${printable(basename(program.file))}${program.title === '' ? '' : `: ${program.title}`}`;
  try {
    writeFileSync(file, plotOf(title, figures, sampler.footprint));
    return undefined;
  } catch (error) {
    return `${printable(file)}: ${printable((error as Error).message)}`;
  }
}

async function execute(program: Program, options: ReplayOptions, watch: Watch): Promise<Outcome> {
  const bar = new Progress('replaying');
  try {
    return await run(program, options, (done, total) => bar.update(done, total), watch);
  } finally {
    bar.stop();
  }
}

/** Replays one file and prints what came of it. Returns the exit status. */
async function replayOne(file: string, flags: Flags): Promise<number> {
  const { threads, verify, window, maxSize } = flags;
  const began = performance.now();
  let program: Program;
  try {
    program = await read(file);
  } catch (error) {
    if (!(error instanceof TraceError)) throw error;
    stderr.write(`modslab: ${error.message}\n`);
    return 2;
  }
  const parseSeconds = (performance.now() - began) / 1000;
  const sampler = flags.plot === undefined ? undefined : new Sampler();
  const watch = watchOf(program, flags, sampler);
  const outcome = await execute(program, { threads, verify, window, maxSize }, watch);
  if (sampler !== undefined && flags.plot !== undefined) {
    const fault = draw(flags.plot, program, sampler);
    if (fault !== undefined) {
      stderr.write(`modslab: ${fault}\n`);
      return 2;
    }
  }
  stdout.write(
    flags.json ? `${JSON.stringify(toJson(outcome, parseSeconds))}\n` : toText(outcome, parseSeconds),
  );
  if (isWell(outcome)) return 0;
  stderr.write(
    `modslab: ${outcome.failure ?? `${printable(file)}: ${outcome.tally.corrupted} corrupted, ${outcome.problems.length} problems`}\n`,
  );
  return 1;
}
