/**
 * Heaps as inspectors draw them: what every page frame is, slab by slab and object by object, without taking part in the heap.
 * `modslab inspect` and its page are made of this. What a heap says of itself is in `modslab/stat`.
 *
 * @packageDocumentation
 */

import { readMetadata, type SnapshotInfo } from './debug/snapshot.ts';
import { HeapView } from './stat/heapView.ts';

export type { SnapshotInfo } from './debug/snapshot.ts';
export { FRAME, FRAME_FLAG, type FrameTable } from './stat/frameTable.ts';
export {
  type CacheFigures,
  type CpuRow,
  type DescriptorWord,
  FRAME_NAMES,
  type HeapFigures,
  HeapView,
  HOLDER_BARN,
  HOLDER_NONE,
  type SheafRow,
  type SlabImage,
  stateName,
} from './stat/heapView.ts';
export type { BuddyInfo, Counters } from './stat/meminfo.ts';

/**
 * Reads a snapshot (`heap.snapshot({ data: false })` is enough) as a view. Throws `TypeError`, `EINVAL` for what is no snapshot,
 * `EVERSION` for one of another version, `ECORRUPT` for a damaged one.
 */
export function readView(snapshot: Uint8Array): { view: HeapView; info: SnapshotInfo } {
  const { metadata, info } = readMetadata(snapshot);
  return { view: new HeapView(metadata), info };
}
