/**
 * The main thread of a replay.
 *
 *     create heap and caches ── start workers, all attached ── start ── (they run; this thread only watches)
 *     ── all done, everybody still: figures, slabinfo, validation ── workers detach
 *     ── epilogue: free what the trace leaves live, destroy the caches ── validation and leak check
 *
 * The heap's size follows from the trace's peak, which the program knows beforehand, so a replay does not fail for lack
 * of memory unless the user asks for less. A kernel trace with page events gets pages of 4096 bytes, since its orders
 * count such pages.
 */
import { Worker } from 'node:worker_threads';
import {
  Heap,
  type HeapHandle,
  type HeapOptions,
  type KmemCache,
  type Problem,
  type SlabinfoRow,
} from 'modslab';
import { printable } from '../trace/errors.ts';
import { type Deal, deal } from './deal.ts';
import { Executor, type Finding, type Job, noTally, type Tally } from './execute.ts';
import { CALLS, OP_MASK, type Program, TRACE_PAGE } from './program.ts';
import { createGates, type Gates, publishProgress, slowest, start, stop } from './sequencer.ts';
import type { WorkerInput, WorkerMessage } from './worker.ts';

const MIB = 2 ** 20;
/** A heap for a small trace: reserved, not touched. */
const LEAST_MAX_SIZE: number = 64 * MIB;
/** Addresses are 32-bit byte offsets; the last page is left out. */
export const GREATEST_MAX_SIZE: number = 4096 * MIB - 65_536;
/** A heap may become this many times the trace's peak: room for rounding, slabs and the replay's window. */
const PEAK_FACTOR = 4;
/** Bytes that a heap begins with, if its largest size allows; the rest is growth. */
const START_SIZE: number = 16 * MIB;
/** CPUs beside the workers: the main thread. */
const MAIN_CPUS = 1;
/** Cache descriptors beside those of the trace: kmalloc's, and what the heap keeps for itself. */
const OTHER_CACHES = 128;
/** How often progress is told, in milliseconds. */
const TICK_MS = 100;
/** How long other workers get to notice that the replay has been stopped, in milliseconds. */
const GRACE_MS = 2000;
/** Rows that a worker may be ahead of the slowest, by default: a few milliseconds of work. */
export const DEFAULT_WINDOW = 8192;

export interface ReplayOptions {
  threads: number;
  verify: boolean;
  /** Largest size of the heap in bytes; undefined: from the trace's peak. */
  maxSize: number | undefined;
  window: number;
}

/** What a replay gave. Sizes in bytes, times in seconds. */
export interface Outcome {
  program: Program;
  options: ReplayOptions;
  crossThreadFrees: number;
  seconds: number;
  peakFootprint: number;
  maxSize: number;
  tally: Tally;
  problems: Problem[];
  slabinfo: SlabinfoRow[];
  /** The row that could not be executed or the worker that stopped, in one line. */
  failure: string | undefined;
}

/** Told while a replay runs: rows done, rows in all. */
export type RunProgress = (done: number, total: number) => void;

/** For those who watch a replay while it runs. */
export interface Watch {
  /** Told of the heap before anything runs on it; what it gives is called when the heap is still there, and all is done. */
  onHeap?(heap: Heap): Promise<() => Promise<void>>;
  /** Seconds that the replay is spread over; undefined: as fast as it goes. */
  readonly over?: number;
  /** Called every few milliseconds while the workers run, with the row that the slowest of them has come to. */
  sample?(row: number): void;
}

/** How often `Watch.sample` is called, in milliseconds. */
const SAMPLE_MS = 4;

/** How often a replay that is spread over time is let on, in milliseconds. */
const PACE_MS = 20;

/**
 * Spreads a replay over `seconds`: a worker without rows, the last one of the gates' progress, which the others may not outrun by
 * more than the window. Returns what ends it.
 */
function setPace(gates: Gates, self: number, operations: number, seconds: number): () => void {
  const began = performance.now();
  const timer = setInterval(() => {
    const share = (performance.now() - began) / 1000 / seconds;
    publishProgress(gates, self, Math.min(operations, Math.floor(share * operations)));
    if (share >= 1) clearInterval(timer);
  }, PACE_MS);
  return () => clearInterval(timer);
}

/** Largest heap size for a program, in bytes. */
export function maxSizeFor(program: Program): number {
  const wanted = Math.max(LEAST_MAX_SIZE, PEAK_FACTOR * program.peakLive, PEAK_FACTOR * program.widest);
  return Math.min(GREATEST_MAX_SIZE, Math.ceil(wanted / MIB) * MIB);
}

/** What the heap of a program is created with, but for its CPUs. */
export function heapOptionsFor(program: Program, limit?: number): HeapOptions {
  const maxSize = limit ?? maxSizeFor(program);
  const size = Math.min(START_SIZE, maxSize);
  const caches = program.caches.length + OTHER_CACHES;
  return { size, maxSize, caches, ...(program.pages ? { pageSize: TRACE_PAGE } : {}) };
}

function createHeap(program: Program, options: ReplayOptions): Heap {
  const cpus = Math.max(64, options.threads + MAIN_CPUS);
  return Heap.create({ ...heapOptionsFor(program, options.maxSize), cpus });
}

/** Creates the trace's caches. Names that the heap has already (`kmalloc-64`) get a prefix. */
function createCaches(heap: Heap, program: Program): KmemCache[] {
  const taken = new Set(heap.caches().map((cache) => cache.name));
  return program.caches.map(({ name, size }) => {
    let free = name;
    while (taken.has(free)) free = `trace:${free}`;
    taken.add(free);
    return heap.createCache({ name: free, size });
  });
}

/** A worker that could not do its work, and why. */
interface Fault {
  code: string;
  message: string;
  row: number | undefined;
}

/** The workers of one replay: started together, run together, detached together. */
class Crew {
  fault: Fault | undefined;
  readonly tallies: Tally[] = [];
  began: bigint | undefined;
  ended: bigint | undefined;
  readonly #job: Job;
  readonly #workers: Worker[];
  readonly #gone: Set<Worker> = new Set();
  readonly #overdue: Promise<void>;
  #giveUp: () => void = () => {};
  #timer: NodeJS.Timeout | undefined;

  constructor(handle: HeapHandle, job: Job, lists: Uint32Array<SharedArrayBuffer>[], cacheNames: string[]) {
    this.#job = job;
    this.#overdue = new Promise((done) => {
      this.#giveUp = done;
    });
    this.#workers = lists.map((list, self) => {
      const workerData: WorkerInput = { handle, job, list, cacheNames, self };
      const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData });
      this.#watch(worker, self);
      return worker;
    });
  }

  /** Resolves when every worker has said one of `what`, or has exited and will say nothing more. */
  async #allSaid(...what: WorkerMessage['type'][]): Promise<void> {
    const said = (worker: Worker): Promise<void> =>
      new Promise((done) => {
        if (this.#gone.has(worker)) done();
        worker.once('exit', () => done());
        worker.on('message', (message: WorkerMessage) => {
          if (what.includes(message.type)) done();
        });
      });
    await Promise.all(this.#workers.map(said));
  }

  #watch(worker: Worker, self: number): void {
    let ended = false;
    worker.on('message', (message: WorkerMessage) => {
      ended ||= message.type !== 'ready';
      if (message.type === 'done') this.#done(message);
      if (message.type === 'failed')
        this.#fail({ code: message.code, message: message.message, row: message.row });
    });
    worker.on('error', (error: unknown) => {
      const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      this.#fail({ code: 'EWORKER', message: `worker ${self} crashed: ${text}`, row: undefined });
    });
    worker.on('exit', (status) => {
      this.#gone.add(worker);
      if (ended) return;
      const message = `worker ${self} exited early with status ${status}`;
      this.#fail({ code: 'EWORKER', message, row: undefined });
    });
  }

  #done(message: { tally: Tally; began: bigint; ended: bigint }): void {
    this.tallies.push(message.tally);
    if (this.began === undefined || message.began < this.began) this.began = message.began;
    if (this.ended === undefined || message.ended > this.ended) this.ended = message.ended;
  }

  /** Keeps the first fault and stops the others; who has not noticed after a while is not waited for. */
  #fail(fault: Fault): void {
    if (this.fault !== undefined) return;
    this.fault = fault;
    stop(this.#job.gates);
    this.#timer = setTimeout(this.#giveUp, GRACE_MS);
  }

  /** Runs the replay; resolves when every worker has come to an end. */
  async run(): Promise<void> {
    const ready = this.#allSaid('ready');
    const ended = this.#allSaid('done', 'failed', 'stopped');
    await Promise.race([ready, this.#overdue]);
    start(this.#job.gates);
    await Promise.race([ended, this.#overdue]);
    clearTimeout(this.#timer);
  }

  /** Lets the workers detach, unless something went wrong, and ends them. */
  async dismiss(): Promise<void> {
    if (this.fault === undefined) {
      const detached = this.#allSaid('detached');
      for (const worker of this.#workers) worker.postMessage('detach');
      await detached;
    }
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  /** Wall time from the first worker's first row to the last one's last, in seconds. */
  get seconds(): number {
    if (this.began === undefined || this.ended === undefined) return 0;
    return Number(this.ended - this.began) / 1e9;
  }
}

/** What the threads have done together; the earliest findings first. */
function sum(tallies: Tally[]): Tally {
  const total = noTally();
  for (const tally of tallies) {
    total.verified += tally.verified;
    total.checks += tally.checks;
    total.corrupted += tally.corrupted;
    total.waited += tally.waited;
    total.findings.push(...tally.findings);
  }
  const line = (finding: Finding): number => (finding.line === 0 ? Number.POSITIVE_INFINITY : finding.line);
  total.findings.sort((a, b) => line(a) - line(b));
  return total;
}

/** Frees what the trace left live, and looks for what is still live after that. */
function epilogue(
  heap: Heap,
  job: Job,
  program: Program,
  caches: KmemCache[],
): { tally: Tally; problems: Problem[] } {
  const executor = new Executor(heap, job, caches);
  const problems: Problem[] = [];
  try {
    executor.runRange(program.operations, program.rows.op.length);
    for (const cache of caches) cache.destroy();
    const { live } = heap.meminfo();
    if (live !== 0)
      problems.push({ code: 'ELEAK', message: `${live} bytes are live after every object has been freed` });
  } catch (error) {
    const { code = 'EINVAL', message } = error as { code?: string; message: string };
    problems.push({ code, message: `after the trace, while freeing what it leaves live: ${message}` });
  }
  return { tally: executor.tally, problems: [...problems, ...heap.validate()] };
}

/** The fault in one line: where in the trace, what, and what to do about it. */
function describe(fault: Fault, program: Program, maxSize: number): string {
  const { rows } = program;
  const file = printable(program.file);
  const message = printable(fault.message);
  if (fault.row === undefined) return `${file}: ${message}`;
  const what = CALLS[rows.op[fault.row] & OP_MASK];
  const where = `${file}:${rows.line[fault.row]}`;
  if (fault.code !== 'ENOMEM') return `${where}: ${what} of object ${rows.id[fault.row]} failed: ${message}`;
  const advice = `the heap is at most ${maxSize} bytes; raise --max-size`;
  return `${where}: ${what} of object ${rows.id[fault.row]}: ${message}: ${advice}`;
}

/** Replays `program`. Rejects only for faults of this program itself. */
export async function run(
  program: Program,
  options: ReplayOptions,
  progress: RunProgress = () => {},
  watch: Watch = {},
): Promise<Outcome> {
  const heap = createHeap(program, options);
  const endWatch = await watch.onHeap?.(heap);
  const caches = createCaches(heap, program);
  const dealt: Deal = deal(program, options.threads);
  const { operations } = program;
  const job: Job = {
    rows: program.rows,
    code: dealt.code,
    addresses: new Uint32Array(new SharedArrayBuffer(program.objects * 4)),
    gates: createGates(program.objects, options.threads + (watch.over === undefined ? 0 : 1)),
    operations,
    verify: options.verify,
    window: options.window,
  };
  const names = caches.map((cache) => cache.name);
  const crew = new Crew(heap.handle, job, dealt.lists, names);
  const ticker = setInterval(() => progress(Math.min(operations, slowest(job.gates)), operations), TICK_MS);
  const endPace =
    watch.over === undefined ? undefined : setPace(job.gates, options.threads, operations, watch.over);
  const sampler =
    watch.sample === undefined ? undefined : setInterval(() => watch.sample?.(slowest(job.gates)), SAMPLE_MS);
  await crew.run();
  clearInterval(ticker);
  clearInterval(sampler);
  watch.sample?.(operations);
  endPace?.();

  const { peakFootprint, maxSize } = heap.meminfo();
  const slabinfo = heap.slabinfo();
  const failure = crew.fault === undefined ? undefined : describe(crew.fault, program, maxSize);
  const problems: Problem[] = [];
  if (crew.fault !== undefined && failure !== undefined)
    problems.push({ code: crew.fault.code, message: failure });
  else problems.push(...heap.validate());
  await crew.dismiss();
  if (crew.fault === undefined) {
    const after = epilogue(heap, job, program, caches);
    crew.tallies.push(after.tally);
    problems.push(...after.problems);
  }
  const tally = sum(crew.tallies);
  await endWatch?.();
  heap.detach();
  const { crossThreadFrees } = dealt;
  return {
    program,
    options,
    crossThreadFrees,
    seconds: crew.seconds,
    peakFootprint,
    maxSize,
    tally,
    problems,
    slabinfo,
    failure,
  };
}
