/**
 * What is tried before an allocation gives up, in this order: everything that is cached within reach is given back; groups
 * whose end was held up are completed; this thread's *shrinkers* are asked to free some of what their users can do without
 * (Linux: `struct shrinker`). With `NOFAIL` the thread then waits until memory is given back.
 *
 * Shrinkers are the user's code: they run only where nothing is half done, never with `NOWAIT` or `ATOMIC`, and never
 * inside one another. Each is asked for an eighth of what it counts, then a quarter, and so on up to all of it, as Linux's
 * priorities do; so a reclaim ends after a bounded number of calls.
 */

import type { Cpu } from '../memory/cpu.ts';
import { invalid } from '../memory/errors.ts';
import { GFP, GFP_BOUNDED, type GfpFlags } from '../memory/gfp.ts';
import type { Metadata } from '../memory/metadata.ts';
import { announceWaiter, waitForMemory } from '../memory/waiters.ts';
import type { GroupTable } from '../slab/groupTable.ts';
import type { Sheaves } from '../slab/sheaves.ts';
import type { Address } from '../slab/slabAllocator.ts';

/** Asks for what its owner can do without: a cache of an application, say. */
export interface Shrinker {
  /** How many things `scan` could free at present; 0: leave it alone. */
  count(): number;
  /** Frees about `n` of them, with `kfree` and the like; how many it did. It may allocate, but must not rely on it. */
  scan(n: number): number;
}

/** The first share of its things that a shrinker is asked for is one in 2^3. */
const FIRST_PRIORITY = 3;
/** How long a `NOFAIL` call sleeps at most before it looks for memory again: for what is freed without a wake-up. */
const NOFAIL_SLEEP_MS = 20;

export class Reclaim {
  private readonly metadata: Metadata;
  private readonly cpu: Cpu;
  private readonly sheaves: Sheaves;
  private readonly groups: GroupTable;
  private readonly shrinkers: Set<Shrinker> = new Set();
  private isShrinking = false;

  constructor(metadata: Metadata, cpu: Cpu, sheaves: Sheaves, groups: GroupTable) {
    this.metadata = metadata;
    this.cpu = cpu;
    this.sheaves = sheaves;
    this.groups = groups;
  }

  /** Registers a shrinker on this thread; a function that takes it out again. */
  register(shrinker: Shrinker): () => void {
    if (typeof shrinker?.count !== 'function' || typeof shrinker.scan !== 'function') {
      throw new TypeError('a shrinker has two functions: count() and scan(n)');
    }
    // A copy, so that one object registered twice is two registrations.
    const registered = { count: () => shrinker.count(), scan: (n: number) => shrinker.scan(n) };
    this.shrinkers.add(registered);
    return () => void this.shrinkers.delete(registered);
  }

  /** Runs `allocate`; without memory, again after each thing that is tried; with `NOFAIL`, until it works. */
  allocateWith(gfp: GfpFlags, allocate: () => Address): Address {
    this.sheaves.enterSlowPath();
    const address = allocate();
    if (address !== 0) return address;
    const { cpu } = this;
    const isNested = cpu.isRetrying;
    cpu.isRetrying = true;
    try {
      return this.retry(gfp, allocate);
    } finally {
      cpu.isRetrying = isNested;
    }
  }

  private retry(gfp: GfpFlags, allocate: () => Address): Address {
    const userCode = (gfp & GFP_BOUNDED) === 0;
    this.drain(userCode);
    let address = allocate() || this.shrinkFor(gfp, allocate);
    while (address === 0 && (gfp & GFP.NOFAIL) !== 0) {
      announceWaiter(this.metadata.m);
      this.drain(userCode);
      address = allocate() || this.shrinkFor(gfp, allocate);
      if (address === 0) this.sleep();
    }
    return address;
  }

  /** Gives back everything that is cached within reach, and what is left of freed groups. See `Sheaves.drainAll`. */
  drain(userCode: boolean): void {
    this.sheaves.drainAll(userCode);
    this.groups.completeAll();
  }

  /** Asks the shrinkers, for a larger share each time, until `allocate` finds something; 0 if it never does. */
  private shrinkFor(gfp: GfpFlags, allocate: () => Address): Address {
    if ((gfp & GFP_BOUNDED) !== 0 || this.isShrinking || this.shrinkers.size === 0) return 0;
    for (let priority = FIRST_PRIORITY; priority >= 0; priority--) {
      if (this.scanAll(priority) === 0) continue;
      this.cpu.checkOnline();
      this.drain(true);
      const address = allocate();
      if (address !== 0) return address;
    }
    return 0;
  }

  /** One call of every shrinker that has something; how much they say they freed. */
  private scanAll(priority: number): number {
    let freed = 0;
    this.isShrinking = true;
    try {
      for (const { count, scan } of [...this.shrinkers]) {
        const n = Math.ceil(count() / 2 ** priority);
        if (n > 0) freed += scan(n);
      }
    } finally {
      this.isShrinking = false;
    }
    return freed;
  }

  private sleep(): void {
    try {
      waitForMemory(this.metadata.m, NOFAIL_SLEEP_MS);
    } catch {
      invalid(
        'there is no memory, and NOFAIL cannot wait for it: this thread may not block, or the heap is not shared',
      );
    }
    this.cpu.checkOnline();
  }
}
