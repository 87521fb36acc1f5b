// What Node loads of the release: bundles of its entry points (scripts/bundle.mjs), beside the modules that they are made of.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const FOLDER = new URL('../../', import.meta.url);
const { exports } = JSON.parse(readFileSync(new URL('package.json', FOLDER), 'utf8')) as {
  exports: Record<string, { node: string; default: string } | string>;
};
const entries = Object.values(exports).filter((each) => typeof each !== 'string');

type Exported = Record<string, unknown>;
const load = (path: string): Promise<Exported> => import(new URL(path, FOLDER).href);

describe('bundles', () => {
  for (const entry of entries) {
    test(`${entry.node} exports what its module does`, async () => {
      const [bundle, module] = [await load(entry.node), await load(entry.default)];
      assert.deepEqual(Object.keys(bundle).sort(), Object.keys(module).sort());
    });
  }

  test('what several entry points export is one and the same', async () => {
    const known = new Map<string, unknown>();
    for (const entry of entries) {
      for (const [name, value] of Object.entries(await load(entry.node))) {
        if (known.has(name)) assert.equal(value, known.get(name), `${name} of ${entry.node}`);
        known.set(name, value);
      }
    }
    assert.ok(known.size > entries.length);
  });
});

/** Two threads and a second free, with slab debugging; prints what it has seen. */
const PROGRAM = `
import { Worker, isMainThread, workerData } from 'node:worker_threads';
import { Heap, SlabError } from 'modslab';
import { formatSlabinfo } from 'modslab/stat';

function freeIt(heap, object) {
  heap.kfree(object);
}

if (isMainThread) {
  const heap = Heap.create({ size: 2 ** 20, debug: 'U' });
  const object = heap.kmalloc(100);
  const worker = new Worker(new URL(import.meta.url), { workerData: { handle: heap.handle, object } });
  worker.on('exit', () => {
    try {
      freeIt(heap, object);
    } catch (error) {
      console.log(JSON.stringify({
        address: import.meta.resolve('modslab'),
        told: error instanceof SlabError && error.code,
        text: error.report?.text ?? error.message,
        problems: heap.validate(),
        lines: formatSlabinfo(heap.slabinfo(), '3.0').split('\\n').length,
      }));
    }
  });
} else {
  const heap = Heap.attach(workerData.handle);
  freeIt(heap, workerData.object);
  heap.detach();
}
`;
/** Beside this test, where `modslab` can be imported as anywhere. */
const FILE = new URL(`bundle-program-${process.pid}.mjs`, import.meta.url);
const skip = 'bun' in process.versions || 'deno' in process.versions ? 'a program for Node' : false;

test('a program that names no condition has the bundle, in all its threads', { skip }, () => {
  writeFileSync(FILE, PROGRAM);
  try {
    const env = { ...process.env, NODE_OPTIONS: '' };
    const { stdout, stderr } = spawnSync(process.execPath, [fileURLToPath(FILE)], { encoding: 'utf8', env });
    assert.equal(stderr, '');
    const seen = JSON.parse(stdout);
    assert.match(seen.address, /dist\/bundle\/index\.js$/);
    assert.equal(seen.told, 'EDOUBLEFREE');
    assert.deepEqual(seen.problems, []);
    assert.ok(seen.lines > 10);
    // The stacks of the report begin with the program's own functions.
    assert.match(seen.text, /Freed in freeIt /);
    assert.doesNotMatch(seen.text, /dist\/bundle/);
  } finally {
    rmSync(FILE);
  }
});
