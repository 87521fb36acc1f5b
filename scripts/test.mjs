// Runs the built tests of all packages with Node's test runner, each file in a process of its own.
//
//   node scripts/test.mjs --checked | --release [--soak] [PART…]
//
// --checked: on the build with assertions; --release: on what users get, as modules (build.mjs); --soak: the `*.soak.js` files instead of the
// `*.test.js` ones, one after another. With PARTs only the files whose path contains one of them: `npm run
// test:checked -- claim barn`. (Node 20's --test takes no glob, hence this script.)
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { root, testFiles } from './workspace.mjs';

const { values: options, positionals: parts } = parseArgs({
  allowPositionals: true,
  options: { checked: { type: 'boolean' }, release: { type: 'boolean' }, soak: { type: 'boolean' } },
});

const files = testFiles(options.soak ? '.soak.js' : '.test.js', parts);
if (files.length === 0) {
  console.error(`no built test file${parts.length > 0 ? ` matches ${parts.join(', ')}` : ''}`);
  process.exit(parts.length > 0 ? 1 : 0);
}
const args = [
  `--conditions=${options.release ? 'modslab-modules' : 'modslab-checked'}`,
  '--enable-source-maps',
  '--test',
  `--test-concurrency=${options.soak ? 1 : 2}`,
  `--test-reporter=${pathToFileURL(join(root, 'scripts/reporter.mjs'))}`,
  '--test-reporter-destination=stdout',
  ...files,
];
const env = { ...process.env };
if (options.release) env.MODSLAB_TEST_LABEL = 'release build:';
const { status, signal } = spawnSync(process.execPath, args, { cwd: root, env, stdio: 'inherit' });
if (signal) console.error(`the test runner was ended by ${signal}`);
process.exitCode = status ?? 1;
