// Checks what would be published of each public package: publint (files, exports, bin), attw (do the types resolve as
// the code does), whether every path that package.json names exists and is packed, whether anything is packed that should not
// be, whether the declarations compile for users who check libraries too (with lib DOM and no @types/node, and the other way
// round), and whether a bundler leaves out what is not used. JSR's own check runs where Deno is at hand (npm run test:matrix
// installs it, or DENO names it).
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { build } from 'esbuild';
import ts from 'typescript';
import { programOf } from './runtimes.mjs';
import { packages, readJson, root } from './workspace.mjs';

/** What a package may consist of. */
const PACKED =
  /^(dist\/.+[.](js|d[.]ts)([.]map)?|dist\/page\/.+[.](html|css|svg)|src\/.+[.](ts|js|css|html|svg)|wasm\/.+[.](c|ts)|bin\/.+[.]js|LICENSE|README[.]md|package[.]json)$/;
/** Imports of one name, and the folders or files of modslab that must not come with it. */
const SHAKEN = [
  ["import { GFP } from 'modslab'", /./, 'memory/gfp.js'],
  ["import { SlabError } from 'modslab'", /./, 'memory/errors.js'],
  ["import { formatSlabinfo } from 'modslab/stat'", /^(heap|kmalloc|debug|page)\b/],
  ["import { Heap } from 'modslab'", /^(collections|wasm|framework|node|web|slab\/numaSlab|page\/numactl)\b/],
  [
    "import { createString } from 'modslab/collections'",
    /^(collections\/(sharedMap|hazards|sharedVector)|heap)\b/,
  ],
  ["import { heapBaseOf } from 'modslab/wasm'", /^(heap|kmalloc|wasm\/imports)\b/],
];

const USERS = {
  'ES2022 and DOM': { lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'], types: [] },
  'ES2022 and @types/node': { lib: ['lib.es2022.d.ts'], types: ['node'] },
};

function fail(message) {
  console.error(message);
  process.exitCode = 1;
}

function run(name, args) {
  const { status } = spawnSync(join(root, 'node_modules/.bin', name), args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) fail(`${name} ${args.join(' ')}: status ${status}`);
}

function paths(value) {
  if (typeof value === 'string') return [value];
  return value && typeof value === 'object' ? Object.values(value).flatMap(paths) : [];
}

/** Compiles the declarations alone, as a user with these type libraries would. */
function compileDeclarations(files, user) {
  const program = ts.createProgram(files, {
    ...USERS[user],
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    strict: true,
    noEmit: true,
    skipLibCheck: false,
  });
  for (const { file, start, messageText } of ts.getPreEmitDiagnostics(program)) {
    const where = file
      ? `${relative(root, file.fileName)}:${file.getLineAndCharacterOfPosition(start).line + 1}: `
      : '';
    fail(`declarations with ${user}: ${where}${ts.flattenDiagnosticMessageText(messageText, '\n')}`);
  }
}

/** Whether the package holds all that package.json names, and nothing else than it should. */
function checkContents(dir, named) {
  const { stdout, status } = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: dir,
    encoding: 'utf8',
    maxBuffer: 1e8,
  });
  if (status !== 0) return fail(`npm pack in ${dir}: status ${status}`);
  const packed = JSON.parse(stdout)[0].files.map(({ path }) => path);
  for (const path of packed) if (!PACKED.test(path)) fail(`${dir} packs ${path}: not what a user needs`);
  for (const path of ['LICENSE', 'README.md', ...named]) {
    const wanted = path.replace('./', '');
    if (!wanted.includes('*') && !packed.includes(wanted)) fail(`${dir} does not pack ${wanted}`);
  }
  console.log(`${packed.length} files packed`);
}

/** Bundles an import and names what has come with it that should not have. `only`: the one file that may come. */
async function checkTreeShaking([line, unwanted, only]) {
  const [, name] = /{ (\w+) }/.exec(line);
  const { metafile } = await build({
    stdin: { contents: `${line}; console.log(${name});`, resolveDir: root },
    bundle: true,
    minify: true,
    format: 'esm',
    write: false,
    metafile: true,
  });
  for (const [file, { bytesInOutput }] of Object.entries(Object.values(metafile.outputs)[0].inputs)) {
    const part = file.split('packages/modslab/dist/')[1];
    if (bytesInOutput > 0 && part !== undefined && part !== only && unwanted.test(part))
      fail(`${line}: ${bytesInOutput} bytes of ${part} come with it`);
  }
}

/** JSR's rules (exports in TypeScript, no slow types), by Deno's dry run; the types themselves are tsc's business. */
function checkJsr(dir, { version, exports }) {
  const jsr = readJson(join(dir, 'jsr.json'));
  if (jsr.version !== version)
    fail(`${dir}/jsr.json is of version ${jsr.version}, package.json of ${version}`);
  for (const path of Object.keys(exports).filter((each) => !each.endsWith('.json')))
    if (jsr.exports[path] === undefined) fail(`${dir}/jsr.json does not export ${path}`);
  const deno = process.env.DENO ?? programOf({ name: 'deno', bin: 'node_modules/.bin/deno' });
  if (!existsSync(deno))
    return console.log('JSR: not checked, there is no Deno (npm run test:matrix installs it)');
  const { status, stderr } = spawnSync(
    deno,
    ['publish', '--dry-run', '--allow-dirty', '--no-check', '--quiet'],
    {
      cwd: dir,
      encoding: 'utf8',
    },
  );
  if (status !== 0) fail(`deno publish --dry-run in ${dir}:\n${stderr}`);
}

console.log('== tree shaking');
for (const each of SHAKEN) await checkTreeShaking(each);

for (const { name, dir, json } of packages().filter((pkg) => !pkg.json.private)) {
  const folder = relative(root, dir);
  console.log(`== ${name}`);
  for (const path of [...paths(json.exports), ...paths(json.bin)]) {
    if (!path.includes('*') && !existsSync(join(dir, path))) {
      fail(`${folder}/package.json names ${path}, which does not exist`);
    }
  }
  checkContents(dir, [...paths(json.exports), ...paths(json.bin)]);
  if (existsSync(join(dir, 'jsr.json'))) checkJsr(dir, json);
  run('publint', ['--strict', folder]);

  const declarations = Object.values(json.exports ?? {}).flatMap(({ types }) => types ?? []);
  if (declarations.length === 0) continue; // a command only
  run('attw', ['--pack', folder, '--profile', 'esm-only', '--no-emoji', '--format', 'ascii']);
  for (const user of Object.keys(USERS)) {
    if (name === '@modslab/cli' && !USERS[user].types.includes('node')) continue; // it is for Node alone
    const files = declarations.map((path) => join(dir, path));
    compileDeclarations(files, user);
  }
}
