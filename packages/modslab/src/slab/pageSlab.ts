/**
 * The page slab (MODSLAB V1, 2006): every object is a run of pages of its own, from the page allocator and back to it at
 * once. For objects as large as a page or more, of which few are alive at a time: no memory is kept for later.
 *
 * It is the slabifier's degenerate case, so it has its checks and survives kills as it does: a cache whose descriptor says
 * WHOLE_PAGES has slabs of one object and exactly the frames that it needs, and never parks an empty one.
 */

import type { PageAllocator } from '../page/pageAllocator.ts';
import { SLAB_WHOLE_PAGES } from './flags.ts';
import type { CacheSpec } from './slabAllocator.ts';
import { Slabifier } from './slabifier.ts';

export class PageSlab extends Slabifier {
  override readonly name: string = 'page_slab';

  override create(spec: CacheSpec): number {
    return super.create({ ...spec, flags: spec.flags | SLAB_WHOLE_PAGES });
  }
}

/** One object a call of the page allocator. */
export function pageSlab(pages: PageAllocator): PageSlab {
  return new PageSlab(pages);
}
