/**
 * Who has which object: the check that no memory is ever handed out twice.
 *
 * A thread that was given an object *claims* its granules in the board's map of tags, by compare-and-swap from 0 to a
 * tag that no other object has had lately; a granule that carries a tag already has two owners, and the test fails with
 * both of them named. The first 8 granules are claimed one by one, of those beyond one in 64 and the last. Then the object is filled
 * with a pattern made from its tag, which is verified before it is given back: so a write of somebody else into it is
 * found, wherever it came from.
 *
 * Large objects are filled and verified by samples: the first 48 words, one in 64 of the rest, the last 8.
 */

import type { Address, Heap } from 'modslab';
import type { Board } from './board.ts';

/** What an object came from, and so how it is freed. Kinds from `CACHE` on: the mix's cache number kind - CACHE. */
export const KMALLOC = 0;
export const PAGES = 1;
export const CACHE = 2;
/** The cache whose constructor marks the first 8 bytes; the pattern leaves them alone. */
export const MARKED = 4;

export const MARK = 0x5ca1ab1e;

const SIZE_BITS = 28;
const SIZE_MASK: number = 2 ** SIZE_BITS - 1;
const GRANULE = 8;
const ALL_GRANULES = 8;
const GRANULE_STEP = 64;
const ALL_WORDS = 48;
const WORD_STEP = 64;
const LAST_WORDS = 8;
const SERIAL_BITS = 22;

export interface Whole {
  readonly size: number;
  readonly kind: number;
}

/** The kind and size of the object that begins at `address`, or undefined while none is whole there. */
export function wholeAt(board: Board, address: Address): Whole | undefined {
  const word = Atomics.load(board.sizes, address / GRANULE) >>> 0;
  return word === 0 ? undefined : { size: (word & SIZE_MASK) - 1, kind: word >>> SIZE_BITS };
}

/** The order of pages of a known size. */
export function orderOf(heap: Heap, { size }: Whole): number {
  return Math.log2(size / heap.pageSize);
}

const hex = (address: Address): string => `0x${address.toString(16)}`;

export class Objects {
  private readonly heap: Heap;
  private readonly board: Board;
  private readonly owner: number;
  private serial: number;

  /** `worker` is this thread's number; `life` tells it from an earlier thread of that number. */
  constructor(heap: Heap, board: Board, worker: number, life = 0) {
    this.heap = heap;
    this.board = board;
    this.owner = (worker + 1) << SERIAL_BITS;
    this.serial = Math.imul(life, 7919);
  }

  /** Claims and fills the object that this thread was just given. */
  own(address: Address, size: number, kind: number): void {
    const tag = this.owner | (++this.serial & (2 ** SERIAL_BITS - 1));
    const end = this.lastGranule(address, size);
    for (let at = address / GRANULE; at <= end; at = this.nextGranule(at, address, end)) {
      const found = Atomics.compareExchange(this.board.tags, at, 0, tag);
      if (found !== 0) this.twoOwners(at * GRANULE, address, size, found);
    }
    this.fill(address, size, kind, tag);
    Atomics.store(this.board.sizes, address / GRANULE, (kind << SIZE_BITS) | (size + 1));
  }

  /** Verifies the object's contents; how large it is. */
  check(address: Address): Whole {
    const whole = wholeAt(this.board, address);
    if (whole === undefined) throw new Error(`no object is known at ${hex(address)}`);
    const tag = this.board.tags[address / GRANULE];
    const { i32, u8 } = this.heap;
    const first = address / 4;
    const words = whole.size >>> 2;
    for (let i = whole.kind === MARKED ? 2 : 0; i < words; i = nextWord(i, words)) {
      if (i32[first + i] !== wordOf(tag, i)) this.spoilt(address, whole.size, i * 4, i32[first + i], tag);
    }
    if (whole.kind === MARKED && i32[first] !== MARK) this.spoilt(address, whole.size, 0, i32[first], MARK);
    for (let i = words * 4; i < whole.size; i++) {
      if (u8[address + i] !== (tag & 0xff)) this.spoilt(address, whole.size, i, u8[address + i], tag);
    }
    return whole;
  }

  /** Verifies the first `length` bytes at `to`, where an object of tag `tag` was moved. */
  checkMoved(to: Address, length: number, tag: number): void {
    const { i32 } = this.heap;
    const words = length >>> 2;
    for (let i = 0; i < words; i = i < ALL_WORDS ? i + 1 : i + WORD_STEP) {
      if (i32[to / 4 + i] !== wordOf(tag, i)) this.spoilt(to, length, i * 4, i32[to / 4 + i], tag);
    }
  }

  /** Verifies the object and gives up the claim: to be called before the object is freed. */
  disown(address: Address): Whole {
    const whole = this.check(address);
    const { tags, sizes } = this.board;
    Atomics.store(sizes, address / GRANULE, 0);
    const tag = tags[address / GRANULE];
    const end = this.lastGranule(address, whole.size);
    for (let at = address / GRANULE; at <= end; at = this.nextGranule(at, address, end)) {
      const found = Atomics.compareExchange(tags, at, tag, 0);
      if (found !== tag) this.twoOwners(at * GRANULE, address, whole.size, found);
    }
    return whole;
  }

  /** The tag of the object at `address`. */
  tagOf(address: Address): number {
    return this.board.tags[address / GRANULE];
  }

  private fill(address: Address, size: number, kind: number, tag: number): void {
    const { i32, u8 } = this.heap;
    const first = address / 4;
    const words = size >>> 2;
    for (let i = kind === MARKED ? 2 : 0; i < words; i = nextWord(i, words)) i32[first + i] = wordOf(tag, i);
    for (let i = words * 4; i < size; i++) u8[address + i] = tag;
  }

  private lastGranule(address: Address, size: number): number {
    return (address + Math.max(1, size) - 1) >>> 3;
  }

  private nextGranule(at: number, address: Address, end: number): number {
    if (at - address / GRANULE < ALL_GRANULES || at === end) return at + 1;
    return Math.min(at + GRANULE_STEP, end);
  }

  private twoOwners(at: Address, address: Address, size: number, found: number): never {
    const other = (found >>> SERIAL_BITS) - 1;
    const { flags, cache } = this.heap.virtToPage(address);
    throw new Error(
      `two owners: ${hex(at)} of the object at ${hex(address)} (${size} bytes, ${flags} ${cache ?? ''}) of worker ` +
        `${(this.owner >>> SERIAL_BITS) - 1} carries tag ${found.toString(16)} of worker ${other}`,
    );
  }

  private spoilt(address: Address, size: number, offset: number, found: number, tag: number): never {
    throw new Error(
      `the object at ${hex(address)} (${size} bytes, tag ${tag.toString(16)}) has ${found.toString(16)} at offset ` +
        `${offset}, where its owner had written something else`,
    );
  }
}

/** Word i of the pattern of a tag; never 0. */
function wordOf(tag: number, i: number): number {
  return Math.imul(tag ^ Math.imul(i + 1, 0x9e3779b1), 0x85ebca6b) | 1;
}

/** The words that are filled and verified: all of a small object, samples of a large one. */
function nextWord(i: number, words: number): number {
  if (i < ALL_WORDS || i >= words - LAST_WORDS) return i + 1;
  return Math.min(i + WORD_STEP, words - LAST_WORDS);
}
