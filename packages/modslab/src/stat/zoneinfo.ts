/** Frames by node and zone, and how they are counted (2006: NR_SLAB_RECLAIMABLE, NR_SLAB_UNRECLAIMABLE per zone). */

import { H_DMA_END, H_DMA_START, H_FRAMES, nodeStart, pageAt } from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { PAGE_CLAIM, PAGE_SOURCE, SOURCE_RECLAIMABLE, SOURCE_UNRECLAIMABLE } from '../page/page.ts';

/** A zone of a node; all in bytes. */
export interface ZoneInfo {
  node: number;
  zone: 'Normal' | 'DMA';
  /** Frames that it has. */
  present: number;
  free: number;
  /** Slabs of caches whose objects can be given up on demand. */
  slabReclaimable: number;
  /** All other slabs. */
  slabUnreclaimable: number;
}

/** Sums over the frames, hence exact when all threads are still, whatever was killed. Cost: O(frames). */
export function zoneinfo(metadata: Metadata): ZoneInfo[] {
  const { m, layout } = metadata;
  const pageSize = 2 ** layout.pageShift;
  const end = Atomics.load(m, H_FRAMES);
  const zones: ZoneInfo[] = [];
  for (let node = 0; node < layout.nodes; node++) {
    const byZone = new Map<string, ZoneInfo>();
    for (let pfn = nodeStart(layout, node); pfn < Math.min(end, nodeStart(layout, node + 1)); pfn++) {
      const zone = pfn >= m[H_DMA_START] && pfn < m[H_DMA_END] ? 'DMA' : 'Normal';
      const info = byZone.get(zone) ?? {
        node,
        zone,
        present: 0,
        free: 0,
        slabReclaimable: 0,
        slabUnreclaimable: 0,
      };
      byZone.set(zone, info);
      const page = pageAt(layout, pfn);
      const source = m[page + PAGE_SOURCE];
      info.present += pageSize;
      if (m[page + PAGE_CLAIM] === 0) info.free += pageSize;
      else if ((source & SOURCE_RECLAIMABLE) !== 0) info.slabReclaimable += pageSize;
      else if ((source & SOURCE_UNRECLAIMABLE) !== 0) info.slabUnreclaimable += pageSize;
    }
    zones.push(...byZone.values());
  }
  return zones;
}
