/**
 * Red zones: bytes before and behind each object that nobody may write to. Filled with 0xcc while the object is live, with
 * 0xbb while it is free, and compared when it is freed, when it is allocated again, and by `validate()`. If kmalloc was asked
 * for less than the object has, what was not asked for is a zone too.
 */

import { RED_ACTIVE, RED_INACTIVE } from './debugObject.ts';
import type { DebugPart } from './debugPart.ts';
import { SLAB } from './flags.ts';
import { ZONE_BYTES } from './objectLayout.ts';
import { findWrong } from './reporter.ts';

export const redzone: DebugPart = {
  name: 'redzone',
  flag: SLAB.RED_ZONE,
  checkInactive({ data }, { address, size, zoneEnd, hasLeft }, findings) {
    const { u8 } = data.views();
    if (hasLeft) findWrong(u8, 'Left Redzone', address - ZONE_BYTES, address, RED_INACTIVE, findings);
    findWrong(u8, 'Right Redzone', address + size, zoneEnd, RED_INACTIVE, findings);
  },
  activate({ data }, { address, zoneEnd, hasLeft }, requested) {
    const { u8 } = data.views();
    if (hasLeft) u8.fill(RED_ACTIVE, address - ZONE_BYTES, address);
    u8.fill(RED_ACTIVE, address + requested, zoneEnd);
  },
  checkActive({ data }, { address, size, zoneEnd, hasLeft }, requested, findings) {
    const { u8 } = data.views();
    if (hasLeft) findWrong(u8, 'Left Redzone', address - ZONE_BYTES, address, RED_ACTIVE, findings);
    findWrong(u8, 'kmalloc Redzone', address + requested, address + size, RED_ACTIVE, findings);
    findWrong(u8, 'Right Redzone', address + size, zoneEnd, RED_ACTIVE, findings);
  },
};
