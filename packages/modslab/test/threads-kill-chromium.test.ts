// The kill storm of threads-kill.test.ts in a real browser: Web Workers, terminated at random moments by the page.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Smoke } from './support/browser/smoke.ts';
import { callInPage, inChromium, skipUnlessChromium } from './support/chromium.ts';
import { chromiumStorm } from './support/chromiumStorm.ts';
import { LIMIT } from './support/thread.ts';

const options = { ...LIMIT, skip: skipUnlessChromium };

test('Chromium: 25 workers terminated at random moments', options, async () => {
  await chromiumStorm({ kills: 25, seed: 1, heap: { size: 2 ** 20, maxSize: 2 ** 26, pageSize: 8192 } });
});

test('Chromium: the page is isolated, and its heap is shared', options, async () => {
  const found = await inChromium((page) => callInPage(page, '/build/test/support/browser/smoke.js', 'smoke'));
  const { isolated, shared, address, problems } = found as Smoke;
  assert.ok(isolated && shared && address > 0);
  assert.deepEqual(problems, []);
});
