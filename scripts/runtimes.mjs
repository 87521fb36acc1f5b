// The JavaScript runtimes that modslab is tested and measured on besides the one at hand, and how to get them.
//
// They come from npm, into .matrix/ (git-ignored; 0.9 GB for all six): Node's from the packages node-<platform>-<arch>,
// Bun and Deno from theirs.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './workspace.mjs';

const nodePackage = `node-${process.platform}-${process.arch}`;
const node = (version) => ({
  name: `node${version}`,
  spec: `${nodePackage}@${version}`,
  bin: `node_modules/${nodePackage}/bin/node`,
});

/** `run`: what stands between the program and a script to run. */
export const runtimes = [
  ...[20, 22, 24, 26].map(node),
  { name: 'bun', bin: 'node_modules/.bin/bun' },
  { name: 'deno', bin: 'node_modules/.bin/deno', run: ['run', '-A', '--no-check'] },
];

export const programOf = ({ name, bin }) => join(root, '.matrix', name, bin);

/** Installs a runtime unless it is there; returns its version, or undefined with a line that says why not. */
export function install(runtime) {
  const { name, spec = `${name}@latest` } = runtime;
  const dir = join(root, '.matrix', name);
  const program = programOf(runtime);
  const version = () => spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout?.split('\n')[0];
  if (!existsSync(program)) {
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, 'package.json'), '{ "private": true }\n');
    console.error(`${name}: installing ${spec} …`);
    const { status, stderr } = spawnSync(
      'npm',
      ['install', '--prefix', dir, '--no-audit', '--no-fund', '--no-save', '--no-package-lock', spec],
      { cwd: dir, encoding: 'utf8' },
    );
    if (status !== 0 || !version()) {
      const why = /npm error (?!code)(.*)/.exec(stderr)?.[1] ?? 'its binary does not start';
      console.error(`${name}: skipped, ${spec} could not be installed: ${why}`);
      rmSync(dir, { recursive: true, force: true });
      return undefined;
    }
  }
  return version();
}
