/**
 * Where the programs' sources come from: packages of npm and of Debian, fetched into a cache folder, checked against the
 * digests below, and never committed. README.md has their licences.
 */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here: string = dirname(dirname(fileURLToPath(import.meta.url)));
/** Everything that is fetched or compiled. */
export const CACHE: string = join(here, '.cache');
/** The C files of this folder. */
export const GLUE: string = join(here, 'c');

export interface Source {
  /** The folder in the cache. */
  readonly name: string;
  readonly from: 'npm' | 'debian';
  /** What npm or Debian call it. */
  readonly package: string;
  readonly archive: string;
  readonly sha256: string;
}

export const SOURCES: Record<'sqlite' | 'zstd' | 'lua', Source> = {
  sqlite: {
    name: 'sqlite',
    from: 'npm',
    package: 'better-sqlite3@12.11.1',
    archive: 'better-sqlite3-12.11.1.tgz',
    sha256: 'ebf0ed75a7a59dbcb3b24bbd014ef49d9f15bc328e4adcbf516f2a8fadfa2835',
  },
  zstd: {
    name: 'zstd',
    from: 'npm',
    package: 'zstd-napi@0.0.13',
    archive: 'zstd-napi-0.0.13.tgz',
    sha256: '5b76defc67c808989c5f3920e14f662d6318b84b8d53ac3e94b99463d8d65e76',
  },
  lua: {
    name: 'lua',
    from: 'debian',
    package: 'lua5.4=5.4.4-3+deb12u1',
    archive: 'lua5.4_5.4.4.orig.tar.gz',
    sha256: '164c7849653b80ae67bec4b7473b884bf5cc8d2dca05653475ec2ed27b9ebf61',
  },
};

export const folderOf = ({ name }: Source): string => join(CACHE, 'sources', name);

const run = (command: string, args: string[], cwd: string): string =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** Debian's source packages, from the mirror that this machine's apt uses, with lists of their own. */
function fetchFromDebian(name: string, folder: string): void {
  const parts = join(folder, 'apt');
  mkdirSync(join(parts, 'lists', 'partial'), { recursive: true });
  const { mirror, suite } = debianMirror();
  writeFileSync(
    join(parts, 'sources.sources'),
    `Types: deb-src\nURIs: ${mirror}\nSuites: ${suite}\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n`,
  );
  const options = [
    'Dir::Etc::SourceList=/dev/null',
    `Dir::Etc::SourceParts=${parts}`,
    `Dir::State::lists=${join(parts, 'lists')}`,
    'Dir::Cache::srcpkgcache=',
    'Dir::Cache::pkgcache=',
  ].flatMap((option) => ['-o', option]);
  run('apt-get', [...options, 'update', '-qq'], folder);
  run('apt-get', [...options, 'source', '--download-only', name], folder);
}

function debianMirror(): { mirror: string; suite: string } {
  const release = readFileSync('/etc/os-release', 'utf8');
  const suite = /VERSION_CODENAME=(\w+)/.exec(release)?.[1] ?? 'stable';
  for (const file of ['/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list']) {
    if (!existsSync(file)) continue;
    const mirror = /https?:\/\/\S+\/debian(?=\s|\/?\s)/.exec(readFileSync(file, 'utf8'))?.[0];
    if (mirror !== undefined) return { mirror, suite };
  }
  throw new Error('no Debian mirror in /etc/apt');
}

/** Fetches and unpacks a source, unless it is there. Throws an error that says what went wrong. */
export function fetchSource(source: Source): string {
  const target = folderOf(source);
  if (existsSync(target)) return target;
  mkdirSync(dirname(target), { recursive: true });
  const folder = mkdtempSync(join(CACHE, 'fetch-'));
  try {
    if (source.from === 'npm') run('npm', ['pack', '--silent', source.package], folder);
    else fetchFromDebian(source.package, folder);
    const archive = join(folder, source.archive);
    const digest = createHash('sha256').update(readFileSync(archive)).digest('hex');
    if (digest !== source.sha256) throw new Error(`${source.archive} has another SHA-256: ${digest}`);
    const unpacked = join(folder, 'unpacked');
    mkdirSync(unpacked);
    run('tar', ['-xzf', archive, '--strip-components=1', '-C', unpacked], folder);
    renameSync(unpacked, target);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return target;
}
