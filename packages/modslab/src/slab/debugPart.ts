/**
 * The parts of slab debugging: each does one thing at an object's allocation and free, for the caches that have its flag, and
 * stands in a file of its own. `DebugAllocator` (debugAllocator.ts) runs them; a derivation is that allocator with one
 * part more.
 */

import type { Cpu } from '../memory/cpu.ts';
import type { DataMemory } from '../memory/data.ts';
import type { GfpFlags } from '../memory/gfp.ts';
import type { Metadata } from '../memory/metadata.ts';
import type { Finding } from '../memory/report.ts';
import type { CacheTable } from './cacheTable.ts';
import type { DebugObject } from './debugObject.ts';
import type { SlabFlags } from './flags.ts';
import type { Quarantine } from './quarantined.ts';
import type { Reporter } from './reporter.ts';
import type { StackDepot } from './stackDepot.ts';

/** What the parts work with: one of each thread. */
export interface DebugContext {
  readonly metadata: Metadata;
  readonly cpu: Cpu;
  readonly data: DataMemory;
  readonly table: CacheTable;
  readonly depot: StackDepot;
  readonly reporter: Reporter;
  readonly quarantine: Quarantine;
}

export interface DebugPart {
  /** The derivation's name: "redzone". */
  readonly name: string;
  /** Caches with this flag have it. */
  readonly flag: SlabFlags;
  /** Whether this allocation is to fail. */
  fails?(context: DebugContext, cache: number, gfp: GfpFlags): boolean;
  /** Looks at an inactive object: one that has just been taken from its slab, or lies in it. */
  checkInactive?(context: DebugContext, object: DebugObject, findings: Finding[]): void;
  /** Makes an object of `requested` bytes active. */
  activate?(context: DebugContext, object: DebugObject, requested: number): void;
  /** Looks at an active object. */
  checkActive?(context: DebugContext, object: DebugObject, requested: number, findings: Finding[]): void;
  /** The object is about to be made inactive; `requested` bytes were asked for. */
  freed?(context: DebugContext, object: DebugObject, requested: number): void;
}
