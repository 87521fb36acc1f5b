// Call stacks: a fingerprint tells them apart, and frames of modslab's own are left out.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import test from 'node:test';
import { Worker } from 'node:worker_threads';
import { callStack, framesOf, stackFingerprint } from '#src/slab/callStack.js';
import { smallHeap } from './support/heap.js';

const DEPTH = 8;
/** An engine that gives call sites as objects. */
const hasSites = stackFingerprint(1) !== undefined;

/** JavaScriptCore: no frames of functions that make a tail call (hence `Number(…)` below), nor of what is built in. */
const isV8 = !('bun' in process.versions);

function fromHere(): number {
  return Number(stackFingerprint(DEPTH));
}

function fromThere(): number {
  return Number(stackFingerprint(DEPTH));
}

test('a stack has the same fingerprint each time, another stack another one', { skip: !hasSites }, () => {
  const met = [fromHere, fromHere, fromThere].map((call) => call());
  assert.equal(typeof met[0], 'number');
  assert.equal(met[0], met[1]);
  assert.notEqual(met[0], met[2]);
  const callers = [() => Number(fromHere()), () => Number(fromHere())].map((call) => call());
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

interface Settings {
  prepareStackTrace?: unknown;
  stackTraceLimit?: number;
}
const settings = Error as Settings;

/** Runs `act` with settings of the program's own, which are as before when it returns. */
function withSettings(own: Settings, act: () => void): void {
  const { prepareStackTrace, stackTraceLimit } = settings;
  const had = Object.hasOwn(Error, 'prepareStackTrace');
  Object.assign(settings, own);
  try {
    act();
    for (const [name, value] of Object.entries(own)) assert.equal(settings[name as keyof Settings], value);
  } finally {
    // By assignment: Bun does not look at a property that has been defined anew.
    settings.stackTraceLimit = stackTraceLimit;
    if (had) settings.prepareStackTrace = prepareStackTrace;
    else delete settings.prepareStackTrace;
  }
}

test("the program's own settings for stacks are as before, and in use", () => {
  withSettings({ prepareStackTrace: () => 'mine', stackTraceLimit: 3 }, () => void stackFingerprint(DEPTH));
  withSettings({ stackTraceLimit: 7 }, () => void stackFingerprint(DEPTH));
  const had = Object.hasOwn(Error, 'prepareStackTrace');
  stackFingerprint(DEPTH);
  assert.equal(Object.hasOwn(Error, 'prepareStackTrace'), had);
});

test('a prepareStackTrace that throws, or returns no text, leaves a call without a stack', {
  skip: !isV8,
}, () => {
  const throws = (): never => {
    throw new Error('mine');
  };
  withSettings({ prepareStackTrace: throws }, () => assert.equal(callStack(DEPTH), ''));
  withSettings({ prepareStackTrace: () => 42 }, () => assert.equal(callStack(DEPTH), ''));
});

test('a stack that overflows leaves the settings as they were', () => {
  const { stackTraceLimit } = settings;
  const { prepareStackTrace } = settings;
  const dig = (): void => {
    stackFingerprint(DEPTH);
    callStack(DEPTH);
    dig();
  };
  assert.throws(dig, /stack/i);
  assert.equal(settings.stackTraceLimit, stackTraceLimit);
  assert.equal(settings.prepareStackTrace, prepareStackTrace);
  assert.equal(typeof new Error('one').stack, 'string');
});

/** A worker's program that fixes the `Error` of its own realm, and has slab debugging note who calls. */
const FIXED = `import { parentPort } from 'node:worker_threads';
import { Heap } from 'modslab';
Object.HOW(Error);
const heap = Heap.create({ size: 2 ** 22, debug: 'U' });
for (let i = 0; i < 3; i++) heap.kfree(heap.kmalloc(64));
parentPort.postMessage([heap.leaks().length, typeof new Error('one').stack]);`;

test('settings that cannot be changed are left alone', async () => {
  for (const how of ['preventExtensions', 'freeze']) {
    const file = new URL(`fixed-${process.pid}-${how}.mjs`, import.meta.url);
    writeFileSync(file, FIXED.replace('HOW', how));
    const worker = new Worker(file);
    try {
      const [answer] = await once(worker, 'message');
      assert.deepEqual(answer, [0, 'string'], how);
    } finally {
      await worker.terminate();
      rmSync(file);
    }
  }
});

for (const depth of [1, 2, 3, 16]) {
  test(`three callers of kmalloc are told apart with stacks of ${depth} frames`, () => {
    const heap = smallHeap({ debug: 'U' });
    heap.tracking = { depth };
    function alpha(): number {
      return Number(heap.kmalloc(64));
    }
    function beta(): number {
      return Number(heap.kmalloc(64));
    }
    function gamma(): number {
      return Number(alpha());
    }
    const callers = [alpha, beta, gamma];
    for (const call of [...callers, ...callers]) call();
    const stacks = heap.leaks().map(({ stack }) => stack);
    const named = stacks.map((stack) => stack.map((frame) => /(alpha|beta|gamma)/.exec(frame)?.[1] ?? ''));
    const wanted =
      depth === 1
        ? [['alpha'], ['beta']]
        : [
            ['alpha', ''],
            ['beta', ''],
            ['alpha', 'gamma'],
          ];
    const found = named.map((frames) => frames.slice(0, Math.min(depth, 2)).join());
    assert.deepEqual(found.sort(), wanted.map((frames) => frames.slice(0, depth).join()).sort());
    for (const stack of stacks) assert.ok(stack.length <= depth);
  });
}

test('all of the frames that are asked for are noted', () => {
  const heap = smallHeap({ debug: 'U' });
  heap.tracking = { depth: 16 };
  const dig = (n: number): number => Number(n === 0 ? heap.kmalloc(64) : dig(n - 1));
  dig(30);
  const [{ stack }] = heap.leaks();
  assert.equal(stack.length, 16);
  assert.ok(stack.every((frame) => frame.includes('dig')));
});

test('frames leave out those of modslab, of both forms of text', () => {
  assert.ok(framesOf(callStack(DEPTH), DEPTH)[0]?.includes('callStack.test'));
  assert.deepEqual(framesOf('Error\n    at f (a.js:1:2)\n    at b.js:3:4', DEPTH), [
    'f (a.js:1:2)',
    'b.js:3:4',
  ]);
  assert.deepEqual(framesOf('f@a.js:1:2\n@b.js:3:4', DEPTH), ['f (a.js:1:2)', ' (b.js:3:4)']);
});
