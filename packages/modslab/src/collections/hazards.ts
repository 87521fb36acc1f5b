/**
 * Hazard records: how the nodes of a collection are freed while any thread may be reading them, and any thread may be
 * killed (Michael, "Hazard Pointers", 2004, with what kills add). Every thread that has the collection open has a record, one
 * cache line of shared memory:
 *
 *     0 owner [A]       whose it is: CPU + 1 and generation; 0: nobody's
 *     1, 2 hazards [A]  nodes that the owner is looking at: `prev`, `curr`
 *     3 making [A]      slot of `allocInto`: a node that may not be in the collection yet
 *     4 filled [A]      1: the node in `making` is written
 *     5 burying [A]     a node that the owner may have deleted, and then must bury
 *     6 retired [A]     list of nodes, linked by their RETIRED word, that are out of the collection and will be freed
 *     7 freeing [A]     slot of `freeFrom`: a node on its way from the list to the allocator
 *     8 count [A]       nodes put in less nodes taken out; a kill may leave it off by one
 *     9 length [A]      of the list; a hint
 *
 * A node is freed only while no record names it in words 1, 2, 3 or 5. A thread names a node first, and then sees that it is
 * still where it was found; only then may it read it. So a dead thread keeps four nodes and its list from being freed,
 * nothing else, and only until its record is recovered.
 *
 * **Who frees a node.** Deleting one marks it (sharedMap.ts); whoever means to delete it has written it to `burying` before. Any
 * number of threads take part in taking it out; exactly one *buries* it: the one that changes its MOURNER word from 0 by
 * compare-and-swap. That one sees to it that the node is out, and puts it on its list. A thread that did not win the mark finds that
 * the node's deletion was not its own, and clears `burying`.
 *
 * **Dead threads.** An owner is dead when its CPU slot is offline or has another generation: the heap's reap says so, nothing
 * is guessed. Who stands in a record has attached before it came there, and never comes back once it is dead: so the record is
 * read first, and then the CPU slots. Whoever opens the collection, or has a list that will not become shorter, takes over the records of the dead, by
 * compare-and-swap of `owner`, does what the table says, and leaves the record, perhaps with a list, for the next thread.
 * Each step may be done again, so a thread killed in a recovery is recovered like any.
 *
 * | killed here                              | ⇒ recover does this                                              |
 * |------------------------------------------|------------------------------------------------------------------|
 * | in allocInto, freeFrom                   | nothing: heap.reap has emptied or kept the slot                  |
 * | `making` named, not `filled`             | freeFrom(making): nobody has seen it                             |
 * | filled, and not in the collection        | freeFrom(making): neither found by its key nor marked            |
 * | filled, and in the collection, or marked | making ← 0                                                       |
 * | `burying` a node that is not marked      | burying ← 0: it was not deleted                                  |
 * | marked; MOURNER 0 or this record         | MOURNER ← this record; takes it out, puts it on the list once    |
 * | marked; MOURNER another record           | burying ← 0: the other's                                         |
 * | `freeing` named, still on the list       | takes it off the list, freeFrom(freeing)                         |
 * | `freeing` named, off the list            | freeFrom(freeing)                                                |
 */

import type { Heap } from '../heap.ts';
import { killPoint } from '../memory/assert.ts';
import { SlabError } from '../memory/errors.ts';
import type { GfpFlags } from '../memory/gfp.ts';
import type { Address } from '../slab/slabAllocator.ts';

/** Words of a node that this module uses; the collection's own follow. */
export const NODE_NEXT = 0;
export const NODE_MOURNER = 1;
export const NODE_RETIRED = 2;

const OWNER = 0;
const PREV = 1;
const CURR = 2;
const MAKING = 3;
const FILLED = 4;
const BURYING = 5;
const RETIRED = 6;
const FREEING = 7;
const COUNT = 8;
const LENGTH = 9;
const NAMED: readonly number[] = [PREV, CURR, MAKING, BURYING];

const RECORD_SHIFT = 4;
const RECORD_BYTES: number = 4 << RECORD_SHIFT;
/** A list longer than so many nodes, and so many a record, is looked through. */
const LIST_MIN = 16;
const LIST_PER_RECORD = 2;
const CPU_BITS = 11;

/** What a collection does for a recovery. */
export interface Graveyard {
  /** Sees to it that a marked node is out. */
  takeOut(node: Address): void;
  /** Whether a node is in the collection, found by its key. Marked ones do not count. */
  holds(node: Address): boolean;
}

/** This thread's record, and everybody's. */
export class Hazards {
  private readonly heap: Heap;
  private readonly graveyard: Graveyard;
  /** Word offset of the first record. */
  private readonly records: number;
  private readonly count: number;
  /** Word offset of this thread's record; 0 once it is closed. */
  private own = 0;

  constructor(heap: Heap, address: Address, count: number, graveyard: Graveyard) {
    this.heap = heap;
    this.graveyard = graveyard;
    this.records = address >>> 2;
    this.count = count;
  }

  /** Takes a record, and recovers those of the dead. Throws `ENOCPU` if all are taken. */
  open(): void {
    this.take();
    this.recover();
  }

  static bytes(count: number): number {
    return count * RECORD_BYTES;
  }

  /** Nodes in the collection, but for what kills have left off. */
  get total(): number {
    let sum = 0;
    for (let i = 0; i < this.count; i++) sum += this.load(this.record(i) + COUNT);
    return Math.max(0, sum);
  }

  /** Throws `ESHUTDOWN` unless this thread has the collection open. */
  check(): void {
    if (this.isOpen) return;
    throw new SlabError(
      'ESHUTDOWN',
      'this collection has been closed on this thread, or its heap has been detached: attach and open it again',
    );
  }

  /** Whether the record is this thread's: once the CPU has left the heap, anybody may have taken it over. */
  private get isOpen(): boolean {
    return this.own !== 0 && this.heap.isAttached;
  }

  /** Names the node that is about to be read. */
  nameCurr(node: number): void {
    Atomics.store(this.heap.i32, this.own + CURR, node);
  }

  /** Names a node that is named as `curr` already. */
  namePrev(node: number): void {
    Atomics.store(this.heap.i32, this.own + PREV, node);
  }

  /** Nothing is looked at any more. */
  nameNothing(): void {
    const { i32 } = this.heap;
    Atomics.store(i32, this.own + PREV, 0);
    Atomics.store(i32, this.own + CURR, 0);
  }

  /** A node that nobody else knows, or 0 without memory. */
  make(bytes: number, gfp: GfpFlags): Address {
    this.store(this.own + FILLED, 0);
    return this.heap.allocInto((this.own + MAKING) * 4, bytes, gfp);
  }

  /** The node of `make` is written: from here on it may be found in the collection. */
  filled(): void {
    this.store(this.own + FILLED, 1);
    killPoint('hazards.filled');
  }

  /** The node of `make` is in the collection. */
  made(counts: boolean): void {
    killPoint('hazards.linked');
    this.store(this.own + MAKING, 0);
    if (counts) Atomics.add(this.heap.i32, this.own + COUNT, 1);
  }

  /** The node of `make` is not wanted. */
  unmake(): void {
    this.heap.freeFrom((this.own + MAKING) * 4);
  }

  /** A node, named as `curr`, is about to be marked by this thread; 0: it was not this thread that marked it. */
  burying(node: number): void {
    this.store(this.own + BURYING, node);
    if (node !== 0) killPoint('hazards.burying');
  }

  /** The node has been marked by this thread. */
  bury(node: Address, counts: boolean): void {
    killPoint('hazards.marked');
    if (counts) Atomics.sub(this.heap.i32, this.own + COUNT, 1);
    this.finishBurying(this.own, node);
    const length = this.load(this.own + LENGTH);
    if (length < LIST_MIN + LIST_PER_RECORD * this.count) return;
    this.nameNothing();
    this.freeRetired(this.own);
    // What dead threads named may be what keeps the list from becoming shorter.
    if (this.load(this.own + LENGTH) > length / 2) this.recover();
  }

  /** Takes over the records of dead threads; how many. Cost: O(CPU slots + records). */
  recover(): number {
    this.check();
    const alive = this.living();
    let recovered = 0;
    for (let i = 0; i < this.count; i++) {
      const record = this.record(i);
      const owner = this.load(record + OWNER);
      if (owner === 0 || alive.has(owner) || !this.isDead(owner)) continue;
      if (!this.swap(record + OWNER, owner, this.load(this.own + OWNER))) continue;
      killPoint('hazards.recovering');
      this.settle(record);
      this.store(record + OWNER, 0);
      recovered++;
    }
    return recovered;
  }

  /** Gives this thread's record back, with what could not be freed yet. No effect once the CPU has left the heap. */
  close(): void {
    if (this.isOpen) {
      this.nameNothing();
      this.freeRetired(this.own);
      this.store(this.own + OWNER, 0);
    }
    this.own = 0;
  }

  /** Frees all lists: before the collection is destroyed. Throws `EBUSY` while another thread has it open. */
  end(): void {
    this.recover();
    const others = Array.from({ length: this.count }, (_, i) => this.record(i)).filter(
      (record) => record !== this.own && this.load(record + OWNER) !== 0,
    );
    if (others.length > 0)
      throw new SlabError('EBUSY', `${others.length} other handles of this collection are still open`);
    this.nameNothing();
    for (let i = 0; i < this.count; i++) this.freeRetired(this.record(i));
    this.own = 0;
  }

  private record(i: number): number {
    return this.records + (i << RECORD_SHIFT);
  }

  private load(word: number): number {
    return Atomics.load(this.heap.i32, word);
  }

  private store(word: number, value: number): void {
    Atomics.store(this.heap.i32, word, value);
  }

  private swap(word: number, from: number, to: number): boolean {
    return Atomics.compareExchange(this.heap.i32, word, from, to) === from;
  }

  /** What stands for each living thread in `owner`. */
  private living(): Set<number> {
    const online = this.heap.cpus().filter((info) => info.online);
    return new Set(online.map(({ cpu, generation }) => ownerOf(cpu, generation)));
  }

  /** Whether an owner that stands in a record has died. Looked at only now: it may have attached since others were. */
  private isDead(owner: number): boolean {
    return !this.living().has(owner);
  }

  private take(): void {
    const { cpu } = this.heap;
    const info = this.heap.cpus().find((each) => each.cpu === cpu);
    const me = ownerOf(cpu, info?.generation ?? 0);
    for (let i = 0; i < this.count; i++) {
      if (this.load(this.record(i) + OWNER) !== 0 || !this.swap(this.record(i) + OWNER, 0, me)) continue;
      this.own = this.record(i);
      return;
    }
    const alive = this.living();
    for (let i = 0; i < this.count; i++) {
      const owner = this.load(this.record(i) + OWNER);
      if (alive.has(owner) || !this.isDead(owner) || !this.swap(this.record(i) + OWNER, owner, me)) continue;
      this.own = this.record(i);
      this.settle(this.own);
      return;
    }
    throw new SlabError(
      'ENOCPU',
      `all ${this.count} records are taken: create the collection with more threads`,
    );
  }

  /** Does what the table of the head comment says for a record that this thread has taken over. */
  private settle(record: number): void {
    const burying = this.load(record + BURYING) >>> 0;
    if (burying !== 0 && isMarked(this.load((burying >>> 2) + NODE_NEXT)))
      this.finishBurying(record, burying);
    this.store(record + BURYING, 0);
    const making = this.load(record + MAKING) >>> 0;
    if (making !== 0 && this.isUnknown(record, making)) this.heap.freeFrom((record + MAKING) * 4);
    else this.store(record + MAKING, 0);
    this.store(record + PREV, 0);
    this.store(record + CURR, 0);
    this.finishFreeing(record);
    this.freeRetired(record);
  }

  /** Whether nobody has ever seen the node of a dead thread's `make`. */
  private isUnknown(record: number, node: Address): boolean {
    if (this.load(record + FILLED) === 0) return true;
    // In this order: it may be deleted at this moment, and then is marked before it is gone.
    return !this.graveyard.holds(node) && !isMarked(this.load((node >>> 2) + NODE_NEXT));
  }

  /** Buries a marked node, unless another record does; any number of times. */
  private finishBurying(record: number, node: Address): void {
    const mourner = (node >>> 2) + NODE_MOURNER;
    this.swap(mourner, 0, record);
    if (this.load(mourner) === record) {
      killPoint('hazards.mourned');
      this.graveyard.takeOut(node);
      if (!this.isRetired(record, node)) {
        this.store((node >>> 2) + NODE_RETIRED, this.load(record + RETIRED));
        killPoint('hazards.retiring');
        this.store(record + RETIRED, node | 0);
        Atomics.add(this.heap.i32, record + LENGTH, 1);
        killPoint('hazards.retired');
      }
    }
    this.store(record + BURYING, 0);
  }

  /** Cost: O(the list) for a recovery, one load else: what was put there last stands first. */
  private isRetired(record: number, node: Address): boolean {
    return this.load(record + RETIRED) >>> 0 === node;
  }

  /** Frees the nodes of a list that no record names. */
  private freeRetired(record: number): void {
    const named = new Set<number>();
    for (let i = 0; i < this.count; i++)
      for (const word of NAMED) named.add(this.load(this.record(i) + word) >>> 0);
    let link = record + RETIRED;
    let kept = 0;
    for (let node = this.load(link) >>> 0; node !== 0; node = this.load(link) >>> 0) {
      if (named.has(node)) {
        kept++;
        link = (node >>> 2) + NODE_RETIRED;
        continue;
      }
      this.store(record + FREEING, node | 0);
      killPoint('hazards.freeing');
      this.store(link, this.load((node >>> 2) + NODE_RETIRED));
      killPoint('hazards.unlisted');
      this.heap.freeFrom((record + FREEING) * 4);
    }
    this.store(record + LENGTH, kept);
  }

  /** Completes the freeing of one node that a dead thread had begun. */
  private finishFreeing(record: number): void {
    const freeing = this.load(record + FREEING) >>> 0;
    if (freeing === 0) return;
    let link = record + RETIRED;
    for (let node = this.load(link) >>> 0; node !== 0; node = this.load(link) >>> 0) {
      if (node === freeing) this.store(link, this.load((node >>> 2) + NODE_RETIRED));
      else link = (node >>> 2) + NODE_RETIRED;
    }
    this.heap.freeFrom((record + FREEING) * 4);
  }
}

/** Whether a link says that its node is deleted. */
export const isMarked = (link: number): boolean => (link & 1) === 1;

const ownerOf = (cpu: number, generation: number): number => (generation << CPU_BITS) | (cpu + 1) | 0;
