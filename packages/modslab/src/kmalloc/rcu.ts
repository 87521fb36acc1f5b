/**
 * What waits for a grace period (memory/rcu.ts): callbacks, objects to be freed, promises.
 *
 * `kfreeRcu` checks its object like `kfree`, then leaves it waiting in its slab (slab/waiting.ts), or its run of frames
 * (page/deferred.ts). Both are everybody's from then on. They are freed in batches: by every CPU once it has made a batch of
 * objects wait, by `shrink`, by any allocation that finds no frame, by `reap`, and by `rcuBarrier`.
 *
 * Callbacks are functions, so they are their thread's: they run there, from a timer, and are lost with the thread, killed
 * or detached. How many each CPU has queued and run is in its record, so that `rcuBarrier` can wait for those of other
 * threads:
 *
 *     queued - ran = callbacks that are still to run          both only rise, modulo 2^32
 *
 * Nothing here blocks: what waits is a promise, which polls from a timer while readers are in its way.
 */

import { generationOf, ONLINE, statusOf } from '../memory/cpu.ts';
import { invalid } from '../memory/errors.ts';
import { CPU_RCU_QUEUED, CPU_RCU_RAN, CPU_STATUS, cpuAt, H_CPUS_TAKEN, H_WAITERS } from '../memory/layout.ts';
import type { FrameAllocator } from '../page/pageAllocator.ts';
import type { Address } from '../slab/slabAllocator.ts';
import type { Slabifier } from '../slab/slabifier.ts';
import type { Kmalloc } from './kmalloc.ts';

/** Objects that a CPU makes wait before it looks for those that need wait no more. */
export const RCU_BATCH = 64;
/** Longest sleep between two looks at the readers, in milliseconds. */
const SLEEP_MAX_MS = 16;

interface Callback {
  readonly target: number;
  readonly run: () => void;
}

/** Another CPU's callbacks that a barrier waits for. */
interface Others {
  readonly record: number;
  readonly status: number;
  readonly queued: number;
}

/** RCU as one thread has it. */
export class RcuCallbacks {
  private readonly m: Int32Array;
  private readonly frames: FrameAllocator;
  private readonly slabifier: Slabifier;
  private readonly kmalloc: Kmalloc;
  /** In the order in which they were queued, hence of their targets. */
  private readonly queue: Callback[] = [];
  private isScheduled = false;
  /** Objects made wait since this CPU has last looked. */
  private batch = 0;

  constructor(frames: FrameAllocator, slabifier: Slabifier, kmalloc: Kmalloc) {
    this.m = frames.metadata.m;
    this.frames = frames;
    this.slabifier = slabifier;
    this.kmalloc = kmalloc;
  }

  /** Frees a live object, which is checked at once, after a grace period. Cost: a few atomics; a look at all in 64. */
  kfree(address: Address, kmalloc: Kmalloc = this.kmalloc): void {
    if (address === 0) return;
    kmalloc.kfreeDeferred(address);
    this.batch++;
    if (this.batch >= RCU_BATCH) this.collect();
  }

  /** Frees what need wait no more, anybody's; how many slabs could not be looked at. */
  collect(): number {
    this.batch = 0;
    this.frames.collectDeferred();
    return this.slabifier.collectWaiting().missed;
  }

  /** Runs `callback` on this thread after a grace period, from a timer. */
  call(callback: () => void): void {
    if (typeof callback !== 'function') throw new TypeError('callRcu takes a function');
    const { m, frames } = this;
    frames.cpu.checkOnline();
    this.queue.push({ target: frames.rcu.target(), run: callback });
    m[frames.cpu.record + CPU_RCU_QUEUED]++;
    this.schedule(0);
  }

  /** Resolves after a grace period. Rejects with `EINVAL` within a read section, `ESHUTDOWN` if this CPU leaves. */
  async synchronize(): Promise<void> {
    this.checkMayWait('synchronizeRcu');
    const target = this.frames.rcu.target();
    for (let sleep = 0; !this.frames.rcu.poll(target); sleep = nextSleep(sleep)) await this.pause(sleep);
  }

  /**
   * Resolves when every callback that any CPU had queued before has run, or is lost with its CPU, and what `kfreeRcu` had
   * been given before is free.
   */
  async barrier(): Promise<void> {
    this.checkMayWait('rcuBarrier');
    const { m, frames } = this;
    const target = frames.rcu.target();
    const others = this.queuedByOthers();
    const ownQueued = m[frames.cpu.record + CPU_RCU_QUEUED];
    for (let sleep = 0; ; sleep = nextSleep(sleep)) {
      if (frames.rcu.poll(target)) {
        this.runDue();
        const ownRan = (m[frames.cpu.record + CPU_RCU_RAN] - ownQueued) | 0;
        if (ownRan >= 0 && others.every((cpu) => this.hasRun(cpu)) && this.collect() === 0) return;
      }
      await this.pause(sleep);
    }
  }

  /** For detach: callbacks that have not run are lost. */
  leave(): void {
    this.queue.length = 0;
    this.m[this.frames.cpu.record + CPU_RCU_RAN] = this.m[this.frames.cpu.record + CPU_RCU_QUEUED];
  }

  private checkMayWait(what: string): void {
    this.frames.cpu.checkOnline();
    if (this.frames.rcu.isReading)
      invalid(`${what} within a read section of this thread would wait for itself`);
  }

  private async pause(milliseconds: number): Promise<void> {
    await sleepFor(this.m, milliseconds);
    this.frames.cpu.checkOnline();
  }

  private queuedByOthers(): Others[] {
    const { m, frames } = this;
    const { layout } = frames.metadata;
    const others: Others[] = [];
    for (let id = 0; id < Atomics.load(m, H_CPUS_TAKEN); id++) {
      const record = cpuAt(layout, id);
      const status = Atomics.load(m, record + CPU_STATUS);
      if (id === frames.cpu.id || statusOf(status) !== ONLINE) continue;
      others.push({ record, status, queued: Atomics.load(m, record + CPU_RCU_QUEUED) });
    }
    return others;
  }

  /** Whether a CPU has run what it had queued, or is not there any more. */
  private hasRun({ record, status, queued }: Others): boolean {
    const now = Atomics.load(this.m, record + CPU_STATUS);
    if (statusOf(now) !== ONLINE || generationOf(now) !== generationOf(status)) return true;
    return ((Atomics.load(this.m, record + CPU_RCU_RAN) - queued) | 0) >= 0;
  }

  private schedule(sleep: number): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    sleepFor(this.m, sleep).then(() => {
      this.isScheduled = false;
      this.runDue();
      if (this.queue.length > 0) this.schedule(nextSleep(sleep));
    });
  }

  /** Runs the callbacks whose grace period is over, the oldest first. */
  private runDue(): void {
    const { m, frames } = this;
    while (this.queue.length > 0 && frames.rcu.poll(this.queue[0].target)) {
      const callback = this.queue.shift();
      m[frames.cpu.record + CPU_RCU_RAN]++;
      try {
        callback?.run();
      } catch (error) {
        // Nobody waits for it: the host reports it, and the other callbacks run.
        Promise.reject(error);
      }
    }
  }
}

const nextSleep = (milliseconds: number): number => Math.min(SLEEP_MAX_MS, 2 * milliseconds + 1);

/** The platform's timer, which every host but an audio worklet has. */
interface Timers {
  setTimeout?(callback: () => void, milliseconds: number): unknown;
}

/** The part of `Atomics` that the language's library of ES2022 does not declare. */
interface WaitAsync {
  waitAsync?(m: Int32Array, index: number, value: number, milliseconds: number): { value: unknown };
}

/** Resolves after so many milliseconds: by a timer, or where there is none by `Atomics.waitAsync`. */
async function sleepFor(m: Int32Array, milliseconds: number): Promise<void> {
  const { setTimeout } = globalThis as Timers;
  if (setTimeout !== undefined) {
    await new Promise<void>((resolve) => setTimeout(resolve, milliseconds));
    return;
  }
  const { waitAsync } = Atomics as WaitAsync;
  if (waitAsync === undefined)
    invalid('this thread has neither setTimeout nor Atomics.waitAsync to wait with');
  await waitAsync(m, H_WAITERS, 0, milliseconds).value;
}
