/** What a check of slab debugging has found, for programs to read. `text` is the same in the kernel's form. */

/** Who allocated or freed an object. */
export interface TrackInfo {
  /** Innermost first, modslab's own frames left out; empty if the stack was not recorded. */
  readonly stack: readonly string[];
  readonly cpu: number;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** Milliseconds before now. */
  readonly age: number;
}

/** Bytes that are not what they should be. */
export interface Finding {
  /** `Right Redzone`, `Left Redzone`, `kmalloc Redzone`, `Poison`, `Track`, … */
  readonly what: string;
  /** First byte that is wrong; the one behind the last that is. */
  readonly from: number;
  readonly to: number;
  /** The first wrong byte, and what it should be. */
  readonly found: number;
  readonly expected: number;
}

/** One report of slab debugging. */
export interface SlabReport {
  /** `Right Redzone overwritten`, `Object already free`, … */
  readonly bug: string;
  readonly cache: string;
  /** The object; the slab's first byte if it is about the slab. */
  readonly address: number;
  /** Bytes that the object was allocated with. */
  readonly requested: number;
  readonly size: number;
  readonly slab: {
    readonly address: number;
    readonly objects: number;
    readonly used: number;
    readonly order: number;
    readonly pfn: number;
  };
  readonly findings: readonly Finding[];
  readonly allocated?: TrackInfo;
  readonly freed?: TrackInfo;
  /** What was put right, one line each. */
  readonly fixes: readonly string[];
  /** The CPU that found it, and when, in milliseconds since 1970. */
  readonly cpu: number;
  readonly time: number;
  /** In the kernel's form. */
  readonly text: string;
}
