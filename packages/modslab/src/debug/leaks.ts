/**
 * Leaks: live objects by who allocated them (Linux: debugfs' `alloc_traces`). What is live when nothing should be is a leak;
 * while a program runs, what grows from one moment to another is one: `diffLeaks` of two lists.
 *
 * Objects of caches without tracking (`U`) are in it too, with an empty stack, one entry for each cache.
 */

import { addressOf } from '../memory/entry.ts';
import { C_FLAGS, C_GRANULES, C_OBJECTS, cacheAt } from '../memory/layout.ts';
import type { TrackInfo } from '../memory/report.ts';
import { FREE } from '../page/page.ts';
import type { Address } from '../slab/cacheSpec.ts';
import { firstEntryOf, firstStateAt } from '../slab/cacheTable.ts';
import { forEachSlab } from '../slab/count.ts';
import type { DebugAllocator } from '../slab/debugAllocator.ts';
import { debugObject } from '../slab/debugObject.ts';
import { SLAB } from '../slab/flags.ts';
import { forEachLiveObject, type LiveObject } from './liveObjects.ts';

/** Live objects of one cache that were allocated from one place. */
export interface LeakGroup {
  readonly cache: string;
  /** Innermost first; empty where it was not recorded. */
  readonly stack: readonly string[];
  count: number;
  /** Asked for. */
  bytes: number;
  /** Of the bytes that they take, those not asked for. */
  waste: number;
  /** Milliseconds since they were allocated; all 0 where it was not recorded. */
  age: { min: number; avg: number; max: number };
  /** CPUs that allocated them, and nodes that they lie on, ascending. */
  readonly cpus: number[];
  readonly nodes: number[];
  /** Some of them: the first ten. */
  readonly addresses: Address[];
}

/** Which objects `heap.leaks` lists. */
export interface LeakFilter {
  /** Of this cache only. */
  readonly cache?: string;
  /** Allocated by this CPU only: a worker that died, say. Tracked objects only. */
  readonly cpu?: number;
  /** Charged to this group only, those that it has adopted included. */
  readonly group?: string | { readonly name: string };
  /** Allocated at this time or later, in milliseconds since 1970. Tracked objects only. */
  readonly since?: number;
}

const ADDRESSES_MAX = 10;

function addTo(list: number[], value: number): void {
  if (list.includes(value)) return;
  list.push(value);
  list.sort((a, b) => a - b);
}

function add(groups: Map<string, LeakGroup>, object: LiveObject): void {
  const { cache, track, requested, allocated, address, node } = object;
  const stack = track?.stack ?? [];
  const key = `${cache}\n${stack.join('\n')}`;
  let group = groups.get(key);
  if (group === undefined) {
    const age = { min: track?.age ?? 0, avg: 0, max: 0 };
    group = { cache, stack, count: 0, bytes: 0, waste: 0, age, cpus: [], nodes: [], addresses: [] };
    groups.set(key, group);
  }
  const age = track?.age ?? 0;
  group.age.avg = (group.age.avg * group.count + age) / (group.count + 1);
  group.age.min = Math.min(group.age.min, age);
  group.age.max = Math.max(group.age.max, age);
  group.count++;
  group.bytes += requested;
  group.waste += allocated - requested;
  addTo(group.nodes, node);
  if (track !== undefined) addTo(group.cpus, track.cpu);
  if (group.addresses.length < ADDRESSES_MAX) group.addresses.push(address);
}

/** `isOf`: whether a group's number is that of the filter, or adopted by it. Those with most bytes first. */
export function leaks(
  debugging: DebugAllocator,
  filter: LeakFilter,
  isOf: (group: number) => boolean,
): LeakGroup[] {
  const groups = new Map<string, LeakGroup>();
  const { cache, cpu, since } = filter;
  forEachLiveObject(
    debugging,
    (object) => {
      const { track, group } = object;
      if (filter.group !== undefined && (group === 0 || !isOf(group))) return;
      if (cpu !== undefined && track?.cpu !== cpu) return;
      if (since !== undefined && (track === undefined || track.time < since)) return;
      add(groups, object);
    },
    cache === undefined ? undefined : (name) => name === cache,
  );
  return [...groups.values()].sort((a, b) => b.bytes - a.bytes || b.count - a.count);
}

/** What has grown, or shrunk, from one list of `heap.leaks` to a later one: counts and bytes are differences. */
export function diffLeaks(before: readonly LeakGroup[], after: readonly LeakGroup[]): LeakGroup[] {
  const keyOf = ({ cache, stack }: LeakGroup): string => `${cache}\n${stack.join('\n')}`;
  const old = new Map(before.map((group) => [keyOf(group), group]));
  const changed: LeakGroup[] = [];
  for (const group of after) {
    const was = old.get(keyOf(group));
    old.delete(keyOf(group));
    const count = group.count - (was?.count ?? 0);
    const bytes = group.bytes - (was?.bytes ?? 0);
    if (count === 0 && bytes === 0) continue;
    const known = new Set(was?.addresses);
    const addresses = group.addresses.filter((address) => !known.has(address));
    changed.push({ ...group, count, bytes, waste: group.waste - (was?.waste ?? 0), addresses });
  }
  for (const gone of old.values())
    changed.push({ ...gone, count: -gone.count, bytes: -gone.bytes, waste: -gone.waste, addresses: [] });
  return changed.sort((a, b) => b.bytes - a.bytes || b.count - a.count);
}

/** One line of `alloc_traces` or `free_traces`, and the stack under it. */
function traceText(group: LeakGroup): string {
  const { count, stack, waste, age, cpus } = group;
  const [first = '<not available>', ...callers] = stack;
  const wasted = waste > 0 ? ` waste=${waste}/${Math.round(waste / count)}` : '';
  const ages = age.min === age.max ? `${age.min}` : `${age.min}/${Math.round(age.avg)}/${age.max}`;
  return [`${String(count).padStart(7)} ${first}${wasted} age=${ages} cpus=${cpus.join(',') || '-'}`]
    .concat(callers.map((frame) => `        ${frame}`))
    .join('\n');
}

/**
 * What Linux has in /sys/kernel/debug/slab/<cache>/alloc_traces and free_traces: who allocated the objects that are live, or
 * who freed those that are free now. Ages in milliseconds.
 */
export function tracesText(debugging: DebugAllocator, cache: string, what: 'alloc' | 'free'): string {
  const groups = what === 'alloc' ? leaks(debugging, { cache }, () => true) : freedBy(debugging, cache);
  const lines = groups.sort((a, b) => b.count - a.count).map(traceText);
  return lines.length === 0 ? 'No data\n' : `${lines.join('\n')}\n`;
}

/** Free objects of a tracked cache by who freed them last. */
function freedBy(debugging: DebugAllocator, name: string): LeakGroup[] {
  const { metadata, table, reporter } = debugging.context;
  const { m, s, layout } = metadata;
  const id = table.find(name);
  const descriptor = cacheAt(layout, id);
  const groups = new Map<string, LeakGroup>();
  if (id === 0 || (m[descriptor + C_FLAGS] & SLAB.STORE_USER) === 0) return [];
  forEachSlab(metadata, (head, cache) => {
    if (cache !== id) return;
    const states = firstStateAt(m, descriptor, head);
    const first = firstEntryOf(m, layout.pageShift, descriptor, head);
    for (let index = 0; index < m[descriptor + C_OBJECTS]; index++) {
      if (s[states + index] !== FREE) continue;
      const address = addressOf(first + Math.imul(index, m[descriptor + C_GRANULES]));
      const track: TrackInfo | undefined = reporter.tracksOf(debugObject(metadata, id, address)).freed;
      if (track === undefined) continue;
      add(groups, { address, cache: name, id, requested: 0, allocated: 0, node: 0, group: 0, track });
    }
  });
  return [...groups.values()];
}
