/** Moments that were kept, and two of them compared: by cache in a table, by frame on the map. */
import { type CacheChange, type Comparison, compare } from '../model/compare.ts';
import { bytes, count, plural, signed } from '../model/format.ts';
import type { Moment } from '../model/moment.ts';
import { DataTable } from './dataTable.ts';
import { h, newId } from './dom.ts';

/** Moments kept at once; the oldest goes first. */
const KEPT_MAX = 16;
/** In the place of a kept moment: the present one. */
const NOW = 'now';

export interface CompareHooks {
  /** Keep the present moment. */
  onKeep(): void;
  /** A snapshot was chosen from a file. */
  onFile(file: File): void;
  /** What is compared has changed; undefined: nothing is. */
  onCompare(comparison: Comparison | undefined): void;
}

export class ComparePanel {
  readonly id = 'compare';
  readonly title = 'Compare';
  readonly element: HTMLElement;
  private readonly hooks: CompareHooks;
  private readonly before: HTMLSelectElement;
  private readonly after: HTMLSelectElement;
  private readonly sum: HTMLElement = h('p', { class: 'sum', role: 'status' });
  private readonly table: DataTable<CacheChange>;
  private kept: Moment[] = [];
  private present: Moment | undefined;

  constructor(hooks: CompareHooks) {
    this.hooks = hooks;
    const ids = [newId(), newId(), newId()];
    const change = (): void => this.render();
    this.before = h('select', { id: ids[0], onchange: change });
    this.after = h('select', { id: ids[1], onchange: change });
    const file = h('input', {
      id: ids[2],
      type: 'file',
      class: 'hidden',
      onchange: () => {
        for (const each of file.files ?? []) hooks.onFile(each);
        file.value = '';
      },
    });
    const open = h('button', { type: 'button', onclick: () => file.click() }, 'Open snapshot…');
    this.table = new DataTable<CacheChange>({
      caption: 'Caches that have changed',
      columns: [
        { key: 'name', title: 'Cache', value: ({ name }) => name, text: ({ name }) => name },
        { key: 'before', title: 'Live before', value: (row) => row.before, text: (row) => count(row.before) },
        { key: 'after', title: 'Live after', value: (row) => row.after, text: (row) => count(row.after) },
        { key: 'live', title: 'Objects', value: ({ live }) => live, text: ({ live }) => signed(live) },
        {
          key: 'liveBytes',
          title: 'Live bytes',
          value: (row) => row.liveBytes,
          text: (row) => signed(row.liveBytes, bytes),
        },
        { key: 'slabs', title: 'Slabs', value: ({ slabs }) => slabs, text: ({ slabs }) => signed(slabs) },
        {
          key: 'footprint',
          title: 'Memory',
          value: (row) => row.footprint,
          text: (row) => signed(row.footprint, bytes),
        },
      ],
      order: { column: 'liveBytes', descending: true },
      key: ({ name }) => name,
      text: ({ name }) => name,
      empty: 'Nothing has changed.',
    });
    this.element = h(
      'div',
      { class: 'compare' },
      h(
        'div',
        { class: 'compare-row' },
        h('button', { type: 'button', class: 'primary', onclick: () => hooks.onKeep() }, 'Keep this moment'),
        open,
        h('label', { for: ids[2], class: 'hidden' }, 'Snapshot file'),
        file,
        h('span', { class: 'grow' }),
        h('label', { for: ids[0] }, 'From'),
        this.before,
        h('label', { for: ids[1] }, 'to'),
        this.after,
      ),
      this.sum,
      this.table.element,
    );
    this.render();
  }

  /** Keeps a moment, and compares the one before it with it. */
  add(moment: Moment): void {
    this.kept = [...this.kept, moment].slice(-KEPT_MAX);
    const last = this.kept.length - 1;
    this.fillSelects(String(last), NOW);
    if (last > 0) this.fillSelects(String(last - 1), String(last));
    this.render();
  }

  update(moment: Moment): void {
    this.present = moment;
    if (this.after.value === NOW && this.kept.length > 0) this.render();
  }

  private fillSelects(before: string, after: string): void {
    const options = (): HTMLOptionElement[] =>
      this.kept.map(({ label }, i) => h('option', { value: i }, label));
    this.before.replaceChildren(...options());
    this.after.replaceChildren(...options(), h('option', { value: NOW }, 'now'));
    this.before.value = before;
    this.after.value = after;
  }

  private moment(value: string): Moment | undefined {
    return value === NOW ? this.present : this.kept[Number(value)];
  }

  private render(): void {
    const isEmpty = this.kept.length === 0;
    for (const select of [this.before, this.after]) select.disabled = isEmpty;
    this.table.element.hidden = isEmpty;
    const [a, b] = [this.moment(this.before.value), this.moment(this.after.value)];
    if (isEmpty || a === undefined || b === undefined) {
      this.sum.replaceChildren(
        'Keep a moment, let the heap go on, and see here and on the map what has changed.',
      );
      this.hooks.onCompare(undefined);
      return;
    }
    const comparison = compare(a, b);
    const strong = (text: string): HTMLElement => h('strong', { class: 'num' }, text);
    const { footprint, live, liveObjects, taken, released, changed } = comparison;
    this.sum.replaceChildren(
      ...['Live ', strong(signed(live, bytes)), ` in ${signed(liveObjects)} objects · footprint `],
      ...[
        strong(signed(footprint, bytes)),
        ` · ${plural(taken, 'frame')} taken, ${count(released)} given back, `,
      ],
      `${count(changed)} with other objects`,
    );
    this.table.update(comparison.caches);
    this.hooks.onCompare(comparison);
  }
}
