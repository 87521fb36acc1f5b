// Bundles what a browser loads in one piece: a package that names pages in its package.json gets them built into `dist/`
// after its modules.
//
//     "pages": { "dist/page": { "entry": "dist/inspector/page/main.js", "as": "inspector.js", "static": "src/inspector/page" } }
import { copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { buildSync } from 'esbuild';

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
