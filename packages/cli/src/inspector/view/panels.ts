/** What stands below the map: caches, free memory, sheaves, CPUs, frames, leaks. Each panel is updated while it is shown. */
import {
  type CacheFigures,
  type CpuRow,
  FRAME,
  FRAME_NAMES,
  HOLDER_BARN,
  type SheafRow,
} from 'modslab/inspect';
import { address, bytes, count, percent } from '../model/format.ts';
import { type LeakRow, leakRows } from '../model/leaks.ts';
import type { Moment } from '../model/moment.ts';
import type { Column } from '../model/rows.ts';
import { DataTable } from './dataTable.ts';
import { h } from './dom.ts';

export interface Panel {
  readonly id: string;
  readonly title: string;
  readonly element: HTMLElement;
  update(moment: Moment): void;
}

const used = ({ liveBytes, footprint }: CacheFigures): number =>
  footprint === 0 ? 0 : liveBytes / footprint;

const CACHE_COLUMNS: readonly Column<CacheFigures>[] = [
  { key: 'name', title: 'Cache', value: ({ name }) => name, text: ({ name }) => name },
  {
    key: 'size',
    title: 'Size',
    value: ({ size }) => size,
    text: ({ size }) => count(size),
    hint: 'Bytes of an object',
  },
  { key: 'live', title: 'Live', value: ({ live }) => live, text: ({ live }) => count(live) },
  {
    key: 'cached',
    title: 'In sheaves',
    value: ({ cached }) => cached,
    text: ({ cached }) => count(cached),
    hint: 'Objects in the sheaves of CPUs and in barns: neither live nor free',
  },
  {
    key: 'free',
    title: 'Free',
    value: ({ free }) => free,
    text: ({ free }) => count(free),
    hint: 'Free objects in slabs',
  },
  { key: 'slabs', title: 'Slabs', value: ({ slabs }) => slabs, text: ({ slabs }) => count(slabs) },
  {
    key: 'partial',
    title: 'Partial',
    value: ({ partial }) => partial,
    text: ({ partial }) => count(partial),
  },
  {
    key: 'footprint',
    title: 'Memory',
    value: ({ footprint }) => footprint,
    text: ({ footprint }) => bytes(footprint),
    hint: 'Bytes of its slabs',
  },
  {
    key: 'used',
    title: 'Used',
    value: used,
    text: (row) => (row.footprint === 0 ? '—' : percent(used(row))),
    share: used,
    hint: 'Live bytes of the memory that its slabs take',
  },
  {
    key: 'unused',
    title: 'Unused',
    value: ({ footprint, liveBytes }) => footprint - liveBytes,
    text: ({ footprint, liveBytes }) => bytes(footprint - liveBytes),
    hint: 'Bytes of its slabs that no live object has',
  },
  { key: 'flags', title: 'Flags', value: ({ flags }) => flags, text: ({ flags }) => flags },
];

export function cachesPanel(onChoose: (cache: number) => void): Panel {
  const all = h('input', { type: 'checkbox' });
  const table = new DataTable<CacheFigures>({
    caption: 'Caches',
    extra: h('label', { class: 'check' }, all, 'Caches without slabs too'),
    columns: CACHE_COLUMNS,
    order: { column: 'footprint', descending: true },
    key: ({ id }) => String(id),
    text: ({ name, flags }) => `${name} ${flags}`,
    onChoose: (row) => onChoose(row?.id ?? 0),
    empty: 'No cache matches.',
  });
  let last: Moment | undefined;
  const update = (moment: Moment): void => {
    last = moment;
    table.update(moment.figures.caches.filter(({ slabs }) => slabs > 0 || all.checked));
  };
  all.addEventListener('change', () => last !== undefined && update(last));
  return { id: 'caches', title: 'Caches', element: table.element, update };
}

/** Free memory by order: blocks of 2^order frames, as each node and zone has them. */
export function buddyPanel(): Panel {
  const element = h('div', { class: 'buddy' });
  const update = (moment: Moment): void => {
    const { pageSize } = moment.frames;
    element.replaceChildren(
      ...moment.buddy.map(({ node, zone, free }) => {
        const most = Math.max(1, ...free.map((n, order) => n * 2 ** order));
        const last = free.length - 1 - [...free].reverse().findIndex((n) => n > 0);
        const rows = free.slice(0, Math.max(1, Math.min(free.length, last + 1))).map((n, order) => {
          const bar = h('span', { class: 'fill' });
          bar.style.width = `${(100 * n * 2 ** order) / most}%`;
          return h(
            'tr',
            {},
            h('th', { scope: 'row', class: 'num' }, String(order)),
            h('td', { class: 'num' }, bytes(pageSize * 2 ** order)),
            h('td', { class: 'num' }, count(n)),
            h('td', { class: 'num' }, bytes(n * pageSize * 2 ** order)),
            h('td', { class: 'wide', 'aria-hidden': true }, bar),
          );
        });
        const head = ['Order', 'Block', 'Free blocks', 'Together'].map((text) =>
          h('th', { scope: 'col' }, text),
        );
        return h(
          'table',
          { class: 'data buddy-table' },
          h('caption', {}, `Node ${node}, zone ${zone}`),
          h('thead', {}, h('tr', {}, ...head, h('th', { class: 'wide', 'aria-hidden': true }))),
          h('tbody', {}, ...rows),
        );
      }),
    );
  };
  return { id: 'buddy', title: 'Free memory', element, update };
}

const holderName = ({ holder, node }: SheafRow): string =>
  holder === HOLDER_BARN ? `barn of node ${node}` : `CPU ${holder}`;
const sheafFill = (row: SheafRow): number => row.objects / Math.max(1, row.sheaves * row.capacity);

export function sheavesPanel(): Panel {
  const table = new DataTable<SheafRow>({
    caption: 'Sheaves and barns',
    columns: [
      { key: 'cache', title: 'Cache', value: ({ name }) => name, text: ({ name }) => name },
      { key: 'holder', title: 'Where', value: holderName, text: holderName },
      {
        key: 'sheaves',
        title: 'Sheaves',
        value: ({ sheaves }) => sheaves,
        text: ({ sheaves }) => count(sheaves),
      },
      {
        key: 'objects',
        title: 'Objects',
        value: ({ objects }) => objects,
        text: ({ objects }) => count(objects),
      },
      {
        key: 'capacity',
        title: 'Room for',
        value: ({ capacity, sheaves }) => capacity * sheaves,
        text: ({ capacity, sheaves }) => `${count(capacity * sheaves)} (${count(capacity)} each)`,
      },
      {
        key: 'fill',
        title: 'Full',
        value: sheafFill,
        text: (row) => percent(sheafFill(row)),
        share: sheafFill,
      },
    ],
    order: { column: 'objects', descending: true },
    key: (row) => `${row.cache} ${row.holder} ${row.node}`,
    text: (row) => `${row.name} ${holderName(row)}`,
    page: 100,
    empty: 'No sheaf is in use.',
  });
  return {
    id: 'sheaves',
    title: 'Sheaves',
    element: table.element,
    update: ({ sheaves }) => table.update(sheaves),
  };
}

const COUNTED: readonly (readonly [key: keyof CpuRow['counters'], title: string])[] = [
  ['refill', 'Refills'],
  ['flush', 'Flushes'],
  ['barnGet', 'From barn'],
  ['barnPut', 'To barn'],
  ['slabsAllocated', 'Slabs made'],
  ['slabsFreed', 'Slabs freed'],
  ['largeAllocated', 'Large'],
  ['claimsLost', 'Claims lost'],
];

export function cpusPanel(): Panel {
  const text = ({ tag, thread }: CpuRow): string =>
    [tag === undefined ? '' : String(tag), thread === undefined ? '' : `thread ${thread}`]
      .filter(Boolean)
      .join(', ');
  const table = new DataTable<CpuRow>({
    caption: 'CPUs: the threads that have attached',
    columns: [
      { key: 'cpu', title: 'CPU', value: ({ cpu }) => cpu, text: ({ cpu }) => `CPU ${cpu}` },
      { key: 'status', title: 'Status', value: ({ status }) => status, text: ({ status }) => status },
      { key: 'who', title: 'Who', value: text, text },
      {
        key: 'sheaves',
        title: 'Sheaves',
        value: ({ sheaves }) => sheaves,
        text: ({ sheaves }) => count(sheaves),
      },
      {
        key: 'objects',
        title: 'Objects in them',
        value: ({ objects }) => objects,
        text: ({ objects }) => count(objects),
      },
      ...COUNTED.map(([key, title]) => ({
        key,
        title,
        value: (row: CpuRow): number => row.counters[key],
        text: (row: CpuRow): string => count(row.counters[key]),
      })),
    ],
    order: { column: 'cpu', descending: false },
    key: ({ cpu }) => String(cpu),
  });
  return { id: 'cpus', title: 'CPUs', element: table.element, update: ({ cpus }) => table.update(cpus) };
}

/** A slab, or a run of frames of one kind: what the map shows, in words. */
interface FrameRow {
  first: number;
  frames: number;
  what: string;
  live: number;
  objects: number;
  cached: number;
}

function frameRows({ frames, figures }: Moment): FrameRow[] {
  const names = new Map(figures.caches.map(({ id, name }) => [id, name]));
  const rows: FrameRow[] = [];
  for (let pfn = frames.start; pfn < frames.end; ) {
    const kind = frames.kind[pfn];
    let end = pfn + 1;
    if (kind === FRAME.FREE) while (end < frames.end && frames.kind[end] === kind) end++;
    else while (end < frames.end && frames.head[end] === frames.head[pfn]) end++;
    const what = kind === FRAME.SLAB ? `slab of ${names.get(frames.cache[pfn]) ?? '?'}` : FRAME_NAMES[kind];
    const { live, objects, cached } = frames;
    rows.push({
      first: pfn,
      frames: end - pfn,
      what,
      live: live[pfn],
      objects: objects[pfn],
      cached: cached[pfn],
    });
    pfn = end;
  }
  return rows;
}

export function framesPanel(onChoose: (pfn: number) => void): Panel {
  let pageSize = 1;
  const share = ({ live, objects }: FrameRow): number => (objects === 0 ? 0 : live / objects);
  const table = new DataTable<FrameRow>({
    caption: 'Page frames',
    columns: [
      {
        key: 'first',
        title: 'Address',
        value: ({ first }) => first,
        text: ({ first }) => address(first * pageSize),
      },
      { key: 'frame', title: 'Frame', value: ({ first }) => first, text: ({ first }) => String(first) },
      { key: 'frames', title: 'Frames', value: ({ frames }) => frames, text: ({ frames }) => count(frames) },
      {
        key: 'size',
        title: 'Size',
        value: ({ frames }) => frames,
        text: ({ frames }) => bytes(frames * pageSize),
      },
      { key: 'what', title: 'What', value: ({ what }) => what, text: ({ what }) => what },
      {
        key: 'live',
        title: 'Live',
        value: ({ live }) => live,
        text: (row) => (row.objects === 0 ? '' : count(row.live)),
      },
      {
        key: 'cached',
        title: 'In sheaves',
        value: ({ cached }) => cached,
        text: (row) => (row.objects === 0 ? '' : count(row.cached)),
      },
      {
        key: 'objects',
        title: 'Objects',
        value: ({ objects }) => objects,
        text: (row) => (row.objects === 0 ? '' : count(row.objects)),
      },
      {
        key: 'fill',
        title: 'Used',
        value: share,
        text: (row) => (row.objects === 0 ? '' : percent(share(row))),
        share,
      },
    ],
    order: { column: 'first', descending: false },
    key: ({ first }) => String(first),
    text: ({ what, first }) => `${what} ${first} ${address(first * pageSize)}`,
    onChoose: (row) => onChoose(row?.first ?? -1),
    page: 100,
  });
  const update = (moment: Moment): void => {
    pageSize = moment.frames.pageSize;
    table.update(frameRows(moment));
  };
  return { id: 'frames', title: 'Frames', element: table.element, update };
}

/** `load`: asks the source, which only knows when the heap tracks its objects. */
export function leaksPanel(load: () => Promise<unknown>): Panel {
  const table = new DataTable<LeakRow>({
    caption: 'Live objects by who allocated them',
    columns: [
      { key: 'stack', title: 'Allocated by', value: ({ stack }) => stack, text: ({ stack }) => stack },
      { key: 'cache', title: 'Cache', value: ({ cache }) => cache, text: ({ cache }) => cache },
      {
        key: 'objects',
        title: 'Objects',
        value: ({ objects }) => objects,
        text: (row) => count(row.objects),
      },
      { key: 'bytes', title: 'Memory', value: (row) => row.bytes, text: (row) => bytes(row.bytes) },
    ],
    order: { column: 'bytes', descending: true },
    key: ({ stack, cache }) => `${cache} ${stack}`,
    text: ({ stack, cache }) => `${cache} ${stack}`,
    page: 100,
    empty: 'No tracked object is live.',
  });
  let isLoading = false;
  const update = (): void => {
    if (isLoading) return;
    isLoading = true;
    load()
      .then((leaks) => table.update(leakRows(leaks)))
      .catch(() => table.update([]))
      .finally(() => {
        isLoading = false;
      });
  };
  return { id: 'leaks', title: 'Leaks', element: h('div', { class: 'leaks' }, table.element), update };
}
