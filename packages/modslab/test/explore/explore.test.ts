/**
 * Every order of steps of two CPUs with four operations each, and of three with three, within one preemption or one kill (two
 * preemptions where that is soon done); and what must be
 * true of the explorer for that to mean something: that it sees every write, that it stops before every access of the
 * core, and that it finds bugs. explore.soak.ts has the larger bounds.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KILL_POINTS } from 'modslab/debug';
import { CPU_RUN_HEAD, CPU_WORDS, PAGE_WORDS, pageAt, SHEAF_WORDS, sheavesAt } from '#src/memory/layout.js';
import { PAGE_CLAIM } from '#src/page/page.js';
import { boundsFor, exploreAll, loaded, options } from './explorations.ts';
import { Explorer, type Figures } from './explorer.ts';
import { type Scenario, scenarios } from './scenarios.ts';
import type { Defect } from './shim.ts';
import { transform } from './transform.ts';
import type { World } from './world.ts';

const named = (name: string): Scenario => {
  const found = scenarios.find((scenario) => scenario.name === name);
  assert.ok(found !== undefined, name);
  return found;
};

test('the explorer stops before every access but those of figures and of iterators', options, () => {
  const known =
    /^(meminfo|counters|slabinfo|buddyinfo|pageWords|HeapImage\.|ownedSheaves|templates|stateWindows|usedFramesOf|Validator\.|VmArea\.|KmemCache\.liveObjects|Group\.|Heap\.|Kmalloc\.constructor|wordsOf|cpuRow)/;
  const { atomic, stops } = transform();
  assert.deepEqual(
    Object.keys(atomic).filter((name) => !known.test(name)),
    [],
  );
  assert.ok(stops > 400, `${stops} places in the sources`);
});

test('the machine sees every write: what it takes back leaves the memory as it was', options, async () => {
  const modules = await loaded();
  for (const scenario of scenarios) {
    const explorer = new Explorer(modules, scenario, { bounds: { preemptions: 0, kills: 0 } });
    assert.ok(explorer.takesBack(), scenario.name);
  }
});

const killedAt: Set<string> = new Set();
exploreAll([{ preemptions: 1, kills: 0 }], killedAt);
// The soak has kills in the long ones too; what they kill at, shorter ones do.
exploreAll([{ preemptions: 0, kills: 1 }], killedAt, ({ long }) => long !== true);
exploreAll([{ preemptions: 2, kills: 0 }], killedAt, ({ small }) => small === true);

test(
  'a CPU was killed at every kill point but those of groups, links, RCU, vmalloc and collections',
  options,
  () => {
    // Those have tests of their own, which kill at each of them (groups-kill, link, rcu, pageDerivations, vmalloc, frozen, collections-kill).
    const beyond = /^(group|charge|link|rcu|deferred|waiting|vmalloc|hazards|map|vector)\.|^slab\.frozen$/;
    assert.deepEqual(
      KILL_POINTS.filter((point) => !beyond.test(point) && !killedAt.has(point)),
      [],
    );
  },
);

/** Explores with a defect of the machine; it must be found. */
async function withDefect(
  name: string,
  preemptions: number,
  kills: number,
  defect: (world: World) => Defect,
): Promise<Figures> {
  const scenario = named(name);
  const bounds = boundsFor(scenario, { preemptions, kills });
  return new Explorer(await loaded(), scenario, { bounds, defect, schedulesMax: 200_000 }).explore();
}

/** Whether a location is the claim word of a frame. */
const isClaim = ({ metadata: { layout } }: World, at: number): boolean => {
  const word = at - pageAt(layout, 0);
  return word >= 0 && at < pageAt(layout, layout.maxFrames) && word % PAGE_WORDS === PAGE_CLAIM;
};

test('a compare-and-swap of a claim word that is not atomic is found', options, async () => {
  const { violation } = await withDefect('two refill from one slab, free and go on', 1, 0, (world) => ({
    tornSwap: (at) => isClaim(world, at),
  }));
  assert.ok(violation !== undefined);
});

test('a compare-and-swap of an owner of sheaves that is not atomic is found', options, async () => {
  const { violation } = await withDefect('two exchange with the barn in both directions', 2, 0, (world) => ({
    tornSwap: (at) => {
      const { layout } = world.metadata;
      return (
        at >= sheavesAt(layout, 1) &&
        at < sheavesAt(layout, 2) &&
        (at - sheavesAt(layout, 1)) % SHEAF_WORDS === 0
      );
    },
  }));
  assert.ok(violation !== undefined);
});

test('a clearing of sheaf entries that gets lost is found', options, async () => {
  const { violation } = await withDefect(
    'two flush into the same slabs',
    0,
    0,
    ({ metadata: { layout } }) => ({
      lostStore: (at, value) =>
        value === 0 && at >= sheavesAt(layout, 1) && at < sheavesAt(layout, 2) && at % SHEAF_WORDS !== 0,
    }),
  );
  assert.ok(violation !== undefined);
});

test('an intent that is not written is found when its CPU dies', options, async () => {
  const { violation } = await withDefect('large objects', 0, 1, ({ metadata: { layout } }) => ({
    lostStore: (at) =>
      at >= layout.cpuRecords &&
      at < layout.cacheTable &&
      (at - layout.cpuRecords) % CPU_WORDS === CPU_RUN_HEAD,
  }));
  assert.ok(violation !== undefined);
});

test('a schedule can be replayed, and its violation is the same', options, async () => {
  const defect = (world: World): Defect => ({ tornSwap: (at) => isClaim(world, at) });
  const name = 'two refill from one slab, free and go on';
  const { violation, schedule } = await withDefect(name, 1, 0, defect);
  assert.ok(schedule !== undefined);
  const again = new Explorer(await loaded(), named(name), { bounds: { preemptions: 1, kills: 0 }, defect });
  const replayed = again.replay(schedule);
  assert.equal(replayed.violation?.split('\n')[0], violation?.split('\n')[0]);
  assert.ok(replayed.trace.some((line) => line.startsWith('switch from cpu')));
});
