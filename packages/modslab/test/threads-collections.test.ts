/**
 * Collections under threads. Every value that is read is a whole one of its key; a counter that all add to is exact; in the
 * end everything that the collections ever had is free again.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Heap } from 'modslab';
import { assertAlone } from './support/accounts.ts';
import { assertFreed, assertWhole, counter, createShared, TOTAL } from './support/collections.ts';
import { killAtRandom } from './support/collectionsKilled.ts';
import { boardFor } from './support/rounds.ts';
import { Crew, LIMIT, skipUnlessDeathIsTold } from './support/thread.ts';

const MIB = 2 ** 20;
const options = { size: MIB, maxSize: 32 * MIB, pageSize: 8192, cpus: 10 };

test('four threads: counters are exact, values are whole, nothing is lost', LIMIT, async () => {
  const heap = Heap.create(options);
  const board = boardFor(options, 4);
  const shared = createShared(heap, 6);
  const crew = new Crew(4);
  try {
    const args = { map: shared.map.handle, vector: shared.vector.handle, steps: 300, seed: 1, jitter: 24 };
    const results = await crew.run('collections.work', heap.handle, board, args);
    assert.deepEqual(results, Array(4).fill({ added: 300 }));
    assertAlone(heap);
  } finally {
    await crew.end();
  }
  assert.equal(counter(shared.map, TOTAL), 1200);
  for (let worker = 0; worker < 4; worker++) assert.equal(counter(shared.map, `count ${worker}`), 300);
  assert.equal([...shared.vector.values()].length, 300);
  assert.equal(shared.vector.length, 300);
  assertWhole(shared);
  assertFreed(heap, shared);
});

test(
  'threads killed at random: whoever is left goes on, and all memory comes back',
  {
    ...LIMIT,
    skip: skipUnlessDeathIsTold,
  },
  () => killAtRandom(7),
);
