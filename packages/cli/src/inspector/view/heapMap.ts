/**
 * The map: every page frame of the heap as a cell of a canvas, in order of address, line by line.
 *
 * Two canvases lie on each other: the frames, drawn when they change, and the marks (hovered, selected), drawn as the pointer
 * moves. A third, a strip, shows the whole heap while the map shows a part. What a cell is, is said in words when it is hovered
 * or reached with the arrow keys; the table of frames says all of it without the canvas.
 */
import { FRAME, FRAME_FLAG, FRAME_NAMES, type FrameTable } from 'modslab/inspect';
import { blendAll, type Coloring, css, filled, meanColor, mix, paintOf, type Rgb } from '../model/colors.ts';
import { address, count, percent, word } from '../model/format.ts';
import {
  boxOf,
  cellAt,
  cellsOf,
  clamped,
  type Grid,
  gridOf,
  indexAt,
  type Window,
  zoomed,
} from '../model/grid.ts';
import type { Moment } from '../model/moment.ts';
import { rasterOf } from '../model/raster.ts';
import { atNextFrame, fitCanvas, h, newId, setText } from './dom.ts';

/** Pixels of the addresses at the left of the lines, and of the strip. */
const GUTTER = 86;
const STRIP = 14;
/** Height of the map by its width, within bounds. */
const ASPECT = 0.46;
const HEIGHT_MIN = 240;
const HEIGHT_MAX = 520;
/** Cells at least as high show their parts: live below, cached above. */
const PARTS_HEIGHT = 9;
const ZOOM_STEP = 2;
const DIMMED = 0.8;
/** How strongly cached objects have their frame's colour. */
const CACHED_FILL = 0.45;

export interface MapHooks {
  /** A frame was selected; -1: none. */
  onSelect(pfn: number): void;
  /** Something for screen readers. */
  say(text: string): void;
}

export class HeapMap {
  readonly element: HTMLElement;
  private readonly hooks: MapHooks;
  private readonly canvas: HTMLCanvasElement = h('canvas', { class: 'cells', 'aria-hidden': true });
  private readonly marks: HTMLCanvasElement;
  private readonly strip: HTMLCanvasElement = h('canvas', { class: 'strip', 'aria-hidden': true });
  private readonly tip: HTMLElement = h('div', { class: 'tip', hidden: true });
  private readonly range: HTMLElement = h('span', { class: 'muted num range' });
  private readonly board: HTMLElement;
  private moment: Moment | undefined;
  private coloring: Coloring | undefined;
  private colors: Uint32Array = new Uint32Array(0);
  private window: Window = { first: 0, count: 0 };
  /** Whether the window is the whole heap, and grows with it. */
  private isWhole = true;
  private grid: Grid = gridOf(0, 1, 1, 1);
  private selected = -1;
  private hovered = -1;
  private highlight = 0;
  private drag: { x: number; y: number; first: number; moved: boolean } | undefined;
  private readonly redraw: () => void = atNextFrame(() => this.draw());

  constructor(hooks: MapHooks) {
    this.hooks = hooks;
    const help = newId();
    this.marks = h('canvas', {
      class: 'marks',
      tabindex: 0,
      role: 'application',
      'aria-roledescription': 'map of page frames',
      'aria-label': 'Map of the heap',
      'aria-describedby': help,
      onpointermove: (event) => this.move(event as PointerEvent),
      onpointerleave: () => this.hover(-1),
      onpointerdown: (event) => this.down(event as PointerEvent),
      onpointerup: (event) => this.up(event as PointerEvent),
      onwheel: (event) => this.wheel(event as WheelEvent),
      onkeydown: (event) => this.key(event as KeyboardEvent),
    });
    this.strip.addEventListener('pointerdown', (event) => this.jump(event));
    this.board = h('div', { class: 'board' }, this.canvas, this.marks, this.tip);
    const button = (label: string, name: string, act: () => void): HTMLElement =>
      h('button', { type: 'button', class: 'icon', 'aria-label': name, title: name, onclick: act }, label);
    this.element = h(
      'div',
      { class: 'map' },
      this.board,
      h(
        'div',
        { class: 'strip-row' },
        this.strip,
        this.range,
        button('−', 'Zoom out', () => this.zoom(ZOOM_STEP)),
        button('+', 'Zoom in', () => this.zoom(1 / ZOOM_STEP)),
        button('⤢', 'Whole heap', () => this.whole()),
      ),
      h(
        'p',
        { id: help, class: 'hidden' },
        'Arrow keys go from frame to frame, plus and minus zoom, 0 shows all. The Frames table has the same in words.',
      ),
    );
    new ResizeObserver(() => this.redraw()).observe(this.element);
  }

  /** Shows a moment. The part that is shown stays, unless it is all of the heap. */
  show(moment: Moment, coloring: Coloring, highlight: number): void {
    const { start, end } = moment.frames;
    this.moment = moment;
    this.coloring = coloring;
    this.highlight = highlight;
    this.colors = blendAll(coloring, moment.frames);
    this.window = this.isWhole ? { first: start, count: end - start } : clamped(this.window, start, end);
    this.redraw();
  }

  select(pfn: number): void {
    this.selected = pfn;
    if (pfn >= 0 && cellAt(this.grid, pfn) < 0 && this.moment !== undefined) {
      const { start, end } = this.moment.frames;
      this.window = clamped({ first: pfn - (this.window.count >>> 1), count: this.window.count }, start, end);
    }
    this.redraw();
  }

  private whole(): void {
    this.isWhole = true;
    if (this.moment !== undefined && this.coloring !== undefined)
      this.show(this.moment, this.coloring, this.highlight);
  }

  private zoom(factor: number, at?: number): void {
    if (this.moment === undefined) return;
    const { start, end } = this.moment.frames;
    const middle = this.window.first + this.window.count / 2;
    const center =
      at ?? (this.selected >= 0 && cellAt(this.grid, this.selected) >= 0 ? this.selected : middle);
    this.window = zoomed(this.window, factor, center, start, end);
    this.isWhole = this.window.count === end - start;
    this.redraw();
  }

  private draw(): void {
    const { moment, coloring } = this;
    const width = this.board.clientWidth;
    if (moment === undefined || coloring === undefined || width === 0) return;
    const { start, end } = moment.frames;
    const height = Math.max(HEIGHT_MIN, Math.min(HEIGHT_MAX, width * ASPECT));
    const whole = gridOf(start, end - start, width - GUTTER, height);
    // A part takes the room of the whole, so that the page does not move while one zooms.
    this.grid = this.isWhole
      ? whole
      : gridOf(this.window.first, this.window.count, width - GUTTER, whole.height, false);
    this.board.style.height = `${this.grid.height}px`;
    const context = fitCanvas(this.canvas, width, this.grid.height);
    this.drawAddresses(context, moment.frames.pageSize);
    context.translate(GUTTER, 0);
    if (this.hasParts) {
      const cells = cellsOf(this.grid);
      for (let cell = 0; cell < cells; cell++) this.drawParts(context, cell, moment.frames, coloring);
    } else this.drawPixels(context, moment.frames, coloring);
    this.drawMarks();
    this.drawStrip(moment.frames, coloring);
    const { first, count: shown } = this.window;
    const size = moment.frames.pageSize;
    const all = this.isWhole ? 'all' : `${address(first * size)} … ${address((first + shown) * size - 1)},`;
    const per = this.grid.perCell === 1 ? '' : `, ${this.grid.perCell} a cell`;
    setText(this.range, `${all} ${count(shown)} frames${per}`);
  }

  private drawAddresses(context: CanvasRenderingContext2D, pageSize: number): void {
    const { grid, coloring } = this;
    const every = Math.max(1, Math.ceil(18 / (grid.height / grid.rows)));
    const round = 2 ** Math.ceil(Math.log2(every));
    context.font = '11px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace';
    context.fillStyle =
      coloring === undefined ? '#888' : css(mix(coloring.palette.none, coloring.palette.reserved, 0.7));
    context.textBaseline = 'top';
    for (let row = 0; row < grid.rows; row += round) {
      const y = Math.floor((row * grid.height) / grid.rows);
      const first = grid.first + row * grid.columns * grid.perCell;
      context.fillText(address(first * pageSize), 0, y + 1);
    }
  }

  /** Whether cells are large enough to show their parts. */
  private get hasParts(): boolean {
    const { perCell, height, rows } = this.grid;
    return perCell === 1 && height / rows > PARTS_HEIGHT;
  }

  /** Frames of one slab or run hang together. */
  private gapOf(cell: number, table: FrameTable): { right: number; below: number } {
    const { grid } = this;
    const box = boxOf(grid, cell);
    const gap = box.width >= 5 && box.height >= 5 ? 1 : 0;
    const pfn = grid.first + cell * grid.perCell;
    const isJoined =
      grid.perCell === 1 && table.kind[pfn] !== FRAME.FREE && table.head[pfn + 1] === table.head[pfn];
    return { right: isJoined ? 0 : gap, below: gap };
  }

  /** A colour, faded where another cache than the frame's is emphasised. */
  private tone(rgb: Rgb, pfn: number, table: FrameTable, { palette }: Coloring): Rgb {
    const isDim = this.highlight !== 0 && table.cache[pfn] !== this.highlight;
    return isDim ? mix(rgb, palette.surface, DIMMED) : rgb;
  }

  /** All cells, each in one colour. */
  private drawPixels(context: CanvasRenderingContext2D, table: FrameTable, coloring: Coloring): void {
    const { grid } = this;
    const { a: ratio } = context.getTransform();
    const { width, height, pixels } = rasterOf(
      grid,
      ratio,
      (cell) => {
        const pfn = grid.first + cell * grid.perCell;
        return this.tone(meanColor(this.colors, pfn, grid.perCell), pfn, table, coloring);
      },
      (cell) => this.gapOf(cell, table),
    );
    context.putImageData(new ImageData(pixels, width, height), Math.round(GUTTER * ratio), 0);
  }

  /** One cell with its parts: live below, cached above, free on top. */
  private drawParts(
    context: CanvasRenderingContext2D,
    cell: number,
    table: FrameTable,
    coloring: Coloring,
  ): void {
    const { grid } = this;
    const { palette } = coloring;
    const { x, y, ...box } = boxOf(grid, cell);
    const gap = this.gapOf(cell, table);
    const [w, height] = [Math.max(1, box.width - gap.right), Math.max(1, box.height - gap.below)];
    const pfn = grid.first + cell;
    const fillWith = (rgb: Rgb, from: number, rows: number): void => {
      context.fillStyle = css(this.tone(rgb, pfn, table, coloring));
      context.fillRect(x, y + from, w, rows);
    };
    const { hue, fill } = paintOf(coloring, table, pfn);
    if (table.kind[table.head[pfn]] === FRAME.FREE && hue === palette.free) {
      fillWith(palette.free, 0, height);
      return;
    }
    const live = Math.round(height * fill.live);
    const cached = Math.round(height * (fill.live + fill.cached)) - live;
    fillWith(filled(palette, hue, 0), 0, height);
    fillWith(filled(palette, hue, CACHED_FILL), height - live - cached, cached);
    fillWith(hue, height - live, live);
  }

  private drawMarks(): void {
    const context = fitCanvas(this.marks, this.board.clientWidth, this.grid.height);
    context.translate(GUTTER, 0);
    const style = getComputedStyle(this.element);
    if (this.moment === undefined) return;
    const { head } = this.moment.frames;
    const ring = (pfn: number, color: string, line: number): void => {
      const cell = cellAt(this.grid, pfn);
      if (cell < 0) return;
      const box = boxOf(this.grid, cell);
      context.strokeStyle = color;
      context.lineWidth = line;
      context.strokeRect(box.x - 1, box.y - 1, box.width + 1, box.height + 1);
    };
    if (this.hovered >= 0) ring(this.hovered, style.getPropertyValue('--text'), 1);
    if (this.selected < 0) return;
    for (let pfn = this.selected; pfn < head.length && head[pfn] === head[this.selected]; pfn++) {
      ring(pfn, style.getPropertyValue('--surface'), 5);
      ring(pfn, style.getPropertyValue('--text'), 2);
    }
  }

  private drawStrip(table: FrameTable, coloring: Coloring): void {
    const width = this.strip.parentElement === null ? 0 : Math.max(80, this.strip.clientWidth);
    const context = fitCanvas(this.strip, width, STRIP);
    this.strip.style.width = '';
    const frames = table.end - table.start;
    const columns = Math.min(width, frames);
    for (let x = 0; x < columns; x++) {
      const first = table.start + Math.floor((x * frames) / columns);
      const end =
        table.start +
        Math.max(1 + Math.floor((x * frames) / columns), Math.floor(((x + 1) * frames) / columns));
      context.fillStyle = css(meanColor(this.colors, first, end - first));
      context.fillRect(Math.floor((x * width) / columns), 0, Math.ceil(width / columns), STRIP);
    }
    if (this.isWhole) return;
    const left = ((this.window.first - table.start) / frames) * width;
    const right = Math.max(
      left + 4,
      ((this.window.first + this.window.count - table.start) / frames) * width,
    );
    context.fillStyle = css(coloring.palette.surface);
    context.globalAlpha = 0.65;
    context.fillRect(0, 0, left, STRIP);
    context.fillRect(right, 0, width - right, STRIP);
    context.globalAlpha = 1;
    context.strokeStyle = getComputedStyle(this.element).getPropertyValue('--text');
    context.strokeRect(left + 0.5, 0.5, right - left - 1, STRIP - 1);
  }

  private frameUnder(event: MouseEvent): number {
    const box = this.marks.getBoundingClientRect();
    return indexAt(this.grid, event.clientX - box.left - GUTTER, event.clientY - box.top);
  }

  private move(event: PointerEvent): void {
    if (this.drag !== undefined && event.buttons !== 0 && !this.isWhole && this.moment !== undefined) {
      const rows = Math.round(((this.drag.y - event.clientY) * this.grid.rows) / this.grid.height);
      const step = this.grid.columns * this.grid.perCell;
      if (rows !== 0) {
        this.drag.moved = true;
        const { start, end } = this.moment.frames;
        const first = this.drag.first + rows * step;
        this.window = clamped({ first, count: this.window.count }, start, end);
        this.redraw();
      }
      return;
    }
    const box = this.board.getBoundingClientRect();
    this.hover(this.frameUnder(event), event.clientX - box.left, event.clientY - box.top);
  }

  private down(event: PointerEvent): void {
    this.drag = { x: event.clientX, y: event.clientY, first: this.window.first, moved: false };
    this.marks.setPointerCapture(event.pointerId);
  }

  private up(event: PointerEvent): void {
    const wasDragged = this.drag?.moved === true;
    this.drag = undefined;
    const pfn = this.frameUnder(event);
    if (!wasDragged) this.choose(pfn);
  }

  private choose(pfn: number): void {
    this.selected = pfn;
    this.drawMarks();
    this.hooks.onSelect(pfn);
    if (pfn >= 0) this.hooks.say(this.describe(pfn));
  }

  private wheel(event: WheelEvent): void {
    const pfn = this.frameUnder(event);
    if (pfn < 0 || (event.deltaY > 0 && this.isWhole)) return;
    event.preventDefault();
    this.zoom(event.deltaY > 0 ? ZOOM_STEP : 1 / ZOOM_STEP, pfn);
  }

  private jump(event: PointerEvent): void {
    if (this.moment === undefined || this.isWhole) return;
    const { start, end } = this.moment.frames;
    const box = this.strip.getBoundingClientRect();
    const at = start + ((event.clientX - box.left) / box.width) * (end - start);
    this.window = clamped(
      { first: Math.round(at - this.window.count / 2), count: this.window.count },
      start,
      end,
    );
    this.redraw();
  }

  private key(event: KeyboardEvent): void {
    if (this.moment === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    const { start, end } = this.moment.frames;
    const line = this.grid.columns * this.grid.perCell;
    const steps: Record<string, number> = {
      ArrowLeft: -this.grid.perCell,
      ArrowRight: this.grid.perCell,
      ArrowUp: -line,
      ArrowDown: line,
      PageUp: -line * 8,
      PageDown: line * 8,
      Home: start - end,
      End: end - start,
    };
    const step = steps[event.key];
    if (step !== undefined) {
      const from = this.selected < 0 ? this.window.first - Math.min(step, 1) : this.selected;
      const pfn = Math.max(start, Math.min(end - 1, from + step));
      this.select(pfn);
      this.choose(pfn);
    } else if (event.key === '+' || event.key === '=') this.zoom(1 / ZOOM_STEP);
    else if (event.key === '-') this.zoom(ZOOM_STEP);
    else if (event.key === '0') this.whole();
    else if (event.key === 'Escape') this.choose(-1);
    else return;
    event.preventDefault();
  }

  private hover(pfn: number, x = 0, y = 0): void {
    if (pfn !== this.hovered) {
      this.hovered = pfn;
      this.drawMarks();
      if (pfn >= 0) this.fillTip(pfn);
    }
    this.tip.hidden = pfn < 0;
    if (pfn < 0) return;
    const { clientWidth: width, clientHeight: height } = this.tip;
    const left = x + 18 + width > this.board.clientWidth ? x - width - 14 : x + 18;
    const top = Math.min(y + 14, Math.max(0, this.grid.height - height / 2));
    this.tip.style.transform = `translate(${Math.round(Math.max(0, left))}px, ${Math.round(top)}px)`;
  }

  private fillTip(pfn: number): void {
    const { moment, grid } = this;
    if (moment === undefined) return;
    const rows = (moment.view?.words(pfn) ?? []).filter(({ value }, i) => value !== 0 || i < 2);
    const cells = rows.flatMap(({ name, value, meaning }) => [
      h('span', { class: 'muted' }, name),
      h('code', {}, word(value)),
      h('span', {}, meaning),
    ]);
    const more =
      grid.perCell > 1
        ? h('div', { class: 'muted' }, `the first of ${grid.perCell} frames of this cell`)
        : '';
    this.tip.replaceChildren(
      h('strong', {}, this.describe(pfn)),
      more,
      h('div', { class: 'words' }, ...cells),
    );
  }

  /** A frame in one line. */
  describe(pfn: number): string {
    if (this.moment === undefined) return '';
    return describeFrame(this.moment, pfn);
  }
}

/** A frame in one line: number, address, what it is, how full. */
export function describeFrame(moment: Moment, pfn: number): string {
  const { frames } = moment;
  const head = frames.head[pfn];
  const at = `Frame ${pfn}, ${address(pfn * frames.pageSize)}`;
  if (frames.kind[head] !== FRAME.SLAB) return `${at}: ${FRAME_NAMES[frames.kind[head]]}`;
  const name = moment.figures.caches.find(({ id }) => id === frames.cache[head])?.name ?? 'a cache';
  const flags = frames.flags[head];
  const marks = [
    (flags & FRAME_FLAG.PARKED) !== 0 ? ', kept empty' : '',
    (flags & FRAME_FLAG.FROZEN) !== 0 ? ', damaged' : '',
  ].join('');
  const full = `${frames.live[head]} of ${frames.objects[head]} live`;
  const cached = frames.cached[head] === 0 ? '' : `, ${frames.cached[head]} cached`;
  const share = percent(frames.live[head] / Math.max(1, frames.objects[head]));
  return `${at}: slab of ${name}, ${full} (${share})${cached}${marks}`;
}
