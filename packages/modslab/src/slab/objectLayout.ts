/**
 * What debugging puts around an object. Without it objects lie side by side; with it a slab looks like this:
 *
 *     │◀──── left ────▶│◀────────────────────────── stride ──────────────────────────▶│
 *     │            zone│ object, size bytes │ right zone … │ track, 32 bytes │    zone│ object …
 *                                            ▲ size         ▲ track           ▲ stride - ZONE
 *
 *     right zone  what is left of the stride, at least ZONE bytes; before it, if kmalloc was asked for less than `size`,
 *                 what was not asked for is a zone too
 *     left zone   the last ZONE bytes before the object: the end of the stride of the one before it, or of `left`
 *     track       who allocated and who freed the object, and how many bytes were asked for (slab/track.ts)
 *
 * `left` is a multiple of the alignment and less than the stride, so that finding an object's index by its distance from
 * the slab's first byte stays exact (geometry.ts). An object aligned to whole pages that is the first of its slab has no
 * left zone: it must begin in the slab's first frame.
 *
 * All of it is data of the heap, within reach of wild writes, as in Linux. So nothing in it is trusted: a zone is compared,
 * a track has a checksum, and what they say is used for reports only.
 */

import { SLAB, SLAB_DEBUG_ROOM, type SlabFlags } from './flags.ts';

/** Least bytes of a red zone. */
export const ZONE_BYTES = 16;
export const TRACK_BYTES = 32;

export interface ObjectLayout {
  readonly stride: number;
  readonly left: number;
  /** Where the track is, from the object's first byte; 0: none. */
  readonly track: number;
}

const alignUp = (bytes: number, unit: number): number => Math.ceil(bytes / unit) * unit;

/** `align`: a power of two, at least 8. */
export function objectLayout(size: number, align: number, flags: SlabFlags, pageSize: number): ObjectLayout {
  if ((flags & SLAB_DEBUG_ROOM) === 0) return { stride: alignUp(size, align), left: 0, track: 0 };
  const zone = (flags & SLAB.RED_ZONE) === 0 ? 0 : ZONE_BYTES;
  const left = zone === 0 || align >= pageSize ? 0 : alignUp(zone, align);
  const least = alignUp(alignUp(size + zone, 8) + TRACK_BYTES + zone, align);
  const stride = left < least ? least : least + align;
  return { stride, left, track: stride - zone - TRACK_BYTES };
}
