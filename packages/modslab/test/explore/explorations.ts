/** What explore.test.ts and explore.soak.ts have in common: every scenario within given bounds, and the figures. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { skipUnlessChecked } from '../support/killpoints.ts';
import { type Bounds, Explorer, type Figures } from './explorer.ts';
import { type Scenario, scenarios } from './scenarios.ts';
import { transform } from './transform.ts';
import { loadModules, type Modules } from './world.ts';

export const options: { skip: string | false } = { skip: skipUnlessChecked };

let modules: Promise<Modules> | undefined;

/** The transformed modules, loaded once. */
export function loaded(): Promise<Modules> {
  modules ??= loadModules(transform().folder);
  return modules;
}

/** The bounds of one scenario: two kills at least where the reaper is to die, if any kill is allowed. */
export function boundsFor(scenario: Scenario, { preemptions, kills }: Bounds): Bounds {
  return { preemptions, kills: kills === 0 ? 0 : Math.max(kills, scenario.kills ?? 0) };
}

/** How to see a violation again. */
export function howToReplay(name: string, schedule: string): string {
  return `node --conditions=modslab-checked packages/modslab/build/test/explore/replay.js '${name}' '${schedule}'`;
}

function assertSound({ scenario, violation, schedule, complete }: Figures): void {
  assert.equal(violation, undefined, `${violation}\n${howToReplay(scenario, schedule ?? '')}`);
  assert.ok(complete, 'the whole space within the bounds was explored');
}

const total = (all: readonly Figures[], key: 'schedules' | 'steps' | 'states' | 'pruned' | 'ends'): string =>
  all.reduce((sum, figures) => sum + figures[key], 0).toLocaleString('en-US');

/** One test a scenario that `isMeant`, and a line of figures each; `rounds` are bounds, all of which are explored. */
export function exploreAll(
  rounds: readonly Bounds[],
  killedAt: Set<string>,
  isMeant: (scenario: Scenario) => boolean = () => true,
): void {
  const all: Figures[] = [];
  const meant = scenarios.filter(isMeant);
  for (const bounds of rounds) {
    const within = `at most ${bounds.preemptions} preemptions and ${bounds.kills} kills`;
    for (const scenario of meant) {
      test(`${scenario.name}: every schedule with ${within}`, options, async (t) => {
        const explorer = new Explorer(
          await loaded(),
          scenario,
          { bounds: boundsFor(scenario, bounds) },
          killedAt,
        );
        const figures = explorer.explore();
        all.push(figures);
        const { schedules, steps, states, pruned, ends, conflicts } = figures;
        t.diagnostic(
          `${schedules} schedules, ${steps} steps, ${states} states, ${pruned} pruned, ${ends} ends, ${conflicts} conflicts`,
        );
        assertSound(figures);
      });
    }
  }
  test(`figures of the exploration: ${meant.length} scenarios, ${rounds.length} bounds`, options, (t) => {
    t.diagnostic(
      `explored: ${total(all, 'schedules')} schedules, ${total(all, 'steps')} steps, ${total(all, 'states')} states, ` +
        `${total(all, 'pruned')} pruned, ${total(all, 'ends')} ends audited, ` +
        `${all.filter(({ violation }) => violation !== undefined).length} violations`,
    );
    assert.equal(all.length, rounds.length * meant.length);
  });
}
