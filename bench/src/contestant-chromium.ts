/**
 * A contestant in headless Chromium: speaks protocol.ts, with contestant-process.ts's arguments, and has a page do the work. The
 * page is made of this harness's own modules, bundled; it is isolated across origins, so that it has shared memory and a
 * clock of 5 µs. One thread, and nothing that reads files.
 */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { CHROMIUM, CHROMIUM_FLAGS } from './chromium.ts';
import { sibling } from './paths.ts';
import { speak } from './protocol.ts';

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

const args = process.argv.slice(2);
await speak(args[0] ?? '', async (obey) => {
  const { chromium } = await import('playwright-core');
  const { origin, end } = await serve(await bundle());
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [...CHROMIUM_FLAGS],
    headless: true,
  });
  try {
    const page = await browser.newPage();
    await page.goto(origin);
    await page.waitForFunction('globalThis.start !== undefined');
    await page.evaluate(`start(${JSON.stringify(args)})`);
    await obey({
      round: async () => await page.evaluate<number[]>('contestant.round()'),
      quit: async () => await page.evaluate<string[]>('contestant.quit()'),
    });
  } finally {
    await browser.close();
    end();
  }
});
