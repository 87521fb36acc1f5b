/**
 * A hash map in shared memory, from strings or bytes to strings or bytes, that any number of threads read and write at once.
 * Lock-free: whenever a call has to begin again, another thread's has succeeded. A thread that is killed holds nobody up, breaks
 * nothing, and loses nothing for good (hazards.ts has the table).
 *
 * It is one ordered list of nodes (Michael 2002), and a table of places to enter it (Shalev and Shavit 2006):
 *
 *     node     0 next [A]        address of the next node; bit 0 of it: *this* node is deleted
 *              1, 2 mourner, retired: hazards.ts
 *              3 order [C]       the key's hash, bits reversed, then 1; of a sentinel the bucket's number, bits reversed
 *              4 key bytes [C]   5 value bytes [C]   6 used [P] the tick of its last use   7 key, value [C]
 *
 *     header   0 magic [C]       1 records [C]       2 their number [C]   3 log2 of the first segment's buckets [C]
 *              4 log2 of buckets [A]                 5 tick [A]           6 sentinel of bucket 0 [C]
 *              8 … 31 segments of the table [A]      slots of `allocInto`
 *     segment  addresses of sentinels [A], 0: none yet. Segment 0 has the first 2^first buckets, s > 0 the next 2^(first + s - 1)
 *
 * Invariants: along the list, orders never fall. Nodes of equal order are new ones behind old ones, and at most one of a key is not
 * deleted. A node's key and value never change. What can be reached from a sentinel is all there is behind it; a sentinel is
 * never deleted, so a bucket without one is entered by its parent's (its number without the highest bit), which stands
 * before. Doubling the table moves nothing: bucket b + 2^k splits what b had.
 *
 * Three compare-and-swaps are the operations:
 *
 *     insert    prev.next:  curr → new                where new.next = curr
 *     delete    curr.next:  next → next + mark        then anybody takes curr out: prev.next: curr → next
 *     replace   curr.next:  next → new + mark         where new.next = next: the old one goes and the new one comes in one step
 *
 * The values that calls give are copies. What `get` returns was in the map at an instant during the call; `update` and
 * `compareAndSet` compare values, and change a key if it still has the value that was seen.
 *
 * | killed here                     | ⇒ what follows                                                            |
 * |---------------------------------|---------------------------------------------------------------------------|
 * | insert, delete, replace         | done or not done, as the compare-and-swap had been made or not            |
 * | node marked, still in the list  | whoever comes by takes it out                                             |
 * | sentinel in, its bucket empty   | whoever needs the bucket finds it                                         |
 * | allocInto of a segment          | buckets of it are entered by their parents until heap.reap has emptied it |
 */

import type { Heap } from '../heap.ts';
import { killPoint } from '../memory/assert.ts';
import { checkInteger, checkPowerOfTwo, hex, SlabError } from '../memory/errors.ts';
import { GFP, type GfpFlags } from '../memory/gfp.ts';
import { decodeText, encodeText } from '../memory/text.ts';
import type { Address } from '../slab/slabAllocator.ts';
import { Hazards, isMarked, NODE_MOURNER, NODE_NEXT, NODE_RETIRED } from './hazards.ts';
import { checkView } from './sharedString.ts';

/** 'mmap', backwards. */
const MAGIC = 0x70616d6d;
const W_MAGIC = 0;
const W_RECORDS = 1;
const W_THREADS = 2;
const W_FIRST = 3;
const W_LOG = 4;
const W_TICK = 5;
const W_HEAD = 6;
const W_SEGMENTS = 8;
const SEGMENTS_MAX = 24;
const HEADER_BYTES: number = 4 * (W_SEGMENTS + SEGMENTS_MAX);

const NODE_ORDER = 3;
const NODE_KEY_BYTES = 4;
const NODE_VALUE_BYTES = 5;
const NODE_USED = 6;
const NODE_BYTES = 28;

const BUCKETS_DEFAULT = 64;
const BUCKETS_MAX: number = 2 ** 20;
const THREADS_DEFAULT = 32;
const THREADS_MAX = 1024;
/** A longer way than this from a sentinel: is the table too small? */
const CHAIN_LONG = 6;
const SAMPLES_DEFAULT = 8;
const LINE_BYTES = 64;

export interface SharedMapOptions {
  /** Buckets at the start: a power of two (default 64). The table grows. */
  buckets?: number;
  /** Threads that have the map open at once, dead ones that are not yet recovered included (default 32). */
  threads?: number;
}

type Bytes = string | Uint8Array;

/** Texts up to this length are encoded here if they are ASCII: a TextEncoder takes longer to be called than to encode. */
const SHORT_TEXT = 64;

function bytesFrom(value: Bytes): Uint8Array {
  if (value instanceof Uint8Array) {
    checkView(value);
    return value;
  }
  if (typeof value !== 'string')
    throw new TypeError(`keys and values are strings or Uint8Arrays, not ${typeof value}`);
  if (value.length > SHORT_TEXT) return encodeText(value);
  const bytes = new Uint8Array(value.length);
  for (let i = 0; i < bytes.length; i++) {
    const code = value.charCodeAt(i);
    if (code > 0x7f) return encodeText(value);
    bytes[i] = code;
  }
  return bytes;
}

/** FNV-1a, its high bits folded in; 31 bits. */
function hashOf(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i], 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) & 0x7fffffff;
}

function reversed(word: number): number {
  let bits = word;
  bits = ((bits >>> 1) & 0x55555555) | ((bits & 0x55555555) << 1);
  bits = ((bits >>> 2) & 0x33333333) | ((bits & 0x33333333) << 2);
  bits = ((bits >>> 4) & 0x0f0f0f0f) | ((bits & 0x0f0f0f0f) << 4);
  bits = ((bits >>> 8) & 0x00ff00ff) | ((bits & 0x00ff00ff) << 8);
  return ((bits >>> 16) | (bits << 16)) >>> 0;
}

/** Whether `bytes` are the `length` bytes at `at`. */
function isEqual(u8: Uint8Array, at: number, length: number, bytes: Uint8Array): boolean {
  if (length !== bytes.length) return false;
  for (let i = 0; i < length; i++) if (u8[at + i] !== bytes[i]) return false;
  return true;
}

/** This thread's handle of a map. */
export class SharedMap {
  /** What `open` takes on another thread. */
  readonly handle: Address;
  private readonly heap: Heap;
  private readonly hazards: Hazards;
  /** Word offset of the header. */
  private readonly header: number;
  private readonly first: number;
  private readonly head: Address;
  /** Where `find` has stopped: the node before, the node (0: the end), and its link to the next. Both are named. */
  private prev = 0;
  private curr = 0;
  private link = 0;
  /** Nodes passed on the way. */
  private passed = 0;
  private seed = 1;

  private constructor(heap: Heap, handle: Address) {
    const { i32 } = heap;
    const header = handle >>> 2;
    if (handle === 0 || handle % 4 !== 0 || i32[header + W_MAGIC] !== MAGIC)
      throw new SlabError('EFAULT', `there is no map at ${hex(handle)}`, handle);
    this.heap = heap;
    this.handle = handle;
    this.header = header;
    this.first = i32[header + W_FIRST];
    this.head = i32[header + W_HEAD] >>> 0;
    this.hazards = new Hazards(heap, i32[header + W_RECORDS] >>> 0, i32[header + W_THREADS], {
      takeOut: (node) => void this.findNode(node),
      holds: (node) => this.findNode(node) && this.curr === node,
    });
    this.hazards.open();
  }

  /** Makes a map and opens it. Throws `ENOMEM` without memory, `RangeError` for more than an object of this heap can hold. */
  static create(heap: Heap, options: SharedMapOptions = {}): SharedMap {
    const { buckets = BUCKETS_DEFAULT, threads = THREADS_DEFAULT } = options;
    const largest = heap.kmallocMaxSize;
    checkPowerOfTwo('the number of buckets', buckets, 1, Math.min(BUCKETS_MAX, largest / 4));
    const threadsMax = Math.min(THREADS_MAX, Math.floor(largest / Hazards.bytes(1)));
    checkInteger('the number of threads', threads, 1, threadsMax);
    const handle = heap.kzalloc(HEADER_BYTES);
    const records = heap.kmallocAligned(Hazards.bytes(threads), LINE_BYTES, GFP.ZERO);
    const table = heap.kzalloc(4 * buckets);
    const head = heap.kzalloc(NODE_BYTES);
    if (handle === 0 || records === 0 || table === 0 || head === 0) {
      for (const part of [handle, records, table, head]) heap.kfree(part);
      throw new SlabError('ENOMEM', 'no memory for a map');
    }
    const { i32 } = heap;
    const header = handle >>> 2;
    i32[table >>> 2] = head;
    i32[header + W_RECORDS] = records;
    i32[header + W_THREADS] = threads;
    i32[header + W_FIRST] = Math.log2(buckets);
    i32[header + W_LOG] = Math.log2(buckets);
    i32[header + W_HEAD] = head;
    i32[header + W_SEGMENTS] = table;
    Atomics.store(i32, header + W_MAGIC, MAGIC);
    return new SharedMap(heap, handle);
  }

  /** Opens the map that some thread has made. Throws `EFAULT` if there is none, `ENOCPU` if its `threads` are used up. */
  static open(heap: Heap, handle: Address): SharedMap {
    return new SharedMap(heap, handle);
  }

  /** About how many keys it has: off by one for each thread that was killed at the wrong instant. Cost: O(threads). */
  get size(): number {
    this.hazards.check();
    return this.hazards.total;
  }

  /** A copy of a key's value; undefined if it has none. Cost: O(1), some eight Atomics. */
  get(key: Bytes): Uint8Array | undefined {
    const bytes = bytesFrom(key);
    const value = this.findKey(bytes) ? this.touch() : undefined;
    this.hazards.nameNothing();
    return value;
  }

  /** A key's value as text. */
  getString(key: Bytes): string | undefined {
    const value = this.get(key);
    return value && decodeText(value, 0, value.length);
  }

  has(key: Bytes): boolean {
    const found = this.findKey(bytesFrom(key));
    this.hazards.nameNothing();
    return found;
  }

  /** Gives a key a value. False, and the old value stays, without memory. Cost: O(1), some thirty Atomics. */
  set(key: Bytes, value: Bytes, gfp: GfpFlags = 0): boolean {
    return this.put(bytesFrom(key), bytesFrom(value), gfp, () => true) === 'done';
  }

  /** Takes a key out; whether it was there, and this call took it out. */
  delete(key: Bytes): boolean {
    return this.remove(bytesFrom(key), () => true);
  }

  /**
   * Gives a key the value `next` (undefined: takes it out) if it has the value `expected` (undefined: is not there) at that
   * instant; whether it did. Throws `ENOMEM` without memory.
   */
  compareAndSet(key: Bytes, expected: Bytes | undefined, next: Bytes | undefined): boolean {
    const bytes = bytesFrom(key);
    const old = expected === undefined ? undefined : bytesFrom(expected);
    if (next === undefined) {
      if (old !== undefined) return this.remove(bytes, () => this.hasValue(old));
      return !this.has(bytes);
    }
    const matches = (found: boolean): boolean =>
      found === (old !== undefined) && (old === undefined || this.hasValue(old));
    const outcome = this.put(bytes, bytesFrom(next), 0, matches);
    if (outcome === 'no memory') throw new SlabError('ENOMEM', 'no memory for an entry of a map');
    return outcome === 'done';
  }

  /**
   * Changes a key's value from what `change` is given (undefined: none) to what it returns (undefined: none), as one
   * step: if another thread is faster, `change` is called again. Returns what it returned last. Throws `ENOMEM`.
   */
  update<V extends Bytes | undefined>(key: Bytes, change: (value: Uint8Array | undefined) => V): V {
    for (;;) {
      const old = this.get(key);
      const next = change(old);
      if (this.compareAndSet(key, old, next)) return next;
    }
  }

  /**
   * Keys and values, copies, each key once; those that are put in or taken out meanwhile, perhaps. In no order that means
   * anything.
   */
  *entries(): Iterable<[key: Uint8Array, value: Uint8Array]> {
    for (let order = 0, nth = 0; ; nth++) {
      this.findNth(order, nth);
      if (this.curr === 0) break;
      const { u8, i32 } = this.heap;
      const at = this.curr >>> 2;
      const found = i32[at + NODE_ORDER] >>> 0;
      const start = this.curr + NODE_BYTES;
      const middle = start + i32[at + NODE_KEY_BYTES];
      const entry: [Uint8Array, Uint8Array] = [
        u8.slice(start, middle),
        u8.slice(middle, middle + i32[at + NODE_VALUE_BYTES]),
      ];
      this.hazards.nameNothing();
      if (found !== order) [order, nth] = [found, 0];
      if ((found & 1) === 1) yield entry;
    }
    this.hazards.nameNothing();
  }

  /**
   * Takes the key out that has not been used for longest (`get`, `set`) among `samples` neighbours at a random place, so nearly
   * the least recently used of all; false if there is none. A cache calls it while `size` is above what it may hold.
   */
  evict(samples: number = SAMPLES_DEFAULT): boolean {
    checkInteger('the number of samples', samples, 1, 2 ** 16);
    this.seed = (Math.imul(this.seed, 1664525) + 1013904223 + this.handle) | 0;
    let oldest: Uint8Array | undefined;
    let age = -1;
    let order = this.seed >>> 0;
    let wrapped = false;
    for (let seen = 0, nth = 0; seen < samples; nth++) {
      this.findNth(order, nth);
      const { u8, i32 } = this.heap;
      const at = this.curr >>> 2;
      if (this.curr === 0) {
        if (wrapped) break;
        [wrapped, order, nth] = [true, 0, -1];
        continue;
      }
      const found = i32[at + NODE_ORDER] >>> 0;
      if (found !== order) [order, nth] = [found, 0];
      if ((found & 1) === 0) continue;
      seen++;
      const unused = (Atomics.load(i32, this.header + W_TICK) - i32[at + NODE_USED]) >>> 0;
      if (unused <= age) continue;
      age = unused;
      oldest = u8.slice(this.curr + NODE_BYTES, this.curr + NODE_BYTES + i32[at + NODE_KEY_BYTES]);
    }
    this.hazards.nameNothing();
    return oldest !== undefined && this.delete(oldest);
  }

  /** Takes back what dead threads (that `heap.reap` has reaped) had in their hands; how many. Happens by itself, too. */
  recover(): number {
    return this.hazards.recover();
  }

  /** This thread is done with the map: its record is free for another. `detach` without it does no harm. */
  close(): void {
    this.hazards.close();
  }

  /** Frees the map and all that is in it. Throws `EBUSY` while another thread has it open. */
  destroy(): void {
    const { heap, hazards, header, head } = this;
    hazards.check();
    hazards.end();
    const { u32 } = heap;
    for (let node = head; node !== 0; ) {
      const next = u32[(node >>> 2) + NODE_NEXT] & ~1;
      heap.kfree(node);
      node = next >>> 0;
    }
    for (let s = 0; s < SEGMENTS_MAX; s++) heap.kfree(u32[header + W_SEGMENTS + s]);
    u32[header + W_MAGIC] = 0;
    heap.kfree(u32[header + W_RECORDS]);
    heap.kfree(this.handle);
  }

  /** The value of the node that was found, which is used by this. */
  private touch(): Uint8Array {
    const { u8, i32 } = this.heap;
    const at = this.curr >>> 2;
    i32[at + NODE_USED] = Atomics.load(i32, this.header + W_TICK);
    const start = this.curr + NODE_BYTES + i32[at + NODE_KEY_BYTES];
    return u8.slice(start, start + i32[at + NODE_VALUE_BYTES]);
  }

  /** Whether the node that was found has that value. */
  private hasValue(value: Uint8Array): boolean {
    const { u8, i32 } = this.heap;
    const at = this.curr >>> 2;
    return isEqual(u8, this.curr + NODE_BYTES + i32[at + NODE_KEY_BYTES], i32[at + NODE_VALUE_BYTES], value);
  }

  /** Puts a value in if `may` says so of what is there. */
  private put(
    key: Uint8Array,
    value: Uint8Array,
    gfp: GfpFlags,
    may: (found: boolean) => boolean,
  ): 'done' | 'refused' | 'no memory' {
    const { hazards } = this;
    hazards.check();
    const order = orderOf(key);
    const sentinel = this.sentinel(order, gfp);
    const node = this.makeNode(order, key, value, gfp);
    if (node === 0) return 'no memory';
    for (;;) {
      const found = this.find(sentinel, order, key);
      if (!may(found)) {
        hazards.nameNothing();
        hazards.unmake();
        return 'refused';
      }
      if (!(found ? this.replace(node) : this.insert(node))) continue;
      hazards.nameNothing();
      if (this.passed > CHAIN_LONG) this.grow();
      return 'done';
    }
  }

  private insert(node: Address): boolean {
    const { heap, hazards } = this;
    Atomics.store(heap.i32, (node >>> 2) + NODE_NEXT, this.curr | 0);
    if (!this.swap((this.prev >>> 2) + NODE_NEXT, this.curr | 0, node | 0)) return false;
    hazards.made(true);
    return true;
  }

  private replace(node: Address): boolean {
    const { heap, hazards, curr, link } = this;
    Atomics.store(heap.i32, (node >>> 2) + NODE_NEXT, link);
    hazards.burying(curr);
    if (!this.swap((curr >>> 2) + NODE_NEXT, link, node | 1)) {
      hazards.burying(0);
      return false;
    }
    hazards.made(false);
    hazards.bury(curr, false);
    return true;
  }

  /** Takes a key out if `may` says so of what is there. */
  private remove(key: Uint8Array, may: () => boolean): boolean {
    const { hazards } = this;
    for (;;) {
      if (!this.findKey(key) || !may()) {
        hazards.nameNothing();
        return false;
      }
      const { curr, link } = this;
      hazards.burying(curr);
      if (this.swap((curr >>> 2) + NODE_NEXT, link, link | 1)) {
        hazards.bury(curr, true);
        hazards.nameNothing();
        return true;
      }
      hazards.burying(0);
    }
  }

  /** A node for a key that nobody knows yet; 0 without memory. */
  private makeNode(order: number, key: Uint8Array, value: Uint8Array, gfp: GfpFlags): Address {
    const { heap, hazards, header } = this;
    const node = hazards.make(NODE_BYTES + key.length + value.length, gfp);
    if (node === 0) return 0;
    const { i32, u8 } = heap;
    const at = node >>> 2;
    i32[at + NODE_NEXT] = 0;
    i32[at + NODE_MOURNER] = 0;
    i32[at + NODE_RETIRED] = 0;
    i32[at + NODE_ORDER] = order;
    i32[at + NODE_KEY_BYTES] = key.length;
    i32[at + NODE_VALUE_BYTES] = value.length;
    i32[at + NODE_USED] = Atomics.add(i32, header + W_TICK, 1) + 1;
    u8.set(key, node + NODE_BYTES);
    u8.set(value, node + NODE_BYTES + key.length);
    hazards.filled();
    return node;
  }

  private swap(word: number, from: number, to: number): boolean {
    return Atomics.compareExchange(this.heap.i32, word, from, to) === from;
  }

  /** Finds a key: `curr` is its node. */
  private findKey(key: Uint8Array): boolean {
    this.hazards.check();
    const order = orderOf(key);
    return this.find(this.sentinel(order), order, key);
  }

  /** Finds the key of a node that is protected, taking out all deleted ones of its order. */
  private findNode(node: Address): boolean {
    const { u8, i32 } = this.heap;
    const at = node >>> 2;
    const order = i32[at + NODE_ORDER] >>> 0;
    const start = node + NODE_BYTES;
    const key = u8.slice(start, start + i32[at + NODE_KEY_BYTES]);
    // A sentinel is found from its parent: who enters by itself starts behind it.
    const from =
      (order & 1) === 1 ? this.sentinel(order) : this.sentinelOf(parentOf(reversed(order)), undefined);
    return this.find(from, order, key);
  }

  /** Stops at the nth node from 0 of that order, or else the first one of a higher order. */
  private findNth(order: number, nth: number): void {
    this.hazards.check();
    this.find(this.sentinel(order), order, undefined, nth);
  }

  /**
   * Walks from a sentinel to the key, or to where a new node of it would go, taking deleted nodes out on the way. In the
   * end `prev` and `curr` are named, and `prev.next` was `curr` at an instant. `key` undefined: any; the `skip` first are passed.
   */
  private find(sentinel: Address, order: number, key: Uint8Array | undefined, skip = 0): boolean {
    for (;;) {
      const found = this.walk(sentinel, order, key, skip);
      if (found !== undefined) return found;
    }
  }

  /** One walk; undefined if something has changed under its feet, and it has to begin again. */
  private walk(
    sentinel: Address,
    order: number,
    key: Uint8Array | undefined,
    skip: number,
  ): boolean | undefined {
    const { heap, hazards } = this;
    let left = skip;
    let prev = sentinel;
    let curr = Atomics.load(heap.i32, (prev >>> 2) + NODE_NEXT) >>> 0;
    for (this.passed = 0; ; ) {
      this.prev = prev;
      this.curr = curr;
      if (curr === 0) return false;
      hazards.nameCurr(curr | 0);
      // A node beyond the views that we had: read them again each time.
      const { i32 } = heap;
      if (Atomics.load(i32, (prev >>> 2) + NODE_NEXT) >>> 0 !== curr) return undefined;
      const link = Atomics.load(i32, (curr >>> 2) + NODE_NEXT);
      if (isMarked(link)) {
        if (!this.swap((prev >>> 2) + NODE_NEXT, curr | 0, link & ~1)) return undefined;
        killPoint('map.taken-out');
        curr = (link & ~1) >>> 0;
        continue;
      }
      this.link = link;
      const own = i32[(curr >>> 2) + NODE_ORDER] >>> 0;
      if (own > order) return false;
      if (own === order && (key === undefined ? left-- === 0 : this.hasKey(curr, key))) return true;
      this.passed++;
      hazards.namePrev(curr | 0);
      prev = curr;
      curr = link >>> 0;
    }
  }

  private hasKey(node: Address, key: Uint8Array): boolean {
    const { u8, i32 } = this.heap;
    return isEqual(u8, node + NODE_BYTES, i32[(node >>> 2) + NODE_KEY_BYTES], key);
  }

  /** Where to enter the list for an order: the sentinel of its bucket, made if `gfp` is given; else of its parent. */
  private sentinel(order: number, gfp?: GfpFlags): Address {
    const buckets = 2 ** Atomics.load(this.heap.i32, this.header + W_LOG);
    return this.sentinelOf(reversed(order) & (buckets - 1), gfp);
  }

  private sentinelOf(bucket: number, gfp: GfpFlags | undefined): Address {
    const { heap, head } = this;
    if (bucket === 0) return head;
    const word = this.bucketWord(bucket);
    const known = word === 0 ? 0 : Atomics.load(heap.i32, word) >>> 0;
    if (known !== 0) return known;
    const parent = this.sentinelOf(parentOf(bucket), gfp);
    return word === 0 || gfp === undefined ? parent : this.makeSentinel(bucket, word, parent, gfp);
  }

  /** Puts a bucket's sentinel into the list, unless it is there; that of its parent without memory. */
  private makeSentinel(bucket: number, word: number, parent: Address, gfp: GfpFlags): Address {
    const { hazards, heap } = this;
    const order = reversed(bucket);
    const none = new Uint8Array(0);
    let sentinel = this.find(parent, order, none) ? this.curr : 0;
    if (sentinel === 0) {
      const node = this.makeNode(order, none, none, gfp);
      if (node === 0) return parent;
      while (sentinel === 0) {
        if (this.insertSentinel(node)) {
          sentinel = node;
        } else if (this.find(parent, order, none)) {
          sentinel = this.curr;
          hazards.unmake();
        }
      }
    }
    killPoint('map.sentinel');
    Atomics.store(heap.i32, word, sentinel | 0);
    return sentinel;
  }

  private insertSentinel(node: Address): boolean {
    Atomics.store(this.heap.i32, (node >>> 2) + NODE_NEXT, this.curr | 0);
    if (!this.swap((this.prev >>> 2) + NODE_NEXT, this.curr | 0, node | 0)) return false;
    this.hazards.made(false);
    return true;
  }

  /** Index of a bucket's word; 0 while its segment cannot be had. */
  private bucketWord(bucket: number): number {
    const s = Math.max(0, 32 - Math.clz32(bucket) - this.first);
    const segment = Atomics.load(this.heap.i32, this.header + W_SEGMENTS + s) >>> 0;
    // Odd: a thread is making it at this moment, or has died there and is not reaped yet.
    if (segment === 0 || isMarked(segment)) return 0;
    return (segment >>> 2) + (s === 0 ? bucket : bucket - 2 ** (this.first + s - 1));
  }

  /** Doubles the table if there are more keys than buckets. Without memory, or while another thread does it, it stays. */
  private grow(): void {
    const { heap, hazards, header, first } = this;
    const log = Atomics.load(heap.i32, header + W_LOG);
    const s = log - first + 1;
    if (s >= SEGMENTS_MAX || hazards.total <= 2 ** log || 4 * 2 ** log > heap.kmallocMaxSize) return;
    const slot = header + W_SEGMENTS + s;
    if (Atomics.load(heap.i32, slot) === 0) {
      try {
        if (heap.allocInto(4 * slot, 4 * 2 ** log, GFP.ZERO) === 0) return;
      } catch (error) {
        if (error instanceof SlabError && error.code === 'EBUSY') return;
        throw error;
      }
      killPoint('map.segment');
    }
    if (!isMarked(Atomics.load(heap.i32, slot))) this.swap(header + W_LOG, log, log + 1);
  }
}

/** A key's place in the list: odd, so that no sentinel has it. */
const orderOf = (key: Uint8Array): number => (reversed(hashOf(key)) | 1) >>> 0;

/** The bucket that a bucket has come out of: its number without the highest bit. */
const parentOf = (bucket: number): number => bucket - 2 ** (31 - Math.clz32(bucket));
