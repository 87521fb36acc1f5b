/**
 * What it costs to get from an address to what is known of its page, by the ways that the thread of 2006 names: pages of
 * 4 KiB, a descriptor of one line for each. Every way ends with a load from that line, as `kfree` needs it.
 *
 *     throughput   addresses are known beforehand, so the processor overlaps their misses
 *     latency      the next address depends on what the last lookup has loaded
 */

import { type Contestant, copyOf, randomOrder, timeSideBySide } from './timing.ts';

const PAGE_SHIFT = 12;
const DESCRIPTOR_WORDS = 16;
const PAGE_WORDS = 1024;
/** Pages of a section (2006: SECTION_SIZE_BITS 27), of a node's chunk, and of a table of the page table. */
const SECTION_SHIFT = 15;
const CHUNK_SHIFT = 12;
const TABLE_SHIFT = 9;
const WARM_PAGES = 64;
const ADDRESSES = 2 ** 20;
/** Lookups of a round: few, so that some rounds are not disturbed; the next goes on where it ended. */
const ROUND = 2 ** 13;

/** Nanoseconds of one lookup, the loop over the addresses taken off. */
export interface LookupRow {
  name: string;
  warmThroughput: number;
  warmLatency: number;
  coldThroughput: number;
  coldLatency: number;
}

type Lookup = (address: number) => number;

/** The tables of a machine with so many pages, and the ways to look up in them. */
function ways(pages: number): [string, Lookup][] {
  const m = new Int32Array((pages + 1) * DESCRIPTOR_WORDS);
  const vmemMap = DESCRIPTOR_WORDS;
  const sections = new Int32Array(Math.max(1, pages >>> SECTION_SHIFT));
  for (let i = 0; i < sections.length; i++) sections[i] = vmemMap;
  const roots = Array.from(
    { length: Math.max(1, sections.length >>> 1) },
    () => new Int32Array([vmemMap, vmemMap]),
  );
  const nodeOfChunk = new Uint8Array(Math.max(1, pages >>> CHUNK_SHIFT)).map((_, i) => i & 3);
  const nodeMaps = new Int32Array(4 * DESCRIPTOR_WORDS);
  for (let node = 0; node < 4; node++) nodeMaps[node * DESCRIPTOR_WORDS] = vmemMap;
  const data = new Int32Array(pages * PAGE_WORDS);
  // Touched, so that the pages are there.
  for (let i = 0; i < data.length; i += PAGE_WORDS) data[i] = 0;
  const { top, tables } = pageTable(pages);
  return [
    ['flat vmem_map', (address) => m[vmemMap + (address >>> PAGE_SHIFT) * DESCRIPTOR_WORDS]],
    [
      'sparse: section table',
      (address) =>
        m[sections[address >>> (PAGE_SHIFT + SECTION_SHIFT)] + (address >>> PAGE_SHIFT) * DESCRIPTOR_WORDS],
    ],
    [
      'sparse extreme: two tables',
      (address) => {
        const section = address >>> (PAGE_SHIFT + SECTION_SHIFT);
        return m[roots[section >>> 1][section & 1] + (address >>> PAGE_SHIFT) * DESCRIPTOR_WORDS];
      },
    ],
    [
      'discontiguous: node, its map',
      (address) => {
        const node = nodeOfChunk[address >>> (PAGE_SHIFT + CHUNK_SHIFT)];
        return m[nodeMaps[node * DESCRIPTOR_WORDS] + (address >>> PAGE_SHIFT) * DESCRIPTOR_WORDS];
      },
    ],
    ['mask to a header in the page', (address) => data[(address & ~0xfff) >>> 2]],
    [
      'vmalloc: page table, then vmem_map',
      (address) => {
        const page = address >>> PAGE_SHIFT;
        const table = top[page >>> TABLE_SHIFT];
        const frame = tables[(table << TABLE_SHIFT) + (page & 511)];
        return m[vmemMap + frame * DESCRIPTOR_WORDS];
      },
    ],
  ];
}

/** Two levels of tables, frames scattered. */
function pageTable(pages: number): { top: Int32Array; tables: Int32Array } {
  const top = new Int32Array(Math.max(1, pages >>> TABLE_SHIFT));
  for (let i = 0; i < top.length; i++) top[i] = (i * 7) % top.length;
  const tables = new Int32Array(Math.max(512, pages));
  for (let i = 0; i < tables.length; i++) tables[i] = Math.imul(i, 40_503) & (pages - 1);
  return { top, tables };
}

const throughput = (lookup: Lookup, addresses: Uint32Array, start: number, operations: number): number => {
  let sum = 0;
  for (let i = start; i < start + operations; i++)
    sum = (sum + lookup(addresses[i & (addresses.length - 1)])) | 0;
  return sum;
};

/** Descriptors hold zeros, which the processor cannot know before it has loaded them. */
const latency = (lookup: Lookup, addresses: Uint32Array, start: number, operations: number): number => {
  let at = start;
  for (let i = start; i < start + operations; i++)
    at = (i + lookup(addresses[at & (addresses.length - 1)])) | 0;
  return at;
};

function contestants(all: [string, Lookup][], loop: typeof throughput, addresses: Uint32Array): Contestant[] {
  return all.map(([name, lookup], i) => {
    const own = copyOf(loop);
    // Far apart, so that none finds in the cache what another has just loaded.
    let start = i * (addresses.length >>> 3);
    const run = (operations: number): number => {
      start = (start + operations) & (addresses.length - 1);
      return own(lookup, addresses, start, operations);
    };
    return { name, run };
  });
}

/** Times every way, warm and over the whole of `mib` MiB. `mib` is a power of two. */
export function lookupRows(mib: number, rounds: number): LookupRow[] {
  const pages = (mib * 2 ** 20) >>> PAGE_SHIFT;
  const baseline: [string, Lookup] = ['the loop alone', (address) => address >>> 31];
  const addressesIn = (count: number): Uint32Array =>
    randomOrder(ADDRESSES, count).map((page, i) => page * 4096 + ((i * 64) & 0xfff));
  const times = [throughput, latency].flatMap((loop) =>
    [WARM_PAGES, pages].map((count) =>
      timeSideBySide(contestants([baseline, ...ways(pages)], loop, addressesIn(count)), ROUND, rounds),
    ),
  );
  const names = [...times[0].keys()].filter((name) => name !== baseline[0]);
  const cost = (index: number, name: string): number =>
    Math.max(0, (times[index].get(name) ?? 0) - (times[index].get(baseline[0]) ?? 0));
  return names.map((name) => ({
    name,
    warmThroughput: cost(0, name),
    warmLatency: cost(2, name),
    coldThroughput: cost(1, name),
    coldLatency: cost(3, name),
  }));
}
