/**
 * Which objects a CPU had better leave to another: two CPUs that have objects of one slab write one another's lines of states, and
 * of objects that are smaller than a line, and each such write costs a hundred times an ordinary one. Once mixed, a slab stays so
 * as long as both go on. So, while there is memory:
 *
 *     partial slabs   whoever took objects of a slab last is its *user* (page/page.ts, a hint). A refill takes from slabs without
 *                     another user who is online; then from those of others, but it leaves them, on each node, free objects
 *                     of a *few* slabs, and makes a new one
 *     barns           a refill takes a sheaf that this CPU has put there, or one whose topmost object is of a slab without another
 *                     user: one that has come home, freed by another. A CPU has no more than its share of a barn for what it uses itself
 *
 * A *few* is one for each other CPU that ever was, at most LEFT_MAX; and no refill passes by more than SKIPPED_MAX slabs. So
 * much, and a barn, a cache may keep back; none in a small heap. Whoever finds no other memory takes these too, before a
 * constructor function or a page allocator of the user's is called for more.
 */

import { type Cpu, OFFLINE, statusOf } from '../memory/cpu.ts';
import {
  BARN_FULL_MAX,
  CPU_STATUS,
  cacheAt,
  cpuAt,
  H_CPUS_TAKEN,
  pageAt,
  SHEAF_TOP,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { PAGE_USER } from '../page/page.ts';
import { headOf } from './cacheTable.ts';

const LEFT_MAX = 4;
/** What a refill may cost more than without all this: so many descriptors looked at. */
export const SKIPPED_MAX = 32;
/** A heap of fewer frames has none to leave. */
const FRAMES_MIN = 256;

/** How many slabs' worth of free objects is left to the other CPUs. */
export function leftToOthers({ m, layout }: Metadata): number {
  return layout.maxFrames < FRAMES_MIN ? 0 : Math.min(LEFT_MAX, m[H_CPUS_TAKEN] - 1);
}

/** Whether another CPU that is online has taken objects out of a slab last. `page`: its head's descriptor. */
export function isOthers({ m, layout }: Metadata, cpu: Cpu, page: number): boolean {
  const user = m[page + PAGE_USER];
  if (user === 0 || user === cpu.owner || user > layout.cpus) return false;
  return statusOf(m[cpuAt(layout, user - 1) + CPU_STATUS]) !== OFFLINE;
}

/** Whether the topmost object of a full sheaf is of a slab that another CPU uses. A hint: the sheaf may be anybody's by now. */
export function isOthersSheaf(metadata: Metadata, cpu: Cpu, cache: number, sheaf: number): boolean {
  const { m, layout } = metadata;
  const head = headOf(m, cacheAt(layout, cache), m[sheaf + SHEAF_TOP]);
  return isOthers(metadata, cpu, pageAt(layout, head));
}

/** How many sheaves of objects of its own a CPU may have in a barn, so that those that stay away leave room for the others. */
export const barnShare = (others: number): number => Math.ceil(BARN_FULL_MAX / (others + 1));
