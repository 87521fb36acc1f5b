/**
 * Figures and their formats; snapshots to look at.
 *
 * @packageDocumentation
 */

export type { SnapshotInfo } from './debug/snapshot.ts';
export {
  attributeFiles,
  type CacheAttributes,
  formatAttributes,
} from './stat/attributes.ts';
export type { CacheCounters, CpuCacheCounters, SheafInfo } from './stat/cacheCounters.ts';
export type { CpuInfo } from './stat/cpuInfo.ts';
export { HeapImage, imageOf, type ObjectInfo, type ObjectState, openSnapshot } from './stat/image.ts';
export type { BuddyInfo, Counters, MemInfo } from './stat/meminfo.ts';
export { FRAME_KINDS, type FrameKind, type FrameMap, type PageInfo } from './stat/pageInfo.ts';
export { formatSlabinfo, type SlabinfoRow } from './stat/slabinfo.ts';
export type { ZoneInfo } from './stat/zoneinfo.ts';
