/**
 * `replay --plot FILE.svg`: three panels, drawn by hand: memory over the trace, requests by size class, and what the classes
 * waste when most is live. Colours are legible on light and dark ground, and the ground is left to the page.
 */
import { bytes } from '../report.ts';
import type { ClassFigures, Point, TraceFigures } from './figures.ts';

const INK = '#868e96';
const LIVE = '#1971c2';
const FOOTPRINT = '#d9480f';
const WASTE = '#e8590c';
const WIDTH = 860;
const LEFT = 78;
const RIGHT = 20;
const PANEL = 220;
const GAP = 76;
const TOP = 56;
const COUNT_TICKS = 4;

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const fixed = (n: number): string => n.toFixed(1);

function text(x: number, y: number, content: string, anchor = 'start', font = 11): string {
  return `<text x="${fixed(x)}" y="${fixed(y)}" text-anchor="${anchor}" font-size="${font}" fill="${INK}">${escaped(content)}</text>`;
}

function rule(y: number, dash: boolean): string {
  const style = dash ? ' stroke-dasharray="2 4"' : '';
  return `<line x1="${LEFT}" y1="${fixed(y)}" x2="${WIDTH - RIGHT}" y2="${fixed(y)}" stroke="${INK}"${style}/>`;
}

function box(x: number, y: number, width: number, height: number, colour: string, title: string): string {
  return `<rect x="${fixed(x)}" y="${fixed(y)}" width="${fixed(width)}" height="${fixed(height)}" fill="${colour}"><title>${escaped(title)}</title></rect>`;
}

const count = (n: number): string => n.toLocaleString('en-US');

/** The next value above `most` that is 1, 2 or 5 times a power of `base`'s; so ticks are round numbers. */
function roundUp(most: number, base: number): number {
  if (most <= 0) return 1;
  const unit = base ** Math.floor(Math.log(most) / Math.log(base));
  const steps = base === 10 ? [1, 2, 4, 5, 8, 10] : [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
  return unit * (steps.find((step) => step * unit >= most) ?? base);
}

/** A panel's title, its axis with ticks, and where a value stands. */
function axis(
  top: number,
  title: string,
  most: number,
  base: number,
  label: (value: number) => string,
): { parts: string[]; at: (value: number) => number } {
  const limit = roundUp(most, base);
  const at = (value: number): number => top + PANEL - (value / limit) * PANEL;
  const parts = [text(0, top - 14, title, 'start', 13)];
  for (let i = 0; i <= COUNT_TICKS; i++) {
    const value = (limit * i) / COUNT_TICKS;
    parts.push(rule(at(value), i > 0), text(LEFT - 6, at(value) + 4, label(value), 'end', 10));
  }
  return { parts, at };
}

function legend(top: number, entries: readonly (readonly [string, string])[]): string[] {
  let x = WIDTH - RIGHT;
  return [...entries].reverse().flatMap(([name, colour]) => {
    x -= 26 + name.length * 6.2;
    return [
      `<rect x="${fixed(x)}" y="${top - 24}" width="12" height="10" fill="${colour}"/>`,
      text(x + 16, top - 15, name),
    ];
  });
}

/** Lines of memory over rows. */
function memoryPanel(top: number, { live, peak }: TraceFigures, footprint: readonly Point[]): string[] {
  const rows = live[live.length - 1][0] || 1;
  const most = Math.max(...[...live, ...footprint].map(([, value]) => value));
  const { parts, at } = axis(top, 'Memory over the trace', most, 1024, bytes);
  const x = (row: number): number => LEFT + (row / rows) * (WIDTH - LEFT - RIGHT);
  const path = (points: readonly Point[], colour: string): string =>
    `<polyline points="${points.map(([row, value]) => `${fixed(x(row))},${fixed(at(value))}`).join(' ')}" fill="none" stroke="${colour}" stroke-width="1.5" stroke-linejoin="round"/>`;
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) =>
    text(
      x(rows * share),
      top + PANEL + 16,
      count(Math.round(rows * share)),
      share === 1 ? 'end' : 'middle',
      10,
    ),
  );
  const mark = `<circle cx="${fixed(x(peak[0]))}" cy="${fixed(at(peak[1]))}" r="3" fill="${LIVE}"/>`;
  return [
    ...parts,
    ...ticks,
    text(WIDTH - RIGHT, top + PANEL + 30, 'events', 'end', 10),
    ...(footprint.length > 1 ? [path(footprint, FOOTPRINT)] : []),
    path(live, LIVE),
    mark,
    ...legend(top, [
      ['live, as asked for', LIVE],
      ['footprint of the heap', FOOTPRINT],
    ]),
  ];
}

const className = ({ size }: ClassFigures): string =>
  Number.isFinite(size) ? (size < 1024 ? String(size) : `${size / 1024}K`) : 'pages';

/** Bars, one a size class; each of stacked parts. */
function barPanel(
  top: number,
  title: string,
  classes: readonly ClassFigures[],
  parts: readonly { colour: string; of: (each: ClassFigures) => number }[],
  base: number,
  label: (value: number) => string,
  describe: (each: ClassFigures) => string,
): string[] {
  const total = (each: ClassFigures): number => parts.reduce((sum, { of }) => sum + of(each), 0);
  const { parts: drawn, at } = axis(top, title, Math.max(...classes.map(total), 0), base, label);
  const slot = (WIDTH - LEFT - RIGHT) / classes.length;
  const bars = classes.flatMap((each, i) => {
    const x = LEFT + i * slot;
    let below = 0;
    const boxes = parts.map(({ colour, of }) => {
      const value = of(each);
      const [y, bottom] = [at(below + value), at(below)];
      below += value;
      return box(x + slot * 0.15, y, slot * 0.7, Math.max(0, bottom - y), colour, describe(each));
    });
    return [...boxes, text(x + slot / 2, top + PANEL + 14, className(each), 'middle', 9)];
  });
  return [...drawn, ...bars];
}

/** The whole figure. */
export function plotOf(title: string, figures: TraceFigures, footprint: readonly Point[]): string {
  const used = figures.classes.filter(({ requests, objects }) => requests > 0 || objects > 0);
  const classes = used.length > 0 ? used : figures.classes.slice(0, 1);
  const [memory, sizes, waste] = [0, 1, 2].map((panel) => TOP + panel * (PANEL + GAP));
  const requested = classes.reduce((sum, each) => sum + each.requested, 0);
  const lost = classes.reduce((sum, each) => sum + each.allocated - each.requested, 0);
  const share = requested === 0 ? 0 : (100 * lost) / requested;
  const wasteTitle = `Waste of size classes when most is live: ${bytes(lost)}, ${share.toFixed(1)} % of what was asked for`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${TOP + 3 * (PANEL + GAP) - 30}" font-family="sans-serif" role="img">`,
    `<title>${escaped(title)}</title>`,
    text(0, 16, title, 'start', 14),
    ...memoryPanel(memory, figures, footprint),
    ...barPanel(
      sizes,
      'Requests by size class (bytes)',
      classes,
      [{ colour: LIVE, of: (each) => each.requests }],
      10,
      count,
      (each) => `${className(each)}: ${count(each.requests)} requests`,
    ),
    ...barPanel(
      waste,
      wasteTitle,
      classes,
      [
        { colour: LIVE, of: (each) => each.requested },
        { colour: WASTE, of: (each) => each.allocated - each.requested },
      ],
      1024,
      bytes,
      (each) =>
        `${className(each)}: ${count(each.objects)} objects, ${bytes(each.requested)} asked for, ${bytes(each.allocated - each.requested)} wasted`,
    ),
    ...legend(waste, [
      ['asked for', LIVE],
      ['wasted', WASTE],
    ]).map((part) => part),
    '</svg>',
    '',
  ].join('\n');
}
