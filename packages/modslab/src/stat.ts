/**
 * Figures and their formats.
 *
 * @packageDocumentation
 */

export type { BuddyInfo, Counters, MemInfo } from './stat/meminfo.ts';
export { formatSlabinfo, type SlabinfoRow } from './stat/slabinfo.ts';
