/** The tables of `modslab info`, in 80 columns: what slabinfo shows, where it means something here. */
import { type CacheRow, type Column, count, percent, size } from '../look/figures.ts';

export type View = 'slabs' | 'loss' | 'activity' | 'numa';

/** slabinfo's letters: aliases, DMA, aligned to lines, poison, reclaimable, red zones, owners, trace; and R, typesafe by RCU. */
export function flagLetters(row: CacheRow): string {
  const letters: [boolean, string][] = [
    [row.aliases > 0, '*'],
    [row.cacheDma, 'd'],
    [row.hwcacheAlign, 'A'],
    [row.poison, 'P'],
    [row.reclaimAccount, 'a'],
    [row.redZone, 'Z'],
    [row.storeUser, 'U'],
    [row.trace, 'T'],
    [row.destroyByRcu, 'R'],
  ];
  return letters
    .filter(([has]) => has)
    .map(([, letter]) => letter)
    .join('');
}

const name = (width: number): Column<CacheRow> => ({
  title: 'Name',
  width,
  left: true,
  text: (row) => row.name,
});

/** Columns of slabs and space; `exact`: numbers in full. */
function slabColumns(exact: boolean, loss: boolean): Column<CacheRow>[] {
  return [
    name(21),
    { title: 'Objects', width: 7, text: (row) => count(row.objects, exact) },
    { title: 'Objsize', width: 7, text: (row) => String(row.objectSize) },
    loss
      ? { title: 'Loss', width: 7, text: (row) => size(row.loss, exact) }
      : { title: 'Space', width: 7, text: (row) => size(row.space, exact) },
    {
      title: 'Slabs/Part/Cpu',
      width: 14,
      text: (row) => `${count(row.slabs, exact)}/${count(row.partial, exact)}/${row.cpuSlabs}`,
    },
    { title: 'O/S', width: 5, text: (row) => String(row.objsPerSlab) },
    { title: 'O', width: 1, text: (row) => String(row.order) },
    { title: '%Fr', width: 3, text: (row) => percent(row.partial, row.slabs) },
    { title: '%Ef', width: 3, text: (row) => percent(row.used, row.space) },
    { title: 'Flg', width: 3, left: true, text: flagLetters },
  ];
}

/** Both ways, how many per cent of the calls took no slow path. */
function fastShares({ counters, allocs, frees }: CacheRow): string {
  return `${percent(counters.allocFastpath, allocs)}/${percent(counters.freeFastpath, frees)}`;
}

function activityColumns(exact: boolean): Column<CacheRow>[] {
  return [
    name(19),
    { title: 'Objects', width: 7, text: (row) => count(row.objects, exact) },
    { title: 'Alloc>=', width: 7, text: (row) => count(row.allocs, exact) },
    { title: 'Free>=', width: 7, text: (row) => count(row.frees, exact) },
    { title: '%Fast', width: 7, text: fastShares },
    { title: 'Refill', width: 6, text: ({ counters }) => count(counters.sheafRefill, exact) },
    { title: 'Flush', width: 6, text: ({ counters }) => count(counters.sheafFlush, exact) },
    {
      title: 'Barn',
      width: 7,
      text: ({ counters }) => `${count(counters.barnGet)}/${count(counters.barnPut)}`,
    },
    { title: 'Fallb', width: 5, text: ({ counters }) => count(counters.orderFallback) },
  ];
}

function numaColumns(exact: boolean, nodes: number): Column<CacheRow>[] {
  const byNode = Array.from(
    { length: nodes },
    (_, node): Column<CacheRow> => ({
      title: `N${node}`,
      width: 7,
      text: (row) => count(row.slabsByNode[node], exact),
    }),
  );
  return [name(21), { title: 'Slabs', width: 7, text: (row) => count(row.slabs, exact) }, ...byNode];
}

export function columnsFor(view: View, exact: boolean, nodes: number): Column<CacheRow>[] {
  if (view === 'activity') return activityColumns(exact);
  if (view === 'numa') return numaColumns(exact, nodes);
  return slabColumns(exact, view === 'loss');
}
