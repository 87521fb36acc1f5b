/**
 * Prints what one schedule does, step by step:
 *
 *     node --conditions=modslab-checked packages/modslab/build/test/explore/replay.js SCENARIO SCHEDULE
 */

import { Explorer } from './explorer.ts';
import { scenarios } from './scenarios.ts';
import { transform } from './transform.ts';
import { loadModules } from './world.ts';

const [name = '', schedule = ''] = process.argv.slice(2);
const scenario = scenarios.find((one) => one.name === name);
if (scenario === undefined) {
  console.error(`there is no scenario '${name}'; there are:`);
  for (const one of scenarios) console.error(`  ${one.name}`);
  process.exit(1);
}
// As much of each move as the schedule may make.
const bounds = { preemptions: 1000, kills: 1000 };
const explorer = new Explorer(await loadModules(transform().folder), scenario, { bounds });
const { trace, violation } = explorer.replay(schedule);
for (const line of trace) console.log(line);
console.log(violation === undefined ? 'no violation' : `VIOLATION: ${violation}`);
process.exitCode = violation === undefined ? 0 : 1;
