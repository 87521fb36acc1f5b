// The code of docs/guide.md is one program; it runs as it stands there.
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import test from 'node:test';

const GUIDE = new URL('../../../../docs/guide.md', import.meta.url);
/** Beside this test, where `modslab` can be imported as anywhere. */
const PROGRAM = new URL(`guide-program-${process.pid}.mjs`, import.meta.url);

test('the guide’s code does what it says', async () => {
  const blocks = [...readFileSync(GUIDE, 'utf8').matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code);
  assert.ok(blocks.length > 10);
  writeFileSync(PROGRAM, blocks.join('\n'));
  try {
    await import(PROGRAM.href);
  } finally {
    rmSync(PROGRAM);
  }
});
