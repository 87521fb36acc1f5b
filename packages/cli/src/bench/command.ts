/**
 * `modslab bench [OPTION…]`: the benchmark suite of the repository, with its own options passed through.
 *
 * The suite is part of the repository, not of the package: it compiles C, and its figures are only worth something beside
 * the sources that they are of. So the command looks for it from the current folder upwards, then beside its own files, and
 * where it is in neither place says so (status 2). The suite's exit status is the command's.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { type Command, CommanderError } from 'commander';

const PACKAGE = '@modslab/bench';
/** Status when the suite itself was ended by a signal. */
const ENDED = 1;

/** The suite's folder in the repository that `folder` is in. */
function suiteAbove(folder: string): string | undefined {
  const suite = join(folder, 'bench');
  const description = join(suite, 'package.json');
  if (existsSync(description)) {
    const { name } = JSON.parse(readFileSync(description, 'utf8')) as { name?: string };
    if (name === PACKAGE) return suite;
  }
  const parent = dirname(folder);
  return parent === folder ? undefined : suiteAbove(parent);
}

/** The suite's program. Throws with one line where there is none. */
export function findSuite(from: string): string {
  const suite = suiteAbove(from) ?? suiteAbove(dirname(fileURLToPath(import.meta.url)));
  if (suite === undefined) {
    throw new CommanderError(
      2,
      'modslab.noSuite',
      'bench runs in a checkout of the modslab repository only: there is none here',
    );
  }
  const program = join(suite, 'dist/bench.js');
  if (existsSync(program)) return program;
  throw new CommanderError(2, 'modslab.noSuite', 'bench is not built yet: run npm run build first');
}

function runSuite(program: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], { stdio: 'inherit' });
    child.on('error', reject);
    child.on('close', (status) => resolve(status ?? ENDED));
  });
}

/** Adds the command to `parent`; `report` is told the exit status. */
export function addBench(parent: Command, report: (status: number) => void): void {
  parent
    .command('bench')
    .description(
      'the benchmark suite, beside whatever peers this machine has (in a checkout of the repository)',
    )
    .argument('[OPTION...]', "the suite's own options; see modslab bench --help")
    .helpOption(false)
    .allowUnknownOption()
    .action(async (options: string[]) => {
      report(await runSuite(findSuite(process.cwd()), options));
    });
}
