/**
 * Which objects a CPU had better leave to another: two CPUs that have objects of one slab write one another's lines of states, and
 * of objects that are smaller than a line, and each such write costs a hundred times an ordinary one. So, while there is memory:
 *
 *     partial slabs   whoever took objects of a slab last is its *user* (page/page.ts, a hint). A refill leaves the first few partial
 *                     slabs of other users who are online to those, and makes a new one rather than take from them
 *     barns           a refill takes a sheaf that this CPU has put there; one of the others only if the barn is more than half full
 *
 * A *few* is one for each other CPU that ever was, at most LEFT_MAX: that many slabs, and half a barn, a cache may keep back. None
 * in a small heap. Whoever finds no other memory takes these too.
 */

import { type Cpu, OFFLINE, statusOf } from '../memory/cpu.ts';
import { BARN_FULL_MAX, CPU_STATUS, cpuAt, H_CPUS_TAKEN } from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { PAGE_USER } from '../page/page.ts';

const LEFT_MAX = 4;
/** A heap of fewer frames has none to leave. */
const FRAMES_MIN = 256;

/** How many full sheaves in a barn are left to the other CPUs: half of what fits, if any are. */
export const sheavesLeft = (left: number): number => (left > 0 ? BARN_FULL_MAX >>> 1 : 0);

/** How many partial slabs are left to the other CPUs. */
export function leftToOthers({ m, layout }: Metadata): number {
  return layout.maxFrames < FRAMES_MIN ? 0 : Math.min(LEFT_MAX, m[H_CPUS_TAKEN] - 1);
}

/** Whether another CPU that is online has taken objects out of a slab last. `page`: its head's descriptor. */
export function isOthers({ m, layout }: Metadata, cpu: Cpu, page: number): boolean {
  const user = m[page + PAGE_USER];
  if (user === 0 || user === cpu.owner || user > layout.cpus) return false;
  return statusOf(m[cpuAt(layout, user - 1) + CPU_STATUS]) !== OFFLINE;
}
