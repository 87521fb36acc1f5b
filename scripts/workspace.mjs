// What the scripts beside this file share: the workspace's packages in dependency order, and walking folders
// (Node 20 has no fs.globSync).
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

export const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'));

/** All files below `dir` whose path passes `keep`, sorted; none when there is no such folder. */
export function walk(dir, keep = () => true) {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .filter(keep)
    .sort();
}

/** `{ name, dir, json, needs }` of each workspace package, every one after those that it depends on. */
export function packages() {
  const dirs = readJson(join(root, 'package.json')).workspaces.flatMap((pattern) =>
    pattern.endsWith('/*')
      ? readdirSync(join(root, pattern.slice(0, -2))).map((name) => join(root, pattern.slice(0, -2), name))
      : [join(root, pattern)],
  );
  const all = new Map();
  for (const dir of dirs.filter((d) => existsSync(join(d, 'package.json')))) {
    const json = readJson(join(dir, 'package.json'));
    all.set(json.name, {
      name: json.name,
      dir,
      json,
      needs: { ...json.dependencies, ...json.devDependencies },
    });
  }
  const ordered = new Set();
  const visit = (pkg) => {
    for (const name of Object.keys(pkg.needs)) if (all.has(name)) visit(all.get(name));
    ordered.add(pkg);
  };
  for (const pkg of all.values()) visit(pkg);
  return [...ordered];
}

/** The built tests of all packages, relative to the root: files with this ending whose path has one of `parts`. */
export function testFiles(ending, parts = []) {
  return packages()
    .flatMap(({ dir }) => walk(join(dir, 'build/test'), (file) => file.endsWith(ending)))
    .map((file) => relative(root, file).split(sep).join('/'))
    .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)));
}
