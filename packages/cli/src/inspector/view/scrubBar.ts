/** The bar of a recorded trace: where it stands, forward and back, by event or by hand. */
import { count } from '../model/format.ts';
import type { Sample } from '../model/history.ts';
import { fitCanvas, h, newId, setText } from './dom.ts';

const OVERVIEW_HEIGHT = 44;
/** How long playing all of a trace takes, in milliseconds. */
const PLAY_MS = 20_000;

/** What the overview shows. */
const LEGEND: readonly (readonly [color: string, text: string])[] = [
  ['--accent', 'footprint'],
  ['--accent-3', 'live'],
];

export interface ScrubHooks {
  /** Go to just before this event. */
  onSeek(event: number): void;
}

export class ScrubBar {
  readonly element: HTMLElement;
  private readonly hooks: ScrubHooks;
  private readonly events: number;
  private readonly slider: HTMLInputElement;
  private readonly overview: HTMLCanvasElement = h('canvas', { class: 'overview', 'aria-hidden': true });
  private readonly place: HTMLElement = h('span', { class: 'num place' });
  private readonly what: HTMLElement = h('span', { class: 'muted what' });
  private readonly play: HTMLButtonElement;
  private samples: readonly Sample[] = [];
  private position = 0;
  private playing: number | undefined;

  constructor(events: number, hooks: ScrubHooks) {
    this.events = events;
    this.hooks = hooks;
    const id = newId();
    this.slider = h('input', {
      id,
      type: 'range',
      min: 0,
      max: events,
      value: 0,
      step: 1,
      oninput: () => {
        this.stop();
        hooks.onSeek(Number(this.slider.value));
      },
    });
    const button = (text: string, name: string, act: () => void): HTMLButtonElement =>
      h('button', { type: 'button', class: 'icon', 'aria-label': name, title: name, onclick: act }, text);
    this.play = button('▶', 'Play', () => this.toggle());
    const by = (events: number): (() => void) => {
      return () => {
        this.stop();
        hooks.onSeek(Math.max(0, Math.min(this.events, this.position + events)));
      };
    };
    const hundredth = Math.max(1, Math.round(events / 100));
    this.element = h(
      'section',
      { class: 'card scrub', 'aria-label': 'Recorded trace' },
      h(
        'div',
        { class: 'scrub-row' },
        button('⇤', 'To the beginning', by(-events)),
        button('«', 'Back a hundredth', by(-hundredth)),
        button('‹', 'Back one event', by(-1)),
        this.play,
        button('›', 'On by one event', by(1)),
        button('»', 'On by a hundredth', by(hundredth)),
        button('⇥', 'To the end', by(events)),
        h('button', { type: 'button', onclick: () => this.toPeak() }, 'To the peak'),
        this.place,
        this.what,
        ...LEGEND.map(([color, text]) => {
          const swatch = h('i', { class: 'swatch' });
          swatch.style.background = `var(${color})`;
          return h('span', { class: 'key muted' }, swatch, text);
        }),
      ),
      h('label', { for: id, class: 'hidden' }, 'Event of the trace'),
      h('div', { class: 'scrub-line' }, this.overview, this.slider),
    );
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  /** The figures over all of the trace. */
  setSamples(samples: readonly Sample[]): void {
    this.samples = samples;
    this.draw();
  }

  /** Shows where the trace stands, and what comes next. */
  show(position: number, what: string): void {
    this.position = position;
    this.slider.value = String(position);
    this.slider.setAttribute('aria-valuetext', `event ${count(position)} of ${count(this.events)}`);
    setText(this.place, `${count(position)} / ${count(this.events)}`);
    setText(this.what, `next: ${what}`);
  }

  private toPeak(): void {
    this.stop();
    const peak = this.samples.reduce(
      (best, sample) => (sample.live > best.live ? sample : best),
      this.samples[0],
    );
    if (peak !== undefined) this.hooks.onSeek(peak.time);
  }

  private toggle(): void {
    if (this.playing !== undefined) return this.stop();
    if (this.position >= this.events) this.hooks.onSeek(0);
    setText(this.play, '❚❚');
    this.play.setAttribute('aria-label', 'Pause');
    let last = performance.now();
    const step = (now: number): void => {
      const on = Math.max(1, Math.round((this.events * (now - last)) / PLAY_MS));
      last = now;
      this.hooks.onSeek(Math.min(this.events, this.position + on));
      if (this.position >= this.events) return this.stop();
      this.playing = requestAnimationFrame(step);
    };
    this.playing = requestAnimationFrame(step);
  }

  private stop(): void {
    if (this.playing !== undefined) cancelAnimationFrame(this.playing);
    this.playing = undefined;
    setText(this.play, '▶');
    this.play.setAttribute('aria-label', 'Play');
  }

  private draw(): void {
    const width = this.overview.parentElement?.clientWidth ?? 0;
    if (width === 0) return;
    const context = fitCanvas(this.overview, width, OVERVIEW_HEIGHT);
    const style = getComputedStyle(this.element);
    const top = Math.max(1, ...this.samples.map(({ footprint }) => footprint));
    const area = (of: (sample: Sample) => number, color: string, alpha: number): void => {
      context.beginPath();
      context.moveTo(0, OVERVIEW_HEIGHT);
      for (const sample of this.samples) {
        const x = (sample.time / Math.max(1, this.events)) * width;
        context.lineTo(x, OVERVIEW_HEIGHT - (of(sample) / top) * (OVERVIEW_HEIGHT - 3));
      }
      context.lineTo(width, OVERVIEW_HEIGHT);
      context.closePath();
      context.globalAlpha = alpha;
      context.fillStyle = style.getPropertyValue(color);
      context.fill();
    };
    area(({ footprint }) => footprint, '--accent', 0.25);
    area(({ live }) => live, '--accent-3', 0.55);
    context.globalAlpha = 1;
  }
}
