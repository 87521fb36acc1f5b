/**
 * An operation killed at each of its kill points in turn. One thread plays all CPUs: the victim "dies" by an exception that
 * the kill point's hook throws, after which its heap object is never used again. Then it is reaped by another CPU, and again
 * with that reaper killed on the way and reaped by a third. `after` says what must hold, each time on a fresh scene.
 *
 * (Code under test must not clean up in `finally` or `catch` what a killed thread would leave: it would pass here and
 * fail in threads-kill.)
 */

import assert from 'node:assert/strict';
import { Heap, type HeapOptions } from 'modslab';
import { setKillPointHook } from 'modslab/debug';

/** What ends a CPU of this thread in the middle of an operation. */
class Killed extends Error {}

const PAGE = 4096;
const options: HeapOptions = { size: 32 * PAGE, maxSize: 256 * PAGE, pageSize: PAGE, cpus: 4, caches: 40 };
/** An operation with more kill points than this never ends. */
const PASSAGES_MAX = 500;

export interface Plan<T> {
  /** Prepares a heap of which `victim` is a second CPU. */
  readonly prepare: (heap: Heap, victim: Heap) => T;
  /** What the victim does, with the victim's handles. */
  readonly act: (scene: T, victim: Heap) => void;
  /** What must hold after the reap. `point` is '' when the victim was not killed at all. */
  readonly after: (scene: T, heap: Heap, point: string) => void;
}

/** Runs `act` until its n-th passage of a kill point; its name, or '' if there are not so many. */
function killedAtPassage(n: number, act: () => void): string {
  let left = n;
  let point = '';
  setKillPointHook((name) => {
    if (--left > 0) return;
    point = name;
    setKillPointHook(undefined);
    throw new Killed();
  });
  try {
    act();
  } catch (error) {
    if (!(error instanceof Killed)) throw error;
  } finally {
    setKillPointHook(undefined);
  }
  return point;
}

function reapAll(heap: Heap): void {
  for (const { cpu, online, generation } of heap.cpus()) {
    if (online && cpu !== heap.cpu) heap.reap(cpu, generation);
  }
}

/** Fails unless nothing is wrong; call it when only one CPU is left. */
export function assertSoundAlone(heap: Heap, what: string): void {
  assert.deepEqual(
    heap.validate().map(({ code, message }) => `${code} ${message}`),
    [],
    what,
  );
  assert.equal(heap.reports, 0, `${what}: reports of damage`);
}

function one<T>(plan: Plan<T>, passage: number, reaperPassage: number): string {
  const heap = Heap.create(options);
  const victim = Heap.attach(heap.handle);
  const scene = plan.prepare(heap, victim);
  const point = killedAtPassage(passage, () => plan.act(scene, victim));
  const reaper = Heap.attach(heap.handle);
  const reaperPoint =
    reaperPassage === 0 ? '' : killedAtPassage(reaperPassage, () => reaper.reap(victim.cpu));
  // The dead reaper first: what it was reaping is finished with it.
  heap.reap(reaper.cpu);
  reapAll(heap);
  const what = `killed at '${point}' (${passage}), its reaper at '${reaperPoint}' (${reaperPassage})`;
  try {
    assertSoundAlone(heap, what);
    plan.after(scene, heap, point);
    assertSoundAlone(heap, what);
  } catch (error) {
    throw new Error(what, { cause: error });
  } finally {
    heap.detach();
  }
  return point;
}

/** Kills at every passage; the names of the kill points that were passed. */
export function killAtEach<T>(plan: Plan<T>): Set<string> {
  const points = new Set<string>();
  for (let passage = 1; passage < PASSAGES_MAX; passage++) {
    const point = one(plan, passage, 0);
    if (point === '') return points;
    points.add(point);
    // Reaps pass some ten to thirty kill points; a few of them for each.
    for (const reaperPassage of [1 + (passage % 3), 4 + ((passage * 5) % 23)])
      one(plan, passage, reaperPassage);
  }
  throw new Error('the operation never comes to its end');
}
