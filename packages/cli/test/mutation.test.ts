/** Traces with random damage: each is read or refused in one line with a line number, and nothing else happens. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isFree } from '#src/replay/deal.js';
import type { Program } from '#src/replay/program.js';
import { TraceError } from '#src/trace/errors.js';
import { decode, ftrace, kernel, makeTrace, random } from './helpers.ts';

const ROUNDS = 1500;

/** One to three bytes changed, removed, doubled or moved. */
function damage(bytes: Buffer, next: () => number): Buffer {
  const below = (n: number): number => Math.floor(next() * n);
  let result = bytes;
  for (let n = below(3); n >= 0; n--) {
    const at = below(result.length);
    const length = 1 + below(next() < 0.8 ? 4 : 100);
    const [before, piece, after] = [
      result.subarray(0, at),
      result.subarray(at, at + length),
      result.subarray(at + length),
    ];
    const kind = below(4);
    if (kind === 0) result = Buffer.concat([before, after]);
    else if (kind === 1) result = Buffer.concat([before, piece, piece, after]);
    else if (kind === 2) result = Buffer.concat([before, Buffer.from([below(256)]), after]);
    else result = Buffer.concat([before, Buffer.from(String(below(2 ** 34))), after]);
  }
  return result;
}

/** What holds for every program: each object is allocated once, first, and freed once, last. */
function assertSound(program: Program): void {
  const { op, id, seq } = program.rows;
  const count = new Uint32Array(program.objects);
  const freed = new Uint8Array(program.objects);
  for (let row = 0; row < op.length; row++) {
    assert.equal(seq[row], count[id[row]]++);
    assert.equal(freed[id[row]], 0);
    if (isFree(op[row])) freed[id[row]] = 1;
  }
  assert.ok(freed.every((f) => f === 1));
}

function mutate(text: string, seed: number): { read: number; refused: number } {
  const bytes = Buffer.from(text);
  const next = random(seed);
  const counts = { read: 0, refused: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const damaged = damage(bytes, next);
    try {
      assertSound(decode(damaged, 1 + Math.floor(next() * 5000)));
      counts.read++;
    } catch (error) {
      if (!(error instanceof TraceError)) throw error;
      assert.match(error.message, /^t:\d+: [^\n\r]+$/);
      const lines = damaged.toString('latin1').split('\n').length;
      assert.ok(error.line !== undefined && error.line >= 1 && error.line <= lines, error.message);
      counts.refused++;
    }
  }
  return counts;
}

test('damaged mtrace1', () => {
  const { read, refused } = mutate(makeTrace(60, 2, 77).text, 1);
  assert.ok(read > 0 && refused > ROUNDS / 2, `${read} read, ${refused} refused`);
});

test('damaged kernel traces', () => {
  const { kmalloc, kfree, alloc, free, pages, freePages } = kernel;
  const lines: string[] = [];
  for (let i = 1; i < 8; i++) {
    lines.push(kmalloc(0, i, 60, 64, true), alloc(1, 64 + i, 'dentry', 180, 192), pages(1, i, 1));
    lines.push(kfree(1, i), free(0, 64 + i, 'dentry'), freePages(0, i, 1), alloc(0, 999, undefined, 1, 8));
  }
  const { read, refused } = mutate(ftrace(lines), 2);
  assert.ok(read > 100 && refused > 100, `${read} read, ${refused} refused`);
});
