/**
 * The track of an object (Linux: `struct track` and `orig_size`): who allocated it, who freed it, how many bytes were asked
 * for. Eight words behind the object (objectLayout.ts), so in reach of wild writes: word 0 says whether the others are true.
 *
 *     0 checksum of the others and of the address       4 allocated at
 *     1 bytes asked for                                 5 freed by: stack << 11 | CPU + 1
 *     2 generation: the number of the allocation        6 freed at
 *     3 allocated by: stack << 11 | CPU + 1             7 –
 *
 * Times are in milliseconds since the heap was made, modulo 2^32. A stack is a handle of the depot, 0 if it was not recorded.
 */

import { H_BORN } from '../memory/layout.ts';
import type { TrackInfo } from '../memory/report.ts';
import type { StackDepot } from './stackDepot.ts';

export const T_CHECK = 0;
export const T_REQUESTED = 1;
export const T_GENERATION = 2;
export const T_ALLOCATED_BY = 3;
export const T_ALLOCATED_AT = 4;
export const T_FREED_BY = 5;
export const T_FREED_AT = 6;
export const TRACK_WORDS = 8;
const CPU_BITS = 11;
const CPU_MASK: number = 2 ** CPU_BITS - 1;

function checksum(words: Uint32Array, at: number): number {
  let sum = at ^ 0x6d6f6473;
  for (let i = 1; i < TRACK_WORDS; i++) sum = Math.imul(sum ^ words[at + i], 0x01000193) ^ (sum >>> 15);
  return sum >>> 0;
}

/** Makes the track at word `at` true. */
export function sealTrack(words: Uint32Array, at: number): void {
  words[at] = checksum(words, at);
}

/** Whether nobody else has written to the track at word `at`. */
export function trackIsTrue(words: Uint32Array, at: number): boolean {
  return words[at] === checksum(words, at);
}

/** A track that says nothing. */
export function clearTrack(words: Uint32Array, at: number): void {
  words.fill(0, at, at + TRACK_WORDS);
  sealTrack(words, at);
}

/** Milliseconds since the heap was made. */
export function heapTime(m: Int32Array): number {
  return (Date.now() - m[H_BORN] * 1000) >>> 0;
}

export const byWord = (stack: number, cpu: number): number => ((stack << CPU_BITS) | (cpu + 1)) >>> 0;
export const stackOf = (word: number): number => word >>> CPU_BITS;
/** The CPU of a track's word; -1: nobody has written it. */
export const cpuOfTrack = (word: number): number => (word & CPU_MASK) - 1;

/** What two words of a track say; undefined if nobody has written them. */
export function readTrack(m: Int32Array, depot: StackDepot, by: number, at: number): TrackInfo | undefined {
  const cpu = cpuOfTrack(by);
  if (cpu < 0) return undefined;
  return {
    stack: depot.frames(stackOf(by)),
    cpu,
    time: m[H_BORN] * 1000 + at,
    age: Math.max(0, heapTime(m) - at),
  };
}
