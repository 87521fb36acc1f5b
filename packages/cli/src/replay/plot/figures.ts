/**
 * What is plotted of a replay. What the program had asked for follows from the trace alone, event by event; the heap's footprint is
 * sampled while the replay runs, and stands where the slowest worker was at that moment.
 */
import { OP_MASK, Op, type Program } from '../program.ts';

/** A point of a line: rows executed, bytes. */
export type Point = readonly [row: number, bytes: number];

/** One size class: the requests that it served, and what it held when most was live. */
export interface ClassFigures {
  /** Its objects' size in bytes; Infinity: whole pages. */
  size: number;
  /** Requests in all: allocations and reallocs. */
  requests: number;
  /** Live at the peak: objects, bytes asked for, bytes that they take. */
  objects: number;
  requested: number;
  allocated: number;
}

export interface TraceFigures {
  /** Live bytes as asked for. */
  live: Point[];
  /** The row after which most was live, and how much. */
  peak: Point;
  classes: ClassFigures[];
}

/** Points of a line: more than a plot is wide. */
const POINTS = 1500;

const isFree = (op: number): boolean => op === Op.Kfree || op === Op.CacheFree || op === Op.PageFree;

/** By how much row `row` changes what is live. */
function change({ rows }: Program, row: number): number {
  const op = rows.op[row] & OP_MASK;
  if (isFree(op)) return -rows.size[row];
  return rows.size[row] - (op === Op.Realloc ? rows.aux[row] : 0);
}

function lineOf(program: Program): { live: Point[]; peak: Point } {
  const { operations } = program;
  const step = Math.max(1, Math.floor(operations / POINTS));
  const live: Point[] = [[0, 0]];
  let bytes = 0;
  let peak: Point = [0, 0];
  /** The largest value of a step stands for it, so that no peak is lost. */
  let most = 0;
  for (let row = 0; row < operations; row++) {
    bytes += change(program, row);
    most = Math.max(most, bytes);
    if (bytes > peak[1]) peak = [row + 1, bytes];
    if ((row + 1) % step !== 0) continue;
    live.push([row + 1, most]);
    most = bytes;
  }
  live.push([operations, bytes]);
  return { live, peak };
}

/** Sizes of the objects that are live after the first `end` rows. */
function liveAfter(program: Program, end: number): number[] {
  const sizes = new Map<number, number>();
  const { op, id, size } = program.rows;
  for (let row = 0; row < end; row++) {
    if (isFree(op[row] & OP_MASK)) sizes.delete(id[row]);
    else sizes.set(id[row], size[row]);
  }
  return [...sizes.values()];
}

/** Figures of a trace on a heap with size classes `sizes` (ascending) and pages of `pageSize` bytes. */
export function traceFigures(program: Program, sizes: readonly number[], pageSize: number): TraceFigures {
  const { live, peak } = lineOf(program);
  const classes = [...sizes, Number.POSITIVE_INFINITY].map(
    (size): ClassFigures => ({
      size,
      requests: 0,
      objects: 0,
      requested: 0,
      allocated: 0,
    }),
  );
  const classOf = (bytes: number): ClassFigures =>
    classes.find(({ size }) => bytes <= size) ?? classes[classes.length - 1];
  const { op, size } = program.rows;
  for (let row = 0; row < program.operations; row++)
    if (!isFree(op[row] & OP_MASK)) classOf(size[row]).requests++;
  for (const bytes of liveAfter(program, peak[0])) {
    const each = classOf(bytes);
    each.objects++;
    each.requested += bytes;
    each.allocated += Number.isFinite(each.size) ? each.size : Math.ceil(bytes / pageSize) * pageSize;
  }
  return { live, peak, classes };
}
