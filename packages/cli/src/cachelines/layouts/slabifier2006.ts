/**
 * The slabifier of 2006 (MODSLAB V3): no arrays. A CPU has an active slab, whose free list is a chain through the free
 * objects, its head in `struct page`. Allocation locks the page, takes the head, and reads the object for the next one;
 * free finds the page and writes the head into the object.
 */

import { type Layout, LINE_WORDS, Memory, PAGE_WORDS, virtToPage } from './memory.ts';

// Words of `struct page`: flags with the lock, cache, free list, objects in use, next partial page.
const LOCK = 0;
const SLAB = 2;
const FREELIST = 4;
const INUSE = 6;
const NEXT = 8;
// Words of the cache: this CPU's active page, the partial list on a line of its own.
const ACTIVE = 0;
const PARTIAL = LINE_WORDS;

export class Slabifier2006 implements Layout {
  readonly name = 'slabifier 2006';
  readonly words: Int32Array;
  readonly pagesEnd: number;
  slow = 0;
  private readonly memory: Memory;
  private readonly vmemMap: number;
  private readonly cache: number;
  private readonly objectWords: number;
  private readonly perSlab: number;
  private nextPage = 1;

  constructor(objectBytes: number, pages: number) {
    this.memory = new Memory(pages, 4096);
    this.words = this.memory.words;
    this.pagesEnd = this.memory.pagesEnd;
    this.vmemMap = this.memory.vmemMap;
    this.cache = this.memory.part('kmem_cache', 4 * LINE_WORDS);
    this.objectWords = objectBytes / 4;
    this.perSlab = Math.floor(PAGE_WORDS / this.objectWords);
  }

  region(word: number): string {
    return this.memory.region(word);
  }

  alloc(): number {
    const w = this.words;
    let page = w[this.cache + ACTIVE];
    if (page === 0 || w[page + FREELIST] === 0) page = this.activate();
    if (page === 0) return 0;
    w[page + LOCK] = 1;
    const object = w[page + FREELIST];
    w[page + FREELIST] = w[object];
    w[page + INUSE]++;
    w[page + LOCK] = 0;
    return object;
  }

  free(address: number): void {
    const w = this.words;
    const page = virtToPage(this.vmemMap, address);
    w[page + LOCK] = 1;
    const head = w[page + FREELIST];
    w[address] = head;
    w[page + FREELIST] = address;
    w[page + INUSE]--;
    w[page + LOCK] = 0;
    // A full slab becomes partial: it is on no list before.
    const cache = w[page + SLAB];
    if (head === 0 && page !== w[cache + ACTIVE]) {
      w[page + NEXT] = w[cache + PARTIAL];
      w[cache + PARTIAL] = page;
    }
  }

  private activate(): number {
    this.slow++;
    const w = this.words;
    let page = w[this.cache + PARTIAL];
    if (page === 0) page = this.grow();
    else w[this.cache + PARTIAL] = w[page + NEXT];
    w[this.cache + ACTIVE] = page;
    return page;
  }

  private grow(): number {
    if (this.nextPage > this.memory.pages) return 0;
    const w = this.words;
    const start = this.nextPage++ * PAGE_WORDS;
    const page = virtToPage(this.vmemMap, start);
    w[page + SLAB] = this.cache;
    for (let i = 0; i < this.perSlab; i++)
      w[start + i * this.objectWords] = i + 1 < this.perSlab ? start + (i + 1) * this.objectWords : 0;
    w[page + FREELIST] = start;
    w[page + INUSE] = 0;
    return page;
  }
}
