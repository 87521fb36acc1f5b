/**
 * Recordings (kmalloc/recording.ts) of all threads of a heap, put into one order and written as a trace that
 * `modslab replay` reads: as mtrace1, or as the kernel's ftrace text with the events of the group `kmem`.
 *
 * In the order of their places, an address is never handed out before it was given back, if nothing was missed. What was
 * missed shows, and is made good like this:
 *
 *     an address handed out that is live      its free is implied (objects of a group that was freed as a whole, the last
 *                                             lines of a killed thread)
 *     a free of what is not live              dropped, and counted: allocated before the recording began
 *     a realloc of what is not live           an allocation
 *
 * What becomes what: allocations of caches are mallocs of the object's size, pages are aligned to themselves, so a heap's
 * trace can be replayed on any allocator. In ftrace text caches keep their names; a realloc that moved is an allocation and
 * a free, one in place is not there.
 */

import { SlabError } from '../memory/errors.ts';
import { GFP, type GfpFlags } from '../memory/gfp.ts';

/** What the header of an mtrace1 trace says of the program. */
export interface AboutTrace {
  program?: string;
  command?: string;
  note?: string;
}

/** One line of a recording. */
interface Recorded {
  place: number;
  op: string;
  event: string;
  address: number;
  from: number;
  vacated: number;
  requested: number;
  allocated: number;
  gfp: GfpFlags;
  align: number;
  cpu: number;
  time: number;
  cache: string;
  site: string;
}

/** All recordings of one heap. */
export interface HeapRecording {
  /** Its number, the same on all its threads. */
  readonly heap: number;
  readonly pageSize: number;
  /** Their texts. */
  readonly parts: readonly string[];
}

const HEADER = /^# modslab-recording 1 heap=(\d+) pageSize=(\d+)\n/;
/** The kernel's page, in which its traces count orders and frame numbers. */
const TRACE_PAGE = 4096;
const FIELDS = 14;

/** Sorts recordings by the heap that they are of, the longest first. Throws `EINVAL` for what is none. */
export function recordingsByHeap(parts: Iterable<string>): HeapRecording[] {
  const heaps = new Map<number, { heap: number; pageSize: number; parts: string[] }>();
  for (const part of parts) {
    const [, heap, pageSize] = HEADER.exec(part) ?? [];
    if (heap === undefined)
      throw new SlabError('EINVAL', `this is no recording: it begins with '${part.slice(0, 40)}'`);
    const known = heaps.get(Number(heap)) ?? { heap: Number(heap), pageSize: Number(pageSize), parts: [] };
    heaps.set(known.heap, known);
    known.parts.push(part);
  }
  const length = ({ parts: all }: HeapRecording): number => all.reduce((sum, part) => sum + part.length, 0);
  return [...heaps.values()].sort((a, b) => length(b) - length(a));
}

function parse(line: string): Recorded | undefined {
  const fields = line.split('\t');
  if (fields.length !== FIELDS) return undefined;
  const [place, op, event, address, from, vacated, requested, allocated, gfp, align, cpu, time, cache, site] =
    fields;
  return {
    place: Number(place),
    op,
    event,
    address: Number(address),
    from: Number(from),
    vacated: Number(vacated),
    requested: Number(requested),
    allocated: Number(allocated),
    gfp: Number(gfp),
    align: Number(align),
    cpu: Number(cpu),
    time: Number(time),
    cache,
    site,
  };
}

/** All operations of a heap by their place. The last line of a killed thread may be cut: it is left out. */
function inOrder({ parts }: HeapRecording): Recorded[] {
  const all: Recorded[] = [];
  for (const part of parts) {
    for (const line of part.slice(part.indexOf('\n') + 1).split('\n')) {
      const recorded = parse(line);
      if (recorded !== undefined) all.push(recorded);
    }
  }
  // Modulo 2^32: from the first one of the earliest by the clock.
  const first = all.reduce((a, b) => (b.time < a.time ? b : a), all[0]);
  const rank = (place: number): number => (place - (first?.place ?? 0) + 2 ** 31) >>> 0;
  return all.sort((a, b) => rank(a.place) - rank(b.place));
}

/** An object is given up by its realloc before others may have its address, and is there again after it. */
interface Step {
  readonly at: number;
  readonly kind: 'alloc' | 'free' | 'vacate' | 'realloc';
  readonly recorded: Recorded;
}

function stepsOf(recording: HeapRecording): Step[] {
  const all = inOrder(recording);
  const base = all[0]?.place ?? 0;
  const rank = (place: number): number => (place - base + 2 ** 31) >>> 0;
  const steps: Step[] = [];
  for (const recorded of all) {
    const at = rank(recorded.place);
    if (recorded.op === 'a') steps.push({ at, kind: 'alloc', recorded });
    else if (recorded.op === 'f') steps.push({ at, kind: 'free', recorded });
    else {
      if (recorded.from !== recorded.address)
        steps.push({ at: rank(recorded.vacated), kind: 'vacate', recorded });
      steps.push({ at, kind: 'realloc', recorded });
    }
  }
  return steps.sort((a, b) => a.at - b.at);
}

/** Objects by where they are, and what is counted on the way. */
class Mtrace1Writer {
  readonly lines: string[] = [];
  readonly counts: Record<string, number> = { a: 0, c: 0, m: 0, r: 0, f: 0 };
  droppedFrees = 0;
  unknownReallocs = 0;
  impliedFrees = 0;
  peakBytes = 0;
  peakObjects = 0;
  largest = 0;
  bytes = 0;
  objects = 0;
  private readonly live: Map<number, { id: number; size: number }> = new Map();
  private readonly moving: Map<Recorded, { id: number; size: number }> = new Map();
  private readonly threads: Map<number, number> = new Map();

  get threadCount(): number {
    return this.threads.size;
  }

  get liveObjects(): number {
    return this.live.size + this.moving.size;
  }

  step({ kind, recorded }: Step): void {
    if (kind === 'alloc') this.alloc(recorded);
    else if (kind === 'free') this.free(recorded);
    else if (kind === 'vacate') this.vacate(recorded);
    else this.realloc(recorded);
  }

  private thread({ cpu }: Recorded): number {
    const known = this.threads.get(cpu);
    if (known !== undefined) return known;
    this.threads.set(cpu, this.threads.size);
    return this.threads.size - 1;
  }

  private push(letter: string, text: string): void {
    this.counts[letter]++;
    this.lines.push(`${letter} ${text}`);
  }

  /** Makes room for an object at an address. */
  private vacant(recorded: Recorded): void {
    const old = this.live.get(recorded.address);
    if (old === undefined) return;
    this.impliedFrees++;
    this.end(recorded.address, old, recorded);
  }

  private end(address: number, object: { id: number; size: number }, recorded: Recorded): void {
    this.push('f', `${object.id} ${this.thread(recorded)}`);
    this.live.delete(address);
    this.bytes -= object.size;
  }

  private put(address: number, id: number, size: number): void {
    this.live.set(address, { id, size });
    this.bytes += size;
    this.largest = Math.max(this.largest, size);
    this.peakBytes = Math.max(this.peakBytes, this.bytes);
    this.peakObjects = Math.max(this.peakObjects, this.liveObjects);
  }

  private alloc(recorded: Recorded): void {
    const { address, requested, align, gfp, event } = recorded;
    this.vacant(recorded);
    const id = this.objects++;
    const thread = this.thread(recorded);
    const alignment = event === 'mm_page_alloc' ? requested : align;
    if (alignment > 0) this.push('m', `${id} ${requested} ${alignment} ${thread}`);
    else this.push((gfp & GFP.ZERO) !== 0 ? 'c' : 'a', `${id} ${requested} ${thread}`);
    this.put(address, id, requested);
  }

  private free(recorded: Recorded): void {
    const object = this.live.get(recorded.address);
    if (object === undefined) this.droppedFrees++;
    else this.end(recorded.address, object, recorded);
  }

  private vacate(recorded: Recorded): void {
    const object = this.live.get(recorded.from);
    if (object === undefined) return;
    this.live.delete(recorded.from);
    this.moving.set(recorded, object);
  }

  private realloc(recorded: Recorded): void {
    const { from, address, requested } = recorded;
    const object = from === address ? this.live.get(from) : this.moving.get(recorded);
    if (object === undefined) {
      this.unknownReallocs++;
      this.alloc({ ...recorded, align: 0, gfp: 0, event: 'kmalloc' });
      return;
    }
    this.moving.delete(recorded);
    if (from === address) this.live.delete(address);
    else this.vacant(recorded);
    this.bytes -= object.size;
    this.push('r', `${object.id} ${requested} ${this.thread(recorded)}`);
    this.put(address, object.id, requested);
  }
}

/** One line, printable. */
const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').trim();

/** A heap's recordings as mtrace1. */
export function formatMtrace1(recording: HeapRecording, about: AboutTrace = {}): string {
  const writer = new Mtrace1Writer();
  const steps = stepsOf(recording);
  for (const step of steps) writer.step(step);
  const { counts } = writer;
  const times = steps.map(({ recorded }) => recorded.time);
  const bounds = times.reduce(
    ([a, b], t) => [Math.min(a, t), Math.max(b, t)],
    [times[0] ?? 0, times[0] ?? 0],
  );
  const header: [string, string | number][] = [
    ['program', about.program ?? 'a program on modslab'],
    ...(about.command === undefined ? [] : [['command', about.command] as [string, string]]),
    ['date', new Date(bounds[0]).toISOString()],
    ['recorder', 'modslab'],
    ['events', writer.lines.length],
    ['objects', writer.objects],
    ['ops', ['a', 'c', 'm', 'r', 'f'].map((letter) => `${letter}=${counts[letter]}`).join(' ')],
    ['threads', writer.threadCount],
    ['peak-live-bytes', writer.peakBytes],
    ['peak-live-objects', writer.peakObjects],
    ['end-live-bytes', writer.bytes],
    ['end-live-objects', writer.liveObjects],
    ['largest-request', writer.largest],
    ['dropped-unknown-frees', writer.droppedFrees],
    ['unknown-reallocs', writer.unknownReallocs],
    ['implied-frees', writer.impliedFrees],
    ['duration-ms', Math.round(bounds[1] - bounds[0])],
    ['truncated', 'no'],
    ...(about.note === undefined ? [] : [['note', about.note] as [string, string]]),
  ];
  const lines = ['# mtrace1', ...header.map(([key, value]) => `# ${key}: ${oneLine(String(value))}`)];
  return `${[...lines, ...writer.lines].join('\n')}\n`;
}

/** gfp flags as the kernel prints them. */
function gfpText(gfp: GfpFlags): string {
  const base =
    (gfp & GFP.ATOMIC) !== 0 ? 'GFP_ATOMIC' : (gfp & GFP.NOWAIT) !== 0 ? 'GFP_NOWAIT' : 'GFP_KERNEL';
  const names: [number, string][] = [
    [GFP.ACCOUNT, '__GFP_ACCOUNT'],
    [GFP.DMA, '__GFP_DMA'],
    [GFP.NOFAIL, '__GFP_NOFAIL'],
    [GFP.NOWARN, '__GFP_NOWARN'],
    [GFP.RECLAIMABLE, '__GFP_RECLAIMABLE'],
    [GFP.THISNODE, '__GFP_THISNODE'],
    [GFP.ZERO, '__GFP_ZERO'],
  ];
  return [base, ...names.filter(([bit]) => (gfp & bit) !== 0).map(([, name]) => name)].join('|');
}

const pointer = (address: number): string => address.toString(16).padStart(16, '0');

/** One event as the kernel prints it; an order or a frame counts pages of 4096 bytes there. */
function ftraceEvent(event: string, recorded: Recorded, address: number): string {
  const { requested, allocated, gfp, cache, site } = recorded;
  const caller = site === '' ? '0x0' : site;
  const page = `page=${pointer(address)} pfn=0x${Math.floor(address / TRACE_PAGE).toString(16)}`;
  const name = cache === '' ? '' : ` name=${cache}`;
  const sizes = `bytes_req=${requested} bytes_alloc=${allocated} gfp_flags=${gfpText(gfp)}`;
  switch (event) {
    case 'mm_page_alloc':
      return `${event}: ${page} order=${Math.log2(allocated / TRACE_PAGE)} migratetype=0 gfp_flags=${gfpText(gfp)}`;
    case 'mm_page_free':
      return `${event}: ${page} order=${Math.log2(allocated / TRACE_PAGE)}`;
    case 'kmem_cache_alloc':
      return `${event}: call_site=${caller} ptr=${pointer(address)}${name} ${sizes} node=-1 accounted=false`;
    case 'kmem_cache_free':
      return `${event}: call_site=${caller} ptr=${pointer(address)}${name}`;
    case 'kfree':
      return `${event}: call_site=${caller} ptr=${pointer(address)}`;
    default:
      return `${event}: call_site=${caller} ptr=${pointer(address)} ${sizes} node=-1 accounted=false`;
  }
}

function ftraceLine(recorded: Recorded, event: string, address: number): string {
  const { cpu, time } = recorded;
  const task = `cpu${cpu}-${cpu + 1}`.padStart(16);
  const seconds = (time / 1000).toFixed(6);
  return `${task}   [${String(cpu).padStart(3, '0')}] ..... ${seconds.padStart(12)}: ${ftraceEvent(event, recorded, address)}`;
}

/** A heap's recordings as the text of /sys/kernel/tracing/trace, thread n as CPU n. */
export function formatFtrace(recording: HeapRecording): string {
  const lines: string[] = [];
  const cpus = new Set<number>();
  for (const { kind, recorded } of stepsOf(recording)) {
    cpus.add(recorded.cpu);
    if (kind === 'vacate') lines.push(ftraceLine(recorded, 'kfree', recorded.from));
    else if (kind !== 'realloc' || recorded.from !== recorded.address)
      lines.push(ftraceLine(recorded, recorded.event, recorded.address));
  }
  const header = [
    '# tracer: nop',
    '#',
    `# entries-in-buffer/entries-written: ${lines.length}/${lines.length}   #P:${cpus.size}`,
    '#',
    '#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION',
    '#              | |         |   |||||     |         |',
  ];
  return `${[...header, ...lines].join('\n')}\n`;
}
