/**
 * `npm run bench:start`: what a process or a worker pays before its first object: loading modslab, making a heap or joining one,
 * the first kmalloc. As Node loads it, in bundles; as modules, which is what bundlers and browsers get; and with code that has been
 * compiled beforehand, which says how much of it is the engine's compiler.
 *
 * Every figure is a new process's, since code is cold only once; the ways take turns.
 */

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { median } from './results.ts';
import { layOut } from './table.ts';

const PROCESSES = 15;

const WAYS: Readonly<Record<string, readonly string[]>> = {
  bundles: [],
  modules: ['--conditions=modslab-modules'],
  'bundles, compiled when loaded': ['--no-lazy'],
};

const STEPS: readonly string[] = ['import', 'Heap.create', 'kmalloc', 'a second Heap.create', 'Heap.attach'];

const PROGRAM = `
const times = [performance.now()];
const { Heap } = await import('modslab');
times.push(performance.now());
const heap = Heap.create({ size: 2 ** 24 });
times.push(performance.now());
heap.kmalloc(64);
times.push(performance.now());
const { handle } = Heap.create({ size: 2 ** 24 });
times.push(performance.now());
Heap.attach(handle);
times.push(performance.now());
console.log(JSON.stringify(times.slice(1).map((time, i) => time - times[i])));
`;

function timesOf(flags: readonly string[]): number[] {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [...flags, '--input-type=module', '--eval', PROGRAM],
    { cwd: fileURLToPath(new URL('.', import.meta.url)), encoding: 'utf8' },
  );
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as number[];
}

const seen = Object.keys(WAYS).map((): number[][] => []);
for (let i = 0; i < PROCESSES; i++)
  Object.values(WAYS).forEach((flags, way) => void seen[way].push(timesOf(flags)));
const rows = Object.keys(WAYS).map((way, i) => [
  way,
  ...STEPS.map((_, step) => median(seen[i].map((times) => times[step])).toFixed(2)),
]);
console.log(`Medians of ${PROCESSES} new processes, in ms; Node ${process.version}`);
for (const line of layOut([['', ...STEPS], ...rows])) console.log(line);
