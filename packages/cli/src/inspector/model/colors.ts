/**
 * What colours say. A frame's colour is a hue (what it is) and a strength (how full it is), so that the map of a heap reads the
 * same whatever it is coloured by. Hues tell apart under the common forms of colour blindness, and nothing is said by colour
 * alone: hovering, the legend and the tables say it in words.
 */
import { FRAME, FRAME_FLAG, type FrameTable } from 'modslab/inspect';
import type { Change } from './compare.ts';

/** Red, green, blue: 0 … 255. */
export type Rgb = readonly [number, number, number];

export type ColorBy = 'kind' | 'cache' | 'cpu' | 'fill' | 'change';

/** The colours of a theme. */
export interface Palette {
  readonly surface: Rgb;
  readonly free: Rgb;
  readonly slab: Rgb;
  readonly large: Rgb;
  readonly pages: Rgb;
  readonly vmalloc: Rgb;
  readonly waiting: Rgb;
  readonly reserved: Rgb;
  readonly frozen: Rgb;
  readonly none: Rgb;
  readonly more: Rgb;
  readonly less: Rgb;
  /** By object state. */
  readonly live: Rgb;
  readonly cached: Rgb;
  readonly moving: Rgb;
  /** For caches and CPUs, in order of size. */
  readonly series: readonly Rgb[];
  /** How full, from 0 to 1. */
  readonly ramp: readonly Rgb[];
}

const hex = (text: string): Rgb => {
  const value = Number.parseInt(text.slice(1), 16);
  return [value >>> 16, (value >>> 8) & 255, value & 255];
};
const hexes = (text: string): Rgb[] => text.split(' ').map(hex);

export const LIGHT: Palette = {
  surface: hex('#ffffff'),
  free: hex('#eceff3'),
  slab: hex('#2b6cea'),
  large: hex('#de7a12'),
  pages: hex('#8a4bd6'),
  vmalloc: hex('#0d9a82'),
  waiting: hex('#c19a06'),
  reserved: hex('#8893a1'),
  frozen: hex('#d62839'),
  none: hex('#a9b2bd'),
  more: hex('#d9480f'),
  less: hex('#1177bb'),
  live: hex('#2b6cea'),
  cached: hex('#e2a308'),
  moving: hex('#c2378f'),
  series: hexes('#2b6cea #e07b1a #12947b #b0479f #c9a100 #5b5bd6 #d1495b #3f9142 #1a9bb8 #8c6239'),
  ramp: hexes('#dfe9fb #a5c3f4 #6a99ea #3a6fd8 #1c449c #0d2558'),
};

export const DARK: Palette = {
  surface: hex('#161b22'),
  free: hex('#232a33'),
  slab: hex('#5b9bff'),
  large: hex('#f5a04c'),
  pages: hex('#bd8cf7'),
  vmalloc: hex('#3cc8ad'),
  waiting: hex('#e8cc55'),
  reserved: hex('#8b96a5'),
  frozen: hex('#ff5d66'),
  none: hex('#5d6876'),
  more: hex('#ff8a4c'),
  less: hex('#56b4f5'),
  live: hex('#5b9bff'),
  cached: hex('#f3c54b'),
  moving: hex('#ef77c4'),
  series: hexes('#5b9bff #f5a04c #3cc8ad #d986cf #e5c951 #9a94ff #ff7b86 #77c76e #52c6e0 #c79a6b'),
  ramp: hexes('#24324a #2a4878 #3362ad #4683df #6fa9ff #b3d1ff'),
};

/** `share` of `b`, the rest of `a`. */
export function mix(a: Rgb, b: Rgb, share: number): Rgb {
  const part = (i: 0 | 1 | 2): number => Math.round(a[i] + (b[i] - a[i]) * share);
  return [part(0), part(1), part(2)];
}

export const css = ([r, g, b]: Rgb): string => `rgb(${r} ${g} ${b})`;

/** How much of a hue an empty frame of that kind still has. */
const TINT = 0.24;

/** The colour of `hue` at `fill` (0 … 1). */
export const filled = (palette: Palette, hue: Rgb, fill: number): Rgb =>
  mix(palette.surface, hue, TINT + (1 - TINT) * fill);

/** The ramp at `fill`. */
export function rampAt(palette: Palette, fill: number): Rgb {
  const { ramp } = palette;
  const at = Math.max(0, Math.min(1, fill)) * (ramp.length - 1);
  const below = Math.min(ramp.length - 2, Math.floor(at));
  return mix(ramp[below], ramp[below + 1], at - below);
}

/** Shares of a frame: of its slab's objects, those live and those cached. Runs are full. */
export interface Fill {
  readonly live: number;
  readonly cached: number;
}

const FULL: Fill = { live: 1, cached: 0 };
const EMPTY: Fill = { live: 0, cached: 0 };

export function fillOf(table: FrameTable, pfn: number): Fill {
  const head = table.head[pfn];
  const kind = table.kind[head];
  if (kind === FRAME.FREE) return EMPTY;
  if (kind !== FRAME.SLAB) return FULL;
  const objects = Math.max(1, table.objects[head]);
  return { live: table.live[head] / objects, cached: (table.cached[head] + table.waiting[head]) / objects };
}

/** The hue of a frame by what it is. */
export function kindHue(palette: Palette, table: FrameTable, pfn: number): Rgb {
  const head = table.head[pfn];
  switch (table.kind[head]) {
    case FRAME.FREE:
      return palette.free;
    case FRAME.SLAB:
    case FRAME.SLAB_TAIL:
      return (table.flags[head] & FRAME_FLAG.FROZEN) !== 0 ? palette.frozen : palette.slab;
    case FRAME.LARGE:
      return palette.large;
    case FRAME.PAGES:
      return palette.pages;
    case FRAME.WAITING:
      return palette.waiting;
    case FRAME.VMALLOC:
      return palette.vmalloc;
    default:
      return palette.reserved;
  }
}

/** Which colour of the series a cache or CPU has; the many small ones share `none`. */
export type Ranks = ReadonlyMap<number, number>;

export function seriesHue(palette: Palette, ranks: Ranks, id: number): Rgb {
  const rank = ranks.get(id);
  return rank === undefined || rank >= palette.series.length ? palette.none : palette.series[rank];
}

/** What a cell is drawn as. */
export interface Paint {
  readonly hue: Rgb;
  readonly fill: Fill;
}

/** What every frame of a map is coloured by. */
export interface Coloring {
  readonly by: ColorBy;
  readonly palette: Palette;
  readonly caches: Ranks;
  readonly cpus: Ranks;
  readonly change: Change | undefined;
}

export function paintOf(coloring: Coloring, table: FrameTable, pfn: number): Paint {
  const { palette } = coloring;
  const head = table.head[pfn];
  const kind = table.kind[head];
  if (coloring.by === 'change' && coloring.change !== undefined)
    return changePaint(palette, coloring.change, pfn);
  const fill = fillOf(table, pfn);
  if (kind === FRAME.FREE) return { hue: palette.free, fill: FULL };
  if (coloring.by === 'fill') return { hue: rampAt(palette, fill.live), fill: FULL };
  const isSlab = kind === FRAME.SLAB || kind === FRAME.SLAB_TAIL;
  if (coloring.by === 'cache' && isSlab)
    return { hue: seriesHue(palette, coloring.caches, table.cache[head]), fill };
  if (coloring.by === 'cpu')
    return {
      hue: table.cpu[head] < 0 ? palette.none : seriesHue(palette, coloring.cpus, table.cpu[head]),
      fill,
    };
  if (coloring.by === 'cache') return { hue: palette.none, fill };
  return { hue: kindHue(palette, table, pfn), fill };
}

function changePaint(palette: Palette, change: Change, pfn: number): Paint {
  const delta = change.delta[pfn];
  const isUsed = change.used[pfn] !== 0;
  if (delta === 0) return { hue: isUsed ? palette.none : palette.free, fill: isUsed ? EMPTY : FULL };
  return { hue: delta > 0 ? palette.more : palette.less, fill: { live: Math.abs(delta), cached: 0 } };
}

/** A frame's colour in one piece, where there is no room for its parts. */
export function blend(palette: Palette, { hue, fill }: Paint): Rgb {
  return filled(palette, hue, Math.min(1, fill.live + fill.cached / 2));
}

/** Every frame's colour, as `r << 16 | g << 8 | b`, by frame. Cost: O(frames). */
export function blendAll(coloring: Coloring, table: FrameTable): Uint32Array {
  const colors = new Uint32Array(table.end);
  for (let pfn = table.start; pfn < table.end; pfn++) {
    const paint = paintOf(coloring, table, pfn);
    const [r, g, b] = paint.hue === coloring.palette.free ? paint.hue : blend(coloring.palette, paint);
    colors[pfn] = (r << 16) | (g << 8) | b;
  }
  return colors;
}

/** The mean of `count` colours from `first`. */
export function meanColor(colors: Uint32Array, first: number, count: number): Rgb {
  const end = Math.min(colors.length, first + count);
  let r = 0;
  let g = 0;
  let b = 0;
  for (let i = first; i < end; i++) {
    r += colors[i] >>> 16;
    g += (colors[i] >>> 8) & 255;
    b += colors[i] & 255;
  }
  const n = Math.max(1, end - first);
  return [Math.round(r / n), Math.round(g / n), Math.round(b / n)];
}

/** Gives caches or CPUs their places in the series, the largest first; who has one keeps it, so that colours do not jump. */
export class Ranking {
  private readonly places: Map<number, number> = new Map();

  get ranks(): Ranks {
    return this.places;
  }

  /** `ids` in order of size. */
  see(ids: readonly number[]): void {
    for (const id of ids) if (!this.places.has(id)) this.places.set(id, this.places.size);
  }
}
