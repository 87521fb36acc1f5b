/**
 * The reckoning after a schedule, when nobody is in the middle of anything but the dead:
 *
 *     1  validation finds nothing, though the dead are not yet reaped
 *     2  each living CPU does a few operations more, which succeed
 *     3  the dead are reaped, by a CPU that comes for that; validation finds nothing
 *     4  every object is free, cached or live, exactly once; live is what somebody has, and what the dead had in hand
 *     5  everything is freed, the living leave, the heap is shrunk: no frame is in use, validation finds nothing
 *
 * All by the product's own code: what changes the heap, by the transformed modules (which may be a mutant's); what
 * validates it, by the modules as they are built.
 */

import { Heap } from 'modslab';
import { OFFLINE, statusOf } from '#src/memory/cpu.js';
import { addressOf } from '#src/memory/entry.js';
import {
  C_GRANULES,
  C_OBJECTS,
  CPU_STATUS,
  cacheAt,
  cpuAt,
  H_FRAMES,
  PAIR_SHIFT,
  pageAt,
  SHEAF_CAPACITY,
  SHEAF_WORDS,
  sheavesAt,
} from '#src/memory/layout.js';
import {
  CACHED,
  CONTINUED,
  FREE,
  isLive,
  KIND_LARGE,
  KIND_PAGES,
  kindOf,
  PAGE_FLAGS,
  PAGE_RUN,
  PENDING,
} from '#src/page/page.js';
import { firstEntryOf, firstStateAt } from '#src/slab/cacheTable.js';
import { forEachSlab } from '#src/slab/count.js';
import { isSlob } from '#src/slab/granules.js';
import { $quiet } from './shim.ts';
import { type Address, type SteppedHeap, type World, withoutCapacities } from './world.ts';

/** What must not be. */
export class Violation extends Error {}

function check(holds: boolean, message: () => string): void {
  if (!holds) throw new Violation(message());
}

const hex = (address: Address): string => `0x${address.toString(16)}`;

function checkSound(heap: Heap, when: string): void {
  const problems = withoutCapacities(heap.validate());
  check(problems.length === 0, () => `validation ${when}: ${problems.join('; ')}`);
}

/** Objects whose entry stands in a sheaf, by address; a second entry of one is a violation. */
function entries(world: World): Set<Address> {
  const { m, layout } = world.metadata;
  const found = new Set<Address>();
  for (let cache = 1; cache < layout.caches; cache++) {
    for (let i = 0; i < layout.sheavesPerCache; i++) {
      const sheaf = sheavesAt(layout, cache) + i * SHEAF_WORDS;
      if (m[sheaf] === 0) continue;
      for (let n = 1; n <= SHEAF_CAPACITY; n++) {
        const entry = m[sheaf + (n << PAIR_SHIFT)];
        if (entry === 0) continue;
        const address = addressOf(entry);
        check(!found.has(address), () => `${hex(address)} stands in two sheaves`);
        found.add(address);
      }
    }
  }
  return found;
}

/** All live objects of slabs; checks that each object of a slab is free, cached or live, and that once. */
function liveInSlabs(world: World): Set<Address> {
  const { m, s, layout } = world.metadata;
  const cached = entries(world);
  const live = new Set<Address>();
  let stand = 0;
  forEachSlab(world.metadata, (head, cache) => {
    const descriptor = cacheAt(layout, cache);
    const states = firstStateAt(m, descriptor, head);
    for (let index = 0; index < m[descriptor + C_OBJECTS]; index++) {
      const address = addressOf(
        firstEntryOf(m, layout.pageShift, descriptor, head) + index * m[descriptor + C_GRANULES],
      );
      const state = s[states + index];
      const inSheaf = cached.has(address);
      if (inSheaf) stand++;
      if (isLive(state)) live.add(address);
      const continues =
        state === CONTINUED && isSlob(world.metadata, cache) && s[states + index - 1] !== FREE;
      const known = state === FREE || state === PENDING || state === CACHED || isLive(state) || continues;
      check(known, () => `${hex(address)} is left in state ${state}`);
      check(
        inSheaf === (state === CACHED),
        () => `${hex(address)} has state ${state}, in a sheaf: ${inSheaf}`,
      );
    }
  });
  check(stand === cached.size, () => `${cached.size - stand} entries of sheaves name no object of a slab`);
  return live;
}

/** First addresses of live runs of frames, with the order that `freePages` takes; -1: an object of kmalloc. */
function liveRuns(world: World): Map<Address, number> {
  const { m, layout } = world.metadata;
  const runs = new Map<Address, number>();
  for (let pfn = layout.startFrame; pfn < m[H_FRAMES]; pfn++) {
    const page = pageAt(layout, pfn);
    const kind = kindOf(m[page + PAGE_FLAGS]);
    if (kind === KIND_LARGE) runs.set(pfn << layout.pageShift, -1);
    if (kind === KIND_PAGES) runs.set(pfn << layout.pageShift, Math.log2(m[page + PAGE_RUN]));
  }
  return runs;
}

/** Step 4, and the freeing of step 5. */
function account(world: World, inspector: SteppedHeap): void {
  const runs = liveRuns(world);
  const live = new Set([...liveInSlabs(world), ...runs.keys()]);
  let unlisted = live.size;
  let taking = 0;
  for (const { index, held, giving, taking: inHand } of world.actors) {
    for (const address of held) {
      check(live.has(address), () => `${hex(address)}, which actor ${index} has, is not live`);
      unlisted--;
    }
    for (const address of giving) if (live.has(address)) unlisted--;
    taking += inHand;
  }
  check(unlisted <= taking, () => `${unlisted} live objects are nobody's, where ${taking} may be`);
  for (const address of live) {
    const order = runs.get(address) ?? -1;
    if (order < 0) $quiet(inspector.kfree(address));
    else $quiet(inspector.freePages(address, order));
  }
}

function reapAll(world: World, inspector: SteppedHeap, validator: Heap, dead: readonly number[]): void {
  const { m, layout } = world.metadata;
  const own = [inspector.cpu, validator.cpu];
  // The inspector may have been given the number of one that was reaped before.
  for (const cpu of dead) if (!own.includes(cpu)) $quiet(inspector.reap(cpu));
  for (let cpu = 0; cpu < layout.cpus; cpu++) {
    const status = statusOf(m[cpuAt(layout, cpu) + CPU_STATUS]);
    const isActor = world.actors.some(({ heap }) => heap?.cpu === cpu) && !dead.includes(cpu);
    if (own.includes(cpu) || isActor) continue;
    // A CPU that died while it attached: nobody knows its number but from here.
    if (status !== OFFLINE) $quiet(inspector.reap(cpu));
    check(statusOf(m[cpuAt(layout, cpu) + CPU_STATUS]) === OFFLINE, () => `CPU ${cpu} was not reaped`);
  }
}

/** What the explorer does for the audit: runs something of a living CPU to its end. */
export interface Runner {
  /** A few operations more of each living actor. */
  goOn(): void;
  /** Each living actor gives up its sheaves, and detaches. */
  leave(): void;
}

/** Audits the world as it is now; throws a Violation. `dead`: CPU numbers. */
export function audit(world: World, dead: readonly number[], runner: Runner): void {
  const validator = Heap.attach(world.handle as Parameters<typeof Heap.attach>[0]);
  const inspector = $quiet(world.modules.attach(world.handle));
  checkSound(validator, dead.length > 0 ? 'with the dead not reaped' : 'in the end');
  runner.goOn();
  reapAll(world, inspector, validator, dead);
  if (dead.length > 0) checkSound(validator, 'after the reap');
  account(world, inspector);
  runner.leave();
  for (const { name } of validator.caches()) {
    if (!/^(kmalloc-|slob-pages)/.test(name)) $quiet($quiet(inspector.cache(name)).destroy());
  }
  $quiet(inspector.shrink());
  $quiet(inspector.detach());
  checkSound(validator, 'when everything is freed');
  const { live, footprint } = validator.meminfo();
  check(
    live === 0 && footprint === 0,
    () => `${live} bytes live, ${footprint} in use, when everything is freed`,
  );
}
