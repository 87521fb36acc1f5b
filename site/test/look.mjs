// Opens the built site in headless Chromium, follows its navigation, plays with the demo, isolated and not, and takes
// screenshots. Run after `npm run docs:site`: node site/test/look.mjs [FOLDER]     (default site/.cache/shots)
import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { siteServer } from '../serve.mjs';

const dist = fileURLToPath(new URL('../dist', import.meta.url));
const shots = process.argv[2] ?? fileURLToPath(new URL('../.cache/shots', import.meta.url));
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
if (!existsSync(executablePath)) {
  console.log(`no Chromium at ${executablePath}: install it, or set CHROMIUM to its path`);
  process.exit();
}
mkdirSync(shots, { recursive: true });

const servers = await Promise.all(
  [true, false].map(async (isolated) => {
    const server = siteServer(dist, { isolated });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    return server;
  }),
);
const [isolated, plain] = servers.map((server) => `http://localhost:${server.address().port}`);
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu'],
  timeout: 120_000,
});
const errors = [];

async function open(url) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.setDefaultTimeout(120_000);
  page.on('pageerror', (error) => errors.push(`${url}: ${error}`));
  page.on(
    'response',
    (response) => response.status() >= 400 && errors.push(`${response.url()}: ${response.status()}`),
  );
  await page.goto(url);
  return page;
}
const demo = (page) => page.evaluate('window.demo');
const press = (page, text) => page.click(`#heap-demo button:has-text("${text}")`);

try {
  const page = await open(`${isolated}/`);
  await page.screenshot({ path: join(shots, 'home.png') });
  await page.click('a:has-text("Try it here")');
  await page.waitForFunction('window.demo');
  assert.equal((await demo(page)).isShared, true);
  await press(page, 'kmalloc 1,000');
  await press(page, 'kmalloc 1 MiB');
  await press(page, 'kfree one twice');
  await page.waitForFunction('/EDOUBLEFREE/.test(window.demo.text)');
  for (let i = 0; i < 2; i++) await press(page, 'start a worker');
  await page.waitForFunction('window.demo.handed > 20000');
  await press(page, 'kill a worker');
  await page.waitForFunction('/was killed.*0 problems/.test(window.demo.text)');
  await page.screenshot({ path: join(shots, 'demo.png'), fullPage: true });
  assert.equal((await demo(page)).wrong, 0);
  await page.goto(`${isolated}/guide/collections.html`);
  await page.screenshot({ path: join(shots, 'collections.png') });
  await page.goto(`${isolated}/api/index.html`);
  await page.screenshot({ path: join(shots, 'api.png') });
  await page.close();

  const other = await open(`${plain}/demo.html`);
  await other.waitForFunction('window.demo');
  assert.equal((await demo(other)).isShared, false);
  assert.match(await other.textContent('#heap-demo .hint'), /not cross-origin isolated/);
  const before = (await demo(other)).live;
  await press(other, 'kmalloc 1,000');
  assert.ok((await demo(other)).live > before);
  await other.screenshot({ path: join(shots, 'plain.png') });
  await press(other, 'Isolate this page');
  await other.waitForFunction('window.demo && window.demo.isShared');
  await other.close();
  assert.deepEqual(errors, []);
  console.log(`the site works, isolated and not; screenshots in ${shots}`);
} finally {
  await browser.close();
  for (const server of servers) server.close();
}
