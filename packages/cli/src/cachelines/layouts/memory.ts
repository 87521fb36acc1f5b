/**
 * A kernel's memory, as far as the layouts here need one: pages of 4 KiB with objects in them, `struct page` for each, and
 * the structures of a cache, in one array of 32-bit words. A pointer takes two words, of which the upper one is not used:
 * what counts is which lines are touched.
 */

/** Words of a page, of a line, of a pointer. */
export const PAGE_WORDS = 1024;
export const LINE_WORDS = 16;
export const POINTER_WORDS = 2;
const PAGE_SHIFT = 10;

/** One allocator of objects of one size, with the memory layout of its time. Addresses are word numbers; 0 is none. */
export interface Layout {
  readonly name: string;
  readonly words: Int32Array;
  /** Refills, flushes and new active slabs so far: what tells a fast call from a slow one. */
  slow: number;
  alloc(): number;
  free(address: number): void;
  /** The first word behind the pages: what follows is metadata. */
  readonly pagesEnd: number;
  /** Names the structure that a word behind the pages belongs to. */
  region(word: number): string;
}

/** Hands out parts of the array at set-up. */
export class Memory {
  readonly words: Int32Array;
  readonly pages: number;
  readonly pagesEnd: number;
  /** Where the descriptors of pages begin. */
  readonly vmemMap: number;
  private end: number;
  private readonly parts: [number, string][] = [];

  constructor(pages: number, otherWords: number) {
    this.pages = pages;
    this.pagesEnd = (pages + 1) * PAGE_WORDS;
    this.end = this.pagesEnd;
    this.words = new Int32Array(this.pagesEnd + (pages + 1) * LINE_WORDS + otherWords);
    this.vmemMap = this.part('struct page', (pages + 1) * LINE_WORDS);
  }

  /** So many words on lines of their own. */
  part(name: string, words: number): number {
    const start = this.end;
    this.parts.push([start, name]);
    this.end += Math.ceil(words / LINE_WORDS) * LINE_WORDS;
    if (this.end > this.words.length) throw new RangeError(`no room for ${name}`);
    return start;
  }

  region(word: number): string {
    if (word < this.pagesEnd) return 'object';
    return this.parts.findLast(([start]) => word >= start)?.[1] ?? 'other';
  }
}

/** `virt_to_page`: a shift and a scaled add. */
export const virtToPage = (vmemMap: number, address: number): number =>
  (vmemMap + (address >>> PAGE_SHIFT) * LINE_WORDS) | 0;

/** The first word of the page that an address lies in: Spraul's mask. */
export const pageStart = (address: number): number => address & ~(PAGE_WORDS - 1);
