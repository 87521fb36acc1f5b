/**
 * What the workers of threads-stall do: one, the *victim*, comes to a kill point and stands there for good; the others,
 * the *survivors*, go on.
 *
 * The victim runs the mix and, in between, whatever leads to its kill point: it grows the heap, creates and destroys
 * caches, attaches and detaches a second CPU, reaps a CPU that it says is dead. It stops in whatever it happens to be
 * doing at the n-th passage, and never tells anybody anything again but that it is there.
 */

import { Heap } from 'modslab';
import { KILL_POINTS, setKillPointHook } from 'modslab/debug';
import { slob } from 'modslab/framework';
import { type Board, FREE_CONTROL } from './board.ts';
import { jitter } from './killpoints.ts';
import { Mix, type MixOptions } from './mix.ts';
import { Random } from './random.ts';
import { numberOf, type Scenarios, type Task, textOf } from './task.ts';

/** Control word: 1 + the number of the kill point that the victim stands at. */
export const STANDS_AT = FREE_CONTROL;
/** Control word: nobody ever changes it; the victim waits on it. */
const FOR_EVER = FREE_CONTROL + 1;

/** In STANDS_AT: a reaper has come to its end without stopping. */
export const REAPED = -1;

/** In STANDS_AT: the victim has failed before it came to its kill point. */
const FAILED = -2;

/** Rounds after which a victim that has not come to its kill point gives up. */
const ROUNDS_MAX = 100_000;

/** Stops this thread for good at the n-th passage of a kill point, or of any if it is ''. */
function stopAt(board: Board, point: string, passage: number): void {
  let left = passage;
  setKillPointHook((name) => {
    if ((point !== '' && name !== point) || --left > 0) return;
    const { control } = board;
    Atomics.store(control, STANDS_AT, 1 + KILL_POINTS.indexOf(name));
    Atomics.notify(control, STANDS_AT);
    for (;;) Atomics.wait(control, FOR_EVER, 0);
  });
}

/** Objects of 64 bytes that are more than the spares of a CPU and a barn hold. */
const BURST = 1500;

/** What leads to a kill point that the mix does not come to by itself, or seldom. */
class Detours {
  private readonly task: Task;
  private readonly random: Random;
  private round = 0;

  constructor(task: Task, random: Random) {
    this.task = task;
    this.random = random;
  }

  /** The detour to `point`. */
  to(point: string): void {
    if (point.startsWith('cache.')) this.createAndDestroy();
    else if (point.startsWith('cpu.')) this.comeAndGo();
    else if (point.startsWith('reap.')) this.reapCorpse();
    else if (point === 'memory.grown') this.grow();
    else if (point.startsWith('barn.')) this.burst();
    else if (point.startsWith('vmalloc.')) this.mapAndUnmap();
    else if (/^(rcu|deferred|waiting)[.]/.test(point)) this.readAndDefer();
    else if (point.startsWith('link.')) this.link();
    else if (point.startsWith('slob.')) this.sharePages();
    else if (point.startsWith('charge.') || point.startsWith('group.')) this.useGroups();
    else this.flush();
  }

  /** A cache of its own, whose objects are in this CPU's sheaves when it is destroyed. */
  private createAndDestroy(): void {
    const { heap } = this.task;
    const cache = heap.createCache({
      name: `victim-${this.round++ % 4}`,
      size: 64 + 8 * this.random.below(100),
    });
    const some = Array.from({ length: 20 }, () => cache.alloc());
    for (const address of some) cache.free(address);
    cache.destroy();
  }

  /** A second CPU of this thread comes, leaves objects in sheaves, and goes. */
  private comeAndGo(): void {
    const side = Heap.attach(this.task.handle, { tag: 'victim aside' });
    this.leaveCached(side);
    side.detach();
  }

  /** A second CPU of this thread that will never run again is reaped by the first. */
  private reapCorpse(): void {
    const corpse = Heap.attach(this.task.handle, { tag: 'corpse' });
    this.leaveCached(corpse);
    this.task.heap.reap(corpse.cpu);
  }

  private leaveCached(heap: Heap): void {
    const some = Array.from({ length: 30 }, () => heap.kmalloc(8 + this.random.below(1000)));
    for (const address of some) heap.kfree(address);
  }

  /** A read section, then objects of a slab, and one with pages of its own, that wait for a grace period. */
  private readAndDefer(): void {
    const { heap } = this.task;
    heap.rcuReadLock();
    heap.rcuReadUnlock();
    for (let i = 0; i < 70; i++) heap.kfreeRcu(heap.kmalloc(i === 7 ? 40_000 : 100));
    heap.shrink();
  }

  /** More objects of one size, allocated and freed, than this CPU's spares hold: the rest passes through the barn. */
  private burst(): void {
    const { heap, board, args } = this.task;
    const worker = numberOf(args, 'worker');
    board.inflight[worker] = BURST;
    const some = Array.from({ length: BURST }, () => heap.kmalloc(64));
    for (const address of some) heap.kfree(address);
    board.inflight[worker] = 0;
  }

  /** An area comes and goes. */
  private mapAndUnmap(): void {
    const { heap } = this.task;
    const area = heap.vmalloc(3 * heap.pageSize);
    if (area !== null) heap.vfree(area);
  }

  /** Half as much as the heap has: more than is free. */
  private grow(): void {
    const { heap } = this.task;
    const { size, footprint } = heap.meminfo();
    heap.kfree(heap.kvmalloc(Math.min(size - footprint + 1, heap.kmallocMaxSize)));
  }

  /** An object allocated into a slot of another, and freed from it. */
  private link(): void {
    const { heap, board, args } = this.task;
    const worker = numberOf(args, 'worker');
    board.inflight[worker] = 2;
    const home = heap.kzalloc(64);
    heap.allocInto(home, this.random.oneIn(4) ? 20_000 : this.random.below(1000));
    heap.freeFrom(home);
    heap.kfree(home);
    board.inflight[worker] = 0;
  }

  /** Two groups, of which one adopts the other and is then freed with all that they have. */
  private useGroups(): void {
    const { heap } = this.task;
    const group = heap.createGroup({ name: `victim ${this.round++ % 4}`, limit: 2 ** 20 });
    const child = heap.createGroup();
    for (const each of [group, child]) {
      for (let i = 0; i < 6; i++) each.kmalloc(this.random.below(2000));
      heap.kfree(each.kmalloc(64));
      heap.kfree(each.kmalloc(20_000));
    }
    group.adopt(child);
    group.free();
  }

  /** Objects of a cache in pages that caches share. Whatever of it stays behind is freed by its name. */
  private sharePages(): void {
    const { heap } = this.task;
    const name = 'victim-slob';
    const allocator = slob(heap.pageAllocator);
    const { table } = allocator;
    const size = 8 + 8 * this.random.below(100);
    const cache =
      table.find(name) ||
      allocator.create({ name, size, align: 0, flags: 0, node: -1, useroffset: 0, usersize: size });
    const some = Array.from({ length: 4 }, () => allocator.alloc(cache, 0));
    for (const address of some) if (address !== 0) heap.kfree(address);
  }

  private flush(): void {
    if (this.random.oneIn(4)) this.task.heap.shrink();
  }
}

function optionsOf({ heap, board, args }: Task): MixOptions {
  const worker = numberOf(args, 'worker');
  return { heap, board, worker, seed: numberOf(args, 'seed') * 64 + worker, sizeMax: 40_000 };
}

/** Never returns, if all goes as it should. If not, the survivors are told, and do not look out for it any more. */
function stopForGood(task: Task): never {
  try {
    goToKillPoint(task);
  } finally {
    Atomics.store(task.board.control, STANDS_AT, FAILED);
  }
  throw new Error(`never came to '${textOf(task.args, 'point')}'`);
}

function goToKillPoint(task: Task): void {
  const { board, args } = task;
  const point = textOf(args, 'point');
  const options = optionsOf(task);
  const mix = new Mix(options);
  const detours = new Detours(task, new Random(options.seed + 1));
  stopAt(board, point, numberOf(args, 'passage'));
  for (let round = 0; round < ROUNDS_MAX; round++) {
    for (let i = 0; i < 20; i++) mix.step();
    mix.allocateMarked();
    mix.freeOne();
    detours.to(point);
  }
}

/** Reaps every CPU but its own that has a tag which begins so, and stops at a kill point in the middle of that. */
function reapAndStop({ heap, board, args }: Task): number {
  const { control } = board;
  const dead = heap
    .cpus()
    .filter(({ online, tag }) => online && String(tag).startsWith(textOf(args, 'dead')));
  stopAt(board, textOf(args, 'point'), numberOf(args, 'passage'));
  for (const { cpu, generation } of dead) heap.reap(cpu, generation);
  setKillPointHook(undefined);
  Atomics.store(control, STANDS_AT, REAPED);
  return dead.length;
}

/**
 * Works until the victim stands, then does `ops` more operations without it, caches that come and go among them; then
 * frees all that it has.
 */
function goOn(task: Task): { failed: number } {
  const { heap, board, args } = task;
  const options = optionsOf(task);
  jitter(options.seed, 64);
  const mix = new Mix(options);
  const { control } = board;
  while (Atomics.load(control, STANDS_AT) === 0) mix.step();
  setKillPointHook(undefined);
  mix.failed = 0;
  const ops = numberOf(args, 'ops');
  for (let i = 0; i < ops; i++) {
    mix.step();
    if (i % 2048 === 0) {
      const cache = heap.createCache({ name: `survivor ${options.worker} ${i}`, size: 8 + (i % 3000) });
      cache.free(cache.alloc());
      cache.destroy();
    }
  }
  mix.freeAll();
  return { failed: mix.failed };
}

export const scenarios: Scenarios = {
  'stall.stop': stopForGood,
  'stall.reap': reapAndStop,
  'stall.go-on': goOn,
};
