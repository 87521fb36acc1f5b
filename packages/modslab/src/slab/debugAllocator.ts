/**
 * Slab debugging: the derivation that runs the parts (debugPart.ts) which a cache's flags ask for.
 *
 *     alloc:  may it succeed? · an object of the base · is it as its last user left it? · its zones, track and bytes · ARMED
 *     free:   is it a live object? · ARMED → LIVE · are its zones as they should be? · made inactive · back to the base
 *
 * The flags are in the descriptor, so it does not matter through which stack, by which thread or by which call an object comes
 * back: kfree and the handles of the heap hand over to this thread's `DebugAllocator` (`CacheTable.allocatorOf`). Sheaves
 * refuse to open such caches; so the fast paths meet them as they meet a cache that is not in use, and pay nothing.
 *
 * What is found damaged is reported, put right, and the operation is completed; then a free throws, and an allocation
 * returns its object. debugObject.ts has the states, and what a kill leaves.
 */

import type { Cpu } from '../memory/cpu.ts';
import type { DataMemory } from '../memory/data.ts';
import { hex, SlabError, type SlabErrorCode } from '../memory/errors.ts';
import { GFP, type GfpFlags } from '../memory/gfp.ts';
import {
  C_FLAGS,
  C_SIZE,
  C_TRACKED_BYTES,
  C_TRACKED_BYTES_PEAK,
  C_TRACKED_LIVE,
  C_TRACKED_PEAK,
  cacheAt,
  H_FRAMES,
  H_GENERATIONS,
  pageAt,
  WORD_SHIFT,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import type { Finding, SlabReport } from '../memory/report.ts';
import {
  cacheOf,
  isLive,
  KIND_SLAB,
  KIND_SLAB_TAIL,
  kindOf,
  LIVE,
  PAGE_BASE,
  PAGE_FLAGS,
  PAGE_STRIDE,
} from '../page/page.ts';
import { NODE_ANY } from '../page/pageAllocator.ts';
import { consistency } from './checked.ts';
import { ARMED, type DebugObject, debugObject, fillInactive, requestedOf } from './debugObject.ts';
import type { DebugContext, DebugPart } from './debugPart.ts';
import { DerivedSlabAllocator } from './deriveSlabAllocator.ts';
import { fail } from './failslab.ts';
import { SLAB, SLAB_DEBUG, type SlabFlags } from './flags.ts';
import { initOnAlloc, initOnFree } from './initialized.ts';
import { LargeObjects } from './largeObjects.ts';
import { checkAddress, checkObject } from './object.ts';
import { poison } from './poisoned.ts';
import { Quarantine } from './quarantined.ts';
import { redzone } from './redzoned.ts';
import { Reporter } from './reporter.ts';
import type { Address, CacheSpec, SlabAllocator } from './slabAllocator.ts';
import { refuseStack } from './stack.ts';
import { StackDepot } from './stackDepot.ts';
import { trace } from './traced.ts';
import { clearTrack, sealTrack, T_GENERATION, T_REQUESTED, trackIsTrue } from './track.ts';
import { track } from './tracked.ts';

/** In the order in which they run. */
const PARTS: readonly DebugPart[] = [
  fail,
  consistency,
  initOnAlloc,
  initOnFree,
  redzone,
  poison,
  track,
  trace,
];

/** Handles have so many bits of an allocation's number (debug/objectHandle.ts). */
export const GENERATION_BITS = 24;

const contexts: WeakMap<Cpu, DebugContext> = new WeakMap();

/** What this thread's parts work with. */
export function debugContextOf(allocator: SlabAllocator): DebugContext {
  const { table } = allocator;
  const { metadata, cpu, data } = allocator.frames;
  let context = contexts.get(cpu);
  if (context === undefined) {
    const depot = new StackDepot(metadata);
    const reporter = new Reporter(metadata, cpu, data, table, depot);
    const quarantine = new Quarantine(metadata, cpu, table, allocator);
    context = { metadata, cpu, data, table, depot, reporter, quarantine };
    contexts.set(cpu, context);
  }
  return context;
}

/** The error that a free throws for what was found. */
export function codeOf(findings: readonly Finding[]): SlabErrorCode {
  if (findings.some(({ what }) => what.endsWith('Redzone'))) return 'EREDZONE';
  return findings.some(({ what }) => what.endsWith('Poison')) ? 'EPOISON' : 'ECORRUPT';
}

const fixOf = ({ what, from, to, expected }: Finding): string =>
  `Restoring ${what} ${hex(from)}-${hex(to - 1)}=${hex(expected)}`;

export class DebugAllocator extends DerivedSlabAllocator {
  /** Flags that caches created through it get. */
  readonly flags: SlabFlags;
  readonly context: DebugContext;
  /** The first allocator below that has nothing to do with debugging. */
  private readonly bottom: SlabAllocator;
  private readonly metadata: Metadata;
  private readonly m: Int32Array;
  private readonly data: DataMemory;
  readonly large: LargeObjects;
  /** The parts of each combination of flags. */
  private readonly partsBy: Map<SlabFlags, readonly DebugPart[]> = new Map();

  constructor(base: SlabAllocator, derivation: string, flags: SlabFlags) {
    super(base, derivation);
    this.flags = flags;
    this.bottom = base instanceof DebugAllocator ? base.bottom : base;
    this.context = debugContextOf(base);
    this.metadata = base.frames.metadata;
    this.m = this.metadata.m;
    this.data = base.frames.data;
    this.context.quarantine.leaves ??= (cache, address) => this.lookAtFree(cache, address);
    this.large = new LargeObjects(this.context);
    base.table.debugAllocator ??= this;
  }

  override create(spec: CacheSpec): number {
    return super.create({ ...spec, flags: spec.flags | this.flags });
  }

  override alloc(cache: number, gfp: GfpFlags): Address {
    return this.allocSized(cache, gfp, NODE_ANY, this.m[cacheAt(this.metadata.layout, cache) + C_SIZE]);
  }

  override allocNode(cache: number, gfp: GfpFlags, node: number): Address {
    return this.allocSized(cache, gfp, node, this.m[cacheAt(this.metadata.layout, cache) + C_SIZE]);
  }

  /** An object of which the user wants `requested` bytes; 0 without memory. */
  allocSized(cache: number, gfp: GfpFlags, node: number, requested: number): Address {
    for (const part of this.partsOf(cache)) if (part.fails?.(this.context, cache, gfp) === true) return 0;
    const { bottom } = this;
    const address = node === NODE_ANY ? bottom.alloc(cache, gfp) : bottom.allocNode(cache, gfp, node);
    if (address !== 0) this.prepare(cache, address, requested, gfp);
    return address;
  }

  /** Makes an object that has just been taken from its slab one of the user's. */
  prepare(cache: number, address: Address, requested: number, gfp: GfpFlags): void {
    const { context, metadata } = this;
    const object = debugObject(metadata, cache, address);
    const parts = this.partsOf(cache);
    const findings: Finding[] = [];
    for (const part of parts) part.checkInactive?.(context, object, findings);
    if (!this.trackIsTrue(object)) findings.push(this.trackFinding(object));
    if (findings.length > 0) context.reporter.publish(this.reportOf(object, findings), false);
    const { u8 } = this.data.views();
    if (findings.length > 0) fillInactive(u8, object);
    if ((gfp & GFP.ZERO) !== 0) u8.fill(0, address, address + this.ownBytes(object, requested));
    this.startTrack(object, requested);
    for (const part of parts) part.activate?.(context, object, requested);
    this.account(object, 1, requested);
    // Others look at its bytes only once they see this: an atomic store, so that they see those first.
    Atomics.store(metadata.s, object.state, ARMED);
  }

  /**
   * Takes a live object, which has been checked to be one, from its user: afterwards it is inactive, and may go back to its
   * slab. Returns what a free that has been completed throws. Throws `EDOUBLEFREE` if another thread frees it at this moment.
   * `isDeferred`: readers may still look at it, so its bytes stay until its grace period is over (slab/waiting.ts).
   */
  retire(cache: number, address: Address, isDeferred: boolean = false): SlabError | undefined {
    const { context, metadata } = this;
    const object = debugObject(metadata, cache, address);
    const isArmed = this.disarm(object);
    const parts = this.partsOf(cache);
    const findings = isArmed ? this.findingsOf(object) : [];
    const report = findings.length > 0 ? this.reportOf(object, findings) : undefined;
    const { u8, u32 } = this.data.views();
    const requested = requestedOf(u32, object);
    if (object.track !== 0 && !trackIsTrue(u32, object.track)) clearTrack(u32, object.track);
    if (isArmed) this.account(object, -1, -requested);
    for (const part of parts)
      if (!isDeferred || part !== initOnFree) part.freed?.(context, object, requested);
    if (!isDeferred) fillInactive(u8, object);
    if (report === undefined) return undefined;
    context.reporter.publish(report, true);
    const error = new SlabError(
      codeOf(findings),
      `${report.bug} (it is free now)\n${report.text}`,
      address,
      report.cache,
    );
    error.report = report;
    return error;
  }

  override free(cache: number, address: Address): void {
    const { table } = this;
    this.frames.cpu.checkOnline();
    try {
      checkObject(this.metadata, address, cache, table);
    } catch (error) {
      this.explain(error);
      throw error;
    }
    const error = this.retire(cache, address);
    // What is charged to a group is not held back: its slab ends with the group, whatever a quarantine has of it.
    const held = this.m[cacheAt(this.metadata.layout, cache) + C_FLAGS] & (SLAB.QUARANTINE | SLAB.ACCOUNT);
    if (held !== SLAB.QUARANTINE || !this.context.quarantine.put(cache, address))
      this.bottom.free(cache, address);
    if (error !== undefined) throw error;
  }

  /** What is wrong with a live object whose state is ARMED; empty if nothing is. */
  findingsOf(object: DebugObject): Finding[] {
    const { context } = this;
    const findings: Finding[] = [];
    const requested = requestedOf(this.data.views().u32, object);
    for (const part of this.partsOf(object.cache)) part.checkActive?.(context, object, requested, findings);
    if (!this.trackIsTrue(object)) findings.push(this.trackFinding(object));
    return findings;
  }

  /** What is wrong with an object that is FREE in its slab. */
  findingsOfFree(object: DebugObject): Finding[] {
    const findings: Finding[] = [];
    for (const part of this.partsOf(object.cache)) part.checkInactive?.(this.context, object, findings);
    if (!this.trackIsTrue(object)) findings.push(this.trackFinding(object));
    return findings;
  }

  /** Puts right what was found of an object: active if it is ARMED, else inactive. */
  restore(object: DebugObject, isActive: boolean): void {
    const { u8, u32 } = this.data.views();
    const requested = requestedOf(u32, object);
    if (object.track !== 0 && !trackIsTrue(u32, object.track)) clearTrack(u32, object.track);
    if (isActive) {
      if ((object.flags & SLAB.RED_ZONE) !== 0) redzone.activate?.(this.context, object, requested);
    } else fillInactive(u8, object);
  }

  /** A report of what was found; counted. */
  reportOf(object: DebugObject, findings: readonly Finding[]): SlabReport {
    const bug = `${findings.map(({ what }) => what).join(', ')} overwritten`;
    return this.context.reporter.report(object, bug, findings, findings.map(fixOf));
  }

  /** Bytes that an object of a cache with debugging was asked for. */
  requested(cache: number, address: Address): number {
    const object = debugObject(this.metadata, cache, address);
    return this.ownBytes(object, requestedOf(this.data.views().u32, object));
  }

  /**
   * Makes `size` bytes of a live object its user's, where it is: false if it has no room for them. With `GFP.ZERO` what it grows
   * by is filled with zeros.
   */
  resize(cache: number, address: Address, size: number, gfp: GfpFlags): boolean {
    const object = debugObject(this.metadata, cache, address);
    if (size > object.size || size === 0) return false;
    const { u8, u32 } = this.data.views();
    const before = requestedOf(u32, object);
    if (object.track === 0) return true;
    if (this.disarm(object)) {
      const findings = this.findingsOf(object);
      if (findings.length > 0) this.context.reporter.publish(this.reportOf(object, findings), false);
    }
    if (!trackIsTrue(u32, object.track)) clearTrack(u32, object.track);
    if ((gfp & GFP.ZERO) !== 0 && size > before) u8.fill(0, address + before, address + size);
    this.account(object, 0, size - before);
    u32[object.track + T_REQUESTED] = size;
    sealTrack(u32, object.track);
    if ((object.flags & SLAB.RED_ZONE) !== 0) redzone.activate?.(this.context, object, size);
    Atomics.store(this.metadata.s, object.state, ARMED);
    return true;
  }

  /** Gives the objects of a cache that this thread holds back to their slabs. */
  releaseHeld(cache: number): void {
    this.context.quarantine.release(cache);
  }

  /** Gives what this thread holds of destroyed caches back. */
  releaseStale(): void {
    this.context.quarantine.releaseStale();
  }

  override shrink(cache: number, move?: (from: Address, to: Address) => boolean): number {
    this.releaseHeld(cache);
    return super.shrink(cache, move);
  }

  /** Reports and puts right what was written to an object after its free. */
  private lookAtFree(cache: number, address: Address): void {
    const object = debugObject(this.metadata, cache, address);
    const findings = this.findingsOfFree(object);
    if (findings.length === 0) return;
    this.context.reporter.publish(this.reportOf(object, findings), false);
    this.restore(object, false);
  }

  /** Adds to an error about an access to an object of a cache with debugging who allocated it, and who freed it. */
  explainAccess(error: SlabError, bug: string): void {
    if (error.address === undefined) return;
    const object = this.objectAround(error.address);
    if (object === undefined) return;
    const report = this.context.reporter.report(object, bug, [], []);
    error.report = report;
    error.message += `\n${report.text}`;
    this.context.reporter.publish(report, true);
  }

  /** Adds to an error about an address in a slab of a cache with debugging who allocated and who freed what is there. */
  explain(error: unknown): void {
    if (!(error instanceof SlabError) || error.address === undefined || error.report !== undefined) return;
    const bug = BUGS[error.code];
    if (bug !== undefined) this.explainAccess(error, bug);
  }

  /** The object that an address lies in, if it is of a cache with debugging. */
  objectAround(address: Address): DebugObject | undefined {
    const { m, metadata } = this;
    const page = pageAt(metadata.layout, checkAddress(metadata, address));
    const flags = m[page + PAGE_FLAGS];
    if (kindOf(flags) !== KIND_SLAB && kindOf(flags) !== KIND_SLAB_TAIL) return undefined;
    const cache = cacheOf(flags);
    if ((m[cacheAt(metadata.layout, cache) + C_FLAGS] & SLAB_DEBUG) === 0) return undefined;
    const base = m[page + PAGE_BASE] >>> 0;
    const index = Math.max(0, Math.floor((address - base) / m[page + PAGE_STRIDE]));
    return debugObject(metadata, cache, base + index * m[page + PAGE_STRIDE]);
  }

  /** The object that begins at an address, in a slab of a cache with debugging, live or not. */
  objectAt(address: Address): DebugObject | undefined {
    const { layout, m } = this.metadata;
    const pfn = address >>> layout.pageShift;
    if (pfn < layout.startFrame || pfn >= m[H_FRAMES]) return undefined;
    const object = this.objectAround(address);
    return object?.address === address ? object : undefined;
  }

  private partsOf(cache: number): readonly DebugPart[] {
    const flags = this.m[cacheAt(this.metadata.layout, cache) + C_FLAGS] & SLAB_DEBUG;
    let parts = this.partsBy.get(flags);
    if (parts === undefined) {
      parts = PARTS.filter(({ flag }) => (flags & flag) !== 0);
      this.partsBy.set(flags, parts);
    }
    return parts;
  }

  /** Counts live objects and the bytes that they were asked for, and how many there have been at most. */
  private account(object: DebugObject, objects: number, bytes: number): void {
    if ((object.flags & SLAB.STORE_USER) === 0) return;
    const descriptor = cacheAt(this.metadata.layout, object.cache);
    raise(this.m, descriptor + C_TRACKED_LIVE, descriptor + C_TRACKED_PEAK, objects);
    raise(this.m, descriptor + C_TRACKED_BYTES, descriptor + C_TRACKED_BYTES_PEAK, bytes);
  }

  /** Of two threads that free an object at the same time, one gets it. Whether it was active. */
  private disarm(object: DebugObject): boolean {
    const { s } = this.metadata;
    const state = Atomics.load(s, object.state);
    if (isLive(state) && Atomics.compareExchange(s, object.state, state, LIVE) === state)
      return state === ARMED;
    throw new SlabError(
      'EDOUBLEFREE',
      `${hex(object.address)} is being freed by another thread`,
      object.address,
    );
  }

  /** Bytes of the object that are the user's: with red zones, not more than were asked for. */
  private ownBytes(object: DebugObject, requested: number): number {
    return (object.flags & SLAB.RED_ZONE) === 0 ? object.size : requested;
  }

  private trackIsTrue({ track: at }: DebugObject): boolean {
    return at === 0 || trackIsTrue(this.data.views().u32, at);
  }

  private trackFinding(object: DebugObject): Finding {
    const at = object.track << WORD_SHIFT;
    return { what: 'Track', from: at, to: at + 32, found: this.data.views().u8[at], expected: 0 };
  }

  private startTrack(object: DebugObject, requested: number): void {
    const { track: at } = object;
    if (at === 0) return;
    const { u32 } = this.data.views();
    if (!trackIsTrue(u32, at)) clearTrack(u32, at);
    u32[at + T_REQUESTED] = requested;
    if ((object.flags & SLAB.GENERATIONS) !== 0)
      u32[at + T_GENERATION] = (Atomics.add(this.m, H_GENERATIONS, 1) + 1) & (2 ** GENERATION_BITS - 1);
    sealTrack(u32, at);
  }
}

/** Adds to a counter, and makes another one the highest value that it has had. */
function raise(m: Int32Array, counter: number, peak: number, by: number): void {
  const now = Atomics.add(m, counter, by) + by;
  for (let high = Atomics.load(m, peak); now > high; ) {
    const found = Atomics.compareExchange(m, peak, high, now);
    if (found === high) return;
    high = found;
  }
}

/** The kernel's names for errors of a free. */
const BUGS: Readonly<Partial<Record<SlabErrorCode, string>>> = {
  EDOUBLEFREE: 'Object already free',
  EINTERIOR: 'Invalid object pointer',
  ECACHE: 'Object freed to the wrong cache',
};

/** Whether a free that threw this error has been completed. */
export function wasCompleted(error: unknown): error is SlabError {
  return error instanceof SlabError && ['EREDZONE', 'EPOISON', 'ECORRUPT'].includes(error.code);
}

/** A derivation that gives the caches created through it one part more. */
export function deriveDebugging(base: SlabAllocator, derivation: string, flags: SlabFlags): SlabAllocator {
  refuseStack(derivation, base, {
    [derivation]: 'it has that already',
    rcu: 'readers may still look at what it frees: put rcuify over it',
    kmalloc: "kmalloc's caches are there already: use the heap's `debug` option",
  });
  for (let below = base, isOther = false; below instanceof DerivedSlabAllocator; below = below.base) {
    if (below instanceof DebugAllocator && isOther)
      refuseStack(derivation, base, { [nameOf(below)]: TOGETHER });
    isOther ||= !(below instanceof DebugAllocator);
  }
  return new DebugAllocator(base, derivation, flags);
}

const TOGETHER = 'debug derivations must lie directly over one another';
const nameOf = (allocator: SlabAllocator): string => allocator.name.split(':')[0];
