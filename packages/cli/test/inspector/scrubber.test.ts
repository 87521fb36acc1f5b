/** A trace that is scrubbed: the same state at an event, whichever way one comes to it; and it is that of the trace. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Scrubber } from '#src/inspector/model/scrubber.js';
import { decodeTrace, encodeTrace, type Trace } from '#src/inspector/model/traceFile.js';
import type { Program } from '#src/replay/program.js';
import { heapOptionsFor } from '#src/replay/run.js';
import { decode, ftrace, kernel, makeTrace, random } from '../helpers.ts';

const traceOf = (program: Program): Trace => decodeTrace(encodeTrace(program, heapOptionsFor(program)));
const at = async (): Promise<void> => {};
const made = (seed: number): Program => decode(makeTrace(6000, 3, seed, 100_000).text);

/** What a trace has live after `events` of its rows: objects and bytes asked for. */
function liveAt({ rows }: Program, events: number): Map<number, number> {
  const live = new Map<number, number>();
  for (let row = 0; row < events; row++) {
    const isFree = [4, 6, 8].includes(rows.op[row] & 15);
    if (isFree) live.delete(rows.id[row]);
    else live.set(rows.id[row], rows.size[row]);
  }
  return live;
}

/** All of a moment but its time of day. */
function stateOf(scrubber: Scrubber): unknown {
  const { frames, figures, sheaves, buddy } = scrubber.moment();
  return { frames, figures, sheaves, buddy };
}

test('a trace goes to the page and is the same there', () => {
  const program = made(1);
  const trace = traceOf(program);
  for (const key of ['id', 'size', 'aux', 'line', 'thread', 'op'] as const)
    assert.deepEqual([...trace[key]], [...program.rows[key].subarray(0, program.operations)], key);
  assert.equal(trace.objects, program.objects);
  assert.throws(() => decodeTrace(new Uint8Array(100)), TypeError);
  assert.throws(() => decodeTrace(new Uint8Array(3)), TypeError);
});

for (const seed of [2, 3]) {
  test(`forward, back, at random: one state an event (${seed})`, async () => {
    const program = made(seed);
    const straight = new Scrubber(traceOf(program));
    await straight.prepare(at, () => {});
    const next = random(seed);
    const states = new Map<number, unknown>();
    for (let n = 0; n <= program.operations; n += 217) {
      straight.seek(n);
      assert.equal(straight.position, n);
      states.set(n, stateOf(straight));
    }
    const jumping = new Scrubber(traceOf(program));
    await jumping.prepare(at, () => {});
    const places = [...states.keys()].sort(() => next() - 0.5);
    for (const n of places) {
      jumping.seek(n);
      assert.deepEqual(stateOf(jumping), states.get(n), `event ${n}`);
    }
  });
}

test('what is live at an event is what the trace has live', async () => {
  const program = made(4);
  const scrubber = new Scrubber(traceOf(program));
  await scrubber.prepare(at, () => {});
  for (const n of [0, 1, 1000, 4321, program.operations, 17]) {
    scrubber.seek(n);
    const { figures } = scrubber.moment();
    const live = liveAt(program, n);
    const asked = [...live.values()].reduce((sum, size) => sum + size, 0);
    assert.ok(figures.live >= asked && figures.live <= 2 * asked + 64 * live.size + 70_000 * 8, `event ${n}`);
    const small = [...live.values()].filter((size) => size <= 1024).length;
    assert.ok(figures.liveObjects >= small);
    assert.ok(figures.liveObjects <= live.size);
  }
});

test('the overview has the whole trace, its counts those of the events', async () => {
  const program = made(5);
  const scrubber = new Scrubber(traceOf(program));
  const told: number[] = [];
  const samples = await scrubber.prepare(at, (done) => told.push(done));
  assert.equal(samples[0].time, 0);
  const last = samples[samples.length - 1];
  assert.equal(last.time, program.operations);
  assert.equal(last.frees, program.frees);
  assert.equal(last.allocations, program.objects);
  assert.equal(told[told.length - 1], program.operations);
});

test('events are said in words', async () => {
  const program = made(6);
  const scrubber = new Scrubber(traceOf(program));
  await scrubber.prepare(at, () => {});
  assert.match(scrubber.describe(0), /^k\w+: \d+ bytes, object 0, thread 0, line \d+$/);
  assert.equal(scrubber.describe(program.operations), 'the end of the trace');
  scrubber.seek(1);
  assert.ok(scrubber.addressOf(0) > 0);
  scrubber.seek(0);
  assert.equal(scrubber.addressOf(0), 0);
});

test('a kernel trace: caches, pages', async () => {
  const lines: string[] = [];
  for (let i = 0; i < 300; i++) {
    lines.push(kernel.alloc(0, 0x1000 + i * 64, 'dentry', 192, 192), kernel.pages(1, i * 4, 2));
    if (i % 3 === 0) lines.push(kernel.free(1, 0x1000 + i * 64, 'dentry'), kernel.freePages(0, i * 4, 2));
  }
  const program = decode(ftrace(lines));
  const scrubber = new Scrubber(traceOf(program));
  await scrubber.prepare(at, () => {});
  scrubber.seek(program.operations);
  const dentry = scrubber.moment().figures.caches.find(({ name }) => name === 'dentry');
  assert.equal(dentry?.live, 200);
  assert.equal(scrubber.moment().figures.runs, 200 * 4 * 4096);
  scrubber.seek(2);
  assert.equal(scrubber.moment().figures.caches.find(({ name }) => name === 'dentry')?.live, 1);
});

test('a trace without room is refused, with the line', async () => {
  const program = made(7);
  const trace = traceOf(program);
  const scrubber = new Scrubber({ ...trace, heap: { ...trace.heap, size: 2 ** 17, maxSize: 2 ** 17 } });
  await assert.rejects(
    scrubber.prepare(at, () => {}),
    /no memory for event \d+ \(line \d+\): the heap is at most/,
  );
});
