/**
 * Accounting: what is live, and how much of it was asked for, by cache, CPU, node and group, now and at most.
 *
 * Now is counted object by object. Peaks of tracked caches (`U`) are exact: counters in the cache's descriptor rise and fall
 * with each allocation and free of any thread. (What is freed with its group leaves them too high until the next accounting
 * of a heap that no other CPU is attached to, which sets them right.) All other peaks are the highest values that an
 * accounting on this thread has seen.
 */

import { OFFLINE, statusOf } from '../memory/cpu.ts';
import {
  C_FLAGS,
  C_TRACKED_BYTES,
  C_TRACKED_BYTES_PEAK,
  C_TRACKED_LIVE,
  C_TRACKED_PEAK,
  CPU_STATUS,
  cacheAt,
  cpuAt,
} from '../memory/layout.ts';
import type { DebugAllocator } from '../slab/debugAllocator.ts';
import { SLAB } from '../slab/flags.ts';
import { forEachLiveObject, type LiveObject } from './liveObjects.ts';

/** One sum. */
export interface Account {
  /** Live objects. */
  live: number;
  /** Bytes that they were asked for (all that they have, where that is not recorded). */
  requested: number;
  /** Bytes that they take. `allocated - requested` is lost to rounding, and to debugging. */
  allocated: number;
  peakLive: number;
  peakRequested: number;
}

export interface Accounting {
  /** By cache; `kmalloc-large` for objects that are in none. */
  readonly caches: Record<string, Account>;
  /** By the CPU that allocated: tracked objects only. */
  readonly cpus: Record<number, Account>;
  readonly nodes: Record<number, Account>;
  /** By the name of the group that they are charged to. */
  readonly groups: Record<string, Account>;
  readonly total: Account;
}

const empty = (): Account => ({ live: 0, requested: 0, allocated: 0, peakLive: 0, peakRequested: 0 });

function addTo<K extends string | number>(accounts: Record<K, Account>, key: K, object: LiveObject): void {
  accounts[key] ??= empty();
  const account = accounts[key];
  account.live++;
  account.requested += object.requested;
  account.allocated += object.allocated;
}

/** Counts for one thread, which remembers the highest that it has seen. */
export class Accountant {
  private readonly debugging: DebugAllocator;
  private readonly seen: Map<string, Account> = new Map();

  constructor(debugging: DebugAllocator) {
    this.debugging = debugging;
  }

  /** Cost: O(frames + objects). `groupName`: of the group that a group's number stands for by now. */
  count(groupName: (group: number) => string): Accounting {
    const all: Record<string, Account> = {};
    const result: Accounting = { caches: {}, cpus: {}, nodes: {}, groups: {}, total: empty() };
    const ids = new Map<string, number>();
    forEachLiveObject(this.debugging, (object) => {
      ids.set(object.cache, object.id);
      addTo(result.caches, object.cache, object);
      addTo(result.nodes, object.node, object);
      addTo(all, 'total', object);
      if (object.track !== undefined) addTo(result.cpus, object.track.cpu, object);
      if (object.group !== 0) addTo(result.groups, groupName(object.group), object);
    });
    Object.assign(result.total, all.total);
    for (const [kind, accounts] of Object.entries(result)) {
      const table = kind === 'total' ? { total: accounts as Account } : (accounts as Record<string, Account>);
      for (const [key, account] of Object.entries(table)) this.remember(`${kind} ${key}`, account);
    }
    for (const [cache, id] of ids) this.exactPeaks(id, result.caches[cache]);
    return result;
  }

  private remember(key: string, account: Account): void {
    const before = this.seen.get(key) ?? empty();
    account.peakLive = Math.max(before.peakLive, account.live);
    account.peakRequested = Math.max(before.peakRequested, account.requested);
    this.seen.set(key, account);
  }

  private exactPeaks(id: number, account: Account): void {
    const { m, layout } = this.debugging.context.metadata;
    const cache = cacheAt(layout, id);
    if (id === 0 || (m[cache + C_FLAGS] & SLAB.STORE_USER) === 0) return;
    account.peakLive = Math.max(account.live, Atomics.load(m, cache + C_TRACKED_PEAK));
    account.peakRequested = Math.max(account.requested, Atomics.load(m, cache + C_TRACKED_BYTES_PEAK));
    if (!this.isAlone()) return;
    m[cache + C_TRACKED_LIVE] = account.live;
    m[cache + C_TRACKED_BYTES] = account.requested;
  }

  private isAlone(): boolean {
    const { metadata, cpu } = this.debugging.context;
    for (let id = 0; id < metadata.layout.cpus; id++) {
      const status = statusOf(Atomics.load(metadata.m, cpuAt(metadata.layout, id) + CPU_STATUS));
      if (id !== cpu.id && status !== OFFLINE) return false;
    }
    return true;
  }
}
