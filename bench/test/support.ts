/** What the tests of the benchmarks share: running a command of theirs, and what this machine has. */

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The nearest folder above this file that holds bench's package.json, wherever the tests are compiled to. */
export function packageFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (let i = 0; i < 8; i++) {
    const file = join(folder, 'package.json');
    if (existsSync(file) && JSON.parse(readFileSync(file, 'utf8')).name === '@modslab/bench') return folder;
    folder = dirname(folder);
  }
  throw new Error('no package.json of @modslab/bench above this file');
}

/** For machines that do much else at the same time. */
const TIMEOUT_MS = 1_200_000;

/** Runs `dist/<name>.js`. */
export function run(
  name: string,
  ...args: string[]
): { status: number | null; stdout: string; stderr: string } {
  const script = join(packageFolder(), 'dist', `${name}.js`);
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], {
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
    maxBuffer: 2 ** 28,
  });
  return { status, stdout, stderr };
}

export function has(...programs: string[]): boolean {
  return programs.some((name) => spawnSync(name, ['--version']).status === 0);
}
