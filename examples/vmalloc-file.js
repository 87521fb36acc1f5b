// A file read into scattered memory and written from it, without a copy in between: the pieces of a vmalloc area go to
// readv and writev. Run: node examples/vmalloc-file.js [FILE]
import { closeSync, fstatSync, openSync, readFileSync, readvSync, rmSync, writevSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Heap } from 'modslab';

/** Fills the pieces from a file, in order; how many bytes it had for them. */
function readvFrom(fd, pieces) {
  let done = 0;
  for (let rest = pieces; rest.length > 0; ) {
    const got = readvSync(fd, rest);
    if (got === 0) break;
    done += got;
    rest = behind(rest, got);
  }
  return done;
}

/** Writes all pieces to a file, in order. */
function writevTo(fd, pieces) {
  for (let rest = pieces; rest.length > 0; ) rest = behind(rest, writevSync(fd, rest));
}

/** What is left of the pieces behind their first `bytes` bytes. */
function behind(pieces, bytes) {
  let left = bytes;
  const rest = [];
  for (const piece of pieces) {
    if (left < piece.length) rest.push(piece.subarray(left));
    left = Math.max(0, left - piece.length);
  }
  return rest;
}

const source = process.argv[2] ?? fileURLToPath(new URL('../package-lock.json', import.meta.url));
const heap = Heap.create({ size: 1 << 20, maxSize: 64 << 20, pageSize: 4096 });

// Every second page stays in use, so no two free ones lie side by side.
const pages = Array.from({ length: 200 }, () => heap.allocPages(0));
for (let i = 0; i < pages.length; i += 2) heap.freePages(pages[i], 0);

const input = openSync(source, 'r');
const area = heap.vmalloc(fstatSync(input).size);
if (area === null) throw new Error('no memory');
const read = readvFrom(input, area.segments());
closeSync(input);

const copy = join(tmpdir(), `modslab-vmalloc-${process.pid}`);
const output = openSync(copy, 'w');
writevTo(output, area.segments());
closeSync(output);

const same = readFileSync(copy).equals(readFileSync(source));
rmSync(copy);
console.log(
  `${read} bytes in ${area.segments().length} pieces, ${same ? 'the same' : 'NOT THE SAME'} when written again`,
);
heap.vfree(area);
console.log(heap.validate()); // []
heap.detach();
if (!same) process.exitCode = 1;
