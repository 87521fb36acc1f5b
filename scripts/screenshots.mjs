// Makes the pictures of the inspector in docs/img (`npm run docs:screenshots`), from heaps that are made here.
//
//   node scripts/screenshots.mjs [--out DIR] [--all]     --all: also those that no page shows, to be looked at
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Heap } from 'modslab';
import { chromium } from 'playwright-core';
import { fileSource } from '../packages/cli/dist/inspect/files.js';
import { serveInspector } from '../packages/cli/dist/inspect/serve.js';
import { root } from './workspace.mjs';

const { values: options } = parseArgs({
  options: { out: { type: 'string', default: join(root, 'docs/img') }, all: { type: 'boolean' } },
});
/** Bytes that a picture may have. */
const LIMIT = 150_000;
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const VIEW = { width: 1320, height: 840 };

/** A generator of numbers in [0, 1), the same every time. */
function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** A program that serves requests, as far as its heap can tell: sessions, messages, buffers, a cache of its own. */
class Program {
  constructor() {
    this.next = random(7);
    this.heap = Heap.create({ size: 24 * 2 ** 20, maxSize: 64 * 2 ** 20, pageSize: 16_384, cpus: 8 });
    this.others = ['parser', 'render'].map((tag) => Heap.attach(this.heap.handle, { tag }));
    this.sessions = this.heap.createCache({ name: 'session', size: 320 });
    this.nodes = this.heap.createCache({ name: 'dom-node', size: 72 });
    this.live = [];
  }

  get threads() {
    return [this.heap, ...this.others];
  }

  /** Bytes of a request: mostly small, some buffers, a few large ones. */
  size() {
    const dice = this.next();
    if (dice < 0.7) return 16 + Math.floor(this.next() * 240);
    if (dice < 0.95) return 256 + Math.floor(this.next() * 3800);
    return 4096 + Math.floor(this.next() ** 3 * 120_000);
  }

  run(steps, grow) {
    const { live, next } = this;
    for (let i = 0; i < steps; i++) {
      const heap = this.threads[Math.floor(next() * 3)];
      if (live.length > 0 && next() > grow) {
        const at =
          next() < 0.6
            ? live.length - 1 - Math.floor(next() * Math.min(400, live.length))
            : Math.floor(next() * live.length);
        const address = live[at];
        live[at] = live[live.length - 1];
        live.pop();
        heap.kfree(address);
      } else if (next() < 0.08) live.push(heap.cache('session').alloc());
      else if (next() < 0.3) live.push(heap.cache('dom-node').alloc());
      else live.push(heap.kmalloc(this.size()));
    }
  }
}

async function shoot(browser, name, { theme = 'dark', source, act, view = VIEW, only = false }) {
  if (only && !options.all) return;
  const served = await serveInspector(source, 0);
  const page = await browser.newPage({ viewport: view, colorScheme: theme, deviceScaleFactor: 1 });
  page.on('pageerror', (error) => console.error(`${name}: ${error}`));
  page.on('console', (message) => message.type() === 'error' && console.error(`${name}: ${message.text()}`));
  await page.goto(served.address);
  await page.locator('.tile .value').first().waitFor();
  await page.waitForFunction(() =>
    /\d/.test(
      document.querySelector('.modslab-inspector').shadowRoot.querySelector('.tile .value').textContent,
    ),
  );
  await act?.(page);
  const path = join(options.out, `${name}.png`);
  await page.evaluate(() => scrollTo(0, 0));
  await page.mouse.move(5, 5);
  await page.waitForTimeout(400);
  await page.screenshot({ path });
  await page.close();
  await served.close();
  const { size } = statSync(path);
  console.log(`${path}: ${size} bytes`);
  if (size > LIMIT && !only) {
    console.error(`${path} has more than ${LIMIT} bytes`);
    process.exitCode = 1;
  }
}

const info = (kind, name) => ({
  protocol: 1,
  name,
  pid: 4711,
  node: process.version,
  since: 0,
  writable: false,
  leaks: false,
  kind,
});

const still = (heap, name) => {
  const bytes = heap.snapshot({ data: false });
  return { info: info('snapshot', name), snapshot: async () => bytes };
};

/** Clicks the frame of the map that shows the first slab of a cache. */
async function selectSlab(page, heap, name, wanted = 0) {
  let seen = 0;
  const { pageSize } = heap;
  for (let pfn = 1; ; pfn++) {
    const { cache, flags, inuse, objects } = heap.virtToPage(pfn * pageSize);
    if (cache !== name || flags !== 'slab' || inuse === objects || seen++ < wanted) continue;
    await page.getByRole('tab', { name: 'Frames' }).click();
    const address = `0x${(pfn * pageSize).toString(16).padStart(8, '0')}`;
    await page.getByRole('searchbox', { name: /Page frames/ }).fill(address);
    await page.getByRole('button', { name: address }).click();
    await page.getByRole('tab', { name: 'Caches' }).click();
    return;
  }
}

mkdirSync(options.out, { recursive: true });
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu'],
  headless: true,
});
try {
  const program = new Program();
  program.run(60_000, 0.62);
  program.run(40_000, 0.47);
  const select = (page) => selectSlab(page, program.heap, 'kmalloc-96');
  const live = {
    info: info('live', 'server.js'),
    snapshot: async () => {
      program.run(4000, 0.5);
      return program.heap.snapshot({ data: false });
    },
  };
  const watch = async (page) => {
    await page.waitForTimeout(9000);
    await select(page);
  };
  await shoot(browser, 'inspect-live-dark', { source: live, act: watch });
  await shoot(browser, 'inspect-slab-light', {
    theme: 'light',
    source: still(program.heap, 'server.heapsnap'),
    act: async (page) => {
      await select(page);
      await page.getByLabel('Colour by').selectOption('cache');
    },
  });
  await shoot(browser, 'zoom', {
    only: true,
    source: still(program.heap, 'server.heapsnap'),
    act: async (page) => {
      await select(page);
      for (let i = 0; i < 4; i++) await page.getByRole('button', { name: 'Zoom in' }).click();
      await page.getByLabel('Colour by').selectOption('cpu');
    },
  });
  await shoot(browser, 'tables', {
    only: true,
    theme: 'light',
    view: { width: 1360, height: 1500 },
    source: still(program.heap, 'server.heapsnap'),
    act: async (page) => {
      await page.getByRole('tab', { name: 'Free memory' }).click();
    },
  });
  await shoot(browser, 'sheaves', {
    only: true,
    view: { width: 1360, height: 1500 },
    source: still(program.heap, 'server.heapsnap'),
    act: async (page) => {
      await page.getByRole('tab', { name: 'Sheaves' }).click();
      await page.getByLabel('Colour by').selectOption('fill');
    },
  });
  await shoot(browser, 'compare', {
    only: true,
    view: { width: 1360, height: 1300 },
    source: live,
    act: async (page) => {
      await page.getByRole('tab', { name: 'Compare' }).click();
      await page.getByRole('button', { name: 'Keep this moment' }).click();
      await page.waitForTimeout(3000);
      await page.getByRole('button', { name: 'Keep this moment' }).click();
    },
  });
  await shoot(browser, 'narrow', {
    only: true,
    theme: 'light',
    view: { width: 480, height: 1400 },
    source: still(program.heap, 'server.heapsnap'),
  });
  const trace = await fileSource(join(root, 'packages/cli/traces/rsyslogd.mtrace.gz'));
  await shoot(browser, 'inspect-trace-dark', {
    source: trace,
    act: async (page) => {
      await page.getByText(/trace of/).waitFor();
      await page.getByLabel('Colour by').selectOption('cache');
    },
  });
} finally {
  await browser.close();
}
