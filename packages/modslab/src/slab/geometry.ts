/**
 * How objects lie in a slab.
 *
 * A slab is 2^order frames, aligned to its size, with objects from its first byte on, one every `stride` bytes; or, for
 * objects larger than four frames, a run of exactly as many frames as one object needs. The index of the object that
 * an address lies in takes one multiply: with `off` the distance from the slab's start and `g` the stride, both in
 * granules,
 *
 *     off / g = (off * reciprocal) >>> shift        shift = b + 1 + floor(log2 g)      reciprocal = ceil(2^shift / g)
 *
 * which is exact for all off < 2^b (b = bits of an offset): the error of the reciprocal is below g < 2^(floor(log2 g)+1),
 * so off times it is below 2^shift; and the product is below 2^(2b + 1) + 2^b ≤ 2^32 as b ≤ 15 (four frames of 64 KiB).
 */

import { assert } from '../memory/assert.ts';
import { GRANULE_SHIFT, LINE_WORDS, PAGE_SHIFT_MIN, WORD_SHIFT } from '../memory/layout.ts';
import { SLAB, SLAB_SINGLE_FRAME, SLAB_SLOB, SLAB_WHOLE_PAGES, type SlabFlags } from './flags.ts';
import { objectLayout } from './objectLayout.ts';

/** Largest order of a slab with several objects; what the reciprocal is exact for. */
const ORDER_MAX = 2;
/** Waste that a slab may have at most, as a share: 1/8 (Linux's and illumos's bound). */
const WASTE_SHARE = 8;
const CACHE_LINE = 64;
/** Bytes of the two granules that have one name in a slob page. */
const PAIR_BYTES: number = 2 ** (GRANULE_SHIFT + 1);

export interface SlabGeometry {
  /** Bytes from one object to the next. */
  readonly stride: number;
  readonly align: number;
  /** Bytes of the slab before its first object, less than the stride: so an object's index is exact without them. */
  readonly left: number;
  /** Where an object's track is, from its first byte; 0: it has none. */
  readonly track: number;
  /** Log2 of the frames of an aligned slab; 0 for a run of exact length. */
  readonly order: number;
  readonly frames: number;
  readonly objects: number;
  readonly granules: number;
  readonly reciprocal: number;
  readonly reciprocalShift: number;
  /** An entry shifted by this is the number of its slab. */
  readonly slabShift: number;
  /** An entry masked by this is the offset in its slab, in granules. */
  readonly offsetMask: number;
  /** Which region the states live in, and how far apart slabs are in it: a slab's window has 2^stateShift bytes. */
  readonly stateRegion: number;
  readonly stateShift: number;
  /** Objects that a sheaf of this cache holds. */
  readonly capacity: number;
}

/**
 * Sheaf capacities by object size: Linux's, twice that for small objects (a batch of 1,000 then takes half the time),
 * less for what is larger than its largest slab objects.
 */
function sheafCapacity(stride: number, pageShift: number): number {
  const whole = wholeCapacity(stride);
  // A tiny heap cannot spare more than a slab's worth: a refill would make slabs for objects that nobody may ask for.
  return pageShift < PAGE_SHIFT_MIN
    ? Math.max(2, Math.min(whole, Math.floor(2 ** pageShift / stride)))
    : whole;
}

function wholeCapacity(stride: number): number {
  if (stride < 256) return 124;
  if (stride < 1024) return 28;
  if (stride < 4096) return 12;
  return stride <= 8192 ? 4 : 2;
}

/** Default alignment: 8, from 16 bytes up 16; a cache line, or the half or quarter that holds the object, on demand. */
function alignmentOf(size: number, align: number, flags: SlabFlags): number {
  let result = Math.max(align, size < 16 ? 8 : 16);
  if ((flags & SLAB.HWCACHE_ALIGN) !== 0) {
    let line = CACHE_LINE;
    while (size <= line / 2 && line > 8) line /= 2;
    result = Math.max(result, line);
  }
  return result;
}

/** The smallest order with waste of at most 1/8, or the one that wastes least; -1 for runs of exact length. */
function orderOf(stride: number, left: number, pageSize: number, orderMax: number): number {
  if (orderMax === 0) return left + stride <= pageSize ? 0 : -1;
  if (left + stride > pageSize * 2 ** orderMax) return -1;
  let best = -1;
  let least = 1;
  for (let order = 0; order <= orderMax; order++) {
    const bytes = pageSize * 2 ** order;
    if (left + stride > bytes) continue;
    const waste = ((bytes - left) % stride) / bytes;
    if (waste <= 1 / WASTE_SHARE) return order;
    if (waste < least) {
      least = waste;
      best = order;
    }
  }
  const run = Math.ceil((left + stride) / pageSize) * pageSize;
  return (run - stride) / run < least ? -1 : best;
}

/**
 * A cache in slob pages (slab/granules.ts): its slabs' "objects" are granules, the stride is that of a run of them. Powers of
 * two are aligned to themselves, as in slabs of equal objects; what has more than one granule begins with a pair of them.
 */
function slobGeometry(size: number, align: number, flags: SlabFlags, pageShift: number): SlabGeometry {
  const slabShift = pageShift - GRANULE_SHIFT;
  const stride = Math.ceil(size / 2 ** GRANULE_SHIFT) * 2 ** GRANULE_SHIFT;
  const natural = (size & (size - 1)) === 0 ? size : 0;
  return {
    stride,
    align: Math.max(natural, alignmentOf(size, align, flags), stride > PAIR_BYTES / 2 ? PAIR_BYTES : 0),
    order: 0,
    frames: 1,
    objects: 2 ** slabShift,
    granules: 1,
    reciprocal: 2 ** (slabShift + 1),
    reciprocalShift: slabShift + 1,
    slabShift,
    offsetMask: 2 ** slabShift - 1,
    stateRegion: slabShift,
    stateShift: slabShift,
    capacity: sheafCapacity(stride, pageShift),
    left: 0,
    track: 0,
  };
}

/** Log2 of the states in a cache line: no two slabs share one, or two CPUs that use one slab each would contend for it. */
const LINE_SHIFT: number = Math.log2(LINE_WORDS) + WORD_SHIFT;

/** Lays out slabs for objects of `size` bytes. */
export function slabGeometry(size: number, align: number, flags: SlabFlags, pageShift: number): SlabGeometry {
  if ((flags & SLAB_SLOB) !== 0) return slobGeometry(size, align, flags, pageShift);
  const pageSize = 2 ** pageShift;
  const alignment = alignmentOf(size, align, flags);
  const { stride, left, track } = objectLayout(size, alignment, flags, pageSize);
  const orderMax = (flags & SLAB_SINGLE_FRAME) !== 0 ? 0 : ORDER_MAX;
  const order = (flags & SLAB_WHOLE_PAGES) !== 0 ? -1 : orderOf(stride, left, pageSize, orderMax);
  const exact = order < 0;
  const frames = exact ? Math.ceil((left + stride) / pageSize) : 2 ** order;
  const objects = exact ? 1 : Math.floor((frames * pageSize - left) / stride);
  const slabShift = pageShift - GRANULE_SHIFT + (exact ? 0 : order);
  const granules = stride >>> GRANULE_SHIFT;
  const log = 31 - Math.clz32(granules);
  const reciprocalShift = objects === 1 ? 0 : slabShift + 1 + log;
  const reciprocal = objects === 1 ? 0 : Math.ceil(2 ** reciprocalShift / granules);
  const slots = Math.ceil((frames * pageSize) / stride);
  const window = exact ? 0 : Math.ceil(Math.log2(slots));
  const stateShift = exact ? window : Math.max(window, order, Math.min(LINE_SHIFT, slabShift));
  assert(left + objects * stride <= frames * pageSize, 'objects fit their slab');
  assert(left < stride, 'an index is exact without what lies before the first object');
  assert(reciprocalShift < 32, 'the reciprocal fits a word');
  return {
    stride,
    align: alignment,
    left,
    track,
    order: exact ? 0 : order,
    frames,
    objects,
    granules,
    reciprocal,
    reciprocalShift,
    slabShift,
    offsetMask: 2 ** slabShift - 1,
    stateRegion: stateShift - (exact ? 0 : order),
    stateShift,
    capacity: sheafCapacity(stride, pageShift),
  };
}
