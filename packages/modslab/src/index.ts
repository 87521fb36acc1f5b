/**
 * modslab: a modular slab allocator with a kmalloc subsystem, for the shared memory of JavaScript.
 *
 * @packageDocumentation
 */

export type { Account, Accounting } from './debug/accounting.ts';
export type { CheckedObject, CheckedOptions } from './debug/checkedAccess.ts';
export type { LeakFilter, LeakGroup } from './debug/leaks.ts';
export type { ReapReport } from './debug/reap.ts';
export type { RestoreOptions, SnapshotOptions } from './debug/snapshot.ts';
export type { Problem } from './debug/validate.ts';
export {
  Heap,
  type HeapHandle,
  type HeapOptions,
  type KmemCacheOptions,
} from './heap.ts';
export type { Group, GroupOptions } from './kmalloc/group.ts';
export type { KfenceOptions } from './kmalloc/kfence.ts';
export type { KmemBuckets } from './kmalloc/kmemBuckets.ts';
export type { CacheStats, KmemCache, Sheaf } from './kmalloc/kmemCache.ts';
export type { Mempool } from './kmalloc/mempool.ts';
export type { Shrinker } from './kmalloc/reclaim.ts';
export type { Recording, RecordOptions } from './kmalloc/recording.ts';
export type {
  ScalarType,
  Struct,
  StructField,
  StructFields,
  StructLayout,
  StructOptions,
} from './kmalloc/struct.ts';
export type { TraceEvent, TraceEventName, TraceListener } from './kmalloc/tracing.ts';
export type { HeapMemory, WasmMemory } from './memory/data.ts';
export { SlabError, type SlabErrorCode } from './memory/errors.ts';
export { GFP, type GfpFlags } from './memory/gfp.ts';
export type { Finding, SlabReport, TrackInfo } from './memory/report.ts';
export type { VmArea } from './page/vmArea.ts';
export type { FailSettings } from './slab/failslab.ts';
export { SLAB, type SlabFlags } from './slab/flags.ts';
export type { Address, AddressArray } from './slab/slabAllocator.ts';
export type { TrackSettings } from './slab/tracked.ts';
export type { CpuInfo } from './stat/cpuInfo.ts';
export type { BuddyInfo, Counters, MemInfo } from './stat/meminfo.ts';
export type { PageInfo } from './stat/pageInfo.ts';
export type { SlabinfoRow } from './stat/slabinfo.ts';
export type { ZoneInfo } from './stat/zoneinfo.ts';
