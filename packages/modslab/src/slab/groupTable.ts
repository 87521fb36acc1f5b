/**
 * The table of groups: creation by name, adoption, and the end of a group with all that is charged to it. (Counting is
 * slab/charge.ts, memory/layout.ts draws a group.)
 *
 *     NONE ──▶ CREATING ──▶ CANDIDATE ──▶ ACTIVE ──free──▶ DYING ──▶ NONE
 *                  └────────────┴──▶ NONE
 *
 * Names are unique by the protocol of slab/cacheTable.ts: a creator becomes a candidate and makes the others withdraw.
 *
 * **Adoption** moves no page. The child's parent word, stored while both groups are owned by the adopter, is the truth;
 * the parent's bitmap of adopted groups is an index over it. An adopted group allocates no more; its objects, and their
 * frees, go on counting in its own row, which the parent's sum includes. It has gone when its last page has.
 *
 * **The end.** From DYING on nothing is charged and nothing uncharged (slab/charge.ts). Whoever owns a dying group, and finds
 * no CPU in the middle of charging it, completes it: its children first, then every slab and run that carries its number,
 * wherever it is; then its row becomes 0 and its slot NONE. If something stands in the way (a CPU that is charging it
 * or is dead, a slab that somebody holds for a moment) it stays DYING, and is completed later, by whoever next creates or frees
 * a group, reaps a CPU, or runs out of memory.
 *
 * | killed here                              | ⇒ reap does this                                                   |
 * |------------------------------------------|--------------------------------------------------------------------|
 * | CREATING or CANDIDATE                    | NONE                                                               |
 * | adopting: owned, bit set or not          | gives up the ownership; a bit alone means nothing                  |
 * | adopting: parent stored                  | the same: it is adopted                                            |
 * | DYING, not yet or partly released        | gives up the ownership, recounts its slab, completes it            |
 */

import { failPoint, killPoint } from '../memory/assert.ts';
import { clearBit, setBit } from '../memory/bitmap.ts';
import type { Cpu } from '../memory/cpu.ts';
import { invalid, SlabError } from '../memory/errors.ts';
import {
  C_FLAGS,
  cacheAt,
  G_ADOPTED,
  G_LIMIT,
  G_NAME,
  G_NAME_LENGTH,
  G_PARENT,
  G_ROW,
  G_STATE,
  GROUPS,
  groupAt,
  H_FRAMES,
  NAME_BYTES,
  pageAt,
  WORD_SHIFT,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { decodeText, encodeText } from '../memory/text.ts';
import {
  CLAIM_FROZEN,
  CLAIM_LIVE,
  CLAIM_USED,
  cacheOf,
  KIND_LARGE,
  KIND_SLAB,
  kindOf,
  OWNER_PARKED,
  ownerBits,
  ownerOf,
  PAGE_CLAIM,
  PAGE_FLAGS,
  PAGE_GROUP,
  PAGE_RUN,
} from '../page/page.ts';
import type { FrameAllocator } from '../page/pageAllocator.ts';
import { forEachAdopted, isBeingCharged, usageOf } from './charge.ts';
import { SLAB } from './flags.ts';
import {
  GROUP_ACTIVE,
  GROUP_CANDIDATE,
  GROUP_CREATING,
  GROUP_DYING,
  GROUP_NONE,
  groupGeneration,
  groupOwner,
  groupStatus,
  groupWord,
  withStatus,
} from './groupState.ts';
import type { Slabifier } from './slabifier.ts';

/** Two creators of one name make each other withdraw at most this often before one is told so. */
const NAME_TRIES = 16;

/** The groups of a heap, as one CPU works on them. */
export class GroupTable {
  private readonly metadata: Metadata;
  private readonly m: Int32Array;
  private readonly cpu: Cpu;
  private readonly pages: FrameAllocator;
  private readonly slabifier: Slabifier;

  constructor(metadata: Metadata, cpu: Cpu, pages: FrameAllocator, slabifier: Slabifier) {
    this.metadata = metadata;
    this.m = metadata.m;
    this.cpu = cpu;
    this.pages = pages;
    this.slabifier = slabifier;
  }

  /** Creates a group, its limit in granules (-1: none). Its number. Throws `EINVAL` for a taken name, `ENOMEM`. */
  create(name: string | undefined, limit: number): number {
    const bytes = encodeText(name ?? '');
    if (bytes.length > NAME_BYTES)
      invalid(`a group's name has at most ${NAME_BYTES} bytes of UTF-8: '${name}'`);
    if (decodeText(bytes, 0, bytes.length) !== (name ?? ''))
      invalid("a group's name must be well-formed Unicode");
    for (let attempt = 0; attempt < NAME_TRIES; attempt++) {
      if (name !== undefined && this.find(name) !== 0)
        invalid(`there is a group '${name}' already: open it with heap.group()`);
      const number = this.claimSlot();
      killPoint('group.created-slot');
      const generation = this.generation(number);
      this.fillIn(number, name === undefined ? encodeText(`#${number}.${generation}`) : bytes, limit);
      if (this.publish(number, generation)) return number;
    }
    throw new SlabError('EBUSY', `another thread is creating a group '${name}' too`);
  }

  /** The number of the active group of that name, or 0. Cost: O(groups). */
  find(name: string): number {
    for (let number = 1; number < GROUPS; number++) {
      if (this.status(number) === GROUP_ACTIVE && this.name(number) === name) return number;
    }
    return 0;
  }

  /** Numbers of all active groups that no other has adopted. */
  active(): number[] {
    const numbers: number[] = [];
    for (let number = 1; number < GROUPS; number++) if (this.isActive(number)) numbers.push(number);
    return numbers;
  }

  name(number: number): string {
    const at = groupAt(this.metadata.layout, number);
    return decodeText(this.metadata.s, (at + G_NAME) << WORD_SHIFT, this.m[at + G_NAME_LENGTH]);
  }

  generation(number: number): number {
    return groupGeneration(this.state(number));
  }

  /** Whether the group can be charged: not freed, and not adopted. */
  isActive(number: number): boolean {
    return (
      this.status(number) === GROUP_ACTIVE &&
      Atomics.load(this.m, groupAt(this.metadata.layout, number) + G_PARENT) === 0
    );
  }

  /** The group that has adopted this one, directly or not; itself if none has. */
  rootOf(number: number): number {
    let root = number;
    for (let hops = 0; hops < GROUPS; hops++) {
      const parent = Atomics.load(this.m, groupAt(this.metadata.layout, root) + G_PARENT);
      if (parent === 0) break;
      root = parent;
    }
    return root;
  }

  /** Makes `child` part of `parent`. False if another thread owns one of them, or one is not active any more. */
  adopt(parent: number, child: number): boolean {
    const { m, metadata } = this;
    if (!this.own(parent)) return false;
    if (!this.own(child)) {
      this.disown(parent);
      return false;
    }
    const can = this.isActive(parent) && this.isActive(child);
    if (can) {
      killPoint('group.adopting');
      setBit(m, groupAt(metadata.layout, parent) + G_ADOPTED, child);
      Atomics.store(m, groupAt(metadata.layout, child) + G_PARENT, parent);
      killPoint('group.adopted');
    }
    this.disown(child);
    this.disown(parent);
    return can;
  }

  /** ACTIVE → DYING. False if it is not active, or owned by another thread. */
  beginFree(number: number): boolean {
    const state = this.state(number);
    if (groupStatus(state) !== GROUP_ACTIVE || groupOwner(state) !== 0) return false;
    if (!this.move(number, state, withStatus(state, GROUP_DYING, 0))) return false;
    killPoint('group.dying');
    return true;
  }

  /** Completes what can be of all dying groups. Cost: O(groups), and O(frames + objects) a dying one. */
  completeAll(): void {
    for (let number = 1; number < GROUPS; number++) {
      if (this.status(number) === GROUP_DYING) this.complete(number);
    }
  }

  /** Releases all that is charged to a dying group, and then its slot. False if something stands in the way. */
  complete(number: number): boolean {
    const state = this.state(number);
    if (groupStatus(state) !== GROUP_DYING || groupOwner(state) !== 0) return false;
    if (!this.move(number, state, withStatus(state, GROUP_DYING, this.cpu.owner))) return false;
    killPoint('group.completing');
    const done =
      this.completeAdopted(number) && !isBeingCharged(this.metadata, number) && this.releasePages(number);
    if (done) this.releaseSlot(number);
    Atomics.store(
      this.m,
      groupAt(this.metadata.layout, number) + G_STATE,
      withStatus(state, done ? GROUP_NONE : GROUP_DYING, 0),
    );
    return done;
  }

  /** For reap: gives up what a dead CPU owned. */
  abandon(owner: number): void {
    for (let number = 1; number < GROUPS; number++) {
      const state = this.state(number);
      if (groupOwner(state) !== owner) continue;
      const status = groupStatus(state);
      const lost = status === GROUP_CREATING || status === GROUP_CANDIDATE;
      this.move(number, state, withStatus(state, lost ? GROUP_NONE : status, 0));
    }
  }

  private state(number: number): number {
    return Atomics.load(this.m, groupAt(this.metadata.layout, number) + G_STATE);
  }

  private status(number: number): number {
    return groupStatus(this.state(number));
  }

  private move(number: number, from: number, to: number): boolean {
    const at = groupAt(this.metadata.layout, number) + G_STATE;
    return Atomics.compareExchange(this.m, at, from, to) === from;
  }

  private own(number: number): boolean {
    const state = this.state(number);
    if (groupStatus(state) !== GROUP_ACTIVE || groupOwner(state) !== 0) return false;
    return this.move(number, state, withStatus(state, GROUP_ACTIVE, this.cpu.owner));
  }

  private disown(number: number): void {
    const state = this.state(number);
    this.move(number, state, withStatus(state, groupStatus(state), 0));
  }

  private claimSlot(): number {
    if (failPoint('group')) throw new SlabError('ENOMEM', 'no group (by a test)');
    for (let pass = 0; pass < 2; pass++) {
      for (let number = 1; number < GROUPS; number++) {
        const state = this.state(number);
        if (groupStatus(state) !== GROUP_NONE) continue;
        const claimed = groupWord(GROUP_CREATING, this.cpu.owner, groupGeneration(state) + 1);
        if (this.move(number, state, claimed)) return number;
      }
      this.collectAdopted();
    }
    throw new SlabError('ENOMEM', `all ${GROUPS - 1} groups are in use: free one`);
  }

  /** Ends adopted groups to which nothing is charged any more. */
  private collectAdopted(): void {
    for (let number = 1; number < GROUPS; number++) {
      const isAdopted = Atomics.load(this.m, groupAt(this.metadata.layout, number) + G_PARENT) !== 0;
      if (!isAdopted || this.status(number) !== GROUP_ACTIVE || !this.isUnused(number)) continue;
      if (this.beginFree(number)) this.complete(number);
    }
  }

  /** Nothing is charged, nobody is charging, and it has no child that could still hold something. */
  private isUnused(number: number): boolean {
    let children = 0;
    forEachAdopted(this.metadata, number, () => children++);
    return children === 0 && !isBeingCharged(this.metadata, number) && usageOf(this.metadata, number) === 0;
  }

  private fillIn(number: number, name: Uint8Array, limit: number): void {
    const { m, metadata } = this;
    const at = groupAt(metadata.layout, number);
    m[at + G_PARENT] = 0;
    m[at + G_LIMIT] = limit;
    m[at + G_NAME_LENGTH] = name.length;
    metadata.s.set(name, (at + G_NAME) << WORD_SHIFT);
    m.fill(0, at + G_ADOPTED, at + G_NAME);
    m.fill(0, at + G_ROW, at + metadata.layout.groupWords);
  }

  private publish(number: number, generation: number): boolean {
    const candidate = groupWord(GROUP_CANDIDATE, this.cpu.owner, generation);
    Atomics.store(this.m, groupAt(this.metadata.layout, number) + G_STATE, candidate);
    killPoint('group.candidate');
    if (this.makeOthersWithdraw(number)) {
      return this.move(number, candidate, groupWord(GROUP_ACTIVE, 0, generation));
    }
    this.move(number, candidate, groupWord(GROUP_NONE, 0, generation));
    return false;
  }

  /** False if an active group has the name. */
  private makeOthersWithdraw(own: number): boolean {
    const name = this.name(own);
    for (let number = 1; number < GROUPS; number++) {
      const state = this.state(number);
      const status = groupStatus(state);
      if (number === own || (status !== GROUP_CANDIDATE && status !== GROUP_ACTIVE)) continue;
      if (this.name(number) !== name) continue;
      if (status === GROUP_ACTIVE) return false;
      if (this.move(number, state, withStatus(state, GROUP_NONE, 0))) continue;
      if (this.status(number) === GROUP_ACTIVE) return false;
    }
    return true;
  }

  private completeAdopted(number: number): boolean {
    let all = true;
    forEachAdopted(this.metadata, number, (child) => {
      this.beginFree(child);
      if (!this.complete(child)) all = false;
    });
    return all;
  }

  /** Releases every slab and run that carries the group's number. */
  private releasePages(number: number): boolean {
    const { m, metadata } = this;
    const { layout } = metadata;
    const end = Atomics.load(m, H_FRAMES);
    let all = true;
    for (let pfn = layout.startFrame; pfn < end; pfn++) {
      const page = pageAt(layout, pfn);
      if (m[page + PAGE_GROUP] === number && !this.releasePage(number, pfn, page)) all = false;
    }
    return all;
  }

  /** True if the frame is no longer one that holds something of the group. */
  private releasePage(number: number, pfn: number, page: number): boolean {
    const { m, metadata } = this;
    const flags = m[page + PAGE_FLAGS];
    const claim = Atomics.load(m, page + PAGE_CLAIM);
    if (kindOf(flags) === KIND_LARGE) {
      const live = CLAIM_USED | CLAIM_LIVE;
      const mine = CLAIM_USED | ownerBits(this.cpu.owner);
      if (Atomics.compareExchange(m, page + PAGE_CLAIM, live, mine) !== live) return false;
      this.pages.freeExact(pfn, m[page + PAGE_RUN]);
      killPoint('group.released');
      return true;
    }
    const isCharged =
      kindOf(flags) === KIND_SLAB &&
      (m[cacheAt(metadata.layout, cacheOf(flags)) + C_FLAGS] & SLAB.ACCOUNT) !== 0;
    // Empty, and kept for anybody's use; or damaged, and never used again.
    if (!isCharged || ownerOf(claim) === OWNER_PARKED || (claim & CLAIM_FROZEN) !== 0) return true;
    return this.slabifier.empty(cacheOf(flags), pfn, number);
  }

  private releaseSlot(number: number): void {
    const { m, metadata } = this;
    const at = groupAt(metadata.layout, number);
    const parent = m[at + G_PARENT];
    if (parent !== 0) clearBit(m, groupAt(metadata.layout, parent) + G_ADOPTED, number);
    m.fill(0, at + G_ROW, at + metadata.layout.groupWords);
    m[at + G_PARENT] = 0;
  }
}
