// Dead threads are reaped by themselves: superviseWorker in Node, Web Locks where there are some.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Worker } from 'node:worker_threads';
import { Heap } from 'modslab';
import { setKillPointHook } from 'modslab/debug';
import { type ReapReport, superviseWorker } from 'modslab/node';
import { attachForLife, type LockManagerLike, superviseByLock } from 'modslab/web';
import { assertAlone } from './support/accounts.js';
import { assertSound, smallHeap, thrownBy, wrong } from './support/heap.js';
import { skipUnlessChecked } from './support/killpoints.js';
import type { SupervisedData } from './support/supervised.js';
import { LIMIT, skipUnlessDeathIsTold, until } from './support/thread.js';

const options = { ...LIMIT, skip: skipUnlessDeathIsTold };

interface Supervised {
  readonly worker: Worker;
  readonly state: Int32Array;
  readonly reports: Promise<ReapReport[]>;
  readonly stop: () => void;
}

function start(heap: Heap, how: SupervisedData['how']): Supervised {
  const state = new Int32Array(new SharedArrayBuffer(8));
  const data: SupervisedData = { handle: heap.handle, how, state };
  const worker = new Worker(new URL('./support/supervised.js', import.meta.url), { workerData: data });
  worker.on('error', () => {});
  let stop = (): void => {};
  const reports = new Promise<ReapReport[]>((resolve) => {
    stop = superviseWorker(heap, worker, { onReap: resolve });
  });
  return { worker, state, reports, stop };
}

const begun = ({ state }: Supervised): Promise<void> => until(() => Atomics.load(state, 0) === 1, 'a worker');

for (const [how, slots, ends] of [
  ['stay', 1, false],
  ['stay thrice', 3, false],
  ['tagged', 1, false],
  ['detach', 0, false],
  ['never', 0, false],
  ['throw', 1, true],
  ['exit', 1, true],
] as const) {
  test(`a supervised worker that does '${how}' leaves nothing behind`, options, async () => {
    const heap = smallHeap();
    const supervised = start(heap, how);
    await begun(supervised);
    if (!ends) await supervised.worker.terminate();
    const reports = await supervised.reports;
    assert.equal(reports.length, slots);
    if (slots > 0) assert.ok(reports.some(({ objects }) => objects > 0));
    assertAlone(heap);
    assertSound(heap);
    heap.shrink();
    assert.equal(heap.meminfo().footprint, 0);
  });
}

test('only the slots of the dead worker are reaped, and only while it is supervised', options, async () => {
  const heap = smallHeap();
  const [a, b, c] = [start(heap, 'stay'), start(heap, 'stay'), start(heap, 'stay')];
  await Promise.all([a, b, c].map(begun));
  const mine = Heap.attach(heap.handle, { tag: a.worker.threadId });
  // Afterwards a worker's number is -1.
  const survivors = [b, c].map(({ worker }) => worker.threadId);
  c.stop();
  await Promise.all([a.worker.terminate(), c.worker.terminate()]);
  assert.equal((await a.reports).length, 1);
  const online = heap.cpus().filter((slot) => slot.online && slot.cpu !== heap.cpu && slot.cpu !== mine.cpu);
  assert.deepEqual(
    new Set(online.map(({ thread }) => thread)),
    new Set(survivors),
    'that of b, and of c, which is dead and was not supervised any more',
  );
  mine.kfree(mine.kmalloc(64));
  await b.worker.terminate();
  await b.reports;
  for (const { cpu, online: on } of heap.cpus())
    if (on && cpu !== heap.cpu && cpu !== mine.cpu) heap.reap(cpu);
  mine.detach();
  assertAlone(heap);
  assertSound(heap);
});

test('workers killed while they start and attach leave no slot behind', options, async () => {
  const heap = smallHeap({ cpus: 3 });
  for (let i = 0; i < 8; i++) {
    const supervised = start(heap, 'stay thrice');
    await until(() => heap.cpus().some(({ cpu, online }) => online && cpu !== heap.cpu), 'an attach');
    await supervised.worker.terminate();
    await supervised.reports;
    assertAlone(heap);
  }
  assertSound(heap);
});

test(
  'a worker that has ended, or a heap that is detached, is refused; a heap detached later reaps nothing',
  options,
  async () => {
    const heap = smallHeap();
    const other = Heap.attach(heap.handle);
    const supervised = start(other, 'stay');
    await begun(supervised);
    other.detach();
    await supervised.worker.terminate();
    await new Promise((resolve) => setTimeout(resolve, 1));
    assert.equal(heap.cpus().filter(({ online }) => online).length, 2);
    assert.throws(() => superviseWorker(heap, supervised.worker), /EINVAL/);
    const idle = new Worker('', { eval: true });
    assert.throws(() => superviseWorker(other, idle), /ESHUTDOWN/);
    await idle.terminate();
  },
);

const killOptions = { skip: skipUnlessChecked };

test('a slot that is being attached may be reaped at any time: the thread takes another', killOptions, () => {
  const heap = smallHeap();
  let slot = heap.cpus()[0];
  setKillPointHook((name) => {
    if (name !== 'cpu.attached') return;
    setKillPointHook(undefined);
    slot = heap.cpus()[1];
    heap.reap(slot.cpu, slot.generation);
  });
  const other = Heap.attach(heap.handle, { tag: 'late' });
  assert.deepEqual([slot.online, slot.thread], [true, undefined]);
  assert.deepEqual([other.cpu, heap.cpus()[2].tag], [2, 'late']);
  other.kfree(other.kmalloc(64));
  other.detach();
  assertAlone(heap);
  assertSound(heap);
});

interface Request {
  readonly name: string;
  readonly callback: (lock: unknown) => unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** Web Locks, as far as they matter here. `die` does what a browser does when the holder's thread ends. */
class FakeLocks implements LockManagerLike {
  private readonly held: Map<string, Request> = new Map();
  private queue: Request[] = [];

  async request(
    name: string,
    { signal, ifAvailable }: { signal?: { aborted: boolean }; ifAvailable?: boolean },
    callback: (lock: unknown) => unknown,
  ): Promise<unknown> {
    if (ifAvailable === true && this.held.has(name)) return callback(null);
    return new Promise((resolve, reject) => {
      const request = { name, callback, resolve, reject };
      this.queue.push(request);
      (signal as AbortSignal | undefined)?.addEventListener('abort', () => {
        if (this.queue.includes(request)) reject(new Error('aborted'));
        this.queue = this.queue.filter((other) => other !== request);
      });
      this.grant(name);
    });
  }

  die(name: string): void {
    this.release(`modslab:${name}`);
  }

  private release(name: string): void {
    this.held.delete(name);
    this.grant(name);
  }

  private grant(name: string): void {
    const next = this.queue.find((request) => request.name === name);
    if (next === undefined || this.held.has(name)) return;
    this.queue = this.queue.filter((request) => request !== next);
    this.held.set(name, next);
    queueMicrotask(() => {
      Promise.resolve()
        .then(() => next.callback({ name }))
        .then(next.resolve, next.reject)
        .finally(() => {
          if (this.held.get(name) === next) this.release(name);
        });
    });
  }
}

test('a thread that holds a lock for life is reaped when the lock is released', async () => {
  const heap = smallHeap();
  const locks = new FakeLocks();
  const worker = await attachForLife(heap.handle, 'worker 1', { locks });
  const again = Heap.attach(heap.handle, { tag: 'worker 1' });
  for (const each of [worker, again]) each.kfree(each.kmalloc(64));
  let ended = false;
  const end = superviseByLock(heap, 'worker 1', { locks }).then((reports) => {
    ended = true;
    return reports;
  });
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(ended, false);
  assert.equal(heap.cpus().filter(({ online }) => online).length, 3);
  locks.die('worker 1');
  const reports = await end;
  assert.deepEqual(
    reports.map(({ cpu }) => cpu),
    [1, 2],
  );
  assertAlone(heap);
  assertSound(heap);
});

test('a thread that has detached before it ended leaves nothing to reap', async () => {
  const heap = smallHeap();
  const locks = new FakeLocks();
  const worker = await attachForLife(heap.handle, 'w', { locks });
  const end = superviseByLock(heap, 'w', { locks });
  worker.detach();
  locks.die('w');
  assert.deepEqual(await end, []);
});

test('a thread that died before it was supervised is reaped all the same', async () => {
  const heap = smallHeap();
  const locks = new FakeLocks();
  await attachForLife(heap.handle, 'w', { locks });
  locks.die('w');
  assert.equal((await superviseByLock(heap, 'w', { locks })).length, 1);
  assertAlone(heap);
});

test('a name that is in use, nobody to wait for, no locks at all, and an abort', async () => {
  const heap = smallHeap();
  const locks = new FakeLocks();
  await attachForLife(heap.handle, 'w', { locks });
  await assert.rejects(attachForLife(heap.handle, 'w', { locks }), /EBUSY/);
  await assert.rejects(superviseByLock(heap, 'nobody', { locks }), /EINVAL/);
  await assert.rejects(attachForLife({ ...heap.handle, version: 99 }, 'x', { locks }), /EVERSION/);
  const controller = new AbortController();
  const end = superviseByLock(heap, 'w', { locks, signal: controller.signal });
  end.catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 5));
  controller.abort();
  await assert.rejects(end, /abort/);
  const { navigator } = globalThis as { navigator?: { locks?: unknown } };
  if (navigator?.locks === undefined) {
    await assert.rejects(attachForLife(heap.handle, 'y'), /EINVAL/);
    await assert.rejects(superviseByLock(heap, 'y'), /EINVAL/);
  }
  thrownBy('EINVAL', () => heap.reap(99));
});

test('options that cannot be meant are refused at once, not when the worker ends', () => {
  const heap = smallHeap();
  const listeners: unknown[] = [];
  const worker = {
    threadId: 99,
    on: (_event: string, listener: unknown) => listeners.push(listener),
    off() {},
  };
  for (const odd of [null, 5, { onReap: 'log' }, { onReap: null }])
    thrownBy(TypeError, () => superviseWorker(heap, worker, wrong(odd)));
  assert.equal(listeners.length, 0);
});
