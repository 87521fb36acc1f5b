/**
 * Loaded before a program by `modslab record` (node's --import, in each of its threads): every heap that the thread makes or
 * attaches to is recorded into a file of its own in the folder that the environment names.
 *
 * It imports nothing of modslab: the program may have a copy of its own, which calls the function set here with every heap.
 * Text is written at once, in pieces of a few thousand characters, so a thread that is terminated loses no more than its last piece.
 */
import { openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { threadId } from 'node:worker_threads';
import { CALL_SITES_VARIABLE, FOLDER_VARIABLE, PART } from './variables.ts';

interface Recording {
  stop(): string;
}
interface RecordedHeap {
  record(options: { write: (text: string) => void; callSites: boolean }): Recording;
}

const folder = process.env[FOLDER_VARIABLE];
if (folder !== undefined) {
  const recordings: Recording[] = [];
  const callSites = process.env[CALL_SITES_VARIABLE] === '1';
  const onHeap = (heap: RecordedHeap): void => {
    const name = `${process.pid}-${threadId}-${recordings.length}${PART}`;
    const file = openSync(join(folder, name), 'wx', 0o600);
    recordings.push(heap.record({ write: (text) => void writeSync(file, text), callSites }));
  };
  (globalThis as Record<symbol, unknown>)[Symbol.for('modslab.newHeap')] = onHeap;
  process.on('exit', () => {
    for (const recording of recordings) recording.stop();
  });
}
