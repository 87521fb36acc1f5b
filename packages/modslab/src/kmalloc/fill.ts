/**
 * Filling memory with zeros, by the view that is fastest for the length. Measured on Node 20 for a KiB of shared
 * memory: Uint8Array.fill 279 ns, Float64Array.fill 71 ns, `set` from an array of zeros 36 ns.
 */

import type { DataMemory } from '../memory/data.ts';

/** Up to here a loop of 8-byte stores beats a call. */
const LOOP_BYTES = 128;
const ZEROS: Uint8Array = new Uint8Array(4096);

/** Fills `bytes` bytes from `address` with zeros. Both are multiples of 8. */
export function zero(data: DataMemory, address: number, bytes: number): void {
  const views = data.views();
  if (bytes <= LOOP_BYTES) {
    const { f64 } = views;
    for (let at = address / 8; at < (address + bytes) / 8; at++) f64[at] = 0;
    return;
  }
  const { u8 } = views;
  const end = address + bytes;
  let at = address;
  for (; at + ZEROS.length <= end; at += ZEROS.length) u8.set(ZEROS, at);
  if (at < end) u8.set(ZEROS.subarray(0, end - at), at);
}
