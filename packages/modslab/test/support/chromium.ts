/**
 * Tests in a real browser: a server for this package's built files, and headless Chromium, driven by playwright-core.
 *
 * The server sends the two headers without which a page gets no SharedArrayBuffer (COOP and COEP), and lets the page load
 * what Node's tests load: in JavaScript below the package's folder the names that only Node resolves are replaced by the
 * addresses of files. `modslab` becomes the built release module, `node:worker_threads` and `node:assert/strict` become
 * stand-ins for browsers (support/browser/). So one and the same test runs in both.
 *
 * Where there is no Chromium the test skips itself; `CHROMIUM` names one that is not at /usr/bin/chromium.
 */

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';

const executablePath: string = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** Why a test is skipped here, or false. For node:test's option `skip`. */
export const skipUnlessChromium: string | false =
  process.versions.bun !== undefined || 'Deno' in globalThis
    ? 'the browser is driven from Node only'
    : !existsSync(executablePath) &&
      `no Chromium at ${executablePath}: install it, or set CHROMIUM to its path`;

/** No sandbox: containers run tests as root. The rest keeps Chromium from calling home. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.map': 'application/json',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};
const HEADERS = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-resource-policy': 'same-origin',
  // Every worker loads the same modules.
  'cache-control': 'max-age=3600',
};

/** The folder of this package; this file is built into build/test/support. */
const PACKAGE: string = fileURLToPath(new URL('../../..', import.meta.url));

/** Names that only Node resolves, where a browser finds what they mean. */
const NAMES: readonly [RegExp, string][] = [
  [/(['"])modslab\1/g, "'/dist/index.js'"],
  [/(['"])modslab\/([\w-]+)\1/g, "'/dist/$2.js'"],
  [/(['"])#src\/([\w/]+)\.js\1/g, "'/dist/$2.js'"],
  [/(['"])node:worker_threads\1/g, "'/build/test/support/browser/workerThreads.js'"],
  [/(['"])node:assert\/strict\1/g, "'/build/test/support/browser/assert.js'"],
];

const PAGE = '<!doctype html><meta charset="utf-8"><title>modslab</title><link rel="icon" href="data:,">';

export interface Site {
  /** `http://127.0.0.1:port`; `/` is an empty page. */
  readonly origin: string;
  end(): Promise<void>;
}

/** Serves `folder` on a free port of this machine; names are resolved if it is this package's. */
export async function serve(folder: string = PACKAGE): Promise<Site> {
  const server: Server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname));
    const type = TYPES[path === '/' ? '.html' : extname(path)];
    const answer = (status: number, body: string | Buffer): void => {
      response.writeHead(status, { ...HEADERS, 'content-type': type ?? 'text/plain' }).end(body);
    };
    if (path === '/' && !existsSync(join(folder, 'index.html'))) return answer(200, PAGE);
    if (type === undefined) return answer(404, `no file is served for ${path}`);
    readFile(join(folder, path === '/' ? 'index.html' : path)).then(
      (body) => answer(200, extname(path) === '.js' ? resolveNames(body.toString()) : body),
      () => answer(404, `there is no ${path}`),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    end: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function resolveNames(code: string): string {
  return NAMES.reduce((text, [name, address]) => text.replace(name, address), code);
}

/** Opens the site's page in a browser of its own. What the page logs or throws goes to `log`. */
export async function inChromium<T>(
  act: (page: Page, origin: string) => Promise<T>,
  log: (text: string) => void = console.error,
  folder: string = PACKAGE,
): Promise<T> {
  const { chromium } = await import('playwright-core');
  const site = await serve(folder);
  let browser: Browser | undefined;
  try {
    browser = await chromium.launch({ executablePath, args: FLAGS, headless: true });
    const page = await browser.newPage();
    page.on('console', (message) => log(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => log(String(error)));
    await page.goto(site.origin);
    return await act(page, site.origin);
  } finally {
    await browser?.close();
    await site.end();
  }
}

/**
 * Calls a function that a built module exports, in the page, and returns what it resolves to; arguments and result must be
 * plain data. A rejection carries what was thrown there, with its causes.
 */
export async function callInPage(
  page: Page,
  module: string,
  name: string,
  ...args: unknown[]
): Promise<unknown> {
  // As text: the compiler would rewrite an `import()` that stands here.
  const call = `import(${JSON.stringify(module)}).then((it) => it.${name}(...${JSON.stringify(args)}))`;
  const told = `${call}.then((value) => ({ value }), (error) => {
    const causes = [];
    for (let at = error; at; at = at.cause) causes.push(at.stack ?? String(at));
    return { failure: causes.join('\\n') };
  })`;
  const { value, failure } = (await page.evaluate(told)) as { value?: unknown; failure?: string };
  if (failure !== undefined) throw new Error(`in the page: ${failure}`);
  return value;
}
