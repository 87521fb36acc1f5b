/**
 * How sheaves store addresses: in granules of 8 bytes, so that an entry below 4 GiB is a small positive integer and 0
 * is "none". A heap above 4 GiB needs another encoding here, and nowhere else.
 */

import { GRANULE_SHIFT } from './layout.ts';

/** The sheaf entry of an address, a multiple of 8. */
export function entryOf(address: number): number {
  return address >>> GRANULE_SHIFT;
}

/** The address of a sheaf entry. */
export function addressOf(entry: number): number {
  return (entry << GRANULE_SHIFT) >>> 0;
}
