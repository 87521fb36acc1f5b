/**
 * Consistency checks, besides those that modslab always makes: at each allocation and free, whether the slab's page
 * descriptors still say what they must. What is wrong in one is put right. No write of the application reaches these words; a bug of modslab's, or hostile code, might.
 * Cost: O(frames of the slab).
 */

import { cacheAt } from '../memory/layout.ts';
import type { Finding } from '../memory/report.ts';
import type { DebugObject } from './debugObject.ts';
import type { DebugContext, DebugPart } from './debugPart.ts';
import { describeSlab, describesSlab, framesOfSlab } from './describe.ts';
import { SLAB } from './flags.ts';

function check({ metadata }: DebugContext, object: DebugObject, findings: Finding[]): void {
  const { m, layout } = metadata;
  const descriptor = cacheAt(layout, object.cache);
  for (let pfn = object.head; pfn < object.head + framesOfSlab(m, descriptor); pfn++) {
    if (describesSlab(metadata, descriptor, object.head, pfn)) continue;
    describeSlab(metadata, descriptor, object.head, pfn);
    const at = pfn * 2 ** layout.pageShift;
    findings.push({
      what: 'Page descriptor',
      from: at,
      to: at + 2 ** layout.pageShift,
      found: 0,
      expected: 0,
    });
  }
}

export const consistency: DebugPart = {
  name: 'checked',
  flag: SLAB.CONSISTENCY_CHECKS,
  checkInactive(context, object, findings) {
    check(context, object, findings);
  },
  checkActive(context, object, _requested, findings) {
    check(context, object, findings);
  },
};
