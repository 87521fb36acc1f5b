/**
 * Kill points in tests. Only the checked build has them; on the release build, which `npm run test:matrix` runs, tests
 * that need them are skipped.
 *
 * `jitter` is a hook that loses a little time at some of them, so that windows of a few instructions, during which a
 * thread holds a slab or has half given it up, are as long as a whole operation of another thread.
 */

import { setKillPointHook } from 'modslab/debug';
import { Random } from './random.ts';

/** Whether this process runs the build with kill points. */
export const isChecked: boolean = import.meta.resolve('modslab').includes('/checked/');

/** Why a test is skipped here, or false. For node:test's option `skip`. */
export const skipUnlessChecked: string | false = isChecked
  ? false
  : 'kill points are in the checked build only (node --conditions=modslab-checked)';

/** Spins for up to this many rounds: tens of microseconds. */
const SPIN_MAX = 20_000;

/** Loses time at one in `rarity` kill points of this thread. */
export function jitter(seed: number, rarity = 24): void {
  const random = new Random(seed);
  setKillPointHook(() => {
    if (!random.oneIn(rarity)) return;
    let left = random.below(SPIN_MAX);
    while (left > 0) left--;
  });
}
