/**
 * Every live object of a heap, with what slab debugging knows about it. One pass over the slabs and runs; plain loads, so what
 * it tells of a heap in use is that of a moment.
 */

import { addressOf } from '../memory/entry.ts';
import {
  C_FLAGS,
  C_GRANULES,
  C_OBJECTS,
  C_SIZE,
  C_STRIDE,
  cacheAt,
  H_FRAMES,
  nodeOf,
  pageAt,
} from '../memory/layout.ts';
import type { TrackInfo } from '../memory/report.ts';
import {
  cacheOf,
  isLive,
  KIND_LARGE,
  KIND_SLAB,
  kindOf,
  PAGE_FLAGS,
  PAGE_GROUP,
  PAGE_REQUESTED,
  PAGE_RUN,
} from '../page/page.ts';
import type { Address } from '../slab/cacheSpec.ts';
import { firstEntryOf, firstStateAt } from '../slab/cacheTable.ts';
import { isSlabOf } from '../slab/count.ts';
import type { DebugAllocator } from '../slab/debugAllocator.ts';
import { debugObject, requestedOf } from '../slab/debugObject.ts';
import { SLAB_DEBUG_ROOM } from '../slab/flags.ts';
import { forEachHead, isSlob } from '../slab/granules.ts';
import { LARGE_NAME } from '../slab/largeObjects.ts';

export interface LiveObject {
  readonly address: Address;
  /** Its cache; `kmalloc-large` for runs of frames. */
  readonly cache: string;
  /** The cache's number; 0 for runs of frames. */
  readonly id: number;
  /** Bytes asked for; all that it has, if that is not recorded. */
  readonly requested: number;
  /** Bytes that it takes from its slab, or its run's. */
  readonly allocated: number;
  readonly node: number;
  /** Number of the group that it is charged to; 0: none. */
  readonly group: number;
  readonly track?: TrackInfo;
}

/** Calls `visit` with each live object of the caches that `wants`. Cost: O(frames + objects). */
export function forEachLiveObject(
  debugging: DebugAllocator,
  visit: (object: LiveObject) => void,
  wants: (cache: string) => boolean = () => true,
): void {
  const { metadata } = debugging.context;
  const { m, layout } = metadata;
  const wanted = new Map<number, string | undefined>();
  const nameOf = (id: number): string | undefined => {
    if (!wanted.has(id)) {
      const name = id === 0 ? LARGE_NAME : debugging.table.name(id);
      wanted.set(id, wants(name) ? name : undefined);
    }
    return wanted.get(id);
  };
  for (let pfn = layout.startFrame; pfn < m[H_FRAMES]; pfn++) {
    const flags = m[pageAt(layout, pfn) + PAGE_FLAGS];
    const kind = kindOf(flags);
    if (kind !== KIND_LARGE && kind !== KIND_SLAB) continue;
    if (kind === KIND_SLAB && isSlob(metadata, cacheOf(flags))) {
      visitSlobPage(debugging, pfn, cacheOf(flags), nameOf, visit);
      continue;
    }
    const cache = nameOf(cacheOf(flags));
    if (cache === undefined) continue;
    if (kind === KIND_LARGE) visit(largeObject(debugging, pfn));
    else visitSlab(debugging, pfn, cacheOf(flags), cache, visit);
  }
}

function largeObject({ context, large }: DebugAllocator, head: number): LiveObject {
  const { m, layout } = context.metadata;
  const page = pageAt(layout, head);
  const track = large.trackOf(head);
  const allocated = m[page + PAGE_RUN] * 2 ** layout.pageShift;
  return {
    address: head * 2 ** layout.pageShift,
    cache: LARGE_NAME,
    id: 0,
    requested: Math.min(allocated, m[page + PAGE_REQUESTED]),
    allocated,
    node: nodeOf(layout, head),
    group: m[page + PAGE_GROUP],
    ...(track && { track }),
  };
}

/** Objects of several caches, none of which has debugging: nothing is known of them but their caches. */
function visitSlobPage(
  { context: { metadata } }: DebugAllocator,
  pfn: number,
  pages: number,
  nameOf: (id: number) => string | undefined,
  visit: (object: LiveObject) => void,
): void {
  const { m, layout } = metadata;
  const first = firstEntryOf(m, layout.pageShift, cacheAt(layout, pages), pfn);
  const found: LiveObject[] = [];
  forEachHead(metadata, pfn, (granule, state, id) => {
    // In a page that changes while it is looked at, the name may be that of no cache.
    if (!isLive(state) || id === 0 || id >= layout.caches) return;
    const cache = nameOf(id);
    if (cache === undefined) return;
    const descriptor = cacheAt(layout, id);
    found.push({
      address: addressOf(first + granule),
      cache,
      id,
      requested: m[descriptor + C_SIZE],
      allocated: m[descriptor + C_STRIDE],
      node: nodeOf(layout, pfn),
      group: 0,
    });
  });
  if (isSlabOf(metadata, pfn, pages)) for (const object of found) visit(object);
}

function visitSlab(
  debugging: DebugAllocator,
  head: number,
  id: number,
  cache: string,
  visit: (object: LiveObject) => void,
): void {
  const { context } = debugging;
  const { m, s, layout } = context.metadata;
  const descriptor = cacheAt(layout, id);
  const states = firstStateAt(m, descriptor, head);
  const first = firstEntryOf(m, layout.pageShift, descriptor, head);
  const group = m[pageAt(layout, head) + PAGE_GROUP];
  const common = { cache, id, allocated: m[descriptor + C_STRIDE], node: nodeOf(layout, head), group };
  const isTracked = (m[descriptor + C_FLAGS] & SLAB_DEBUG_ROOM) !== 0;
  const { u32 } = context.data.views();
  const found: LiveObject[] = [];
  for (let index = 0; index < m[descriptor + C_OBJECTS]; index++) {
    if (!isLive(s[states + index])) continue;
    const address = addressOf(first + Math.imul(index, m[descriptor + C_GRANULES]));
    const object = debugObject(context.metadata, id, address);
    const track = isTracked ? context.reporter.tracksOf(object).allocated : undefined;
    found.push({ ...common, address, requested: requestedOf(u32, object), ...(track && { track }) });
  }
  if (isSlabOf(context.metadata, head, id)) for (const object of found) visit(object);
}
