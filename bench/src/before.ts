/**
 * modslab as it was at a commit, beside what it is now, in one run: the answer to "is the fast path slower since?".
 *
 * The commit's tree is unpacked into .matrix/, its packages/modslab built, and this harness copied beside it, whose
 * `import 'modslab'` finds that one there; all other packages are found further up, where they are the same for both.
 */

import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageFile } from './paths.ts';
import type { Runtime } from './runtimes.ts';

const root: string = packageFile('..');

function git(...args: string[]): { readonly out: Buffer; readonly error: string } {
  const { status, stdout, stderr } = spawnSync('git', args, { cwd: root, maxBuffer: 2 ** 28 });
  return { out: stdout, error: status === 0 ? '' : String(stderr).trim() || 'git failed' };
}

/** Unpacks and builds; what went wrong, or ''. */
function build(commit: string, folder: string): string {
  const { out, error } = git('archive', commit, '.');
  if (error !== '') return error;
  mkdirSync(folder, { recursive: true });
  const unpacked = spawnSync('tar', ['x', '-C', folder], { input: out });
  if (unpacked.status !== 0) return 'tar failed';
  const built = spawnSync(process.execPath, ['scripts/build.mjs', '--src', '--quiet', 'modslab'], {
    cwd: folder,
  });
  return built.status === 0 ? '' : `its modslab does not build: ${built.stdout}${built.stderr}`;
}

/** A "runtime" that is this one, with the modslab of a commit; undefined, and a line in `missing`, if that cannot be had. */
export function modslabBefore(revision: string, missing: string[]): Runtime | undefined {
  const found = git('rev-parse', '--verify', '--short', '--end-of-options', `${revision}^{commit}`);
  const commit = String(found.out).trim();
  if (found.error !== '') {
    missing.push(`modslab at ${revision}: ${found.error}`);
    return undefined;
  }
  const folder = join(root, '.matrix', `before-${commit}`);
  if (!existsSync(join(folder, 'packages/modslab/dist/index.js'))) {
    const problem = build(commit, folder);
    if (problem !== '') {
      missing.push(`modslab at ${commit}: ${problem}`);
      rmSync(folder, { recursive: true, force: true });
      return undefined;
    }
  }
  const harness = join(folder, 'bench', 'dist');
  rmSync(harness, { recursive: true, force: true });
  cpSync(dirname(fileURLToPath(import.meta.url)), harness, { recursive: true });
  const link = join(folder, 'node_modules', 'modslab');
  mkdirSync(dirname(link), { recursive: true });
  if (!existsSync(link)) symlinkSync(join('..', 'packages', 'modslab'), link);
  const script = join(harness, 'contestant-process.js');
  return { name: `at ${commit}`, program: process.execPath, args: process.execArgv, script };
}
