// The other end of threads.test.ts: allocates from a pool of another thread, and frees what the other threads left.
import { parentPort, workerData } from 'node:worker_threads';
import { MemPool, type MemPoolHandle } from '@modslab/thi.ng-malloc';

interface Task {
  readonly handle: MemPoolHandle;
  readonly board: Int32Array;
  readonly worker: number;
  readonly rounds: number;
}

const { handle, board, worker, rounds }: Task = workerData;
const pool = new MemPool({ handle });
let wrong = 0;
for (let i = 0; i < rounds; i++) {
  const size = 16 + ((i * 37 + worker * 11) % 200);
  const made = pool.mallocAs('u8', size);
  if (made === undefined) throw new Error('no memory');
  made.fill(size & 0xff);
  made[0] = size & 0xff;
  const slot = (i * 7 + worker * 13) % board.length;
  const taken = Atomics.exchange(board, slot, made.byteOffset);
  if (taken === 0) continue;
  const bytes = new Uint8Array(pool.buf, taken, 16);
  if (bytes.some((byte) => byte !== bytes[0])) wrong++;
  if (!pool.free(taken)) wrong++;
}
pool.release();
parentPort?.postMessage(wrong);
