/**
 * The metadata buffer, word by word. Every offset and every flag of shared metadata is named here and nowhere else.
 *
 * A *word* is 4 bytes; a *granule* is 8 bytes, the unit in which sheaves store addresses (`entry = address >>> 3`),
 * so that an entry of a heap of 4 GiB is a positive small integer. Section offsets are in words, unless the name says
 * bytes. The whole buffer is reserved at creation for the largest size the heap may grow to: what is never touched
 * costs no memory.
 *
 *     header │ CPU records │ caches │ vmem_map │ free frames │ partial slabs │ deferred frames │ page tables │ barns │
 *     sheaves │ templates │ groups │ cache counters │ stack depot │ states
 *
 * Owners of words: [C] nobody, constant after set-up · [A] everybody, Atomics only · [P] one CPU, plain · [H] who holds
 * the claim, plain (others may read, and get a hint).
 *
 * Header
 *     0 magic [C]            4 max frames [C]       8 DMA start frame [C]    12 cache epoch [A]
 *     1 version [C]          5 frames [A]           9 DMA end frame [C]      13 CPU slots ever taken [A]
 *     2 page shift [C]       6 CPUs [C]            10 caches [C]             14 peak of used frames [A]
 *     3 start frame [C]      7 nodes [C]           11 kmalloc caches [C]     15 waiters' word [A]
 *    16 reports of damage [A]                     20 caches merge [C]   21 slob [C]   22 cache slots ever taken [A]
 *    64 … 223 slab debugging: 64 length of the option in bytes [C]   65 flags of large objects [C]   66 seconds of birth [C]
 *       67 stack depth [A]   68 every how many-th allocation is tracked [A]   69 stack depot: next free word [A]
 *       70 generations given [A]   71 … 75 fault injection [A]   76 … 78 sampling [C]
 *       79 seed of call sites [C]   96 … 223 the option, UTF-8 [C]
 *    40 places in the order of traced operations [A]   41 the heap's number in recordings [A]
 *    48 grace periods begun [A]                   49 grace periods ended [A]  (memory/rcu.ts)
 *
 * CPU record, 128 words, eight cache lines that no other CPU writes in the steady state
 *      0 status [A]                    4 pending slab [P]          8 … 23 counters [P]
 *      1 run head [P]                  5 frames in use [P]        24 … 31 scratch sheaf [P]
 *      2 run frames [P]                6 frames after a run [P]   32      tag length and type [P]
 *      3 pending entry [P]             7 –                        33 … 63 tag bytes [P]
 *     64 read section [A]             66 callbacks run [P]        68      vmalloc: first page table entry [P]
 *     65 callbacks queued [P]         67 deferring frame [P]      69      vmalloc: pages [P]
 *     72 charge: group and flags [A]  74 charge: run head [P]     76      link: slot [P]
 *     73 charge: row after [P]        75 thread of the host [P]   77      link: entry [P]
 *
 * Cache descriptor, 80 words
 *      0 state [A]                    12 slab shift [C]           20 user size [C]
 *      1 size [C]                     13 offset mask [C]          21 name length in bytes [C]
 *      2 stride [C]                   14 sheaf capacity [C]       22 … 31 parked empty slabs [A]
 *      3 align [C]                    15 order [C]                32 … 63 name, UTF-8 [C]
 *      4 flags [C]                    16 constructor kind [C]
 *      5 frames per slab [C]          17 template bytes [C]
 *      6 objects per slab [C]         18 node, or -1 [C]
 *      7 reciprocal [C]               19 user offset [C]
 *      8 reciprocal shift [C]
 *      9 states, byte offset [C]
 *     10 state shift [C]
 *     11 granules per object [C]                             64      references [A]
 *                                                            65      merged into: cache and alias, or 0 [C]
 *                                                            66      granules before the first object [C]
 *                                                            67      an object's track, from its first byte, or 0 [C]
 *                                                            68 … 71 tracked: live, peak, bytes asked for, peak [A]
 *                                                            72      slob: cache of its pages, or 0 [A]
 *
 * Group, 80 words and a *row*, one word a CPU: see slab/charge.ts and slab/groupTable.ts.
 *      0 state [A]                     3 name length in bytes [C]    48 … 79 name, UTF-8 [C]
 *      1 parent, or 0 [H]             16 … 47 groups adopted [A]     80 …    row: granules charged by each CPU slot [P]
 *      2 limit in granules, or -1 [A]
 *
 * Cache counters, 32 words a CPU and cache: what this CPU's slow paths have counted [P]; what they stood at when they were
 * cleared, 16 words on [A]: see memory/cpu.ts.
 *
 * Page descriptor (`struct page`), 16 words, one cache line: see page/page.ts.
 *
 * Sheaf, 256 words, aligned to as many: word 0 its owner [A], from word 2 pairs of entry and state [P]: see slab/sheaves.ts.
 *
 * States: one byte an object. A frame has, in region r, a window of 2^r state bytes at `region(r) + (pfn << r)`;
 * a cache uses the smallest region whose windows hold its objects, and give each slab a cache line. All bytes of a frame that
 * carries no slab are 0 (FREE). A slab of 2^order frames is aligned to its size, so its windows are adjacent.
 */

/** 'MSLB' read as a little-endian word. */
export const MAGIC = 0x424c534d;
/** Layout version; a handle of another one is refused. */
export const VERSION = 4;

export const WORD_SHIFT = 2;
/** Sheaf entries count granules of 8 bytes. */
export const GRANULE_SHIFT = 3;
/** Words of a cache line of 64 bytes. */
export const LINE_WORDS = 16;

export const H_MAGIC = 0;
export const H_VERSION = 1;
export const H_PAGE_SHIFT = 2;
export const H_START_FRAME = 3;
export const H_MAX_FRAMES = 4;
export const H_FRAMES = 5;
export const H_CPUS = 6;
export const H_NODES = 7;
export const H_DMA_START = 8;
export const H_DMA_END = 9;
export const H_CACHES = 10;
export const H_KMALLOC_CACHES = 11;
export const H_EPOCH = 12;
export const H_CPUS_TAKEN = 13;
export const H_PEAK_FRAMES = 14;
export const H_WAITERS = 15;
export const H_REPORTS = 16;
/** 1: caches that can share the slabs of kmalloc's do. */
export const H_MERGE = 20;
/** Slab debugging (slab/debugOption.ts). */
export const H_DEBUG_LENGTH = 64;
/** Debug flags of large objects of kmalloc, which are in no cache. */
export const H_DEBUG_LARGE = 65;
/** When the heap was made, in seconds: tracks count milliseconds from then. */
export const H_BORN = 66;
export const H_STACK_DEPTH = 67;
export const H_TRACK_EVERY = 68;
export const H_DEPOT_TOP = 69;
export const H_GENERATIONS = 70;
/** Fault injection (slab/failslab.ts): probability in units of 2^-32, interval, times left or -1, space, calls so far. */
export const H_FAIL_PROBABILITY = 71;
export const H_FAIL_INTERVAL = 72;
export const H_FAIL_TIMES = 73;
export const H_FAIL_SPACE = 74;
export const H_FAIL_CALLS = 75;
/** Sampling (kmalloc/kfence.ts): allocations, milliseconds, most objects; and the seed of kmalloc/callSites.ts. */
export const H_KFENCE_EVERY = 76;
export const H_KFENCE_INTERVAL = 77;
export const H_KFENCE_OBJECTS = 78;
export const H_SITE_SEED = 79;
export const H_DEBUG_TEXT = 96;
export const DEBUG_TEXT_BYTES = 512;
/** 1: caches that can lie in slob pages do (slab/slob.ts). */
export const H_SLOB = 21;
/** 1 + the highest number that a cache descriptor has ever been claimed under (slab/cacheTable.ts). */
export const H_CACHES_TAKEN = 22;
/** What each traced operation adds 1 to: its place among those of all threads (kmalloc/tracing.ts). */
export const H_TRACE_PLACE = 40;
/** A random number by which the heap is told from others (`heapNumber`); 0: nobody has asked. */
export const H_TRACE_HEAP = 41;
export const H_RCU_BEGUN = 48;
export const H_RCU_ENDED = 49;
/** Words behind the last named one stay 0: where a cache that a CPU does not use has its empty sheaf (slab/sheaves.ts). */
export const HEADER_WORDS = 256;

export const CPU_WORDS = 128;
export const CPU_STATUS = 0;
export const CPU_RUN_HEAD = 1;
export const CPU_RUN_FRAMES = 2;
export const CPU_PENDING_ENTRY = 3;
export const CPU_PENDING_SLAB = 4;
/** Frames that the slot's CPUs have allocated, less those that they have freed: the sum over all slots is exact. */
export const CPU_FRAMES = 5;
/** While `run head` names a run: what `frames in use` is to be once that run is free. */
export const CPU_FRAMES_AFTER = 6;
/** The full sheaf whose upper half is being moved into an empty one, by its word offset; 0: none is. */
export const CPU_SPLIT = 7;
export const CPU_COUNTERS = 8;
export const CPU_SCRATCH = 24;
/** Objects of the scratch sheaf, after its unused words 0 and 1. */
export const SCRATCH_CAPACITY = 3;
export const CPU_TAG_LENGTH = 32;
export const CPU_TAG = 33;
export const CPU_TAG_BYTES = 124;
/** 1 + the number of the grace period that had begun last when the outermost read section began; 0 outside of any. */
export const CPU_RCU_READING = 64;
export const CPU_RCU_QUEUED = 65;
export const CPU_RCU_RAN = 66;
/** The frame that this CPU is making wait for a grace period, or in which it is making an object wait; 0: none. */
export const CPU_RCU_DEFERRING = 67;
export const CPU_VMALLOC_HEAD = 68;
export const CPU_VMALLOC_PAGES = 69;
/** Intent of a charge (slab/charge.ts): the group and flags, what the row is to be if it is undone, a run's head. */
export const CPU_CHARGE = 72;
export const CPU_CHARGE_AFTER = 73;
export const CPU_CHARGE_RUN = 74;
/** The host's number of the thread (memory/thread.ts) + 1; 0 while the slot is offline or in passage. */
export const CPU_THREAD = 75;
/** Intent of `allocInto` and `freeFrom` (kmalloc/link.ts): the slot's address >>> 2, and the object's entry. */
export const CPU_LINK_SLOT = 76;
export const CPU_LINK_ENTRY = 77;
/** Bit of the tag length word: the tag is a number, its text in the bytes. */
export const TAG_NUMBER = 0x10000;
/** Bit of the tag length word: there is a tag. */
export const TAG_SET = 0x20000;

export const CACHE_WORDS = 80;
export const C_STATE = 0;
export const C_SIZE = 1;
export const C_STRIDE = 2;
export const C_ALIGN = 3;
export const C_FLAGS = 4;
export const C_FRAMES = 5;
export const C_OBJECTS = 6;
export const C_RECIPROCAL = 7;
export const C_RECIPROCAL_SHIFT = 8;
export const C_STATES = 9;
export const C_STATE_SHIFT = 10;
export const C_GRANULES = 11;
export const C_SLAB_SHIFT = 12;
export const C_OFFSET_MASK = 13;
export const C_CAPACITY = 14;
export const C_ORDER = 15;
export const C_CONSTRUCTOR = 16;
export const C_TEMPLATE_BYTES = 17;
export const C_NODE = 18;
export const C_USER_OFFSET = 19;
export const C_USER_SIZE = 20;
export const C_NAME_LENGTH = 21;
export const C_PARKED = 22;
export const PARKED_MAX = 10;
export const C_NAME = 32;
export const NAME_BYTES = 128;
export const C_REFERENCES = 64;
export const C_MERGED = 65;
/** What debugging adds to an object (slab/objectLayout.ts). */
export const C_LEFT = 66;
export const C_TRACK = 67;
export const C_TRACKED_LIVE = 68;
export const C_TRACKED_PEAK = 69;
export const C_TRACKED_BYTES = 70;
export const C_TRACKED_BYTES_PEAK = 71;
/** The cache whose slabs the objects lie in, if they lie in slob pages (slab/granules.ts); 0: not yet any, or its own. */
export const C_SLOB_PAGES = 72;

/** Longest template of bytes that a cache may be created with. */
export const TEMPLATE_BYTES_MAX: number = 1 << 16;

export const G_STATE = 0;
export const G_PARENT = 1;
export const G_LIMIT = 2;
export const G_NAME_LENGTH = 3;
export const G_ADOPTED = 16;
export const G_NAME = 48;
export const G_ROW = 80;
/** Groups of a heap, of which number 0 is none. As many as the bitmap of adopted groups has bits. */
export const GROUPS = 1024;

/** Words of the stack depot (slab/stackDepot.ts): 2 MiB. */
export const DEPOT_WORDS: number = 2 ** 19;
/** Counters of one cache by one CPU, a line; then a line of what they stood at when they were cleared. */
export const CACHE_COUNTERS_WORDS = 32;
export const CACHE_COUNTERS_CLEARED = 16;

export const PAGE_WORDS = 16;
export const PAGE_WORDS_SHIFT = 4;

export const SHEAF_WORDS_SHIFT = 8;
export const SHEAF_WORDS: number = 1 << SHEAF_WORDS_SHIFT;
/** An object of a sheaf has its entry in an even word, and the byte offset of its state in the word behind. */
export const PAIR_SHIFT = 1;
/** Where the topmost object of a full sheaf is. */
export const SHEAF_TOP: number = SHEAF_WORDS - (1 << PAIR_SHIFT);
/** Objects that a sheaf has room for. */
export const SHEAF_CAPACITY: number = (SHEAF_WORDS >>> PAIR_SHIFT) - 1;
/** Full sheaves that a barn keeps, as in Linux (MAX_FULL_SHEAVES). */
export const BARN_FULL_MAX = 10;
/** Sheaves beyond two a CPU and a full barn: for exchanges under way and for prefilled sheaves. */
const SHEAVES_SPARE = 70;

/** Bits of a virtual page number that one level of the page table resolves. */
export const TABLE_SHIFT = 9;
export const TABLE_ENTRIES: number = 1 << TABLE_SHIFT;

export const PAGE_SHIFT_MIN = 12;
/** Pages of heaps below 512 KiB, which would have too few of 4 KiB: as many as carry every size class that must be. */
export const PAGE_SHIFT_TINY = 9;
export const PAGE_SHIFT_MAX = 16;
export const CPUS_MAX = 1024;
export const CACHES_DEFAULT = 256;

/** What fixes the size of every section. */
export interface Geometry {
  readonly pageShift: number;
  /** First frame that the heap may use; at least 1, so that address 0 is NULL. */
  readonly startFrame: number;
  /** End (exclusive) of the frames that the heap may grow to. */
  readonly maxFrames: number;
  readonly cpus: number;
  readonly nodes: number;
  readonly caches: number;
}

/** Where every section of the metadata begins; pure function of the geometry. */
export interface Layout extends Geometry {
  readonly cpuRecords: number;
  readonly cacheTable: number;
  readonly vmemMap: number;
  /** One bit a frame: free. */
  readonly freeBitmap: number;
  readonly bitmapWords: number;
  /** One bitmap of `bitmapWords` a cache: unowned slabs with free objects. */
  readonly partialBitmaps: number;
  /** One bit a frame: something in it, or all of its run, waits for a grace period (page/deferred.ts). */
  readonly deferredBitmap: number;
  /** Pages of vmalloc's address space, a multiple of `TABLE_ENTRIES`. */
  readonly vmallocPages: number;
  /** Nodes of the page table by level, leaves first: where the first one of each level is (page/pageTable.ts). */
  readonly pageTables: readonly number[];
  /** One bitmap of `barnWords` a cache and node: full sheaves. */
  readonly barns: number;
  readonly barnWords: number;
  readonly sheaves: number;
  /** Sheaves of each cache. */
  readonly sheavesPerCache: number;
  readonly templates: number;
  readonly groups: number;
  /** Words of a group, its row included. */
  readonly groupWords: number;
  /** `DEPOT_WORDS` words of call stacks. */
  readonly depot: number;
  readonly cacheCounters: number;
  /** Byte offset of state region r. */
  readonly stateRegions: readonly number[];
  readonly totalBytes: number;
}

const alignTo = (words: number, unit: number): number => Math.ceil(words / unit) * unit;

/** Lays the sections out one behind the other, each on a cache line of its own. */
export function layoutOf(geometry: Geometry): Layout {
  const { pageShift, maxFrames, cpus, nodes, caches } = geometry;
  let end = HEADER_WORDS;
  const section = (words: number, unit: number = LINE_WORDS): number => {
    const start = alignTo(end, unit);
    end = start + words;
    return start;
  };
  const bitmapWords = alignTo(Math.ceil(maxFrames / 32), LINE_WORDS);
  const sheavesPerCache = 2 * cpus + nodes * BARN_FULL_MAX + SHEAVES_SPARE;
  const barnWords = Math.ceil(sheavesPerCache / 32);
  const cpuRecords = section(cpus * CPU_WORDS);
  const cacheTable = section(caches * CACHE_WORDS);
  const vmemMap = section(maxFrames * PAGE_WORDS);
  const freeBitmap = section(bitmapWords);
  const partialBitmaps = section(caches * bitmapWords);
  const deferredBitmap = section(bitmapWords);
  // Twice the frames: room for the page before each area, and for what fragmentation wastes.
  const vmallocPages = Math.ceil((2 * maxFrames) / TABLE_ENTRIES) * TABLE_ENTRIES;
  const pageTables: number[] = [];
  for (let entries = vmallocPages; entries > 1; ) {
    const nodes = Math.ceil(entries / TABLE_ENTRIES);
    pageTables.push(section(nodes * TABLE_ENTRIES));
    entries = nodes;
  }
  const barns = section(caches * nodes * barnWords);
  const sheaves = section(caches * sheavesPerCache * SHEAF_WORDS, SHEAF_WORDS);
  const templates = section((caches * TEMPLATE_BYTES_MAX) >>> WORD_SHIFT);
  const groupWords = alignTo(G_ROW + cpus, LINE_WORDS);
  const groups = section(GROUPS * groupWords);
  const depot = section(DEPOT_WORDS);
  const cacheCounters = section(cpus * caches * CACHE_COUNTERS_WORDS);
  const stateRegions: number[] = [];
  for (let r = 0; r <= pageShift - GRANULE_SHIFT; r++) {
    stateRegions.push(section(Math.ceil((maxFrames * 2 ** r) / 2 ** WORD_SHIFT)) << WORD_SHIFT);
  }
  return {
    ...geometry,
    cpuRecords,
    cacheTable,
    vmemMap,
    freeBitmap,
    bitmapWords,
    partialBitmaps,
    deferredBitmap,
    vmallocPages,
    pageTables,
    barns,
    barnWords,
    sheaves,
    sheavesPerCache,
    templates,
    groups,
    groupWords,
    depot,
    cacheCounters,
    stateRegions,
    totalBytes: alignTo(end, LINE_WORDS) << WORD_SHIFT,
  };
}

/** Word offset of the descriptor of frame `pfn`. */
export function pageAt(layout: Layout, pfn: number): number {
  return layout.vmemMap + (pfn << PAGE_WORDS_SHIFT);
}

/** Word offset of the descriptor of cache `id`. */
export function cacheAt(layout: Layout, id: number): number {
  return layout.cacheTable + id * CACHE_WORDS;
}

/** Word offset of the record of CPU `cpu`. */
export function cpuAt(layout: Layout, cpu: number): number {
  return layout.cpuRecords + cpu * CPU_WORDS;
}

/** Word offset of the first sheaf of cache `id`. */
export function sheavesAt(layout: Layout, id: number): number {
  return layout.sheaves + id * layout.sheavesPerCache * SHEAF_WORDS;
}

/** Word offset of the barn of cache `id` on `node`. */
export function barnAt(layout: Layout, id: number, node: number): number {
  return layout.barns + (id * layout.nodes + node) * layout.barnWords;
}

/** Word offset of the partial bitmap of cache `id`. */
export function partialAt(layout: Layout, id: number): number {
  return layout.partialBitmaps + id * layout.bitmapWords;
}

/** Byte offset of the template of cache `id`. */
export function templateAt(layout: Layout, id: number): number {
  return (layout.templates << WORD_SHIFT) + id * TEMPLATE_BYTES_MAX;
}

/** Word offset of group `number`. */
export function groupAt(layout: Layout, number: number): number {
  return layout.groups + number * layout.groupWords;
}

/** Word offset of what CPU `cpu` counts of cache `id`. */
export function cacheCountersAt(layout: Layout, cpu: number, id: number): number {
  return layout.cacheCounters + (cpu * layout.caches + id) * CACHE_COUNTERS_WORDS;
}

/** First frame of `node`; nodes are equal windows of the frames. */
export function nodeStart(layout: Layout, node: number): number {
  const frames = layout.maxFrames - layout.startFrame;
  return layout.startFrame + Math.floor((frames * node) / layout.nodes);
}

/** Bytes of the heap's window up to frame `end`; page 0, which is never used, counts where the window begins at 0. */
export function windowBytes(layout: Layout, end: number): number {
  return (end - (layout.startFrame === 1 ? 0 : layout.startFrame)) * 2 ** layout.pageShift;
}

/** The node that frame `pfn` belongs to. */
export function nodeOf(layout: Layout, pfn: number): number {
  let node = 0;
  while (node + 1 < layout.nodes && nodeStart(layout, node + 1) <= pfn) node++;
  return node;
}
