// Prints the tables of docs/debugging.md: npm run debug:tables
import { KASAN, MODES, momentOf, SECURITY, SECURITY_SIZES, tableOf } from './memoryBugs.js';

console.log('KASAN\n');
console.log(
  tableOf(
    KASAN,
    MODES.map((mode) => ({ title: mode.name, moment: (bug) => momentOf(bug, mode, 0) })),
  ),
);
const modes = MODES.filter(({ checked }) => !checked);
console.log('\nmimalloc-bench security\n');
console.log(
  tableOf(
    SECURITY,
    modes.flatMap((mode) =>
      SECURITY_SIZES.map((size) => ({
        title: `${mode.name}, ${size}`,
        moment: (bug) => momentOf(bug, mode, size),
      })),
    ),
  ),
);
for (const mode of modes) {
  const all = SECURITY.flatMap((bug) => SECURITY_SIZES.map((size) => momentOf(bug, mode, size)));
  console.log(`\n${mode.name}: ${all.filter((moment) => moment !== 'missed').length} of ${all.length}`);
}
