/** What the colours of the map mean at this moment, in words, with numbers. */
import { FRAME, type FrameTable } from 'modslab/inspect';
import { type Coloring, css, filled, kindHue, type Rgb, rampAt, seriesHue } from '../model/colors.ts';
import { count, plural } from '../model/format.ts';
import type { Moment } from '../model/moment.ts';
import { h } from './dom.ts';

/** One entry: a colour, what it stands for, how many frames. */
interface Key {
  readonly color: string;
  readonly label: string;
}

const KINDS: readonly (readonly [kind: number, label: string])[] = [
  [FRAME.SLAB, 'slabs'],
  [FRAME.LARGE, 'large objects'],
  [FRAME.PAGES, 'pages'],
  [FRAME.VMALLOC, 'vmalloc'],
  [FRAME.WAITING, 'waiting'],
  [FRAME.RESERVED, 'reserved'],
  [FRAME.FREE, 'free'],
];
/** Caches that the legend names; the others are one entry. */
const NAMED = 8;

function framesByKind(table: FrameTable): Map<number, number> {
  const tally = new Map<number, number>();
  for (let pfn = table.start; pfn < table.end; pfn++) {
    const kind = table.kind[table.head[pfn]];
    tally.set(kind, (tally.get(kind) ?? 0) + 1);
  }
  return tally;
}

function kindKeys(moment: Moment, { palette }: Coloring): Key[] {
  const tally = framesByKind(moment.frames);
  return KINDS.flatMap(([kind, label]) => {
    const n = tally.get(kind);
    if (n === undefined) return [];
    const sample: FrameTable = {
      ...moment.frames,
      kind: new Uint8Array([kind]),
      head: new Uint32Array(1),
      flags: new Uint8Array(1),
    };
    return [{ color: css(kindHue(palette, sample, 0)), label: `${label} ${count(n)}` }];
  });
}

function cacheKeys({ figures }: Moment, { palette, caches }: Coloring): Key[] {
  const used = figures.caches
    .filter(({ footprint }) => footprint > 0)
    .sort((a, b) => b.footprint - a.footprint);
  const named = used.filter(({ id }) => (caches.get(id) ?? NAMED) < palette.series.length).slice(0, NAMED);
  const keys = named.map(({ id, name }) => ({ color: css(seriesHue(palette, caches, id)), label: name }));
  const rest = used.length - named.length;
  return rest > 0
    ? [...keys, { color: css(palette.none), label: `${plural(rest, 'more cache')}, runs` }]
    : keys;
}

function cpuKeys({ cpus }: Moment, { palette, cpus: ranks }: Coloring): Key[] {
  const keys = cpus
    .filter(({ objects }) => objects > 0)
    .slice(0, NAMED)
    .map(({ cpu, tag }) => ({
      color: css(seriesHue(palette, ranks, cpu)),
      label: tag === undefined ? `CPU ${cpu}` : `CPU ${cpu} (${tag})`,
    }));
  return [...keys, { color: css(palette.none), label: 'in no sheaf' }];
}

function keysOf(moment: Moment, coloring: Coloring): Key[] {
  const { palette } = coloring;
  switch (coloring.by) {
    case 'cache':
      return cacheKeys(moment, coloring);
    case 'cpu':
      return cpuKeys(moment, coloring);
    case 'fill':
      return [0, 0.25, 0.5, 0.75, 1].map((share) => ({
        color: css(rampAt(palette, share)),
        label: `${share * 100} % live`,
      }));
    case 'change':
      return [
        { color: css(palette.more), label: 'more live' },
        { color: css(palette.less), label: 'less live' },
        { color: css(filled(palette, palette.none, 0)), label: 'unchanged' },
      ];
    default:
      return kindKeys(moment, coloring);
  }
}

const swatch = (...parts: readonly (readonly [Rgb, number])[]): HTMLElement => {
  const stops: string[] = [];
  let at = 0;
  for (const [color, share] of parts) {
    stops.push(`${css(color)} ${at}% ${at + share}%`);
    at += share;
  }
  const element = h('i', { class: 'swatch tall' });
  element.style.background = `linear-gradient(to top, ${stops.join(', ')})`;
  return element;
};

/** The legend's elements. */
export function legendOf(moment: Moment, coloring: Coloring): HTMLElement[] {
  const keys = keysOf(moment, coloring).map(({ color, label }) => {
    const dot = h('i', { class: 'swatch' });
    dot.style.background = color;
    return h('span', { class: 'key' }, dot, label);
  });
  if (coloring.by === 'fill' || coloring.by === 'change') return keys;
  const { palette } = coloring;
  const parts = swatch(
    [palette.slab, 40],
    [filled(palette, palette.slab, 0.45), 25],
    [filled(palette, palette.slab, 0), 35],
  );
  return [...keys, h('span', { class: 'key parts' }, parts, 'from below: live, in sheaves, free')];
}
