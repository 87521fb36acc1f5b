/** A table that is filtered and sorted, and updated in place: rows keep their elements, so focus and selection stay. */
import { type Column, matches, nextOrder, type Order, sorted } from '../model/rows.ts';
import { h, newId, setText } from './dom.ts';

export interface TableOptions<T> {
  readonly caption: string;
  readonly columns: readonly Column<T>[];
  readonly order: Order;
  /** What tells rows apart. */
  key(row: T): string;
  /** What the filter looks at; without it there is no filter. */
  text?(row: T): string;
  /** Rows can be chosen. */
  onChoose?(row: T | undefined): void;
  /** Rows that are shown at once; more are behind a button. */
  readonly page?: number;
  readonly empty?: string;
  /** Stands beside the filter. */
  readonly extra?: HTMLElement;
}

export class DataTable<T> {
  readonly element: HTMLElement;
  private readonly options: TableOptions<T>;
  private readonly body: HTMLElement = h('tbody');
  private readonly heads: Map<string, HTMLElement> = new Map();
  private readonly found: HTMLElement = h('span', { class: 'muted num', role: 'status' });
  private readonly more: HTMLButtonElement;
  private readonly lines: Map<string, HTMLTableRowElement> = new Map();
  private rows: readonly T[] = [];
  private order: Order;
  private filter = '';
  private chosen: string | undefined;
  private limit: number;

  constructor(options: TableOptions<T>) {
    this.options = options;
    this.order = options.order;
    this.limit = options.page ?? Number.POSITIVE_INFINITY;
    this.more = h('button', { type: 'button', hidden: true, onclick: () => this.showMore() }, 'Show more');
    const table = h(
      'table',
      { class: 'data' },
      h('caption', { class: 'hidden' }, options.caption),
      h('thead', {}, h('tr', {}, ...options.columns.map((column) => this.heading(column)))),
      this.body,
    );
    const scroller = h(
      'div',
      { class: 'scroller', tabindex: 0, role: 'region', 'aria-label': options.caption },
      table,
    );
    this.element = h(
      'div',
      { class: 'table' },
      ...(options.text === undefined ? [] : [this.tools()]),
      scroller,
      this.more,
    );
  }

  update(rows: readonly T[]): void {
    this.rows = rows;
    this.render();
  }

  private tools(): HTMLElement {
    const id = newId();
    const input = h('input', {
      id,
      type: 'search',
      placeholder: 'Filter, e.g. kmalloc -64',
      autocomplete: 'off',
      spellcheck: 'false',
      oninput: () => {
        this.filter = input.value;
        this.render();
      },
    });
    const label = h('label', { for: id, class: 'hidden' }, `Filter: ${this.options.caption}`);
    const { extra } = this.options;
    return h(
      'div',
      { class: 'table-tools' },
      label,
      input,
      this.found,
      ...(extra === undefined ? [] : [extra]),
    );
  }

  private heading(column: Column<T>): HTMLElement {
    const sort = (): void => {
      const sample = this.rows[0];
      const isText = sample !== undefined && typeof column.value(sample) === 'string';
      this.order = nextOrder(this.order, column.key, isText);
      this.render();
    };
    const head = h(
      'th',
      { scope: 'col', ...(column.hint === undefined ? {} : { title: column.hint }) },
      h('button', { type: 'button', onclick: sort }, column.title),
    );
    this.heads.set(column.key, head);
    return head;
  }

  private showMore(): void {
    this.limit += this.options.page ?? 0;
    this.render();
  }

  private render(): void {
    const { columns, text, key, empty = 'Nothing.' } = this.options;
    for (const [name, head] of this.heads) {
      const direction = this.order.descending ? 'descending' : 'ascending';
      head.setAttribute('aria-sort', name === this.order.column ? direction : 'none');
    }
    this.markText();
    const kept = text === undefined ? this.rows : this.rows.filter((row) => matches(text(row), this.filter));
    const list = sorted(kept, columns, this.order).slice(0, this.limit);
    const lines = list.map((row) => this.line(key(row), row));
    const isSame =
      lines.length === this.body.children.length && lines.every((line, i) => line === this.body.children[i]);
    if (!isSame) this.body.replaceChildren(...lines);
    if (lines.length === 0)
      this.body.replaceChildren(h('tr', {}, h('td', { colspan: columns.length, class: 'muted' }, empty)));
    const alive = new Set(list.map(key));
    for (const name of this.lines.keys()) if (!alive.has(name)) this.lines.delete(name);
    setText(this.found, this.filter === '' ? '' : `${kept.length} of ${this.rows.length}`);
    this.more.hidden = kept.length <= this.limit;
  }

  /** Headings of words stand at the left, those of numbers at the right, like what is below them. */
  private markText(): void {
    const sample = this.rows[0];
    if (sample === undefined) return;
    for (const column of this.options.columns)
      this.heads.get(column.key)?.classList.toggle('text', typeof column.value(sample) === 'string');
  }

  private line(key: string, row: T): HTMLTableRowElement {
    const { columns, onChoose } = this.options;
    let line = this.lines.get(key);
    if (line === undefined) {
      const made = h('tr', {}, ...columns.map((_, i) => this.cell(i)));
      if (onChoose !== undefined) {
        made.classList.add('choosable');
        made.addEventListener('click', () => this.choose(key));
      }
      this.lines.set(key, made);
      line = made;
    }
    columns.forEach((column, i) => {
      const cell = line.children[i];
      const target = cell.querySelector('button, span') ?? cell;
      setText(target, column.text(row));
      if (column.share !== undefined && cell instanceof HTMLElement)
        cell.style.setProperty(
          '--share',
          `${Math.round(100 * Math.max(0, Math.min(1, column.share(row))))}%`,
        );
    });
    line.classList.toggle('chosen', key === this.chosen);
    const button = line.querySelector('button');
    button?.setAttribute('aria-pressed', String(key === this.chosen));
    return line;
  }

  private cell(index: number): HTMLElement {
    const column = this.options.columns[index];
    const sample = this.rows[0];
    const isText = sample !== undefined && typeof column.value(sample) === 'string';
    const kind = [isText ? 'text' : 'num', column.share === undefined ? '' : 'bar'].join(' ').trim();
    if (index > 0) return h('td', { class: kind }, h('span'));
    if (this.options.onChoose === undefined) return h('th', { scope: 'row', class: kind }, h('span'));
    return h('th', { scope: 'row', class: kind }, h('button', { type: 'button', class: 'link' }));
  }

  private choose(key: string): void {
    this.chosen = this.chosen === key ? undefined : key;
    const row = this.rows.find((each) => this.options.key(each) === this.chosen);
    this.options.onChoose?.(row);
    this.render();
  }
}
