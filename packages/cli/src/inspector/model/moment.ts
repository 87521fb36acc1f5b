/** One moment of a heap, computed from a snapshot: what all views draw. */
import {
  type BuddyInfo,
  type Counters,
  type CpuRow,
  type FrameTable,
  type HeapFigures,
  type HeapView,
  readView,
  type SheafRow,
} from 'modslab/inspect';

export interface Moment {
  /** Milliseconds since 1970, or, of a trace, the number of events executed. */
  readonly time: number;
  readonly label: string;
  readonly frames: FrameTable;
  readonly figures: HeapFigures;
  readonly buddy: BuddyInfo[];
  readonly counters: Counters;
  readonly sheaves: SheafRow[];
  readonly cpus: CpuRow[];
  /** The metadata itself, for single slabs and descriptors; dropped of moments that are only kept to be compared. */
  readonly view: HeapView | undefined;
  /** Its snapshot, so that it can be saved. */
  readonly snapshot: (() => Uint8Array) | undefined;
}

/** Computes a moment of a snapshot. Throws what `Heap.restore` throws of damaged bytes. Cost: O(what is in the heap). */
export function momentOf(snapshot: Uint8Array, label: (time: number) => string = () => ''): Moment {
  const { view, info } = readView(snapshot);
  return momentOfView(view, info.time, label(info.time), () => snapshot);
}

/** Computes a moment of a view. */
export function momentOfView(
  view: HeapView,
  time: number,
  label: string,
  snapshot: () => Uint8Array,
): Moment {
  const frames = view.frames();
  const sheaves = view.sheaves();
  return {
    time,
    label,
    frames,
    figures: view.figures(frames),
    buddy: view.buddyinfo(),
    counters: view.counters(),
    sheaves,
    cpus: view.cpus(sheaves),
    view,
    snapshot,
  };
}

/** A moment without its metadata: a few hundred kilobytes for a heap of 1 GiB. */
export const kept = (moment: Moment, label: string): Moment => ({
  ...moment,
  label,
  view: undefined,
  snapshot: undefined,
});

/** Share of the footprint that no live object has: slabs' free and cached objects, and their waste. */
export function unused(figures: HeapFigures): number {
  return figures.footprint === 0 ? 0 : 1 - figures.live / figures.footprint;
}

/** Share of the free frames that the longest run does not have: 0 when all free memory is in one piece. */
export function scattered(figures: HeapFigures): number {
  return figures.free === 0 ? 0 : 1 - figures.largestFree / figures.free;
}
