/**
 * `npm run bench:inspect [-- MIB]`: how smoothly the inspector's page shows a heap of 1 GiB, in headless Chromium.
 *
 * The heap is full (fullHeap.ts), has one object in ten changed all the time, and is exposed by a process of its own. Each row is
 * something that a reader does for some seconds, while the page asks for a snapshot as often as it does; the page itself measures:
 *
 *     frames      the time from one animation frame to the next: median, 99th in a hundred, longest, in milliseconds
 *     long tasks  of more than 50 ms (the browser's own count), and the longest
 *
 * A screen of 60 frames a second has 16.7 ms between two. Without Chromium (CHROMIUM names one) it says so and ends.
 */

import { fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { expose } from '@modslab/cli/expose';
import type { Page } from 'playwright-core';
import { CHROMIUM, CHROMIUM_FLAGS } from './chromium.ts';
import { fullHeap } from './fullHeap.ts';

const MIB_DEFAULT = 1024;
const SECONDS = 4;
const CHURN_MS = 20;
const CHURN_OBJECTS = 2000;

/** What the page measures while something goes on. */
interface Smoothness {
  /** Milliseconds between frames, ascending. */
  readonly frames: number[];
  /** Milliseconds of each long task. */
  readonly tasks: number[];
}

/** The process that has the heap. */
async function exposeHeap(mib: number): Promise<void> {
  const { heap, live, below } = fullHeap(mib * 2 ** 20);
  const { address } = await expose(heap, { port: 0, keepAlive: true });
  setInterval(() => {
    for (let i = 0; i < CHURN_OBJECTS; i++) {
      const at = below(live.length);
      heap.kfree(live[at]);
      live[at] = heap.kmalloc(16 + below(500));
    }
  }, CHURN_MS);
  process.send?.(address);
}

/** What runs in the page, as text: this program's own types know no page. */
const START = `{
  const state = { frames: [], tasks: [], isOn: true };
  globalThis.smoothness = state;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) if (state.isOn) state.tasks.push(duration);
  }).observe({ type: 'longtask' });
  let last = performance.now();
  const frame = (now) => {
    state.frames.push(now - last);
    last = now;
    if (state.isOn) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}`;
const STOP = `(() => {
  const { smoothness } = globalThis;
  smoothness.isOn = false;
  return { frames: smoothness.frames.slice(1).sort((a, b) => a - b), tasks: smoothness.tasks };
})()`;

async function measured(page: Page, act: () => Promise<void>): Promise<Smoothness> {
  await page.evaluate(START);
  await act();
  return await page.evaluate<Smoothness>(STOP);
}

/** Does something over and over for some seconds. */
async function forSeconds(act: (i: number) => Promise<unknown>): Promise<void> {
  const end = Date.now() + SECONDS * 1000;
  for (let i = 0; Date.now() < end; i++) await act(i);
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What a reader does. */
function actions(page: Page): [name: string, act: () => Promise<void>][] {
  const map = page.locator('canvas.marks');
  const box = async (): Promise<{ x: number; y: number; width: number; height: number }> =>
    (await map.boundingBox()) ?? { x: 0, y: 0, width: 1, height: 1 };
  const moveTo = async (x: number, y: number): Promise<void> => {
    const { x: left, y: top, width, height } = await box();
    await page.mouse.move(left + 90 + (width - 100) * x, top + 4 + (height - 8) * y);
  };
  const colour = page.getByLabel('Colour by');
  const tabs = page.getByRole('tab');
  return [
    ['looks on', () => pause(SECONDS * 1000)],
    ['hovers', () => forSeconds((i) => moveTo((i % 97) / 97, (i % 61) / 61))],
    [
      'clicks on frames',
      () =>
        forSeconds(async (i) => {
          await moveTo((i % 13) / 13, (i % 7) / 7);
          await page.mouse.down();
          await page.mouse.up();
          await pause(100);
        }),
    ],
    [
      'zooms in and out',
      async () => {
        await moveTo(0.4, 0.4);
        await forSeconds(async (i) => {
          await page.mouse.wheel(0, i % 24 < 12 ? -100 : 100);
          await pause(50);
        });
      },
    ],
    [
      'drags, zoomed in',
      async () => {
        await map.press('0');
        await moveTo(0.4, 0.4);
        for (let i = 0; i < 4; i++) await page.mouse.wheel(0, -100);
        await page.mouse.down();
        await forSeconds((i) => moveTo(0.4, 0.1 + 0.8 * Math.abs(((i % 60) - 30) / 30)));
        await page.mouse.up();
        await map.press('0');
      },
    ],
    [
      'colours by all',
      () =>
        forSeconds(async (i) => {
          await colour.selectOption(['cache', 'cpu', 'fill', 'kind'][i % 4]);
          await pause(300);
        }),
    ],
    [
      'opens all tabs',
      async () => {
        const count = await tabs.count();
        await forSeconds(async (i) => {
          await tabs.nth(i % count).click();
          await pause(200);
        });
        await tabs.nth(0).click();
      },
    ],
  ];
}

async function measure(mib: number): Promise<void> {
  if (!existsSync(CHROMIUM)) {
    console.log(`no Chromium at ${CHROMIUM}: install it, or set CHROMIUM to its path`);
    return;
  }
  const { chromium } = await import('playwright-core');
  const program = fork(fileURLToPath(import.meta.url), ['--expose', String(mib)]);
  const address = await new Promise<string>((resolve, reject) => {
    program.once('message', (message) => resolve(String(message)));
    program.once('exit', () => reject(new Error('the program with the heap has ended')));
  });
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [...CHROMIUM_FLAGS],
    headless: true,
  });
  try {
    const page = await browser.newPage({ viewport: { width: 1300, height: 900 } });
    await page.goto(address);
    await page.locator('.pill', { hasText: 'live' }).waitFor();
    await pause(3000);
    console.log(
      `| a live heap of ${mib} MiB: the reader … | frames: median | 99 % | longest | long tasks | longest |\n|---|--:|--:|--:|--:|--:|`,
    );
    for (const [name, act] of actions(page)) {
      const { frames, tasks } = await measured(page, act);
      const at = (share: number): string => frames[Math.floor((frames.length - 1) * share)].toFixed(1);
      const longest = tasks.length === 0 ? '–' : Math.max(...tasks).toFixed(0);
      console.log(`| ${name} | ${at(0.5)} | ${at(0.99)} | ${at(1)} | ${tasks.length} | ${longest} |`);
    }
  } finally {
    await browser.close();
    program.removeAllListeners('exit').kill();
  }
}

const mib = (text: string | undefined): number =>
  Math.max(1, Math.min(4095, Math.floor(Number(text ?? MIB_DEFAULT)) || MIB_DEFAULT));
if (process.argv[2] === '--expose') await exposeHeap(mib(process.argv[3]));
else await measure(mib(process.argv[2]));
