/** Rounds of the mix on a heap of its own, which the test and the soak of threads-exchange have in common. */

import assert from 'node:assert/strict';
import { Heap, type HeapOptions } from 'modslab';
import { assertAlone, assertSound, settle } from './accounts.ts';
import { Board, type Plan } from './board.ts';
import type { MixReport } from './exchange.ts';
import { createMixCaches, destroyMixCaches } from './mix.ts';
import { Crew } from './thread.ts';

/** A board for `workers` workers on a heap made with these options. */
export function boardFor(options: HeapOptions, workers: number, rest: Partial<Plan> = {}): Board {
  const granules = (options.maxSize ?? 0) / 8;
  return new Board({ workers, slots: 64, holdings: 128, ...rest, granules });
}

/** `workers` threads do `ops` random operations each, free everything and detach; then nothing may be left. */
export async function mixRound(
  options: HeapOptions,
  workers: number,
  ops: number,
  seed: number,
  jitter = 0,
): Promise<void> {
  const heap = Heap.create(options);
  const board = boardFor(options, workers);
  const crew = new Crew(workers);
  try {
    createMixCaches(heap);
    const reports = (await crew.run('exchange.mix', heap.handle, board, {
      ops,
      seed,
      jitter,
    })) as MixReport[];
    assert.equal(new Set(reports.map(({ cpu }) => cpu)).size, workers, 'every worker was a CPU of its own');
    assert.deepEqual(
      reports.map(({ failed }) => failed),
      reports.map(() => 0),
      'allocations that failed though there was memory',
    );
    assert.ok(
      board.tags.every((tag) => tag === 0),
      'a granule is still claimed',
    );
    assertAlone(heap);
    assertSound(heap, 'after the last worker has left');
    assert.equal(heap.meminfo().live, 0);
    destroyMixCaches(heap);
    settle(heap, board);
  } finally {
    await crew.end();
    heap.detach();
  }
}
