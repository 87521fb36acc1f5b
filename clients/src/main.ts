/**
 * Prints each program's time and memory on a modslab heap beside those on the allocator that wasi-libc brings, dlmalloc.
 *
 *   npm run clients            once `npm run clients:build` has compiled the programs
 */

import { parseArgs } from 'node:util';
import { ALLOCATORS, skipUnlessBuilt } from './build.ts';
import { start } from './instance.ts';
import type { Allocator } from './programs.ts';
import { runThreads } from './threads.ts';
import { WORKLOADS } from './workloads.ts';

interface Row {
  readonly program: string;
  readonly allocator: Allocator;
  readonly seconds: number;
  readonly peak: number;
  readonly metadata: number;
}

const { values } = parseArgs({ options: { effort: { type: 'string' }, runs: { type: 'string' } } });
const effort = Number(values.effort ?? 5);
const runs = Number(values.runs ?? 3);
const THREAD_OPERATIONS = 200_000;

const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
const best = (rows: readonly Row[]): Row => rows.reduce((a, b) => (b.seconds < a.seconds ? b : a));

function runOnce(program: keyof typeof WORKLOADS, allocator: Allocator): Row {
  const running = start(program, allocator);
  const before = performance.now();
  WORKLOADS[program](running, effort);
  const seconds = (performance.now() - before) / 1000;
  if (running.errors.length > 0) throw new Error(running.errors[0]);
  return { program, allocator, seconds, ...running.memoryUse() };
}

async function measure(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const program of Object.keys(WORKLOADS) as (keyof typeof WORKLOADS)[]) {
    // By turns, so that what else the machine does falls on both.
    const each = Array.from({ length: runs }, () =>
      ALLOCATORS.map((allocator) => runOnce(program, allocator)),
    );
    for (const i of ALLOCATORS.keys()) rows.push(best(each.map((run) => run[i])));
  }
  for (const threads of [1, 2, 4]) {
    const each: Row[][] = [];
    for (let run = 0; run < runs; run++) {
      const row: Row[] = [];
      for (const allocator of ALLOCATORS) {
        const result = await runThreads(allocator, threads, THREAD_OPERATIONS * effort);
        if (result.corrupted > 0 || result.errors.length > 0) throw new Error(`threads: ${result.errors[0]}`);
        row.push({ program: `threads × ${threads}`, allocator, ...result });
      }
      each.push(row);
    }
    for (const i of ALLOCATORS.keys()) rows.push(best(each.map((run) => run[i])));
  }
  return rows;
}

const missing = (['sqlite', 'lua', 'zstd', 'threads'] as const)
  .map(skipUnlessBuilt)
  .find((why) => why !== false);
if (missing !== undefined) {
  console.error(missing);
  process.exitCode = 1;
} else {
  console.log(
    `Best of ${runs} runs, effort ${effort}; peak: pages or memory taken, without the program's own data`,
  );
  console.log('| program | allocator | seconds | peak MiB | metadata MiB |\n|---|---|---:|---:|---:|');
  for (const { program, allocator, seconds, peak, metadata } of await measure()) {
    console.log(`| ${program} | ${allocator} | ${seconds.toFixed(2)} | ${mib(peak)} | ${mib(metadata)} |`);
  }
}
