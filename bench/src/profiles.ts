/** Where the time of those workloads goes that take longer than mimalloc: what a report says of the goals that are not met. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Plan } from './measure.ts';
import { type Profile, type Report, type Row, resultOf } from './results.ts';
import { findWorkload, sample } from './sampling.ts';

const PROFILE_MS = 1000;
/** Parts that are kept of each: those that matter. */
const MOST_PARTS = 7;
const LEAST_SHARE = 0.03;

function isSlower(row: Row): boolean {
  return row.counts && row.unit === 'ns' && (resultOf(row, 'mimalloc', 'c')?.ratio?.gross ?? 0) > 1;
}

/** Runs each of them once more, under the profiler. */
export async function profileSlower(report: Report, { scale, traces, progress }: Plan): Promise<Profile[]> {
  const names = new Set(report.rows.filter(isSlower).map((row) => row.workload));
  const folder = mkdtempSync(join(tmpdir(), 'modslab-profiles-'));
  try {
    const profiles: Profile[] = [];
    for (const name of names) {
      progress(`profile of ${name}`);
      const workload = await findWorkload(name, scale, folder, traces);
      const { parts } = await sample(workload, 'modslab', PROFILE_MS, false);
      const most = parts.slice(0, MOST_PARTS).filter(({ share }) => share >= LEAST_SHARE);
      profiles.push({ workload: name, parts: most });
    }
    return profiles;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
