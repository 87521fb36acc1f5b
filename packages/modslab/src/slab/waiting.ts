/**
 * Objects that wait for a grace period (`kfreeRcu`). The object's state byte says so, and for which grace period, by the two
 * lowest bits of its number: LIVE → WAITING + bits, by compare-and-swap. So nothing is queued, however many they are, and
 * nothing is lost with a thread. The index over them is the deferred bitmap of page/deferred.ts:
 *
 *     an object of a slab is WAITING  ⇒  the bit of the slab's first frame is set
 *
 * `defer`:    bit set · state ← WAITING · bit set again if a collector has cleared it in between
 * `collect`:  a slab whose bit is set is claimed; its bit cleared; its WAITING objects whose grace period is over become
 *             FREE, the slab's count rises, as with any others that are put back; the bit is set again if some still wait
 *
 * To everybody else a WAITING object is one that is not free and not live: another `kfree` of it is a double free.
 *
 * | killed here                                     | ⇒ reap does this                                         |
 * |-------------------------------------------------|----------------------------------------------------------|
 * | defer: state WAITING, bit cleared by a collector | sets the bit of the frame that the record names          |
 * | collect: bit cleared, slab claimed              | recounts the slab; sets its bit if an object waits in it |
 */

import { killPoint } from '../memory/assert.ts';
import { clearBit, hasBit, nextSet, setBit } from '../memory/bitmap.ts';
import { STAT_FREE_RCU } from '../memory/cpu.ts';
import { addressOf, entryOf } from '../memory/entry.ts';
import { hex, SlabError } from '../memory/errors.ts';
import {
  C_FLAGS,
  C_GRANULES,
  C_OBJECTS,
  CPU_RCU_DEFERRING,
  cacheAt,
  cpuAt,
  H_FRAMES,
  pageAt,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import {
  CLAIM_FROZEN,
  cacheOf,
  FREE,
  isLive,
  isWaiting,
  KIND_SLAB,
  kindOf,
  PAGE_CLAIM,
  PAGE_FIRST_FREE,
  PAGE_FLAGS,
  PAGE_HEAD,
  WAITING,
  WAITING_MASK,
} from '../page/page.ts';
import type { FrameAllocator } from '../page/pageAllocator.ts';
import { firstEntryOf, firstStateAt, stateAt } from './cacheTable.ts';
import { makeInactive } from './debugObject.ts';
import { SLAB_DEBUG } from './flags.ts';
import { freeRest } from './granules.ts';

/** Makes a live object of a cache, which has been checked, wait. Throws `EDOUBLEFREE` if another thread was faster. */
export function deferObject(frames: FrameAllocator, cache: number, address: number): void {
  const { metadata, cpu, rcu } = frames;
  const { m, s, layout } = metadata;
  const head = m[pageAt(layout, address >>> layout.pageShift) + PAGE_HEAD];
  const at = stateAt(m, cacheAt(layout, cache), entryOf(address));
  m[cpu.record + CPU_RCU_DEFERRING] = head;
  if (!hasBit(m, layout.deferredBitmap, head)) setBit(m, layout.deferredBitmap, head);
  const state = Atomics.load(s, at);
  const waiting = WAITING | (rcu.target() & WAITING_MASK);
  if (!isLive(state) || Atomics.compareExchange(s, at, state, waiting) !== state) {
    m[cpu.record + CPU_RCU_DEFERRING] = 0;
    throw new SlabError('EDOUBLEFREE', `${hex(address)} is free already, or being freed`, address);
  }
  cpu.countOf(cache, STAT_FREE_RCU);
  killPoint('waiting.deferred');
  if (!hasBit(m, layout.deferredBitmap, head)) setBit(m, layout.deferredBitmap, head);
  m[cpu.record + CPU_RCU_DEFERRING] = 0;
}

/** For reap: the last step of `deferObject`. */
export function finishDeferring(metadata: Metadata, dead: number): void {
  const { m, layout } = metadata;
  const at = cpuAt(layout, dead) + CPU_RCU_DEFERRING;
  if (m[at] !== 0) setBit(m, layout.deferredBitmap, m[at]);
  m[at] = 0;
}

/** Holds slabs of any cache; a slabifier. */
export interface SlabHolder {
  /** Runs `collect`, which makes so many objects FREE, while this CPU holds the slab; -1 if somebody else does. */
  collectHeld(cache: number, head: number, collect: () => number): number;
}

/** What `collectWaiting` has done. */
export interface Collected {
  /** Objects that it made free. */
  objects: number;
  /** Slabs that others held: what waits in them still does. */
  missed: number;
}

/** Frees all objects whose grace period is over, after bringing grace periods on. Never waits. */
export function collectWaiting(frames: FrameAllocator, slabs: SlabHolder): Collected {
  const { m, layout } = frames.metadata;
  const bitmap = layout.deferredBitmap;
  const end = m[H_FRAMES];
  const collected: Collected = { objects: 0, missed: 0 };
  for (let pfn = nextSet(m, bitmap, 0, end); pfn < end; pfn = nextSet(m, bitmap, pfn + 1, end)) {
    const flags = m[pageAt(layout, pfn) + PAGE_FLAGS];
    const isFrozen = (m[pageAt(layout, pfn) + PAGE_CLAIM] & CLAIM_FROZEN) !== 0;
    if (kindOf(flags) !== KIND_SLAB || isFrozen) continue;
    const cache = cacheOf(flags);
    const objects = slabs.collectHeld(cache, pfn, () => collectInSlab(frames, cache, pfn));
    if (objects >= 0) collected.objects += objects;
    else collected.missed++;
  }
  return collected;
}

/** The slab is this CPU's. */
function collectInSlab(frames: FrameAllocator, cache: number, head: number): number {
  const { metadata, rcu } = frames;
  const { m, s, layout } = metadata;
  const descriptor = cacheAt(layout, cache);
  const page = pageAt(layout, head);
  const states = firstStateAt(m, descriptor, head);
  const first = firstEntryOf(m, layout.pageShift, descriptor, head);
  const isDebugged = (m[descriptor + C_FLAGS] & SLAB_DEBUG) !== 0;
  clearBit(m, layout.deferredBitmap, head);
  killPoint('waiting.collecting');
  const over: (boolean | undefined)[] = [undefined, undefined, undefined, undefined];
  let collected = 0;
  let others = false;
  for (let index = m[descriptor + C_OBJECTS] - 1; index >= 0; index--) {
    const state = Atomics.load(s, states + index);
    if (!isWaiting(state)) continue;
    const bits = state & WAITING_MASK;
    over[bits] ??= rcu.pollBits(bits);
    if (over[bits] !== true) {
      others = true;
      continue;
    }
    if (index < m[page + PAGE_FIRST_FREE]) m[page + PAGE_FIRST_FREE] = index;
    if (isDebugged)
      makeInactive(metadata, frames.data, cache, addressOf(first + index * m[descriptor + C_GRANULES]));
    collected += 1 + freeRest(s, states + index);
    s[states + index] = FREE;
  }
  if (others) setBit(m, layout.deferredBitmap, head);
  return collected;
}

/** For reap: sets the bit of a slab, which the caller holds, if an object waits in it. */
export function listWaiting(metadata: Metadata, cache: number, head: number): void {
  const { m, s, layout } = metadata;
  const descriptor = cacheAt(layout, cache);
  const states = firstStateAt(m, descriptor, head);
  for (let index = 0; index < m[descriptor + C_OBJECTS]; index++) {
    if (!isWaiting(s[states + index])) continue;
    setBit(m, layout.deferredBitmap, head);
    return;
  }
}
