// Call stacks: a fingerprint tells them apart, and frames of modslab's own are left out.
import assert from 'node:assert/strict';
import test from 'node:test';
import { callStack, framesOf, stackFingerprint } from '#src/slab/callStack.js';

const DEPTH = 8;
const isV8 = 'stackTraceLimit' in Error;

function fromHere(): number | undefined {
  return stackFingerprint(DEPTH);
}

function fromThere(): number | undefined {
  return stackFingerprint(DEPTH);
}

test('a stack has the same fingerprint each time, another stack another one', { skip: !isV8 }, () => {
  const met = [fromHere, fromHere, fromThere].map((call) => call());
  assert.equal(typeof met[0], 'number');
  assert.equal(met[0], met[1]);
  assert.notEqual(met[0], met[2]);
  const callers = [() => fromHere(), () => fromHere()].map((call) => call());
  assert.notEqual(callers[0], callers[1], 'called from two places of one line');
});

test('stacks of two functions without a script are told apart by name', { skip: !isV8 }, () => {
  const met: (number | undefined)[] = [];
  for (const method of ['map', 'forEach', 'map'] as const)
    [0][method](() => {
      met.push(stackFingerprint(DEPTH));
    });
  assert.equal(met[0], met[2]);
  assert.notEqual(met[0], met[1]);
});

test("the program's own settings for stacks are as before, and in use", () => {
  const settings = Error as { prepareStackTrace?: unknown; stackTraceLimit?: number };
  const { prepareStackTrace, stackTraceLimit } = settings;
  const own = (): string => 'mine';
  settings.prepareStackTrace = own;
  settings.stackTraceLimit = 3;
  try {
    stackFingerprint(DEPTH);
    assert.equal(settings.prepareStackTrace, own);
    assert.equal(settings.stackTraceLimit, 3);
  } finally {
    settings.prepareStackTrace = prepareStackTrace;
    settings.stackTraceLimit = stackTraceLimit;
  }
});

test('frames leave out those of modslab, of both forms of text', () => {
  assert.ok(framesOf(callStack(DEPTH), DEPTH)[0]?.includes('callStack.test'));
  assert.deepEqual(framesOf('Error\n    at f (a.js:1:2)\n    at b.js:3:4', DEPTH), [
    'f (a.js:1:2)',
    'b.js:3:4',
  ]);
  assert.deepEqual(framesOf('f@a.js:1:2\n@b.js:3:4', DEPTH), ['f (a.js:1:2)', ' (b.js:3:4)']);
});
