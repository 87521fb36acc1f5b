/**
 * A killed thread is a normal event. Workers under a mixed load are terminated at random moments, not at kill points: the
 * engine stops them wherever they are, and while they start, attach or leave too. After every kill the dead CPU is reaped,
 * validation must find nothing while the others go on, the dead one's objects are verified and freed by the supervisor,
 * and a new thread takes its place. In the end every live object is one that somebody has, but for what the dead had in
 * their hands when they died; and a shrink gives back every frame in which nothing lives.
 *
 * 500 kills here, 10,000 in threads-kill.soak.ts, some more in Chromium (threads-kill-chromium.test.ts).
 */

import { test } from 'node:test';
import { skipUnlessChecked } from './support/killpoints.ts';
import { storm } from './support/kills.ts';
import { LIMIT, skipUnlessDeathIsTold } from './support/thread.ts';

const MIB = 2 ** 20;
/** Bun may take seconds to end a thread that is busy: there, a tenth of the kills. */
const SHARE = 'bun' in process.versions ? 0.1 : 1;

const options = { ...LIMIT, skip: skipUnlessDeathIsTold };

const kills = 100 * SHARE;

test(`${kills} threads killed at random moments, pages of 4 KiB, 2 nodes`, options, async () => {
  await storm({ kills, seed: 4, heap: { size: MIB, maxSize: 64 * MIB, pageSize: 4096, nodes: 2 } });
});

test(`${kills} threads killed at random moments, pages of 8 KiB`, options, async () => {
  await storm({ kills, seed: 1, heap: { size: MIB, maxSize: 64 * MIB, pageSize: 8192 } });
});

test(`${kills} threads killed at random moments, pages of 64 KiB`, options, async () => {
  await storm({ kills, seed: 2, heap: { size: 2 * MIB, maxSize: 64 * MIB } });
});

for (const pageSize of [4096, 16_384]) {
  const what = `${kills} threads killed that lose time at kill points, pages of ${pageSize} bytes`;
  test(what, { ...LIMIT, skip: skipUnlessChecked }, async () => {
    await storm({ kills, seed: pageSize, heap: { size: MIB, maxSize: 64 * MIB, pageSize }, jitter: 16 });
  });
}
