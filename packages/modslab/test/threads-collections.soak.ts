/** Collections under threads that are killed at random, many times. */

import { test } from 'node:test';
import { killAtRandom } from './support/collectionsKilled.ts';
import { LIMIT, skipUnlessDeathIsTold } from './support/thread.ts';

const options = { ...LIMIT, skip: skipUnlessDeathIsTold };

for (let round = 0; round < 20; round++) {
  test(`round ${round}: whoever is left goes on, and all memory comes back`, options, () => killAtRandom(20));
}
