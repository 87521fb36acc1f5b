/**
 * What a benchmark needs of an allocator. Each subject is a thin class around one allocator, and a process loads exactly
 * one of them: the loops call through this interface, but in any one process every call site sees one class, so that V8
 * inlines it and the interface costs what the no-op subject shows.
 */

/** An allocator under measurement. Addresses are byte offsets, 0 stands for "no memory". */
export interface Subject {
  alloc(size: number): number;
  free(address: number): void;
  /** Fills `out` with objects of `size` bytes; false when there is no memory for all of them. */
  allocBulk(size: number, out: Int32Array): boolean;
  freeBulk(addresses: Int32Array): void;
  /** What `attach` of the same subject needs on another thread. Absent: the allocator is not for two threads. */
  share?(): unknown;
  /** Called after the last round: what is wrong with the heap by now. */
  problems(): string[];
}
