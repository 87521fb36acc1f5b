/**
 * The page allocator: runs of page frames, claimed without any lock.
 *
 * A frame's claim word is the truth; its bit in the free bitmap is an index over the frames whose claim word is 0:
 *
 *     claim = 0  ⇒  bit = 1            bit = 0  ⇒  claim ≠ 0            the bit is changed by the claim's holder only
 *
 * Allocate: search the bitmap for a run, claim its frames one by one (compare-and-swap 0 → USED | me), clear their
 * bits. A claim that fails means that somebody else was faster: give back what was claimed, and search on behind that
 * frame. So a search ends after one pass over the window, whatever others do, and nobody ever waits.
 * Release: kind, bit, claim word, in this order, tails before the head.
 *
 * What `allocate` returns is owned by the CPU, kind NONE, frame by frame, until it is published as something or freed.
 * Derivations do their part meanwhile, user code included: no intent stands.
 *
 * While a CPU claims, describes or releases a run, its record names it (`run head`, `run frames`), written before the first
 * step and cleared after the last. The head of a run is claimed first and released last, so as long as
 * it is held no other run can have the same head, and "tail of this head" is exact.
 *
 * How many frames are in use is counted per CPU slot, in plain words of the record; the sum is exact. With the intent goes
 * `frames after`, what the count is to be if the run ends up free. The count changes while this CPU holds the head: after
 * the claim, and before the head's release. So reap, which finds the head still held, sets the count to `frames after`
 * if it undoes the run, and to that plus the run's frames if the run stays; and leaves it where the head is not held.
 *
 * A run that came through `rcuify` says so in its SOURCE word. Its release waits for a grace period (page/deferred.ts),
 * whoever frees it. Where no frame is free, what waits no more is released first, before the heap grows.
 *
 * | killed here                                          | ⇒ reap does this                                       |
 * |------------------------------------------------------|--------------------------------------------------------|
 * | some or all frames claimed, bits set or clear         | releases each frame of the run that the dead one owns   |
 * | allocated, kind NONE, no intent                       | releases each frame that the dead one owns              |
 * | tails described, head not yet (kind NONE, owner dead) | the same, tails that name this head included            |
 * | head published (kind set, or claim LIVE)              | nothing: the run is an object or a slab by now          |
 * | release begun: head kind NONE, some tails gone        | releases the tails that still name this head, then it  |
 */

import { failPoint, killPoint } from '../memory/assert.ts';
import { clearRange, hasBit, nextClear, nextSet, setRange } from '../memory/bitmap.ts';
import {
  type Cpu,
  N_CLAIMS_LOST,
  N_FRAMES_ALLOCATED,
  N_FRAMES_FREED,
  N_GROWN,
  usedFrames,
} from '../memory/cpu.ts';
import type { DataMemory } from '../memory/data.ts';
import { GFP, GFP_BOUNDED, type GfpFlags } from '../memory/gfp.ts';
import {
  CPU_FRAMES,
  CPU_FRAMES_AFTER,
  CPU_RUN_FRAMES,
  CPU_RUN_HEAD,
  H_DMA_END,
  H_DMA_START,
  H_FRAMES,
  H_PEAK_FRAMES,
  nodeStart,
  pageAt,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { Rcu } from '../memory/rcu.ts';
import { wakeWaiters } from '../memory/waiters.ts';
import { collectDeferredRuns, deferRun } from './deferred.ts';
import {
  CLAIM_OWNER,
  CLAIM_TAIL,
  CLAIM_USED,
  flagsOf,
  KIND_RCU,
  KIND_TAIL,
  kindOf,
  ownerBits,
  PAGE_CLAIM,
  PAGE_FLAGS,
  PAGE_GROUP,
  PAGE_HEAD,
  PAGE_LAST,
  PAGE_RUN,
  PAGE_SOURCE,
  SOURCE_RCU,
} from './page.ts';

/**
 * A source of page frames (2006: `struct page_allocator`). What it gives is this CPU's own, to be published as a slab or
 * a run (`frames.describeTails` … `frames.published`), or used as it is: then it dies with its thread, and must be freed
 * by it, before it detaches.
 *
 * `allocate` and `free` are the forms of 2006, by order; they come down to the exact forms, which a derivation of its own
 * overrides. See page/derivePageAllocator.ts.
 */
export interface PageAllocator {
  /** Composed by derivation: "rcu:unreclaimable:page_allocator". */
  readonly name: string;
  /** The heap's own allocator, which is at the bottom of every stack. */
  readonly frames: FrameAllocator;
  /** The first of 2^order frames, aligned to as many; 0 if there are none. */
  allocate(order: number, gfp: GfpFlags, node: number): number;
  /** Gives back what `allocate` gave. */
  free(pfn: number, order: number): void;
  /** The first of exactly `frames` frames, aligned to `alignment` frames; 0 if there are none. */
  allocateExact(frames: number, alignment: number, gfp: GfpFlags, node: number): number;
  /** Gives back what `allocateExact` gave. */
  freeExact(pfn: number, frames: number): void;
  /** Ends its use: what a derivation has to tidy up, then its base's. */
  destructor(): void;
}

/** Any node. */
export const NODE_ANY = -1;

/** Frames by which a heap grows at least, in shares of what it has: an eighth. */
const GROWTH_SHIFT = 3;
/** Times that an allocation grows the heap, or finds that another has, before it gives up: once a CPU at the most. */
const GROWTH_TRIES = 1024;

/** The base page allocator: the frames of the heap. */
export class FrameAllocator implements PageAllocator {
  readonly name = 'page_allocator';
  /** What the layers above need of this CPU; a slab allocator has it from its page allocator. */
  readonly metadata: Metadata;
  readonly cpu: Cpu;
  readonly data: DataMemory;
  readonly rcu: Rcu;
  private readonly m: Int32Array;
  private readonly claimed: number;
  /** Where the last single frame was found: a hint of this thread only. */
  private hint = 0;

  constructor(metadata: Metadata, cpu: Cpu, data: DataMemory) {
    this.m = metadata.m;
    this.metadata = metadata;
    this.cpu = cpu;
    this.data = data;
    this.rcu = new Rcu(metadata, cpu);
    this.claimed = CLAIM_USED | ownerBits(cpu.owner);
  }

  get frames(): FrameAllocator {
    return this;
  }

  destructor(): void {}

  allocate(order: number, gfp: GfpFlags, node: number): number {
    return this.allocateExact(2 ** order, 2 ** order, gfp, node);
  }

  free(pfn: number, order: number): void {
    this.freeExact(pfn, 2 ** order);
  }

  allocateExact(frames: number, alignment: number, gfp: GfpFlags, node: number): number {
    if (failPoint('page')) return 0;
    // Others may take what was grown before this CPU finds it. Each time they do, they get on: so try again, boundedly.
    for (let attempt = 0; attempt < GROWTH_TRIES; attempt++) {
      const found = this.search(frames, alignment, gfp, node);
      if (found !== 0) {
        this.published();
        return found;
      }
      if (this.collectDeferred() > 0) continue;
      if ((gfp & GFP_BOUNDED) !== 0) return 0;
      if (!this.grow(frames, alignment, gfp, node)) return 0;
    }
    return 0;
  }

  /**
   * Writes the tails of a run that this CPU owns: they name its head, and are owned by nobody. The caller publishes the
   * head, then calls `published`: until then the run is this CPU's intent.
   */
  describeTails(head: number, frames: number, flags: number): void {
    const { m, metadata, cpu } = this;
    this.intend(head, frames, (m[cpu.record + CPU_FRAMES] - frames) | 0);
    for (let pfn = head + 1; pfn < head + frames; pfn++) {
      const page = pageAt(metadata.layout, pfn);
      m[page + PAGE_HEAD] = head;
      m[page + PAGE_FLAGS] = flags;
      Atomics.store(m, page + PAGE_CLAIM, CLAIM_TAIL);
    }
    const page = pageAt(metadata.layout, head);
    m[page + PAGE_HEAD] = head;
    m[page + PAGE_RUN] = frames;
  }

  /** The run has become an object or a slab: withdraws the intent. */
  published(): void {
    this.m[this.cpu.record + CPU_RUN_HEAD] = 0;
  }

  /** Allocates a run and publishes it as `kind`, its claim word `claim`, owned by nobody. 0 if there is none. */
  allocatePublished(
    frames: number,
    alignment: number,
    gfp: GfpFlags,
    node: number,
    kind: number,
    claim: number,
  ): number {
    const head = this.allocateExact(frames, alignment, gfp, node);
    if (head !== 0) this.publishRun(head, frames, kind, claim);
    return head;
  }

  /** Publishes a run that `allocateExact` gave. */
  publishRun(head: number, frames: number, kind: number, claim: number): void {
    const page = pageAt(this.metadata.layout, head);
    this.describeTails(head, frames, flagsOf(KIND_TAIL, 0));
    this.m[page + PAGE_FLAGS] = flagsOf(kind, 0);
    Atomics.store(this.m, page + PAGE_CLAIM, CLAIM_USED | claim);
    this.published();
  }

  /** Releases a run whose head this CPU owns, or makes it wait for a grace period if it came through `rcuify`. */
  freeExact(head: number, frames: number): void {
    const source = this.m[pageAt(this.metadata.layout, head) + PAGE_SOURCE];
    if ((source & SOURCE_RCU) !== 0) deferRun(this, head, frames);
    else this.release(head, frames);
  }

  /** Releases what waits for a grace period that is over by now, or can be made so; how many frames. Never waits. */
  collectDeferred(): number {
    return collectDeferredRuns(this);
  }

  /** Releases a run whose head this CPU owns. Cost: two atomics a frame, one more for 32 frames. */
  release(head: number, frames: number): void {
    const { m, metadata, cpu } = this;
    const after = (m[cpu.record + CPU_FRAMES] - frames) | 0;
    this.intend(head, frames, after);
    killPoint('frames.release-begun');
    const headPage = pageAt(metadata.layout, head);
    // A run that has waited for a grace period remembers what it was before.
    if (kindOf(m[headPage + PAGE_FLAGS]) !== KIND_RCU) m[headPage + PAGE_LAST] = m[headPage + PAGE_FLAGS];
    m[headPage + PAGE_FLAGS] = 0;
    m[headPage + PAGE_GROUP] = 0;
    if (frames > 1) this.releaseTails(head, frames);
    m[cpu.record + CPU_FRAMES] = after;
    this.releaseFrames(head, head + 1);
    this.published();
    cpu.count(N_FRAMES_FREED, frames);
    if (head < this.hint) this.hint = head;
  }

  private releaseTails(head: number, frames: number): void {
    const { m, metadata } = this;
    for (let pfn = head + 1; pfn < head + frames; pfn++) {
      const page = pageAt(metadata.layout, pfn);
      Atomics.store(m, page + PAGE_CLAIM, this.claimed);
      m[page + PAGE_LAST] = m[page + PAGE_FLAGS];
      m[page + PAGE_FLAGS] = 0;
      m[page + PAGE_HEAD] = 0;
      killPoint('frames.tail-released');
    }
    this.releaseFrames(head + 1, head + frames);
  }

  /** Frames that this CPU owns become free: the bits first, then each claim word. */
  releaseFrames(from: number, end: number): void {
    const { m, metadata } = this;
    setRange(m, metadata.layout.freeBitmap, from, end);
    killPoint('frames.bits-set');
    for (let pfn = from; pfn < end; pfn++) {
      const page = pageAt(metadata.layout, pfn);
      m[page + PAGE_SOURCE] = 0;
      Atomics.store(m, page + PAGE_CLAIM, 0);
    }
    wakeWaiters(m);
  }

  /**
   * Finishes for a dead CPU the run that its record names: takes over what it held of `head … head + frames - 1` and
   * releases it. Returns the frames released. The caller has made sure that the run was never published.
   */
  undoRun(head: number, frames: number, owner: number): number {
    const { m, metadata } = this;
    let released = 0;
    const headClaim = Atomics.load(m, pageAt(metadata.layout, head) + PAGE_CLAIM);
    const headIsDead = (headClaim & CLAIM_OWNER) === ownerBits(owner);
    for (let pfn = head + frames - 1; pfn >= head; pfn--) {
      const page = pageAt(metadata.layout, pfn);
      const claim = Atomics.load(m, page + PAGE_CLAIM);
      const owned = (claim & CLAIM_OWNER) === ownerBits(owner);
      const ourTail =
        headIsDead &&
        pfn !== head &&
        claim === CLAIM_TAIL &&
        m[page + PAGE_HEAD] === head &&
        m[page + PAGE_FLAGS] !== 0;
      if (!owned && !ourTail) continue;
      Atomics.store(m, page + PAGE_CLAIM, CLAIM_USED | ownerBits(owner));
      m[page + PAGE_FLAGS] = 0;
      m[page + PAGE_HEAD] = 0;
      m[page + PAGE_GROUP] = 0;
      this.releaseFrames(pfn, pfn + 1);
      released++;
    }
    return released;
  }

  /** Names the run in the record, and the count of frames in use once it is free. */
  private intend(head: number, frames: number, framesAfter: number): void {
    const { m, cpu } = this;
    m[cpu.record + CPU_RUN_FRAMES] = frames;
    m[cpu.record + CPU_FRAMES_AFTER] = framesAfter;
    m[cpu.record + CPU_RUN_HEAD] = head;
  }

  /** Tries the windows that `gfp` and `node` allow, the preferred one first, as far as the heap reaches at present. */
  private search(frames: number, alignment: number, gfp: GfpFlags, node: number): number {
    const frameCount = this.m[H_FRAMES];
    for (const { start, end } of this.windows(gfp, node)) {
      const found = this.claimRun(start, Math.min(end, frameCount), frames, alignment);
      if (found !== 0) return found;
    }
    return 0;
  }

  /**
   * Where a run may lie: the preferred node's frames, then the others' unless `THISNODE`; in each the DMA zone only, or
   * the DMA zone last, so that it is kept for those who need it. A run never lies across two windows.
   */
  private windows(gfp: GfpFlags, node: number): Window[] {
    const { m, metadata, cpu } = this;
    const { layout } = metadata;
    const dma = { start: m[H_DMA_START], end: m[H_DMA_END] };
    const first = node === NODE_ANY ? cpu.node : node;
    const nodes = (gfp & GFP.THISNODE) !== 0 ? 1 : layout.nodes;
    if (layout.nodes === 1 && dma.start === dma.end) {
      return (gfp & GFP.DMA) !== 0 ? [] : [{ start: layout.startFrame, end: layout.maxFrames }];
    }
    const normal: Window[] = [];
    const zone: Window[] = [];
    for (let i = 0; i < nodes; i++) {
      const candidate = (first + i) % layout.nodes;
      const start = nodeStart(layout, candidate);
      const end = nodeStart(layout, candidate + 1);
      if (dma.start === dma.end) {
        normal.push({ start, end });
      } else {
        normal.push({ start, end: Math.min(end, dma.start) }, { start: Math.max(start, dma.end), end });
        zone.push({ start: Math.max(start, dma.start), end: Math.min(end, dma.end) });
      }
    }
    return (gfp & GFP.DMA) !== 0 ? zone : [...normal, ...zone];
  }

  /** Claims the first run of free frames in `start … end - 1`: from the hint for single frames, else from the start. */
  private claimRun(start: number, end: number, frames: number, alignment: number): number {
    if (end - start < frames) return 0;
    const from = frames === 1 && this.hint > start && this.hint < end ? this.hint : start;
    const found = this.claimRunFrom(from, end, frames, alignment);
    if (found === 0 && from > start) return this.claimRunFrom(start, from, frames, alignment);
    return found;
  }

  private claimRunFrom(start: number, end: number, frames: number, alignment: number): number {
    const { m, metadata } = this;
    const bitmap = metadata.layout.freeBitmap;
    for (let pfn = nextSet(m, bitmap, start, end); pfn < end; pfn = nextSet(m, bitmap, pfn, end)) {
      pfn = Math.ceil(pfn / alignment) * alignment;
      if (pfn + frames > end) return 0;
      const clear = nextClear(m, bitmap, pfn, pfn + frames);
      if (clear < pfn + frames) {
        pfn = clear + 1;
        continue;
      }
      const taken = this.claimFrames(pfn, frames);
      if (taken < frames) {
        this.cpu.count(N_CLAIMS_LOST);
        pfn += taken + 1;
        continue;
      }
      if (frames === 1) this.hint = pfn;
      this.account(frames);
      return pfn;
    }
    return 0;
  }

  /** Claims the frames one by one; how many it got. Fewer than asked: none is held any more. */
  private claimFrames(head: number, frames: number): number {
    const { m, metadata, claimed, cpu } = this;
    this.intend(head, frames, m[cpu.record + CPU_FRAMES]);
    for (let i = 0; i < frames; i++) {
      const at = pageAt(metadata.layout, head + i) + PAGE_CLAIM;
      if (Atomics.compareExchange(m, at, 0, claimed) !== 0) {
        for (let k = 0; k < i; k++) Atomics.store(m, pageAt(metadata.layout, head + k) + PAGE_CLAIM, 0);
        this.published();
        return i;
      }
      killPoint('frames.claimed-some');
    }
    killPoint('frames.claimed-all');
    clearRange(m, metadata.layout.freeBitmap, head, head + frames);
    killPoint('frames.bits-cleared');
    return frames;
  }

  private account(frames: number): void {
    const { m, cpu } = this;
    m[cpu.record + CPU_FRAMES] += frames;
    const used = usedFrames(this.metadata);
    for (let peak = Atomics.load(m, H_PEAK_FRAMES); peak < used; ) {
      const found = Atomics.compareExchange(m, H_PEAK_FRAMES, peak, used);
      if (found === peak) break;
      peak = found;
    }
    cpu.count(N_FRAMES_ALLOCATED, frames);
  }

  /**
   * Grows the heap, as little as will do and a comfortable bit more, so that a run fits into one of its windows. True too
   * if there is such a run by now. False: no window can hold one.
   */
  private grow(frames: number, alignment: number, gfp: GfpFlags, node: number): boolean {
    const { layout, m } = this.metadata;
    const have = Atomics.load(m, H_FRAMES);
    let needed = Number.POSITIVE_INFINITY;
    for (const { start, end } of this.windows(gfp, node)) {
      const first = start >= have ? start : this.freeTail(start, Math.min(end, have));
      const stop = Math.ceil(first / alignment) * alignment + frames;
      if (stop <= end) needed = Math.min(needed, stop);
    }
    if (needed > layout.maxFrames) return false;
    if (needed <= have) return true;
    const more = have + Math.ceil((have - layout.startFrame) / 2 ** GROWTH_SHIFT);
    const comfortable = Math.min(layout.maxFrames, Math.max(needed, more));
    const grown = this.data.grow(comfortable) || this.data.grow(needed);
    if (grown) this.cpu.count(N_GROWN);
    return grown;
  }

  /** First frame of the free run that ends at `end`, not before `start`: new frames behind it continue it. */
  private freeTail(start: number, end: number): number {
    let pfn = end;
    while (pfn > start && this.isFree(pfn - 1)) pfn--;
    return pfn;
  }

  /** Whether nobody has claimed a frame: a bit that a dead CPU left set does not count. */
  private isFree(pfn: number): boolean {
    const { m, metadata } = this;
    return hasBit(m, metadata.layout.freeBitmap, pfn) && m[pageAt(metadata.layout, pfn) + PAGE_CLAIM] === 0;
  }
}

/** Frames `start … end - 1`. */
interface Window {
  start: number;
  end: number;
}
