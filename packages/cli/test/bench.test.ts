/** `modslab bench`: finds the suite, passes options and exit status through, and says where there is no suite. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { test } from 'node:test';
import { bin, path, root } from './helpers.js';

function bench(
  cwd: string,
  command: string,
  ...args: string[]
): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [command, 'bench', ...args], { cwd, encoding: 'utf8', timeout: 60_000 });
}

test('bench passes options through and shows the help of the suite', () => {
  const { status, stdout, stderr } = bench(root, bin, '--help');
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^usage: bench .*--quick/);
});

test('bench passes the exit status of the suite on', () => {
  const { status, stderr } = bench(join(root, 'packages/cli'), bin, '--only', 'pears');
  assert.equal(status, 2);
  assert.match(stderr, /^--only: unknown: pears /);
});

const DENO = 'Deno' in globalThis && 'Deno takes no package that is linked into a folder of modules';

test('bench outside of the repository says so, with status 2', { skip: DENO }, () => {
  // The command as npm would install it: its files without the repository around them.
  const installed = path('installed/node_modules/@modslab/cli');
  mkdirSync(installed, { recursive: true });
  for (const part of ['bin', 'dist', 'package.json'])
    cpSync(join(root, 'packages/cli', part), join(installed, part), { recursive: true });
  for (const dependency of ['commander', 'cli-progress', 'cli-table3', 'modslab'])
    symlinkSync(join(root, 'node_modules', dependency), path(`installed/node_modules/${dependency}`));
  const { status, stdout, stderr } = bench(path('installed'), join(installed, 'bin/modslab.js'));
  assert.equal(status, 2, stderr);
  assert.equal(stdout, '');
  assert.equal(
    stderr,
    'modslab: bench runs in a checkout of the modslab repository only: there is none here\n',
  );
});
