/**
 * The other end of support/thread.ts: runs the scenarios that it is sent, one after another. The thread is attached to
 * the heap while a scenario runs, unless its argument `attach` is 0: then it does that itself.
 */

import { parentPort } from 'node:worker_threads';
import { Heap } from 'modslab';
import { Board } from './board.ts';
import type { OutcomeMessage, Scenario, Scenarios, Task, TaskMessage } from './task.ts';

/**
 * Where scenarios are, by what stands before the dot in their names. A thread loads only what it is asked for: tests that
 * start threads by the hundred spend most of their time in loading modules.
 */
const sources: Readonly<Record<string, () => Promise<{ scenarios: Scenarios }>>> = {
  collections: () => import('./collections.ts'),
  emscripten: () => import('../ported/emscripten.ts'),
  exchange: () => import('./exchange.ts'),
  growth: () => import('./growth.ts'),
  larson: () => import('../ported/larson.ts'),
  mstress: () => import('../ported/mstress.ts'),
  rpmalloc: () => import('../ported/rpmalloc.ts'),
  snmalloc: () => import('../ported/snmalloc.ts'),
  stall: () => import('./stall.ts'),
  storm: () => import('./storm.ts'),
  wait: () => import('./waiting.ts'),
};

async function find(scenario: string): Promise<Scenario> {
  const act = (await sources[scenario.split('.')[0]]?.())?.scenarios[scenario];
  if (act === undefined) throw new Error(`there is no scenario '${scenario}'`);
  return act;
}

async function run({ scenario, handle, tag, plan, board, args }: TaskMessage): Promise<unknown> {
  const act = await find(scenario);
  const heap = args.attach === 0 ? undefined : Heap.attach(handle, tag === '' ? {} : { tag });
  const task: Task = {
    get heap(): Heap {
      if (heap === undefined) throw new Error(`'${scenario}' attaches by itself`);
      return heap;
    },
    handle,
    board: new Board(plan, board),
    args,
  };
  try {
    return await act(task);
  } finally {
    heap?.detach();
  }
}

parentPort?.on('message', (message: TaskMessage) => {
  const answer = (outcome: OutcomeMessage): void => parentPort?.postMessage(outcome);
  run(message).then(
    (value) => answer({ id: message.id, value }),
    (error: unknown) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      answer({ id: message.id, error: text });
    },
  );
});
