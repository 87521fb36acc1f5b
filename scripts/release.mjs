// What a release needs of the package files.
//
//   node scripts/release.mjs --check [1.2.3]     is every version this one, or one and the same? (also those in dependencies, jsr.json)
//   node scripts/release.mjs --set 1.2.3         makes it so
//   node scripts/release.mjs --repository URL    enters the repository, which npm's provenance wants to find there
import { existsSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { packages, readJson, root } from './workspace.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { check: { type: 'boolean' }, set: { type: 'string' }, repository: { type: 'string' } },
});
const all = packages();
const names = new Set(all.map(({ name }) => name));

/** Every package.json and jsr.json, with what changes it. */
const files = all
  .flatMap(({ dir }) => ['package.json', 'jsr.json'].map((name) => join(dir, name)))
  .filter((f) => existsSync(f));

function save(file, json) {
  writeFileSync(file, `${JSON.stringify(json, undefined, 2)}\n`);
}

/** The places in a package file where a version of this workspace stands. */
function versionsOf(json) {
  const places = [[json, 'version']];
  for (const kind of ['dependencies', 'devDependencies', 'peerDependencies'])
    for (const name of Object.keys(json[kind] ?? {})) if (names.has(name)) places.push([json[kind], name]);
  return places;
}

if (options.check) {
  const wanted = positionals[0] ?? readJson(join(root, 'packages/modslab/package.json')).version;
  for (const file of files) {
    for (const [object, key] of versionsOf(readJson(file))) {
      if (object[key] === wanted) continue;
      console.error(`${relative(root, file)}: ${key} is ${object[key]}, not ${wanted}`);
      process.exitCode = 1;
    }
  }
}
if (options.set !== undefined) {
  for (const file of files) {
    const json = readJson(file);
    for (const [object, key] of versionsOf(json)) object[key] = options.set;
    save(file, json);
  }
}
if (options.repository !== undefined) {
  for (const { dir, json } of all.filter((each) => !each.json.private)) {
    const directory = relative(root, dir);
    const repository = { type: 'git', url: `git+${options.repository}.git`, directory };
    save(join(dir, 'package.json'), { ...json, repository });
  }
}
