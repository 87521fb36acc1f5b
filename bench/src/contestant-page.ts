/** A contestant within a page: what contestant-chromium.ts calls there. */

import { warmUp } from './player.ts';

/** Warms up; from then on `contestant` has its rounds. */
async function start(args: readonly string[]): Promise<void> {
  Object.assign(globalThis, { contestant: await warmUp(args) });
}

Object.assign(globalThis, { start });
