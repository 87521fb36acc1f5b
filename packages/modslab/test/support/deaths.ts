/**
 * Deaths within one process: a thread's end is simulated by an exception that leaves an operation at a kill point, on a
 * Heap object that is not used again. Deterministic and fast, so every point of an operation can be visited at every
 * passage; it is no substitute for real kills, which strip `finally` blocks of their effect (threads-stall has those).
 */

import { setKillPointHook } from 'modslab/debug';

class Death extends Error {}

/** Runs `operation` until it has come to its n-th kill point of those that match, and no further. Whether it has died. */
export function dieAt(points: RegExp, passage: number, operation: () => void): boolean {
  let left = passage;
  setKillPointHook((name) => {
    if (points.test(name) && --left <= 0) throw new Death(name);
  });
  try {
    operation();
    return false;
  } catch (error) {
    if (error instanceof Death) return true;
    throw error;
  } finally {
    setKillPointHook(undefined);
  }
}

/** Runs `scene` once for each passage of a kill point that matches, until its operation comes to its end. */
export function atEveryDeath(scene: (passage: number) => boolean): number {
  for (let passage = 1; ; passage++) if (!scene(passage)) return passage - 1;
}
