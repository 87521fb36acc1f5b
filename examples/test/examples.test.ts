// Every example, run by the command that its first line gives, with smaller numbers.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const folder: string = fileURLToPath(new URL('../../', import.meta.url));

/** The lines that an example prints. */
async function run(file: string, ...args: string[]): Promise<string[]> {
  // The tests' own conditions are not the user's: an example runs on the release build.
  const env = { ...process.env, NODE_OPTIONS: '' };
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [file, ...args], {
    cwd: folder,
    env,
  });
  assert.equal(stderr, '');
  return stdout.trimEnd().split('\n');
}

describe('examples', { concurrency: 2 }, () => {
  test('two-threads.js: one thread allocates, another reads and frees', async () => {
    assert.deepEqual(await run('two-threads.js'), ['hello, worker', '0 []']);
  });

  test('find-a-leak.js: the report names the line that is never freed', async () => {
    const lines = await run('find-a-leak.js');
    assert.equal(lines.length, 1);
    assert.match(
      lines[0],
      /^kmalloc-64: 100 objects, 6000 bytes more than before, allocated in openRequest .*:\d+\)$/,
    );
  });

  test('find-an-overflow.js: the report names the byte, and who allocated the object', async () => {
    const lines = await run('find-an-overflow.js');
    assert.match(lines[0], /^EREDZONE kmalloc-\d+: (kmalloc|Right) Redzone: byte 3 of 3 is 0$/);
    assert.match(lines[1], /^ {2}allocated in copyText .*find-an-overflow\.js:\d+:\d+\)$/);
    assert.equal(lines[6], '6 reports, and the heap goes on: 0 problems');
  });

  test('wasm-modules.js: two modules and JavaScript pass pointers', async () => {
    assert.deepEqual(await run('wasm-modules.js'), [
      '8008 bytes in the list',
      'sum 500542',
      '0 bytes live, 0 problems',
    ]);
  });

  test('particles.js: born by one worker, freed by the other', async () => {
    const [counts, end] = await run('particles.js', '--steps', '100', '--particles', '500');
    const [, born, handedOver, died] = /born (\d+), handed over (\d+), died (\d+)/.exec(counts) ?? [];
    assert.equal(died, born);
    assert.ok(Number(handedOver) > 0, counts);
    assert.equal(end, '0 bytes live, 0 problems');
  });

  test('tiles.js: decoded by workers, uploaded and freed by the main thread', async () => {
    const [tiles, , end] = await run('tiles.js', '--tiles', '60');
    assert.match(tiles, /^60 tiles, \d+\.\d MiB uploaded, 0 wrong pixels$/);
    assert.equal(end, '0 bytes live, 0 problems');
  });

  test('vmalloc-file.js: a file through scattered pages', async () => {
    const [pieces, problems] = await run('vmalloc-file.js');
    assert.match(pieces, /^\d+ bytes in \d{2,} pieces, the same when written again$/);
    assert.equal(problems, '[]');
  });

  test('lru-cache.js: an HTTP server, with the cache in shared memory and with messages', async () => {
    const lines = await run('lru-cache.js', '--requests', '600', '--pages', '40');
    assert.match(lines[0], /^message: 600 requests, \d+ a second \(cache in the workers\)$/);
    assert.match(lines[1], /^shared: 600 requests, \d+ a second \(cache in shared memory, \d+ hits\)$/);
    const hits = Number(/(\d+) hits/.exec(lines[1])?.[1]);
    assert.ok(hits > 400, `${hits} hits`);
  });
});
