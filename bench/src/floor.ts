/**
 * The bare floor: the least that an allocator in JavaScript can cost which keeps its free objects in shared memory and
 * checks every free. It is the yardstick of "an allocate+free pair of 64 bytes within 1.3 times a bare pop+push on a
 * shared Int32Array plus the checks", and nothing else: one thread, a fixed number of objects, no refill, no slabs that
 * come or go, no recovery.
 *
 * What it does, and why no checked allocator can do less:
 *
 *   alloc   class of the size (one table), count of the class's stack; pop the top entry; set the object's state byte to
 *           LIVE; store the count; clear the entry (a killed thread's stack must not name an object that is live)
 *   free    the page is one of ours (bounds check); one descriptor (four words, one cache line); index by one multiply
 *           with a stored reciprocal; index times size must give the offset back, or the address is an interior pointer;
 *           the state byte must be LIVE, or it is a double free; push the entry; set the state; store the count
 *
 * Everything but the state bytes is in one shared Int32Array: V8 checks a typed array's map and fetches its length and
 * base once for each array that a function touches, and two arrays instead of four halved the time of a pair. For the same
 * reason every sum of words is `| 0`: it is then an int32 by construction and needs no overflow check.
 *
 *   table of classes        | base of the stack for sizes up to 8 | … up to 16 | … |
 *   descriptors of pages    | object size | reciprocal | first state byte | base of its class's stack |, 4 words each
 *   stack of a class, at    | count |
 *   its base                | address | state index |   entry 0      the state index is kept with the address: to find it
 *                           | address | state index |   entry 1      anew would take a second descriptor and multiply
 *
 * Reciprocal: ceil(2^16 / size). For the start of object i the product is i * (2^16 + e) with e < size, so the quotient is
 * exact while i * e < 2^16, which holds as i < 2^16 / size. For any other offset the compare fails, whatever the index.
 */

import { allocEach, cannot, freeEach, type Subject, type Views } from './subjects/subject.ts';

const PAGE_SHIFT = 16;
const PAGE_SIZE = 1 << PAGE_SHIFT;
const PAGE_MASK = PAGE_SIZE - 1;
const FREE = 1;
const LIVE = 2;

/** Object sizes in bytes: those of kmalloc's usual table up to the largest that the workloads ask for. */
const CLASS_SIZES: readonly number[] = [8, 16, 32, 64, 96, 128, 192, 256, 512, 1024];
const LARGEST = 1024;
/** Objects of each class at least: all 8,192 slots of churn may hold the same class. */
const OBJECTS = 8192;

/** Words: the table of classes begins at 0, the descriptors after it. */
const DESCRIPTORS: number = (LARGEST >> 3) + 1;

interface ClassPlan {
  readonly size: number;
  readonly perPage: number;
  readonly pages: number;
  readonly firstPage: number;
  readonly firstState: number;
  /** Word, counted from the end of the descriptors. */
  readonly stack: number;
}

interface Plan {
  readonly classes: readonly ClassPlan[];
  readonly pages: number;
  readonly states: number;
  readonly stackWords: number;
}

function plan(): Plan {
  const classes: ClassPlan[] = [];
  // Page 0 is never given out, so that address 0 can mean "none".
  let firstPage = 1;
  let firstState = 0;
  let stack = 0;
  for (const size of CLASS_SIZES) {
    const perPage = Math.floor(PAGE_SIZE / size);
    const pages = Math.ceil(OBJECTS / perPage);
    classes.push({ size, perPage, pages, firstPage, firstState, stack });
    firstPage += pages;
    firstState += pages * perPage;
    stack += 1 + 2 * pages * perPage;
  }
  return { classes, pages: firstPage, states: firstState, stackWords: stack };
}

/** The yardstick; throws on a bad free, as the real thing does. */
export class Floor implements Subject {
  // `declare`: as plain fields of ES2022 they would start as undefined, and V8 would then trust neither their class nor, for
  // the number, its being a small integer, and check both at every use: twice the time of a pair.
  declare private readonly words: Int32Array;
  declare private readonly states: Uint8Array;
  declare private readonly pages: number;

  constructor() {
    const { classes, pages, states, stackWords } = plan();
    const stacks = DESCRIPTORS + pages * 4;
    this.words = new Int32Array(new SharedArrayBuffer((stacks + stackWords) * 4));
    this.states = new Uint8Array(new SharedArrayBuffer(states));
    this.pages = pages;
    // From the largest down, so that each size is left with the smallest class that holds it.
    for (const plan of [...classes].reverse()) {
      this.words.fill(stacks + plan.stack, 1, (plan.size >> 3) + 1);
      this.fill(plan, stacks + plan.stack);
    }
  }

  alloc(size: number): number {
    const words = this.words;
    const base = words[(size + 7) >> 3];
    const count = (words[base] - 1) | 0;
    if (count < 0) return 0;
    const entry = (base + 1 + (count << 1)) | 0;
    const address = words[entry];
    this.states[words[(entry + 1) | 0]] = LIVE;
    words[base] = count;
    words[entry] = 0;
    return address;
  }

  free(address: number): void {
    const page = address >>> PAGE_SHIFT;
    if (page >= this.pages) throw new Error('EFAULT');
    const words = this.words;
    const descriptor = (DESCRIPTORS + (page << 2)) | 0;
    const offset = address & PAGE_MASK;
    const index = Math.imul(offset, words[(descriptor + 1) | 0]) >>> 16;
    if (Math.imul(index, words[descriptor]) !== offset) throw new Error('EINTERIOR');
    const state = (words[(descriptor + 2) | 0] + index) | 0;
    if (this.states[state] !== LIVE) throw new Error('EDOUBLEFREE');
    const base = words[(descriptor + 3) | 0];
    const count = words[base];
    const entry = (base + 1 + (count << 1)) | 0;
    words[entry] = address;
    words[(entry + 1) | 0] = state;
    this.states[state] = FREE;
    words[base] = (count + 1) | 0;
  }

  zalloc(_size: number): number {
    return cannot('zeroing');
  }

  aligned(_size: number, _alignment: number): number {
    return cannot('aligned allocation');
  }

  realloc(_address: number, _size: number): number {
    return cannot('realloc');
  }

  allocBulk(size: number, out: Int32Array): boolean {
    return allocEach(this, size, out);
  }

  freeBulk(addresses: Int32Array): void {
    freeEach(this, addresses);
  }

  views(): Views {
    return cannot('memory behind its addresses');
  }

  problems(): string[] {
    return [];
  }

  /** Writes a class's descriptors and fills its stack, highest address first, so that the pops come in address order. */
  private fill(plan: ClassPlan, base: number): void {
    const { size, perPage, pages, firstPage, firstState } = plan;
    for (let n = 0; n < pages; n++) {
      const descriptor = [size, Math.ceil(65536 / size), firstState + n * perPage, base];
      this.words.set(descriptor, DESCRIPTORS + (firstPage + n) * 4);
    }
    let entry = base;
    for (let n = pages * perPage - 1; n >= 0; n--) {
      this.words[++entry] = (firstPage + Math.floor(n / perPage)) * PAGE_SIZE + (n % perPage) * size;
      this.words[++entry] = firstState + n;
      this.states[firstState + n] = FREE;
    }
    this.words[base] = pages * perPage;
  }
}
