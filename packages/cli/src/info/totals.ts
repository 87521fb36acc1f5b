/** `modslab info -T`: all caches in sum, as slabinfo prints them, and the heap around them. */
import type { HeapImage } from 'modslab/stat';
import { type CacheRow, count, percent, size } from '../look/figures.ts';

type Write = (value: number) => string;

/** Average, least, most and sum of a figure, over the caches that have slabs. */
function spread(
  title: string,
  rows: readonly CacheRow[],
  of: (row: CacheRow) => number,
  write: Write,
): string {
  const values = rows.map(of);
  const sum = values.reduce((a, b) => a + b, 0);
  const cells = [
    values.length === 0 ? 0 : sum / values.length,
    values.length === 0 ? 0 : Math.min(...values),
    values.length === 0 ? 0 : Math.max(...values),
  ].map((value) => write(value).padStart(15));
  return `${title.padEnd(10)} ${cells.join(' ')} ${write(sum).padStart(15)}`;
}

/** The same for one object: weighted by how many there are. */
function perObject(
  title: string,
  rows: readonly CacheRow[],
  of: (row: CacheRow) => number,
  write: Write,
): string {
  const used = rows.filter(({ objects }) => objects > 0);
  const objects = used.reduce((sum, row) => sum + row.objects, 0);
  const total = used.reduce((sum, row) => sum + of(row) * row.objects, 0);
  const values = used.map(of);
  const cells = [
    objects === 0 ? 0 : total / objects,
    values.length === 0 ? 0 : Math.min(...values),
    values.length === 0 ? 0 : Math.max(...values),
  ].map((value) => write(value).padStart(15));
  return `${title.padEnd(10)} ${cells.join(' ')}`;
}

export function totalsOf(all: readonly CacheRow[], image: HeapImage, exact: boolean): string {
  const rows = all.filter(({ slabs }) => slabs > 0);
  const bytes = (value: number): string => size(value, exact);
  const number = (value: number): string => count(value, exact);
  const sum = (of: (row: CacheRow) => number): number => rows.reduce((total, row) => total + of(row), 0);
  const aliases = all.reduce((total, row) => total + row.aliases, 0);
  const [space, used] = [sum((row) => row.space), sum((row) => row.used)];
  const { size: heap, maxSize, footprint, peakFootprint, live } = image.meminfo();
  const online = image.cpus().filter((cpu) => cpu.online).length;
  const pair = (label: string, value: string): string => `${label.padEnd(11)}: ${value.padStart(8)}`;
  return `${[
    'Slabcache Totals',
    '----------------',
    [
      pair('Slabcaches', number(all.length)),
      pair('Aliases', number(aliases)),
      pair('Active', number(rows.length)),
    ].join('   '),
    [
      pair('Memory used', bytes(space)),
      pair('# Loss', bytes(space - used)),
      pair('MRatio', `${percent(space - used, used)}%`),
    ].join('   '),
    [
      pair('# Objects', number(sum((row) => row.objects))),
      pair('# PartObj', number(sum((row) => row.objectsPartial))),
      pair(
        'ORatio',
        `${percent(
          sum((row) => row.objectsPartial),
          sum((row) => row.objects),
        )}%`,
      ),
    ].join('   '),
    [
      pair('# Cached', number(sum((row) => row.objectsCached))),
      pair('# Sheaves', number(sum((row) => row.sheaves))),
      pair('CPUs', number(online)),
    ].join('   '),
    [pair('Heap', bytes(heap)), pair('Most', bytes(maxSize)), pair('Live', bytes(live))].join('   '),
    [
      pair('Footprint', bytes(footprint)),
      pair('Peak', bytes(peakFootprint)),
      pair('Reports', number(image.reports)),
    ].join('   '),
    '',
    `${'Per Cache'.padEnd(10)} ${['Average', 'Min', 'Max', 'Total'].map((title) => title.padStart(15)).join(' ')}`,
    '-'.repeat(74),
    spread('#Objects', rows, (row) => row.objects, number),
    spread('#Slabs', rows, (row) => row.slabs, number),
    spread('#PartSlab', rows, (row) => row.partial, number),
    spread('PartObjs', rows, (row) => row.objectsPartial, number),
    spread('Cached', rows, (row) => row.objectsCached, number),
    spread('Memory', rows, (row) => row.space, bytes),
    spread('Used', rows, (row) => row.used, bytes),
    spread('Loss', rows, (row) => row.loss, bytes),
    '',
    `${'Per Object'.padEnd(10)} ${['Average', 'Min', 'Max'].map((title) => title.padStart(15)).join(' ')}`,
    '-'.repeat(58),
    perObject('Memory', rows, (row) => row.slabSize, bytes),
    perObject('User', rows, (row) => row.objectSize, bytes),
    perObject('Loss', rows, (row) => row.slabSize - row.objectSize, bytes),
  ].join('\n')}\n`;
}
