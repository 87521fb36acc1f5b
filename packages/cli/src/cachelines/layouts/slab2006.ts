/**
 * SLAB as it was in 2006 (mm/slab.c of 2.6.18): a per-CPU array of free objects in front of slabs whose descriptor and
 * index list (`kmem_bufctl_t`) lie at the page's start. `kfree` finds the cache and the slab in `struct page`; on NUMA it
 * reads the slab's node as well, to send foreign objects to alien arrays.
 *
 * The variant `masked` is Spraul's (17 August 2006): the cache pointer is in the header at the page's start too, found by
 * masking the address, so `struct page` is not touched.
 */

import {
  type Layout,
  LINE_WORDS,
  Memory,
  PAGE_WORDS,
  POINTER_WORDS,
  pageStart,
  virtToPage,
} from './memory.ts';

/** Objects that the array holds, and that go to and from slabs at once. */
const LIMIT = 120;
const BATCH = 60;

// Words of a slab's header, then one word an object: the index of the next free one.
const SLAB_CACHE = 0;
const SLAB_INUSE = 4;
const SLAB_FREE = 6;
const SLAB_NODE = 8;
const SLAB_NEXT = 2;
const SLAB_BUFCTL = 12;

export class Slab2006 implements Layout {
  readonly name: string;
  readonly words: Int32Array;
  readonly pagesEnd: number;
  slow = 0;
  private readonly memory: Memory;
  private readonly vmemMap: number;
  private readonly cache: number;
  private readonly array: number;
  private readonly objectWords: number;
  private readonly first: number;
  private readonly perSlab: number;
  private readonly masked: boolean;
  private readonly numa: boolean;
  private nextPage = 1;

  constructor(objectBytes: number, pages: number, variant: 'smp' | 'numa' | 'masked') {
    this.memory = new Memory(pages, 4096);
    this.words = this.memory.words;
    this.pagesEnd = this.memory.pagesEnd;
    this.vmemMap = this.memory.vmemMap;
    this.cache = this.memory.part('kmem_cache', 4 * LINE_WORDS);
    this.array = this.memory.part('array_cache', 4 + LIMIT * POINTER_WORDS);
    this.objectWords = objectBytes / 4;
    this.perSlab = Math.floor((PAGE_WORDS - SLAB_BUFCTL) / (this.objectWords + 1));
    // Objects on lines of their own, behind the header.
    this.first = Math.ceil((SLAB_BUFCTL + this.perSlab) / LINE_WORDS) * LINE_WORDS;
    while (this.first + this.perSlab * this.objectWords > PAGE_WORDS) this.perSlab--;
    this.masked = variant === 'masked';
    this.numa = variant === 'numa';
    this.name = { smp: 'SLAB 2006', numa: 'SLAB 2006, NUMA', masked: 'header by mask (Spraul)' }[variant];
    this.words[this.cache] = this.array;
  }

  region(word: number): string {
    if (word < this.pagesEnd && word % PAGE_WORDS < this.first) return 'slab header';
    return this.memory.region(word);
  }

  alloc(): number {
    const w = this.words;
    const array = w[this.cache];
    if (w[array] === 0) this.refill(array);
    const n = w[array];
    if (n === 0) return 0;
    w[array] = n - 1;
    return w[array + 2 + n * POINTER_WORDS];
  }

  free(address: number): void {
    const w = this.words;
    const cache = this.masked ? w[pageStart(address) + SLAB_CACHE] : w[virtToPage(this.vmemMap, address)];
    if (this.numa) {
      const slab = w[virtToPage(this.vmemMap, address) + 2];
      if (w[slab + SLAB_NODE] !== 0) return;
    }
    const array = w[cache];
    if (w[array] === LIMIT) this.flush(array);
    const n = w[array] + 1;
    w[array + 2 + n * POINTER_WORDS] = address;
    w[array] = n;
  }

  private refill(array: number): void {
    this.slow++;
    const w = this.words;
    while (w[array] < BATCH) {
      const slab = w[this.cache + LINE_WORDS] || this.grow();
      if (slab === 0) return;
      const index = w[slab + SLAB_FREE];
      w[slab + SLAB_FREE] = w[slab + SLAB_BUFCTL + index];
      if (++w[slab + SLAB_INUSE] === this.perSlab) w[this.cache + LINE_WORDS] = w[slab + SLAB_NEXT];
      const n = ++w[array];
      w[array + 2 + n * POINTER_WORDS] = slab + this.first + index * this.objectWords;
    }
  }

  /** The oldest objects go back; the others move down. */
  private flush(array: number): void {
    this.slow++;
    const w = this.words;
    for (let i = 1; i <= BATCH; i++) {
      const address = w[array + 2 + i * POINTER_WORDS];
      const slab = this.masked ? pageStart(address) : w[virtToPage(this.vmemMap, address) + 2];
      const index = (address - slab - this.first) / this.objectWords;
      w[slab + SLAB_BUFCTL + index] = w[slab + SLAB_FREE];
      w[slab + SLAB_FREE] = index;
      if (w[slab + SLAB_INUSE]-- === this.perSlab) {
        w[slab + SLAB_NEXT] = w[this.cache + LINE_WORDS];
        w[this.cache + LINE_WORDS] = slab;
      }
    }
    const from = array + 2 + (BATCH + 1) * POINTER_WORDS;
    w.copyWithin(array + 2 + POINTER_WORDS, from, array + 2 + (LIMIT + 1) * POINTER_WORDS);
    w[array] = LIMIT - BATCH;
  }

  private grow(): number {
    if (this.nextPage > this.memory.pages) return 0;
    const w = this.words;
    const slab = this.nextPage++ * PAGE_WORDS;
    const page = virtToPage(this.vmemMap, slab);
    w[page] = this.cache;
    w[page + 2] = slab;
    w[slab + SLAB_CACHE] = this.cache;
    for (let i = 0; i < this.perSlab; i++) w[slab + SLAB_BUFCTL + i] = i + 1;
    w[this.cache + LINE_WORDS] = slab;
    return slab;
  }
}
