/**
 * A group's state word:
 *
 *     31 … 16 generation │ 14 … 4 owner + 1 │ 3 … 0 status          [A]
 *
 * The owner is the CPU that creates the group, completes its end, or lets it adopt or be adopted: it alone may change the
 * parent. Nobody waits for it; who finds one is told `EBUSY`, or leaves the work to the next one.
 */

export const GROUP_NONE = 0;
export const GROUP_CREATING = 1;
export const GROUP_CANDIDATE = 2;
export const GROUP_ACTIVE = 3;
export const GROUP_DYING = 4;
const STATUS_MASK = 15;
const OWNER_SHIFT = 4;
const OWNER_MASK = 0x7ff;
const GENERATION_SHIFT = 16;
const GENERATION_MASK = 0xffff;

export const groupStatus = (state: number): number => state & STATUS_MASK;
export const groupOwner = (state: number): number => (state >>> OWNER_SHIFT) & OWNER_MASK;
export const groupGeneration = (state: number): number => state >>> GENERATION_SHIFT;
export const groupWord = (status: number, owner: number, generation: number): number =>
  ((generation & GENERATION_MASK) << GENERATION_SHIFT) | (owner << OWNER_SHIFT) | status;
/** The same state, with another status and owner. */
export const withStatus = (state: number, status: number, owner: number): number =>
  groupWord(status, owner, groupGeneration(state));
