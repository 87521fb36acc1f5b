/** Files: formats told by content, gzip, and everything that can be wrong with a file as a file. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { MAX_LINE } from '#src/trace/reader.js';
import { readTrace } from '#src/trace/source.js';
import { decode, ftrace, kernel, makeTrace, path, rowsOf, write } from './helpers.ts';

const small = '# mtrace1\na 0 1 0\n';

/** Asserts that reading the file is refused with this message. */
async function fails(file: string, message: string): Promise<void> {
  await assert.rejects(readTrace(file), { name: 'TraceError', message: `${file}:${message}` });
}

test('plain, gzipped and multi-member gzipped files give the same program', async () => {
  const { text } = makeTrace(60_000, 4, 9);
  assert.ok(text.length > 2 ** 19, 'more than one piece of a stream');
  const expected = rowsOf(decode(text));
  const half = Math.floor(text.length / 2);
  const parts = [text.slice(0, half), text.slice(half)].map((part) => gzipSync(part));
  for (const [name, contents] of [
    ['plain.txt', Buffer.from(text)],
    ['zipped', gzipSync(text)],
    ['members.gz', Buffer.concat(parts)],
  ] as const) {
    const program = await readTrace(write(name, contents));
    assert.deepEqual(rowsOf(program), expected);
  }
});

test('what a file is follows from its content, not from its name', async () => {
  const text = ftrace([kernel.kmalloc(0, 1, 10, 16)]);
  assert.equal((await readTrace(write('k.mtrace', text))).format, 'ftrace');
  assert.equal((await readTrace(write('k.gz', text))).format, 'ftrace');
  assert.equal((await readTrace(write('m.ftrace.txt', gzipSync(small)))).format, 'mtrace1');
  const headless = `${kernel.kmalloc(0, 1, 10, 16)}\n`;
  assert.equal((await readTrace(write('headless', headless))).format, 'ftrace');
});

test('progress comes to the size of the file', async () => {
  const file = write('p.gz', gzipSync(makeTrace(20_000, 1, 3).text));
  let [done, total] = [0, -1];
  await readTrace(file, (d, t) => {
    [done, total] = [d, t];
  });
  assert.ok(total > 0);
  assert.equal(done, total);
});

test('files that cannot be read', async () => {
  await fails(path('missing'), ' no such file');
  mkdirSync(path('folder'));
  await fails(path('folder'), ' is a directory');
  await fails(`${write('file', small)}/x`, ' no such file (a folder in its path is a file)');
  await assert.rejects(readTrace('nul\0'), { message: 'nul\\x00: not a file name' });
  await assert.rejects(readTrace('a\nb'), { message: 'a\\x0ab: no such file' });
});

test('files that are no traces', async () => {
  const not = '1: not a trace: the first line is neither "# mtrace1" nor that of a kernel ftrace text';
  await fails(write('empty', ''), '1: the file is empty');
  await fails(write('empty.gz', gzipSync('')), '1: the file is empty');
  for (const [index, contents] of [
    Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 7919) & 255)),
    Buffer.alloc(200_000),
    gzipSync(Buffer.alloc(200_000, 'x')),
    'x',
    'hello\nworld\n',
    '{"json": true}\n',
    '#mtrace1\n',
    'mtrace1\n',
    '#!/bin/sh\n',
  ].entries()) {
    await fails(write(`not${index}`, contents), not);
  }
  const version = '1: not this version of mtrace: the first line must be "# mtrace1"';
  for (const first of ['# mtrace2', '# mtrace1 ', '# mtrace1\r', '# mtrace']) {
    await fails(write('version', `${first}\na 0 1 0\n`), version);
  }
});

test('files that are cut short or damaged', async () => {
  const { text } = makeTrace(60_000, 1, 2);
  const zipped = gzipSync(text);
  const cut = write('cut.gz', zipped.subarray(0, zipped.length - 1000));
  await assert.rejects(readTrace(cut), (error: Error) => {
    const match = /cut\.gz:(\d+): the gzip data is cut short$/.exec(error.message);
    assert.ok(match, error.message);
    assert.ok(Number(match[1]) > 1 && Number(match[1]) <= 60_016, 'a line of the file');
    return true;
  });
  await fails(write('cut1.gz', zipped.subarray(0, 12)), '1: the gzip data is cut short');
  await fails(write('cut2.gz', zipped.subarray(0, 2)), '1: the gzip data is cut short');
  await assert.rejects(readTrace(write('noend.gz', zipped.subarray(0, -4))), /: the gzip data is cut short$/);
  const damaged = Buffer.from(zipped);
  damaged[damaged.length - 6] ^= 1;
  await assert.rejects(readTrace(write('crc.gz', damaged)), /crc\.gz:\d+: the gzip data is damaged \(.*\)$/);
  const header = Buffer.from(zipped);
  header[2] = 99;
  await assert.rejects(readTrace(write('method.gz', header)), /method\.gz:1: the gzip data is damaged/);
  await fails(
    write('line', '# mtrace1\na 0 1 0\na 1 1'),
    '3: the last line has no end; the file is cut short',
  );
  await fails(
    write('magic', '# mtrace1'),
    '1: not this version of mtrace: the first line must be "# mtrace1"',
  );
});

test('lines that are too long', async () => {
  const long = 'x'.repeat(MAX_LINE + 1);
  const message = `line longer than ${MAX_LINE} bytes`;
  await fails(write('long1', `# mtrace1\n# note: ${long}\n`), `2: ${message}`);
  await fails(write('long2', `# mtrace1\n# note: ${long.repeat(40)}`), `2: ${message}`);
  await fails(write('long3', `${ftrace([kernel.kfree(0, 0)])}${long}\n`), `7: ${message}`);
  await fails(write('long4', `# mtrace1\na 0 1 0\n${'9'.repeat(3_000_000)}`), `3: ${message}`);
});

test('a fault in the text is found before one in the compressed data behind it', async () => {
  const { text } = makeTrace(60_000, 1, 2);
  const lines = text.split('\n');
  const zipped = gzipSync(lines.with(100, 'nonsense').join('\n'));
  await fails(write('both.gz', zipped.subarray(0, -1000)), '101: malformed event line "nonsense"');
});
