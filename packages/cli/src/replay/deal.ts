/**
 * Who executes what: deals the rows of a program to N workers.
 *
 * A trace with T threads on N workers:
 *
 *     N ≤ T   thread t → worker t mod N. What one thread did stays on one worker, in order.
 *     N > T   worker w serves thread w mod T, so that each thread has a group of workers, and its rows are dealt over the
 *             group by object: runs of RUN consecutive objects go round the group, and the free of every THIRD object
 *             goes to the next worker of the group, so that a single-threaded trace, too, keeps N threads busy and
 *             frees about a third of its objects on another thread than the one that allocated them (rsyslogd, a real
 *             program of threads, has 32.5 %).
 *
 * Why by object and not by runs of events: a program frees most objects within a few events, so the second of two
 * consecutive runs of events begins with frees of what the end of the first allocates, must wait for it, and the
 * workers would take turns instead of running at the same time.
 *
 * For each row two bits say which gates it needs (see sequencer.ts):
 *
 *     WAITS     the row before it on the same object is another worker's
 *     SIGNALS   the row after it on the same object is another worker's
 */
import { OP_MASK, Op, type Program } from './program.ts';

/** Consecutive objects that stay together when one thread is dealt over several workers. */
const RUN = 16;
/** Every so many-th object is freed by the worker after the one that allocated it. */
const THIRD = 3;

/** Bits of a row's code, beside the `Op` and `ZEROED`. */
export const WAITS = 0x20;
export const SIGNALS = 0x40;

/** A program dealt to workers. */
export interface Deal {
  /** By row: `op` of the program and the bits WAITS and SIGNALS. */
  code: Uint8Array<SharedArrayBuffer>;
  /** By worker: its rows, ascending. */
  lists: Uint32Array<SharedArrayBuffer>[];
  /** Frees by another worker than the one that allocated the object. */
  crossThreadFrees: number;
}

/** By row: the worker that executes it. */
function assign(program: Program, workers: number): Uint16Array {
  const { id, op, thread } = program.rows;
  const owner = new Uint16Array(program.operations);
  const threads = Math.max(1, program.threads);
  for (let row = 0; row < program.operations; row++) {
    const first = thread[row] % workers;
    if (workers <= threads) {
      owner[row] = first;
      continue;
    }
    const group = Math.floor((workers - 1 - first) / threads) + 1;
    const moved = isFree(op[row]) && id[row] % THIRD === 0 ? 1 : 0;
    owner[row] = first + ((Math.floor(id[row] / RUN) + moved) % group) * threads;
  }
  return owner;
}

/** Whether a row frees its object. */
export function isFree(op: number): boolean {
  const what = op & OP_MASK;
  return what === Op.Kfree || what === Op.CacheFree || what === Op.PageFree;
}

/** Deals `program` to `workers` workers. */
export function deal(program: Program, workers: number): Deal {
  const { operations, objects, rows } = program;
  const owner = assign(program, workers);
  const code = new Uint8Array(new SharedArrayBuffer(rows.op.length));
  code.set(rows.op);
  const allocator = new Uint16Array(objects);
  const last = new Uint32Array(objects);
  const counts = new Uint32Array(workers);
  let crossThreadFrees = 0;
  for (let row = 0; row < operations; row++) {
    const id = rows.id[row];
    counts[owner[row]]++;
    if (rows.seq[row] === 0) allocator[id] = owner[row];
    else if (owner[last[id]] !== owner[row]) {
      code[row] |= WAITS;
      code[last[id]] |= SIGNALS;
    }
    last[id] = row;
    if (isFree(rows.op[row]) && allocator[id] !== owner[row]) crossThreadFrees++;
  }
  const lists = Array.from(counts, (count) => new Uint32Array(new SharedArrayBuffer(count * 4)));
  const filled = new Uint32Array(workers);
  for (let row = 0; row < operations; row++) lists[owner[row]][filled[owner[row]]++] = row;
  return { code, lists, crossThreadFrees };
}
