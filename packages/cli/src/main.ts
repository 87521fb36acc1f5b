/**
 * The `modslab` command.
 *
 * Whatever happens, the caller can tell from the exit status (0 well, 1 the heap is at fault, 2 arguments or input are)
 * and from one line on stderr. Commander would print several lines and exit with 1 for bad arguments, so its output is
 * cut to its first line and its exits are translated here. The exit status is set, not forced, so that all output is
 * written; a reader that closes the pipe early (`modslab … | head`) ends the command quietly.
 */
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { Command, CommanderError } from 'commander';
import { addBench } from './bench/command.ts';
import { addCachelines } from './cachelines/command.ts';
import { addInfo } from './info/command.ts';
import { addInspect } from './inspect/command.ts';
import { addRecord } from './record/command.ts';
import { addReplay } from './replay/command.ts';
import { addSizes } from './sizes/command.ts';
import { addTop } from './top/command.ts';
import { printable } from './trace/errors.ts';

/** Longest message about a bad argument, in characters. */
const MESSAGE = 400;

function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** The greatest status wins: bad input is worse than a bad heap, since nothing is known then. */
function report(status: number): void {
  process.exitCode = Math.max(Number(process.exitCode ?? 0), status);
}

/** Ends quietly when nobody reads the output any more. */
function surviveClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit();
      throw error;
    });
  }
}

function createProgram(): Command {
  const program = new Command('modslab')
    .description('Tools for modslab, a modular slab allocator for the shared memory of JavaScript.')
    .version(version(), '-V, --version')
    .showSuggestionAfterError(false)
    .exitOverride()
    .configureOutput({ outputError: () => {} });
  addReplay(program, report);
  addBench(program, report);
  addSizes(program, report);
  addCachelines(program);
  addInspect(program, report);
  addTop(program, report);
  addInfo(program, report);
  addRecord(program, report);
  return program;
}

/** Commander answers `help` of a command that there is not with all of its usage, and no word of what is wrong. */
function checkHelp(program: Command, [, , command, name]: readonly string[]): void {
  if (command !== 'help' || name === undefined || name.startsWith('-') || name === 'help') return;
  if (!program.commands.some((each) => each.name() === name))
    throw new CommanderError(2, 'modslab.unknownCommand', `unknown command '${name}'; see modslab --help`);
}

async function main(argv: string[]): Promise<void> {
  const program = createProgram();
  try {
    if (argv.length <= 2)
      throw new CommanderError(2, 'modslab.noCommand', 'no command given; see modslab --help');
    checkHelp(program, argv);
    await program.parseAsync(argv);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return;
    process.stderr.write(`modslab: ${printable(error.message.replace(/^error: /, ''), MESSAGE)}\n`);
    report(2);
  }
}

surviveClosedPipes();
try {
  await main(process.argv);
} catch (error) {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  process.stderr.write(`modslab: ${printable(text)}\n`);
  report(1);
}
