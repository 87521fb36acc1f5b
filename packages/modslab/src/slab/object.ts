/**
 * What an address is: the slow, complete form of the check that the fast path makes in one go. It says why an address
 * is refused, and changes nothing.
 */

import { entryOf } from '../memory/entry.ts';
import { checkNumber, hex, SlabError } from '../memory/errors.ts';
import {
  C_GRANULES,
  C_LEFT,
  C_OBJECTS,
  C_OFFSET_MASK,
  C_RECIPROCAL,
  C_RECIPROCAL_SHIFT,
  cacheAt,
  GRANULE_SHIFT,
  H_FRAMES,
  pageAt,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import {
  CONTINUED,
  cacheOf,
  isLive,
  KIND_LARGE,
  KIND_NONE,
  KIND_PAGES,
  KIND_RCU,
  KIND_SLAB,
  KIND_SLAB_TAIL,
  KIND_VMALLOC,
  kindOf,
  PAGE_FLAGS,
  PAGE_HEAD,
  PAGE_LAST,
  PAGE_STATES,
} from '../page/page.ts';
import { type CacheTable, stateAt } from './cacheTable.ts';
import { headOfRun, isSlob, nameAt } from './granules.ts';

/** The frame that an address lies in. Throws `TypeError` or `EFAULT` unless the heap has that frame. */
export function checkAddress(metadata: Metadata, address: number): number {
  const { m, layout } = metadata;
  checkNumber('an address', address);
  const pfn = address >>> layout.pageShift;
  if (address >>> 0 !== address || pfn < layout.startFrame || pfn >= m[H_FRAMES]) {
    throw new SlabError('EFAULT', `${hex(address)} is not an address of this heap`, address);
  }
  return pfn;
}

/** Index of the object of cache `id` that begins at `address`, or -1. */
export function objectIndex(metadata: Metadata, id: number, address: number): number {
  const { m, layout } = metadata;
  const cache = cacheAt(layout, id);
  const offset = entryOf(address) & m[cache + C_OFFSET_MASK];
  const index = Math.imul(offset, m[cache + C_RECIPROCAL]) >>> m[cache + C_RECIPROCAL_SHIFT];
  const begins =
    (address & 7) === 0 && Math.imul(index, m[cache + C_GRANULES]) + m[cache + C_LEFT] === offset;
  return begins && index < m[cache + C_OBJECTS] ? index : -1;
}

function refuse(metadata: Metadata, address: number, page: number, table: CacheTable): never {
  const { m } = metadata;
  const flags = m[page + PAGE_FLAGS];
  const head = pageAt(metadata.layout, m[page + PAGE_HEAD]);
  const isFree = kindOf(flags) === KIND_NONE || kindOf(flags) === KIND_RCU;
  if (!isFree && kindOf(m[head + PAGE_FLAGS]) === KIND_PAGES) {
    throw new SlabError(
      'EFAULT',
      `${hex(address)} lies in pages, not in an object: freePages gives them back`,
      address,
    );
  }
  if (kindOf(flags) === KIND_VMALLOC) {
    throw new SlabError('EFAULT', `${hex(address)} lies in a vmalloc area, not in an object`, address);
  }
  if (!isFree) {
    const object = m[page + PAGE_HEAD] * 2 ** metadata.layout.pageShift;
    throw new SlabError('EINTERIOR', `${hex(address)} lies inside the object at ${hex(object)}`, address);
  }
  const last = m[page + PAGE_LAST];
  const id = cacheOf(last);
  const wasObject = kindOf(last) === KIND_SLAB || kindOf(last) === KIND_SLAB_TAIL;
  const wasLarge = kindOf(last) === KIND_LARGE && address % 2 ** metadata.layout.pageShift === 0;
  if (wasLarge || (wasObject && objectIndex(metadata, id, address) >= 0)) {
    const name = wasObject ? table.name(id) : undefined;
    throw new SlabError('EDOUBLEFREE', `${hex(address)} is free already, and so is its page`, address, name);
  }
  throw new SlabError('EFAULT', `${hex(address)} lies in a page that holds no objects`, address);
}

/**
 * The number of the cache that the live object at `address` belongs to; throws `EFAULT`, `EINTERIOR`, `EDOUBLEFREE`, or
 * `ECACHE` if it is not of cache `expected` (0: any). Large objects are not slab objects: they are refused here.
 */
export function checkObject(
  metadata: Metadata,
  address: number,
  expected: number,
  table: CacheTable,
): number {
  const { m, s, layout } = metadata;
  const pfn = checkAddress(metadata, address);
  const page = pageAt(layout, pfn);
  const flags = m[page + PAGE_FLAGS];
  const kind = kindOf(flags);
  if (kind === KIND_LARGE && expected !== 0) {
    const name = table.name(expected);
    throw new SlabError(
      'ECACHE',
      `${hex(address)} is not of cache '${name}': kmalloc made it`,
      address,
      name,
    );
  }
  if (kind !== KIND_SLAB && kind !== KIND_SLAB_TAIL) refuse(metadata, address, page, table);
  const id = cacheOf(flags);
  if (objectIndex(metadata, id, address) < 0) {
    const name = table.name(id);
    throw new SlabError(
      'EINTERIOR',
      `${hex(address)} is not the first byte of an object of '${name}'`,
      address,
      name,
    );
  }
  const state = stateAt(m, cacheAt(layout, id), entryOf(address));
  if (s[state] === CONTINUED) {
    const object = address - ((state - headOfRun(s, state)) << GRANULE_SHIFT);
    throw new SlabError('EINTERIOR', `${hex(address)} lies inside the object at ${hex(object)}`, address);
  }
  if (!isLive(s[state])) {
    const name = table.name(id);
    throw new SlabError('EDOUBLEFREE', `${hex(address)} of cache '${name}' is free already`, address, name);
  }
  const own = isSlob(metadata, id) ? nameAt(metadata, pfn, state - m[page + PAGE_STATES]) : id;
  if (expected !== 0 && own !== expected) {
    const [name, wanted] = [table.name(own), table.name(expected)];
    throw new SlabError(
      'ECACHE',
      `${hex(address)} is of cache '${name}', not of '${wanted}'`,
      address,
      wanted,
    );
  }
  return own;
}
