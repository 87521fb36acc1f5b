/**
 * Poison: a freed object is filled with 0x6b and a last byte of 0xa5, and compared when it is allocated again, and by
 * `validate()`. So what is written to an object after its free is found, and what is read there is no plausible value. An
 * object that is allocated still has it. Objects with a constructor, and those that readers may look at after their free
 * (`TYPESAFE_BY_RCU`), are not poisoned.
 */

import { POISON_END, POISON_FREE } from './debugObject.ts';
import type { DebugPart } from './debugPart.ts';
import { SLAB } from './flags.ts';
import { findWrong } from './reporter.ts';

export const poison: DebugPart = {
  name: 'poison',
  flag: SLAB.POISON,
  checkInactive({ data }, { address, size, isPoisoned }, findings) {
    if (!isPoisoned) return;
    const { u8 } = data.views();
    const last = address + size - 1;
    findWrong(u8, 'Poison', address, last, POISON_FREE, findings);
    findWrong(u8, 'End Poison', last, last + 1, POISON_END, findings);
  },
};
