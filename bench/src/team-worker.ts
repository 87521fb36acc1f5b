/** One thread of a team; `team.ts` has the protocol. */

import { writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { createPart } from './context.ts';
import type { Part } from './kernel.ts';
import { attachSubject } from './subjects/load.ts';
import { CALLS, CORRUPTED, DONE, FAILED, GO, MET, PHASE, QUIT, type TeamData } from './team.ts';
import { waitWhile } from './waiting.ts';

const STDERR = 2;

const data = workerData as TeamData;
const { control, times, index, spec } = data;
const subject = await attachSubject(data.name, data.handle, spec.subject);
const part = await createPart(data.name, spec, subject, index, data.words);

/** A function of its own, so that V8 optimises it apart from the waiting. */
function work(run: Part['run'], phase: number, calls: number): void {
  times[2 * index] = process.hrtime.bigint();
  for (let i = 0; i < calls; i++) run(phase);
  times[2 * index + 1] = process.hrtime.bigint();
}

function meet(): void {
  let seen = Atomics.add(control, MET, 1) + 1;
  Atomics.notify(control, MET);
  while (seen < spec.threads) seen = waitWhile(control, MET, seen);
}

function end(): void {
  part.finish?.();
  Atomics.add(control, CORRUPTED, part.corrupted?.() ?? 0);
  subject.leave?.();
}

function serve(): void {
  for (let generation = 0; ; generation++) {
    Atomics.wait(control, GO, generation);
    const calls = control[CALLS];
    if (calls === QUIT) return end();
    meet();
    work(part.run, control[PHASE], calls);
    Atomics.add(control, DONE, 1);
    Atomics.notify(control, DONE);
  }
}

try {
  if (data.life) {
    part.run(0);
    subject.leave?.();
  } else {
    part.prepare?.();
    if (spec.respawn) {
      subject.leave?.();
    } else {
      parentPort?.postMessage('ready');
      serve();
    }
  }
} catch (error) {
  // The main thread is blocked and would pass on nothing that goes through its event loop.
  writeSync(STDERR, `${String(error)}\n`);
  Atomics.store(control, FAILED, 1);
  Atomics.notify(control, DONE);
  if (data.life || spec.respawn) throw error;
}
