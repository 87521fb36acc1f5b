/**
 * Other JavaScript runtimes that modslab is measured on: those of `npm run test:matrix`, from where `scripts/runtimes.mjs`
 * installs them.
 */

import { pathToFileURL } from 'node:url';
import { packageFile } from './paths.ts';

export interface Runtime {
  /** Name and version. */
  readonly name: string;
  readonly program: string;
  /** What stands before the script. */
  readonly args: readonly string[];
  /** Another script than this harness's own (before.ts). */
  readonly script?: string;
}

interface RuntimeScript {
  readonly runtimes: readonly { readonly name: string; readonly run?: readonly string[] }[];
  install(runtime: { readonly name: string }): string | undefined;
  programOf(runtime: { readonly name: string }): string;
}

async function script(): Promise<RuntimeScript> {
  return await import(pathToFileURL(packageFile('../scripts/runtimes.mjs')).href);
}

export async function runtimeNames(): Promise<string[]> {
  return (await script()).runtimes.map((runtime) => runtime.name);
}

/** Installs those that are named; what cannot be had is added to `missing`. */
export async function findRuntimes(names: readonly string[], missing: string[]): Promise<Runtime[]> {
  if (names.length === 0) return [];
  const { runtimes, install, programOf } = await script();
  const found: Runtime[] = [];
  for (const runtime of runtimes.filter(({ name }) => names.includes(name))) {
    const version = install(runtime);
    if (version === undefined) {
      missing.push(`${runtime.name}: could not be installed`);
      continue;
    }
    const digits = /\d+\.\d+\.\d+/.exec(version)?.[0] ?? version;
    const label = runtime.name.replace(/\d+$/, '');
    found.push({ name: `${label} ${digits}`, program: programOf(runtime), args: runtime.run ?? [] });
  }
  return found;
}
