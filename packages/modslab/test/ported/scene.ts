/**
 * What the ported suites have in common: a heap, a board without a map of granules (each suite verifies contents in its
 * own way), threads that run a suite's scenarios, and the reckoning in the end.
 *
 * Where a suite ends its threads and starts new ones there are two ways to play it. A thread is, to the heap, a CPU that
 * attaches and detaches; so `ROUNDS` keeps the worker threads and only lets them leave and come back, which costs
 * microseconds. `LIVES` starts a real thread each time, which costs some 50 ms and is for the soaks.
 */

import { Heap, type HeapOptions } from 'modslab';
import { assertAlone, assertEmpty, assertSound } from '../support/accounts.ts';
import { Board } from '../support/board.ts';
import type { Args } from '../support/task.ts';
import { Crew, Thread } from '../support/thread.ts';

export type Threads = 'rounds' | 'lives';

export const KIB = 1024;
export const MIB: number = 1024 * KIB;

export class Scene {
  readonly heap: Heap;
  readonly board: Board;
  private readonly size: number;
  private readonly kept: Crew | undefined;

  constructor(options: HeapOptions, threads: number, way: Threads, slots = 1) {
    this.heap = Heap.create({ cpus: threads + 4, ...options });
    this.board = new Board({ workers: threads, slots, holdings: 0, granules: 0 });
    this.size = threads;
    this.kept = way === 'rounds' ? new Crew(threads) : undefined;
  }

  /** Every thread runs the scenario, with its number as `worker`, attached for that long. The results. */
  async run(scenario: string, args: Args = {}): Promise<unknown[]> {
    const crew = this.kept ?? new Crew(this.size);
    try {
      return await crew.run(scenario, this.heap.handle, this.board, args);
    } finally {
      if (crew !== this.kept) await crew.end();
    }
  }

  /** One new thread runs the scenario and ends. */
  async runAlone(scenario: string, args: Args): Promise<unknown> {
    const thread = new Thread();
    try {
      return await thread.run(scenario, this.heap.handle, this.board, args);
    } finally {
      await thread.kill();
    }
  }

  /** The address in a slot, which is then empty; 0 if it was. */
  take(slot: number): number {
    return Atomics.exchange(this.board.slots, slot, 0) >>> 0;
  }

  /** To be called while all threads are still, objects live or not. */
  sound(when: string): void {
    assertAlone(this.heap);
    assertSound(this.heap, when);
  }

  /** Everything was freed: nothing may be live, no CPU attached, and a shrink gives every frame back. */
  empty(): void {
    assertAlone(this.heap);
    assertEmpty(this.heap);
  }

  async end(): Promise<void> {
    await this.kept?.end();
    this.heap.detach();
  }
}

/** Runs `act` in a scene and ends it, whatever happens. */
export async function inScene(scene: Scene, act: (scene: Scene) => Promise<void>): Promise<void> {
  try {
    await act(scene);
  } finally {
    await scene.end();
  }
}
