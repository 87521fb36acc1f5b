/**
 * An object with debugging around it, as the parts of slab debugging see it: where its bytes, zones and track are.
 *
 * An object is *active* while it is handed out, *inactive* while it is free: that is how its zones and its poison are
 * filled. Objects that are FREE in their slab are inactive, always: a slab is made so, whoever frees an object makes it
 * inactive before it goes back, and whatever else puts one back (reap, the end of a grace period) calls `makeInactive`
 * first. A live object is active while its state is ARMED, which is LIVE with a mark:
 *
 *     alloc   state LIVE · zones, track, bytes written · state ARMED
 *     free    ARMED → LIVE by compare-and-swap: of two frees one gets it · checked · made inactive · back to its slab
 *
 * So whoever looks at another thread's objects, or at a dead one's, checks ARMED ones only, and a thread that is killed in
 * between leaves nothing that looks like damage.
 *
 * | killed here                                        | ⇒ reap does this                                       |
 * |----------------------------------------------------|--------------------------------------------------------|
 * | alloc: LIVE, not yet ARMED                         | nothing: an object of the dead thread, never checked    |
 * | free: LIVE again, half made inactive               | the same; with a link's mark, makes it inactive first   |
 */

import type { DataMemory } from '../memory/data.ts';
import { addressOf, entryOf } from '../memory/entry.ts';
import {
  C_CONSTRUCTOR,
  C_FLAGS,
  C_FRAMES,
  C_GRANULES,
  C_LEFT,
  C_OBJECTS,
  C_SIZE,
  C_STRIDE,
  C_TRACK,
  cacheAt,
  GRANULE_SHIFT,
  WORD_SHIFT,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { ALIAS_SHIFT, LIVE } from '../page/page.ts';
import type { Address } from './cacheSpec.ts';
import { CONSTRUCTOR_NONE, firstEntryOf, headOf, stateAt } from './cacheTable.ts';
import { SLAB, SLAB_DEBUG_ROOM, type SlabFlags } from './flags.ts';
import { ZONE_BYTES } from './objectLayout.ts';
import { clearTrack, T_REQUESTED, trackIsTrue } from './track.ts';

/** State of a live object whose zones and track are as they should be. Caches with debugging are never merged. */
export const ARMED: number = LIVE | (1 << ALIAS_SHIFT);

/** Linux's bytes: zones of free and of live objects, poison and its end, what lies behind the last object. */
export const RED_INACTIVE = 0xbb;
export const RED_ACTIVE = 0xcc;
export const POISON_FREE = 0x6b;
export const POISON_END = 0xa5;
export const POISON_INUSE = 0x5a;

export interface DebugObject {
  readonly cache: number;
  readonly flags: SlabFlags;
  readonly address: Address;
  /** The slab's first frame. */
  readonly head: number;
  readonly index: number;
  /** Byte offset of its state. */
  readonly state: number;
  readonly size: number;
  readonly stride: number;
  /** End of the right zone: where the track is. */
  readonly zoneEnd: Address;
  /** Word offset of the track in the data; 0: none. */
  readonly track: number;
  /** Whether the bytes before it are a zone of its own. */
  readonly hasLeft: boolean;
  /** Whether its bytes are poisoned while it is free: not with a constructor, nor where readers may still look at it. */
  readonly isPoisoned: boolean;
}

/** Whether the bytes of a free object stay as they are: it has a constructor, or readers may still look at it. */
export function keepsBytes({ m, layout }: Metadata, cache: number): boolean {
  const descriptor = cacheAt(layout, cache);
  const isConstructed = m[descriptor + C_CONSTRUCTOR] !== CONSTRUCTOR_NONE;
  return isConstructed || (m[descriptor + C_FLAGS] & SLAB.TYPESAFE_BY_RCU) !== 0;
}

export function debugObject(metadata: Metadata, cache: number, address: Address): DebugObject {
  const { m, layout } = metadata;
  const descriptor = cacheAt(layout, cache);
  const entry = entryOf(address);
  const flags = m[descriptor + C_FLAGS];
  const head = headOf(m, descriptor, entry);
  const stride = m[descriptor + C_STRIDE];
  const base = head * 2 ** layout.pageShift;
  const track = m[descriptor + C_TRACK];
  return {
    cache,
    flags,
    address,
    head,
    index: Math.floor((address - base) / stride),
    state: stateAt(m, descriptor, entry),
    size: m[descriptor + C_SIZE],
    stride,
    zoneEnd: address + track,
    track: track === 0 ? 0 : (address + track) / 2 ** WORD_SHIFT,
    hasLeft: address - base >= ZONE_BYTES,
    isPoisoned: (flags & SLAB.POISON) !== 0 && !keepsBytes(metadata, cache),
  };
}

/** Bytes that a live object was asked for; its size if its track has been written over. */
export function requestedOf(words: Uint32Array, object: DebugObject): number {
  const { track, size } = object;
  return track !== 0 && trackIsTrue(words, track) ? Math.min(size, words[track + T_REQUESTED]) : size;
}

/** Fills zones and bytes as they are while the object is free. What its track says stays. */
export function makeInactive(metadata: Metadata, data: DataMemory, cache: number, address: Address): void {
  fillInactive(data.views().u8, debugObject(metadata, cache, address));
}

export function fillInactive(u8: Uint8Array, object: DebugObject): void {
  const { flags, address, size, zoneEnd, hasLeft, isPoisoned } = object;
  if ((flags & SLAB.RED_ZONE) !== 0) {
    if (hasLeft) u8.fill(RED_INACTIVE, address - ZONE_BYTES, address);
    u8.fill(RED_INACTIVE, address + size, zoneEnd);
  }
  if (!isPoisoned) return;
  u8.fill(POISON_FREE, address, address + size - 1);
  u8[address + size - 1] = POISON_END;
}

/** Makes a slab that is not published yet one of inactive objects. */
export function initializeSlab(metadata: Metadata, data: DataMemory, cache: number, head: number): void {
  const { m, layout } = metadata;
  const descriptor = cacheAt(layout, cache);
  const flags = m[descriptor + C_FLAGS];
  if ((flags & (SLAB_DEBUG_ROOM | SLAB.POISON | SLAB.INIT_ON_FREE)) === 0) return;
  const { u8, u32 } = data.views();
  const start = head * 2 ** layout.pageShift;
  const end = start + m[descriptor + C_FRAMES] * 2 ** layout.pageShift;
  const first = start + (m[descriptor + C_LEFT] << GRANULE_SHIFT);
  const objects = m[descriptor + C_OBJECTS];
  // Who frees an object fills it with zeros; so a new slab, of frames that others had, must be that way from the start.
  if ((flags & SLAB.INIT_ON_FREE) !== 0) u8.fill(0, first, end);
  u8.fill(RED_INACTIVE, start, first);
  u8.fill(POISON_INUSE, first + objects * m[descriptor + C_STRIDE], end);
  for (let index = 0; index < objects; index++) {
    const entry = firstEntryOf(m, layout.pageShift, descriptor, head) + index * m[descriptor + C_GRANULES];
    const object = debugObject(metadata, cache, addressOf(entry));
    fillInactive(u8, object);
    if (object.track !== 0) clearTrack(u32, object.track);
  }
}
