/**
 * Allocation traces for the benchmarks: found, decoded by the command line's reader, and written in the form of
 * `traceFormat.ts` into a temporary folder, from where both sides read them.
 *
 * Everything runs on one thread here, kernel caches and pages become allocations of their size, and every object that the
 * program left live is freed at the end. (`modslab replay` replays on real threads, and verifies.)
 */

import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { OP_MASK, Op, type Program, readTrace, ZEROED as ZEROED_BIT } from '@modslab/cli/trace';
import { packageFile } from './paths.ts';
import { ALIGNED, ALLOCATE, HEADER_WORDS, MAGIC, REALLOCATE, RELEASE, ROW_WORDS, ZEROED } from './traceFormat.ts';

export interface DecodedTrace {
  readonly name: string;
  readonly title: string;
  readonly file: string;
  readonly operations: number;
  /** Bytes. */
  readonly peakLive: number;
}

const ENDING = /\.(mtrace|ftrace\.txt)(\.gz)?$/;

/** Where traces are looked for: a collection beside the repository, then the one trace that is part of it. */
const FOLDERS: readonly string[] = ['../../shared/traces', '../packages/cli/traces'];

/** Files of traces by name; with `folder`, of that one only. */
export function findTraces(folder: string | undefined): Map<string, string> {
  const found = new Map<string, string>();
  for (const path of folder === undefined ? FOLDERS.map(packageFile) : [folder]) {
    const files = existsSync(path) ? readdirSync(path).filter((file) => ENDING.test(file)) : [];
    for (const file of files.sort()) {
      const name = basename(file).replace(ENDING, '');
      if (!found.has(name)) found.set(name, join(path, file));
    }
  }
  return found;
}

const KINDS: ReadonlyMap<number, number> = new Map<number, number>([
  [Op.Kmalloc, ALLOCATE],
  [Op.Kzalloc, ZEROED],
  [Op.Aligned, ALIGNED],
  [Op.Realloc, REALLOCATE],
  [Op.Kfree, RELEASE],
  [Op.CacheAlloc, ALLOCATE],
  [Op.CacheFree, RELEASE],
  [Op.PageAlloc, ALLOCATE],
  [Op.PageFree, RELEASE],
]);

function encode({ rows, objects, peakLive }: Program): Uint32Array {
  const operations = rows.op.length;
  const words = new Uint32Array(HEADER_WORDS + operations * ROW_WORDS);
  words.set([MAGIC, operations, objects, peakLive]);
  for (let i = 0; i < operations; i++) {
    const kind = KINDS.get(rows.op[i] & OP_MASK) ?? ALLOCATE;
    const zeroed = (rows.op[i] & ZEROED_BIT) !== 0;
    const alignment = kind === ALIGNED ? rows.aux[i] : 0;
    words.set(
      [zeroed && kind === ALLOCATE ? ZEROED : kind, rows.id[i], rows.size[i], alignment],
      HEADER_WORDS + i * ROW_WORDS,
    );
  }
  return words;
}

export async function decodeTrace(name: string, file: string, folder: string): Promise<DecodedTrace> {
  const program = await readTrace(file);
  const decoded = join(folder, `${name}.trace`);
  writeFileSync(decoded, encode(program));
  const { title, peakLive, rows } = program;
  return { name, title, file: decoded, operations: rows.op.length, peakLive };
}
