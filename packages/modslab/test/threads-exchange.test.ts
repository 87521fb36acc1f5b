/**
 * Threads that share one heap: what one allocates another frees.
 *
 * Two things must hold whatever the interleaving. No memory is ever handed out twice: every object is claimed, granule by
 * granule, in a map beside the heap, and filled with a pattern that its last owner verifies (support/objects.ts). And
 * nothing is lost: when all threads have freed what they have and left, no object is live, validation finds nothing, and
 * a shrink gives every frame back.
 *
 * The mix (support/mix.ts) runs with kill points as places to lose time (support/killpoints.ts) as well, so that threads
 * meet in windows that are otherwise a few instructions wide.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Heap, type HeapOptions } from 'modslab';
import { assertAlone, settle } from './support/accounts.ts';
import { skipUnlessChecked } from './support/killpoints.ts';
import { boardFor, mixRound } from './support/rounds.ts';
import { Crew, LIMIT } from './support/thread.ts';

const MIB = 2 ** 20;
const options: HeapOptions = { size: 2 * MIB, maxSize: 64 * MIB };

/** Pairs of threads, each a ring of slots: one side allocates, the other frees. */
async function producersAndConsumers(pairs: number, sizes: string, ops: number): Promise<void> {
  const heap = Heap.create(options);
  const board = boardFor(options, 2 * pairs, { slots: 64 * pairs });
  const crew = new Crew(2 * pairs);
  try {
    const ends = crew.threads.map((thread, worker) => {
      const scenario = worker % 2 === 0 ? 'exchange.produce' : 'exchange.consume';
      const args = { worker, pairs, pair: worker >> 1, sizes, ops, seed: 1 + (worker >> 1) };
      return thread.run(scenario, heap.handle, board, args);
    });
    await Promise.all(ends);
    assertAlone(heap);
    assert.equal(heap.meminfo().live, 0);
    settle(heap, board);
  } finally {
    await crew.end();
    heap.detach();
  }
}

test('one thread allocates 64 bytes, another frees', LIMIT, async () => {
  await producersAndConsumers(1, '64', 40_000);
});

test('one thread allocates all sizes, another frees', LIMIT, async () => {
  await producersAndConsumers(1, '0 1 8 24 64 96 200 512 1000 4096 10000 40000 100000', 10_000);
});

test('three pairs on the same classes', LIMIT, async () => {
  await producersAndConsumers(3, '8 64 2048 16384', 8_000);
});

test('random exchange between 8 workers, pages of 64 KiB', LIMIT, async () => {
  await mixRound(options, 8, 100_000, 1);
});

test('random exchange between 8 workers, pages of 4 KiB', LIMIT, async () => {
  await mixRound({ ...options, pageSize: 4096 }, 8, 20_000, 2);
});

test('random exchange between 4 workers on two nodes', LIMIT, async () => {
  await mixRound({ ...options, pageSize: 8192, nodes: 2 }, 4, 20_000, 3);
});

test('random exchange with time lost at kill points', { ...LIMIT, skip: skipUnlessChecked }, async () => {
  await mixRound({ ...options, pageSize: 4096 }, 6, 5_000, 4, 24);
});
