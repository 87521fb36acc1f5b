/** A kill storm (support/kills.ts) whose supervisor is a page and whose workers are Web Workers. */

import { callInPage, inChromium } from './chromium.ts';
import type { StormOptions } from './kills.ts';

/** Runs the storm in a browser of its own; rejects with what it throws there. */
export async function chromiumStorm(options: StormOptions): Promise<void> {
  await inChromium((page) => callInPage(page, '/build/test/support/kills.js', 'storm', options));
}
