/**
 * Other JavaScript runtimes that modslab is measured on: those of `npm run test:matrix`, from where `scripts/runtimes.mjs`
 * installs them, and Chromium, if it is there.
 */

import { spawnSync } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { CHROMIUM } from './chromium.ts';
import { packageFile, sibling } from './paths.ts';

export interface Runtime {
  /** Name and version. */
  readonly name: string;
  readonly program: string;
  /** What stands before the script. */
  readonly args: readonly string[];
  /** Another script than this harness's own (before.ts). */
  readonly script?: string;
  /** It runs one thread, and reads no files. */
  readonly isPage?: boolean;
}

const BROWSER = 'chromium';

interface RuntimeScript {
  readonly runtimes: readonly { readonly name: string; readonly run?: readonly string[] }[];
  install(runtime: { readonly name: string }): string | undefined;
  programOf(runtime: { readonly name: string }): string;
}

async function script(): Promise<RuntimeScript> {
  return await import(pathToFileURL(packageFile('../scripts/runtimes.mjs')).href);
}

export async function runtimeNames(): Promise<string[]> {
  return [...(await script()).runtimes.map((runtime) => runtime.name), BROWSER];
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
  const page = names.includes(BROWSER) ? findChromium(missing) : undefined;
  return page === undefined ? found : [...found, page];
}

function findChromium(missing: string[]): Runtime | undefined {
  const { status, stdout } = spawnSync(CHROMIUM, ['--version', '--no-sandbox'], { encoding: 'utf8' });
  const version = /\d+(\.\d+)+/.exec(stdout ?? '')?.[0];
  if (status !== 0 || version === undefined) {
    missing.push(`${BROWSER}: none at ${CHROMIUM} (on Debian: apt install chromium; or set CHROMIUM)`);
    return undefined;
  }
  const file = fileURLToPath(sibling(import.meta.url, 'contestant-chromium'));
  return {
    name: `Chromium ${version}`,
    program: process.execPath,
    args: process.execArgv,
    script: file,
    isPage: true,
  };
}
