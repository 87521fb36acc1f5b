/**
 * Waiting for memory: what a `NOFAIL` call does when there is none. The header's waiters' word is 0, or 1 if somebody may
 * be waiting:
 *
 *     waiter:  word ← 1;  look for memory once more;  wait until the word is not 1, or a while
 *     giver:   word 1?  word ← 0, wake all;  each of them that still finds none sets it again
 *
 * A waiter that looks before the giver gives has set the word by then, so it is woken, or does not go to sleep at all. Killed
 * while it waits, a waiter leaves the word 1, which costs the next giver one needless wake-up. What is freed into the
 * sheaves of other threads wakes nobody: hence the while.
 */

import { H_WAITERS } from './layout.ts';

const WAITING = 1;

/** Announces that this thread is about to wait. Look for memory once more behind this. */
export function announceWaiter(m: Int32Array): void {
  Atomics.store(m, H_WAITERS, WAITING);
}

/** Sleeps until memory is given back, at most `milliseconds`. Throws a `TypeError` where the thread may not block. */
export function waitForMemory(m: Int32Array, milliseconds: number): void {
  Atomics.wait(m, H_WAITERS, WAITING, milliseconds);
}

/** Wakes who waits for memory, after some has been given back. One plain load if nobody does. */
export function wakeWaiters(m: Int32Array): void {
  if (m[H_WAITERS] === 0) return;
  Atomics.store(m, H_WAITERS, 0);
  Atomics.notify(m, H_WAITERS);
}
