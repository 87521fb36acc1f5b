/**
 * Owner tracking: who allocated each object and who freed it, on which CPU, when, and from where in the program. Stacks are in
 * the depot of the metadata (stackDepot.ts), so any thread can read them, those of dead ones too. The number of frames, and
 * that only every n-th allocation's stack is taken, is a setting of the heap (`heap.tracking`).
 */

import { H_TRACK_EVERY } from '../memory/layout.ts';
import type { DebugContext, DebugPart } from './debugPart.ts';
import { SLAB } from './flags.ts';
import {
  byWord,
  heapTime,
  sealTrack,
  T_ALLOCATED_AT,
  T_ALLOCATED_BY,
  T_FREED_AT,
  T_FREED_BY,
} from './track.ts';

/** Allocations and frees of this thread since a stack was taken. */
let skipped = 0;

/** The handle of the caller's stack, or 0 if it is not this one's turn. */
export function captured({ metadata, depot }: DebugContext): number {
  skipped++;
  if (skipped < metadata.m[H_TRACK_EVERY]) return 0;
  skipped = 0;
  return depot.capture();
}

export const track: DebugPart = {
  name: 'track',
  flag: SLAB.STORE_USER,
  activate(context, object) {
    const { u32 } = context.data.views();
    u32[object.track + T_ALLOCATED_BY] = byWord(captured(context), context.cpu.id);
    u32[object.track + T_ALLOCATED_AT] = heapTime(context.metadata.m);
    sealTrack(u32, object.track);
  },
  freed(context, object) {
    const { u32 } = context.data.views();
    u32[object.track + T_FREED_BY] = byWord(captured(context), context.cpu.id);
    u32[object.track + T_FREED_AT] = heapTime(context.metadata.m);
    sealTrack(u32, object.track);
  },
};
