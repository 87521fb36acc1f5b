/**
 * Snapshots: a heap as bytes, for a post-mortem, for looking at it from outside, or to go on from it later.
 *
 * The metadata buffer is reserved for the largest size that the heap may grow to, so nearly all of it was never touched.
 * A snapshot looks only where something can be. The sections that are mostly reserve, and what of them counts:
 *
 *     vmem_map          descriptors of the frames that the heap has by now
 *     partial slabs     bitmaps of caches that somebody has
 *     sheaves           those that have an owner (the others hold no object)
 *     templates         those of caches that have one
 *     cache counters    those of CPU slots that were ever taken
 *     states            the windows of frames that are slabs (all others are 0)
 *
 * Everything else counts whole, sections that this module does not know included. Of all that, and of the data buffer's
 * frames in use, the lines of 64 bytes that are not zero go into the snapshot, in *runs* of adjacent lines:
 *
 *     header, 16 words │ runs of metadata │ runs of data
 *
 *     header   0 magic                  3 1: the data is in it        6 runs of metadata     8, 9 time (float64, ms)
 *              1 version of this form   4 words of the snapshot       7 runs of data         10 … 15 –
 *              2 version of the layout  5 checksum of all other words
 *     run      0 first line   1 lines   2 … the lines
 *
 * Words are those of the machine, little-endian wherever JavaScript runs. The first run begins with line 0, the header of
 * the metadata, which has the geometry.
 *
 * It is the state of one instant if the other threads are still. If they run, it is torn: what moved while it was taken
 * may be in it twice or not at all, so figures are off by that much. Taking one changes nothing and waits for nobody.
 *
 * The CPUs of the original are dead in the copy. `Heap.restore` reaps them like killed threads, so that its heap is sound;
 * `readMetadata` leaves all as it was, for those who only look.
 */

import { OFFLINE, statusOf } from '../memory/cpu.ts';
import { createDataBuffer, type DataMemory, sharedMemoryExists } from '../memory/data.ts';
import { invalid, SlabError } from '../memory/errors.ts';
import {
  C_STATE_SHIFT,
  C_STATES,
  C_TEMPLATE_BYTES,
  CPU_STATUS,
  CPUS_MAX,
  cacheAt,
  cacheCountersAt,
  cpuAt,
  H_CACHES,
  H_CPUS,
  H_CPUS_TAKEN,
  H_FRAMES,
  H_MAGIC,
  H_MAX_FRAMES,
  H_NODES,
  H_PAGE_SHIFT,
  H_START_FRAME,
  H_TRACE_HEAP,
  H_WAITERS,
  type Layout,
  LINE_WORDS,
  layoutOf,
  MAGIC,
  PAGE_SHIFT_MAX,
  PAGE_SHIFT_TINY,
  pageAt,
  partialAt,
  SHEAF_WORDS,
  sheavesAt,
  TEMPLATE_BYTES_MAX,
  templateAt,
  VERSION,
  WORD_SHIFT,
} from '../memory/layout.ts';
import { type Metadata, openMetadata } from '../memory/metadata.ts';
import { PAGE_CLAIM } from '../page/page.ts';
import { CACHE_NONE, cacheStatus, firstStateAt } from '../slab/cacheTable.ts';
import { forEachSlab } from '../slab/count.ts';
import { granulesOf, isSlob, namesAt } from '../slab/granules.ts';

/** 'MSSN' read as a little-endian word. */
const SNAPSHOT_MAGIC = 0x4e53534d;
/** Version of the form drawn above. */
const SNAPSHOT_VERSION = 1;
const S_MAGIC = 0;
const S_VERSION = 1;
const S_LAYOUT = 2;
const S_FLAGS = 3;
const S_WORDS = 4;
export const S_CHECKSUM = 5;
const S_METADATA_RUNS = 6;
const S_DATA_RUNS = 7;
const S_TIME_WORD = 8;
export const SNAPSHOT_WORDS = 16;
const HAS_DATA = 1;
/** First line, lines. */
const RUN_WORDS = 2;
const LINE_SHIFT = 4;
/** No heap has more caches or nodes than these; nor a frame number above 2^23 (4 GiB in pages of 512 bytes). */
const CACHES_LIMIT = 4096;
const NODES_LIMIT = 64;
const FRAMES_LIMIT: number = 2 ** 23;
/** The first two bytes of a gzip file. */
const GZIP = 0x8b1f;

export interface SnapshotOptions {
  /** False: only the metadata, for looking at it; objects read as zeros, red zones and poison too. Default: true. */
  data?: boolean;
}

export interface RestoreOptions {
  /** False: plain ArrayBuffers, one thread. Default: shared where the platform can. */
  shared?: boolean;
}

/** What a snapshot says about itself. */
export interface SnapshotInfo {
  /** Milliseconds since 1970 at which it was taken. */
  readonly time: number;
  /** Whether the objects' bytes are in it. */
  readonly hasData: boolean;
}

/** From a word to the one behind the last. */
type Range = readonly [start: number, end: number];

/** A section that is mostly reserve, and the parts of it that count. */
interface SparseSection {
  readonly start: number;
  readonly end: number;
  readonly used: Iterable<Range>;
}

/** The numbers of the cache descriptors that are in use, or were until they are empty. */
function cachesInUse({ m, layout }: Metadata): number[] {
  const ids: number[] = [];
  for (let id = 1; id < layout.caches; id++) {
    if (cacheStatus(m[cacheAt(layout, id)]) !== CACHE_NONE) ids.push(id);
  }
  return ids;
}

function* ownedSheaves({ m, layout }: Metadata, caches: readonly number[]): Iterable<Range> {
  for (const id of caches) {
    const end = sheavesAt(layout, id + 1);
    for (let sheaf = sheavesAt(layout, id); sheaf < end; sheaf += SHEAF_WORDS) {
      if (m[sheaf] !== 0) yield [sheaf, sheaf + SHEAF_WORDS];
    }
  }
}

function* templates({ m, layout }: Metadata, caches: readonly number[]): Iterable<Range> {
  for (const id of caches) {
    const words = Math.ceil(m[cacheAt(layout, id) + C_TEMPLATE_BYTES] / 2 ** WORD_SHIFT);
    const start = templateAt(layout, id) >>> WORD_SHIFT;
    if (words > 0) yield [start, start + words];
  }
}

/** The state windows of all slabs, region by region, so that neighbours follow each other; then the names of shared pages. */
function* stateWindows(metadata: Metadata): Iterable<Range> {
  const { m, layout } = metadata;
  const regions = new Map<number, [head: number, cache: number][]>();
  const shared: number[] = [];
  forEachSlab(metadata, (head, id) => {
    const cache = cacheAt(layout, id);
    const region = regions.get(m[cache + C_STATES]) ?? [];
    regions.set(m[cache + C_STATES], region);
    region.push([head, cache]);
    if (isSlob(metadata, id)) shared.push(head);
  });
  for (const region of regions.values()) {
    for (const [head, cache] of region) {
      const first = firstStateAt(m, cache, head);
      yield [first >>> WORD_SHIFT, (first + 2 ** m[cache + C_STATE_SHIFT] + 3) >>> WORD_SHIFT];
    }
  }
  for (const head of shared) {
    const first = namesAt(layout, head);
    yield [first >>> WORD_SHIFT, (first + granulesOf(layout) / 2) >>> WORD_SHIFT];
  }
}

/** The word behind the last state region. */
function endOfStates({ stateRegions, maxFrames }: Layout): number {
  const last = stateRegions.length - 1;
  return Math.ceil((stateRegions[last] + maxFrames * 2 ** last) / 2 ** WORD_SHIFT);
}

function sparseSections(metadata: Metadata): SparseSection[] {
  const { m, layout } = metadata;
  const caches = cachesInUse(metadata);
  const frames = Math.min(m[H_FRAMES], layout.maxFrames);
  const partials = caches.map((id): Range => [partialAt(layout, id), partialAt(layout, id + 1)]);
  const bytesOfTemplates = (layout.caches * TEMPLATE_BYTES_MAX) >>> WORD_SHIFT;
  return [
    {
      start: layout.vmemMap,
      end: pageAt(layout, layout.maxFrames),
      used: [[layout.vmemMap, pageAt(layout, frames)]],
    },
    { start: layout.partialBitmaps, end: partialAt(layout, layout.caches), used: partials },
    { start: layout.sheaves, end: sheavesAt(layout, layout.caches), used: ownedSheaves(metadata, caches) },
    {
      start: layout.templates,
      end: layout.templates + bytesOfTemplates,
      used: templates(metadata, caches),
    },
    {
      start: layout.cacheCounters,
      end: cacheCountersAt(layout, layout.cpus, 0),
      used: [[layout.cacheCounters, cacheCountersAt(layout, m[H_CPUS_TAKEN], 0)]],
    },
    {
      start: layout.stateRegions[0] >>> WORD_SHIFT,
      end: endOfStates(layout),
      used: stateWindows(metadata),
    },
  ];
}

/** All parts of the metadata where something may be. */
function* usedRanges(metadata: Metadata): Iterable<Range> {
  let from = 0;
  for (const { start, end, used } of sparseSections(metadata)) {
    yield [from, start];
    yield* used;
    from = end;
  }
  yield [from, metadata.layout.totalBytes >>> WORD_SHIFT];
}

/** All frames that somebody has. */
function* usedFramesOf({ m, layout }: Metadata): Iterable<Range> {
  const shift = layout.pageShift - WORD_SHIFT;
  for (let pfn = layout.startFrame; pfn < m[H_FRAMES]; pfn++) {
    if (m[pageAt(layout, pfn) + PAGE_CLAIM] !== 0) yield [pfn * 2 ** shift, (pfn + 1) * 2 ** shift];
  }
}

function lineIsZero(words: Int32Array, line: number): boolean {
  const at = line * LINE_WORDS;
  let all = 0;
  for (let i = 0; i < LINE_WORDS; i++) all |= words[at + i];
  return all === 0;
}

/** First line and number of lines of every run, one behind the other. */
function runsOf(words: Int32Array, ranges: Iterable<Range>): number[] {
  const runs: number[] = [];
  /** The line behind the last run. */
  let open = -1;
  for (const [start, end] of ranges) {
    const stop = Math.ceil(end / LINE_WORDS);
    // Ranges of another section may lie below; ranges that meet may meet within a line.
    if (start >>> LINE_SHIFT < open - 1) open = -1;
    for (let line = start >>> LINE_SHIFT; line < stop; line++) {
      if (line < open || lineIsZero(words, line)) continue;
      if (line === open) runs[runs.length - 1]++;
      else runs.push(line, 1);
      open = line + 1;
    }
  }
  return runs;
}

function wordsOf(runs: readonly number[]): number {
  let words = 0;
  for (let i = 0; i < runs.length; i += 2) words += RUN_WORDS + runs[i + 1] * LINE_WORDS;
  return words;
}

function writeRuns(out: Int32Array, at: number, words: Int32Array, runs: readonly number[]): number {
  let to = at;
  for (let i = 0; i < runs.length; i += 2) {
    const [line, lines] = [runs[i], runs[i + 1]];
    out[to] = line;
    out[to + 1] = lines;
    out.set(words.subarray(line * LINE_WORDS, (line + lines) * LINE_WORDS), to + RUN_WORDS);
    to += RUN_WORDS + lines * LINE_WORDS;
  }
  return to;
}

/** Over all words but the checksum's own. Each step is a bijection, so that a change of one word is always seen. */
export function checksumOf(words: Int32Array): number {
  let sum = words.length;
  for (let i = 0; i < words.length; i++) {
    if (i === S_CHECKSUM) continue;
    sum = Math.imul(sum ^ words[i], 0x5bd1e995);
    sum ^= sum >>> 15;
  }
  return sum | 0;
}

/** The heap as bytes; see above. Cost: O(frames + caches · sheaves + what is in it). */
export function takeSnapshot(
  metadata: Metadata,
  data: DataMemory,
  options: SnapshotOptions = {},
): Uint8Array<ArrayBuffer> {
  const hasData = options.data !== false;
  const { i32 } = data.views();
  const metadataRuns = runsOf(metadata.m, usedRanges(metadata));
  const dataRuns = hasData ? runsOf(i32, usedFramesOf(metadata)) : [];
  const words = new Int32Array(SNAPSHOT_WORDS + wordsOf(metadataRuns) + wordsOf(dataRuns));
  words[S_MAGIC] = SNAPSHOT_MAGIC;
  words[S_VERSION] = SNAPSHOT_VERSION;
  words[S_LAYOUT] = VERSION;
  words[S_FLAGS] = hasData ? HAS_DATA : 0;
  words[S_WORDS] = words.length;
  words[S_METADATA_RUNS] = metadataRuns.length / 2;
  words[S_DATA_RUNS] = dataRuns.length / 2;
  new Float64Array(words.buffer, S_TIME_WORD * 2 ** WORD_SHIFT, 1)[0] = Date.now();
  const end = writeRuns(words, SNAPSHOT_WORDS, metadata.m, metadataRuns);
  writeRuns(words, end, i32, dataRuns);
  words[S_CHECKSUM] = checksumOf(words);
  return new Uint8Array(words.buffer);
}

const damaged = (what: string): never => {
  throw new SlabError('ECORRUPT', `the snapshot is damaged: ${what}`);
};

/** The words of a snapshot, after every check of it as a whole. Throws `TypeError`, `EINVAL`, `EVERSION`, `ECORRUPT`. */
function openSnapshot(bytes: Uint8Array): Int32Array {
  if (!(bytes instanceof Uint8Array)) throw new TypeError('a snapshot is a Uint8Array');
  if (bytes.length >= 2 && (bytes[0] | (bytes[1] << 8)) === GZIP)
    invalid('the snapshot is compressed by gzip: decompress it first');
  const aligned = bytes.byteOffset % 2 ** WORD_SHIFT === 0 ? bytes : bytes.slice();
  const words = new Int32Array(aligned.buffer, aligned.byteOffset, aligned.length >>> WORD_SHIFT);
  if (words.length === 0 || words[S_MAGIC] !== SNAPSHOT_MAGIC)
    invalid('this is no snapshot of a heap: it does not begin like one');
  if (words.length < SNAPSHOT_WORDS) damaged(`it is cut short, at ${bytes.length} bytes`);
  if (words[S_VERSION] !== SNAPSHOT_VERSION || words[S_LAYOUT] !== VERSION) {
    throw new SlabError(
      'EVERSION',
      `the snapshot is of version ${words[S_VERSION]}, layout ${words[S_LAYOUT]}; this modslab reads ` +
        `version ${SNAPSHOT_VERSION}, layout ${VERSION}`,
    );
  }
  const expected = words[S_WORDS] >>> 0;
  if (bytes.length !== expected * 2 ** WORD_SHIFT)
    damaged(`it has ${bytes.length} bytes, and should have ${expected * 2 ** WORD_SHIFT}`);
  if (checksumOf(words) !== words[S_CHECKSUM]) damaged('its checksum is not that of its contents');
  return words;
}

/** Copies runs into the buffer that they are of; the word behind the last one. */
function readRuns(words: Int32Array, at: number, runs: number, into: Int32Array): number {
  let from = at;
  for (let i = 0; i < runs; i++) {
    const line = words[from] >>> 0;
    const length = (words[from + 1] >>> 0) * LINE_WORDS;
    const start = from + RUN_WORDS;
    if (!(start + length <= words.length && line * LINE_WORDS + length <= into.length))
      damaged(`run ${i} reaches beyond the end`);
    into.set(words.subarray(start, start + length), line * LINE_WORDS);
    from = start + length;
  }
  return from;
}

/** The geometry of the heap, which line 0 of the metadata has, is one that a heap can have. */
function checkGeometry(words: Int32Array): void {
  const header = words.subarray(SNAPSHOT_WORDS + RUN_WORDS);
  const isHeader = words[S_METADATA_RUNS] > 0 && words[SNAPSHOT_WORDS] === 0 && header[H_MAGIC] === MAGIC;
  const within = (word: number, min: number, max: number): boolean =>
    header[word] >= min && header[word] <= max;
  const sound =
    isHeader &&
    within(H_PAGE_SHIFT, PAGE_SHIFT_TINY, PAGE_SHIFT_MAX) &&
    within(H_START_FRAME, 1, FRAMES_LIMIT) &&
    within(H_MAX_FRAMES, header[H_START_FRAME], FRAMES_LIMIT) &&
    within(H_FRAMES, header[H_START_FRAME], header[H_MAX_FRAMES]) &&
    within(H_CPUS, 1, CPUS_MAX) &&
    within(H_NODES, 1, NODES_LIMIT) &&
    within(H_CACHES, 1, CACHES_LIMIT);
  if (!sound) damaged('it has no header of a heap');
}

const infoOf = (words: Int32Array): SnapshotInfo => ({
  time: new Float64Array(words.slice(S_TIME_WORD, S_TIME_WORD + 2).buffer)[0],
  hasData: (words[S_FLAGS] & HAS_DATA) !== 0,
});

/** Metadata out of the checked words of a snapshot, in a buffer that is zero; and where the runs of the data begin. */
function metadataOf(
  words: Int32Array,
  shared: boolean,
  reused?: Metadata,
): { metadata: Metadata; end: number } {
  checkGeometry(words);
  const header = words.subarray(SNAPSHOT_WORDS + RUN_WORDS);
  const { totalBytes } = layoutOf({
    pageShift: header[H_PAGE_SHIFT],
    startFrame: header[H_START_FRAME],
    maxFrames: header[H_MAX_FRAMES],
    cpus: header[H_CPUS],
    nodes: header[H_NODES],
    caches: header[H_CACHES],
  });
  const fits = reused !== undefined && reused.buffer.byteLength === totalBytes;
  const fresh = (): ArrayBufferLike =>
    shared ? new SharedArrayBuffer(totalBytes) : new ArrayBuffer(totalBytes);
  const buffer = fits ? reused.buffer : fresh();
  const end = readRuns(words, SNAPSHOT_WORDS, words[S_METADATA_RUNS], new Int32Array(buffer));
  return { metadata: openMetadata(buffer), end };
}

/**
 * The metadata of a snapshot as it was, every CPU in the middle of what it did: only to be looked at. Throws `TypeError` for
 * what is no Uint8Array, `EINVAL` for what is no snapshot, `EVERSION` for one of another version, `ECORRUPT` for a damaged one.
 */
export function readMetadata(bytes: Uint8Array): { metadata: Metadata; info: SnapshotInfo } {
  const words = openSnapshot(bytes);
  return { metadata: metadataOf(words, false).metadata, info: infoOf(words) };
}

/**
 * Reads one snapshot after the other into one buffer, for those who look at a heap many times a second: the metadata of the
 * largest heaps is hundreds of megabytes of address space, and a new buffer for each is most of the time that reading takes.
 * What an earlier `read` gave shows the later snapshot.
 */
export class SnapshotReader {
  /** What the buffer holds: the words of the last snapshot. */
  private last: { words: Int32Array; metadata: Metadata } | undefined;

  /** Throws as `readMetadata`. Cost: O(what is in the last snapshot and in this one). */
  read(bytes: Uint8Array): { metadata: Metadata; info: SnapshotInfo } {
    const words = openSnapshot(bytes);
    const { last } = this;
    if (last !== undefined) clearRuns(last.words, last.words[S_METADATA_RUNS], last.metadata.m);
    // If it turns out to be damaged half-way, the buffer is given up.
    this.last = undefined;
    const { metadata } = metadataOf(words, false, last?.metadata);
    this.last = { words, metadata };
    return { metadata, info: infoOf(words) };
  }
}

/** Makes everything zero that `readRuns` has written. */
function clearRuns(words: Int32Array, runs: number, buffer: Int32Array): void {
  let from = SNAPSHOT_WORDS;
  for (let i = 0; i < runs; i++) {
    const start = (words[from] >>> 0) * LINE_WORDS;
    const length = (words[from + 1] >>> 0) * LINE_WORDS;
    buffer.fill(0, start, start + length);
    from += RUN_WORDS + length;
  }
}

/** Both buffers of a heap out of a snapshot, every CPU of the original still in its slot. Throws as `readMetadata`. */
export function readHeap(
  bytes: Uint8Array,
  options: RestoreOptions,
): { metadata: Metadata; memory: ArrayBuffer | SharedArrayBuffer } {
  const shared = options.shared ?? sharedMemoryExists();
  if (shared && !sharedMemoryExists())
    invalid('this platform has no SharedArrayBuffer: restore with { shared: false }');
  const words = openSnapshot(bytes);
  const { metadata, end } = metadataOf(words, shared);
  const { m, layout } = metadata;
  const pageSize = 2 ** layout.pageShift;
  const memory = createDataBuffer(m[H_FRAMES] * pageSize, layout.maxFrames * pageSize, shared);
  readRuns(words, end, words[S_DATA_RUNS], new Int32Array(memory, 0, (m[H_FRAMES] * pageSize) / 4));
  // Nobody waits in the copy, which is a heap of its own.
  m[H_WAITERS] = 0;
  m[H_TRACE_HEAP] = 0;
  return { metadata, memory };
}

/** Whether some CPU slot is free, so that a thread can attach. */
export function hasFreeCpu({ m, layout }: Metadata): boolean {
  for (let id = 0; id < layout.cpus; id++) {
    if (statusOf(m[cpuAt(layout, id) + CPU_STATUS]) === OFFLINE) return true;
  }
  return false;
}
