/**
 * RCU ("read, copy, update"): readers that announce themselves with one store, and grace periods, after which nobody
 * can still hold what was unlinked before they began. This module counts grace periods; what waits for one is
 * page/deferred.ts and slab/waiting.ts (memory), kmalloc/rcu.ts (callbacks).
 *
 * Grace periods are numbered. Two words of the header, changed by compare-and-swap, never by more than one:
 *
 *     begun - ended ∈ { 0, 1 }          1: grace period number `begun` is under way
 *
 * The outermost `readLock` of a CPU stores 1 + begun into the CPU's record, before the reader's first load of anything
 * protected; the outermost `readUnlock` stores 0, behind its last. Both are atomic, hence in one order with everybody
 * else's:
 *
 *     a CPU is in the way of grace period g   ⇔   its word is not 0 and word - 1 < g
 *
 * Grace period g ends when each CPU has been seen, at some time after g began, not to be in its way. A reader that has
 * loaded an old `begun` and stores it late, after that look at its word, does no harm: it stores before it loads
 * anything protected, so it sees what had been unlinked before g began. It only delays the next grace period.
 *
 * Whoever unlinks something and then reads `begun` = b must wait for grace period b + 1, `target()`: that one cannot have
 * begun before the unlinking. So at any time all targets still to be waited for are ended + 1 or ended + 2, and two bits
 * of a target tell whether it is over (`isOverBits`).
 *
 * Nobody waits. Grace periods begin and end in `poll`, by whoever needs one. A CPU outside of read sections is never in
 * the way, however long it has been idle; a reader that was killed is in the way until it is reaped.
 *
 * | killed here                     | ⇒ reap does this                                                  |
 * |---------------------------------|-------------------------------------------------------------------|
 * | in a read section               | its word ← 0                                                      |
 * | a grace period begun, not ended | nothing: anybody's next poll goes on with it                      |
 */

import { killPoint } from './assert.ts';
import type { Cpu } from './cpu.ts';
import { invalid } from './errors.ts';
import { CPU_RCU_READING, cpuAt, H_CPUS_TAKEN, H_RCU_BEGUN, H_RCU_ENDED } from './layout.ts';
import type { Metadata } from './metadata.ts';

/** The bits of a grace period's number that a state byte keeps. */
const NUMBER_MASK = 3;
/** Steps of `poll`: what is under way ends, the next one begins, ends. */
const POLL_STEPS = 4;

/** Read sections of this CPU, and everybody's grace periods. */
export class Rcu {
  private readonly m: Int32Array;
  private readonly metadata: Metadata;
  private readonly cpu: Cpu;
  private readonly reading: number;
  /** Read sections that this CPU is in, one within the other. Lost with the thread: the record's word tells enough. */
  private depth = 0;

  constructor(metadata: Metadata, cpu: Cpu) {
    this.m = metadata.m;
    this.metadata = metadata;
    this.cpu = cpu;
    this.reading = cpu.record + CPU_RCU_READING;
  }

  /** Begins a read section, or one within another. Outermost: an atomic load or two and a store; else none. */
  readLock(): void {
    if (this.depth === 0) {
      this.cpu.checkOnline();
      Atomics.store(this.m, this.reading, (this.m[H_RCU_BEGUN] + 1) | 0);
      killPoint('rcu.reading');
    }
    this.depth++;
  }

  /** Ends the read section begun last. Throws `EINVAL` outside of any. Outermost: one atomic store. */
  readUnlock(): void {
    if (this.depth === 0) invalid('rcuReadUnlock without rcuReadLock: this thread is in no read section');
    this.depth--;
    if (this.depth === 0) Atomics.store(this.m, this.reading, 0);
  }

  /** Whether this CPU is in a read section. */
  get isReading(): boolean {
    return this.depth > 0;
  }

  /** Ends all read sections of this CPU, which is about to detach. */
  leave(): void {
    this.depth = 0;
    Atomics.store(this.m, this.reading, 0);
  }

  /** The grace period after which no reader can hold what has been unlinked before this call. One atomic load. */
  target(): number {
    return (Atomics.load(this.m, H_RCU_BEGUN) + 1) | 0;
  }

  /** Whether grace period `target` is over. One atomic load. */
  isOver(target: number): boolean {
    return ((Atomics.load(this.m, H_RCU_ENDED) - target) | 0) >= 0;
  }

  /**
   * Whether the grace period is over of whose number, a `target()` of earlier, only the two lowest bits are known. It may
   * say no to one that is long over, but then the next grace period's end makes it a yes. One atomic load.
   */
  isOverBits(bits: number): boolean {
    const ahead = (bits - Atomics.load(this.m, H_RCU_ENDED)) & NUMBER_MASK;
    return ahead === 0 || ahead === NUMBER_MASK;
  }

  /**
   * Brings grace periods on as far as readers allow, up to `target`; whether that is over. Never waits. Cost: two atomic
   * loads if it is over, else one a CPU and a few more.
   */
  poll(target: number): boolean {
    const { m } = this;
    for (let step = 0; step < POLL_STEPS; step++) {
      if (this.isOver(target)) return true;
      const ended = Atomics.load(m, H_RCU_ENDED);
      const begun = Atomics.load(m, H_RCU_BEGUN);
      if (begun === ended) {
        Atomics.compareExchange(m, H_RCU_BEGUN, begun, (begun + 1) | 0);
        killPoint('rcu.begun');
      } else if (this.isInTheWay(begun)) {
        return false;
      } else {
        Atomics.compareExchange(m, H_RCU_ENDED, (begun - 1) | 0, begun);
      }
    }
    return this.isOver(target);
  }

  /** Whether a reader's section began before grace period `number`. */
  private isInTheWay(number: number): boolean {
    const { m, metadata } = this;
    const cpus = Atomics.load(m, H_CPUS_TAKEN);
    for (let id = 0; id < cpus; id++) {
      const word = Atomics.load(m, cpuAt(metadata.layout, id) + CPU_RCU_READING);
      if (word !== 0 && ((word - 1 - number) | 0) < 0) return true;
    }
    return false;
  }
}

/** For reap: a dead reader reads no more. */
export function endReading(metadata: Metadata, cpu: number): void {
  Atomics.store(metadata.m, cpuAt(metadata.layout, cpu) + CPU_RCU_READING, 0);
}
