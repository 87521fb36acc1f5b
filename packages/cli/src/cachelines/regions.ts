/** Names for the parts of a heap's metadata, for people who read about its cache lines. */

import type { Metadata } from 'modslab/framework';
import type { Region } from './tracer.ts';

/** What a tool takes from a heap's inside. Nothing else may rely on it. */
export interface LayoutParts {
  readonly metadata: Metadata;
}

/** Which structure a byte of the metadata belongs to. */
export function regionsOf(layout: Metadata['layout']): Region {
  const sections: [number, string][] = [
    [0, 'header'],
    [layout.cpuRecords * 4, 'CPU record'],
    [layout.cacheTable * 4, 'cache descriptor'],
    [layout.vmemMap * 4, 'page descriptor'],
    [layout.freeBitmap * 4, 'bitmap'],
    [layout.barns * 4, 'barn'],
    [layout.sheaves * 4, 'sheaf'],
    [layout.templates * 4, 'template'],
    [layout.stateRegions[0], 'states'],
  ];
  return (byte) => sections.findLast(([start]) => byte >= start)?.[1] ?? 'header';
}
