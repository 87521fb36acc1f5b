/**
 * Linux's sheaves since 7.0: per-CPU arrays of free objects ("sheaves", a main and a spare) in front of SLUB's slabs,
 * whose free lists still run through the free objects. A pop and a push touch no object; a refill and a flush touch
 * every one that they move.
 */

import { type Layout, LINE_WORDS, Memory, PAGE_WORDS, POINTER_WORDS, virtToPage } from './memory.ts';

const CAPACITY = 60;
// Words of `struct slab`: cache, free list, objects in use, next partial one.
const CACHE = 2;
const FREELIST = 4;
const INUSE = 6;
const NEXT = 8;
// Words of the cache: the per-CPU pointer; the partial list on a line of its own.
const PCS = 0;
const PARTIAL = LINE_WORDS;
// Words of the per-CPU structure: main, spare. Of a sheaf: its size, then the objects.
const MAIN = 0;
const SPARE = 2;
const OBJECTS = 4;

export class LinuxSheaves implements Layout {
  readonly name = 'Linux sheaves';
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
    const { memory } = this;
    this.words = memory.words;
    this.pagesEnd = memory.pagesEnd;
    this.vmemMap = memory.vmemMap;
    this.cache = memory.part('kmem_cache', 4 * LINE_WORDS);
    const pcs = memory.part('per-CPU pointers', LINE_WORDS);
    this.words[this.cache + PCS] = pcs;
    this.words[pcs + MAIN] = memory.part('sheaf', OBJECTS + CAPACITY * POINTER_WORDS);
    this.words[pcs + SPARE] = memory.part('sheaf', OBJECTS + CAPACITY * POINTER_WORDS);
    this.objectWords = objectBytes / 4;
    this.perSlab = Math.floor(PAGE_WORDS / this.objectWords);
  }

  region(word: number): string {
    return this.memory.region(word);
  }

  alloc(): number {
    const w = this.words;
    const pcs = w[this.cache + PCS];
    let sheaf = w[pcs + MAIN];
    if (w[sheaf] === 0) {
      sheaf = this.swap(pcs);
      if (w[sheaf] === 0) this.refill(sheaf);
    }
    const n = w[sheaf];
    if (n === 0) return 0;
    w[sheaf] = n - 1;
    return w[sheaf + OBJECTS + (n - 1) * POINTER_WORDS];
  }

  free(address: number): void {
    const w = this.words;
    const cache = w[virtToPage(this.vmemMap, address) + CACHE];
    const pcs = w[cache + PCS];
    let sheaf = w[pcs + MAIN];
    if (w[sheaf] === CAPACITY) {
      sheaf = this.swap(pcs);
      if (w[sheaf] === CAPACITY) this.flush(sheaf);
    }
    const n = w[sheaf];
    w[sheaf + OBJECTS + n * POINTER_WORDS] = address;
    w[sheaf] = n + 1;
  }

  private swap(pcs: number): number {
    const w = this.words;
    const main = w[pcs + SPARE];
    w[pcs + SPARE] = w[pcs + MAIN];
    w[pcs + MAIN] = main;
    return main;
  }

  private refill(sheaf: number): void {
    this.slow++;
    const w = this.words;
    while (w[sheaf] < CAPACITY) {
      const page = w[this.cache + PARTIAL] || this.grow();
      if (page === 0) return;
      const object = w[page + FREELIST];
      w[page + FREELIST] = w[object];
      w[page + INUSE]++;
      if (w[page + FREELIST] === 0) w[this.cache + PARTIAL] = w[page + NEXT];
      w[sheaf + OBJECTS + w[sheaf] * POINTER_WORDS] = object;
      w[sheaf]++;
    }
  }

  private flush(sheaf: number): void {
    this.slow++;
    const w = this.words;
    for (let i = 0; i < CAPACITY; i++) {
      const address = w[sheaf + OBJECTS + i * POINTER_WORDS];
      const page = virtToPage(this.vmemMap, address);
      w[address] = w[page + FREELIST];
      if (w[page + FREELIST] === 0) {
        w[page + NEXT] = w[this.cache + PARTIAL];
        w[this.cache + PARTIAL] = page;
      }
      w[page + FREELIST] = address;
      w[page + INUSE]--;
    }
    w[sheaf] = 0;
  }

  private grow(): number {
    if (this.nextPage > this.memory.pages) return 0;
    const w = this.words;
    const start = this.nextPage++ * PAGE_WORDS;
    const page = virtToPage(this.vmemMap, start);
    w[page + CACHE] = this.cache;
    for (let i = 0; i < this.perSlab; i++)
      w[start + i * this.objectWords] = i + 1 < this.perSlab ? start + (i + 1) * this.objectWords : 0;
    w[page + FREELIST] = start;
    w[page + NEXT] = 0;
    w[this.cache + PARTIAL] = page;
    return page;
  }
}
