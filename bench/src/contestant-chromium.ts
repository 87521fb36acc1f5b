/**
 * A contestant in headless Chromium: speaks the protocol of contestant-process.ts, with the same arguments, and has a page do the work.
 * The page is made of this harness's own modules, bundled; it is isolated across origins, so that it has shared memory and a
 * clock of 5 µs. One thread, and nothing that reads files.
 */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';
import type { Browser, Page } from 'playwright-core';
import { CHROMIUM, CHROMIUM_FLAGS } from './chromium.ts';
import { sibling } from './paths.ts';
import { oneLine } from './player.ts';

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Modules of Node that kernels import which no page runs. */
const withoutNode: Plugin = {
  name: 'without-node',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:/ }, ({ path }) => ({ path, namespace: 'node' }));
    onLoad({ filter: /.*/, namespace: 'node' }, ({ path }) => ({
      contents: `module.exports = new Proxy({}, { get: () => () => { throw new Error('a page has no ${path}'); } });`,
    }));
  },
};

/** The page's script, and the modules that it loads when asked, by path. */
async function bundle(): Promise<Map<string, Uint8Array>> {
  const { outputFiles } = await build({
    entryPoints: { page: fileURLToPath(sibling(import.meta.url, 'contestant-page')) },
    bundle: true,
    splitting: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    outdir: '/',
    plugins: [withoutNode],
  });
  return new Map(outputFiles.map(({ path, contents }) => [path, contents]));
}

async function serve(files: Map<string, Uint8Array>): Promise<{ origin: string; end: () => void }> {
  const server = createServer(({ url = '/' }, response) => {
    const file = files.get(url);
    response.setHeader('cross-origin-opener-policy', 'same-origin');
    response.setHeader('cross-origin-embedder-policy', 'require-corp');
    response.setHeader('content-type', file === undefined ? 'text/html' : 'text/javascript');
    response.end(
      file ?? '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>',
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    end: () => server.close(),
  };
}

/** Calls `contestant[name](…args)` in the page. */
async function call<T>(page: Page, name: string, ...args: unknown[]): Promise<T> {
  return await page.evaluate<T>(`contestant.${name}(...${JSON.stringify(args)})`);
}

async function play(browser: Browser, origin: string, args: readonly string[]): Promise<void> {
  const page = await browser.newPage();
  await page.goto(origin);
  await page.waitForFunction('globalThis.contestant !== undefined');
  await call(page, 'start', args);
  say(`ready ${args[0]}`);
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === 'round') say(`round ${await call<string>(page, 'round')}`);
    else if (line === 'quit') break;
  }
  for (const problem of await call<string[]>(page, 'quit')) say(`problem ${problem}`);
  say('done');
}

async function main(args: readonly string[]): Promise<void> {
  const { chromium } = await import('playwright-core');
  const { origin, end } = await serve(await bundle());
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [...CHROMIUM_FLAGS],
    headless: true,
  });
  try {
    await play(browser, origin, args);
  } finally {
    await browser.close();
    end();
  }
}

try {
  await main(process.argv.slice(2));
  process.exitCode = 0;
} catch (error) {
  say(`error ${oneLine(error instanceof Error ? error.message : String(error))}`);
  process.exitCode = 1;
}
process.stdin.destroy();
