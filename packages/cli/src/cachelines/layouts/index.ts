/** The layouts that the thread of 2006 compares, and today's Linux. */

import { LinuxSheaves } from './linuxSheaves.ts';
import type { Layout } from './memory.ts';
import { Slab2006 } from './slab2006.ts';
import { Slabifier2006 } from './slabifier2006.ts';

export type { Layout } from './memory.ts';

/** Makes one for objects of that size, on that many pages of 4 KiB. */
export type MakeLayout = (objectBytes: number, pages: number) => Layout;

export const LAYOUTS: readonly MakeLayout[] = [
  (bytes, pages) => new Slab2006(bytes, pages, 'smp'),
  (bytes, pages) => new Slab2006(bytes, pages, 'numa'),
  (bytes, pages) => new Slab2006(bytes, pages, 'masked'),
  (bytes, pages) => new Slabifier2006(bytes, pages),
  (bytes, pages) => new LinuxSheaves(bytes, pages),
];
