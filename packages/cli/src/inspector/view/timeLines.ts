/**
 * Time lines: how fast objects come and go, how much memory there is, how well it is used. Drawn by uPlot, each on axes of its
 * own, with one cursor over all. Below each its latest figures in words, which is also what a screen reader is told.
 */
import uPlot from 'uplot';
import { bytes, clock, count, percent, short } from '../model/format.ts';
import type { History } from '../model/history.ts';
import { h, setText } from './dom.ts';

type Key = 'allocations' | 'frees' | 'footprint' | 'live' | 'unused' | 'scattered';

interface Line {
  readonly key: Key;
  readonly label: string;
  /** CSS variable. */
  readonly color: string;
  readonly fill?: boolean;
}

interface Chart {
  readonly title: string;
  readonly lines: readonly Line[];
  format(value: number): string;
  /** Steps of the axis; uPlot's own are decimal. */
  readonly steps?: number[];
  /** Upper end of the axis, if it is fixed. */
  readonly top?: number;
}

const CHARTS: readonly Chart[] = [
  {
    title: 'Objects a second',
    lines: [
      { key: 'allocations', label: 'allocated', color: '--accent', fill: true },
      { key: 'frees', label: 'freed', color: '--accent-2' },
    ],
    format: short,
  },
  {
    title: 'Memory',
    lines: [
      { key: 'footprint', label: 'footprint', color: '--accent', fill: true },
      { key: 'live', label: 'live', color: '--accent-3' },
    ],
    format: bytes,
    steps: Array.from({ length: 32 }, (_, log) => 2 ** log),
  },
  {
    title: 'Fragmentation',
    lines: [
      { key: 'unused', label: 'unused', color: '--accent-2', fill: true },
      { key: 'scattered', label: 'free, scattered', color: '--accent-4' },
    ],
    format: (value) => percent(value / 100),
    top: 100,
  },
];

const HEIGHT = 150;
const AXIS_WIDTH = 62;

export interface TimeLineHooks {
  /** The time under a click, where time can be chosen. */
  onPick?(time: number): void;
}

/** What the axis of time says. */
export type TimeFormat = (time: number) => string;

class Plot {
  readonly element: HTMLElement;
  private readonly chart: Chart;
  private readonly box: HTMLElement = h('div', { class: 'plot', 'aria-hidden': true });
  private readonly figures: HTMLElement = h('p', { class: 'plot-figures' });
  private readonly format: TimeFormat;
  private readonly hooks: TimeLineHooks;
  private plot: uPlot | undefined;
  private mark: number | undefined;

  constructor(chart: Chart, format: TimeFormat, unit: string, hooks: TimeLineHooks) {
    this.chart = chart;
    this.format = format;
    this.hooks = hooks;
    const title = chart.title.replace('a second', unit);
    this.element = h(
      'section',
      { class: 'card chart', 'aria-label': title },
      h('h3', {}, title),
      this.figures,
      this.box,
    );
    const resize = new ResizeObserver(() =>
      this.plot?.setSize({ width: this.box.clientWidth, height: HEIGHT }),
    );
    resize.observe(this.box);
  }

  /** Forgets the drawing, whose colours are another theme's. */
  retheme(): void {
    this.plot?.destroy();
    this.plot = undefined;
  }

  update(columns: ReturnType<History['columns']>): void {
    const data: uPlot.AlignedData = [columns.times, ...this.chart.lines.map(({ key }) => columns[key])];
    this.figures.replaceChildren(...this.chart.lines.flatMap((line) => this.figure(line, columns[line.key])));
    if (this.box.clientWidth === 0) return;
    if (this.plot === undefined) this.plot = this.make(data);
    else this.plot.setData(data);
  }

  /** Draws a line at `time`. */
  setMark(time: number): void {
    this.mark = time;
    if (this.plot === undefined) return;
    this.plot.redraw(false);
    this.readAt(this.plot);
  }

  /** The sample whose figures are said: the one at the mark, else the last. */
  private shownIndex(length: number): number {
    const { mark, plot } = this;
    return mark === undefined || plot === undefined ? length - 1 : plot.valToIdx(mark);
  }

  private drawMark(self: uPlot): void {
    if (this.mark === undefined) return;
    const { ctx, bbox } = self;
    const x = Math.round(self.valToPos(this.mark, 'x', true));
    if (x < bbox.left || x > bbox.left + bbox.width) return;
    ctx.fillStyle = getComputedStyle(this.element).getPropertyValue('--text');
    ctx.fillRect(x - 1, bbox.top, 2, bbox.height);
  }

  private figure({ label, color }: Line, values: readonly number[]): HTMLElement[] {
    const swatch = h('i', { class: 'swatch' });
    swatch.style.background = `var(${color})`;
    const last = values[this.shownIndex(values.length)];
    const text = last === undefined ? '—' : this.chart.format(last);
    return [h('span', { class: 'key' }, swatch, `${label} `, h('b', { class: 'num' }, text))];
  }

  private make(data: uPlot.AlignedData): uPlot {
    const style = getComputedStyle(this.element);
    const color = (name: string): string => style.getPropertyValue(name).trim();
    const { chart } = this;
    const axis = {
      stroke: color('--muted'),
      grid: { stroke: color('--line'), width: 1 },
      ticks: { show: false },
    };
    const font = `11px ${style.fontFamily}`;
    const options: uPlot.Options = {
      width: this.box.clientWidth,
      height: HEIGHT,
      cursor: { sync: { key: 'modslab' }, points: { size: 6 }, drag: { x: false, y: false } },
      legend: { show: false },
      scales: {
        // A first sample alone would be drawn in the middle of years.
        x: {
          time: false,
          range: ({ data: [times] }, min, max) =>
            times.length === 1 ? [times[0] - 1, times[0] + 1] : [min, max],
        },
        y: { range: (_self, _min, max) => [0, chart.top ?? niceTop(max)] },
      },
      axes: [
        { ...axis, font, size: 26, values: (_self, ticks) => ticks.map(this.format), space: 90 },
        {
          ...axis,
          font,
          size: AXIS_WIDTH,
          ...(chart.steps === undefined ? {} : { incrs: chart.steps }),
          values: (_self, ticks) => ticks.map((tick) => chart.format(tick)),
          space: 34,
        },
      ],
      series: [
        {},
        ...chart.lines.map((line) => ({
          label: line.label,
          stroke: color(line.color),
          width: 1.75,
          points: { show: false },
          ...(line.fill ? { fill: `color-mix(in srgb, ${color(line.color)} 16%, transparent)` } : {}),
        })),
      ],
      hooks: {
        ready: [(self) => self.over.addEventListener('click', () => this.pick(self))],
        draw: [(self) => this.drawMark(self)],
        setCursor: [(self) => this.readAt(self)],
      },
    };
    return new uPlot(options, data, this.box);
  }

  private pick(self: uPlot): void {
    const { left } = self.cursor;
    if (left !== undefined && left !== null && left >= 0) this.hooks.onPick?.(self.posToVal(left, 'x'));
  }

  /** The figures under the cursor, else the latest. */
  private readAt(self: uPlot): void {
    const index = self.cursor.idx;
    const texts = this.figures.querySelectorAll('b');
    this.chart.lines.forEach((_line, i) => {
      const column = self.data[i + 1];
      const value = column[index ?? this.shownIndex(column.length)];
      if (texts[i] !== undefined && typeof value === 'number') setText(texts[i], this.chart.format(value));
    });
  }
}

/** A round number above `max`. */
function niceTop(max: number): number {
  if (!(max > 0)) return 1;
  return max * 1.08;
}

export class TimeLines {
  readonly element: HTMLElement;
  private readonly plots: Plot[];

  /** `format`: of times; `unit`: what a rate is over, `a second`. */
  constructor(format: TimeFormat, unit: string, hooks: TimeLineHooks) {
    this.plots = CHARTS.map((chart) => new Plot(chart, format, unit, hooks));
    this.element = h('div', { class: 'charts' }, ...this.plots.map(({ element }) => element));
  }

  update(history: History): void {
    const columns = history.columns();
    for (const plot of this.plots) plot.update(columns);
  }

  setMark(time: number): void {
    for (const plot of this.plots) plot.setMark(time);
  }

  retheme(): void {
    for (const plot of this.plots) plot.retheme();
  }
}

export const clockFormat: TimeFormat = (time) => clock(time * 1000);
export const eventFormat: TimeFormat = (time) => count(time);
