/**
 * Collections under threads that are killed at random: counters are exact but for the one step that a dead thread may or may
 * not have made, and in the end everything that the collections ever had is free again.
 */

import assert from 'node:assert/strict';
import { Heap } from 'modslab';
import { assertSound } from './accounts.ts';
import type { Board } from './board.ts';
import { assertFreed, assertWhole, counter, createShared, type Shared, TOTAL } from './collections.ts';
import { Random } from './random.ts';
import { boardFor } from './rounds.ts';
import { sleep, Thread } from './thread.ts';

const MIB = 2 ** 20;
const options = { size: MIB, maxSize: 32 * MIB, pageSize: 8192, cpus: 10 };

/** A worker's life: it is killed at a random moment, reaped, and what it had in its hands is taken back. */
async function life(heap: Heap, board: Board, shared: Shared, worker: number, seed: number): Promise<void> {
  const thread = new Thread({ shortLived: true });
  const before = board.steps[worker];
  const args = { map: shared.map.handle, vector: shared.vector.handle, steps: 0, seed, jitter: 30, worker };
  const tag = `life ${seed}`;
  thread.launch('collections.work', heap.handle, board, args, tag);
  await thread.until(() => board.steps[worker] !== before, 'a worker to begin', board);
  await sleep(new Random(seed).below(30));
  await thread.kill();
  for (const { cpu, tag: theirs, generation, online } of heap.cpus())
    if (online && theirs === tag) heap.reap(cpu, generation);
}

/** Three workers at once, each with so many lives; then everything is counted and freed. */
export async function killAtRandom(lives: number): Promise<void> {
  const workers = 3;
  const heap = Heap.create(options);
  const board = boardFor(options, workers);
  const shared = createShared(heap, 8);
  const lane = async (worker: number): Promise<void> => {
    for (let i = 0; i < lives; i++) {
      await life(heap, board, shared, worker, 100 * worker + i);
      assertSound(heap, `after death ${i} of worker ${worker}`);
      assertWhole(shared);
    }
  };
  await Promise.all(Array.from({ length: workers }, (_, worker) => lane(worker)));
  shared.map.recover();
  let made = 0;
  for (let worker = 0; worker < workers; worker++) {
    const steps = board.steps[worker];
    const count = counter(shared.map, `count ${worker}`);
    assert.ok(count <= steps && count >= steps - lives, `${count} of ${steps} steps`);
    made += steps;
  }
  const total = counter(shared.map, TOTAL);
  assert.ok(total <= made && total >= made - lives * workers, `${total} of ${made} steps`);
  assertFreed(heap, shared);
}
