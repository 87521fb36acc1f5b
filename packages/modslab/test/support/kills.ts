/**
 * A kill storm, as its supervisor sees it. Workers do random work on one heap; the supervisor, a CPU of the heap itself,
 * kills one at a random moment, reaps it, validates, frees what the board says the dead one had, and puts a new thread in
 * its place; again and again. In the end all stop, and everything must be accounted for.
 */

import assert from 'node:assert/strict';
import { Heap, type HeapOptions } from 'modslab';
import { assertAlone, assertSound, settle } from './accounts.ts';
import type { Board } from './board.ts';
import { createMixCaches, destroyMixCaches } from './mix.ts';
import { Objects, orderOf, PAGES } from './objects.ts';
import { Random } from './random.ts';
import { boardFor } from './rounds.ts';
import { cachePrefix, PASSAGES, tagOf } from './storm.ts';
import { sleep, Thread } from './thread.ts';

const WORKERS = 4;
/** One life in so many is ended while the thread is still starting. */
const EARLY = 4;
/** Kills come within so many milliseconds after the last, or after a thread was started. */
const CALM_MS = 12;
const START_MS = 80;

export interface StormOptions {
  readonly kills: number;
  readonly seed: number;
  readonly heap: HeapOptions;
  /** Time lost at kill points, see support/killpoints.ts. */
  readonly jitter?: number;
}

class Storm {
  private readonly options: StormOptions;
  private readonly heap: Heap;
  private readonly board: Board;
  private readonly random: Random;
  private readonly threads: Thread[];
  private readonly lives: number[];
  /** Live objects that no list may name: what the dead had in their hands. */
  private unlisted = 0;

  constructor(options: StormOptions) {
    this.options = options;
    this.heap = Heap.create({ ...options.heap, cpus: 2 * WORKERS + 2 });
    this.board = boardFor(options.heap, WORKERS, { slots: 24, holdings: 64 });
    this.random = new Random(options.seed);
    this.lives = Array(WORKERS).fill(0);
    createMixCaches(this.heap);
    this.threads = this.lives.map((_, worker) => this.start(worker));
  }

  async run(): Promise<void> {
    await Promise.all(this.threads.map((_, worker) => this.begun(worker)));
    for (let kill = 0; kill < this.options.kills; kill++) {
      const worker = this.random.below(WORKERS);
      await sleep(this.random.below(CALM_MS));
      await this.kill(worker);
      while (this.random.oneIn(EARLY) && ++kill < this.options.kills) {
        await sleep(this.random.below(START_MS));
        await this.kill(worker);
      }
      await this.begun(worker);
    }
    await this.finish();
  }

  /** Ends all threads, whatever has happened. */
  async end(): Promise<void> {
    await Promise.all(this.threads.map((thread) => thread.kill()));
    this.heap.detach();
  }

  private start(worker: number): Thread {
    const thread = new Thread();
    const { seed, jitter = 0 } = this.options;
    const args = { worker, life: this.lives[worker], seed, jitter, attach: 0 };
    thread.launch('storm.work', this.heap.handle, this.board, args);
    return thread;
  }

  /** Waits until the worker has done something in its present life. */
  private async begun(worker: number): Promise<void> {
    const before = this.board.steps[worker];
    const { board } = this;
    await this.threads[worker].until(() => board.steps[worker] !== before, 'a worker to begin', board);
  }

  private async kill(worker: number): Promise<void> {
    for (const { failure } of this.threads) if (failure !== undefined) throw failure;
    await this.threads[worker].kill();
    await this.reap(worker);
    assertSound(this.heap, `after the reap of ${tagOf(worker, this.lives[worker])}`);
    this.freeLegacy(worker);
    this.lives[worker]++;
    this.threads[worker] = this.start(worker);
  }

  private async reap(worker: number): Promise<void> {
    const { heap, board } = this;
    const tag = tagOf(worker, this.lives[worker]);
    const slots = await this.cpusOf(worker, tag);
    assert.ok(slots.length <= 1, `${tag} had CPUs ${slots.map(({ cpu }) => cpu)}`);
    for (const { cpu, generation } of slots) heap.reap(cpu, generation);
    board.control[PASSAGES + worker] = 0;
    this.unlisted += board.inflight[worker];
    board.inflight[worker] = 0;
  }

  /** The slots that a dead worker has left: those with its tag, and those without any that no living thread is taking or leaving. */
  private async cpusOf(worker: number, tag: string): Promise<{ cpu: number; generation: number }[]> {
    const passages = (): string =>
      this.lives.map((_, i) => (i === worker ? 0 : Atomics.load(this.board.control, PASSAGES + i))).join();
    for (;;) {
      const before = passages();
      const slots = this.heap.cpus();
      const still = !before.split(',').some((count) => Number(count) % 2 === 1);
      if (still && passages() === before) {
        return slots.filter((slot) => slot.online && slot.cpu !== this.heap.cpu && (slot.tag ?? tag) === tag);
      }
      await sleep(1);
    }
  }

  /** What the dead worker had and what it called its own: its objects, verified, and its caches. */
  private freeLegacy(worker: number): void {
    const { heap, board } = this;
    const objects = new Objects(heap, board, worker);
    const holdings = board.holdings(worker);
    for (const address of new Set(holdings)) {
      if (address === 0) continue;
      const whole = objects.disown(address >>> 0);
      if (whole.kind === PAGES) heap.freePages(address >>> 0, orderOf(heap, whole));
      else heap.kfree(address >>> 0);
    }
    holdings.fill(0);
    for (const cache of heap.caches()) {
      if (!cache.name.startsWith(cachePrefix(worker))) continue;
      cache.freeBulk(Uint32Array.from(cache.objects()));
      cache.destroy();
    }
  }

  private async finish(): Promise<void> {
    const { heap, board } = this;
    board.stop();
    await Promise.all(this.threads.map((thread) => thread.ended));
    assertAlone(heap);
    settle(heap, board, this.unlisted);
    destroyMixCaches(heap);
    settle(heap, board);
  }
}

/** One storm on a heap of its own. */
export async function storm(options: StormOptions): Promise<void> {
  const { kills, seed } = options;
  const run = new Storm(options);
  try {
    await run.run();
  } catch (error) {
    throw new Error(`a storm of ${kills} kills, seed ${seed}`, { cause: error });
  } finally {
    await run.end();
  }
}
