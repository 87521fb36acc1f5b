/**
 * `reclaimable` and `unreclaimable` (2006: `reclaimable_slab`, `unreclaimable_slab`): frames counted, per zone, by whether
 * what lies in them can be given up on demand.
 *
 * There is no counter that a killed thread could leave wrong: each frame says in its SOURCE word how it is counted, as
 * long as it is in use, and the figures are sums over the frames (stat/zoneinfo.ts). So they are exact whenever all threads
 * are still, also with the dead unreaped. A run that waits for a grace period still counts: nobody can have it yet.
 */

import { invalid } from '../memory/errors.ts';
import type { GfpFlags } from '../memory/gfp.ts';
import { allocateWithSource, derivePageAllocator, findDerivation } from './derivePageAllocator.ts';
import { SOURCE_RECLAIMABLE, SOURCE_UNRECLAIMABLE } from './page.ts';
import type { PageAllocator } from './pageAllocator.ts';

function counted(base: PageAllocator, name: 'reclaimable' | 'unreclaimable', source: number): PageAllocator {
  for (const derivation of ['reclaimable', 'unreclaimable']) {
    if (findDerivation(base, derivation) === undefined) continue;
    invalid(`${name} over '${base.name}': its frames are counted as ${derivation} already`);
  }
  return derivePageAllocator(base, name, {
    allocateExact(frames: number, alignment: number, gfp: GfpFlags, node: number): number {
      return allocateWithSource(base, source, frames, alignment, gfp, node);
    },
  });
}

/** Its frames count as reclaimable. Throws `EINVAL` over one whose frames are counted already. */
export function reclaimable(base: PageAllocator): PageAllocator {
  return counted(base, 'reclaimable', SOURCE_RECLAIMABLE);
}

/** Its frames count as unreclaimable. Throws `EINVAL` over one whose frames are counted already. */
export function unreclaimable(base: PageAllocator): PageAllocator {
  return counted(base, 'unreclaimable', SOURCE_UNRECLAIMABLE);
}
