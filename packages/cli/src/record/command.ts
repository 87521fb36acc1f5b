/**
 * `modslab record [OPTION…] -- COMMAND…`: runs a program and writes down what it does on its heaps, as a trace that `replay` reads.
 *
 * The program's Node loads a hook first (hook.ts; NODE_OPTIONS, so it reaches worker threads and child processes too). When the
 * program has ended, the parts of each heap are put into one order. The exit status is the program's own, unless nothing was
 * recorded: 2.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join, parse } from 'node:path';
import process, { stderr } from 'node:process';
import { gzipSync } from 'node:zlib';
import { type Command, Option } from 'commander';
import { formatFtrace, formatMtrace1, type HeapRecording, recordingsByHeap } from 'modslab/trace';
import { checkOutput } from '../output.ts';
import { printable } from '../trace/errors.ts';
import { CALL_SITES_VARIABLE, FOLDER_VARIABLE, PART } from './variables.ts';

type Format = 'mtrace1' | 'ftrace';

interface Flags {
  output?: string;
  format: Format;
  callSites: boolean;
}

const HELP = `
COMMAND is a program that runs in Node (20 or later) and uses modslab, itself or in a child
process. Every heap becomes a trace of its own: the largest is written to FILE, the others
beside it (FILE.2, FILE.3, …). FILE.gz is compressed.

Allocations of a thread that is terminated may be missing at its end; the trace then has
implied frees. Frees of what was there before are left out, and counted in the header.

Examples:
  modslab record -o app.mtrace.gz -- node app.js
  modslab record --format ftrace --call-sites -o app.ftrace -- npm start
  modslab replay --threads 4 --verify app.mtrace.gz`;

/** Status of a shell for a program that a signal has ended: this and the signal's number. */
const SIGNALLED = 128;
/** Status of a shell for a program that cannot be started. */
const NOT_FOUND = 127;

/** Adds the command to `parent`; `report` is told the exit status. */
export function addRecord(parent: Command, report: (status: number) => void): void {
  parent
    .command('record')
    .summary('run a program and record what it does on its heaps')
    .description('Run a program and record the allocations on its heaps, as a trace that replay reads.')
    .argument('<command...>', 'the program and its arguments, behind --')
    .option('-o, --output <file>', 'where the trace goes (default: modslab.mtrace, modslab.ftrace)')
    .addOption(
      new Option('-f, --format <format>', 'form of the trace')
        .default('mtrace1')
        .choices(['mtrace1', 'ftrace']),
    )
    .option('-c, --call-sites', 'note who allocates (ftrace; costs some microseconds a call)', false)
    .addHelpText('after', HELP)
    .action(async (command: string[], flags: Flags) => report(await record(command, flags)));
}

async function record(command: string[], flags: Flags): Promise<number> {
  checkOutput(outputOf(flags));
  const folder = mkdtempSync(join(tmpdir(), 'modslab-record-'));
  try {
    const status = await run(command, folder, flags.callSites);
    const parts = readdirSync(folder).filter((name) => name.endsWith(PART));
    const texts = parts.map((name) => readFileSync(join(folder, name), 'utf8')).filter((text) => text !== '');
    if (texts.length === 0) {
      const what = printable(command.join(' '));
      if (status !== NOT_FOUND) stderr.write(`modslab: ${what}: no heap was made, nothing is recorded\n`);
      return Math.max(2, status);
    }
    recordingsByHeap(texts).forEach((recording, i) => {
      write(recording, i, command, flags);
    });
    return status;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs the program with the hook; its exit status. */
function run([program, ...args]: string[], folder: string, callSites: boolean): Promise<number> {
  const hook = new URL('./hook.js', import.meta.url).href;
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --import=${hook}`.trim(),
    [FOLDER_VARIABLE]: folder,
  };
  if (callSites) env[CALL_SITES_VARIABLE] = '1';
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: 'inherit', env });
    // The terminal sends Ctrl-C to both: the program decides what it means.
    const ignore = (): void => {};
    process.on('SIGINT', ignore);
    const pass = (): void => void child.kill('SIGTERM');
    process.on('SIGTERM', pass);
    const end = (status: number): void => {
      process.off('SIGINT', ignore);
      process.off('SIGTERM', pass);
      resolve(status);
    };
    child.on('error', (error) => {
      stderr.write(`modslab: ${printable(error.message)}\n`);
      end(NOT_FOUND);
    });
    child.on('exit', (status, signal) => {
      end(status ?? SIGNALLED + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}

function fileOf(output: string, i: number): string {
  if (i === 0) return output;
  const { dir, base } = parse(output);
  const [, stem, zipped = ''] = /^(.*?)(\.gz)?$/.exec(base) ?? [];
  return join(dir, `${stem}.${i + 1}${zipped}`);
}

function outputOf({ output, format }: Flags): string {
  return output ?? `modslab.${format === 'ftrace' ? 'ftrace' : 'mtrace'}`;
}

function write(recording: HeapRecording, i: number, command: string[], flags: Flags): void {
  const { format } = flags;
  const file = fileOf(outputOf(flags), i);
  const about = { program: command[0], command: command.join(' '), note: 'recorded by modslab record' };
  const text = format === 'ftrace' ? formatFtrace(recording) : formatMtrace1(recording, about);
  writeFileSync(file, file.endsWith('.gz') ? gzipSync(text) : text);
  const events = text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;
  stderr.write(`modslab: ${printable(file)}: ${events} events of ${recording.parts.length} ends of a heap\n`);
}
