/** `modslab info -r`: all that is known of one cache, in words, as slabinfo's report. */
import type { CacheCounters, HeapImage } from 'modslab/stat';
import { type CacheRow, count, percent, size } from '../look/figures.ts';

const yesNo = (value: boolean): string => (value ? 'On' : 'Off');

function traits(row: CacheRow): string[] {
  const all: [boolean, string][] = [
    [row.hwcacheAlign, '** Objects begin on cache lines'],
    [row.cacheDma, '** Memory of the DMA zone'],
    [row.destroyByRcu, '** Slabs are reused by others after a grace period only (typesafe by RCU)'],
    [row.reclaimAccount, '** Memory is counted as reclaimable'],
    [row.ctor !== '', `** Constructed by a ${row.ctor}`],
    [row.aliasNames.length > 0, `** Shares its slabs with: ${row.aliasNames.join(', ')}`],
  ];
  return all.filter(([has]) => has).map(([, text]) => text);
}

function perf(counters: CacheCounters): string[] {
  const { allocFastpath, allocSlowpath, freeFastpath, freeSlowpath, freeRcu } = counters;
  const allocs = allocFastpath + allocSlowpath;
  const frees = freeFastpath + freeSlowpath + freeRcu;
  const line = (title: string, alloc: number | undefined, free: number | undefined): string => {
    const cells = [
      alloc === undefined ? '' : count(alloc),
      free === undefined ? '' : count(free),
      alloc === undefined ? '' : percent(alloc, allocs),
      free === undefined ? '' : percent(free, frees),
    ];
    const [a, b, c, d] = cells;
    return `${title.padEnd(24)}${a.padStart(9)}${b.padStart(9)}${c.padStart(5)}${d.padStart(5)}`.trimEnd();
  };
  return [
    `${'Slab Perf Counter'.padEnd(24)}${'Alloc'.padStart(9)}${'Free'.padStart(9)}${'%Al'.padStart(5)}${'%Fr'.padStart(5)}`,
    '-'.repeat(52),
    line('Fastpath, at least', allocFastpath, freeFastpath),
    line('Slowpath', allocSlowpath, freeSlowpath),
    line('After a grace period', undefined, freeRcu),
    line('Sheaves: refill, flush', counters.sheafRefill, counters.sheafFlush),
    line('Barn: get, put', counters.barnGet, counters.barnPut),
    line('Barn: none, no room', counters.barnGetFail, counters.barnPutFail),
    line('Page alloc, free', counters.allocSlab, counters.freeSlab),
    `Swaps of sheaves ${count(counters.sheafSwap)}, order fallbacks ${count(counters.orderFallback)}, allocated less freed ${count(counters.balance)}`,
  ];
}

function byCpu(row: CacheRow): string[] {
  if (row.countersByCpu.length === 0) return ['not used since the counters were cleared'];
  const head = ['CPU', 'Alloc>=', 'Free>=', 'Balance', 'Refill', 'Flush', 'Get', 'Put'];
  const cells = row.countersByCpu.map((cpu) =>
    [
      String(cpu.cpu),
      count(cpu.allocFastpath + cpu.allocSlowpath),
      count(cpu.freeFastpath + cpu.freeSlowpath + cpu.freeRcu),
      count(cpu.balance),
      count(cpu.sheafRefill),
      count(cpu.sheafFlush),
      count(cpu.barnGet),
      count(cpu.barnPut),
    ]
      .map((text) => text.padStart(8))
      .join(''),
  );
  return [head.map((text) => text.padStart(8)).join(''), ...cells];
}

export function reportOf(row: CacheRow, image: HeapImage, exact: boolean): string {
  const bytes = (value: number): string => size(value, exact);
  const column = (label: string, value: string): string => `${label.padEnd(8)}: ${value.padStart(8)}`;
  const slabBytes = row.pagesPerSlab * image.pageSize;
  const pad = (texts: string[]): string =>
    texts
      .map((text) => text.padEnd(21))
      .join('')
      .trimEnd();
  const nodes = row.slabsByNode.map((slabs, node) => `N${node}=${slabs}`).join(' ');
  return `${[
    `Slabcache: ${row.name}  Aliases: ${row.aliases}  Order: ${row.order}  Objects: ${count(row.objects, true)}`,
    `from ${row.allocator}`,
    ...traits(row),
    '',
    pad(['Sizes (bytes)', 'Slabs', 'Debug', 'Memory']),
    '-'.repeat(80),
    pad([
      column('Object', String(row.objectSize)),
      column('Total', count(row.slabs, exact)),
      column('Sanity', yesNo(row.sanityChecks)),
      column('Total', bytes(row.space)),
    ]),
    pad([
      column('SlabObj', String(row.slabSize)),
      column('Active', count(row.activeSlabs, exact)),
      column('Redzone', yesNo(row.redZone)),
      column('Used', bytes(row.used)),
    ]),
    pad([
      column('SlabSiz', bytes(slabBytes)),
      column('Partial', count(row.partial, exact)),
      column('Poison', yesNo(row.poison)),
      column('Loss', bytes(row.loss)),
    ]),
    pad([
      column('Loss', String(row.slabSize - row.objectSize)),
      column('CpuSlab', String(row.cpuSlabs)),
      column('Track', yesNo(row.storeUser)),
      column('Cached', bytes(row.objectsCached * row.slabSize)),
    ]),
    pad([
      column('Align', String(row.align)),
      column('Objects', String(row.objsPerSlab)),
      column('Trace', yesNo(row.trace)),
      column('Waiting', bytes(row.objectsWaiting * row.slabSize)),
    ]),
    pad([
      column('User', String(row.usersize)),
      column('Parked', `${row.parked}/${row.minPartial}`),
      column('Nodes', nodes),
    ]),
    '',
    `Sheaves: ${row.sheaves} in use, ${row.barn} of them in barns, of ${row.sheafCapacity} objects`,
    '',
    ...perf(row.counters),
    '',
    ...byCpu(row),
  ].join('\n')}\n`;
}
