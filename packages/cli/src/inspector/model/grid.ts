/**
 * Where things of a row of N lie on a surface: the map's page frames, a slab's objects.
 *
 *     columns   a power of two, so that every line begins at a round address; of those, the one whose cells are nearest to square
 *     per cell  1 while cells are at least `LEAST` pixels wide and high; else as many as it takes, a power of two
 *
 * Cells fill the surface: cell c of a line is at floor(c · width / columns) … floor((c + 1) · width / columns).
 */

/** Pixels of a cell's side, at least. */
const LEAST = 4;
/** Pixels of a cell's width and height, at most: a handful of things are not drawn as large as fields. */
const CAP: Size = { width: 64, height: 32 };
const NO_CAP: Size = { width: Number.POSITIVE_INFINITY, height: Number.POSITIVE_INFINITY };

interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Grid {
  /** First thing shown, and how many. */
  readonly first: number;
  readonly count: number;
  readonly perCell: number;
  readonly columns: number;
  readonly rows: number;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
}

/** How far from square cells are, as a factor of at least 1. */
function skew(width: number, height: number): number {
  return Math.max(width / height, height / width);
}

function gridWith(
  first: number,
  count: number,
  perCell: number,
  columns: number,
  w: number,
  h: number,
  limit: Size,
): Grid {
  const rows = Math.max(1, Math.ceil(Math.ceil(count / perCell) / columns));
  return {
    first,
    count,
    perCell,
    columns,
    rows,
    width: Math.min(w, columns * limit.width),
    height: Math.min(h, rows * limit.height),
  };
}

/** Lays `count` things out, from number `first`, on `width` × `height` pixels; `isCapped`: no cell is larger than may be. */
export function gridOf(first: number, count: number, width: number, height: number, isCapped = true): Grid {
  const w = Math.max(1, width);
  const h = Math.max(1, height);
  let perCell = 1;
  while ((count / perCell) * LEAST * LEAST > w * h) perCell *= 2;
  const limit = isCapped ? CAP : NO_CAP;
  let best = gridWith(first, count, perCell, 1, w, h, limit);
  for (let columns = 2; columns <= 4096; columns *= 2) {
    const grid = gridWith(first, count, perCell, columns, w, h, limit);
    if (cellSkew(grid) < cellSkew(best)) best = grid;
  }
  return best;
}

function cellSkew(grid: Grid): number {
  return skew(grid.width / grid.columns, grid.height / grid.rows);
}

/** A cell's rectangle in whole pixels. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

export const cellsOf = (grid: Grid): number => Math.ceil(grid.count / grid.perCell);

export function boxOf(grid: Grid, cell: number): Box {
  const column = cell % grid.columns;
  const row = Math.floor(cell / grid.columns);
  const x = Math.floor((column * grid.width) / grid.columns);
  const y = Math.floor((row * grid.height) / grid.rows);
  return {
    x,
    y,
    width: Math.floor(((column + 1) * grid.width) / grid.columns) - x,
    height: Math.floor(((row + 1) * grid.height) / grid.rows) - y,
  };
}

/** The cell that shows thing number `index`; -1 if none does. */
export function cellAt(grid: Grid, index: number): number {
  const offset = index - grid.first;
  return offset < 0 || offset >= grid.count ? -1 : Math.floor(offset / grid.perCell);
}

/** The thing at a pixel, the first of its cell; -1 outside. */
export function indexAt(grid: Grid, x: number, y: number): number {
  if (x < 0 || y < 0 || x >= grid.width || y >= grid.height) return -1;
  // The last cell that begins at or before the pixel.
  const column = Math.min(grid.columns, Math.ceil(((Math.floor(x) + 1) * grid.columns) / grid.width)) - 1;
  const row = Math.min(grid.rows, Math.ceil(((Math.floor(y) + 1) * grid.rows) / grid.height)) - 1;
  const index = (row * grid.columns + column) * grid.perCell;
  return index < grid.count ? grid.first + index : -1;
}

/** A part of a row of things that is shown. */
export interface Window {
  readonly first: number;
  readonly count: number;
}

/** Things that the narrowest window shows. */
export const NARROWEST = 16;

/** The window `zoom` times as wide (½: closer), with thing `at` where it was; within `start … end`. */
export function zoomed(window: Window, zoom: number, at: number, start: number, end: number): Window {
  const total = end - start;
  const count = Math.round(Math.min(total, Math.max(Math.min(NARROWEST, total), window.count * zoom)));
  const share = (at - window.first) / window.count;
  return clamped({ first: Math.round(at - share * count), count }, start, end);
}

/** The window moved into `start … end`. */
export function clamped(window: Window, start: number, end: number): Window {
  const count = Math.min(window.count, end - start);
  return { first: Math.max(start, Math.min(window.first, end - count)), count };
}
