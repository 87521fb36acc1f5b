/**
 * `npm run bench:profile -- WORKLOAD [--ms N] [--with ALLOCATOR] [--quick]`: where the time of a workload goes.
 *
 * Which functions take the time (sampling.ts), and with `--lines` which lines. `--perf` records the whole process with perf
 * instead, machine code and kernel included, jitted code named.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Part } from './results.ts';
import { commandOf, findWorkload, play, sample } from './sampling.ts';
import type { Workload } from './suite.ts';
import { figure, layOut } from './table.ts';

const MOST_ROWS = 25;

function partTable(parts: readonly Part[], byLine: boolean): string {
  const rows = parts.slice(0, MOST_ROWS).map(({ name, share }) => [name, `${figure(100 * share)} %`]);
  return layOut([[byLine ? 'line' : 'function', 'time'], ...rows]).join('\n');
}

/** perf around the whole process, start and warm-up included: the round is made long. */
async function record(workload: Workload, allocator: string, ms: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'modslab-perf-'));
  const data = join(folder, 'perf.data');
  const { program, args } = commandOf(workload, allocator, ms, [
    '--perf-basic-prof',
    '--interpreted-frames-native-stack',
  ]);
  const perf = ['record', '-q', '-e', 'cpu-clock', '-F', '5000', '-o', data, '--', program, ...args];
  try {
    console.log(`${workload.name}, ${allocator}: ${await play({ program: 'perf', args: perf }, workload)}\n`);
    const options = ['--stdio', '-q', '--no-children', '--percent-limit', '1', '--sort', 'symbol'];
    const { stdout, status, stderr } = spawnSync('perf', ['report', '-i', data, ...options], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`perf report: ${stderr.trim().split('\n').at(-1)}`);
    console.log(stdout.replaceAll(/\s+-\s+-\s*$/gm, '').trim());
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      ms: { type: 'string', default: '2000' },
      with: { type: 'string', default: 'modslab' },
      quick: { type: 'boolean', default: false },
      lines: { type: 'boolean', default: false },
      perf: { type: 'boolean', default: false },
    },
  });
  const ms = Number(values.ms);
  if (positionals.length === 0 || !(ms > 0)) {
    console.error('usage: bench:profile WORKLOAD… [--with ALLOCATOR] [--ms N] [--lines] [--perf] [--quick]');
    return 2;
  }
  const folder = mkdtempSync(join(tmpdir(), 'modslab-profile-'));
  try {
    for (const name of positionals) {
      const workload = await findWorkload(name, values.quick ? 'quick' : 'standard', folder);
      if (values.perf) await record(workload, values.with, ms);
      else {
        const { figures, parts } = await sample(workload, values.with, ms, values.lines);
        console.log(`${workload.name}, ${values.with}: ${figures}\n\n${partTable(parts, values.lines)}`);
      }
    }
    return 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 2;
}
