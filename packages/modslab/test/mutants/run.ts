/**
 * Runs the tests that are to catch them on every mutant of `mutants.ts`, the cheapest first:
 *
 *     npm run test:mutants [-- PART…]        PARTs: only mutants whose description has one of them
 *
 * or a share of them, `-- 1/4 … 4/4`, for several processes side by side.
 *
 * First the explorer on the mutant's modules: the scenarios that the mutant names, with a kill, with preemptions, with
 * both, briefly and then at length; then all the others, with a kill or with preemptions. What that does not
 * find goes to the mutant's test files, run on a copy of the package with the mutant built into it. Prints what caught
 * each; ends with 1 if one survives.
 */

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { boundsFor } from '../explore/explorations.ts';
import { type Bounds, Explorer } from '../explore/explorer.ts';
import { type Scenario, scenarios } from '../explore/scenarios.ts';
import { packageRoot, transform } from '../explore/transform.ts';
import { loadModules, type Modules } from '../explore/world.ts';
import { type Mutant, mutants } from './mutants.ts';

/** What is explored for a mutant, in this order, until one round finds it. */
const ROUNDS: readonly Bounds[] = [
  { preemptions: 0, kills: 1 },
  { preemptions: 1, kills: 0 },
  { preemptions: 2, kills: 0 },
  { preemptions: 1, kills: 1 },
  { preemptions: 2, kills: 1 },
];
/** Milliseconds that one scenario may take for one mutant: most are caught soon in one of the rounds, some late. */
const SCENARIO_MS: readonly number[] = [4_000, 60_000];

function mutated({ file, text, by }: Mutant): string {
  return readFileSync(join(packageRoot, 'src', file), 'utf8').replace(text, () => by);
}

/** The scenarios that the mutant names, then the others. */
function ordered({ scenarios: named = [] }: Mutant): Scenario[][] {
  const first = scenarios.filter(({ name }) => named.some((part) => name.startsWith(part)));
  return [first, scenarios.filter((scenario) => !first.includes(scenario))];
}

/** What one exploration finds; `done` has those that came to their end and found nothing. */
function exploreMutant(
  modules: Modules,
  scenario: Scenario,
  round: Bounds,
  timeMax: number,
  done: Set<string>,
): string | undefined {
  const bounds = boundsFor(scenario, round);
  const title = `${scenario.name} (${bounds.preemptions} preemptions, ${bounds.kills} kills)`;
  if (done.has(title)) return undefined;
  try {
    const { violation, complete } = new Explorer(modules, scenario, { bounds, timeMax }).explore();
    if (complete) done.add(title);
    return violation === undefined ? undefined : `explorer: ${title}: ${violation.split('\n')[0]}`;
  } catch (error) {
    return `explorer: ${title}: set-up fails: ${String(error)}`;
  }
}

/** Explores scenarios in all these rounds, briefly, and then at length. */
function exploreAll(
  modules: Modules,
  some: readonly Scenario[],
  rounds: readonly Bounds[],
): string | undefined {
  const done = new Set<string>();
  for (const ms of SCENARIO_MS) {
    for (const round of rounds) {
      for (const scenario of some) {
        const caught = exploreMutant(modules, scenario, round, ms, done);
        if (caught !== undefined) return caught;
      }
    }
  }
  return undefined;
}

async function explored(mutant: Mutant): Promise<string | undefined> {
  const { folder } = transform({ file: mutant.file, text: mutated(mutant) });
  try {
    const modules = await loadModules(folder);
    const [named, others] = ordered(mutant);
    const caught = exploreAll(modules, named, ROUNDS);
    // Tests that were named are cheaper than all the other scenarios.
    if (caught !== undefined || mutant.tests !== undefined) return caught;
    return exploreAll(modules, others, ROUNDS.slice(0, 3));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A copy of the package, with the mutant in its checked build. */
function copyWith(mutant: Mutant): string {
  const folder = join(packageRoot, 'build/mutants', String(process.pid));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, 'build'), { recursive: true });
  for (const part of ['package.json', 'src', 'dist', 'build/test']) {
    cpSync(join(packageRoot, part), join(folder, part), { recursive: true });
  }
  const compilerOptions: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    useDefineForClassFields: false,
    rewriteRelativeImportExtensions: true,
    verbatimModuleSyntax: true,
  };
  const { outputText } = ts.transpileModule(mutated(mutant), { compilerOptions });
  writeFileSync(join(folder, 'dist/checked', mutant.file.replace(/ts$/, 'js')), outputText);
  return folder;
}

function filesOf(folder: string, part: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .filter((file) => file.endsWith('.test.js') && file.includes(part));
}

function tested(mutant: Mutant): string | undefined {
  if (mutant.tests === undefined) return undefined;
  const folder = copyWith(mutant);
  try {
    for (const part of mutant.tests) {
      const files = filesOf(join(folder, 'build/test'), part);
      const args = ['--conditions=modslab-checked', '--test', ...files];
      if (files.length > 0 && spawnSync(process.execPath, args, { cwd: folder }).status !== 0)
        return `test: ${part}`;
    }
    return undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const parts = process.argv.slice(2);
const [, share, shares] = (/^(\d+)[/](\d+)$/.exec(parts[0] ?? '') ?? []).map(Number);
const chosen = mutants.filter(({ breaks }, i) =>
  share !== undefined
    ? i % shares === share - 1
    : parts.length === 0 || parts.some((part) => breaks.includes(part)),
);
let survivors = 0;
for (const mutant of chosen) {
  const caught = (await explored(mutant)) ?? tested(mutant);
  if (caught === undefined) survivors++;
  console.log(`${caught === undefined ? 'SURVIVED' : 'caught'}  ${mutant.file}: ${mutant.breaks}`);
  if (caught !== undefined) console.log(`          by ${caught}`);
}
console.log(`${chosen.length - survivors} of ${chosen.length} mutants caught`);
process.exitCode = survivors === 0 ? 0 : 1;
