/** Tabs, as WAI-ARIA has them: one is in the order of Tab, the arrow keys go from one to the next. */

import { h, newId } from './dom.ts';
import type { Panel } from './panels.ts';

export class Tabs {
  readonly element: HTMLElement;
  private readonly panels: Panel[];
  private readonly buttons: HTMLButtonElement[];
  private readonly bodies: HTMLElement[];
  private readonly onShow: (panel: Panel) => void;
  private current = 0;

  constructor(label: string, panels: Panel[], onShow: (panel: Panel) => void) {
    this.panels = panels;
    this.onShow = onShow;
    const ids = panels.map(() => [newId(), newId()]);
    this.buttons = panels.map(({ title, id }, i) =>
      h(
        'button',
        {
          type: 'button',
          role: 'tab',
          id: ids[i][0],
          'aria-controls': ids[i][1],
          'data-tab': id,
          onclick: () => this.choose(i),
          onkeydown: (event) => this.key(event as KeyboardEvent),
        },
        title,
      ),
    );
    this.bodies = panels.map(({ element }, i) =>
      h('div', { role: 'tabpanel', id: ids[i][1], 'aria-labelledby': ids[i][0] }, element),
    );
    this.element = h(
      'section',
      { class: 'card tabs' },
      h('div', { role: 'tablist', 'aria-label': label }, ...this.buttons),
      ...this.bodies,
    );
    this.mark();
  }

  get shown(): Panel {
    return this.panels[this.current];
  }

  private choose(index: number): void {
    this.current = index;
    this.mark();
    this.onShow(this.panels[index]);
  }

  private mark(): void {
    this.buttons.forEach((button, i) => {
      button.setAttribute('aria-selected', String(i === this.current));
      button.tabIndex = i === this.current ? 0 : -1;
      this.bodies[i].hidden = i !== this.current;
    });
  }

  private key(event: KeyboardEvent): void {
    const steps: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1 };
    const last = this.buttons.length - 1;
    const step = steps[event.key];
    const to =
      event.key === 'Home'
        ? 0
        : event.key === 'End'
          ? last
          : step && (this.current + step + last + 1) % (last + 1);
    if (to === undefined) return;
    event.preventDefault();
    this.choose(to);
    this.buttons[to].focus();
  }
}
