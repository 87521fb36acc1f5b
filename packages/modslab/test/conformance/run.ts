/**
 * Prints the conformance matrix: stacks of slab allocators by what is asked of each (cases.ts).
 *
 *     npm run conformance [-- PART…]        PARTs: only stacks whose name has one of them
 *
 * ✔ it does, ✘ it does not (below the matrix: how), — it cannot be asked. Ends with 0 only if there is no ✘, and something was
 * asked at all.
 */

import { CASES, type Case, runCase } from './cases.ts';
import { ALL_STACKS, type Stack, titleOf } from './stacks.ts';

const parts = process.argv.slice(2);
const stacks = ALL_STACKS.filter(
  (stack) => parts.length === 0 || parts.some((part) => titleOf(stack).includes(part)),
);
const width = Math.max(...stacks.map((stack) => titleOf(stack).length), 0);
const failures: string[] = [];
let passed = 0;
let unasked = 0;

function cell(stack: Stack, each: Case): string {
  const outcome = runCase(stack, each);
  if (outcome === 'passed') {
    passed++;
    return '✔';
  }
  if (outcome === 'unasked') {
    unasked++;
    return '—';
  }
  failures.push(`✘ ${titleOf(stack)}, ${each.name}: ${outcome.message.split('\n')[0]}`);
  return '✘';
}

/** Why a case cannot be asked of some stacks: each reason once. */
function reasons(each: Case): string[] {
  return [...new Set(stacks.map((stack) => each.unasked(stack)).filter((reason) => reason !== ''))];
}

CASES.forEach(({ name }, i) => {
  console.log(`${' '.repeat(width + 1)}${'│ '.repeat(i)}┌ ${name}`);
});
for (const stack of stacks)
  console.log(`${titleOf(stack).padEnd(width)} ${CASES.map((each) => cell(stack, each)).join(' ')}`);

console.log('\n— cannot be asked:');
for (const each of CASES) for (const reason of reasons(each)) console.log(`  ${each.name}: ${reason}`);
if (failures.length > 0) console.log(`\n${failures.join('\n')}`);
console.log(
  `\n${stacks.length} stacks, ${CASES.length} cases: ${passed} ✔, ${failures.length} ✘, ${unasked} —`,
);
process.exitCode = failures.length === 0 && passed > 0 ? 0 : 1;
