/**
 * Heaps as inspectors draw them: what every page frame is, slab by slab and object by object, without taking part in the heap.
 * `modslab inspect` and its page are made of this. What a heap says of itself is in `modslab/stat`.
 *
 * @packageDocumentation
 */

import { readMetadata, type SnapshotInfo, SnapshotReader } from './debug/snapshot.ts';
import type { HeapHandle } from './heap.ts';
import { openMetadata } from './memory/metadata.ts';
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

/**
 * A view of a shared heap as it is, without a snapshot: what it shows changes with the heap. Throws `EVERSION` as `Heap.attach`
 * does. O(1).
 */
export function viewOf(handle: HeapHandle): HeapView {
  return new HeapView(openMetadata(handle.metadata));
}

/** Reads one snapshot after the other, faster than `readView` does. A view that it gave shows what was read last. */
export class ViewReader {
  private readonly reader: SnapshotReader;

  constructor() {
    this.reader = new SnapshotReader();
  }

  /** Throws as `readView`. */
  read(snapshot: Uint8Array): { view: HeapView; info: SnapshotInfo } {
    const { metadata, info } = this.reader.read(snapshot);
    return { view: new HeapView(metadata), info };
  }
}
