/** The footprint of a heap while a replay runs, against the row that it has come to. */
import type { Heap } from 'modslab';
import type { Point } from './figures.ts';

export class Sampler {
  /** Sizes of kmalloc's caches, ascending; the page's. */
  sizes: number[] = [];
  pageSize = 1;
  readonly footprint: Point[] = [[0, 0]];
  #heap: Heap | undefined;

  /** Begins; what it returns ends it. */
  start(heap: Heap): () => Promise<void> {
    this.#heap = heap;
    this.pageSize = heap.pageSize;
    this.sizes = heap
      .caches()
      .filter(({ name }) => /^kmalloc-\d+$/.test(name))
      .map(({ size }) => size)
      .sort((a, b) => a - b);
    return () => {
      this.#heap = undefined;
      return Promise.resolve();
    };
  }

  /** A sample: frames in use, by zones. */
  take(row: number): void {
    if (this.#heap === undefined || !Number.isFinite(row)) return;
    const used = this.#heap.zoneinfo().reduce((sum, { present, free }) => sum + present - free, 0);
    this.footprint.push([row, used]);
  }
}
