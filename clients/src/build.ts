/**
 * Compiles the programs with clang, wasm-ld and wasi-libc, as Debian packages them. A file is compiled again when it or
 * its flags have changed; both variants of a program are linked from the same objects.
 *
 *   node clients/dist/build.js        fetches what is missing, compiles what has changed
 */

import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import {
  type Allocator,
  allocatorFiles,
  linkFlags,
  PROGRAMS,
  type Program,
  type ProgramName,
} from './programs.ts';
import { CACHE, fetchSource, GLUE } from './sources.ts';

const TARGET = '--target=wasm32-wasi';
const OPTIMISE = '-O2';
/** For code that threads run at the same time. */
const ATOMICS: readonly string[] = ['-matomics', '-mbulk-memory'];
/** Headers of our own that the programs' files may include. */
const HEADERS: readonly string[] = ['lua-try.h', 'include/setjmp.h'];
export const ALLOCATORS: readonly Allocator[] = ['modslab', 'dlmalloc'];

const moduleFile = (name: ProgramName, allocator: Allocator): string =>
  join(CACHE, 'modules', `${name}-${allocator}.wasm`);

/** What the tool chain lacks, or undefined. */
export function toolchainLacks(): string | undefined {
  for (const tool of ['clang', 'wasm-ld']) {
    if (spawnSync(tool, ['--version'], { stdio: 'ignore' }).status !== 0) return `${tool} is not installed`;
  }
  const probe = ['-xc', TARGET, '-fsyntax-only', '-'];
  const { status } = spawnSync('clang', probe, {
    input: '#include <stdlib.h>\n',
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  return status === 0 ? undefined : 'wasi-libc is not installed';
}

/** Why a test that needs this program's modules must be skipped, or false. */
export function skipUnlessBuilt(name: ProgramName): string | false {
  const missing = ALLOCATORS.filter((allocator) => !existsSync(moduleFile(name, allocator)));
  if (missing.length === 0) return false;
  return `${name} is not compiled: ${toolchainLacks() ?? 'run `npm run clients:build`'}`;
}

/** The bytes of a compiled program. */
export function moduleBytes(name: ProgramName, allocator: Allocator): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(moduleFile(name, allocator)));
}

/** One C file to an object; compiled anew when the file or the flags have changed. Returns the object's path. */
async function compileFile(file: string, flags: readonly string[]): Promise<string> {
  const args = [TARGET, OPTIMISE, '-w', ...flags, '-c', file];
  const hash = createHash('sha256').update(args.join('\0')).update(readFileSync(file));
  for (const name of HEADERS) hash.update(readFileSync(join(GLUE, name)));
  const object = join(CACHE, 'objects', `${hash.digest('hex').slice(0, 32)}.o`);
  if (existsSync(object)) return object;
  const temporary = `${object}.${process.pid}`;
  await promisify(execFile)('clang', [...args, '-o', temporary]);
  renameSync(temporary, object);
  return object;
}

/** The objects of all files, a few at a time. */
async function compileFiles(files: readonly string[], flags: readonly string[]): Promise<string[]> {
  const objects: string[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < files.length) {
      const i = next++;
      objects[i] = await compileFile(files[i], flags);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, lane));
  return objects;
}

async function link(program: Program, allocator: Allocator, objects: readonly string[]): Promise<void> {
  const added = await compileFiles(
    allocatorFiles(program, allocator),
    allocator === 'dlmalloc' && program.threads ? ATOMICS : [],
  );
  const output = moduleFile(program.name, allocator);
  const temporary = `${output}.${process.pid}`;
  const args = [TARGET, '-mexec-model=reactor', ...linkFlags(program, allocator), ...objects, ...added];
  await promisify(execFile)('clang', [...args, '-o', temporary]);
  renameSync(temporary, output);
}

/** Fetches and compiles; a line about each program. Throws what clang said. */
export async function build(names: readonly ProgramName[], tell: (line: string) => void): Promise<void> {
  for (const folder of ['objects', 'modules']) mkdirSync(join(CACHE, folder), { recursive: true });
  for (const name of names) {
    const program = PROGRAMS[name];
    if (program.source !== undefined) fetchSource(program.source);
    const start = performance.now();
    const objects = await compileFiles(program.files(), program.flags());
    await Promise.all(ALLOCATORS.map((allocator) => link(program, allocator, objects)));
    tell(`${name}: ${objects.length} files, ${((performance.now() - start) / 1000).toFixed(1)} s`);
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const lacking = toolchainLacks();
  if (lacking !== undefined) {
    console.error(`${lacking}: apt-get install clang lld wasi-libc libclang-rt-14-dev-wasm32`);
    process.exitCode = 1;
  } else {
    for (const name of Object.keys(PROGRAMS) as ProgramName[]) {
      try {
        await build([name], console.log);
      } catch (error) {
        console.error(`${name}: ${(error as { stderr?: string }).stderr || (error as Error).message}`);
        process.exitCode = 1;
      }
    }
  }
}
