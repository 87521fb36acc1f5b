// The pages in a real browser: headless Chromium, cross-origin isolated and not. Skipped where there is none.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { type Browser, chromium, type Page } from 'playwright-core';

const { exampleServer } = (await import(new URL('../../serve.mjs', import.meta.url).href)) as {
  exampleServer(options?: { isolated?: boolean }): Server;
};

/** `CHROMIUM` names one that is not at /usr/bin/chromium. */
const executablePath: string = process.env.CHROMIUM ?? '/usr/bin/chromium';
const skip: string | false = existsSync(executablePath)
  ? false
  : `no Chromium at ${executablePath}: install it, or set CHROMIUM to its path`;
/** What a page is given to come to its result: only a page that hangs needs so long. */
const HANG_MS = 200_000;
const FLAGS: readonly string[] = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--autoplay-policy=no-user-gesture-required',
];

type Result = Record<string, unknown>;

describe('in Chromium', { skip, timeout: 3 * HANG_MS }, () => {
  const servers: Server[] = [];
  let browser: Browser;

  before(async () => {
    for (const isolated of [true, false]) {
      const server = exampleServer({ isolated });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      servers.push(server);
    }
    browser = await chromium.launch({ executablePath, args: [...FLAGS], timeout: HANG_MS });
  });

  after(async () => {
    await browser?.close();
    for (const server of servers) server.close();
  });

  /** Opens a page; its result as soon as `done` (an expression over `result`) holds. Errors of the page are ours. */
  async function open(
    path: string,
    done: string,
    { isolated = true, act }: { isolated?: boolean; act?: (page: Page) => Promise<void> } = {},
  ): Promise<Result> {
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    const { port } = servers[isolated ? 0 : 1].address() as AddressInfo;
    await page.goto(`http://localhost:${port}/browser/${path}`, { timeout: HANG_MS });
    await act?.(page);
    const condition = `window.result && (window.result.error || (${done.replaceAll('result', 'window.result')}))`;
    await page.waitForFunction(condition, undefined, { timeout: HANG_MS });
    const result = (await page.evaluate('window.result')) as Result;
    await page.close();
    assert.deepEqual(errors, []);
    assert.equal(result.error, undefined);
    return result;
  }

  test('threads swap objects, killed workers are reaped, the heap stays sound', async () => {
    const result = await open('threads.html?kills=6', 'result.killStorm');
    assert.equal(result.isolated, true);
    assert.deepEqual(result.exchange, { wrong: 0, live: 0, problems: 0 });
    const storm = result.killStorm as Record<string, number>;
    assert.deepEqual([storm.kills, storm.problems, storm.wrong], [6, 0, 0]);
    assert.equal(storm.reaped, 6);
  });

  test('without isolation a heap is for one thread, and works', async () => {
    const result = await open('threads.html', 'result.shared !== undefined', { isolated: false });
    assert.equal(result.isolated, false);
    assert.equal(result.shared, false);
  });

  test('a host without headers: a service worker isolates the page', async () => {
    const result = await open('hosted.html', 'result.isolated', { isolated: false });
    assert.equal(result.shared, true);
  });

  test('particles: drawn while two workers move them', async () => {
    const result = await open('particles.html', 'result.drawn > 100 && result.frames > 5');
    assert.equal(result.problems, 0);
  });

  test('an AudioWorklet allocates voices with NOWAIT, the page frees them', async () => {
    const result = await open('voices.html', 'result.freed > 20', { act: (page) => page.click('button') });
    assert.equal(result.failed, 0);
    assert.equal(result.problems, 0);
    assert.ok(Number(result.started) > Number(result.freed));
  });
});
