// Runs the built tests of packages/*, on the release build, on every runtime that modslab supports, and prints one
// table. (The benchmarks' tests are about Node and are left out.)
//
//   node scripts/matrix.mjs [--only=node22,bun] [--timeout=SECONDS] [PART…]     PART: as in test.mjs
//
// The runtimes come from npm (runtimes.mjs). One that cannot be installed is skipped with a line that says so. Each file
// runs in a process of its own under the runtime's own test command, two at a time; what failing files printed is kept in
// .matrix/logs/. Counts differ a little between runtimes: Bun does not count subtests, Deno counts a test and its subtests.
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { install, programOf, runtimes } from './runtimes.mjs';
import { root, testFiles } from './workspace.mjs';

const { values: options, positionals: parts } = parseArgs({
  allowPositionals: true,
  options: { only: { type: 'string' }, timeout: { type: 'string', default: '600' } },
});

const number = (text, pattern) => Number(pattern.exec(text)?.[1] ?? 0);

/** The figures after `# ` at the end of a TAP report of node --test. */
const readNode = (text) => ({
  pass: number(text, /^# pass (\d+)/m),
  fail: number(text, /^# fail (\d+)/m) + number(text, /^# cancelled (\d+)/m),
  skipped: number(text, /^# skipped (\d+)/m) + number(text, /^# todo (\d+)/m),
});

/** ` 8 pass`, ` 2 skip`, ` 1 fail`, each on a line of its own. */
const readBun = (text) => ({
  pass: number(text, /^ *(\d+) pass$/m),
  fail: number(text, /^ *(\d+) fail$/m),
  skipped: number(text, /^ *(\d+) skip$/m) + number(text, /^ *(\d+) todo$/m),
});

/** `ok | 8 passed (3 steps) | 0 failed | 0 ignored (2 steps) (1s)`; the steps are subtests. */
const readDeno = (text) => {
  const line = text.split('\n').findLast((l) => /^(ok|FAILED) \| /.test(l)) ?? '';
  const both = (word) =>
    number(line, new RegExp(`(\\d+) ${word}`)) + number(line, new RegExp(`${word} \\((\\d+) step`));
  return { pass: both('passed'), fail: both('failed'), skipped: both('ignored') };
};

/** Tests reach into the release's modules: its entry points must be made of the same ones (build.mjs). */
const MODULES = '--conditions=modslab-modules';

/** The runtime's own test command, and how to read what it prints. */
const commands = {
  node: { args: (file) => [MODULES, '--test', '--test-reporter=tap', file], read: readNode },
  // Its own limit of 5 s a test is meant for unit tests on a machine that has nothing else to do.
  bun: { args: (file) => ['test', MODULES, '--timeout=600000', `./${file}`], read: readBun },
  deno: { args: (file) => ['test', '-A', '--no-check', MODULES, file], read: readDeno },
};

/** Runs one file; a process that ends badly without a failed test, or runs past the time limit, counts as one. */
function runFile(runtime, file) {
  return new Promise((resolve) => {
    const env = { ...process.env, NO_COLOR: '1' };
    delete env.NODE_TEST_CONTEXT;
    const { args, read } = commands[runtime.name.replace(/\d+$/, '')];
    const child = spawn(programOf(runtime), args(file), {
      cwd: root,
      env,
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
    }
    const timer = setTimeout(() => {
      text += `\nended after ${options.timeout} s\n`;
      child.kill('SIGKILL');
    }, Number(options.timeout) * 1000);
    child.on('error', (error) => {
      text += `\n${error.message}\n`;
    });
    child.on('close', (status, signal) => {
      clearTimeout(timer);
      const figures = read(text);
      if (status !== 0 && figures.fail === 0) figures.fail = 1;
      if (status === 0 && figures.pass + figures.skipped === 0) {
        figures.fail = 1;
        text += '\nno test was run\n';
      }
      if (figures.fail > 0) {
        const log = join('.matrix/logs', `${runtime.name}-${file.replaceAll('/', '-')}.txt`);
        mkdirSync(join(root, '.matrix/logs'), { recursive: true });
        writeFileSync(join(root, log), `${text}\nstatus ${status ?? signal}\n`);
        console.log(`${runtime.name}: ${file}: ${figures.fail} failed, see ${log}`);
      }
      resolve(figures);
    });
  });
}

const files = testFiles('.test.js', parts).filter((file) => file.startsWith('packages/'));
rmSync(join(root, '.matrix/logs'), { recursive: true, force: true });
const table = [];
for (const runtime of runtimes.filter(
  ({ name }) => !options.only || options.only.split(',').includes(name),
)) {
  const version = install(runtime);
  if (!version) {
    table.push([runtime.name, 'skipped']);
    continue;
  }
  const start = performance.now();
  const total = { pass: 0, fail: 0, skipped: 0 };
  const queue = [...files];
  const lane = async () => {
    for (let file = queue.shift(); file; file = queue.shift()) {
      const figures = await runFile(runtime, file);
      for (const key of Object.keys(total)) total[key] += figures[key];
    }
  };
  await Promise.all([lane(), lane()]);
  if (total.fail > 0 || total.pass === 0) process.exitCode = 1;
  const { pass, fail, skipped } = total;
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const digits = /\d+\.\d+\.\d+/.exec(version)?.[0] ?? version;
  table.push([runtime.name, digits, pass + fail + skipped, pass, fail, skipped, `${seconds} s`]);
}

console.log(
  '\n| runtime | version | tests | pass | fail | skipped | time |\n|---|---|---:|---:|---:|---:|---:|',
);
for (const row of table) console.log(`| ${[...row, ...Array(7 - row.length).fill('')].join(' | ')} |`);
