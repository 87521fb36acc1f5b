/** Gates, on one thread: what passes, what is published, and that a stop ends every wait. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  awaitObject,
  awaitStart,
  createGates,
  keepPace,
  publishObject,
  publishProgress,
  Stopped,
  slowest,
  start,
  stop,
} from '#src/replay/sequencer.js';

test('a gate that has been reached lets pass, also with more than was asked for', () => {
  const gates = createGates(3, 2);
  awaitObject(gates, 0, 5, 1, 0);
  publishObject(gates, 1, 3);
  for (const n of [1, 2, 3]) awaitObject(gates, 0, 5, 1, n);
  start(gates);
  awaitStart(gates);
});

test('the pace is that of the slowest', () => {
  const gates = createGates(0, 3);
  assert.equal(slowest(gates), 0);
  for (const [worker, row] of [500, 90, 700].entries()) publishProgress(gates, worker, row);
  assert.equal(slowest(gates), 90);
  keepPace(gates, 0, 1000, 910);
  keepPace(gates, 0, 2 ** 30 - 1, 0);
});

test('a stopped replay ends every wait', () => {
  const gates = createGates(3, 2);
  stop(gates);
  assert.throws(() => awaitObject(gates, 0, 5, 1, 1), Stopped);
  assert.throws(() => keepPace(gates, 0, 1000, 10), Stopped);
  assert.throws(() => awaitStart(gates), Stopped);
  assert.equal(slowest(gates), 0);
});

test('who waits has said how far it has come', () => {
  const gates = createGates(1, 1);
  stop(gates);
  assert.throws(() => awaitObject(gates, 0, 1234, 0, 1), Stopped);
  assert.equal(slowest(gates), 1234);
});
