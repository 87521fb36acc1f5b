// Every legal stack of slab allocators does what every slab allocator must; see cases.ts.
import test from 'node:test';
import { CASES, runCase } from './cases.ts';
import { ALL_STACKS, titleOf } from './stacks.ts';

for (const stack of ALL_STACKS) {
  test(`${titleOf(stack)}: conforms`, () => {
    for (const each of CASES) {
      const outcome = runCase(stack, each);
      if (outcome instanceof Error) throw new Error(`${titleOf(stack)}: ${each.name}`, { cause: outcome });
    }
  });
}
