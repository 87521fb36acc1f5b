/**
 * `npm run bench:deopt`: does anything in modslab deoptimise once it is warm?
 *
 * Each workload runs in a process of its own under `--trace-deopt`. V8 appends its lines to a file (on standard output they
 * would be buffered apart from ours), and the process appends a mark before and after every round; so a deoptimisation
 * between two marks happened in the steady state, whatever function V8 charges it to: the hot paths are inlined into the
 * loops, and their names may not show. None is expected; each one found is printed, and the exit status is 1.
 */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Contestant } from './contestant.ts';
import { sibling } from './paths.ts';
import { deoptsInRounds } from './trace.ts';
import { createSuite, type Workload } from './suite.ts';

/** Milliseconds: V8 has long tiered up by then, and the rare paths (growth, flush) have been taken. */
const WARM_MS = 2000;
const ROUND_MS = 200;
const ROUNDS = 10;

async function trace(allocator: string, { spec }: Workload, file: string): Promise<string> {
  const flags = ['--trace-deopt', '--redirect-code-traces', `--redirect-code-traces-to=${file}`];
  const script = fileURLToPath(sibling(import.meta.url, 'contestant-process'));
  const contestant = await Contestant.start({
    program: process.execPath,
    args: [...process.execArgv, ...flags, script, allocator, JSON.stringify(spec), `${ROUND_MS}`, `${WARM_MS}`, file],
  });
  for (let round = 0; round < ROUNDS; round++) await contestant.round();
  await contestant.quit();
  return readFileSync(file, 'utf8');
}

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: { only: { type: 'string' }, with: { type: 'string' } },
  });
  const only = values.only?.split(',');
  const workloads = createSuite('quick', []).filter(({ name, group, cold }) =>
    only === undefined ? group === 'single' && !cold : only.includes(name),
  );
  const folder = mkdtempSync(join(tmpdir(), 'modslab-deopt-'));
  let total = 0;
  try {
    for (const workload of workloads) {
      const { name } = workload;
      const text = await trace(values.with ?? 'modslab', workload, join(folder, `${name}.txt`));
      const deopts = deoptsInRounds(text);
      total += deopts.length;
      console.log(
        `${name}: ${deopts.length} deoptimisations in ${(ROUNDS * ROUND_MS) / 1000} s after the warm-up`,
      );
      for (const { kind, reason, where } of deopts) console.log(`  ${kind} in ${where}: ${reason}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return total === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
