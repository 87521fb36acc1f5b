/**
 * Heaps as images, for whoever shows them: what every page frame is, slab by slab and object by object, without taking part
 * in the heap. `modslab inspect` and its page are made of this.
 *
 * @packageDocumentation
 */

import { readMetadata, type SnapshotInfo } from './debug/snapshot.ts';
import { HeapImage } from './stat/heapImage.ts';

export type { SnapshotInfo } from './debug/snapshot.ts';
export { FRAME, FRAME_FLAG, type FrameTable } from './stat/frameTable.ts';
export {
  type CacheFigures,
  type CpuRow,
  type DescriptorWord,
  FRAME_NAMES,
  type HeapFigures,
  HeapImage,
  HOLDER_BARN,
  HOLDER_NONE,
  type SheafRow,
  type SlabImage,
  stateName,
} from './stat/heapImage.ts';
export type { BuddyInfo, Counters } from './stat/meminfo.ts';

/**
 * Reads a snapshot (`heap.snapshot({ data: false })` is enough) as an image. Throws `TypeError`, `EINVAL` for what is no snapshot,
 * `EVERSION` for one of another version, `ECORRUPT` for a damaged one.
 */
export function readImage(snapshot: Uint8Array): { image: HeapImage; info: SnapshotInfo } {
  const { metadata, info } = readMetadata(snapshot);
  return { image: new HeapImage(metadata), info };
}
