/** Filtering and sorting of tables' rows, as pure functions. */

export interface Order {
  readonly column: string;
  readonly descending: boolean;
}

/** A column of a table of `T`. */
export interface Column<T> {
  readonly key: string;
  readonly title: string;
  /** What it is sorted by. */
  value(row: T): number | string;
  /** What it shows. */
  text(row: T): string;
  /** 0 … 1: drawn as a bar behind the text. */
  share?(row: T): number;
  /** What the column means, as a tooltip. */
  readonly hint?: string;
}

/** Whether every word of `filter` occurs in `text`, or, with a minus in front, does not. */
export function matches(text: string, filter: string): boolean {
  const lower = text.toLowerCase();
  return filter
    .toLowerCase()
    .split(/\s+/)
    .filter((part) => part !== '' && part !== '-')
    .every((part) => (part.startsWith('-') ? !lower.includes(part.slice(1)) : lower.includes(part)));
}

/** `rows` in `order`; equal ones keep their places. */
export function sorted<T>(rows: readonly T[], columns: readonly Column<T>[], order: Order): T[] {
  const column = columns.find(({ key }) => key === order.column) ?? columns[0];
  const sign = order.descending ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [x, y] = [column.value(a), column.value(b)];
    if (typeof x === 'number' && typeof y === 'number') return sign * (x - y);
    return sign * String(x).localeCompare(String(y), 'en', { numeric: true });
  });
}

/** The order after a click on a heading: the other way round if it is the present one, else as suits its values. */
export function nextOrder(order: Order, column: string, isText: boolean): Order {
  if (order.column === column) return { column, descending: !order.descending };
  return { column, descending: !isText };
}
