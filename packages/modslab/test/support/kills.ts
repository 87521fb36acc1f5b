/**
 * A kill storm, as its supervisor sees it. Workers do random work on one heap; the supervisor, a CPU of the heap itself,
 * kills one or several at a random moment, reaps each, validates after each reap, frees what the board says the dead had,
 * and puts new threads in their places; again and again. In the end all stop, and everything must be accounted for.
 *
 * A storm spends its time on starting threads. So up to three die at once and start at the same time, and nobody waits for
 * a new thread to begin unless it is to be killed next; of those, one in four is killed while it still starts.
 */

import assert from 'node:assert/strict';
import { type CpuInfo, Heap, type HeapOptions } from 'modslab';
import { assertAlone, assertSound, settle } from './accounts.ts';
import type { Board } from './board.ts';
import { createMixCaches, destroyMixCaches } from './mix.ts';
import { Objects, orderOf, PAGES } from './objects.ts';
import { Random } from './random.ts';
import { boardFor } from './rounds.ts';
import { cachePrefix, PASSAGES, tagOf } from './storm.ts';
import { HANG_SECONDS, sleep, Thread } from './thread.ts';

const WORKERS = 4;
/** At least one worker lives on. */
const VICTIMS_MAX: number = WORKERS - 1;
/** One life in so many is ended while the thread is still starting. */
const EARLY = 4;
/** Kills come within so many milliseconds after the last. */
const CALM_MS = 12;

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
  /** What the board said of each worker's steps when its present life was started. */
  private readonly stepsBefore: number[];
  /** Live objects that no list may name: what the dead had in their hands. */
  private unlisted = 0;

  constructor(options: StormOptions) {
    this.options = options;
    this.heap = Heap.create({ ...options.heap, cpus: 2 * WORKERS + 2 });
    this.board = boardFor(options.heap, WORKERS, { slots: 24, holdings: 64 });
    this.random = new Random(options.seed);
    this.lives = Array(WORKERS).fill(0);
    this.stepsBefore = Array(WORKERS).fill(0);
    createMixCaches(this.heap);
    this.threads = this.lives.map((_, worker) => this.start(worker));
  }

  async run(): Promise<void> {
    let kills = 0;
    while (kills < this.options.kills) {
      const victims = this.victims(Math.min(VICTIMS_MAX, this.options.kills - kills));
      for (const worker of victims) if (!this.random.oneIn(EARLY)) await this.begun(worker);
      await sleep(this.random.below(CALM_MS));
      await this.kill(victims);
      kills += victims.length;
    }
    await Promise.all(this.threads.map((_, worker) => this.begun(worker)));
    await this.finish();
  }

  /** Ends all threads, whatever has happened. One that cannot be ended does not hide what has gone wrong before. */
  async end(): Promise<void> {
    for (const outcome of await Promise.allSettled(this.threads.map((thread) => thread.kill())))
      if (outcome.status === 'rejected') console.error(`at the end of a storm: ${outcome.reason}`);
    this.heap.detach();
  }

  /** 1 … `most` different workers. */
  private victims(most: number): number[] {
    const count = this.random.between(1, most);
    const workers = this.threads.map((_, worker) => worker);
    return Array.from({ length: count }, () => workers.splice(this.random.below(workers.length), 1)[0]);
  }

  private start(worker: number): Thread {
    const thread = new Thread({ shortLived: true });
    const { seed, jitter = 0 } = this.options;
    const args = { worker, life: this.lives[worker], seed, jitter, attach: 0 };
    this.stepsBefore[worker] = this.board.steps[worker];
    thread.launch('storm.work', this.heap.handle, this.board, args);
    return thread;
  }

  /** Waits until the worker has done something in its present life. */
  private async begun(worker: number): Promise<void> {
    const { board, stepsBefore } = this;
    const done = (): boolean => board.steps[worker] !== stepsBefore[worker];
    await this.threads[worker].until(done, 'a worker to begin', board);
  }

  /** Kills them all, then reaps, and starts their successors. */
  private async kill(victims: readonly number[]): Promise<void> {
    this.throwFailure();
    await Promise.all(victims.map((worker) => this.threads[worker].kill()));
    for (const worker of victims) if (this.threads[worker].lastWords) throw this.threads[worker].lastWords;
    await this.reap(victims);
    for (const worker of victims) {
      this.freeLegacy(worker);
      this.lives[worker]++;
      this.threads[worker] = this.start(worker);
    }
  }

  /** While one of the dead is reaped the others are still there, unreaped. */
  private async reap(victims: readonly number[]): Promise<void> {
    const { heap, board } = this;
    const tags = victims.map((worker) => tagOf(worker, this.lives[worker]));
    const slots = await this.cpusOf(victims, tags);
    const found = slots.map(({ cpu, tag }) => `${cpu} ${tag}`).join(', ');
    assert.ok(slots.length <= victims.length, `${tags} had the CPUs ${found}`);
    for (const { cpu, generation, tag } of slots) {
      heap.reap(cpu, generation);
      assertSound(heap, `after the reap of CPU ${cpu}, ${tag}`);
    }
    for (const worker of victims) {
      board.control[PASSAGES + worker] = 0;
      this.unlisted += board.inflight[worker];
      board.inflight[worker] = 0;
    }
  }

  /**
   * The slots that dead workers have left: those with their tags, and those without any that no living thread is taking or
   * leaving.
   */
  private async cpusOf(dead: readonly number[], tags: readonly string[]): Promise<CpuInfo[]> {
    const { control } = this.board;
    const passages = (): number[] =>
      this.lives.map((_, i) => (dead.includes(i) ? 0 : Atomics.load(control, PASSAGES + i)));
    const deadline = Date.now() + HANG_SECONDS * 1000;
    for (;;) {
      const before = passages();
      assert.ok(Date.now() < deadline, `threads stay in passage: ${before}; dead: ${dead}`);
      const slots = this.heap.cpus();
      const still = before.every((count) => count % 2 === 0);
      if (still && passages().join() === before.join()) {
        return slots.filter(
          ({ cpu, online, tag }) =>
            online && cpu !== this.heap.cpu && (tag === undefined || tags.includes(String(tag))),
        );
      }
      // A thread that has failed while it attached is never done with that.
      this.throwFailure();
      await sleep(1);
    }
  }

  private throwFailure(): void {
    for (const { failure } of this.threads) if (failure !== undefined) throw failure;
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
    // A heap that has come to harm may throw at its end too: what has happened first is what is told.
    await run.end().catch(() => {});
    throw new Error(`a storm of ${kills} kills, seed ${seed}`, { cause: error });
  }
  await run.end();
}
