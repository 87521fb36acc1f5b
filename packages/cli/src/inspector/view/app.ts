/**
 * The inspector: puts the views together and keeps them at one moment.
 *
 *     source ── snapshot ── momentOf ── show: map, pane, tiles, the panel in front, time lines
 *
 * A live source is asked again and again: never before the last answer has been shown, and no more often than lets the page, and
 * the program that answers, spend most of their time otherwise. A trace is run in the page (model/scrubber.ts).
 */
import { Heap } from 'modslab';
import { ViewReader } from 'modslab/inspect';
import { type ColorBy, type Coloring, DARK, LIGHT, Ranking } from '../model/colors.ts';
import type { Comparison } from '../model/compare.ts';
import { bytes, clock, count, percent } from '../model/format.ts';
import { History, sampleOf } from '../model/history.ts';
import { kept, type Moment, momentOf, momentOfView, scattered, unused } from '../model/moment.ts';
import { Scrubber } from '../model/scrubber.ts';
import { type HeapSource, heapSource } from '../model/source.ts';
import { ComparePanel } from './comparePanel.ts';
import { download, h, newId, setText } from './dom.ts';
import { HeapMap } from './heapMap.ts';
import { legendOf } from './legend.ts';
import {
  buddyPanel,
  cachesPanel,
  cpusPanel,
  framesPanel,
  leaksPanel,
  type Panel,
  sheavesPanel,
} from './panels.ts';
import { ScrubBar } from './scrubBar.ts';
import { SlabPane } from './slabPane.ts';
import { STYLE } from './style.ts';
import { Tabs } from './tabs.ts';
import { clockFormat, eventFormat, TimeLines } from './timeLines.ts';

export interface InspectorOptions {
  /** `auto` (default) follows the reader's system. */
  theme?: 'auto' | 'light' | 'dark';
  /** How often a live heap is looked at, at most, in milliseconds (default 500). */
  interval?: number;
}

/** A mounted inspector. */
export interface Inspector {
  /** Takes it out of the page, and asks no more. */
  close(): void;
}

const INTERVAL_MS = 500;
/** Of the time between two looks, at most one in so many parts goes into looking. */
const SHARE_OF_TIME = 4;
/** How long after a failure the source is asked again, in milliseconds. */
const RETRY_MS = 2000;

const COLORS: readonly (readonly [ColorBy, string])[] = [
  ['kind', 'kind of page'],
  ['cache', 'cache'],
  ['cpu', 'CPU'],
  ['fill', 'fill'],
  ['change', 'change'],
];

/** Figures at the top: what they are called, what they say, what they mean. */
const TILES: readonly (readonly [
  title: string,
  value: (m: Moment) => string,
  note: (m: Moment) => string,
])[] = [
  ['Footprint', ({ figures: f }) => bytes(f.footprint), ({ figures: f }) => `peak ${bytes(f.peakFootprint)}`],
  ['Live', ({ figures: f }) => bytes(f.live), ({ figures: f }) => `${count(f.liveObjects)} objects`],
  [
    'Unused',
    (m) => percent(unused(m.figures)),
    ({ figures: f }) => `${bytes(f.footprint - f.live)} not live`,
  ],
  [
    'In sheaves',
    ({ figures: f }) => bytes(f.cached),
    ({ figures: f }) => `${count(f.cachedObjects)} objects`,
  ],
  ['Free', ({ figures: f }) => bytes(f.free), (m) => `${percent(1 - scattered(m.figures))} in one piece`],
  [
    'Slabs',
    ({ figures: f }) => count(f.slabs),
    ({ figures: f }) => `${count(f.caches.filter((c) => c.slabs > 0).length)} caches`,
  ],
  ['Size', ({ figures: f }) => bytes(f.size), ({ figures: f }) => `may grow to ${bytes(f.maxSize)}`],
];

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

class App implements Inspector {
  private readonly host: HTMLElement;
  private readonly root: HTMLElement;
  private readonly source: HeapSource;
  private readonly interval: number;
  private readonly reader: ViewReader = new ViewReader();
  private readonly history: History = new History();
  private readonly caches: Ranking = new Ranking();
  private readonly cpus: Ranking = new Ranking();
  private readonly live: HTMLElement = h('p', { class: 'hidden', role: 'status', 'aria-live': 'polite' });
  private readonly status: HTMLElement = h('span', { class: 'pill' });
  private readonly banner: HTMLElement = h('p', { class: 'banner', role: 'alert', hidden: true });
  private readonly tiles: HTMLElement[][];
  private readonly legend: HTMLElement = h('div', { class: 'legend' });
  private readonly map: HeapMap;
  private readonly pane: SlabPane;
  private readonly colorBy: HTMLSelectElement;
  private readonly compare: ComparePanel;
  private readonly tabs: Tabs;
  private readonly charts: TimeLines | undefined;
  private readonly scrub: ScrubBar | undefined;
  private readonly scrubber: Scrubber | undefined;
  private readonly dark: MediaQueryList = matchMedia('(prefers-color-scheme: dark)');
  private readonly retheme: () => void = () => this.applyTheme();
  private readonly wake: () => void = () => this.schedule(0);
  private theme: 'auto' | 'light' | 'dark';
  private moment: Moment | undefined;
  private comparison: Comparison | undefined;
  private selected = -1;
  private highlight = 0;
  private isPaused = false;
  private isClosed = false;
  private isAsking = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private wanted: number | undefined;

  constructor(element: HTMLElement, source: HeapSource, options: InspectorOptions) {
    this.source = source;
    this.theme = options.theme ?? 'auto';
    this.interval = Math.max(50, options.interval ?? INTERVAL_MS);
    this.map = new HeapMap({ onSelect: (pfn) => this.select(pfn), say: (text) => this.say(text) });
    this.pane = new SlabPane((text) => this.say(text));
    this.colorBy = this.makeColorBy();
    this.compare = new ComparePanel({
      onKeep: () => this.keep(),
      onFile: (file) => void this.openFile(file),
      onCompare: (comparison) => this.showComparison(comparison),
    });
    this.tabs = new Tabs('Tables', this.panels(), (panel) => this.moment && panel.update(this.moment));
    this.tiles = TILES.map(([title]) => [
      h('dt', {}, title),
      h('dd', { class: 'value num' }),
      h('dd', { class: 'note num' }),
    ]);
    if (source.trace !== undefined) {
      this.scrubber = new Scrubber(source.trace);
      this.scrub = new ScrubBar(source.trace.operations, { onSeek: (event) => this.seek(event) });
      this.charts = new TimeLines(eventFormat, 'an event', { onPick: (event) => this.seek(event) });
    } else if (source.isLive) this.charts = new TimeLines(clockFormat, 'a second, at least', {});
    this.root = this.layOut();
    this.host = h('div', { class: 'modslab-inspector' });
    const shadow = this.host.attachShadow({ mode: 'open' });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    shadow.adoptedStyleSheets = [sheet];
    shadow.append(this.root);
    element.append(this.host);
    this.dark.addEventListener('change', this.retheme);
    document.addEventListener('visibilitychange', this.wake);
    this.applyTheme();
    void this.start();
  }

  close(): void {
    this.isClosed = true;
    clearTimeout(this.timer);
    this.dark.removeEventListener('change', this.retheme);
    document.removeEventListener('visibilitychange', this.wake);
    this.charts?.retheme();
    this.host.remove();
  }

  private panels(): Panel[] {
    const { leaks } = this.source;
    const panels: Panel[] = [
      cachesPanel((cache) => this.emphasise(cache)),
      sheavesPanel(),
      cpusPanel(),
      buddyPanel(),
      framesPanel((pfn) => {
        this.map.select(pfn);
        this.select(pfn);
      }),
      this.compare,
    ];
    if (leaks !== undefined) panels.push(leaksPanel(async () => await leaks()));
    return panels;
  }

  private makeColorBy(): HTMLSelectElement {
    const options = COLORS.map(([value, text]) => h('option', { value, disabled: value === 'change' }, text));
    return h('select', { id: newId(), onchange: () => this.render() }, ...options);
  }

  private layOut(): HTMLElement {
    const { source } = this;
    const tiles = h(
      'dl',
      { class: 'tiles' },
      ...this.tiles.map((parts) => h('div', { class: 'tile' }, ...parts)),
    );
    const mapCard = h(
      'section',
      { class: 'card map-card', 'aria-label': 'Map of the heap' },
      h(
        'div',
        { class: 'card-head' },
        h('h2', {}, 'Page frames'),
        h('span', { class: 'grow' }),
        h('label', { for: this.colorBy.id, class: 'muted' }, 'Colour by'),
        this.colorBy,
      ),
      this.map.element,
      this.legend,
    );
    return h(
      'div',
      { class: 'app' },
      h(
        'header',
        {},
        h('span', { class: 'brand', 'aria-hidden': true }, 'modslab'),
        h('h1', {}, source.name),
        h('span', { class: 'muted detail' }, source.detail ?? ''),
        this.status,
        h('span', { class: 'grow' }),
        ...this.tools(),
      ),
      this.banner,
      this.live,
      tiles,
      ...(this.scrub === undefined ? [] : [this.scrub.element]),
      h(
        'div',
        { class: 'main' },
        h(
          'div',
          { class: 'left' },
          mapCard,
          ...(this.charts === undefined ? [] : [this.charts.element]),
          this.tabs.element,
        ),
        this.pane.element,
      ),
    );
  }

  private tools(): HTMLElement[] {
    const { source } = this;
    const tools: HTMLElement[] = [];
    if (source.isLive) {
      const button = h('button', { type: 'button', onclick: () => this.togglePause(button) }, 'Pause');
      tools.push(button);
    }
    if (source.shrink !== undefined)
      tools.push(h('button', { type: 'button', onclick: () => void this.shrink() }, 'Shrink'));
    tools.push(h('button', { type: 'button', onclick: () => this.save() }, 'Save snapshot'));
    const id = newId();
    const theme = h(
      'select',
      {
        id,
        onchange: () => {
          this.theme = theme.value as 'auto' | 'light' | 'dark';
          this.applyTheme();
        },
      },
      ...['auto', 'light', 'dark'].map((value) => h('option', { value }, value)),
    );
    theme.value = this.theme;
    tools.push(h('label', { for: id, class: 'muted' }, 'Theme'), theme);
    return tools;
  }

  private applyTheme(): void {
    const isDark = this.theme === 'dark' || (this.theme === 'auto' && this.dark.matches);
    this.root.dataset.theme = isDark ? 'dark' : 'light';
    this.charts?.retheme();
    this.render();
  }

  private say(text: string): void {
    setText(this.live, text);
  }

  private setStatus(kind: string, text: string): void {
    this.status.dataset.kind = kind;
    setText(this.status, text);
  }

  private fail(error: unknown): void {
    setText(this.banner, error instanceof Error ? error.message : String(error));
    this.banner.hidden = false;
  }

  private async start(): Promise<void> {
    if (this.scrubber === undefined) return this.ask();
    try {
      await this.prepare(this.scrubber);
    } catch (error) {
      this.setStatus('bad', 'stopped');
      this.fail(error);
    }
  }

  private async prepare(scrubber: Scrubber): Promise<void> {
    const { operations } = scrubber.trace;
    const samples = await scrubber.prepare(pause, (done) =>
      this.setStatus('busy', `running the trace, ${percent(done / Math.max(1, operations))}`),
    );
    this.history.replace(samples);
    this.scrub?.setSamples(samples);
    this.setStatus('still', `trace of ${count(operations)} events`);
    const peak = samples.reduce((best, sample) => (sample.live > best.live ? sample : best));
    this.seek(peak.time);
  }

  /** Goes to an event of the trace; of several wishes before the next frame the last counts. */
  private seek(event: number): void {
    const { scrubber } = this;
    if (scrubber === undefined) return;
    const isAsked = this.wanted !== undefined;
    this.wanted = event;
    this.scrub?.show(Math.round(event), this.scrub === undefined ? '' : scrubber.describe(Math.round(event)));
    if (isAsked) return;
    requestAnimationFrame(() => {
      const target = this.wanted ?? event;
      this.wanted = undefined;
      scrubber.seek(target);
      this.show(scrubber.moment());
      this.scrub?.show(scrubber.position, scrubber.describe(scrubber.position));
      this.charts?.setMark(scrubber.position);
      // What is shown now, for whoever drives the page.
      this.root.dataset.event = String(scrubber.position);
    });
  }

  private schedule(delay: number): void {
    clearTimeout(this.timer);
    if (this.isClosed || this.isPaused || !this.source.isLive || this.source.trace !== undefined) return;
    this.timer = setTimeout(() => void this.ask(), delay);
  }

  /** One look at the source. */
  private async ask(): Promise<void> {
    if (this.isAsking || this.isClosed || document.hidden) return;
    this.isAsking = true;
    const began = performance.now();
    let delay = RETRY_MS;
    try {
      const snapshot = await this.source.snapshot();
      // In steps, so that the page goes on in between.
      await pause();
      const { view, info } = this.reader.read(snapshot);
      await pause();
      const moment = momentOfView(view, info.time, clock(info.time), () => snapshot);
      await pause();
      if (!this.isPaused || this.moment === undefined) this.show(moment);
      this.banner.hidden = true;
      if (!this.isPaused)
        this.setStatus(this.source.isLive ? 'live' : 'still', this.source.isLive ? 'live' : moment.label);
      delay = Math.max(this.interval, (performance.now() - began) * SHARE_OF_TIME);
    } catch (error) {
      this.setStatus('bad', 'no answer');
      this.fail(error);
    } finally {
      this.isAsking = false;
    }
    this.schedule(delay);
  }

  private show(moment: Moment): void {
    this.moment = moment;
    const bySize = [...moment.figures.caches].sort((a, b) => b.footprint - a.footprint);
    this.caches.see(bySize.filter(({ footprint }) => footprint > 0).map(({ id }) => id));
    this.cpus.see(moment.cpus.map(({ cpu }) => cpu));
    if (this.scrubber === undefined) {
      const operations = moment.view?.operations() ?? { allocations: 0, frees: 0 };
      this.history.add(sampleOf(moment, operations, moment.time / 1000));
    }
    this.compare.update(moment);
    this.render();
  }

  private coloring(): Coloring {
    return {
      by: this.colorBy.value as ColorBy,
      palette: this.root.dataset.theme === 'dark' ? DARK : LIGHT,
      caches: this.caches.ranks,
      cpus: this.cpus.ranks,
      change: this.comparison?.change,
    };
  }

  private render(): void {
    const { moment } = this;
    if (moment === undefined) return;
    const coloring = this.coloring();
    this.tiles.forEach(([, value, note], i) => {
      setText(value, TILES[i][1](moment));
      setText(note, TILES[i][2](moment));
    });
    this.map.show(moment, coloring, this.highlight);
    this.legend.replaceChildren(...legendOf(moment, coloring));
    this.pane.show(moment, this.selected, coloring.palette);
    this.charts?.update(this.history);
    if (this.tabs.shown !== this.compare) this.tabs.shown.update(moment);
  }

  private select(pfn: number): void {
    this.selected = pfn;
    if (this.moment !== undefined) this.pane.show(this.moment, pfn, this.coloring().palette);
  }

  private emphasise(cache: number): void {
    this.highlight = cache;
    this.render();
  }

  private togglePause(button: HTMLButtonElement): void {
    this.isPaused = !this.isPaused;
    setText(button, this.isPaused ? 'Go on' : 'Pause');
    if (this.isPaused) this.setStatus('still', 'paused');
    else this.schedule(0);
  }

  private async shrink(): Promise<void> {
    try {
      const slabs = await this.source.shrink?.();
      this.say(`${slabs} slabs were given back`);
      this.schedule(0);
    } catch (error) {
      this.fail(error);
    }
  }

  private save(): void {
    const { moment, source } = this;
    if (moment?.snapshot === undefined) return;
    const name = source.name.replace(/[^\w.-]+/g, '_');
    download(moment.snapshot(), `${name}-${moment.label.replace(/[^\w.-]+/g, '-') || 'now'}.heapsnap`);
  }

  private keep(): void {
    if (this.moment === undefined) return;
    this.compare.add(kept(this.moment, this.moment.label));
    this.say(`The moment ${this.moment.label} is kept`);
  }

  private async openFile(file: File): Promise<void> {
    try {
      const moment = momentOf(new Uint8Array(await file.arrayBuffer()));
      this.compare.add(kept(moment, file.name));
    } catch (error) {
      this.fail(new Error(`${file.name}: ${error instanceof Error ? error.message : error}`));
    }
  }

  private showComparison(comparison: Comparison | undefined): void {
    const isFirst = this.comparison === undefined && comparison !== undefined;
    this.comparison = comparison;
    for (const option of this.colorBy.options) {
      if (option.value === 'change') option.disabled = comparison === undefined;
    }
    if (isFirst) this.colorBy.value = 'change';
    if (isFirst || (comparison === undefined && this.colorBy.value === 'change')) {
      if (comparison === undefined) this.colorBy.value = 'kind';
      this.render();
    }
  }
}

/**
 * Shows the inspector in `element`, below what is there, in a shadow root of its own. `heap`: a heap of this page, or a source
 * (`serverSource`, `snapshotSource`, or one's own).
 */
export function mountInspector(
  element: HTMLElement,
  heap: Heap | HeapSource,
  options: InspectorOptions = {},
): Inspector {
  if (!(element instanceof HTMLElement))
    throw new TypeError('mountInspector takes an element to show itself in');
  return new App(element, heap instanceof Heap ? heapSource(heap) : heap, options);
}
