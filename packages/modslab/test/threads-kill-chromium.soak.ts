// threads-kill-chromium at length: 1,000 workers, in storms that differ in page size, nodes and seed.
import { test } from 'node:test';
import { skipUnlessChromium } from './support/chromium.ts';
import { chromiumStorm } from './support/chromiumStorm.ts';

const MIB = 2 ** 20;
const STORMS = 10;
const KILLS = 100;

for (let i = 0; i < STORMS; i++) {
  const pageSize = 2 ** (12 + (i % 5));
  const nodes = 1 + (i % 3);
  const name = `Chromium, storm ${i}: ${KILLS} kills, pages of ${pageSize} bytes, ${nodes} nodes`;
  test(name, { skip: skipUnlessChromium }, async () => {
    await chromiumStorm({
      kills: KILLS,
      seed: 200 + i,
      heap: { size: 2 * MIB, maxSize: 64 * MIB, pageSize, nodes },
    });
  });
}
