/**
 * Fault injection (Linux: failslab): allocations of the caches that have the flag fail as if there were no memory.
 *
 *     probability   of failing, 0 … 1
 *     interval      only every so many-th call may fail
 *     times         how often at most; -1: without limit
 *     space         allocations that succeed first
 *
 * The settings are the heap's: all threads count in the same words. A call with `NOFAIL` never fails. The attempts that an
 * allocation makes after its memory was reclaimed fail as its first one did.
 */

import { checkInteger } from '../memory/errors.ts';
import { GFP, type GfpFlags } from '../memory/gfp.ts';
import {
  H_FAIL_CALLS,
  H_FAIL_INTERVAL,
  H_FAIL_PROBABILITY,
  H_FAIL_SPACE,
  H_FAIL_TIMES,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import type { DebugContext, DebugPart } from './debugPart.ts';
import { SLAB } from './flags.ts';

/** Settings of fault injection; the head of this file says what each means. */
export interface FailSettings {
  probability: number;
  interval: number;
  times: number;
  space: number;
}

const UNIT: number = 2 ** 32;

export function failSettings({ m }: Metadata): FailSettings {
  return {
    probability: (m[H_FAIL_PROBABILITY] >>> 0) / (UNIT - 1),
    interval: Math.max(1, m[H_FAIL_INTERVAL]),
    times: Atomics.load(m, H_FAIL_TIMES),
    space: Atomics.load(m, H_FAIL_SPACE),
  };
}

/** Changes some of them. Throws `RangeError`, and changes nothing, for values that mean nothing. */
export function setFailSettings(metadata: Metadata, settings: Partial<FailSettings>): void {
  const { m } = metadata;
  const { probability, interval, times, space } = { ...failSettings(metadata), ...settings };
  if (typeof probability !== 'number' || !(probability >= 0 && probability <= 1))
    throw new RangeError(`a probability is from 0 to 1, not ${String(probability)}`);
  checkInteger('interval', interval, 1, 2 ** 30);
  checkInteger('times', times, -1, 2 ** 30);
  checkInteger('space', space, 0, 2 ** 30);
  m[H_FAIL_INTERVAL] = interval;
  Atomics.store(m, H_FAIL_TIMES, times);
  Atomics.store(m, H_FAIL_SPACE, space);
  m[H_FAIL_PROBABILITY] = Math.round(probability * (UNIT - 1));
}

/** One of `times`, if there is one left. */
function takeOne(m: Int32Array): boolean {
  for (;;) {
    const left = Atomics.load(m, H_FAIL_TIMES);
    if (left < 0) return true;
    if (left === 0) return false;
    if (Atomics.compareExchange(m, H_FAIL_TIMES, left, left - 1) === left) return true;
  }
}

function decide({ metadata }: DebugContext, gfp: GfpFlags): boolean {
  const { m } = metadata;
  const probability = m[H_FAIL_PROBABILITY] >>> 0;
  if (probability === 0 || (gfp & GFP.NOFAIL) !== 0) return false;
  if (Atomics.load(m, H_FAIL_SPACE) > 0) {
    Atomics.sub(m, H_FAIL_SPACE, 1);
    return false;
  }
  const interval = Math.max(1, m[H_FAIL_INTERVAL]);
  const call = Atomics.add(m, H_FAIL_CALLS, 1) + 1;
  if (call % interval !== 0 || Math.random() * UNIT > probability) return false;
  return takeOne(m);
}

/** What was decided for the allocation that is under way on this thread. */
let decision = false;

export const fail: DebugPart = {
  name: 'failslab',
  flag: SLAB.FAILSLAB,
  fails(context, _cache, gfp) {
    if (!context.cpu.isRetrying) decision = decide(context, gfp);
    return decision;
  },
};
