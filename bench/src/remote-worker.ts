/**
 * The freeing thread of the two-thread workload; `remote.ts` has the protocol. It runs until it is terminated: between two
 * rounds it sleeps on PRODUCED.
 */

import { writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { CONSUMED, FAILED, PRODUCED, placeOf, type RemoteData, waitWhile } from './remote.ts';
import { attachSubject } from './subjects/load.ts';
import { BATCH } from './workloads.ts';

const STDERR = 2;

const data = workerData as RemoteData;
const subject = await attachSubject(data.name, data.handle);
const { words } = data;
const batch = BATCH;

function freeBatch(place: number): void {
  for (let i = 0; i < batch; i++) subject.free(words[place + i]);
}

function consume(): never {
  let consumed = 0;
  for (;;) {
    const produced = waitWhile(words, PRODUCED, consumed, true);
    while (consumed !== produced) {
      freeBatch(placeOf(consumed));
      consumed = (consumed + 1) | 0;
      Atomics.store(words, CONSUMED, consumed);
      Atomics.notify(words, CONSUMED);
    }
  }
}

parentPort?.postMessage('ready');
try {
  consume();
} catch (error) {
  // The other thread is blocked and would pass on nothing that goes through its event loop.
  writeSync(STDERR, `${String(error)}\n`);
  Atomics.store(words, FAILED, 1);
  Atomics.notify(words, CONSUMED);
}
