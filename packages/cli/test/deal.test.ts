/** Dealing rows to workers, and the bits that say where order must be kept. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deal, isFree, SIGNALS, WAITS } from '#src/replay/deal.js';
import { OP_MASK } from '#src/replay/program.js';
import { decode, makeTrace } from './helpers.ts';

test('every row has one worker, in order; the bits follow from who has the neighbours', () => {
  for (const [threads, workers] of [
    [1, 1],
    [1, 2],
    [1, 5],
    [2, 4],
    [3, 2],
    [13, 4],
    [3, 3],
    [2, 7],
  ]) {
    const program = decode(makeTrace(4000, threads, threads * 31 + workers).text);
    const { code, lists, crossThreadFrees } = deal(program, workers);
    assert.equal(lists.length, workers);
    const owner = new Map<number, number>();
    for (const [worker, list] of lists.entries()) {
      for (const [k, row] of list.entries()) {
        assert.ok(k === 0 || list[k - 1] < row, 'ascending');
        assert.ok(!owner.has(row));
        owner.set(row, worker);
      }
    }
    assert.equal(owner.size, program.operations);
    const { op, id } = program.rows;
    const history = new Map<number, number[]>();
    for (let row = 0; row < program.operations; row++)
      history.set(id[row], [...(history.get(id[row]) ?? []), row]);
    let crossing = 0;
    for (const rows of history.values()) {
      for (const [k, row] of rows.entries()) {
        const self = owner.get(row);
        assert.equal((code[row] & WAITS) !== 0, k > 0 && owner.get(rows[k - 1]) !== self);
        assert.equal((code[row] & SIGNALS) !== 0, k + 1 < rows.length && owner.get(rows[k + 1]) !== self);
        assert.equal(code[row] & OP_MASK, op[row] & OP_MASK);
        if (isFree(op[row]) && owner.get(rows[0]) !== self) crossing++;
      }
    }
    assert.equal(crossThreadFrees, crossing);
  }
});

test('with no more workers than threads, thread t stays on worker t mod N', () => {
  const program = decode(makeTrace(3000, 5, 8).text);
  const { lists } = deal(program, 2);
  for (const [worker, list] of lists.entries()) {
    for (const row of list) assert.equal(program.rows.thread[row] % 2, worker);
  }
});

test('a single thread keeps several workers busy and frees about a third elsewhere', () => {
  const program = decode(makeTrace(20_000, 1, 4).text);
  assert.equal(deal(program, 1).crossThreadFrees, 0);
  for (const workers of [2, 3, 4]) {
    const { lists, crossThreadFrees } = deal(program, workers);
    for (const list of lists) assert.ok(list.length > 20_000 / workers / 2);
    const share = crossThreadFrees / program.frees;
    assert.ok(share > 0.3 && share < 0.37, `${share}`);
  }
});

test('more workers than threads: each works for one thread', () => {
  const program = decode(makeTrace(20_000, 2, 4).text);
  const { lists } = deal(program, 5);
  for (const [worker, list] of lists.entries()) {
    assert.ok(list.length > 1000);
    for (const row of list) assert.equal(program.rows.thread[row], worker % 2);
  }
});
