/**
 * What a test asks of a worker thread: to run a scenario, named, on a heap, with a board and some plain arguments.
 */

import type { Heap, HeapHandle } from 'modslab';
import type { Board, Plan } from './board.ts';

export type Args = Readonly<Record<string, number | string>>;

/** As it is posted. */
export interface TaskMessage {
  readonly id: number;
  readonly scenario: string;
  readonly handle: HeapHandle;
  readonly tag: string;
  readonly plan: Plan;
  readonly board: SharedArrayBuffer;
  readonly args: Args;
}

/** As it is answered. */
export interface OutcomeMessage {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** What a scenario gets. The worker attaches to `handle` before it and detaches after it, unless `attach` is 0. */
export interface Task {
  readonly heap: Heap;
  readonly handle: HeapHandle;
  readonly board: Board;
  readonly args: Args;
}

/** A scenario's result must be something that postMessage carries. */
export type Scenario = (task: Task) => unknown;
export type Scenarios = Readonly<Record<string, Scenario>>;

/** A number among the arguments. */
export function numberOf(args: Args, name: string): number {
  const value = args[name];
  if (typeof value !== 'number') throw new TypeError(`the scenario needs a number '${name}'`);
  return value;
}

/** A text among the arguments. */
export function textOf(args: Args, name: string): string {
  const value = args[name];
  if (typeof value !== 'string') throw new TypeError(`the scenario needs a text '${name}'`);
  return value;
}
