/** `modslab inspect`: what it takes, what it refuses, and the page in a real browser. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { buildSync } from 'esbuild';
import { Heap } from 'modslab';
import type { Browser, Locator, Page } from 'playwright-core';
import { expose } from '#src/expose.js';
import { fileSource } from '#src/inspect/files.js';
import { type Served, serveInspector } from '#src/inspect/serve.js';
import { bin, makeTrace, modslab, path, root, rsyslogd, write } from './helpers.ts';

const executablePath: string = process.env.CHROMIUM ?? '/usr/bin/chromium';
const skip: string | false =
  process.versions.bun !== undefined || 'Deno' in globalThis
    ? 'the browser is driven from Node only'
    : !existsSync(executablePath) &&
      `no Chromium at ${executablePath}: install it, or set CHROMIUM to its path`;
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
/** Longer than anything takes on a busy machine. */
const LONG = 120_000;

/** A heap with a few thousand objects of several caches, some freed again. */
function someHeap(): { heap: Heap; objects: number[] } {
  const heap = Heap.create({ size: 2 ** 22, maxSize: 2 ** 24, cpus: 4 });
  const points = heap.createCache({ name: 'point', size: 48 });
  const objects: number[] = [];
  for (let i = 0; i < 3000; i++)
    objects.push(i % 3 === 0 ? points.alloc() : heap.kmalloc(16 + ((i * 37) % 700)));
  for (let i = 0; i < 3000; i += 4) heap.kfree(objects[i]);
  heap.kmalloc(300_000);
  return { heap, objects: objects.filter((_, i) => i % 4 !== 0) };
}

describe('modslab inspect: arguments', () => {
  const refused = (args: string[], message: RegExp): void => {
    const { status, stdout, stderr } = modslab(['inspect', '--no-open', ...args]);
    assert.equal(stdout, '');
    assert.match(stderr, /^modslab: [^\n]*\n$/, 'one line');
    assert.match(stderr, message);
    assert.equal(status, 2);
  };

  test('what is no heap is refused with one line', () => {
    const snapshot = someHeap().heap.snapshot({ data: false });
    snapshot[5000] ^= 1;
    refused([path('nowhere')], /no such file or socket/);
    refused(['99999999'], /process 99999999 exposes no heap/);
    refused(['http://example.com/#token=x'], /on this machine only/);
    refused([write('damaged.heapsnap', snapshot)], /damaged.heapsnap: .*checksum/);
    refused([write('short.heapsnap', snapshot.subarray(0, 3000))], /short.heapsnap: .*damaged/);
    refused([write('damaged.heapsnap.gz', gzipSync(snapshot).subarray(0, 3000))], /gzip data is damaged/);
    refused([write('other.txt', 'hello\n')], /not a trace/);
    refused(['--port', '70000', rsyslogd], /from 0 to 65535/);
  });

  test('files are told apart by how they begin, gzipped or not', async () => {
    const bytes = someHeap().heap.snapshot({ data: false });
    for (const file of [write('a.bin', bytes), write('a.bin.gz', gzipSync(bytes))]) {
      const source = await fileSource(file);
      assert.equal(source.info.kind, 'snapshot');
      assert.deepEqual(Buffer.from((await source.snapshot?.()) ?? []), Buffer.from(bytes));
    }
    assert.equal((await fileSource(rsyslogd)).info.kind, 'trace');
  });
});

describe('the inspector in Chromium', { skip, timeout: 4 * LONG }, () => {
  let browser: Browser;
  const served: Served[] = [];
  const children: ChildProcess[] = [];
  const errors: string[] = [];

  before(async () => {
    const { chromium } = await import('playwright-core');
    browser = await chromium.launch({ executablePath, args: FLAGS, headless: true, timeout: LONG });
  });
  after(async () => {
    await browser?.close();
    for (const each of served) await each.close();
    for (const child of children) child.kill();
  });

  async function open(address: string): Promise<Page> {
    const page = await browser.newPage({ viewport: { width: 1300, height: 900 } });
    page.setDefaultTimeout(LONG);
    page.on('pageerror', (error) => errors.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') errors.push(message.text());
    });
    await page.goto(address);
    return page;
  }

  async function end(page: Page): Promise<void> {
    await page.close();
    assert.deepEqual(errors.splice(0), []);
  }

  const tile = (page: Page, name: string): Locator =>
    page.locator('.tile', { has: page.getByText(name, { exact: true }) }).locator('.value');
  const has = (locator: Locator, text: RegExp): Promise<void> => locator.filter({ hasText: text }).waitFor();
  const tab = (page: Page, name: string): Promise<void> => page.getByRole('tab', { name }).click();

  async function openSnapshot(heap: Heap, snapshot = heap.snapshot({ data: false })): Promise<Page> {
    const source = await fileSource(write('page.heapsnap', snapshot));
    const one = await serveInspector(source, 0);
    served.push(one);
    const page = await open(one.address);
    await has(tile(page, 'Footprint'), /\d/);
    return page;
  }

  test('a snapshot: figures, tables, a frame, its objects', async () => {
    const { heap, objects } = someHeap();
    const page = await openSnapshot(heap);
    assert.match(await page.title(), /page.heapsnap/);
    const { slabs } = { slabs: heap.slabinfo().reduce((sum, row) => sum + row.slabs, 0) };
    assert.equal(await tile(page, 'Slabs').textContent(), String(slabs));

    const row = page.getByRole('row', { name: /^point 48 / });
    const [name, size, live] = await row.locator('th, td').allTextContents();
    const point = heap.slabinfo().find((each) => each.name === 'point');
    assert.deepEqual([name, size, live], ['point', '48', String(point?.objects)]);
    await page.getByRole('searchbox', { name: /Caches/ }).fill('kmalloc -64');
    await row.waitFor({ state: 'detached' });
    await page.getByRole('columnheader', { name: 'Size' }).getByRole('button').click();
    assert.equal(
      await page.getByRole('columnheader', { name: 'Size' }).getAttribute('aria-sort'),
      'descending',
    );

    // By its place on the map: the frame of an object, then the object in it.
    const info = heap.virtToPage(objects[0]);
    const map = page.getByRole('application', { name: 'Map of the heap' });
    await map.focus();
    for (let pfn = 0; pfn < info.pfn; pfn++) await page.keyboard.press('ArrowRight');
    await has(page.getByRole('heading', { level: 2 }), new RegExp(`^${info.cache}$`));
    const slab = page.getByRole('application', { name: /Objects of the slab/ });
    await slab.click({ position: { x: 5, y: 5 } });
    await has(page.locator('.object'), /^Object 0 at 0x[0-9a-f]{8}: (live|free|cached)/);
    await page.keyboard.press('ArrowRight');
    await has(page.getByRole('status'), /^Object 1 at/);
    await has(page.locator('.words-table'), new RegExp(`slab of ${info.cache}`));
    await end(page);
  });

  test('the map: a click selects, hovering shows the words, the wheel zooms', async () => {
    const { heap } = someHeap();
    const page = await openSnapshot(heap);
    const map = page.getByRole('application', { name: 'Map of the heap' });
    await map.hover({ position: { x: 100, y: 10 } });
    await has(page.locator('.tip'), /^Frame 1, 0x0000\d000: .*FLAGS.*CLAIM/);
    await map.click({ position: { x: 100, y: 10 } });
    await has(page.locator('.facts'), /Address0x/);
    await page.mouse.wheel(0, -300);
    await has(page.locator('.range'), /0x[0-9a-f]+ … 0x[0-9a-f]+, \d+ frames/);
    await page.getByRole('button', { name: 'Whole heap' }).click();
    await has(page.locator('.range'), /^all [\d,]+ frames/);
    for (const by of ['cache', 'cpu', 'fill', 'kind']) await page.getByLabel('Colour by').selectOption(by);
    await page.getByLabel('Theme').selectOption('dark');
    await page.locator('.app[data-theme=dark]').waitFor();
    await end(page);
  });

  test('every panel, by the keyboard', async () => {
    const { heap } = someHeap();
    const page = await openSnapshot(heap);
    await page.getByRole('tab', { name: 'Caches' }).focus();
    for (const [name, content] of [
      ['Sheaves', /CPU 0/],
      ['CPUs', /online/],
      ['Free memory', /Node 0, zone Normal/],
      ['Frames', /slab of point/],
      ['Compare', /Keep a moment/],
    ] as const) {
      await page.keyboard.press('ArrowRight');
      assert.equal(await page.getByRole('tab', { name }).getAttribute('aria-selected'), 'true');
      await has(page.getByRole('tabpanel'), content);
    }
    await end(page);
  });

  test('a replay on two threads, watched while it runs', async () => {
    const args = [bin, 'replay', '--threads', '2', '--expose-port', '0', '--over', '60', rsyslogd];
    const child = spawn(
      process.execPath,
      [...process.execArgv.filter((arg) => arg.startsWith('--cond')), ...args],
      {
        cwd: root,
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    );
    children.push(child);
    const address = await new Promise<string>((resolve, reject) => {
      let text = '';
      child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        const [, found] = /exposed at (\S+)\n/.exec(text) ?? [];
        if (found !== undefined) resolve(found);
      });
      child.on('exit', () => reject(new Error(`the replay ended: ${text}`)));
    });
    const page = await open(address);
    await has(page.locator('.pill'), /^live$/);
    await has(page.getByRole('heading', { level: 1 }), /rsyslogd/);
    await tab(page, 'CPUs');
    await page.getByRole('row', { name: /CPU 2 online/ }).waitFor();
    const seen = new Set<string | null>();
    while (seen.size < 3) {
      seen.add(await page.locator('.tile .note').nth(1).textContent());
      await page.waitForTimeout(200);
    }
    await page.locator('.plot canvas').first().waitFor();
    await tab(page, 'Compare');
    await page.getByRole('button', { name: 'Keep this moment' }).click();
    await has(page.locator('.sum'), /Live [+−\d]/);
    await page.waitForTimeout(1500);
    await page.getByRole('button', { name: 'Keep this moment' }).click();
    assert.equal(await page.getByLabel('Colour by').inputValue(), 'change');
    await page
      .getByRole('row', { name: /kmalloc-\d+ [\d,]+ [\d,]+ [+−]/ })
      .first()
      .waitFor();
    await page.getByRole('button', { name: 'Pause' }).click();
    await has(page.locator('.pill'), /paused/);
    await end(page);
    child.removeAllListeners('exit');
    child.kill();
  });

  test('leaks: live objects by the function that allocated them, of a program that tracks them', async () => {
    const heap = Heap.create({ size: 2 ** 22, cpus: 4, debug: 'U' });
    function forgetful(): void {
      for (let i = 0; i < 7; i++) heap.kmalloc(1000);
    }
    forgetful();
    heap.kmalloc(50);
    const exposed = await expose(heap, { port: 0 });
    const page = await open(exposed.address);
    await has(page.locator('.pill'), /^live$/);
    await tab(page, 'Leaks');
    const row = page.getByRole('row', { name: /forgetful/ });
    await row.waitFor();
    const cells = await row.locator('th, td').allTextContents();
    assert.deepEqual(cells.slice(1), ['kmalloc-1024', '7', '6.84 KiB']);
    await page.getByRole('searchbox', { name: /Live objects/ }).fill('-forgetful');
    await row.waitFor({ state: 'detached' });
    await end(page);
    await exposed.close();
  });

  test('a program that ends: the page says so', async () => {
    const { heap } = someHeap();
    const one = await serveInspector(
      {
        info: {
          protocol: 1,
          name: 'mine',
          pid: 1,
          node: 'v20',
          since: 0,
          writable: false,
          leaks: false,
          kind: 'live',
        },
        snapshot: async () => heap.snapshot({ data: false }),
      },
      0,
    );
    const page = await open(one.address);
    await has(page.locator('.pill'), /^live$/);
    await one.close();
    await has(page.getByRole('alert'), /does not answer/);
    errors.splice(0); // Chromium logs the failed request.
    await end(page);
  });

  test('a trace, scrubbed forward and back', async () => {
    const made = makeTrace(5000, 2, 5);
    const one = await serveInspector(await fileSource(write('scrub.mtrace', made.text)), 0);
    served.push(one);
    const page = await open(one.address);
    await has(page.locator('.pill'), /trace of/);
    const slider = page.getByRole('slider', { name: 'Event of the trace' });
    const live = page.locator('.tile .note').nth(1);
    const at = async (event: number): Promise<string> => {
      await slider.fill(String(event));
      await has(page.locator('.place'), new RegExp(`^${event === 0 ? '0' : event.toLocaleString('en')} /`));
      await page.locator(`.app[data-event="${event}"]`).waitFor();
      return (await live.textContent()) ?? '';
    };
    const there = await at(3000);
    assert.equal(await at(0), '0 objects');
    assert.notEqual(await at(4000), there);
    assert.equal(await at(3000), there);
    await page.getByRole('button', { name: 'On by one event' }).click();
    await has(page.locator('.place'), /^3,001 /);
    await page.getByRole('button', { name: 'Play' }).click();
    await has(page.locator('.place'), /^3,[1-9]/);
    await end(page);
  });

  test('without the token the page says what is missing, and shows nothing', async () => {
    const { heap } = someHeap();
    const one = await serveInspector(
      await fileSource(write('t.heapsnap', heap.snapshot({ data: false }))),
      0,
    );
    served.push(one);
    const page = await open(one.address.replace(/#.*/, ''));
    await has(page.locator('#message'), /no token/);
    await page.goto('about:blank');
    await page.goto(one.address.replace(/#.*/, '#token=wrong'));
    await has(page.locator('#message'), /token is missing or wrong/);
    assert.equal(await page.locator('.app').count(), 0);
    errors.splice(0); // Chromium logs the refusal.
    await end(page);
  });

  test('a page of another origin learns nothing, even if it knows the token', async () => {
    const { heap } = someHeap();
    const one = await serveInspector(
      await fileSource(write('o.heapsnap', heap.snapshot({ data: false }))),
      0,
    );
    served.push(one);
    const other = createServer((_request, response) =>
      response.setHeader('content-type', 'text/html').end('<!doctype html><link rel="icon" href="data:,">'),
    );
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const page = await open(`http://127.0.0.1:${(other.address() as AddressInfo).port}/`);
    const url = new URL(one.address);
    const token = url.hash.slice('#token='.length);
    const tried = await page.evaluate(
      async ([origin, secret]) => {
        const attempt = (path: string, options: RequestInit): Promise<string> =>
          fetch(`${origin}${path}`, options).then(
            (answer) => `status ${answer.status}`,
            () => 'failed',
          );
        return [
          await attempt('/v1/info', { headers: { authorization: `Bearer ${secret}` } }),
          await attempt('/v1/info', { mode: 'no-cors' }),
          await attempt('/', {}),
        ];
      },
      [url.origin, token],
    );
    assert.deepEqual(tried, ['failed', 'failed', 'failed']);
    const frame = await page.evaluate(`new Promise((resolve) => {
      const element = document.createElement('iframe');
      element.onload = () => resolve(element.contentDocument === null ? 'opaque' : 'readable');
      element.src = ${JSON.stringify(url.origin)};
      document.body.append(element);
    })`);
    assert.equal(frame, 'opaque');
    other.closeAllConnections();
    other.close();
    errors.splice(0); // Chromium logs each refusal.
    await end(page);
  });

  test('a page of its own embeds the inspector on a heap that it has', async () => {
    const entry = `
      import { Heap } from 'modslab';
      import { mountInspector } from '@modslab/cli/inspector';
      const heap = Heap.create({ size: 2 ** 20, maxSize: 2 ** 22, shared: false });
      globalThis.heap = heap;
      for (let i = 0; i < 500; i++) heap.kmalloc(64);
      globalThis.inspector = mountInspector(document.querySelector('main'), heap, { theme: 'light', interval: 50 });`;
    const { outputFiles } = buildSync({
      stdin: { contents: entry, resolveDir: import.meta.dirname },
      bundle: true,
      format: 'esm',
      write: false,
      target: 'es2022',
    });
    const page = await open('about:blank');
    await page.setContent('<!doctype html><main></main>');
    await page.addScriptTag({ content: outputFiles[0].text, type: 'module' });
    await has(page.locator('.tile .note').nth(1), /^500 objects$/);
    await page.evaluate('for (let i = 0; i < 100; i++) heap.kmalloc(64)');
    await has(page.locator('.tile .note').nth(1), /^600 objects$/);
    await page.evaluate('inspector.close()');
    assert.equal(await page.locator('main > *').count(), 0);
    await end(page);
  });
});
