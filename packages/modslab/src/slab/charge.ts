/**
 * Charging objects to groups, exactly, whoever frees them and whoever is killed.
 *
 * What a group has in use is counted in its *row*: one word a CPU slot, written by that slot's CPU only, in granules. A
 * CPU adds what it allocates and subtracts what it frees, so one word may well be negative, or wrap: the sum over the
 * row, as a 32-bit integer, is what counts. No update can be lost, and none needs an atomic read-modify-write.
 *
 * The limit: charge first, then add the row up (everything sequentially consistent), then take it back if the sum is
 * above the limit. Of two CPUs that together would exceed it, at least one sees the other's charge. So what has been handed
 * out never exceeds the limit; at the brink, a call may be refused because of another one that is being refused.
 *
 * A CPU's record names the group that it is charging: the *intent*, with what the row is to be if the operation ends
 * up without the object. Charged objects pass through the record's scratch sheaf (slab/slabifier.ts), and
 *
 *     an object stands in the scratch sheaf ⇔ it is free, or will be          (so does reap see it)
 *
 *     allocate:  intent (PROVISIONAL);  row += size;  limit?;  object → scratch;  intent (no flag);
 *                state ← LIVE;  scratch ← 0;  intent ← 0
 *     free:      intent;  object → scratch;  row -= size;  object → its slab, scratch ← 0;  intent ← 0
 *
 * A run of frames has a claim word instead; while the operation is under way this CPU owns it:
 *
 *     allocate:  intent (PROVISIONAL);  row += size;  limit?;  claim the frames;  intent (RUN);  claim ← LIVE;  intent ← 0
 *     free:      intent (RUN);  claim LIVE → me;  row -= size;  release;  intent ← 0
 *
 * | killed here, the intent says                 | ⇒ reap does this                                               |
 * |----------------------------------------------|----------------------------------------------------------------|
 * | PROVISIONAL                                  | row ← after: nobody has got the object                         |
 * | no flag, scratch holds an object             | row ← after: the object is put back, as all of a dead CPU's are |
 * | no flag, scratch is empty                    | nothing: handed out, or freed and counted, or not yet begun    |
 * | RUN, the run's head is held by the dead CPU  | row ← after: the run is released, as all that it holds         |
 * | RUN, it is not                               | nothing                                                        |
 *
 * The intent is cleared only when the scratch sheaf has been emptied: while any CPU's intent names a group, the group's
 * pages are not taken away (slab/groupTable.ts). The intent is stored before the group's state is looked at, and the state is
 * changed before the intents are, so either the CPU sees that the group is dying, or the other sees the intent.
 */

import { killPoint } from '../memory/assert.ts';
import { nextSet } from '../memory/bitmap.ts';
import type { Cpu } from '../memory/cpu.ts';
import {
  CPU_CHARGE,
  CPU_CHARGE_AFTER,
  CPU_CHARGE_RUN,
  CPU_SCRATCH,
  cpuAt,
  G_ADOPTED,
  G_LIMIT,
  G_PARENT,
  G_ROW,
  GROUPS,
  groupAt,
  H_CPUS_TAKEN,
  PAIR_SHIFT,
  pageAt,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { CLAIM_OWNER, ownerBits, PAGE_CLAIM } from '../page/page.ts';
import { GROUP_ACTIVE, GROUP_DYING, groupStatus } from './groupState.ts';

const PROVISIONAL: number = 1 << 30;
const RUN: number = 1 << 29;
const GROUP_MASK: number = RUN - 1;

/** The group that a charge intent names; 0: none. */
export const groupOfIntent = (intent: number): number => intent & GROUP_MASK;

/** The charges of one CPU. */
export class Charges {
  private readonly metadata: Metadata;
  private readonly m: Int32Array;
  private readonly cpu: Cpu;
  /** Where the intent is. */
  private readonly record: number;
  /** The row's word under way. */
  private row = 0;
  /** Whether the last charge was refused because of the limit. */
  overLimit = false;

  constructor(metadata: Metadata, cpu: Cpu) {
    this.metadata = metadata;
    this.m = metadata.m;
    this.cpu = cpu;
    this.record = cpu.record;
  }

  /**
   * Charges `granules` to a group that is active and nobody's child, provisionally. False, and nothing changed, if it is
   * not, or if that would be too much. Cost: O(CPU slots ever taken, of it and the groups that it has adopted).
   */
  charge(group: number, granules: number): boolean {
    const { m } = this;
    const at = groupAt(this.metadata.layout, group);
    this.overLimit = false;
    this.intend(group, PROVISIONAL, granules, 0);
    if (groupStatus(Atomics.load(m, at)) === GROUP_ACTIVE && Atomics.load(m, at + G_PARENT) === 0) {
      killPoint('charge.intended');
      Atomics.store(m, this.row, (m[this.row] + granules) | 0);
      killPoint('charge.charged');
      const limit = Atomics.load(m, at + G_LIMIT);
      if (limit < 0 || usageOf(this.metadata, group) <= limit) return true;
      this.overLimit = true;
    }
    this.cancel();
    return false;
  }

  /** There is no object after all: takes the charge back. */
  cancel(): void {
    Atomics.store(this.m, this.row, this.m[this.record + CPU_CHARGE_AFTER]);
    this.settled();
  }

  /** The object stands in the scratch sheaf: from now on that decides. */
  objectTaken(group: number): void {
    Atomics.store(this.m, this.record + CPU_CHARGE, group);
    killPoint('charge.object-taken');
  }

  /** The frames are claimed: from now on the claim word of their head decides. */
  runTaken(group: number, head: number): void {
    this.m[this.record + CPU_CHARGE_RUN] = head;
    Atomics.store(this.m, this.record + CPU_CHARGE, group | RUN);
    killPoint('charge.run-taken');
  }

  /**
   * Before an object is put into the scratch sheaf to be freed, or, with `run`, before the run at that frame is claimed.
   * False, and nothing changed, if the group is being freed, and its objects with it.
   */
  beginFree(group: number, granules: number, run: number): boolean {
    const { m } = this;
    this.intend(group, run === 0 ? 0 : RUN, -granules, run);
    killPoint('charge.free-intended');
    if (groupStatus(Atomics.load(m, groupAt(this.metadata.layout, group))) !== GROUP_DYING) return true;
    this.settled();
    return false;
  }

  /** The free is decided: counts it. */
  uncharge(): void {
    killPoint('charge.free-decided');
    Atomics.store(this.m, this.row, this.m[this.record + CPU_CHARGE_AFTER]);
    killPoint('charge.uncharged');
  }

  /** Withdraws the intent: the operation is complete. */
  settled(): void {
    Atomics.store(this.m, this.record + CPU_CHARGE, 0);
    killPoint('charge.settled');
  }

  /** Writes the intent: an operation that changes the row by `granules`, and is free of them once it is free. */
  private intend(group: number, flag: number, granules: number, run: number): void {
    const { m, metadata, record } = this;
    this.row = groupAt(metadata.layout, group) + G_ROW + this.cpu.id;
    m[record + CPU_CHARGE_AFTER] = granules > 0 ? m[this.row] : (m[this.row] + granules) | 0;
    m[record + CPU_CHARGE_RUN] = run;
    Atomics.store(m, record + CPU_CHARGE, group | flag);
  }
}

/** For reap, before anything of a dead CPU is put back or released: sets its row right. */
export function settleCharge(metadata: Metadata, dead: number): void {
  const { m, layout } = metadata;
  const record = cpuAt(layout, dead);
  const intent = m[record + CPU_CHARGE];
  const group = groupOfIntent(intent);
  if (group === 0) return;
  const page = pageAt(layout, m[record + CPU_CHARGE_RUN]);
  const undone =
    (intent & RUN) !== 0
      ? (Atomics.load(m, page + PAGE_CLAIM) & CLAIM_OWNER) === ownerBits(dead + 1)
      : (intent & PROVISIONAL) !== 0 || m[record + CPU_SCRATCH + (1 << PAIR_SHIFT)] !== 0;
  if (undone) Atomics.store(m, groupAt(layout, group) + G_ROW + dead, m[record + CPU_CHARGE_AFTER]);
}

/** For reap, after the dead CPU's scratch sheaf and runs are disposed of. */
export function forgetCharge(metadata: Metadata, dead: number): void {
  Atomics.store(metadata.m, cpuAt(metadata.layout, dead) + CPU_CHARGE, 0);
}

/** Whether a CPU, dead or alive, is in the middle of charging this group. Cost: O(CPU slots ever taken). */
export function isBeingCharged(metadata: Metadata, group: number): boolean {
  const { m, layout } = metadata;
  for (let id = 0; id < m[H_CPUS_TAKEN]; id++) {
    if (groupOfIntent(Atomics.load(m, cpuAt(layout, id) + CPU_CHARGE)) === group) return true;
  }
  return false;
}

/** Granules charged to a group and to those that it has adopted. Exact when no operation is under way. */
export function usageOf(metadata: Metadata, group: number): number {
  let sum = rowSum(metadata, group);
  forEachAdopted(metadata, group, (child) => {
    sum = (sum + usageOf(metadata, child)) | 0;
  });
  return sum;
}

/** Granules charged to a group, without those that it has adopted. */
export function rowSum(metadata: Metadata, group: number): number {
  const { m, layout } = metadata;
  const row = groupAt(layout, group) + G_ROW;
  const slots = m[H_CPUS_TAKEN];
  let sum = 0;
  for (let id = 0; id < slots; id++) sum = (sum + Atomics.load(m, row + id)) | 0;
  return sum;
}

/** The groups that `group` has adopted: a set bit counts if the child says so too. */
export function forEachAdopted(metadata: Metadata, group: number, visit: (child: number) => void): void {
  const { m, layout } = metadata;
  const bitmap = groupAt(layout, group) + G_ADOPTED;
  for (
    let child = nextSet(m, bitmap, 0, GROUPS);
    child < GROUPS;
    child = nextSet(m, bitmap, child + 1, GROUPS)
  ) {
    if (Atomics.load(m, groupAt(layout, child) + G_PARENT) === group) visit(child);
  }
}
