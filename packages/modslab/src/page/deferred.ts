/**
 * Runs of frames whose release waits for a grace period (2006: `rcuify_page_allocator`, whose rcu_head overlays
 * page->lru). A run needs nothing but its own descriptor for that: kind RCU, claim word DEFERRED, owned by nobody, and in
 * GRACE the number of the grace period after which it may be released (memory/rcu.ts). One bitmap of the heap is the index:
 *
 *     kind = RCU, claim = DEFERRED  ⇒  the head's deferred bit is set
 *
 * It has a bit, too, for each slab in which an object waits (slab/waiting.ts).
 *
 * No queue is any CPU's: whoever finds that the grace period is over claims the run, by compare-and-swap, and releases it.
 * No other kind of run ever has the claim word DEFERRED.
 *
 * | killed here                                      | ⇒ reap does this                                  |
 * |--------------------------------------------------|---------------------------------------------------|
 * | defer: kind still SLAB or LARGE                  | what it does with those: frees it, which defers it |
 * | defer: kind RCU, still owned                     | sets the bit and the claim word DEFERRED          |
 * | collect: claimed, not yet released               | the same: it waits once more                      |
 * | collect: release begun                           | releases the run (pageAllocator.ts)               |
 */

import { killPoint } from '../memory/assert.ts';
import { clearBit, nextSet, setBit } from '../memory/bitmap.ts';
import type { Cpu } from '../memory/cpu.ts';
import { H_FRAMES, pageAt } from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import type { Rcu } from '../memory/rcu.ts';
import {
  CLAIM_DEFERRED,
  CLAIM_USED,
  flagsOf,
  KIND_RCU,
  KIND_TAIL,
  kindOf,
  ownerBits,
  PAGE_CLAIM,
  PAGE_FLAGS,
  PAGE_GRACE,
  PAGE_LAST,
  PAGE_RUN,
} from './page.ts';

/** What this module needs of the base page allocator. */
interface Frames {
  readonly metadata: Metadata;
  readonly cpu: Cpu;
  readonly rcu: Rcu;
  /** Releases a run whose head this CPU owns. */
  release(head: number, frames: number): void;
}

/** Makes a run whose head this CPU owns wait for a grace period. Two atomics. */
export function deferRun(frames: Frames, head: number, length: number): void {
  const { metadata, rcu } = frames;
  const { m, layout } = metadata;
  const page = pageAt(layout, head);
  // Tails of a slab name its cache, which may be gone before they are.
  for (let pfn = head + 1; pfn < head + length; pfn++)
    m[pageAt(layout, pfn) + PAGE_FLAGS] = flagsOf(KIND_TAIL, 0);
  m[page + PAGE_RUN] = length;
  m[page + PAGE_GRACE] = rcu.target();
  m[page + PAGE_LAST] = m[page + PAGE_FLAGS];
  m[page + PAGE_FLAGS] = flagsOf(KIND_RCU, 0);
  killPoint('deferred.described');
  publishDeferred(metadata, head);
}

/** The bit, then the claim word. Also for reap. */
export function publishDeferred(metadata: Metadata, head: number): void {
  const { m, layout } = metadata;
  setBit(m, layout.deferredBitmap, head);
  killPoint('deferred.bit-set');
  Atomics.store(m, pageAt(layout, head) + PAGE_CLAIM, CLAIM_DEFERRED);
}

/** Releases the runs whose grace period is over, after bringing grace periods on. How many frames. Never waits. */
export function collectDeferredRuns(frames: Frames): number {
  const { metadata, rcu } = frames;
  const { m, layout } = metadata;
  const end = m[H_FRAMES];
  const bitmap = layout.deferredBitmap;
  let released = 0;
  for (let pfn = nextSet(m, bitmap, 0, end); pfn < end; pfn = nextSet(m, bitmap, pfn + 1, end)) {
    const page = pageAt(layout, pfn);
    if (kindOf(m[page + PAGE_FLAGS]) !== KIND_RCU || !rcu.poll(m[page + PAGE_GRACE])) continue;
    released += releaseDeferred(frames, pfn);
  }
  return released;
}

function releaseDeferred(frames: Frames, head: number): number {
  const { metadata, rcu, cpu } = frames;
  const { m, layout } = metadata;
  const page = pageAt(layout, head);
  const mine = CLAIM_USED | ownerBits(cpu.owner);
  if (Atomics.compareExchange(m, page + PAGE_CLAIM, CLAIM_DEFERRED, mine) !== CLAIM_DEFERRED) return 0;
  killPoint('deferred.claimed');
  if (!rcu.isOver(m[page + PAGE_GRACE])) {
    // Released, used and deferred again since its descriptor was read.
    Atomics.store(m, page + PAGE_CLAIM, CLAIM_DEFERRED);
    return 0;
  }
  clearBit(m, layout.deferredBitmap, head);
  const length = m[page + PAGE_RUN];
  frames.release(head, length);
  return length;
}
