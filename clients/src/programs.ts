/**
 * The programs, and how clang makes modules of them: each twice, on a modslab heap (`modslab`) and on the allocator that
 * wasi-libc brings (`dlmalloc`), from the same sources with the same options.
 */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { folderOf, GLUE, SOURCES, type Source } from './sources.ts';

export type ProgramName = 'sqlite' | 'lua' | 'zstd' | 'threads';
export type Allocator = 'modslab' | 'dlmalloc';

export interface Program {
  readonly name: ProgramName;
  readonly source?: Source;
  /** C files, absolute. Read after the source is there. */
  readonly files: () => string[];
  readonly flags: () => string[];
  /** Runs on several threads at once: its objects must be compiled with atomics. */
  readonly threads: boolean;
}

/** Bytes of the largest memory that any of the modules may have: 1 GiB. */
export const MEMORY_MAX: number = 2 ** 30;

const packageFile: string = fileURLToPath(import.meta.resolve('modslab/package.json'));
/** The C half of modslab/wasm, as the package carries it. */
export const MALLOC_C: string = join(packageFile, '..', 'wasm', 'malloc.c');

const cFilesIn = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder)
        .filter((file) => file.endsWith('.c'))
        .map((file) => join(folder, file))
    : [];

const sqliteFolder = (): string => join(folderOf(SOURCES.sqlite), 'deps/sqlite3');
const zstdFolder = (): string => join(folderOf(SOURCES.zstd), 'deps/zstd/lib');
const luaFolder = (): string => join(folderOf(SOURCES.lua), 'src');
/** Programs of their own, and libraries that want files, processes and signals. */
const LUA_LEFT_OUT: readonly string[] = [
  'lua.c',
  'luac.c',
  'linit.c',
  'liolib.c',
  'loslib.c',
  'ldblib.c',
  'loadlib.c',
];

export const PROGRAMS: Record<ProgramName, Program> = {
  sqlite: {
    name: 'sqlite',
    source: SOURCES.sqlite,
    files: () => [join(sqliteFolder(), 'sqlite3.c'), join(GLUE, 'sqlite.c')],
    flags: () => [
      `-I${sqliteFolder()}`,
      '-DSQLITE_OS_OTHER=1',
      '-DSQLITE_THREADSAFE=0',
      '-DSQLITE_OMIT_LOAD_EXTENSION',
      '-DSQLITE_TEMP_STORE=3',
      '-DSQLITE_DQS=0',
    ],
    threads: false,
  },
  lua: {
    name: 'lua',
    source: SOURCES.lua,
    files: () => [
      ...cFilesIn(luaFolder()).filter((file) => !LUA_LEFT_OUT.some((name) => file.endsWith(`/${name}`))),
      join(GLUE, 'lua.c'),
    ],
    flags: () => [
      `-I${luaFolder()}`,
      `-I${join(GLUE, 'include')}`,
      '-Dl_signalT=int',
      '-D_WASI_EMULATED_PROCESS_CLOCKS',
      '-include',
      join(GLUE, 'lua-try.h'),
    ],
    threads: false,
  },
  zstd: {
    name: 'zstd',
    source: SOURCES.zstd,
    files: () => [
      ...['common', 'compress', 'decompress'].flatMap((part) => cFilesIn(join(zstdFolder(), part))),
      join(GLUE, 'zstd.c'),
    ],
    flags: () => [`-I${zstdFolder()}`, '-DZSTD_DISABLE_ASM', '-DXXH_NAMESPACE=ZSTD_'],
    threads: false,
  },
  threads: {
    name: 'threads',
    files: () => [join(GLUE, 'threads.c')],
    flags: () => ['-matomics', '-mbulk-memory', '-ftls-model=local-exec'],
    threads: true,
  },
};

/** The files that a variant adds to a program's own; compiled as wasi-libc is, without the program's flags. */
export function allocatorFiles(program: Program, allocator: Allocator): string[] {
  if (allocator === 'modslab') return [MALLOC_C];
  return program.threads ? [join(GLUE, 'locked-malloc.c')] : [];
}

/** What the linker is told. Both variants have the same kind of memory, shared and imported. */
export function linkFlags(program: Program, allocator: Allocator): string[] {
  const threads = ['__wasm_init_tls', '__tls_size', '__tls_align'];
  const exported = ['__heap_base', '__stack_pointer', ...(program.threads ? threads : [])];
  const flags = [
    '--import-memory',
    '--shared-memory',
    `--max-memory=${MEMORY_MAX}`,
    // wasi-libc is compiled without atomics, and the linker will not have it in shared memory unless told so.
    '--no-check-features',
    ...exported.map((name) => `--export=${name}`),
    ...(program.name === 'lua' ? ['-lwasi-emulated-process-clocks'] : []),
    ...(program.threads && allocator === 'dlmalloc' ? ['--wrap=malloc', '--wrap=free'] : []),
  ];
  return flags.map((flag) => `-Wl,${flag}`);
}
