// Bundles what is loaded in one piece, after a package's modules are built.
//
// Pages that a package names in its package.json, for browsers:
//
//     "pages": { "dist/page": { "entry": "dist/inspector/page/main.js", "as": "inspector.js", "static": "src/inspector/page" } }
//
// Entry points whose exports have `"node": "./dist/bundle/…"`: Node takes three times as long for a hundred modules as for
// the few files that they become, and every worker pays for it. What entry points have in common is in files of its own, so a
// class is the same class in all of them.
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { walk } from './workspace.mjs';

/** Where the bundles of a package's entry points are. */
export const BUNDLE = 'dist/bundle';

/** The modules of the entry points that are bundled. */
const bundled = ({ dir, json }) =>
  Object.values(json.exports ?? {})
    .filter((conditions) => conditions.node?.startsWith(`./${BUNDLE}/`))
    .map((conditions) => join(dir, conditions.default));

/** Whether all bundles of a package are there. */
export const hasBundles = (pkg) => bundled(pkg).length === 0 || existsSync(join(pkg.dir, BUNDLE, 'index.js'));

/** Bundles the entry points of a package; `write(file, bytes)` puts a file in its place. Throws what esbuild throws. */
export function bundleEntries(pkg, write) {
  const entryPoints = bundled(pkg);
  if (entryPoints.length === 0) return;
  const folder = join(pkg.dir, BUNDLE);
  const { outputFiles } = buildSync({
    entryPoints,
    outdir: folder,
    bundle: true,
    splitting: true,
    format: 'esm',
    target: 'es2022',
    platform: 'node',
    sourcemap: true,
    sourcesContent: false,
    // Stacks leave out modslab's own frames by this name (slab/callStack.ts).
    chunkNames: 'modslab-[hash]',
    logLevel: 'warning',
    write: false,
  });
  for (const { path, text } of outputFiles) write(path, text);
  const written = new Set(outputFiles.map(({ path }) => path));
  for (const file of walk(folder)) if (!written.has(file)) rmSync(file, { force: true });
}

/** Whether all files of a package's pages are there. */
export const hasPages = ({ dir, json }) =>
  Object.entries(json.pages ?? {}).every(([folder, { as }]) => existsSync(join(dir, folder, as)));

/** Bundles the pages of a package. Throws what esbuild throws. */
export function bundlePages({ dir, json }) {
  for (const [folder, { entry, as, static: files }] of Object.entries(json.pages ?? {})) {
    mkdirSync(join(dir, folder), { recursive: true });
    buildSync({
      entryPoints: [join(dir, entry)],
      outfile: join(dir, folder, as),
      bundle: true,
      minify: true,
      format: 'esm',
      target: 'es2022',
      platform: 'browser',
      legalComments: 'inline',
      logLevel: 'warning',
    });
    for (const name of readdirSync(join(dir, files)).filter((file) => !file.endsWith('.ts'))) {
      copyFileSync(join(dir, files, name), join(dir, folder, name));
    }
  }
}
