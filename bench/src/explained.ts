/**
 * What a report says of the goals that are not met: where the time of those workloads goes that take longer than mimalloc, what
 * the traces' memory is made of, and what makes calls long.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { longCalls } from './longCalls.ts';
import type { Plan } from './measure.ts';
import { memoryParts } from './memoryParts.ts';
import { type MemoryParts, type Profile, type Report, type Row, resultOf } from './results.ts';
import { findWorkload, sample } from './sampling.ts';
import { decodeTrace, findTraces } from './traces.ts';

const PROFILE_MS = 1000;
/** Parts that are kept of each: those that matter. */
const MOST_PARTS = 7;
const LEAST_SHARE = 0.03;
/** Calls among which the long ones are looked for. */
const LONG_CALLS = 2e7;
const LONG_CALLS_QUICK = 1e6;

function isSlower(row: Row): boolean {
  return row.counts && row.unit === 'ns' && (resultOf(row, 'mimalloc', 'c')?.ratio?.gross ?? 0) > 1;
}

async function profileSlower(
  report: Report,
  { scale, traces, progress }: Plan,
  folder: string,
): Promise<Profile[]> {
  const names = new Set(report.rows.filter(isSlower).map((row) => row.workload));
  const profiles: Profile[] = [];
  for (const name of names) {
    progress(`profile of ${name}`);
    const workload = await findWorkload(name, scale, folder, traces);
    const { parts } = await sample(workload, 'modslab', PROFILE_MS, false);
    const most = parts.slice(0, MOST_PARTS).filter(({ share }) => share >= LEAST_SHARE);
    profiles.push({ workload: name, parts: most });
  }
  return profiles;
}

async function partsOfTraces({ rows }: Report, { traces }: Plan, folder: string): Promise<MemoryParts[]> {
  const parts: MemoryParts[] = [];
  for (const [name, file] of findTraces(traces)) {
    if (!rows.some((row) => row.workload === `memory-${name}`)) continue;
    parts.push(memoryParts(name, (await decodeTrace(name, file, folder)).file));
  }
  return parts;
}

/** The report with all that. What it has already stays. */
export async function explained(report: Report, plan: Plan): Promise<Report> {
  const folder = mkdtempSync(join(tmpdir(), 'modslab-profiles-'));
  try {
    return {
      ...report,
      profiles: report.profiles ?? (await profileSlower(report, plan, folder)),
      memoryParts: report.memoryParts ?? (await partsOfTraces(report, plan, folder)),
      longCalls: report.longCalls ?? longCalls(plan.scale === 'standard' ? LONG_CALLS : LONG_CALLS_QUICK),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
