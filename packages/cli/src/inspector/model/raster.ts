/** Many small cells as pixels: one array is filled and drawn at once, where a rectangle each would take longer than a frame. */
import { boxOf, cellsOf, type Grid } from './grid.ts';

/** Pixels of a grid, opaque where a cell is, in the byte order of `ImageData`. */
export interface Raster {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8ClampedArray<ArrayBuffer>;
}

/** Red, green and blue of a cell. */
type ColorOf = (cell: number) => readonly [number, number, number];

/** A colour as one 32-bit word of `ImageData`, whose bytes are red, green, blue, alpha. */
const wordOf = ([r, g, b]: readonly [number, number, number]): number =>
  ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;

/**
 * Draws the cells of a grid, `ratio` pixels for each of the grid's. `gapOf`: what is left free at a cell's right and below it.
 * Cost: O(pixels).
 */
export function rasterOf(
  grid: Grid,
  ratio: number,
  colorOf: ColorOf,
  gapOf: (cell: number) => { right: number; below: number },
): Raster {
  const width = Math.max(1, Math.round(grid.width * ratio));
  const height = Math.max(1, Math.round(grid.height * ratio));
  const words = new Uint32Array(width * height);
  const cells = cellsOf(grid);
  for (let cell = 0; cell < cells; cell++) {
    const box = boxOf(grid, cell);
    const gap = gapOf(cell);
    const left = Math.round(box.x * ratio);
    const right = Math.min(width, Math.round((box.x + Math.max(1, box.width - gap.right)) * ratio));
    const bottom = Math.min(height, Math.round((box.y + Math.max(1, box.height - gap.below)) * ratio));
    const word = wordOf(colorOf(cell));
    for (let y = Math.round(box.y * ratio); y < bottom; y++)
      words.fill(word, y * width + left, y * width + right);
  }
  return { width, height, pixels: new Uint8ClampedArray(words.buffer) };
}
