/**
 * Owner tracking: who allocated each object and who freed it, on which CPU, when, and from where in the program. Stacks are in
 * the depot of the metadata (stackDepot.ts), so any thread can read them, those of dead ones too. The number of frames, and
 * that only every n-th allocation's stack is taken, is a setting of the heap (`heap.tracking`).
 */

import { checkInteger } from '../memory/errors.ts';
import { H_STACK_DEPTH, H_TRACK_EVERY } from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
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

const STACK_DEPTH_MAX = 64;

/** How stacks are taken. */
export interface TrackSettings {
  /** Frames of a stack, 1 … 64 (default 16). */
  depth: number;
  /** Of so many allocations and frees of a thread one has its stack taken (default 1: each). */
  every: number;
}

export function trackSettings({ m }: Metadata): TrackSettings {
  return { depth: m[H_STACK_DEPTH], every: m[H_TRACK_EVERY] };
}

/** Changes some of them. Throws `RangeError`, and changes nothing, for values that mean nothing. */
export function setTrackSettings(metadata: Metadata, settings: Partial<TrackSettings>): void {
  const { depth, every } = { ...trackSettings(metadata), ...settings };
  checkInteger('depth', depth, 1, STACK_DEPTH_MAX);
  checkInteger('every', every, 1, 2 ** 30);
  metadata.m[H_STACK_DEPTH] = depth;
  metadata.m[H_TRACK_EVERY] = every;
}

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
