// Checks what would be published of each public package: publint (files, exports, bin), attw (do the types resolve as
// the code does), whether every path that package.json names exists, and whether the declarations compile for users
// who check libraries too: with lib DOM and no @types/node, and the other way round.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import ts from 'typescript';
import { packages, root } from './workspace.mjs';

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

for (const { name, dir, json } of packages().filter((pkg) => !pkg.json.private)) {
  const folder = relative(root, dir);
  console.log(`== ${name}`);
  for (const path of [...paths(json.exports), ...paths(json.bin)]) {
    if (!path.includes('*') && !existsSync(join(dir, path))) {
      fail(`${folder}/package.json names ${path}, which does not exist`);
    }
  }
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
