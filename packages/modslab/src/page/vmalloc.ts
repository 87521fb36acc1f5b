/**
 * vmalloc: one area out of scattered frames, contiguous in an address space of its own (page/pageTable.ts). A heap whose
 * free frames do not lie side by side can still give large areas; who uses one goes through the page table (`VmArea`).
 *
 *     vpn       h              h + 1   …   h + n
 *     entry     AREA │ n       PAGE │ frame …            address of the area = VMALLOC_START + (h + 1) · page size
 *
 * Entry h is the area's claim and maps nothing, so two areas are never adjacent. A frame of an area has the kind VMALLOC, the
 * claim word LIVE, the number of the page that maps it in VPN, and the area's size in bytes in REQUESTED.
 *
 * Allocate: find n + 1 free entries, claim them one by one, the first one first (compare-and-swap 0 → CLAIMED); for each
 * page allocate a frame, describe it, enter it; at last entry h becomes AREA, which makes the area exist.
 * Free: entry h: AREA → CLAIMED, by compare-and-swap: a second free finds no area. Then each frame is claimed, its entry
 * cleared, and it is freed; at last the entries become 0, the first one last.
 * While a CPU does either, its record names h + 1 and n (~n while it claims: then other areas may lie in that range).
 *
 * | killed here                                  | ⇒ reap does this                                            |
 * |----------------------------------------------|-------------------------------------------------------------|
 * | some entries claimed (record: ~n)            | clears the dead one's entries, the first last               |
 * | all claimed, some frames entered             | frees the frames entered, clears the entries, the first last |
 * | a frame described, not yet LIVE              | releases it: it is still owned                              |
 * | entry h is AREA                              | nothing: the area exists; it is its user's to free          |
 * | free: some frames freed                      | as in the second row                                        |
 * | free: a frame claimed, still entered         | clears the entry, releases the frame                        |
 */

import { killPoint } from '../memory/assert.ts';
import { checkInteger, checkNumber, hex, SlabError } from '../memory/errors.ts';
import type { GfpFlags } from '../memory/gfp.ts';
import { CPU_VMALLOC_HEAD, CPU_VMALLOC_PAGES, cpuAt, pageAt, TABLE_ENTRIES } from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import {
  CLAIM_LIVE,
  CLAIM_USED,
  flagsOf,
  KIND_VMALLOC,
  kindOf,
  ownerBits,
  PAGE_CLAIM,
  PAGE_FLAGS,
  PAGE_HEAD,
  PAGE_REQUESTED,
  PAGE_RUN,
  PAGE_VPN,
} from './page.ts';
import { NODE_ANY, type PageAllocator } from './pageAllocator.ts';
import { PTE_AREA, PTE_CLAIMED, PTE_PAGE, VMALLOC_START, valueOf, walk, walkOrMake } from './pageTable.ts';

/** The areas of a heap, as one CPU works on them. */
export class Vmalloc {
  readonly metadata: Metadata;
  private readonly m: Int32Array;
  private readonly pages: PageAllocator;
  private readonly claimed: number;
  private readonly record: number;
  /** Where the last area was found: a hint of this thread only. */
  private hint = 0;

  constructor(pages: PageAllocator) {
    const { metadata, cpu } = pages.frames;
    this.metadata = metadata;
    this.m = metadata.m;
    this.pages = pages;
    this.claimed = PTE_CLAIMED | cpu.owner;
    this.record = cpu.record;
  }

  /** Most bytes that an area can have: all frames. */
  get maxSize(): number {
    const { layout } = this.metadata;
    return (layout.maxFrames - layout.startFrame) * 2 ** layout.pageShift;
  }

  /** Address of a new area of `size` bytes, or 0. `RangeError` for a size that none can have. */
  allocate(size: number, gfp: GfpFlags, node: number = NODE_ANY): number {
    checkInteger('a size', size, 0, this.maxSize);
    const pages = Math.ceil(size / 2 ** this.metadata.layout.pageShift);
    const head = this.claimRange(pages);
    if (head < 0) return 0;
    if (!this.populate(head, pages, size, gfp, node)) return 0;
    Atomics.store(this.m, walk(this.metadata, head), PTE_AREA | pages);
    this.m[this.record + CPU_VMALLOC_HEAD] = 0;
    return this.addressOf(head + 1);
  }

  /** Frees the area that begins at `address`. Throws `EFAULT`, `EINTERIOR`, or `EDOUBLEFREE` if another is faster. */
  free(address: number): void {
    const { m } = this;
    const head = this.headOf(address);
    const at = walk(this.metadata, head);
    const entry = m[at];
    this.intend(head, valueOf(entry));
    if ((entry & PTE_AREA) === 0 || Atomics.compareExchange(m, at, entry, this.claimed) !== entry) {
      m[this.record + CPU_VMALLOC_HEAD] = 0;
      throw new SlabError('EDOUBLEFREE', `the area at ${hex(address)} is being freed already`, address);
    }
    killPoint('vmalloc.claimed');
    this.dismantle(head, valueOf(entry));
    if (head < this.hint) this.hint = head;
  }

  /** The frames of the area that begins at `address`, in order, and its size in bytes. Throws as `free` does. */
  lookUp(address: number): { size: number; frames: Int32Array } {
    const { m, metadata } = this;
    const head = this.headOf(address);
    const pages = valueOf(m[walk(metadata, head)]);
    const frames = new Int32Array(pages);
    for (let i = 0; i < pages; i++) frames[i] = valueOf(m[walk(metadata, head + 1 + i)]);
    const size = pages === 0 ? 0 : m[pageAt(metadata.layout, frames[0]) + PAGE_REQUESTED] >>> 0;
    return { size, frames };
  }

  /** Where the page table has the claim of the area that begins at `address`. Throws as `free` does. */
  entryOf(address: number): number {
    return walk(this.metadata, this.headOf(address));
  }

  /** Whether an area of so many pages begins at `address`: a walk of the table. */
  isArea(address: number, pages: number): boolean {
    const at = walk(this.metadata, this.vpnOf(address) - 1);
    return at !== 0 && this.m[at] === (PTE_AREA | pages);
  }

  /** The frame that an address in an area lies in: a walk of the table. Throws `EFAULT` outside of any. */
  frameOf(address: number): number {
    const { m, metadata } = this;
    checkNumber('an address', address);
    const vpn = this.vpnOf(address);
    const at = vpn < 0 ? 0 : walk(metadata, vpn);
    if (at === 0 || (m[at] & PTE_PAGE) === 0)
      throw new SlabError('EFAULT', `${hex(address)} lies in no vmalloc area`, address);
    return valueOf(m[at]);
  }

  /** The address that maps a frame of an area. */
  addressOf(vpn: number): number {
    return VMALLOC_START + vpn * 2 ** this.metadata.layout.pageShift;
  }

  /** The page of an address, or -1. */
  private vpnOf(address: number): number {
    const { layout } = this.metadata;
    const vpn = Math.floor((address - VMALLOC_START) / 2 ** layout.pageShift);
    return Number.isInteger(address) && vpn >= 0 && vpn < layout.vmallocPages ? vpn : -1;
  }

  /** The entry before the area that begins at `address`. */
  private headOf(address: number): number {
    const { m, metadata } = this;
    checkNumber('an address', address);
    const vpn = this.vpnOf(address);
    const at = vpn < 1 ? 0 : walk(metadata, vpn - 1);
    const begins = at !== 0 && (m[at] & PTE_AREA) !== 0;
    if (begins && address === this.addressOf(vpn)) return vpn - 1;
    const inside = vpn < 0 ? 0 : walk(metadata, vpn);
    if (begins || (inside !== 0 && (m[inside] & PTE_PAGE) !== 0))
      throw new SlabError('EINTERIOR', `${hex(address)} is not the first byte of its vmalloc area`, address);
    throw new SlabError('EFAULT', `no vmalloc area begins at ${hex(address)}`, address);
  }

  /** Finds and claims the entries of an area of so many pages; the first one, or -1. */
  private claimRange(pages: number): number {
    const { vmallocPages } = this.metadata.layout;
    const head = this.claimRangeIn(this.hint, vmallocPages, pages);
    if (head >= 0 || this.hint === 0) return head;
    return this.claimRangeIn(0, Math.min(vmallocPages, this.hint + pages), pages);
  }

  private claimRangeIn(start: number, end: number, pages: number): number {
    const { m, metadata } = this;
    let first = start;
    for (let vpn = start; vpn < end; ) {
      const at = walk(metadata, vpn);
      const entry = at === 0 ? 0 : m[at];
      if (entry === 0) {
        // A node that is missing is 512 free entries, or as many of them as lie ahead.
        vpn = at === 0 ? (vpn | (TABLE_ENTRIES - 1)) + 1 : vpn + 1;
        if (vpn - first <= pages || first + pages >= end) continue;
        const taken = this.claimEntries(first, pages);
        if (taken > pages) {
          this.hint = first + pages + 1 < metadata.layout.vmallocPages ? first + pages + 1 : 0;
          return first;
        }
        vpn = first + taken + 1;
      } else {
        vpn += (entry & PTE_AREA) !== 0 ? valueOf(entry) + 1 : 1;
      }
      first = vpn;
    }
    return -1;
  }

  /** Claims `pages` + 1 entries, one by one; how many it got. If not all, none is held any more. */
  private claimEntries(head: number, pages: number): number {
    const { m, metadata, claimed } = this;
    this.intend(head, ~pages);
    for (let i = 0; i <= pages; i++) {
      if (Atomics.compareExchange(m, walkOrMake(metadata, head + i), 0, claimed) !== 0) {
        this.releaseEntries(head, i - 1);
        return i;
      }
      killPoint('vmalloc.claimed-some');
    }
    this.intend(head, pages);
    return pages + 1;
  }

  /** Names the range in the record; ~pages: not all of it is claimed yet. */
  private intend(head: number, pages: number): void {
    this.m[this.record + CPU_VMALLOC_PAGES] = pages;
    this.m[this.record + CPU_VMALLOC_HEAD] = head + 1;
  }

  /** Frames for all pages of a claimed range; without memory, none, and the range is given up. */
  private populate(head: number, pages: number, size: number, gfp: GfpFlags, node: number): boolean {
    const { m, metadata } = this;
    for (let vpn = head + 1; vpn <= head + pages; vpn++) {
      const pfn = this.pages.allocateExact(1, 1, gfp, node);
      if (pfn === 0) {
        this.dismantle(head, pages);
        return false;
      }
      const page = pageAt(metadata.layout, pfn);
      m[page + PAGE_HEAD] = pfn;
      m[page + PAGE_RUN] = 1;
      m[page + PAGE_VPN] = vpn;
      m[page + PAGE_REQUESTED] = size;
      m[page + PAGE_FLAGS] = flagsOf(KIND_VMALLOC, 0);
      killPoint('vmalloc.described');
      Atomics.store(m, walk(metadata, vpn), PTE_PAGE | pfn);
      killPoint('vmalloc.entered');
      Atomics.store(m, page + PAGE_CLAIM, CLAIM_USED | CLAIM_LIVE);
    }
    return true;
  }

  /** Frees what a claimed range has of frames, then its entries. */
  private dismantle(head: number, pages: number): void {
    const { m, metadata, claimed } = this;
    for (let vpn = head + pages; vpn > head; vpn--) {
      const at = walk(metadata, vpn);
      if ((m[at] & PTE_PAGE) === 0) continue;
      const pfn = valueOf(m[at]);
      const owner = CLAIM_USED | ownerBits(this.pages.frames.cpu.owner);
      Atomics.store(m, pageAt(metadata.layout, pfn) + PAGE_CLAIM, owner);
      killPoint('vmalloc.frame-claimed');
      Atomics.store(m, at, claimed);
      this.pages.freeExact(pfn, 1);
    }
    this.releaseEntries(head, pages);
  }

  /** Entries that this CPU holds become free, the first one last; then nothing is intended. */
  private releaseEntries(head: number, pages: number): void {
    const { m, metadata } = this;
    for (let vpn = head + pages; vpn >= head; vpn--) {
      Atomics.store(m, walk(metadata, vpn), 0);
      killPoint('vmalloc.entry-freed');
    }
    m[this.record + CPU_VMALLOC_HEAD] = 0;
  }

  /**
   * For reap: takes down the area that a dead CPU was setting up or freeing. What it owns of frames is released by the
   * reaper's walk over the frames. Returns the frames freed.
   */
  undo(dead: number): number {
    const { m, metadata } = this;
    const record = cpuAt(metadata.layout, dead);
    const head = m[record + CPU_VMALLOC_HEAD] - 1;
    const intended = m[record + CPU_VMALLOC_PAGES];
    const isWhole = intended >= 0;
    const theirs = PTE_CLAIMED | (dead + 1);
    const first = head < 0 ? 0 : walk(metadata, head);
    let freed = 0;
    if (first !== 0 && m[first] === theirs) {
      for (let vpn = head + (isWhole ? intended : ~intended); vpn > head; vpn--) {
        const at = walk(metadata, vpn);
        if (at === 0) continue;
        const isPage = isWhole && (m[at] & PTE_PAGE) !== 0;
        if (isPage) freed += this.undoFrame(valueOf(m[at]), vpn);
        if (isPage || m[at] === theirs) Atomics.store(m, at, 0);
      }
      Atomics.store(m, first, 0);
    }
    m[record + CPU_VMALLOC_HEAD] = 0;
    return freed;
  }

  /** A frame that a dead CPU had entered: freed, unless it is owned, which whoever finds it owned takes care of. */
  private undoFrame(pfn: number, vpn: number): number {
    const { m, metadata } = this;
    const page = pageAt(metadata.layout, pfn);
    const isOurs = kindOf(m[page + PAGE_FLAGS]) === KIND_VMALLOC && m[page + PAGE_VPN] === vpn;
    const live = CLAIM_USED | CLAIM_LIVE;
    const mine = CLAIM_USED | ownerBits(this.pages.frames.cpu.owner);
    if (!isOurs || Atomics.compareExchange(m, page + PAGE_CLAIM, live, mine) !== live) return 0;
    this.pages.freeExact(pfn, 1);
    return 1;
  }
}
