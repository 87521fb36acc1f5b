/**
 * What a workload's code is to the harness. A *kernel* is the code, in `workloads/` and again in C in `native/`, under the
 * same name; a *workload* is a kernel with parameters (`suite.ts`), so `churn` makes three of them. Parameters go to both
 * sides from here, so that each number stands in one place only.
 *
 * A kernel makes a *part* for each thread, once. The parts' functions are closures, each made once in a thread: V8 compiles
 * such a function for its own context and takes the subject, the views and the parameters for the constants that they are,
 * as it does in a program that says `const heap = Heap.create()` at the top of a module. That is how a heap is used, and it
 * is the fair counterpart of C, where malloc's data have fixed addresses. All subjects get the same.
 *
 * What comes from another module is copied into a `const` of the kernel's module first: V8 reads an import from its cell,
 * and checks it, at every use, but folds a module's own constants.
 *
 * The sums are kept so that no compiler can drop the work; the tests for 0 are in the C loops too.
 */

import type { Subject, SubjectOptions } from './subjects/subject.ts';

export type Parameters = Readonly<Record<string, number | string>>;

/** What a process needs to know of its workload; travels as JSON, and to C as name=value,… */
export interface Spec {
  readonly kernel: string;
  readonly threads: number;
  /** 0: one kind of work, called as often as fits a round. Else each of so many phases is called once a round. */
  readonly phases: number;
  /** Each call of `run` is a thread's whole life; a successor goes on. */
  readonly respawn: boolean;
  /** The kernel makes its subjects itself: there is none in its context. */
  readonly makes: boolean;
  readonly subject: SubjectOptions;
  readonly parameters: Parameters;
}

export interface Context {
  readonly subject: Subject;
  readonly index: number;
  readonly threads: number;
  /** Shared by the threads: as many words as the kernel asked for, zero at first. */
  readonly words: Int32Array;
  /** The parameter of that name; throws without one. */
  number(name: string): number;
  text(name: string): string;
  /** Makes one more subject, for what measures the making of one. */
  create(): Subject;
}

export interface Part {
  /** Brings the allocator into the state in which it is measured; one thread after the other. */
  prepare?(): void;
  /** One slice of the work. */
  run(phase: number): void;
  /** In place of `run`: one round, its values in the order of the workload's metrics. */
  measure?(): number[] | Promise<number[]>;
  /** Frees what is live. */
  finish?(): void;
  /** Objects whose contents were not what had been written. */
  corrupted?(): number;
}

export interface Kernel {
  /** 32-bit words that the threads share. */
  words?(parameters: Parameters, threads: number): number;
  part(context: Context): Part | Promise<Part>;
}

export function outOfMemory(): never {
  throw new Error('the allocator is out of memory');
}

/** A number among parameters; throws without one. */
export function numberOf(parameters: Parameters, name: string): number {
  const value = parameters[name];
  if (typeof value !== 'number') throw new Error(`parameter ${name} is missing`);
  return value;
}

/** The C side's form of a spec. */
export function nativeArgument(spec: Spec): string {
  const own = { threads: spec.threads, phases: spec.phases, respawn: spec.respawn ? 1 : 0 };
  return Object.entries({ ...spec.parameters, ...own })
    .map(([name, value]) => `${name}=${value}`)
    .join(',');
}
