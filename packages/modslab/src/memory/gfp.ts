/**
 * "Get free page" flags: what an allocation may do to find memory, and what it wants of it. The names are Linux's;
 * only the bits differ. `KERNEL` is 0, so that the fast path tests for "nothing special" with one mask.
 */

import { checkNumber, hex, invalid } from './errors.ts';

/** A union of `GFP` bits. */
export type GfpFlags = number;

/** Bits of the last argument of every allocating call. */
export const GFP: {
  /** May grow the heap and run constructors and shrinkers. */
  readonly KERNEL: 0;
  /** Bounded in steps: does not grow the heap, runs no user code. */
  readonly NOWAIT: 1;
  /** As `NOWAIT`. */
  readonly ATOMIC: 2;
  /** Accepted for Linux's sake, no effect: nothing here warns. */
  readonly NOWARN: 4;
  /** Accepted for Linux's sake, no effect: a cache's `SLAB.RECLAIM_ACCOUNT` says it. */
  readonly RECLAIMABLE: 8;
  /** Accepted, no effect: what `group.kmalloc` gives is charged to the group. */
  readonly ACCOUNT: 16;
  /** The memory is filled with zeros. */
  readonly ZERO: 32;
  /** From the DMA window only. */
  readonly DMA: 64;
  /** From the named node only. */
  readonly THISNODE: 128;
  /** Waits for memory instead of failing; `EINVAL` where the thread may not wait. */
  readonly NOFAIL: 256;
} = {
  KERNEL: 0,
  NOWAIT: 1,
  ATOMIC: 2,
  NOWARN: 4,
  RECLAIMABLE: 8,
  ACCOUNT: 16,
  ZERO: 32,
  DMA: 64,
  THISNODE: 128,
  NOFAIL: 256,
};

/** All the bits there are. */
export const GFP_MASK = 511;
/** Bits that leave the fast path as it is. */
export const GFP_FAST: number = GFP.NOWAIT | GFP.ATOMIC | GFP.NOWARN | GFP.RECLAIMABLE | GFP.ACCOUNT;
/** Bits that the fast path leaves to the slow one. */
export const GFP_SLOW: number = ~GFP_FAST;
/** Either of them means: bounded, no growth, no user code. */
export const GFP_BOUNDED: number = GFP.NOWAIT | GFP.ATOMIC;

/** Throws `EINVAL` unless `gfp` is a union of GFP bits. */
export function checkGfp(gfp: GfpFlags): void {
  checkNumber('gfp', gfp);
  if ((gfp & GFP_MASK) !== gfp) invalid(`gfp has bits that mean nothing: ${hex(gfp)}`);
  if ((gfp & GFP.NOFAIL) !== 0 && (gfp & GFP_BOUNDED) !== 0)
    invalid('NOFAIL waits, NOWAIT and ATOMIC must not: choose');
}
