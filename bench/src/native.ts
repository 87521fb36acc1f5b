/**
 * The native competitors: finds a C compiler, compiles `native/micro.c` into a temporary folder, and finds the malloc
 * libraries that can be put in by LD_PRELOAD. A library is looked for where the dynamic linker would look: first in
 * LD_LIBRARY_PATH, then in its cache (`ldconfig -p`). Whatever is not there is reported, not guessed.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { packageFile } from './paths.ts';

const FLAGS: readonly string[] = [
  '-O2',
  '-std=gnu11',
  '-pthread',
  '-fno-builtin-malloc',
  '-fno-builtin-free',
];
const COMPILE_MS = 60_000;

export interface NativeLibrary {
  readonly name: string;
  /** Sonames that will do, the best first. */
  readonly sonames: readonly string[];
  /** What to install where it is missing. */
  readonly debian: string;
}

export const LIBRARIES: readonly NativeLibrary[] = [
  {
    name: 'mimalloc',
    sonames: ['libmimalloc.so.2', 'libmimalloc.so.2.0', 'libmimalloc.so'],
    debian: 'libmimalloc2.0',
  },
  { name: 'jemalloc', sonames: ['libjemalloc.so.2'], debian: 'libjemalloc2' },
  { name: 'tcmalloc', sonames: ['libtcmalloc_minimal.so.4'], debian: 'libtcmalloc-minimal4' },
];

export interface NativeProgram {
  readonly compiler: string;
  readonly malloc: string;
  readonly noop: string;
  /** Removes the temporary folder. */
  remove(): void;
}

/** The program, or one line that says why there is none. */
export function compileNative(): NativeProgram | string {
  const compiler = [process.env.CC ?? '', 'gcc', 'cc'].find(
    (name) => name !== '' && versionOf(name) !== undefined,
  );
  if (compiler === undefined) return 'native malloc: no C compiler (gcc or cc) on this machine';
  const folder = mkdtempSync(join(tmpdir(), 'modslab-bench-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  const malloc = join(folder, 'micro');
  const noop = join(folder, 'micro-noop');
  const failure = compile(compiler, malloc, []) ?? compile(compiler, noop, ['-DNOOP']);
  if (failure !== undefined) {
    remove();
    return `native malloc: ${compiler} failed: ${failure}`;
  }
  return { compiler: versionOf(compiler) ?? compiler, malloc, noop, remove };
}

/** The file of each library that is installed. */
export function findLibraries(): Map<string, string> {
  const found = new Map<string, string>();
  const cache = linkerCache();
  for (const library of LIBRARIES) {
    const path = library.sonames
      .map((soname) => inLibraryPath(soname) ?? cache.get(soname))
      .find((p) => p !== undefined);
    if (path !== undefined) found.set(library.name, path);
  }
  return found;
}

function versionOf(compiler: string): string | undefined {
  const { status, stdout } = spawnSync(compiler, ['--version'], { encoding: 'utf8', timeout: COMPILE_MS });
  return status === 0 ? stdout.split('\n')[0] : undefined;
}

function compile(compiler: string, output: string, more: readonly string[]): string | undefined {
  const args = [...FLAGS, ...more, '-o', output, packageFile('native/micro.c'), '-ldl'];
  const { status, stderr, error } = spawnSync(compiler, args, { encoding: 'utf8', timeout: COMPILE_MS });
  if (status === 0) return undefined;
  return error?.message ?? stderr.split('\n').find((line) => line.includes('error')) ?? `status ${status}`;
}

function inLibraryPath(soname: string): string | undefined {
  const folders = (process.env.LD_LIBRARY_PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, soname)).find((path) => existsSync(path));
}

/** `ldconfig -p`, soname to file; the first entry of a name is the one for this machine's own word size. */
function linkerCache(): Map<string, string> {
  const entries = new Map<string, string>();
  for (const program of ['ldconfig', '/sbin/ldconfig']) {
    const { status, stdout } = spawnSync(program, ['-p'], { encoding: 'utf8', timeout: COMPILE_MS });
    if (status !== 0) continue;
    for (const line of stdout.split('\n')) {
      const [, soname, path] = /^\s*(\S+) \(.*\) => (\S+)$/.exec(line) ?? [];
      if (soname !== undefined && path !== undefined && !entries.has(soname)) entries.set(soname, path);
    }
    break;
  }
  return entries;
}
