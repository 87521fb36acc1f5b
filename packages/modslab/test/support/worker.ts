/**
 * The other end of support/thread.ts: runs the scenarios that it is sent, one after another. The thread is attached to
 * the heap while a scenario runs, unless its argument `attach` is 0: then it does that itself.
 */

import { parentPort } from 'node:worker_threads';
import { Heap } from 'modslab';
import { Board } from './board.ts';
import { scenarios as exchange } from './exchange.ts';
import { scenarios as growth } from './growth.ts';
import { scenarios as stall } from './stall.ts';
import { scenarios as storm } from './storm.ts';
import type { OutcomeMessage, Scenarios, Task, TaskMessage } from './task.ts';
import { scenarios as waiting } from './waiting.ts';

const scenarios: Scenarios = { ...exchange, ...growth, ...stall, ...storm, ...waiting };

/** A heap for scenarios that attach by themselves. */
function noHeap(): Heap {
  return Heap.create({ shared: false, size: 2 ** 18 });
}

async function run({ scenario, handle, tag, plan, board, args }: TaskMessage): Promise<unknown> {
  const act = scenarios[scenario];
  if (act === undefined) throw new Error(`there is no scenario '${scenario}'`);
  const heap = args.attach === 0 ? noHeap() : Heap.attach(handle, tag === '' ? {} : { tag });
  const task: Task = { heap, handle, board: new Board(plan, board), args };
  try {
    return await act(task);
  } finally {
    heap.detach();
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
