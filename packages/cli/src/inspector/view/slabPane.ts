/** What is selected: a slab object by object, or a run of frames; and the words of the page descriptor. */
import { FRAME, FRAME_NAMES, HOLDER_BARN, HOLDER_NONE, type SlabImage, stateName } from 'modslab/inspect';
import { css, type Palette, type Rgb } from '../model/colors.ts';
import { address, bytes, count, percent, plural, word } from '../model/format.ts';
import { boxOf, cellAt, cellsOf, type Grid, gridOf, indexAt } from '../model/grid.ts';
import type { Moment } from '../model/moment.ts';
import { fitCanvas, h, newId, setText } from './dom.ts';

const OBJECTS_HEIGHT = 300;

/** What becomes of an object's state, in the colours and the legend. */
const LEGEND: readonly [state: string, label: string][] = [
  ['live', 'live'],
  ['cached', 'in a sheaf'],
  ['free', 'free'],
  ['other', 'on its way'],
];

function stateColor(palette: Palette, state: string): Rgb {
  if (state === 'live') return palette.live;
  if (state === 'cached') return palette.cached;
  return state === 'free' ? palette.free : palette.moving;
}

export class SlabPane {
  readonly element: HTMLElement;
  private readonly say: (text: string) => void;
  private readonly title: HTMLElement = h('h2', {}, 'Nothing selected');
  private readonly sub: HTMLElement = h('p', { class: 'muted' });
  private readonly objects: HTMLElement;
  private readonly canvas: HTMLCanvasElement;
  private readonly object: HTMLElement = h('p', { class: 'object num' });
  private readonly facts: HTMLElement = h('dl', { class: 'facts' });
  private readonly words: HTMLElement = h('tbody');
  private readonly zeros: HTMLElement = h('p', { class: 'muted' });
  private readonly wordsBox: HTMLElement;
  private readonly legend: HTMLElement = h('div', { class: 'legend' });
  private slab: SlabImage | undefined;
  private palette: Palette | undefined;
  private grid: Grid = gridOf(0, 1, 1, 1);
  private index = -1;
  private hovered = -1;
  private pfn = -1;

  constructor(say: (text: string) => void) {
    this.say = say;
    const help = newId();
    this.canvas = h('canvas', {
      class: 'objects',
      tabindex: 0,
      role: 'application',
      'aria-roledescription': 'map of a slab',
      'aria-label': 'Objects of the slab',
      'aria-describedby': help,
      onpointermove: (event) => this.hover(this.objectUnder(event as PointerEvent)),
      onpointerleave: () => this.hover(-1),
      onclick: (event) => this.choose(this.objectUnder(event as MouseEvent)),
      onkeydown: (event) => this.key(event as KeyboardEvent),
    });
    this.objects = h(
      'div',
      { class: 'objects-box', hidden: true },
      this.canvas,
      this.object,
      this.legend,
      h('p', { id: help, class: 'hidden' }, 'Arrow keys go from object to object.'),
    );
    this.wordsBox = h(
      'details',
      { class: 'descriptor', open: true, hidden: true },
      h('summary', {}, 'Page descriptor'),
      h(
        'table',
        { class: 'words-table' },
        h(
          'thead',
          { class: 'hidden' },
          h('tr', {}, h('th', {}, 'Word'), h('th', {}, 'Value'), h('th', {}, 'Meaning')),
        ),
        this.words,
      ),
      this.zeros,
    );
    const hint =
      'Click a frame of the map, or reach it with the arrow keys, to see its objects and its descriptor.';
    setText(this.sub, hint);
    this.element = h(
      'section',
      { class: 'card pane', 'aria-label': 'Selected frame' },
      this.title,
      this.sub,
      this.facts,
      this.objects,
      this.wordsBox,
    );
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  /** Shows frame `pfn` of a moment; -1: none. */
  show(moment: Moment, pfn: number, palette: Palette): void {
    const isOther = pfn !== this.pfn;
    this.pfn = pfn;
    this.palette = palette;
    const inRange = pfn >= moment.frames.start && pfn < moment.frames.end && moment.view !== undefined;
    this.slab = inRange ? moment.view?.slab(pfn) : undefined;
    if (isOther || this.index >= (this.slab?.states.length ?? 0)) this.index = -1;
    this.objects.hidden = this.slab === undefined;
    this.wordsBox.hidden = !inRange;
    this.sub.hidden = inRange;
    if (!inRange) {
      setText(this.title, 'Nothing selected');
      this.facts.replaceChildren();
      return;
    }
    setText(this.title, this.slab?.name ?? this.runTitle(moment, pfn));
    this.facts.replaceChildren(
      ...(this.slab === undefined ? runFacts(moment, pfn) : slabFacts(moment, this.slab)),
    );
    this.fillWords(moment, pfn);
    this.fillLegend(palette);
    this.draw();
  }

  private runTitle(moment: Moment, pfn: number): string {
    const { frames } = moment;
    const name = FRAME_NAMES[frames.kind[frames.head[pfn]]] ?? 'frame';
    return name.charAt(0).toUpperCase() + name.slice(1);
  }

  private fillWords(moment: Moment, pfn: number): void {
    const all = moment.view?.words(pfn) ?? [];
    const rows = all
      .filter(({ value }) => value !== 0)
      .map(({ name, value, meaning }) =>
        h(
          'tr',
          {},
          h('th', { scope: 'row' }, name),
          h('td', {}, h('code', {}, word(value))),
          h('td', {}, meaning),
        ),
      );
    const zeros = all.filter(({ value }) => value === 0).map(({ name }) => name);
    setText(this.zeros, zeros.length === 0 ? '' : `0: ${zeros.join(', ')}`);
    this.words.replaceChildren(...rows);
  }

  private fillLegend(palette: Palette): void {
    const { slab } = this;
    if (slab === undefined) return;
    const tally: Record<string, number> = { live: 0, cached: 0, free: 0, other: 0 };
    for (const state of slab.states) tally[stateKey(state)]++;
    const items = LEGEND.filter(([state]) => state !== 'other' || tally.other > 0).map(([state, label]) => {
      const swatch = h('i', { class: 'swatch' });
      swatch.style.background = css(stateColor(palette, state));
      return h('span', { class: 'key' }, swatch, `${label} ${count(tally[state])}`);
    });
    this.legend.replaceChildren(...items);
    this.canvas.setAttribute(
      'aria-label',
      `Objects of the slab: ${tally.live} live, ${tally.cached} in sheaves, ${tally.free} free`,
    );
  }

  private draw(): void {
    const { slab, palette } = this;
    if (slab === undefined || palette === undefined) return;
    const width = Math.max(80, this.objects.clientWidth);
    this.grid = gridOf(0, slab.states.length, width, OBJECTS_HEIGHT);
    const context = fitCanvas(this.canvas, this.grid.width + 2, this.grid.height + 2);
    context.translate(1, 1);
    for (let cell = 0; cell < cellsOf(this.grid); cell++) {
      const box = boxOf(this.grid, cell);
      const gap = box.width >= 5 && box.height >= 5 ? 1 : 0;
      context.fillStyle = css(stateColor(palette, stateKey(this.fullest(slab, cell))));
      context.fillRect(box.x, box.y, Math.max(1, box.width - gap), Math.max(1, box.height - gap));
    }
    const style = getComputedStyle(this.element);
    for (const [at, line] of [
      [this.hovered, 1],
      [this.index, 2],
    ]) {
      const cell = cellAt(this.grid, at);
      if (cell < 0) continue;
      const box = boxOf(this.grid, cell);
      context.strokeStyle = style.getPropertyValue('--text');
      context.lineWidth = line;
      context.strokeRect(box.x - 0.5, box.y - 0.5, box.width, box.height);
    }
    const shown = this.hovered >= 0 ? this.hovered : this.index;
    setText(this.object, shown < 0 ? 'Hover or click an object.' : this.describe(slab, shown));
  }

  /** Of the objects that share a cell, the one that says most: a live one before a cached one before a free one. */
  private fullest(slab: SlabImage, cell: number): number {
    const from = cell * this.grid.perCell;
    let best = slab.states[from];
    for (let i = from; i < Math.min(from + this.grid.perCell, slab.states.length); i++) {
      if (rank(slab.states[i]) > rank(best)) best = slab.states[i];
    }
    return best;
  }

  private describe(slab: SlabImage, index: number): string {
    const state = stateName(slab.states[index]);
    const holder = slab.holders[index];
    const where =
      holder === HOLDER_NONE ? '' : holder === HOLDER_BARN ? ', in a barn' : `, in a sheaf of CPU ${holder}`;
    return `Object ${index} at ${address(slab.base + index * slab.stride)}: ${state}${where}`;
  }

  private objectUnder(event: MouseEvent): number {
    const box = this.canvas.getBoundingClientRect();
    return indexAt(this.grid, event.clientX - box.left - 1, event.clientY - box.top - 1);
  }

  private hover(index: number): void {
    if (index === this.hovered) return;
    this.hovered = index;
    this.draw();
  }

  private choose(index: number): void {
    this.index = index;
    this.draw();
    if (index >= 0 && this.slab !== undefined) this.say(this.describe(this.slab, index));
  }

  private key(event: KeyboardEvent): void {
    const { slab, grid } = this;
    if (slab === undefined) return;
    const line = grid.columns * grid.perCell;
    const end = slab.states.length - 1;
    const steps: Record<string, number> = {
      ArrowLeft: -grid.perCell,
      ArrowRight: grid.perCell,
      ArrowUp: -line,
      ArrowDown: line,
      Home: -end,
      End: end,
    };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    this.choose(this.index < 0 ? 0 : Math.max(0, Math.min(end, this.index + step)));
  }
}

function stateKey(state: number): string {
  const name = stateName(state);
  if (name === 'continued') return 'live';
  return name === 'live' || name === 'cached' || name === 'free' ? name : 'other';
}

const rank = (state: number): number => ['free', 'cached', 'other', 'live'].indexOf(stateKey(state));

const fact = (name: string, value: string): HTMLElement[] => [
  h('dt', {}, name),
  h('dd', { class: 'num' }, value),
];

function slabFacts(moment: Moment, slab: SlabImage): HTMLElement[] {
  const cache = moment.figures.caches.find(({ id }) => id === slab.cache);
  const { frames } = moment;
  const live = frames.live[slab.head];
  const cpu = frames.cpu[slab.head];
  const node = moment.view?.nodeOf(slab.head) ?? 0;
  return [
    ...fact('Address', address(slab.base)),
    ...fact('Frames', slab.frames === 1 ? `${slab.head}` : `${slab.head} … ${slab.head + slab.frames - 1}`),
    ...fact('Objects', `${count(slab.states.length)} of ${bytes(slab.stride)}`),
    ...fact('Live', `${count(live)} (${percent(live / Math.max(1, slab.states.length))})`),
    ...(cpu < 0 ? [] : fact('Used most by', `CPU ${cpu}`)),
    ...((moment.view?.nodes ?? 1) > 1 ? fact('Node', `${node}`) : []),
    ...(cache === undefined
      ? []
      : fact('Cache', `${plural(cache.slabs, 'slab')}, ${bytes(cache.footprint)}`)),
  ];
}

function runFacts(moment: Moment, pfn: number): HTMLElement[] {
  const { frames } = moment;
  const head = frames.head[pfn];
  let end = pfn + 1;
  while (end < frames.end && frames.head[end] === head && frames.kind[pfn] !== FRAME.FREE) end++;
  if (frames.kind[pfn] !== FRAME.FREE)
    return [
      ...fact('Address', address(head * frames.pageSize)),
      ...fact('Frames', `${head} … ${end - 1}`),
      ...fact('Size', bytes((end - head) * frames.pageSize)),
    ];
  let first = pfn;
  while (first > frames.start && frames.kind[first - 1] === FRAME.FREE) first--;
  while (end < frames.end && frames.kind[end] === FRAME.FREE) end++;
  return [
    ...fact('Address', address(pfn * frames.pageSize)),
    ...fact('Free run', `frames ${first} … ${end - 1}`),
    ...fact('Size', bytes((end - first) * frames.pageSize)),
  ];
}
