/**
 * Quarantine: a freed object is held back until some more of its cache have been freed on this thread, so that a use after
 * the free meets an object that is nobody's, not somebody else's; with poison, a write to it is found when it leaves.
 *
 * It is a sheaf of the cache's pool that this CPU owns, used as a ring: the object that has been in it for longest makes place
 * for the next one. So a dead thread's is put back like all its sheaves, and `detach` gives it back.
 *
 *     put:  state's offset, then entry → [place];  state ← CACHED          as a push (slab/sheaves.ts)
 */

import type { Cpu } from '../memory/cpu.ts';
import { addressOf, entryOf } from '../memory/entry.ts';
import { cacheAt, PAIR_SHIFT, SHEAF_CAPACITY } from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { CACHED } from '../page/page.ts';
import type { Address } from './cacheSpec.ts';
import { type CacheTable, stateAt } from './cacheTable.ts';
import { claimSheafOf, giveUpSheaf } from './sheaves.ts';
import type { SlabAllocator } from './slabAllocator.ts';

/** A cache's quarantine on this thread. */
interface Ring {
  readonly sheaf: number;
  readonly generation: number;
  /** Where the next object goes, 1 … SHEAF_CAPACITY. */
  next: number;
}

export class Quarantine {
  private readonly metadata: Metadata;
  private readonly cpu: Cpu;
  private readonly table: CacheTable;
  private readonly base: SlabAllocator;
  private readonly rings: Map<number, Ring> = new Map();
  /** Called with each object that makes place for another one, before it goes back. */
  leaves?: (cache: number, address: Address) => void;

  constructor(metadata: Metadata, cpu: Cpu, table: CacheTable, base: SlabAllocator) {
    this.metadata = metadata;
    this.cpu = cpu;
    this.table = table;
    this.base = base;
  }

  /** Holds an inactive object back, and gives the oldest one to the base. False if the cache's pool has no sheaf left. */
  put(cache: number, address: Address): boolean {
    const ring = this.ringOf(cache);
    if (ring === undefined) return false;
    const { m, s, layout } = this.metadata;
    this.evict(cache, ring);
    const at = ring.sheaf + (ring.next << PAIR_SHIFT);
    const entry = entryOf(address);
    const state = stateAt(m, cacheAt(layout, cache), entry);
    m[at + 1] = state;
    m[at] = entry;
    s[state] = CACHED;
    ring.next = ring.next === SHEAF_CAPACITY ? 1 : ring.next + 1;
    return true;
  }

  /** Gives everything of a cache to the base. */
  release(cache: number): void {
    const ring = this.rings.get(cache);
    if (ring === undefined) return;
    this.rings.delete(cache);
    const { m } = this.metadata;
    // Given back by `detach`, or reaped: not this thread's any more.
    if (m[ring.sheaf] !== this.cpu.owner) return;
    this.base.drain(cache, ring.sheaf, 1, SHEAF_CAPACITY);
    giveUpSheaf(m, ring.sheaf);
  }

  releaseStale(): void {
    for (const [cache, { generation }] of this.rings) {
      const { table } = this;
      if (table.isReady(cache) && table.generation(cache) === generation) continue;
      this.release(cache);
      this.base.shrink(cache);
    }
  }

  private ringOf(cache: number): Ring | undefined {
    const { metadata, cpu, table } = this;
    const known = this.rings.get(cache);
    if (known !== undefined && metadata.m[known.sheaf] === cpu.owner) return known;
    const sheaf = claimSheafOf(metadata, cpu, cache);
    if (sheaf === 0) return undefined;
    const ring = { sheaf, generation: table.generation(cache), next: 1 };
    this.rings.set(cache, ring);
    return ring;
  }

  /** Makes the ring's next place empty. */
  private evict(cache: number, ring: Ring): void {
    const entry = this.metadata.m[ring.sheaf + (ring.next << PAIR_SHIFT)];
    if (entry !== 0) this.leaves?.(cache, addressOf(entry));
    this.base.drain(cache, ring.sheaf, ring.next, ring.next);
  }
}
