/**
 * Validation: every invariant of every structure, checked by a walk over the whole metadata.
 *
 * While other threads run, what moves is skipped: a slab is looked at while this CPU holds it, and a finding about a
 * word that others may be changing counts only if it is found again each time it is looked at. So a sound heap never
 * yields a Problem, and a heap whose threads are still, with the dead reaped, yields all there are.
 */

import { countSet, hasBit, nextSet } from '../memory/bitmap.ts';
import { type Cpu, OFFLINE, statusOf, usedFrames } from '../memory/cpu.ts';
import type { DataMemory } from '../memory/data.ts';
import { addressOf } from '../memory/entry.ts';
import { hex } from '../memory/errors.ts';
import {
  barnAt,
  C_ALIGN,
  C_CAPACITY,
  C_FLAGS,
  C_FRAMES,
  C_GRANULES,
  C_LEFT,
  C_OBJECTS,
  C_OFFSET_MASK,
  C_ORDER,
  C_PARKED,
  C_RECIPROCAL,
  C_RECIPROCAL_SHIFT,
  C_SIZE,
  C_SLAB_SHIFT,
  C_STATE_SHIFT,
  C_STATES,
  C_STRIDE,
  C_TRACK,
  CPU_CHARGE,
  CPU_LINK_ENTRY,
  CPU_PENDING_ENTRY,
  CPU_RCU_DEFERRING,
  CPU_RUN_HEAD,
  CPU_SCRATCH,
  CPU_SPLIT,
  CPU_STATUS,
  CPU_VMALLOC_HEAD,
  cacheAt,
  cpuAt,
  G_STATE,
  GRANULE_SHIFT,
  GROUPS,
  groupAt,
  H_CACHES_TAKEN,
  H_FRAMES,
  H_MAGIC,
  H_VERSION,
  MAGIC,
  PAIR_SHIFT,
  PARKED_MAX,
  pageAt,
  partialAt,
  SCRATCH_CAPACITY,
  SHEAF_CAPACITY,
  SHEAF_WORDS,
  sheavesAt,
  VERSION,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import type { SlabReport } from '../memory/report.ts';
import {
  CACHED,
  CLAIM_DEFERRED,
  CLAIM_FROZEN,
  CLAIM_LIVE,
  CLAIM_PENDING,
  CLAIM_TAIL,
  CLAIM_USED,
  CONTINUED,
  COUNT_MASK,
  cacheOf,
  FREE,
  isLive,
  isWaiting,
  KIND_LARGE,
  KIND_NONE,
  KIND_PAGES,
  KIND_RCU,
  KIND_SLAB,
  KIND_SLAB_TAIL,
  KIND_TAIL,
  KIND_VMALLOC,
  kindOf,
  OWNER_PARKED,
  ownerOf,
  PAGE_CLAIM,
  PAGE_FIRST_FREE,
  PAGE_FLAGS,
  PAGE_GROUP,
  PAGE_HEAD,
  PAGE_RUN,
  PAGE_VPN,
  PENDING,
  RELEASING,
} from '../page/page.ts';
import { forEachEntry, frameAt, PTE_AREA, PTE_CLAIMED, PTE_PAGE, valueOf, walk } from '../page/pageTable.ts';
import {
  CACHE_CANDIDATE,
  CACHE_CREATING,
  CACHE_READY,
  type CacheTable,
  cacheCreator,
  cacheStatus,
  firstStateAt,
  headOf,
  stateAt,
} from '../slab/cacheTable.ts';
import { rowSum } from '../slab/charge.ts';
import { countAllObjects, forEachSlab, isSlabOf } from '../slab/count.ts';
import { codeOf, type DebugAllocator } from '../slab/debugAllocator.ts';
import { describesSlab, framesOfSlab } from '../slab/describe.ts';
import { SLAB, SLAB_DEBUG } from '../slab/flags.ts';
import { type SlabGeometry, slabGeometry } from '../slab/geometry.ts';
import { forEachHead, granuleStatesAt, isSlob, lengthAt, slabsOf } from '../slab/granules.ts';
import { GROUP_DYING, groupStatus } from '../slab/groupState.ts';
import { IN_BARN } from '../slab/sheaves.ts';
import type { Slabifier } from '../slab/slabifier.ts';
import { ObjectChecks } from './objectChecks.ts';

/** An invariant that does not hold. */
export interface Problem {
  /** Which: `EHEADER EFRAME ERUN ESLAB EPARTIAL EPARKED ESHEAF EBARN ECACHEDESC ECPU ECOUNT EGROUP
   * EFROZEN EVMALLOC ECORRUPT ESHUTDOWN EREDZONE EPOISON`. */
  code: string;
  message: string;
  address?: number;
  cache?: string;
  /** What slab debugging has to say: codes `EREDZONE EPOISON ECORRUPT`. */
  report?: SlabReport;
}

/** Words of a CPU's record that are 0 between operations. */
const INTENTS: readonly number[] = [
  CPU_RUN_HEAD,
  CPU_PENDING_ENTRY,
  CPU_RCU_DEFERRING,
  CPU_VMALLOC_HEAD,
  CPU_CHARGE,
  CPU_LINK_ENTRY,
  CPU_SPLIT,
];
/** Times that a finding about words that move must be made before it counts. */
const CONFIRMATIONS = 4;
/** Problems after which the walk stops. */
const PROBLEMS_MAX = 100;

type Finding = Problem | undefined;

export class Validator {
  private readonly metadata: Metadata;
  private readonly m: Int32Array;
  private readonly s: Uint8Array;
  private readonly cpu: Cpu;
  private readonly data: DataMemory;
  private readonly slabifier: Slabifier;
  private readonly table: CacheTable;
  private readonly debugging: DebugAllocator;
  private readonly objects: ObjectChecks;
  private problems: Problem[] = [];

  constructor(
    metadata: Metadata,
    cpu: Cpu,
    data: DataMemory,
    slabifier: Slabifier,
    table: CacheTable,
    debugging: DebugAllocator,
  ) {
    this.metadata = metadata;
    this.debugging = debugging;
    this.objects = new ObjectChecks(metadata, debugging);
    this.m = metadata.m;
    this.s = metadata.s;
    this.cpu = cpu;
    this.data = data;
    this.slabifier = slabifier;
    this.table = table;
  }

  /** All problems found, at most a hundred; never throws. Cost: O(frames + objects + caches · sheaves). */
  validate(): Problem[] {
    this.problems = [];
    try {
      this.cpu.checkOnline();
      this.checkHeader();
      this.checkCpus();
      this.checkCaches();
      this.checkFrames();
      this.checkAreas();
      this.checkUsedFrames();
      forEachSlab(this.metadata, (head, cache) => this.checkSlab(head, cache));
      this.checkPartialBits();
      this.checkParked();
      this.checkSheaves();
      this.checkGroups();
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'ECORRUPT';
      this.problems.push({ code, message: error instanceof Error ? error.message : String(error) });
    }
    return this.problems;
  }

  private report(problem: Finding): void {
    if (problem !== undefined && this.problems.length < PROBLEMS_MAX) this.problems.push(problem);
  }

  /** Reports what `look` finds if it finds it each time; whether it did. */
  private confirm(look: () => Finding): boolean {
    let finding: Finding;
    for (let i = 0; i < CONFIRMATIONS; i++) {
      finding = look();
      if (finding === undefined) return false;
    }
    this.report(finding);
    return true;
  }

  private addressOfFrame(pfn: number): number {
    return pfn * 2 ** this.metadata.layout.pageShift;
  }

  private checkHeader(): void {
    const { m, metadata } = this;
    const { layout } = metadata;
    if (m[H_MAGIC] !== MAGIC || m[H_VERSION] !== VERSION) {
      this.report({ code: 'EHEADER', message: 'the header has lost its magic number or version' });
    }
    const frames = Atomics.load(m, H_FRAMES);
    const bytes = this.addressOfFrame(frames);
    if (frames < layout.startFrame || frames > layout.maxFrames || bytes > this.data.buffer.byteLength) {
      this.report({
        code: 'EHEADER',
        message: `the heap is said to end at ${hex(bytes)}, where it has no memory`,
      });
    }
    const taken = Atomics.load(m, H_CACHES_TAKEN);
    for (let id = Math.max(1, taken); id < layout.caches; id++) {
      // Descriptors are claimed after they are counted: one that is claimed now is counted by now.
      if (Atomics.load(m, cacheAt(layout, id)) === 0 || Atomics.load(m, H_CACHES_TAKEN) > id) continue;
      this.report({
        code: 'EHEADER',
        message: `cache descriptor ${id} is or was in use, those ever taken are said to end at ${taken}`,
      });
      return;
    }
  }

  private cpuIsOnline(owner: number): boolean {
    if (owner < 1 || owner > this.metadata.layout.cpus) return false;
    return statusOf(Atomics.load(this.m, cpuAt(this.metadata.layout, owner - 1) + CPU_STATUS)) !== OFFLINE;
  }

  private checkCpus(): void {
    const { m, metadata } = this;
    for (let id = 0; id < metadata.layout.cpus; id++) {
      const record = cpuAt(metadata.layout, id);
      this.confirm(() => {
        const idle = !this.cpuIsOnline(id + 1) || id === this.cpu.id;
        if (!idle) return undefined;
        let busy = INTENTS.some((word) => m[record + word] !== 0);
        for (let i = 1; i <= SCRATCH_CAPACITY; i++)
          busy ||= m[record + CPU_SCRATCH + (i << PAIR_SHIFT)] !== 0;
        return busy
          ? { code: 'ECPU', message: `CPU ${id} is idle or offline, but its record names work` }
          : undefined;
      });
    }
  }

  /** No two READY caches have one name. */
  private checkNames(): void {
    const { m, metadata, table } = this;
    const known = new Map<string, number>();
    for (const id of table.ready()) {
      const name = table.name(id);
      const other = known.get(name);
      known.set(name, id);
      if (other === undefined) continue;
      this.confirm(() => {
        const state = Atomics.load(m, cacheAt(metadata.layout, id));
        const isOther = table.ready().includes(other) && table.name(other) === name;
        // As long as this one stays what it is, the other was READY beside it.
        const isStill = table.name(id) === name && Atomics.load(m, cacheAt(metadata.layout, id)) === state;
        return isOther && isStill && cacheStatus(state) === CACHE_READY
          ? {
              code: 'ECACHEDESC',
              message: `caches ${other} and ${id} are both called '${name}'`,
              cache: name,
            }
          : undefined;
      });
    }
  }

  /** What is being created has a creator. */
  private checkCreators(): void {
    const { m, metadata, table } = this;
    for (const id of table.inUse()) {
      this.confirm(() => {
        const state = Atomics.load(m, cacheAt(metadata.layout, id));
        const isBegun = [CACHE_CREATING, CACHE_CANDIDATE].includes(cacheStatus(state));
        const creator = cacheCreator(state);
        return isBegun && !this.cpuIsOnline(creator)
          ? {
              code: 'ECACHEDESC',
              message: `descriptor ${id} is being made by CPU ${creator - 1}, which is offline`,
            }
          : undefined;
      });
    }
  }

  private checkCaches(): void {
    this.checkNames();
    this.checkCreators();
    for (const id of this.table.ready()) this.confirm(() => this.lookAtCache(id));
  }

  /** A finding about a descriptor counts if it has been one and the same cache's all the while. */
  private lookAtCache(id: number): Finding {
    const cache = cacheAt(this.metadata.layout, id);
    const state = Atomics.load(this.m, cache);
    if (cacheStatus(state) !== CACHE_READY) return undefined;
    const name = this.table.name(id);
    if (this.isConsistent(cache) || Atomics.load(this.m, cache) !== state) return undefined;
    return { code: 'ECACHEDESC', message: `the descriptor of '${name}' contradicts itself`, cache: name };
  }

  /** Whether a descriptor says of its slabs what its size, alignment and flags make of them. */
  private isConsistent(cache: number): boolean {
    const { m, metadata } = this;
    const { pageShift, stateRegions } = metadata.layout;
    let want: SlabGeometry;
    try {
      want = slabGeometry(m[cache + C_SIZE], m[cache + C_ALIGN], m[cache + C_FLAGS], pageShift);
    } catch {
      // Words that no geometry comes of: damage, or somebody is writing them.
      return false;
    }
    return (
      want.stride === m[cache + C_STRIDE] &&
      want.left >>> GRANULE_SHIFT === m[cache + C_LEFT] &&
      want.track === m[cache + C_TRACK] &&
      want.objects === m[cache + C_OBJECTS] &&
      want.frames === m[cache + C_FRAMES] &&
      want.granules === m[cache + C_GRANULES] &&
      want.reciprocal === m[cache + C_RECIPROCAL] &&
      want.reciprocalShift === m[cache + C_RECIPROCAL_SHIFT] &&
      want.order === m[cache + C_ORDER] &&
      want.stateShift === m[cache + C_STATE_SHIFT] &&
      stateRegions[want.stateRegion] === m[cache + C_STATES] &&
      want.slabShift === m[cache + C_SLAB_SHIFT] &&
      want.offsetMask === m[cache + C_OFFSET_MASK] &&
      want.capacity === m[cache + C_CAPACITY]
    );
  }

  private checkFrames(): void {
    const { m, metadata } = this;
    const { layout } = metadata;
    const end = Atomics.load(m, H_FRAMES);
    for (let pfn = layout.startFrame; pfn < end; pfn++) {
      const page = pageAt(layout, pfn);
      this.confirm(() => this.lookAtFrame(pfn, page));
    }
  }

  /** Every entry of vmalloc's page table: an area with its pages, a page of one, or held by somebody. */
  private checkAreas(): void {
    const { m, metadata } = this;
    let end = 0;
    forEachEntry(metadata, (vpn, first) => {
      this.confirm(() => {
        const at = walk(metadata, vpn);
        const entry = at === 0 ? 0 : Atomics.load(m, at);
        const problem = (message: string): Problem => ({
          code: 'EVMALLOC',
          message: `entry ${vpn} of the page table: ${message}`,
        });
        if ((entry & PTE_CLAIMED) !== 0)
          return this.cpuIsOnline(valueOf(entry)) ? undefined : problem('is held by a CPU that is offline');
        if ((entry & PTE_AREA) !== 0) {
          const mapped = frameAt(metadata, vpn + valueOf(entry));
          return valueOf(entry) === 0 || mapped !== 0 ? undefined : problem('its area lacks its last page');
        }
        if ((entry & PTE_PAGE) === 0) return undefined;
        const page = pageAt(metadata.layout, valueOf(entry));
        if (kindOf(m[page + PAGE_FLAGS]) !== KIND_VMALLOC || m[page + PAGE_VPN] !== vpn)
          return problem(`maps frame ${valueOf(entry)}, which is no page of it`);
        return vpn < end || this.aloneAs() === undefined
          ? undefined
          : problem('maps a frame, but belongs to no area');
      });
      if ((first & PTE_AREA) !== 0) end = vpn + valueOf(first) + 1;
    });
  }

  /** What the CPUs count as used is what the bitmap says; others may be between the two. */
  private checkUsedFrames(): void {
    const { m, metadata } = this;
    const alone = this.aloneAs();
    const { startFrame, freeBitmap } = metadata.layout;
    const frames = Atomics.load(m, H_FRAMES);
    const used = frames - startFrame - countSet(m, freeBitmap, startFrame, frames);
    const counted = usedFrames(metadata);
    if (counted === used || alone === undefined || alone !== this.aloneAs()) return;
    this.report({
      code: 'ECOUNT',
      message: `${counted} frames are counted as used, but ${used} are`,
    });
  }

  private lookAtFrame(pfn: number, page: number): Finding {
    const { m, metadata } = this;
    const claim = Atomics.load(m, page + PAGE_CLAIM);
    const kind = kindOf(m[page + PAGE_FLAGS]);
    const address = this.addressOfFrame(pfn);
    const owner = ownerOf(claim);
    const problem = (code: string, message: string): Problem => ({
      code,
      message: `frame ${pfn}: ${message}`,
      address,
    });
    if (owner !== 0 && owner !== OWNER_PARKED) {
      return this.cpuIsOnline(owner)
        ? undefined
        : problem('EFRAME', `is held by CPU ${owner - 1}, which is offline`);
    }
    const bit = hasBit(m, metadata.layout.freeBitmap, pfn);
    if (claim === 0) {
      if (!bit) return problem('EFRAME', 'is free, but its bit is clear');
      return kind === KIND_NONE ? undefined : problem('EFRAME', `is free, but of kind ${kind}`);
    }
    if (bit) return problem('EFRAME', 'is in use, but its free bit is set');
    if (kind === KIND_TAIL || kind === KIND_SLAB_TAIL) return this.lookAtTail(pfn, page, claim, problem);
    if (kind === KIND_LARGE || kind === KIND_PAGES) {
      if (kind === KIND_LARGE) this.checkLarge(pfn);
      if (claim !== (CLAIM_USED | CLAIM_LIVE))
        return problem('ERUN', `a run has claim word ${hex(claim >>> 0)}`);
      return this.lookAtRun(pfn, m[page + PAGE_RUN], problem);
    }
    if (kind === KIND_VMALLOC) {
      if (claim !== (CLAIM_USED | CLAIM_LIVE))
        return problem('ERUN', `a frame of an area has claim word ${hex(claim >>> 0)}`);
      return frameAt(metadata, m[page + PAGE_VPN]) === pfn
        ? undefined
        : problem('ERUN', 'belongs to a vmalloc area that does not map it');
    }
    if (kind === KIND_RCU) return this.lookAtDeferred(pfn, page, claim, problem);
    if (kind === KIND_SLAB)
      return (claim & CLAIM_LIVE) === 0 ? undefined : problem('ESLAB', 'a slab is marked LIVE');
    return problem('EFRAME', `is in use, but of kind ${kind}`);
  }

  /** What slab debugging says of a large object. It puts right what it finds. */
  private checkLarge(pfn: number): void {
    const report = this.debugging.large.check(pfn);
    if (report === undefined) return;
    this.debugging.context.reporter.publish(report, true);
    const { address, cache, text: message } = report;
    this.report({ code: 'EREDZONE', message, address, cache, report });
  }

  /** A run that waits for a grace period. */
  private lookAtDeferred(
    pfn: number,
    page: number,
    claim: number,
    problem: (code: string, message: string) => Problem,
  ): Finding {
    const { m, metadata } = this;
    if (claim !== CLAIM_DEFERRED) return problem('ERUN', `a waiting run has claim word ${hex(claim >>> 0)}`);
    if (!hasBit(m, metadata.layout.deferredBitmap, pfn))
      return problem('ERUN', 'a run waits for a grace period, but its deferred bit is clear');
    return this.lookAtRun(pfn, m[page + PAGE_RUN], problem);
  }

  private lookAtRun(pfn: number, run: number, problem: (code: string, message: string) => Problem): Finding {
    const { m, metadata } = this;
    if (run < 1 || pfn + run > Atomics.load(m, H_FRAMES))
      return problem('ERUN', `has a run of ${run} frames, which the heap has not from here on`);
    for (let tail = pfn + 1; tail < pfn + run; tail++) {
      const page = pageAt(metadata.layout, tail);
      if (kindOf(m[page + PAGE_FLAGS]) === KIND_TAIL && m[page + PAGE_HEAD] === pfn) continue;
      return problem('ERUN', `its run of ${run} frames has frame ${tail}, which is no tail of it`);
    }
    return undefined;
  }

  private lookAtTail(
    pfn: number,
    page: number,
    claim: number,
    problem: (code: string, message: string) => Problem,
  ): Finding {
    const { m, metadata } = this;
    const head = m[page + PAGE_HEAD];
    if (claim !== CLAIM_TAIL) return problem('ERUN', `a tail has claim word ${hex(claim >>> 0)}`);
    if (head < metadata.layout.startFrame || head >= pfn)
      return problem('ERUN', `a tail names frame ${head} as its head`);
    const headPage = pageAt(metadata.layout, head);
    const owner = ownerOf(m[headPage + PAGE_CLAIM]);
    if (owner !== 0 && owner !== OWNER_PARKED) return undefined;
    const flags = m[page + PAGE_FLAGS];
    if (kindOf(flags) === KIND_SLAB_TAIL && cacheOf(flags) !== cacheOf(m[headPage + PAGE_FLAGS])) {
      return problem('ERUN', `is a tail of cache ${cacheOf(flags)}, but its head ${head} is not`);
    }
    return head + m[headPage + PAGE_RUN] > pfn
      ? undefined
      : problem('ERUN', `lies behind the run of its head ${head}`);
  }

  /** Holds the slab and checks its states against its counts. Skips it if somebody else holds it. */
  private checkSlab(head: number, cache: number): void {
    const { m, metadata } = this;
    const page = pageAt(metadata.layout, head);
    const claim = m[page + PAGE_CLAIM];
    if ((claim & CLAIM_FROZEN) !== 0) {
      // A frame that waits for a grace period has this bit too.
      if (!isSlabOf(metadata, head, cache)) return;
      const name = this.table.name(cache);
      const address = this.addressOfFrame(head);
      const message = `slab of '${name}' at ${hex(address)}: was found damaged, and is out of use`;
      this.report({ code: 'EFROZEN', message, address, cache: name });
      return;
    }
    const isDebugged = (m[cacheAt(metadata.layout, cache) + C_FLAGS] & SLAB_DEBUG) !== 0;
    if (isDebugged) this.checkObjects(head, cache);
    if (ownerOf(claim) === OWNER_PARKED) {
      const damaged = this.confirm(() => this.lookAtParked(head, cache, page));
      if (damaged) this.slabifier.freezeParked(cache, head);
      return;
    }
    this.slabifier.withSlab(cache, head, () => {
      const finding = this.lookAtStates(head, cache, page, false);
      this.report(finding);
      // A wrong partial bit is put right when the slab is let go; all else is damage.
      return finding === undefined || finding.code === 'EPARTIAL';
    });
  }

  /** A finding counts if the slab has been parked, and its cache's, all the while: its frame may be another's by now. */
  private lookAtParked(head: number, cache: number, page: number): Finding {
    const claim = Atomics.load(this.m, page + PAGE_CLAIM);
    const finding = this.lookAtStates(head, cache, page, true);
    const isStill = Atomics.load(this.m, page + PAGE_CLAIM) === claim && isSlabOf(this.metadata, head, cache);
    return isStill && ownerOf(claim) === OWNER_PARKED ? finding : undefined;
  }

  /** What slab debugging says of the slab's objects. It puts right what it finds. */
  private checkObjects(head: number, cache: number): void {
    const { objects, slabifier } = this;
    const before = objects.reports.length;
    const check = (): number => objects.check(cache, head);
    if (!slabifier.withSlab(cache, head, check)) slabifier.withParked(cache, head, check);
    for (const report of objects.reports.slice(before)) {
      const { address } = report;
      this.report({
        code: codeOf(report.findings),
        message: report.text,
        address,
        cache: report.cache,
        report,
      });
    }
  }

  private lookAtStates(head: number, cache: number, page: number, parked: boolean): Finding {
    const { m, s, metadata } = this;
    const claim = Atomics.load(m, page + PAGE_CLAIM);
    if (parked && ownerOf(claim) !== OWNER_PARKED) return undefined;
    const name = this.table.name(cache);
    const address = this.addressOfFrame(head);
    const problem = (code: string, message: string): Problem => ({
      code,
      message: `slab of '${name}' at ${hex(address)}: ${message}`,
      address,
      cache: name,
    });
    const descriptor = cacheAt(metadata.layout, cache);
    const states = firstStateAt(m, descriptor, head);
    const objects = m[descriptor + C_OBJECTS];
    const count = claim & COUNT_MASK;
    const slob = isSlob(metadata, cache);
    let free = 0;
    let first = objects;
    for (let index = objects - 1; index >= 0; index--) {
      const state = s[states + index];
      if (state === FREE) {
        free++;
        first = index;
      } else if (isWaiting(state)) {
        // While others run, one of them may be about to set it.
        if (!hasBit(m, metadata.layout.deferredBitmap, head) && this.aloneAs() !== undefined)
          return problem('ESLAB', `object ${index} waits for a grace period, but the slab's bit is clear`);
      } else if (state === CONTINUED && slob) {
        if (index === 0 || s[states + index - 1] === FREE)
          return problem('ESLAB', `granule ${index} continues an object that is not there`);
      } else if (state !== CACHED && state !== RELEASING && state !== PENDING && !isLive(state)) {
        return problem('ESLAB', `object ${index} has state ${state}, which means nothing`);
      }
    }
    if (free !== count) return problem('ECOUNT', `counts ${count} free objects, but ${free} are`);
    if (first < m[page + PAGE_FIRST_FREE])
      return problem('ESLAB', `object ${first} is free below the first-free hint`);
    const stray = slob ? this.lookAtRuns(head, cache) : undefined;
    if (stray !== undefined) return problem('ESLAB', stray);
    for (let pfn = head; pfn < head + framesOfSlab(m, descriptor); pfn++) {
      if (!describesSlab(metadata, descriptor, head, pfn))
        return problem('ESLAB', `frame ${pfn} describes another slab`);
    }
    const bit = hasBit(m, partialAt(metadata.layout, cache), head);
    if (parked) {
      if (count !== objects) return problem('EPARKED', `is parked with ${objects - count} objects in use`);
      return bit ? problem('EPARTIAL', 'is parked, but its partial bit is set') : undefined;
    }
    if (count > 0 && !bit)
      return problem('EPARTIAL', `has ${count} free objects, but its partial bit is clear`);
    const pending = (Atomics.load(m, page + PAGE_CLAIM) & CLAIM_PENDING) !== 0;
    return count === 0 && bit && !pending
      ? problem('EPARTIAL', 'is full, but its partial bit is set')
      : undefined;
  }

  /** What is wrong with an object of a page that caches share: each is of a cache that lies there, and as long as its objects. */
  private lookAtRuns(head: number, pages: number): string | undefined {
    const { m, s, metadata } = this;
    const states = granuleStatesAt(metadata.layout, head);
    let wrong: string | undefined;
    forEachHead(metadata, head, (granule, state, owner) => {
      const descriptor = cacheAt(metadata.layout, owner);
      const isNamed = owner > 0 && owner < metadata.layout.caches && slabsOf(metadata, owner) === pages;
      const length = lengthAt(s, states + granule);
      if (!isNamed)
        wrong = `the object at granule ${granule} is of cache ${owner}, which is not in such pages`;
      else if (isLive(state) && length !== m[descriptor + C_STRIDE] >>> GRANULE_SHIFT)
        wrong = `the object at granule ${granule} has ${length} granules, those of its cache others`;
    });
    return wrong;
  }

  /** A set partial bit stands for a slab of its cache. */
  private checkPartialBits(): void {
    const { m, metadata } = this;
    const end = metadata.layout.maxFrames;
    for (const cache of this.table.ready()) {
      const bitmap = partialAt(metadata.layout, cache);
      for (let pfn = nextSet(m, bitmap, 0, end); pfn < end; pfn = nextSet(m, bitmap, pfn + 1, end)) {
        const page = pageAt(metadata.layout, pfn);
        this.confirm(() => {
          const sound = kindOf(m[page + PAGE_FLAGS]) === KIND_SLAB && cacheOf(m[page + PAGE_FLAGS]) === cache;
          if (sound || !hasBit(m, bitmap, pfn)) return undefined;
          const name = this.table.name(cache);
          return {
            code: 'EPARTIAL',
            message: `frame ${pfn} is listed as a partial slab of '${name}'`,
            cache: name,
          };
        });
      }
    }
  }

  /** A slot names a parked slab of its cache, and every parked slab stands in one slot. */
  private checkParked(): void {
    const { m, metadata } = this;
    const { layout } = metadata;
    for (const cache of this.table.ready()) {
      const slots = cacheAt(layout, cache) + C_PARKED;
      for (let i = 0; i < PARKED_MAX; i++) {
        this.confirm(() => {
          const head = Atomics.load(m, slots + i);
          if (head === 0) return undefined;
          const page = pageAt(layout, head);
          const owner = ownerOf(Atomics.load(m, page + PAGE_CLAIM));
          if (owner !== OWNER_PARKED && this.cpuIsOnline(owner)) return undefined;
          const isFirst = !m.subarray(slots, slots + i).includes(head);
          const sound = owner === OWNER_PARKED && cacheOf(m[page + PAGE_FLAGS]) === cache && isFirst;
          if (sound || Atomics.load(m, slots + i) !== head) return undefined;
          return {
            code: 'EPARKED',
            message: `slot ${i} of cache ${cache} names frame ${head}, which ${isFirst ? 'is not parked' : 'another names too'}`,
          };
        });
      }
    }
    forEachSlab(this.metadata, (head, cache) => {
      const slots = cacheAt(layout, cache) + C_PARKED;
      this.confirm(() => {
        const parked = ownerOf(Atomics.load(m, pageAt(layout, head) + PAGE_CLAIM)) === OWNER_PARKED;
        if (!parked || m.subarray(slots, slots + PARKED_MAX).includes(head)) return undefined;
        // By now it may be another cache's.
        if (!isSlabOf(this.metadata, head, cache)) return undefined;
        return { code: 'EPARKED', message: `frame ${head} is parked, but no slot names it` };
      });
    });
  }

  private checkSheaves(): void {
    const { metadata } = this;
    const { layout } = metadata;
    const alone = this.aloneAs();
    const counts = alone === undefined ? [] : countAllObjects(metadata);
    for (const cache of this.table.ready()) {
      const seen = new Map<number, number>();
      const pool = sheavesAt(layout, cache);
      for (let number = 0; number < layout.sheavesPerCache; number++) {
        const sheaf = pool + number * SHEAF_WORDS;
        this.confirm(() => this.lookAtSheaf(cache, sheaf, number));
        for (let i = 1; i <= SHEAF_CAPACITY; i++)
          this.lookForDuplicate(cache, seen, sheaf + (i << PAIR_SHIFT));
      }
      if (alone !== undefined && counts[cache].cached !== seen.size && alone === this.aloneAs()) {
        const name = this.table.name(cache);
        const message = `'${name}' has ${counts[cache].cached} objects cached, but its sheaves hold ${seen.size}`;
        this.report({ code: 'ECOUNT', message, cache: name });
      }
    }
  }

  /** What is charged to each group is what its live objects have, object by object. */
  private checkGroups(): void {
    const { m, metadata } = this;
    const { layout } = metadata;
    const alone = this.aloneAs();
    if (alone === undefined) return;
    const live = this.chargedByGroup();
    const findings: Problem[] = [];
    for (let group = 1; group < GROUPS; group++) {
      const status = groupStatus(m[groupAt(layout, group) + G_STATE]);
      const charged = rowSum(metadata, group);
      const found = live.get(group) ?? 0;
      if (status === GROUP_DYING || charged === found || alone !== this.aloneAs()) continue;
      const message = `group ${group} is charged ${charged} granules, but its live objects have ${found}`;
      findings.push({ code: 'EGROUP', message });
    }
    if (this.aloneAs() === alone) for (const finding of findings) this.report(finding);
  }

  /** Granules of live objects by group. */
  private chargedByGroup(): Map<number, number> {
    const { m, s, metadata } = this;
    const { layout } = metadata;
    const charged = new Map<number, number>();
    const add = (group: number, granules: number): void => {
      if (granules !== 0) charged.set(group, (charged.get(group) ?? 0) + granules);
    };
    for (let pfn = layout.startFrame; pfn < m[H_FRAMES]; pfn++) {
      const page = pageAt(layout, pfn);
      const flags = m[page + PAGE_FLAGS];
      const group = m[page + PAGE_GROUP];
      if (group !== 0 && kindOf(flags) === KIND_LARGE)
        add(group, m[page + PAGE_RUN] << (layout.pageShift - GRANULE_SHIFT));
      if (kindOf(flags) !== KIND_SLAB) continue;
      const descriptor = cacheAt(layout, cacheOf(flags));
      if ((m[descriptor + C_FLAGS] & SLAB.ACCOUNT) === 0) continue;
      const states = firstStateAt(m, descriptor, pfn);
      for (let at = states; at < states + m[descriptor + C_OBJECTS]; at++)
        if (isLive(s[at])) add(group, m[descriptor + C_GRANULES]);
    }
    return charged;
  }

  /**
   * All status words while no CPU but this one is online, else undefined. They carry generations: so if they are the same
   * before and after a count, nobody has come in between, not even to leave again.
   */
  private aloneAs(): string | undefined {
    const { m, cpu, metadata } = this;
    const words: number[] = [];
    for (let id = 0; id < metadata.layout.cpus; id++) {
      const word = Atomics.load(m, cpuAt(metadata.layout, id) + CPU_STATUS);
      if (id !== cpu.id && statusOf(word) !== OFFLINE) return undefined;
      words.push(word);
    }
    return words.join();
  }

  private lookForDuplicate(cache: number, seen: Map<number, number>, at: number): void {
    const { m } = this;
    const entry = m[at];
    if (entry === 0) return;
    const before = seen.get(entry);
    seen.set(entry, at);
    if (before === undefined) return;
    this.confirm(() => {
      if (this.isBeingSplit(at) || this.isBeingSplit(before)) return undefined;
      if (m[at] !== entry || m[before] !== entry) return undefined;
      const address = addressOf(entry);
      return {
        code: 'ESHEAF',
        message: `${hex(address)} stands in two sheaves`,
        address,
        cache: this.table.name(cache),
      };
    });
  }

  /** Whether the sheaf at whose word `at` an entry stands is one whose upper half its CPU is moving. */
  private isBeingSplit(at: number): boolean {
    const { m, metadata } = this;
    const sheaf = at - (at % SHEAF_WORDS);
    const cpu = Atomics.load(m, sheaf) - 1;
    return cpu >= 0 && cpu < metadata.layout.cpus && m[cpuAt(metadata.layout, cpu) + CPU_SPLIT] === sheaf;
  }

  private lookAtSheaf(cache: number, sheaf: number, number: number): Finding {
    const { m, metadata } = this;
    const { layout } = metadata;
    const owner = Atomics.load(m, sheaf);
    const name = this.table.name(cache);
    const problem = (code: string, message: string): Finding =>
      Atomics.load(m, sheaf) === owner
        ? { code, message: `sheaf ${number} of '${name}': ${message}`, cache: name }
        : undefined;
    const inBarn =
      countSet(m, barnAt(layout, cache, 0), number, number + 1) + this.bitsElsewhere(cache, number);
    let used = 0;
    for (let i = 1; i <= SHEAF_CAPACITY; i++) if (m[sheaf + (i << PAIR_SHIFT)] !== 0) used++;
    if (owner === 0) {
      if (used !== 0) return problem('ESHEAF', `is nobody's, but holds ${used} objects`);
      return inBarn === 0 ? undefined : problem('EBARN', `is nobody's, but a barn names it`);
    }
    if (owner === IN_BARN) {
      if (inBarn !== 1) return problem('EBARN', `is in a barn, but ${inBarn} barns name it`);
      const capacity = m[cacheAt(layout, cache) + C_CAPACITY];
      if (used !== capacity) return problem('EBARN', `is in a barn with ${used} objects, not ${capacity}`);
    } else if (!this.cpuIsOnline(owner)) {
      return problem('ESHEAF', `belongs to CPU ${owner - 1}, which is offline`);
    }
    const pairs = m.subarray(sheaf, sheaf + SHEAF_WORDS);
    const entries = pairs.filter((_, word) => word > 1 && (word & 1) === 0);
    const still = owner === IN_BARN || owner === this.cpu.owner;
    const descriptor = cacheAt(layout, cache);
    const misplaced = entries.some(
      (e, i) => e !== 0 && pairs[((i + 1) << PAIR_SHIFT) + 1] !== stateAt(m, descriptor, e),
    );
    if (still && misplaced) return problem('ESHEAF', 'names another state than that of its object');
    return this.lookAtEntries(cache, entries, still, problem);
  }

  private bitsElsewhere(cache: number, number: number): number {
    let bits = 0;
    for (let node = 1; node < this.metadata.layout.nodes; node++) {
      if (hasBit(this.m, barnAt(this.metadata.layout, cache, node), number)) bits++;
    }
    return bits;
  }

  private lookAtEntries(
    cache: number,
    entries: Int32Array,
    still: boolean,
    problem: (code: string, message: string) => Finding,
  ): Finding {
    const { m, s, metadata } = this;
    const descriptor = cacheAt(metadata.layout, cache);
    const slabs = slabsOf(metadata, cache);
    for (const entry of entries) {
      if (entry === 0) continue;
      const page = pageAt(metadata.layout, headOf(m, descriptor, entry));
      if (kindOf(m[page + PAGE_FLAGS]) !== KIND_SLAB || cacheOf(m[page + PAGE_FLAGS]) !== slabs) {
        return problem('ESHEAF', `${hex(addressOf(entry))} is in no slab of the cache`);
      }
      const state = s[stateAt(m, descriptor, entry)];
      if (still && state !== CACHED)
        return problem('ESHEAF', `${hex(addressOf(entry))} has state ${state}, not CACHED`);
    }
    return undefined;
  }
}
