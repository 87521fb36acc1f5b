/** A contestant within a page: what contestant-chromium.ts calls there. */

import { oneLine, type Player, warmPlayer } from './player.ts';

let started: { player: Player; calls: number } | undefined;

function player(): { player: Player; calls: number } {
  if (started === undefined) throw new Error('not started');
  return started;
}

/** The calls that the other end makes: each a line's worth. */
const contestant = {
  async start(args: readonly string[]): Promise<void> {
    started = await warmPlayer(args);
  },
  async round(): Promise<string> {
    const { player: own, calls } = player();
    return [calls, ...(await own.play(calls))].join(' ');
  },
  async quit(): Promise<string[]> {
    return (await player().player.finish()).map(oneLine);
  },
};

Object.assign(globalThis, { contestant });
