/** Patterns, and the executor's finding of everything that an allocator could do wrong. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Heap } from 'modslab';
import { deal } from '#src/replay/deal.js';
import { Executor, type Finding, ReplayFailure } from '#src/replay/execute.js';
import { createGates } from '#src/replay/sequencer.js';
import { check, checkZero, fill, patternByte, seed } from '#src/replay/verify.js';
import { decode } from './helpers.ts';

function views(length: number): { i32: Int32Array; u8: Uint8Array } {
  const buffer = new SharedArrayBuffer(length);
  return { i32: new Int32Array(buffer), u8: new Uint8Array(buffer) };
}

test('a pattern is found again; nothing beside it is touched; every changed byte is found', () => {
  const v = views(256);
  for (let size = 0; size <= 70; size++) {
    v.u8.fill(0xee);
    const first = seed(size, 3);
    fill(v, 64, size, first);
    assert.equal(
      v.u8.findIndex((byte, at) => (at < 64 || at >= 64 + size) && byte !== 0xee),
      -1,
    );
    assert.equal(check(v, 64, size, first), -1);
    for (let offset = 0; offset < size; offset++) {
      assert.equal(v.u8[64 + offset], patternByte(first, offset));
      v.u8[64 + offset] ^= 1 << (offset & 7);
      assert.equal(check(v, 64, size, first), offset);
      v.u8[64 + offset] ^= 1 << (offset & 7);
    }
  }
});

test('zeroes are checked byte by byte', () => {
  const v = views(128);
  for (let size = 0; size <= 40; size++) {
    v.u8.fill(1);
    v.u8.fill(0, 32, 32 + size);
    assert.equal(checkZero(v, 32, size), -1);
    for (let offset = 0; offset < size; offset++) {
      v.u8[32 + offset] = 0x80;
      assert.equal(checkZero(v, 32, size), offset);
      v.u8[32 + offset] = 0;
    }
  }
});

test('patterns of different objects and generations differ', () => {
  const seen = new Set<number>();
  for (let id = 0; id < 3000; id++)
    for (let generation = 0; generation < 3; generation++) seen.add(seed(id, generation));
  assert.ok(seen.size > 8990, `${seen.size}`);
});

/** A heap that hands out what it is told to. */
class Puppet {
  kmallocMaxSize = 1 << 20;
  next: number[] = [];
  freed: number[] = [];
  readonly i32: Int32Array;
  readonly u8: Uint8Array;

  constructor() {
    ({ i32: this.i32, u8: this.u8 } = views(1 << 16));
  }

  take(): number {
    return this.next.shift() ?? 0;
  }
  kmalloc(): number {
    return this.take();
  }
  kzalloc(): number {
    return this.take();
  }
  kcalloc(): number {
    return this.take();
  }
  kmallocAligned(): number {
    return this.take();
  }
  krealloc(): number {
    return this.take();
  }
  kvmalloc(): number {
    return this.take() + 0x8000;
  }
  kfree(address: number): void {
    this.freed.push(address);
  }
  kvfree(address: number): void {
    this.freed.push(-address);
  }
}

/** Executes a trace on the puppet, which hands out `next`; `hook` runs before the row it is called with. */
function execute(
  lines: string[],
  next: number[],
  hook: (row: number, heap: Puppet) => void = () => {},
): { findings: Finding[]; heap: Puppet; executor: Executor } {
  const program = decode(`# mtrace1\n${lines.join('\n')}\n`);
  const heap = new Puppet();
  heap.next = next;
  const job = {
    rows: program.rows,
    code: deal(program, 1).code,
    addresses: new Uint32Array(new SharedArrayBuffer(program.objects * 4)),
    gates: createGates(program.objects, 1),
    operations: program.operations,
    verify: true,
    window: 0,
  };
  const executor = new Executor(heap as unknown as Heap, job, []);
  for (let row = 0; row < program.rows.op.length; row++) {
    hook(row, heap);
    executor.runRange(row, row + 1);
  }
  return { findings: executor.tally.findings, heap, executor };
}

test('a sound heap gives no findings', () => {
  const { findings, heap, executor } = execute(
    ['a 0 100 0', 'a 1 64 0', 'r 0 40 0', 'f 1 0'],
    [0x100, 0x200, 0x100],
  );
  assert.deepEqual(findings, []);
  assert.deepEqual(heap.freed, [0x200, 0x100]);
  assert.equal(executor.tally.verified, 2);
  assert.equal(executor.tally.checks, 3);
});

test('two objects that overlap', () => {
  const { findings, executor } = execute(['a 0 100 0', 'a 1 100 0', 'f 1 0', 'f 0 0'], [0x100, 0x140]);
  assert.equal(executor.tally.corrupted, 1);
  const [{ what, id, line, address, offset, size }] = findings;
  assert.deepEqual(
    { what, id, line, address, offset, size },
    { what: 'changed', id: 0, line: 5, address: 0x100, offset: 0x40, size: 100 },
  );
});

test('a byte that changes while the object lives', () => {
  const { findings } = execute(['a 0 101 0', 'f 0 0'], [0x100], (row, heap) => {
    if (row === 1) heap.u8[0x100 + 100] ^= 0x10;
  });
  const [{ what, offset, expected, found }] = findings;
  assert.deepEqual([what, offset, found], ['changed', 100, expected ^ 0x10]);
});

test('a realloc that loses bytes; only the bytes of both sizes count', () => {
  const { findings } = execute(['a 0 100 0', 'r 0 50 0', 'r 0 200 0'], [0x100, 0x200, 0x300], (row, heap) => {
    if (row === 1) heap.u8.copyWithin(0x200, 0x100, 0x100 + 50);
    if (row === 2) heap.u8.copyWithin(0x300, 0x200, 0x200 + 49);
  });
  assert.deepEqual(
    findings.map(({ what, offset, line }) => [what, offset, line]),
    [['not kept by realloc', 49, 4]],
  );
});

test('memory that should be zero', () => {
  const { findings } = execute(['c 0 100 0', 'c 1 64 0'], [0x100, 0x200], (row, heap) => {
    heap.u8.fill(0, 0x100, 0x300);
    if (row === 0) heap.u8[0x100 + 99] = 7;
    if (row === 1) heap.u8[0x200 + 64] = 7; // beyond the request: nobody's business
  });
  const [{ what, offset, expected, found }] = findings;
  assert.deepEqual([what, offset, expected, found], ['not zeroed', 99, 0, 7]);
});

test('misaligned addresses', () => {
  const lines = ['a 0 8 0', 'a 1 20 0', 'a 2 256 0', 'm 3 10 512 0', 'a 4 100 0'];
  const { findings } = execute(lines, [0x1004, 0x1108, 0x1280, 0x1500, 0x1710]);
  assert.deepEqual(findings.map(({ what, id, expected, found }) => [what, id, expected, found]).slice(0, 4), [
    ['misaligned', 0, 8, 4],
    ['misaligned', 1, 16, 8],
    ['misaligned', 2, 256, 0x80],
    ['misaligned', 3, 512, 0x100],
  ]);
  assert.equal(findings.length, 4);
});

test('sizes of 0, and sizes beyond the largest of kmalloc', () => {
  const big = 2 ** 20 + 8;
  const heapSized = ['a 0 0 0', 'r 0 16 0', 'r 0 0 0', 'f 0 0'];
  assert.deepEqual(execute(heapSized, [8, 16, 24]).heap.freed, [16, 24], 'realloc to 0 keeps an object');
  const program = decode(`# mtrace1\na 0 ${big} 0\nr 0 10 0\nr 0 ${big} 0\n`);
  const heap = new Puppet();
  heap.next = [8, 16, 24];
  const job = {
    rows: program.rows,
    code: deal(program, 1).code,
    addresses: new Uint32Array(1),
    gates: createGates(1, 1),
    operations: 3,
    verify: false,
    window: 0,
  };
  new Executor(heap as unknown as Heap, job as never, []).runRange(0, 4);
  assert.deepEqual(heap.freed, [-(0x8000 + 8), 16, -(0x8000 + 24)]);
});

test('no memory is a failure of that row', () => {
  assert.throws(
    () => execute(['a 0 8 0', 'a 1 99 0'], [8]),
    (error) => error instanceof ReplayFailure && error.row === 1 && error.code === 'ENOMEM',
  );
});
