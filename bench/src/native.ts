/**
 * The native competitors: finds a C compiler, compiles `native/` into a temporary folder, and finds the malloc
 * libraries that can be put in by LD_PRELOAD. A library is looked for where the dynamic linker would look: first in
 * LD_LIBRARY_PATH, then in its cache (`ldconfig -p`). Whatever is not there is reported, not guessed.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { packageFile } from './paths.ts';

const FLAGS: readonly string[] = [
  '-O2',
  '-std=gnu11',
  '-pthread',
  '-fno-builtin-malloc',
  '-fno-builtin-calloc',
  '-fno-builtin-realloc',
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
  /** Around an allocator that does nothing; the second one for workloads that write to their objects. */
  readonly noop: string;
  readonly noopTouched: string;
}

/** The programs, in `folder`, or one line that says why there are none. */
export function compileNative(folder: string): NativeProgram | string {
  const compiler = [process.env.CC ?? '', 'gcc', 'cc'].find(
    (name) => name !== '' && versionOf(name) !== undefined,
  );
  if (compiler === undefined) return 'native malloc: no C compiler (gcc or cc) on this machine';
  const programs = {
    malloc: join(folder, 'native'),
    noop: join(folder, 'native-noop'),
    noopTouched: join(folder, 'native-noop-touched'),
  };
  const failure =
    compile(compiler, programs.malloc, []) ??
    compile(compiler, programs.noop, ['-DNOOP=1']) ??
    compile(compiler, programs.noopTouched, ['-DNOOP=2']);
  if (failure !== undefined) return `native malloc: ${compiler} failed: ${failure}`;
  return { compiler: versionOf(compiler) ?? compiler, ...programs };
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
  const native = packageFile('native');
  const sources = readdirSync(native).filter((file) => file.endsWith('.c'));
  const args = [...FLAGS, ...more, '-o', output, ...sources.map((file) => join(native, file)), '-ldl'];
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
