/**
 * threads-kill with slab debugging on: a thread that dies in the middle of a check, of poisoning or of a quarantine leaves no object
 * that a later check takes for damaged, and none is lost. Every report of slab debugging fails the storm.
 */

import { test } from 'node:test';
import { storm } from './support/kills.ts';

const MIB = 2 ** 20;
const KILLS = 200;

for (const [i, debug] of ['FZ', 'FZP', 'FZPU', 'FZP,kmalloc-*'].entries()) {
  test(`${KILLS} kills, debug: '${debug}'`, async () => {
    const heap = { size: 2 * MIB, maxSize: 128 * MIB, pageSize: 2 ** (12 + i), debug };
    await storm({ kills: KILLS, seed: 200 + i, heap });
  });
}
