/**
 * The single-thread loops. Each is written once, against `Subject`; a process runs one loop with one subject, so that all
 * calls in it are monomorphic. A call of `run` does a fixed number of operations and is made thousands of times: V8 then
 * optimises the function as a whole, not only by on-stack replacement, and nothing is allocated on the way.
 *
 * The loops are closures, each made once: V8 compiles such a function for its own context and takes the subject for the
 * constant that it is, as it does in a program that says `const heap = Heap.create()` at the top of a module. (It can then
 * fold the fields that are never written again into the code.) That is how a heap is used, and it is the fair counterpart
 * of C, where malloc's data have fixed addresses. All subjects get the same.
 *
 * What comes from another module is copied into a `const` here first: V8 reads an import from its cell, and checks it, at
 * every use, but folds a module's own constants.
 *
 * The sums are returned so that no compiler can drop the work; the tests for 0 are in the C loops too.
 */

import { MIXED_SIZES, SEED, xorshift32 } from './random.ts';
import type { Subject } from './subjects/subject.ts';
import * as parameters from './workloads.ts';

const { BATCH, BULK, BULK_GROUPS, CHURN_SLOTS, CHURN_STEPS, OBJECT_SIZE, PAIRS } = parameters;
const nextRandom = xorshift32;

export interface Loop {
  /** Operations in one call of `run`. */
  readonly ops: number;
  run(): number;
  /** Brings the allocator into the state in which it is measured. */
  prepare?(): void | Promise<void>;
  /** Frees what is live and stops what `prepare` started. */
  finish?(): void | Promise<void>;
}

function outOfMemory(): never {
  throw new Error('the allocator is out of memory');
}

function pairLoop(subject: Subject): Loop {
  const run = (): number => {
    let sum = 0;
    for (let i = 0; i < PAIRS; i++) {
      const address = subject.alloc(OBJECT_SIZE);
      if (address === 0) outOfMemory();
      sum = (sum + address) | 0;
      subject.free(address);
    }
    return sum;
  };
  return { ops: PAIRS, run };
}

function batchLoop(subject: Subject): Loop {
  const batch = new Int32Array(BATCH);
  const run = (): number => {
    for (let i = 0; i < BATCH; i++) {
      const address = subject.alloc(OBJECT_SIZE);
      if (address === 0) outOfMemory();
      batch[i] = address;
    }
    for (let i = 0; i < BATCH; i++) subject.free(batch[i]);
    return batch[0];
  };
  return { ops: BATCH, run };
}

function churnLoop(subject: Subject): Loop {
  const slots = new Int32Array(CHURN_SLOTS);
  const sizes = Int32Array.from(MIXED_SIZES);
  const state = Int32Array.of(SEED);

  const run = (): number => {
    let x = state[0];
    for (let i = 0; i < CHURN_STEPS; i++) {
      x = nextRandom(x);
      const slot = x & (CHURN_SLOTS - 1);
      const old = slots[slot];
      if (old !== 0) subject.free(old);
      const address = subject.alloc(sizes[(x >>> 16) & 15]);
      if (address === 0) outOfMemory();
      slots[slot] = address;
    }
    state[0] = x;
    return x;
  };

  return {
    ops: CHURN_STEPS,
    run,
    // Eight times as many steps as slots: all but e^-8 of the slots are taken, and the order of addresses is random.
    prepare: () => {
      for (let step = 0; step < 8 * CHURN_SLOTS; step += CHURN_STEPS) run();
    },
    finish: () => {
      for (const address of slots) if (address !== 0) subject.free(address);
      slots.fill(0);
    },
  };
}

function bulkLoop(subject: Subject): Loop {
  const group = new Int32Array(BULK);
  const run = (): number => {
    for (let i = 0; i < BULK_GROUPS; i++) {
      if (!subject.allocBulk(OBJECT_SIZE, group)) outOfMemory();
      subject.freeBulk(group);
    }
    return group[0];
  };
  return { ops: BULK * BULK_GROUPS, run };
}

/** The loop of a single-thread workload. */
export function createLoop(workload: string, subject: Subject): Loop {
  switch (workload) {
    case 'pair':
      return pairLoop(subject);
    case 'batch':
      return batchLoop(subject);
    case 'churn':
      return churnLoop(subject);
    case 'bulk':
      return bulkLoop(subject);
    default:
      throw new Error(`unknown workload: ${workload}`);
  }
}
