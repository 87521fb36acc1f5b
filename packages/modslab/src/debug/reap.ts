/**
 * Reaping: what a dead CPU had claimed and cached is taken back, by rebuilding it from states and descriptors.
 *
 * The caller vouches for the death. The reaper first makes itself the dead CPU's reaper in its status word, by
 * compare-and-swap, so that two never reap one CPU at once. Then, in this order:
 *
 *     0  its charge: the row set right                               (slab/charge.ts)
 *        its link: the slot and the object set right                 (kmalloc/link.ts)
 *     0  its read section ends; what it made wait is listed          (memory/rcu.ts, slab/waiting.ts)
 *     0  its split: what stands in two sheaves, cleared in one       (slab/sheaves.ts)
 *     1  its pending entry: RELEASING → PENDING                      (slab/slabifier.ts, step 3)
 *     2  the run of frames that its record names: released, unless it was published
 *     2b the vmalloc area that its record names: taken down       (page/vmalloc.ts)
 *     3  entries of its sheaves whose object is FREE: cleared        (they lie in slabs that it still holds)
 *     4  every slab that it holds: recounted and given up            (only now may others take from those)
 *     5  every sheaf that it owns: taken over, its objects put back
 *     6  descriptors of caches that it was creating: given up; those of destroyed caches: emptied
 *        groups that it owned: given up; those that are being freed: completed
 *     7  its record is cleared, its slot becomes OFFLINE
 *
 * Every step works on what is still the dead CPU's, or by now the reaper's own; so each may be cut short:
 *
 * | killed here           | ⇒ reap of the reaper does this                                                       |
 * |-----------------------|--------------------------------------------------------------------------------------|
 * | anywhere in 0 … 7     | takes over the CPUs whose status word names the dead reaper, runs 0 … 7 for each of   |
 * |                       | them first, then for the reaper itself                                               |
 */

import type { Links } from '../kmalloc/link.ts';
import { killPoint } from '../memory/assert.ts';
import {
  type Cpu,
  clearTag,
  generationOf,
  OFFLINE,
  REAPING,
  reaperOf,
  STAT_SHEAF_FLUSH,
  statusOf,
  statusWord,
} from '../memory/cpu.ts';
import { checkInteger, invalid, SlabError } from '../memory/errors.ts';
import {
  C_STATE,
  CPU_FRAMES,
  CPU_FRAMES_AFTER,
  CPU_PENDING_ENTRY,
  CPU_RUN_FRAMES,
  CPU_RUN_HEAD,
  CPU_SCRATCH,
  CPU_SPLIT,
  CPU_STATUS,
  cacheAt,
  cpuAt,
  GRANULE_SHIFT,
  H_EPOCH,
  H_FRAMES,
  PAIR_SHIFT,
  pageAt,
  SCRATCH_CAPACITY,
  SHEAF_CAPACITY,
  SHEAF_WORDS,
  sheavesAt,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { endReading } from '../memory/rcu.ts';
import { publishDeferred } from '../page/deferred.ts';
import {
  CLAIM_OWNER,
  cacheOf,
  FREE,
  KIND_LARGE,
  KIND_NONE,
  KIND_PAGES,
  KIND_RCU,
  KIND_SLAB,
  KIND_VMALLOC,
  kindOf,
  ownerBits,
  PAGE_CLAIM,
  PAGE_FLAGS,
  PAGE_RUN,
  PENDING,
  RELEASING,
} from '../page/page.ts';
import type { FrameAllocator } from '../page/pageAllocator.ts';
import { Vmalloc } from '../page/vmalloc.ts';
import { CACHE_DYING, CACHE_NONE, type CacheTable, cacheStatus, stateAt } from '../slab/cacheTable.ts';
import { forgetCharge, settleCharge } from '../slab/charge.ts';
import type { GroupTable } from '../slab/groupTable.ts';
import type { Sheaves } from '../slab/sheaves.ts';
import type { Slabifier } from '../slab/slabifier.ts';
import { finishDeferring } from '../slab/waiting.ts';

/** What a reap took back: objects from sheaves, slabs and frames that the dead CPU held. */
export interface ReapReport {
  cpu: number;
  objects: number;
  slabs: number;
  pages: number;
}

export class Reaper {
  private readonly metadata: Metadata;
  private readonly m: Int32Array;
  private readonly cpu: Cpu;
  private readonly pages: FrameAllocator;
  private readonly vmalloc: Vmalloc;
  private readonly slabifier: Slabifier;
  private readonly sheaves: Sheaves;
  private readonly table: CacheTable;
  private readonly groups: GroupTable;
  private readonly links: Links;

  constructor(
    metadata: Metadata,
    cpu: Cpu,
    pages: FrameAllocator,
    slabifier: Slabifier,
    sheaves: Sheaves,
    groups: GroupTable,
    links: Links,
  ) {
    this.metadata = metadata;
    this.m = metadata.m;
    this.cpu = cpu;
    this.pages = pages;
    this.vmalloc = new Vmalloc(pages);
    this.slabifier = slabifier;
    this.sheaves = sheaves;
    this.table = slabifier.table;
    this.groups = groups;
    this.links = links;
  }

  /**
   * Reaps CPU `dead` (of that generation, if one is given). Changes nothing if the slot is offline, is of another
   * generation, or has a reaper that is not known to be dead. Cost: O(frames + caches · sheaves).
   */
  reap(dead: number, generation?: number): ReapReport {
    const { m, metadata, cpu } = this;
    const report: ReapReport = { cpu: dead, objects: 0, slabs: 0, pages: 0 };
    if (!Number.isInteger(dead) || dead < 0 || dead >= metadata.layout.cpus) {
      invalid(`${dead} is not a CPU of this heap: they are 0 to ${metadata.layout.cpus - 1}`);
    }
    if (generation !== undefined) checkInteger('a generation', generation, 0, Number.MAX_SAFE_INTEGER);
    if (dead === cpu.id)
      throw new SlabError('EBUSY', `CPU ${dead} is the caller's own: a thread cannot reap itself`);
    this.sheaves.enterSlowPath();
    const at = cpuAt(metadata.layout, dead) + CPU_STATUS;
    const word = Atomics.load(m, at);
    if (statusOf(word) === OFFLINE || (generation !== undefined && generationOf(word) !== generation))
      return report;
    if (statusOf(word) === REAPING) return report;
    const claimed = statusWord(REAPING, cpu.owner, generationOf(word));
    if (Atomics.compareExchange(m, at, word, claimed) !== word) return report;
    killPoint('reap.claimed');
    this.takeOver(dead, report);
    this.run(dead, report);
    return report;
  }

  /** Reaps the slot that this CPU has adopted (`adoptCpu`), as what it was before; then it is offline. */
  reapAdopted(): void {
    const { id } = this.cpu;
    const report: ReapReport = { cpu: id, objects: 0, slabs: 0, pages: 0 };
    this.takeOver(id, report);
    this.run(id, report);
  }

  /** What the dead CPU was reaping when it died is finished first: it may hold slabs that those entries lie in. */
  private takeOver(dead: number, report: ReapReport): void {
    const { m, metadata, cpu } = this;
    for (let id = 0; id < metadata.layout.cpus; id++) {
      const at = cpuAt(metadata.layout, id) + CPU_STATUS;
      const word = Atomics.load(m, at);
      if (statusOf(word) !== REAPING || reaperOf(word) !== dead + 1) continue;
      const claimed = statusWord(REAPING, cpu.owner, generationOf(word));
      if (Atomics.compareExchange(m, at, word, claimed) !== word) continue;
      this.takeOver(id, report);
      this.run(id, report);
    }
  }

  private run(dead: number, report: ReapReport): void {
    const { m, metadata } = this;
    const record = cpuAt(metadata.layout, dead);
    endReading(metadata, dead);
    finishDeferring(metadata, dead);
    settleCharge(metadata, dead);
    this.links.finish(dead);
    this.finishSplit(record, dead);
    killPoint('reap.intents-settled');
    this.finishPending(record, dead);
    this.finishRun(record, dead, report);
    report.pages += this.vmalloc.undo(dead);
    this.forEachSheaf(dead, (_cache, sheaf) => this.dropFreeEntries(sheaf, SHEAF_CAPACITY));
    this.dropFreeEntries(record + CPU_SCRATCH, SCRATCH_CAPACITY);
    killPoint('reap.entries-dropped');
    this.giveUpFrames(dead, report);
    killPoint('reap.slabs-given-up');
    this.forEachSheaf(dead, (cache, sheaf) => this.takeSheaf(dead, cache, sheaf, report));
    this.drainScratch(record + CPU_SCRATCH, report);
    killPoint('reap.sheaves-flushed');
    forgetCharge(metadata, dead);
    this.table.abandon(dead + 1);
    this.pages.collectDeferred();
    this.slabifier.collectWaiting();
    this.emptyDyingCaches();
    this.groups.abandon(dead + 1);
    this.groups.completeAll();
    clearTag(metadata, dead);
    const word = Atomics.load(m, record + CPU_STATUS);
    Atomics.compareExchange(m, record + CPU_STATUS, word, statusWord(OFFLINE, 0, generationOf(word)));
  }

  /** Of objects that stand in two sheaves of the dead CPU, the places in the one that was being split are cleared. */
  private finishSplit(record: number, dead: number): void {
    const { m } = this;
    const split = m[record + CPU_SPLIT];
    if (split === 0) return;
    const elsewhere = new Set<number>();
    this.forEachSheaf(dead, (_cache, sheaf) => {
      if (sheaf === split) return;
      for (let i = 1; i <= SHEAF_CAPACITY; i++) elsewhere.add(m[sheaf + (i << PAIR_SHIFT)]);
    });
    for (let at = split + SHEAF_WORDS - 2; at > split; at -= 1 << PAIR_SHIFT)
      if (m[split] === dead + 1 && elsewhere.has(m[at])) m[at] = 0;
    m[record + CPU_SPLIT] = 0;
  }

  private finishPending(record: number, dead: number): void {
    const { m, metadata } = this;
    const entry = m[record + CPU_PENDING_ENTRY];
    if (entry === 0) return;
    const cache = this.cacheOfEntry(entry);
    if (cache !== 0 && !this.isInSheaf(cache, entry, record, dead)) {
      Atomics.compareExchange(
        metadata.s,
        stateAt(m, cacheAt(metadata.layout, cache), entry),
        RELEASING,
        PENDING,
      );
    }
    m[record + CPU_PENDING_ENTRY] = 0;
  }

  /** Whether the entry still stands in a sheaf of the dead CPU: then it is put back like any other. */
  private isInSheaf(cache: number, entry: number, record: number, dead: number): boolean {
    const { m, metadata } = this;
    if (this.holds(record + CPU_SCRATCH, SCRATCH_CAPACITY, entry)) return true;
    const pool = sheavesAt(metadata.layout, cache);
    for (let i = 0; i < metadata.layout.sheavesPerCache; i++) {
      const sheaf = pool + i * SHEAF_WORDS;
      if (m[sheaf] === dead + 1 && this.holds(sheaf, SHEAF_CAPACITY, entry)) return true;
    }
    return false;
  }

  private holds(sheaf: number, capacity: number, entry: number): boolean {
    for (let i = 1; i <= capacity; i++) if (this.m[sheaf + (i << PAIR_SHIFT)] === entry) return true;
    return false;
  }

  private finishRun(record: number, dead: number, report: ReapReport): void {
    const { m, metadata } = this;
    const head = m[record + CPU_RUN_HEAD];
    if (head === 0) return;
    const page = pageAt(metadata.layout, head);
    const owned = (m[page + PAGE_CLAIM] & CLAIM_OWNER) === ownerBits(dead + 1);
    const kind = kindOf(m[page + PAGE_FLAGS]);
    const published = owned && (kind === KIND_SLAB || kind === KIND_RCU);
    const frames = m[record + CPU_RUN_FRAMES];
    // Before the head is released: a second reaper must find it held to know that the count is still to be set.
    if (owned) m[record + CPU_FRAMES] = m[record + CPU_FRAMES_AFTER] + (published ? frames : 0);
    if (!published) report.pages += this.pages.undoRun(head, frames, dead + 1);
    m[record + CPU_RUN_HEAD] = 0;
  }

  /** Clears entries whose object is FREE: the dead CPU had put it back, or had not yet taken it. */
  private dropFreeEntries(sheaf: number, entries: number): void {
    const { m, metadata } = this;
    for (let i = 1; i <= entries; i++) {
      const at = sheaf + (i << PAIR_SHIFT);
      const entry = m[at];
      if (entry === 0) continue;
      const cache = this.cacheOfEntry(entry);
      if (cache === 0 || metadata.s[stateAt(m, cacheAt(metadata.layout, cache), entry)] === FREE) m[at] = 0;
    }
  }

  private giveUpFrames(dead: number, report: ReapReport): void {
    const { m, metadata } = this;
    const end = Atomics.load(m, H_FRAMES);
    for (let pfn = metadata.layout.startFrame; pfn < end; pfn++) {
      const page = pageAt(metadata.layout, pfn);
      if ((Atomics.load(m, page + PAGE_CLAIM) & CLAIM_OWNER) !== ownerBits(dead + 1)) continue;
      const flags = m[page + PAGE_FLAGS];
      const kind = kindOf(flags);
      if (kind === KIND_SLAB) {
        this.slabifier.recover(cacheOf(flags), pfn);
        report.slabs++;
      } else if (kind === KIND_LARGE || kind === KIND_PAGES || kind === KIND_VMALLOC) {
        this.releaseRun(pfn, dead, report);
      } else if (kind === KIND_RCU) {
        publishDeferred(this.pages, pfn);
      } else if (kind === KIND_NONE) {
        m[page + PAGE_RUN] = 1;
        this.releaseRun(pfn, dead, report);
      }
    }
  }

  /** A run whose free had been begun: its release becomes the dead CPU's intent, so that it can be cut short again. */
  private releaseRun(head: number, dead: number, report: ReapReport): void {
    const { m, metadata } = this;
    const record = cpuAt(metadata.layout, dead);
    const frames = m[pageAt(metadata.layout, head) + PAGE_RUN];
    m[record + CPU_RUN_FRAMES] = frames;
    m[record + CPU_FRAMES_AFTER] = m[record + CPU_FRAMES] - frames;
    m[record + CPU_RUN_HEAD] = head;
    this.finishRun(record, dead, report);
  }

  private takeSheaf(dead: number, cache: number, sheaf: number, report: ReapReport): void {
    const { m, cpu, sheaves } = this;
    if (Atomics.compareExchange(m, sheaf, dead + 1, cpu.owner) !== dead + 1) return;
    sheaves.forgetInBarn(cache, sheaf);
    const flushed = cpu.countedOf(cache, STAT_SHEAF_FLUSH);
    for (let i = 1; i <= SHEAF_CAPACITY; i++) if (m[sheaf + (i << PAIR_SHIFT)] !== 0) report.objects++;
    sheaves.drain(cache, sheaf, 1, SHEAF_CAPACITY);
    sheaves.releaseSheaf(sheaf);
    cpu.bookFlushFor(dead, cache, flushed);
  }

  private drainScratch(scratch: number, report: ReapReport): void {
    const { m, sheaves } = this;
    for (let i = 1; i <= SCRATCH_CAPACITY; i++) {
      const entry = m[scratch + (i << PAIR_SHIFT)];
      if (entry === 0) continue;
      sheaves.drain(this.cacheOfEntry(entry), scratch, i, i);
      report.objects++;
    }
  }

  private emptyDyingCaches(): void {
    const { m, metadata } = this;
    for (let id = 1; id < metadata.layout.caches; id++) {
      const status = cacheStatus(Atomics.load(m, cacheAt(metadata.layout, id) + C_STATE));
      if (status !== CACHE_DYING) continue;
      // Its destroyer may have died before it told the others: they drain their sheaves at their next slow path.
      Atomics.add(m, H_EPOCH, 1);
      this.sheaves.drainBarns(id);
      this.slabifier.shrink(id);
    }
  }

  private cacheOfEntry(entry: number): number {
    const { m, metadata } = this;
    const pfn = entry >>> (metadata.layout.pageShift - GRANULE_SHIFT);
    return cacheOf(m[pageAt(metadata.layout, pfn) + PAGE_FLAGS]);
  }

  private forEachSheaf(dead: number, visit: (cache: number, sheaf: number) => void): void {
    const { m, metadata } = this;
    const { layout } = metadata;
    for (let cache = 1; cache < layout.caches; cache++) {
      if (cacheStatus(m[cacheAt(layout, cache) + C_STATE]) === CACHE_NONE) continue;
      const pool = sheavesAt(layout, cache);
      for (let i = 0; i < layout.sheavesPerCache; i++) {
        const sheaf = pool + i * SHEAF_WORDS;
        if (m[sheaf] === dead + 1) visit(cache, sheaf);
      }
    }
  }
}
