/**
 * Single edits that break the core: of claiming, of the order of stores, of reaping. Each must be caught by some test
 * (`npm run test:mutants`). `text` stands once in the file; what takes its place is `by`.
 *
 * `scenarios`: those of test/explore that are tried first, as what is broken is what they are about; all others follow.
 * `tests`: test files to be run where the explorer cannot find it, since no step of shared memory is involved.
 */

export interface Mutant {
  /** Below `src/`. */
  readonly file: string;
  readonly text: string;
  readonly by: string;
  readonly breaks: string;
  readonly scenarios?: readonly string[];
  readonly tests?: readonly string[];
}

const PAGES = 'page/pageAllocator.ts';
const SLABIFIER = 'slab/slabifier.ts';
const SHEAVES = 'slab/sheaves.ts';
const TABLE = 'slab/cacheTable.ts';
const REAP = 'debug/reap.ts';
const CPU = 'memory/cpu.ts';
const KMALLOC = 'kmalloc/kmalloc.ts';

const REFILL = 'two refill from one slab';
const FLUSH = 'two flush into the same slabs';
const MEET = 'a refill meets a flush';
const BARN = 'two exchange with the barn';
const THROUGH = 'sheaves through the barn';
const SHARING = 'pages that caches share';
const HOME = 'the last objects of a slab';
const PARKED = 'a parked slab is wanted by two';
const LARGE = 'large objects';
const ORDERS = 'pages of several orders';
const GROWTH = 'growth by two';
const AT_ONCE = 'two caches created';
const ONE_NAME = 'one name for the caches';
const FREED_TWICE = 'a large object freed by two';
const BARN_DESTROYED = 'a barn is filled';
const COME_AND_GO = 'attach and detach';
const CONSTRUCTORS = 'constructors';
const ASIDE = 'objects set aside';
const REAPER = 'a reaper dies';
const BY_TWO = 'a dead CPU reaped by two';

export const mutants: readonly Mutant[] = [
  // Claiming
  {
    file: SLABIFIER,
    text: 'if (Atomics.compareExchange(m, page + PAGE_CLAIM, word, word | mine) !== word) {',
    by: 'if (Atomics.store(m, page + PAGE_CLAIM, word | mine) === 0) {',
    breaks: 'a slab is claimed by a plain store',
    scenarios: [REFILL],
  },
  {
    file: SLABIFIER,
    text: 'if (Atomics.compareExchange(m, at, word, (word & ~CLAIM_OWNER) | this.mine) !== word) continue;',
    by: 'Atomics.store(m, at, (word & ~CLAIM_OWNER) | this.mine);',
    breaks: 'a parked slab is taken by a plain store',
    scenarios: [PARKED],
  },
  {
    file: PAGES,
    text: 'if (Atomics.compareExchange(m, at, 0, claimed) !== 0) {',
    by: 'if (m[at] !== 0 || Atomics.store(m, at, claimed) === 0) {',
    breaks: 'a frame is claimed by a load and a store',
    scenarios: [LARGE],
  },
  {
    file: PAGES,
    text: 'for (let k = 0; k < i; k++) Atomics.store(m, pageAt(metadata.layout, head + k) + PAGE_CLAIM, 0);',
    by: '',
    breaks: 'frames of a run that was not to be had stay claimed',
    scenarios: [LARGE],
  },
  {
    file: SHEAVES,
    text: 'if (m[sheaf] === 0 && Atomics.compareExchange(m, sheaf, 0, cpu.owner) === 0) {',
    by: 'if (m[sheaf] === 0 && Atomics.store(m, sheaf, cpu.owner) !== 0) {',
    breaks: 'an empty sheaf is claimed by a load and a store',
    scenarios: [BARN, THROUGH],
  },
  {
    file: SHEAVES,
    text: 'if (m[sheaf] !== IN_BARN || Atomics.compareExchange(m, sheaf, IN_BARN, cpu.owner) !== IN_BARN)\n      return false;',
    by: 'if (m[sheaf] !== IN_BARN) return false;\n    Atomics.store(m, sheaf, cpu.owner);',
    breaks: 'a full sheaf is taken from a barn by a load and a store',
    scenarios: [BARN],
  },
  {
    file: TABLE,
    text: 'if (Atomics.compareExchange(m, at, state, claimed) === state) return id;',
    by: 'Atomics.store(m, at, claimed);\n      return id;',
    breaks: 'a cache descriptor is claimed by a plain store',
    scenarios: [AT_ONCE],
  },
  {
    file: TABLE,
    text: 'return Atomics.compareExchange(m, at, candidate, stateWord(CACHE_READY, 0, generation)) === candidate;',
    by: 'return Atomics.store(m, at, stateWord(CACHE_READY, 0, generation)) !== 0;',
    breaks: 'a candidate that was made to withdraw becomes READY',
    scenarios: [ONE_NAME],
  },
  {
    file: CPU,
    text: 'if (Atomics.compareExchange(m, at, word, attaching) !== word) continue;',
    by: 'Atomics.store(m, at, attaching);',
    breaks: 'a CPU slot is claimed by a plain store',
    scenarios: [COME_AND_GO],
  },
  {
    file: KMALLOC,
    text: 'if (Atomics.compareExchange(m, page + PAGE_CLAIM, live, mine) !== live)',
    by: 'if (Atomics.store(m, page + PAGE_CLAIM, mine) === 0)',
    breaks: 'a large object is freed without a look at its claim',
    scenarios: [FREED_TWICE],
  },
  // Giving up
  {
    file: SLABIFIER,
    text: 'if (Atomics.compareExchange(m, at, word, next) !== word) continue;',
    by: 'Atomics.store(m, at, next);',
    breaks: 'a slab is let go by a plain store, over a PENDING bit that has just been set',
    scenarios: [MEET, FLUSH],
  },
  {
    file: SLABIFIER,
    text: '        if (listed) setBit(m, bitmap, head);\n',
    by: '        if (!listed) setBit(m, bitmap, head);\n',
    breaks: 'the partial bit of a slab with free objects is not set',
    scenarios: [FLUSH],
  },
  {
    file: SLABIFIER,
    text: '    if (hasBit(m, bitmap, head)) clearBit(m, bitmap, head);\n    const keeps',
    by: '    const keeps',
    breaks: 'a slab that is parked or released keeps its partial bit',
    scenarios: [HOME],
  },
  {
    file: SLABIFIER,
    text: '        this.forgetParked(cache, head);\n        return head;',
    by: '        return head;',
    breaks: 'a slot goes on naming a slab that is parked no more',
    scenarios: [PARKED],
  },
  {
    file: SHEAVES,
    text: "    setBit(m, barnAt(metadata.layout, cache, cpu.node), number);\n    killPoint('barn.put-bit');\n    Atomics.store(m, sheaf, IN_BARN);",
    by: "    Atomics.store(m, sheaf, IN_BARN);\n    killPoint('barn.put-bit');\n    setBit(m, barnAt(metadata.layout, cache, cpu.node), number);",
    breaks: "a full sheaf is given up before its barn's bit is set",
    scenarios: [BARN, THROUGH],
  },
  {
    file: SHEAVES,
    text: "    killPoint('barn.taken');\n    this.forgetInBarn(cache, sheaf);",
    by: "    killPoint('barn.taken');",
    breaks: 'a sheaf taken from a barn keeps its bit there',
    scenarios: [THROUGH],
  },
  {
    file: PAGES,
    text: "    killPoint('frames.bits-set');\n    for (let pfn = from; pfn < end; pfn++) {\n      const page = pageAt(metadata.layout, pfn);\n      m[page + PAGE_SOURCE] = 0;\n      Atomics.store(m, page + PAGE_CLAIM, 0);\n    }\n",
    by: '    for (let pfn = from; pfn < end; pfn++) Atomics.store(m, pageAt(metadata.layout, pfn) + PAGE_CLAIM, 0);\n    setRange(m, metadata.layout.freeBitmap, from, end);\n',
    breaks: 'the free bits are set once more after the frames were free',
    scenarios: [LARGE, ORDERS],
  },
  {
    file: PAGES,
    text: '    clearRange(m, metadata.layout.freeBitmap, head, head + frames);',
    by: '',
    breaks: 'frames in use keep their free bits',
    scenarios: [LARGE],
  },
  // Order of stores
  {
    file: SHEAVES,
    text: '    m[top | 1] = state;\n    m[top] = address >>> GRANULE_SHIFT;\n    s[state] = CACHED;\n    hot[slot | TOP] = top;',
    by: '    s[state] = CACHED;\n    m[top | 1] = state;\n    m[top] = address >>> GRANULE_SHIFT;\n    hot[slot | TOP] = top;',
    breaks: 'push makes the object CACHED before its entry stands in the sheaf',
    scenarios: [FLUSH],
  },
  {
    file: SHEAVES,
    text: '    m[top | 1] = state;\n    m[top] = address >>> GRANULE_SHIFT;\n    s[state] = CACHED;\n    hot[slot | TOP] = top;',
    by: '    m[top] = address >>> GRANULE_SHIFT;\n    m[top | 1] = state;\n    s[state] = CACHED;\n    hot[slot | TOP] = top;',
    breaks: 'push writes the entry before the place of its state',
    scenarios: [FLUSH, REFILL],
  },
  {
    file: SHEAVES,
    text: '    this.s[m[top | 1]] = LIVE;\n    hot[slot | TOP] = top - PAIR;\n    m[top] = 0;\n    return (entry << GRANULE_SHIFT) >>> 0;',
    by: '    m[top] = 0;\n    hot[slot | TOP] = top - PAIR;\n    this.s[m[top | 1]] = LIVE;\n    return (entry << GRANULE_SHIFT) >>> 0;',
    breaks: 'pop clears the entry before it makes the object LIVE',
    scenarios: [REFILL],
  },
  {
    file: SLABIFIER,
    text: '      m[at + 1] = states + index;\n      m[at] = first + Math.imul(index, granules);\n      s[states + index] = CACHED;',
    by: '      s[states + index] = CACHED;\n      m[at + 1] = states + index;\n      m[at] = first + Math.imul(index, granules);',
    breaks: 'a refill makes the object CACHED before its entry stands in the sheaf',
    scenarios: [REFILL],
  },
  {
    file: SLABIFIER,
    text: "        s[state] = FREE;\n        count++;\n      }\n      killPoint('slab.putting');\n      m[at] = 0;",
    by: "        m[at] = 0;\n        killPoint('slab.putting');\n        s[state] = FREE;\n        count++;\n      }\n      m[at] = 0;",
    breaks: 'a flush clears the entry before it makes the object FREE',
    scenarios: [FLUSH],
  },
  {
    file: SLABIFIER,
    text: '      m[cpu.record + CPU_PENDING_ENTRY] = m[at];\n      m[at] = 0;',
    by: '      m[at] = 0;',
    breaks: 'the pending entry is not recorded',
    scenarios: [FLUSH, MEET],
  },
  {
    file: SLABIFIER,
    text: '    const before = Atomics.or(m, pageAt(metadata.layout, head) + PAGE_CLAIM, CLAIM_PENDING);',
    by: '    const before = m[pageAt(metadata.layout, head) + PAGE_CLAIM];',
    breaks: 'nobody is told of pending objects',
    scenarios: [MEET, FLUSH],
  },
  {
    file: SLABIFIER,
    text: '    if (others) Atomics.or(m, page + PAGE_CLAIM, CLAIM_PENDING);',
    by: '    if (others) this.cpu.count(N_CLAIMS_LOST, 0);',
    breaks: 'a holder that meets a RELEASING object does not leave PENDING set',
    scenarios: [MEET, FLUSH],
  },
  {
    file: SLABIFIER,
    text: '      this.forgetPending(first + Math.imul(index, m[descriptor + C_GRANULES]));\n',
    by: '',
    breaks: "a pending entry outlives its object's PENDING state",
    tests: ['leftBehind'],
  },
  {
    file: PAGES,
    text: '    m[cpu.record + CPU_RUN_HEAD] = head;',
    by: '    m[cpu.record + CPU_RUN_HEAD] = 0;',
    breaks: 'the run that is being claimed or released is not named',
    scenarios: [LARGE],
  },
  {
    file: PAGES,
    text: '    m[cpu.record + CPU_FRAMES_AFTER] = framesAfter;',
    by: '',
    breaks: 'what the count of frames is to be after an undone run is not written',
    scenarios: [LARGE, REFILL],
  },
  // Reaping
  {
    file: REAP,
    text: '    this.forEachSheaf(dead, (_cache, sheaf) => this.dropFreeEntries(sheaf, SHEAF_CAPACITY));\n',
    by: '',
    breaks: 'entries of objects that are FREE already stay in the sheaves of the dead',
    scenarios: [FLUSH],
  },
  {
    file: REAP,
    text: "    this.giveUpFrames(dead, report);\n    killPoint('reap.slabs-given-up');\n    this.forEachSheaf(dead, (cache, sheaf) => this.takeSheaf(dead, cache, sheaf, report));",
    by: "    this.forEachSheaf(dead, (cache, sheaf) => this.takeSheaf(dead, cache, sheaf, report));\n    killPoint('reap.slabs-given-up');",
    breaks: 'the slabs that a dead CPU holds are not given up',
    scenarios: [FLUSH],
  },
  {
    file: REAP,
    text: '    sheaves.drain(cache, sheaf, 1, SHEAF_CAPACITY);\n    sheaves.releaseSheaf(sheaf);',
    by: '    sheaves.releaseSheaf(sheaf);',
    breaks: 'the sheaves of the dead are given up without a flush',
    scenarios: [FLUSH],
  },
  {
    file: REAP,
    text: '    sheaves.forgetInBarn(cache, sheaf);\n',
    by: '',
    breaks: 'a sheaf of a dead CPU keeps its bit in a barn',
    scenarios: [THROUGH, BARN],
  },
  {
    file: REAP,
    text: '    this.finishPending(record, dead);\n',
    by: '',
    breaks: 'a RELEASING object of a dead CPU is not made PENDING',
    scenarios: [FLUSH, MEET],
  },
  {
    file: REAP,
    text: '    if (statusOf(word) === REAPING) return report;\n',
    by: '',
    breaks: 'two reap one CPU at once',
    scenarios: [BY_TWO],
  },
  {
    file: REAP,
    text: '    this.takeOver(dead, report);\n    this.run(dead, report);\n    return report;',
    by: '    this.run(dead, report);\n    return report;',
    breaks: 'what a dead reaper was reaping is forgotten',
    scenarios: [REAPER],
  },
  {
    file: REAP,
    text: '    this.table.abandon(dead + 1);\n',
    by: '',
    breaks: 'a descriptor that a dead CPU was creating is never free again',
    scenarios: [AT_ONCE],
  },
  {
    file: REAP,
    text: '    this.drainScratch(record + CPU_SCRATCH, report);\n',
    by: '',
    breaks: 'the objects in the scratch sheaf of a dead CPU are lost',
    scenarios: [ASIDE],
    tests: ['groups-kill', 'link.test', 'threads-stall'],
  },
  {
    file: SLABIFIER,
    text: '    for (let index = 0; index < m[descriptor + C_OBJECTS]; index++) {\n      if (s[states + index] === FREE) count++;',
    by: '    count = found & COUNT_MASK;\n    for (let index = 0; index < m[descriptor + C_OBJECTS]; index++) {',
    breaks: 'the slab of a dead CPU is not recounted',
    scenarios: [FLUSH, REFILL],
  },
  {
    file: SLABIFIER,
    text: '    m[page + PAGE_FIRST_FREE] = 0;\n    // It may have died',
    by: '    // It may have died',
    breaks: 'the first-free hint of a dead CPU is believed',
    tests: ['leftBehind'],
  },
  {
    file: SLABIFIER,
    text: '    Atomics.or(m, page + PAGE_CLAIM, CLAIM_PENDING);\n    this.letGo(cache, head, count, false);',
    by: '    this.letGo(cache, head, count, false);',
    breaks: 'pending objects that a dead CPU was collecting are not looked for',
    scenarios: [FLUSH, MEET],
  },
  {
    file: SLABIFIER,
    text: '      clearBit(m, partialAt(metadata.layout, cache), head);\n      this.releaseSlab(cache, head);\n      return;',
    by: '      this.releaseSlab(cache, head);\n      return;',
    breaks: 'a new slab whose constructor died keeps the partial bit that was set already',
    scenarios: [CONSTRUCTORS],
  },
  {
    file: SLABIFIER,
    text: '    this.takeOver(page);\n    this.forgetParked(cache, head);\n',
    by: '    this.takeOver(page);\n',
    breaks: 'a slot names a slab that its dead holder was parking or unparking',
    scenarios: [HOME, PARKED],
  },
  {
    file: PAGES,
    text: '      if (!owned && !ourTail) continue;',
    by: '      if (!owned) continue;',
    breaks: 'the described tails of a run that was not published are not released',
    scenarios: [LARGE],
  },
  // Pages that caches share
  {
    file: 'slab/granules.ts',
    text: 'for (let i = length - 1; i > 0; i--) s[head + i] = FREE;',
    by: 'for (let i = 1; i < length; i++) s[head + i] = FREE;',
    breaks: 'a run shrinks from its head on',
    scenarios: [SHARING],
  },
  {
    file: 'slab/runs.ts',
    text: "    s[state] = CACHED;\n    killPoint('slob.headed');\n    for (let i = 1; i < request.granules; i++) s[state + i] = CONTINUED;\n",
    by: "    for (let i = 1; i < request.granules; i++) s[state + i] = CONTINUED;\n    killPoint('slob.headed');\n    s[state] = CACHED;\n",
    breaks: 'a run grows before it has a head',
    scenarios: [SHARING],
  },
  {
    file: 'slab/slabifier.ts',
    text: '    if (isSlob(metadata, cache)) clearNames(metadata, head);\n',
    by: '',
    breaks: 'a page that caches shared leaves its names behind, as states of whatever comes next',
    tests: ['slob.test', 'conformance.test'],
  },
  // Coming, going, destroying, growing
  {
    file: SHEAVES,
    text: '    const spares = hot.slice(slot + HALF, slot + HOT_WORDS);\n',
    by: '    const spares = hot.slice(slot + FIRST_SPARE, slot + HOT_WORDS);\n',
    breaks: 'the half-full spare is not given up',
    tests: ['slabAllocators'],
  },
  {
    file: SHEAVES,
    text: '    m[cpu.record + CPU_SPLIT] = full;\n',
    by: '',
    breaks: 'of a split that was cut short nobody knows',
    tests: ['killPoints'],
  },
  {
    file: REAP,
    text: '      if (m[split] === dead + 1 && elsewhere.has(m[at])) m[at] = 0;\n',
    by: '      if (m[split] === dead + 1) m[at] = 0;\n',
    breaks: 'reap clears the objects that a split had not moved yet',
    tests: ['killPoints'],
  },
  {
    file: SHEAVES,
    text: '      this.base.drain(cache, spare, 1, SHEAF_CAPACITY);\n',
    by: '',
    breaks: 'a full spare is given up without a flush',
    scenarios: [FLUSH, COME_AND_GO],
  },
  {
    file: SHEAVES,
    text: '    if (!this.table.isReady(cache)) this.drainBarns(cache);\n',
    by: '',
    breaks: 'a sheaf put into the barn of a destroyed cache stays there',
    scenarios: [BARN_DESTROYED],
  },
  {
    file: 'memory/data.ts',
    text: 'for (let seen = Atomics.load(m, H_FRAMES); seen < frames; ) {',
    by: 'for (let seen = Atomics.load(m, H_FRAMES); seen !== frames; ) {',
    breaks: 'growth lowers the end that another has raised meanwhile',
    scenarios: [GROWTH],
  },
];
