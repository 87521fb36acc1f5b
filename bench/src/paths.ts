/**
 * Where things are. The modules run from `dist/` once compiled and may run from `src/` where the runtime strips types,
 * so a file's neighbours have its own extension, and the package's root is one folder up from either.
 */

import { fileURLToPath } from 'node:url';

/** The module `name` (no extension) in the folder of the module whose `import.meta.url` is given. */
export function sibling(moduleUrl: string, name: string): URL {
  return new URL(`./${name}${moduleUrl.endsWith('.ts') ? '.ts' : '.js'}`, moduleUrl);
}

/** A file of this package outside `src/` and `dist/`. */
export function packageFile(relative: string): string {
  return fileURLToPath(new URL(`../${relative}`, import.meta.url));
}
