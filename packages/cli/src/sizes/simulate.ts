/**
 * What a table of size classes costs on a trace: every kmalloc of the trace is placed into slabs as the slabifier places
 * it (the lowest slab with room, an empty slab given back at once), without a heap and without sheaves, so that the table
 * alone is compared. Objects of caches and pages are left out: no table decides about them.
 *
 *     requested   bytes that live objects asked for
 *     given       bytes that they got: their class, or whole pages above the largest
 *     footprint   bytes of the slabs and pages that hold them
 *
 * All are taken at the moment at which `requested` is largest. Then
 *
 *     waste inside objects = given - requested        waste around objects = footprint - given
 */

import { type SizeClasses, slabGeometry } from 'modslab/framework';
import { OP_MASK, Op, type Program } from '../replay/program.ts';

/** What came of one table on one trace; sizes in bytes, at the peak. */
export interface SizesResult {
  classes: number;
  requested: number;
  given: number;
  footprint: number;
  slabs: number;
  /** Objects that got whole pages. */
  large: number;
  /** Reallocs that had to move, in the whole trace. */
  moves: number;
}

const DEAD = -1;
const LARGE = -2;

/** The slabs of one class: how many objects each holds. */
class ClassSlabs {
  readonly stride: number;
  readonly objects: number;
  readonly bytes: number;
  slabs = 0;
  private readonly used: number[] = [];
  /** No slab below this has room. */
  private lowest = 0;

  constructor(size: number, pageShift: number) {
    const geometry = slabGeometry(size, 0, 0, pageShift);
    this.stride = geometry.stride;
    this.objects = geometry.objects;
    this.bytes = geometry.frames * 2 ** pageShift;
  }

  /** Places one object; the number of its slab. */
  take(): number {
    const { used, objects } = this;
    while (this.lowest < used.length && (used[this.lowest] === objects || used[this.lowest] === 0))
      this.lowest++;
    // Slabs that were given back lie in between: one is taken anew only if no partial one is left.
    if (this.lowest === used.length) {
      const gone = used.indexOf(0);
      this.lowest = gone < 0 ? used.push(0) - 1 : gone;
    }
    if (used[this.lowest]++ === 0) this.slabs++;
    return this.lowest;
  }

  give(slab: number): void {
    if (--this.used[slab] === 0) this.slabs--;
    else if (slab < this.lowest) this.lowest = slab;
  }
}

/** A trace's kmallocs on one table. */
class Simulation {
  private readonly classes: readonly ClassSlabs[];
  private readonly sizes: SizeClasses;
  private readonly pageSize: number;
  private readonly classOf: Int16Array;
  private readonly slabOf: Int32Array;
  private readonly asked: Float64Array;
  private readonly got: Float64Array;
  private requested = 0;
  private given = 0;
  private largeBytes = 0;
  private large = 0;
  private moves = 0;
  private readonly best: SizesResult;

  constructor(objects: number, sizes: SizeClasses, pageSize: number) {
    this.sizes = sizes;
    this.pageSize = pageSize;
    this.classes = sizes.map((size) => new ClassSlabs(size, Math.log2(pageSize)));
    this.classOf = new Int16Array(objects).fill(DEAD);
    this.slabOf = new Int32Array(objects);
    this.asked = new Float64Array(objects);
    this.got = new Float64Array(objects);
    this.best = {
      classes: sizes.length,
      requested: 0,
      given: 0,
      footprint: 0,
      slabs: 0,
      large: 0,
      moves: 0,
    };
  }

  run(program: Program): SizesResult {
    const { op, id, size, aux } = program.rows;
    for (let row = 0; row < program.operations; row++) {
      const object = id[row];
      switch (op[row] & OP_MASK) {
        case Op.Kmalloc:
        case Op.Kzalloc:
          this.place(object, size[row], 1);
          break;
        case Op.Aligned:
          this.place(object, size[row], aux[row]);
          break;
        case Op.Realloc:
          this.resize(object, size[row]);
          break;
        case Op.Kfree:
          if (this.classOf[object] !== DEAD) this.free(object);
          break;
      }
      if (this.requested > this.best.requested) this.note();
    }
    return { ...this.best, moves: this.moves };
  }

  private note(): void {
    const { best, classes } = this;
    best.requested = this.requested;
    best.given = this.given;
    best.large = this.large;
    best.slabs = 0;
    best.footprint = this.largeBytes;
    for (const { slabs, bytes } of classes) {
      best.slabs += slabs;
      best.footprint += slabs * bytes;
    }
  }

  private place(object: number, size: number, align: number): void {
    const index = this.sizes.findIndex((stride) => stride >= size && stride % align === 0);
    const bytes = Math.max(1, Math.ceil(size / this.pageSize)) * this.pageSize;
    this.asked[object] = size;
    this.requested += size;
    if (index < 0) {
      this.classOf[object] = LARGE;
      this.got[object] = bytes;
      this.large++;
      this.largeBytes += bytes;
    } else {
      this.classOf[object] = index;
      this.got[object] = this.classes[index].stride;
      this.slabOf[object] = this.classes[index].take();
    }
    this.given += this.got[object];
  }

  private free(object: number): void {
    const index = this.classOf[object];
    this.requested -= this.asked[object];
    this.given -= this.got[object];
    this.classOf[object] = DEAD;
    if (index === LARGE) {
      this.large--;
      this.largeBytes -= this.got[object];
    } else this.classes[index].give(this.slabOf[object]);
  }

  /** As krealloc does: what fits stays, unless a large object would need half of its pages or less. */
  private resize(object: number, size: number): void {
    if (this.classOf[object] === DEAD) return;
    const got = this.got[object];
    const wasteful =
      this.classOf[object] === LARGE && Math.ceil(size / this.pageSize) * this.pageSize * 2 <= got;
    if (size <= got && !wasteful) {
      this.requested += size - this.asked[object];
      this.asked[object] = size;
      return;
    }
    this.free(object);
    this.place(object, size, 1);
    this.moves++;
  }
}

/** Whether a trace has anything that a table of size classes decides about. */
export function hasKmallocs(program: Program): boolean {
  return program.rows.op.some((op) => (op & OP_MASK) <= Op.Realloc);
}

/** Runs a trace's kmallocs through the slabs of one table. */
export function simulateSizes(program: Program, table: SizeClasses, pageSize: number): SizesResult {
  const sizes = table.filter((size) => size <= pageSize / 2);
  return new Simulation(program.objects, sizes, pageSize).run(program);
}
