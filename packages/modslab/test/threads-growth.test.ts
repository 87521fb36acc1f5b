/**
 * Threads that change what is shared: the heap's end, the table of caches, the CPU slots. None of these has a lock.
 *
 * - Growth: any thread enlarges the buffer and raises one word; all others see the new memory with their next look at
 *   the views. While the heap may still grow, no allocation fails, however many threads want memory at once.
 * - Caches: of several creators of a name exactly one wins; of several destroyers exactly one; a destroyed cache's
 *   number is used again only when nothing of it is left anywhere.
 * - CPUs: a slot has one thread at a time, and who finds none is told ENOCPU.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Heap, type HeapOptions, SlabError } from 'modslab';
import { assertAlone, assertEmpty, assertSound, settle } from './support/accounts.ts';
import type { Board, Plan } from './support/board.ts';
import { STAYS } from './support/growth.ts';
import { skipUnlessChecked } from './support/killpoints.ts';
import { boardFor } from './support/rounds.ts';
import type { Args } from './support/task.ts';
import { Crew, LIMIT, skipUnlessDeathIsTold, Thread } from './support/thread.ts';

const MIB = 2 ** 20;

/** Runs a scenario on several threads and a new heap, which must be empty in the end. Returns heap and results. */
async function together(
  options: HeapOptions,
  workers: number,
  scenario: string,
  args: Args,
  prepare: (heap: Heap) => void = () => {},
  plan: Partial<Plan> = {},
): Promise<{ heap: Heap; board: Board; results: unknown[] }> {
  const heap = Heap.create(options);
  const board = boardFor(options, workers, plan);
  const crew = new Crew(workers);
  try {
    prepare(heap);
    const results = await crew.run(scenario, heap.handle, board, { jitter: 0, seed: 1, ...args });
    assertAlone(heap);
    assertSound(heap, 'after the last worker has left');
    return { heap, board, results };
  } finally {
    await crew.end();
  }
}

const growing: HeapOptions = { size: MIB, maxSize: 64 * MIB, pageSize: 16_384 };
/** What four workers may take of 64 MiB in small objects and large ones, slabs in the making included. */
const SHARE = 12 * MIB;

const wasmMemory = (): WebAssembly.Memory =>
  new WebAssembly.Memory({ initial: 16, maximum: 1024, shared: true });

test('four threads grow a growable SharedArrayBuffer by small objects', LIMIT, async () => {
  const args = { bytes: SHARE, sizeMax: 3000 };
  const { heap, board, results } = await together(growing, 4, 'growth.consume', args);
  assert.deepEqual(results, Array(4).fill({ failed: 0 }));
  assert.ok(heap.meminfo().size >= 4 * SHARE);
  settle(heap, board);
});

test('four threads grow it by large objects', LIMIT, async () => {
  for (let seed = 1; seed <= 4; seed++) {
    const args = { bytes: SHARE, sizeMax: 600_000, seed };
    const { heap, board, results } = await together(growing, 4, 'growth.consume', args);
    assert.deepEqual(
      results,
      Array(4).fill({ failed: 0 }),
      'allocations that failed while the heap could grow',
    );
    settle(heap, board);
  }
});

test('four threads grow it and lose time at kill points', { ...LIMIT, skip: skipUnlessChecked }, async () => {
  const args = { bytes: SHARE, sizeMax: 200_000, jitter: 4 };
  const { heap, board, results } = await together(growing, 4, 'growth.consume', args);
  assert.deepEqual(
    results,
    Array(4).fill({ failed: 0 }),
    'allocations that failed while the heap could grow',
  );
  settle(heap, board);
});

test('four threads grow a shared WebAssembly.Memory', LIMIT, async () => {
  const options = { ...growing, size: MIB, memory: wasmMemory() };
  const args = { bytes: SHARE, sizeMax: 100_000 };
  const { heap, board, results } = await together(options, 4, 'growth.consume', args);
  assert.deepEqual(
    results,
    Array(4).fill({ failed: 0 }),
    'allocations that failed while the heap could grow',
  );
  settle(heap, board);
});

test('what one thread writes behind its growth, others read', LIMIT, async () => {
  for (const memory of [undefined, wasmMemory()]) {
    const options: HeapOptions = memory === undefined ? growing : { ...growing, memory };
    const rounds = 300;
    const size = 160_000;
    const { heap, board } = await together(options, 3, 'growth.read', { rounds, size }, undefined, {
      slots: 512,
    });
    for (let round = 1; round <= rounds; round++) heap.kvfree(board.slots[round] >>> 0);
    assertEmpty(heap);
  }
});

test('exactly one of four creators wins a name', LIMIT, async () => {
  for (const jitter of skipUnlessChecked === false ? [0, 3] : [0]) {
    const rounds = jitter === 0 ? 200 : 50;
    const { heap, results } = await together(growing, 4, 'growth.same-name', { rounds, jitter });
    const codes = results as string[][];
    for (let round = 0; round < rounds; round++) {
      const ofRound = codes.map((list) => list[round]);
      assert.equal(ofRound.filter((code) => code === '').length, 1, `round ${round}: ${ofRound}`);
      assert.ok(
        ofRound.every((code) => ['', 'EINVAL', 'EBUSY'].includes(code)),
        `round ${round}: ${ofRound}`,
      );
    }
    assertEmpty(heap);
  }
});

test('exactly one of four destroyers destroys a cache', LIMIT, async () => {
  const rounds = 100;
  const { heap, results } = await together(growing, 4, 'growth.same-destroy', { rounds });
  const codes = results as string[][];
  for (let round = 0; round < rounds; round++) {
    const ofRound = codes.map((list) => list[round]).sort();
    assert.deepEqual(ofRound, ['', 'EINVAL', 'EINVAL', 'EINVAL'], `round ${round}`);
  }
  assertEmpty(heap);
});

test('four threads create, use and destroy caches of their own, in few descriptors', LIMIT, async () => {
  const options = { ...growing, caches: 48 };
  const { heap, board } = await together(options, 4, 'growth.own-caches', { rounds: 150 });
  const left = heap.caches().map(({ name }) => name);
  assert.deepEqual(
    left.filter((name) => name.startsWith('own-')),
    [],
  );
  settle(heap, board);
});

test('four threads quarrel over three names', LIMIT, async () => {
  for (const jitter of skipUnlessChecked === false ? [0, 24] : [0]) {
    const options = { ...growing, caches: 32 };
    const args = { rounds: jitter === 0 ? 4000 : 1000, jitter };
    const { heap, board } = await together(options, 4, 'growth.quarrel', args);
    assert.equal(heap.meminfo().live, 0);
    for (const cache of heap.caches()) if (cache.name.startsWith('shared-')) cache.destroy();
    settle(heap, board);
  }
});

test('constructors on several threads leave no object out', LIMIT, async () => {
  const prepare = (heap: Heap): void =>
    void heap.createCache({ name: 'constructed', size: 480, ctor: () => {} });
  const { heap, results } = await together(growing, 4, 'growth.construct', { ops: 20_000 }, prepare);
  const reports = results as { made: number; foreign: number }[];
  assert.ok(reports.some(({ made }) => made > 0));
  assert.ok(
    reports.some(({ foreign }) => foreign > 0),
    'some object was constructed by another thread than used it',
  );
  assertEmpty(heap);
});

test('more threads than CPUs come and go', LIMIT, async () => {
  const options = { ...growing, cpus: 4 };
  const { heap, board, results } = await together(options, 6, 'growth.come-and-go', {
    rounds: 300,
    attach: 0,
  });
  const reports = results as { attached: number; refused: number }[];
  assert.ok(reports.every(({ attached, refused }) => attached + refused === 300));
  const attached = reports.reduce((sum, report) => sum + report.attached, 0);
  const generations = heap.cpus().filter(({ cpu }) => cpu !== heap.cpu);
  assert.equal(
    generations.reduce((sum, { generation }) => sum + generation, 0),
    attached,
  );
  settle(heap, board);
});

/** A heap for two threads, and what it says to a third. */
function heapForTwo(): { heap: Heap; board: Board; refuse: () => void } {
  const options = { ...growing, cpus: 2 };
  const heap = Heap.create(options);
  const refuse = (): void => {
    assert.throws(
      () => Heap.attach(heap.handle),
      (error: unknown) => error instanceof SlabError && error.code === 'ENOCPU',
    );
  };
  return { heap, board: boardFor(options, 1), refuse };
}

test('ENOCPU, until a thread leaves', () => {
  const { heap, refuse } = heapForTwo();
  const second = Heap.attach(heap.handle, { tag: 'second' });
  refuse();
  second.detach();
  Heap.attach(heap.handle).detach();
  assertAlone(heap);
  assertEmpty(heap);
});

test('ENOCPU, until a dead thread is reaped', { ...LIMIT, skip: skipUnlessDeathIsTold }, async () => {
  const { heap, board, refuse } = heapForTwo();
  const thread = new Thread();
  try {
    thread.launch('growth.stay', heap.handle, board, {}, 'second');
    await thread.until(() => Atomics.load(board.control, STAYS) === 1, 'a worker to attach');
    refuse();
    await thread.kill();
    refuse();
    const dead = heap.cpus().find(({ tag, online }) => online && tag === 'second');
    assert.ok(dead !== undefined);
    assert.equal(heap.reap(dead.cpu, dead.generation + 1).objects, 0, 'another generation is not meant');
    refuse();
    assert.ok(heap.reap(dead.cpu, dead.generation).objects > 0);
    Heap.attach(heap.handle).detach();
    assertAlone(heap);
    assertEmpty(heap);
  } finally {
    await thread.kill();
  }
});
