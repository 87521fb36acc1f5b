/** The main thread's side of threads-stall: one heap, one victim, two survivors for each kill point. */

import assert from 'node:assert/strict';
import { Heap, type HeapOptions } from 'modslab';
import { KILL_POINTS } from 'modslab/debug';
import { assertAlone, assertSound, settle } from './accounts.ts';
import type { Board } from './board.ts';
import { createMixCaches, destroyMixCaches } from './mix.ts';
import { boardFor } from './rounds.ts';
import { REAPED, STANDS_AT } from './stall.ts';
import { Crew, Thread } from './thread.ts';

/**
 * The kill points that a victim comes to. Not: what only damaged metadata leads to (frozen.test.ts), and what only the derived
 * page allocators of modslab/framework come to, or the collections of modslab/collections.
 */
export const STALL_POINTS: readonly string[] = KILL_POINTS.filter(
  (point) => point !== 'slab.frozen' && !/^(hazards|map|vector)[.]/.test(point),
);

const MIB = 2 ** 20;
const options: HeapOptions = { size: MIB / 2, maxSize: 32 * MIB, pageSize: 8192, cpus: 12, caches: 48 };
const SURVIVORS = 2;
const VICTIM = SURVIVORS;

/** A heap on which a victim stands at a kill point. */
interface Scene {
  readonly heap: Heap;
  readonly board: Board;
  readonly victim: Thread;
}

export class Stalls {
  /** The kill points that victims have stood at. */
  readonly reached: Set<string> = new Set();
  private readonly survivors: Crew = new Crew(SURVIVORS);
  private seed = 0;

  async end(): Promise<void> {
    await this.survivors.end();
  }

  /** A victim stops, survivors do `ops` operations each, the victim is reaped, nothing is lost. */
  async stopAndReap(point: string, passage: number, ops: number): Promise<void> {
    await this.scene(point, passage, ops, async ({ heap, board, victim }) => {
      const objects = board.inflight[VICTIM];
      await this.bury(heap, victim);
      assertAlone(heap);
      this.reckon(heap, board, objects);
    });
  }

  /** The same, but others come, work and go before the victim is reaped. */
  async stopAndLeave(point: string, passage: number, ops: number): Promise<void> {
    await this.scene(point, passage, ops, async ({ heap, board, victim }) => {
      for (let round = 0; round < 3; round++) await this.goOn(heap, board, ops);
      await victim.kill();
      await this.goOn(heap, board, ops);
      const objects = board.inflight[VICTIM];
      await this.bury(heap, victim);
      this.reckon(heap, board, objects);
    });
  }

  /**
   * The victim is killed and reaped by a worker that itself stops for good, at the given kill point or at the n-th of any
   * name; others go on; then a third thread reaps the reaper. Returns whether the reaper stopped, or came to its end.
   */
  async stopTheReaper(point: string, reaperPoint: string, passage: number, ops: number): Promise<boolean> {
    let stopped = false;
    await this.scene(point, 1, ops, async ({ heap, board, victim }) => {
      await victim.kill();
      Atomics.store(board.control, STANDS_AT, 0);
      const reaper = new Thread();
      try {
        const args = { dead: 'victim', point: reaperPoint, passage };
        reaper.launch('stall.reap', heap.handle, board, args, 'reaper');
        const { control } = board;
        await reaper.until(() => Atomics.load(control, STANDS_AT) !== 0, 'the reaper', board);
        stopped = Atomics.load(control, STANDS_AT) !== REAPED;
        if (stopped) this.reached.add(KILL_POINTS[Atomics.load(control, STANDS_AT) - 1]);
        await this.goOn(heap, board, ops);
        const objects = board.inflight[VICTIM];
        await this.bury(heap, reaper);
        this.reckon(heap, board, objects);
      } finally {
        await reaper.kill();
      }
    });
    return stopped;
  }

  private async scene(
    point: string,
    passage: number,
    ops: number,
    act: (scene: Scene) => Promise<void>,
  ): Promise<void> {
    const heap = Heap.create(options);
    const board = boardFor(options, SURVIVORS + 1, { slots: 16, holdings: 64 });
    const victim = new Thread();
    this.seed++;
    try {
      createMixCaches(heap);
      const args = { worker: VICTIM, seed: this.seed, point, passage };
      victim.launch('stall.stop', heap.handle, board, args, 'victim');
      await this.goOn(heap, board, ops);
      await victim.until(() => Atomics.load(board.control, STANDS_AT) > 0, 'the victim', board);
      this.reached.add(KILL_POINTS[Atomics.load(board.control, STANDS_AT) - 1]);
      await act({ heap, board, victim });
    } catch (error) {
      throw new Error(`kill point '${point}', passage ${passage}, seed ${this.seed}`, { cause: error });
    } finally {
      await victim.kill();
      heap.detach();
    }
  }

  /** The survivors attach, work, and leave. No allocation of theirs may fail, and the heap must look sound. */
  private async goOn(heap: Heap, board: Board, ops: number): Promise<void> {
    const reports = await this.survivors.run('stall.go-on', heap.handle, board, { ops, seed: this.seed });
    assert.deepEqual(reports, Array(SURVIVORS).fill({ failed: 0 }), 'allocations that failed');
    assertSound(heap, 'with a worker stopped and not reaped');
  }

  /** Kills the victim and reaps all CPUs that it had. */
  private async bury(heap: Heap, victim: Thread): Promise<void> {
    await victim.kill();
    for (const { cpu, online, generation } of heap.cpus()) {
      if (online && cpu !== heap.cpu) heap.reap(cpu, generation);
    }
    assertAlone(heap);
    assertSound(heap, 'after the reap');
  }

  /** What is live is what is listed, but for `unlisted` objects. Then everything goes. */
  private reckon(heap: Heap, board: Board, unlisted: number): void {
    for (const group of heap.groups()) group.free();
    assert.deepEqual(heap.groups(), []);
    for (const { name } of heap.caches().filter((cache) => cache.name.startsWith('victim-'))) {
      const cache = heap.cache(name);
      for (const address of cache.objects()) cache.free(address);
      cache.destroy();
    }
    settle(heap, board, unlisted);
    destroyMixCaches(heap);
  }
}
