/**
 * "Get free page" flags: what an allocation may do to find memory, and what it wants of it. The names are Linux's;
 * only the bits differ. `KERNEL` is 0, so that the fast path tests for "nothing special" with one mask.
 */

import { checkNumber, hex, invalid } from './errors.ts';

/** A union of `GFP` bits. */
export type GfpFlags = number;

/** Bits of the last argument of every allocating call. */
export const GFP: {
  readonly KERNEL: 0;
  readonly NOWAIT: 1;
  readonly ATOMIC: 2;
  readonly NOWARN: 4;
  readonly RECLAIMABLE: 8;
  readonly ACCOUNT: 16;
  readonly ZERO: 32;
  readonly DMA: 64;
  readonly THISNODE: 128;
  readonly NOFAIL: 256;
} = {
  /** May grow the heap and run constructors. */
  KERNEL: 0,
  /** Bounded in steps: does not grow the heap, runs no user code. */
  NOWAIT: 1,
  /** As `NOWAIT`. */
  ATOMIC: 2,
  /** Accepted for Linux's sake: nothing here warns. */
  NOWARN: 4,
  /** The objects can be given up on demand. */
  RECLAIMABLE: 8,
  /** Charged to a group. */
  ACCOUNT: 16,
  /** The memory is filled with zeros. */
  ZERO: 32,
  /** From the DMA window only. */
  DMA: 64,
  /** From the named node only. */
  THISNODE: 128,
  /** Waits for memory instead of failing, where the thread may wait. */
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
