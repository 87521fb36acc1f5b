/**
 * `struct page`: one descriptor of 16 words, one cache line, for every frame that the heap may ever have. Their array
 * is `vmem_map`, so that a frame is found from an address by one shift and one scaled add:
 *
 *     virtToPage(addr) = vmemMap + (addr >>> pageShift) * PAGE_WORDS
 *
 *     word 0  FLAGS       3 … 0 kind │ 19 … 4 cache id          [H] constant while the frame carries its slab
 *     word 1  CLAIM       the frame's claim word                [A]
 *     word 2  HEAD        first frame of the run                [H]
 *     word 3  RUN         frames of the run (head only)         [H]
 *     word 4  FIRST_FREE  no object below this index is FREE    [H] slab heads
 *     word 5  LAST        FLAGS before the last release         [H] tells a double free from a foreign address
 *     word 6  REQUESTED   bytes asked for                       [H] large objects
 *     word 7  BASE        address of the slab's first byte     [H] slabs: what a free needs, on this one line
 *     word 8  RECIPROCAL  ceil(2^16 / granules of an object)    [H]
 *     word 9  STRIDE      bytes from one object to the next     [H]
 *     word 10 STATES      byte offset of the first state        [H]
 *     word 11 GROUP       the group that its objects are charged to, or 0   [H] slabs of charged caches, large objects
 *     word 12 USER        CPU + 1 that last took objects of the slab [H] a hint
 *     word 14 GRACE       the grace period that the run waits for [H] kind RCU
 *     word 15 SOURCE      what the run's derivations want      [H] every frame of the run; 0 while the frame is free
 *     word 13 VPN         the virtual page that maps the frame  [H] kind VMALLOC
 *
 * FLAGS as it is (`flags & CACHE_MASK`) is also the index of the cache's words in a CPU's private table: the free path
 * needs no further shift. With off = address - BASE, the index of an object is ((off >>> 3) * RECIPROCAL) >>> 16. For the
 * first byte of an object, off = k * g granules: k * g * RECIPROCAL = k * (2^16 + e) with e < g, and k * e < k * g ≤ 2^16, as
 * a slab of several objects has at most 2^16 granules; so the index is k. For any other byte, index * STRIDE ≠ off.
 *
 * CLAIM
 *
 *     29 LIVE │ 28 NEW │ 27 FROZEN │ 26 PENDING │ 25 USED │ 24 … 14 owner │ 13 … 0 free objects
 *
 *     0                         the frame is free, and its bit in the free bitmap is set
 *     USED | owner              CPU owner - 1 holds the frame: it alone may change the other words
 *     USED | PARKED             an empty slab, kept in a slot of its cache
 *     USED | count              an unowned slab with `count` FREE objects
 *     USED | LIVE               a large object, a run of pages or a frame of a vmalloc area, handed out
 *     USED | FROZEN             a run that waits for a grace period (kind RCU)
 *     USED | LIVE               a tail of a run: the head's holder alone may take it back
 *     USED                      an unowned slab without FREE objects
 *
 * It changes by compare-and-swap, or by an atomic store of the owner where nobody else could change it. Anybody who
 * holds an object of the slab may set PENDING; that apart, an owned word changes by its owner only.
 *
 * Invariants, for an unowned slab:
 *     count = objects in state FREE
 *     its partial bit is set ⇔ count > 0 or PENDING
 *     count < objects: an empty slab is parked or released          unless PENDING, or just made
 */

export const PAGE_FLAGS = 0;
export const PAGE_CLAIM = 1;
export const PAGE_HEAD = 2;
export const PAGE_RUN = 3;
export const PAGE_FIRST_FREE = 4;
export const PAGE_LAST = 5;
export const PAGE_REQUESTED = 6;
export const PAGE_BASE = 7;
export const PAGE_RECIPROCAL = 8;
export const PAGE_STRIDE = 9;
export const PAGE_STATES = 10;
export const PAGE_GROUP = 11;
export const PAGE_USER = 12;
export const PAGE_VPN = 13;
export const PAGE_GRACE = 14;
export const PAGE_SOURCE = 15;
/** The reciprocal of a page descriptor is in units of 2^-16. */
export const PAGE_RECIPROCAL_SHIFT = 16;

export const KIND_NONE = 0;
export const KIND_SLAB = 1;
/** A further frame of a slab that has several; objects may begin in it. */
export const KIND_SLAB_TAIL = 2;
/** First frame of a large object of kmalloc or kvmalloc. */
export const KIND_LARGE = 3;
/** First frame of a run that `allocPages` handed out. */
export const KIND_PAGES = 4;
/** A further frame of a run; nothing begins in it. */
export const KIND_TAIL = 5;
/** First frame of a run whose release waits for a grace period (page/deferred.ts). */
export const KIND_RCU = 6;
/** A frame of a vmalloc area (page/vmalloc.ts). */
export const KIND_VMALLOC = 7;
export const KIND_MASK = 15;
export const CACHE_SHIFT = 4;
export const CACHE_MASK = 0xffff0;

/**
 * Bits of SOURCE: what the derivations that a run came through want of whoever gives it back, who need not know them
 * (another thread, or the reaper of a dead one).
 */
/** The frames are free only after a grace period. */
export const SOURCE_RCU = 1;
/** The frames are counted as reclaimable. */
export const SOURCE_RECLAIMABLE = 2;
/** The frames are counted as unreclaimable. */
export const SOURCE_UNRECLAIMABLE = 4;

export const COUNT_MASK = 0x3fff;
const OWNER_SHIFT = 14;
const OWNER_MASK = 0x7ff;
export const CLAIM_OWNER: number = OWNER_MASK << OWNER_SHIFT;
/** The owner of a parked slab: no CPU's number + 1. */
export const OWNER_PARKED = 0x7ff;
export const CLAIM_USED: number = 1 << 25;
export const CLAIM_PENDING: number = 1 << 26;
export const CLAIM_FROZEN: number = 1 << 27;
/** The slab's objects have not all been constructed. */
export const CLAIM_NEW: number = 1 << 28;
export const CLAIM_LIVE: number = 1 << 29;

/** What the tails of a run carry: LIVE keeps those away who look for unowned slabs. */
export const CLAIM_TAIL: number = CLAIM_USED | CLAIM_LIVE;

/** A run that waits for a grace period. Nothing else has this word: who swaps it for its own holds such a run. */
export const CLAIM_DEFERRED: number = CLAIM_USED | CLAIM_FROZEN;

export const ownerOf = (claim: number): number => (claim >>> OWNER_SHIFT) & OWNER_MASK;
export const ownerBits = (owner: number): number => owner << OWNER_SHIFT;
export const kindOf = (flags: number): number => flags & KIND_MASK;
export const cacheOf = (flags: number): number => (flags & CACHE_MASK) >>> CACHE_SHIFT;
export const flagsOf = (kind: number, cache: number): number => kind | (cache << CACHE_SHIFT);

/** Object states: one byte each. The rest of the byte is left for generations. */
export const FREE = 0;
/** In a sheaf. */
export const CACHED = 1;
/** Handed out. */
export const LIVE = 2;
/** On its way from a sheaf to PENDING. */
export const RELEASING = 3;
/** Free, but not yet counted: the slab's owner, or the next one, makes it FREE. */
export const PENDING = 4;
/** In pages that caches share, a further granule of the object before it (slab/granules.ts). */
export const CONTINUED = 5;
/** Freed, but readers may still look at it: FREE after a grace period, whose two lowest bits are those of the state. */
export const WAITING = 8;
export const WAITING_MASK = 3;
/** LIVE, and named by a bulk free that is under way. Left behind by a killed thread it means LIVE. */
export const LIVE_MARKED = 130;
/** The bit of LIVE_MARKED that is the mark. */
export const MARK = 128;
/** A live object of a merged cache carries the cache's alias, 1 … 7, in the bits from here on (kmalloc/merge.ts). */
export const ALIAS_SHIFT = 4;
export const ALIAS_MAX = 7;
const BASE_MASK = 15;

/** Whether a state byte is that of an object that waits for a grace period. */
export const isWaiting = (state: number): boolean => (state & ~WAITING_MASK) === WAITING;

/** Whether a state byte is that of an object handed out. */
export const isLive = (state: number): boolean => (state & BASE_MASK) === LIVE;
/** The alias that a live object was allocated by; 0: none. */
export const aliasOf = (state: number): number => (state >>> ALIAS_SHIFT) & ALIAS_MAX;
/** Whether a state byte is one of those that mean something. */
export const isState = (state: number): boolean => state <= PENDING || isLive(state) || isWaiting(state);
