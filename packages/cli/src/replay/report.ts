/**
 * What a replay gave, for people and for machines.
 *
 * `--json` prints one object on one line per file; its first thirteen keys are the public contract (API.md), in that order, and
 * the others are additions. The summary says the same in words: one line a fact, numbers with their units.
 */
import { formatSlabinfo } from 'modslab/stat';
import { printable } from '../trace/errors.ts';
import type { Finding } from './execute.ts';
import type { Outcome } from './run.ts';

/** Width of the labels of the summary. */
const LABEL = 16;

const count = (n: number): string => n.toLocaleString('en-US');
const hex = (n: number, digits = 0): string => `0x${n.toString(16).padStart(digits, '0')}`;
const plural = (n: number, one: string): string => `${count(n)} ${one}${n === 1 ? '' : 's'}`;

/** Bytes as people read them: `2.30 MiB`. */
export function bytes(n: number): string {
  if (n < 1024) return `${n} B`;
  const units = ['KiB', 'MiB', 'GiB'];
  let value = n / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(value < 10 ? 2 : 1)} ${units[unit]}`;
}

const seconds = (s: number): string => `${s < 0.1 ? s.toFixed(3) : s.toFixed(2)} s`;

/** Whether the heap is sound, nothing was lost and every byte was as written. */
export function isWell(outcome: Outcome): boolean {
  return outcome.failure === undefined && outcome.problems.length === 0 && outcome.tally.corrupted === 0;
}

/** Rows executed per second. */
function rate(outcome: Outcome): number {
  return outcome.seconds > 0 ? Math.round(outcome.program.operations / outcome.seconds) : 0;
}

/** The object that `--json` prints. Sizes in bytes, times in seconds. */
export function toJson(outcome: Outcome, parseSeconds: number): Record<string, unknown> {
  const { program, tally, options } = outcome;
  return {
    file: program.file,
    events: program.events,
    threads: options.threads,
    crossThreadFrees: outcome.crossThreadFrees,
    skipped: program.skipped,
    peakLive: program.peakLive,
    peakFootprint: outcome.peakFootprint,
    seconds: outcome.seconds,
    eventsPerSecond: rate(outcome),
    verified: tally.verified,
    corrupted: tally.corrupted,
    problems: outcome.problems,
    slabinfo: outcome.slabinfo,
    format: program.format,
    operations: program.operations,
    implied: program.implied,
    objects: program.objects,
    frees: program.frees,
    traceThreads: program.threads,
    endLive: program.endLive,
    endObjects: program.endObjects,
    checks: tally.checks,
    corruptions: tally.findings,
    parseSeconds,
    waitSeconds: tally.waited / 1000,
    maxSize: outcome.maxSize,
  };
}

/** Counts by reason as `3 nullFrees, 2 unmatchedFrees` in words. */
const REASONS: Record<string, string> = {
  nullFrees: 'frees of NULL',
  unmatchedFrees: 'frees of objects allocated before the recording, or unseen',
  unmatchedPages: 'the same for pages',
  otherOrderFrees: 'frees of pages under another order',
  failedAllocations: 'failed allocations',
  hiddenAddresses: 'events with a hidden address',
  otherEvents: 'events of other kinds',
  lostEvents: 'events lost while recording',
  impliedFrees: 'frees without an event (the address was handed out again)',
  impliedPageFrees: 'the same for pages',
  otherCacheFrees: 'objects freed unseen (the address came back from another cache)',
};

function reasons(counts: Record<string, number>): string {
  const parts = Object.entries(counts).filter(([, n]) => n > 0);
  return parts.map(([reason, n]) => `${count(n)} ${REASONS[reason] ?? reason}`).join('; ');
}

/** One finding of verification in one line. */
function finding(file: string, { what, id, line, address, size, offset, expected, found }: Finding): string {
  const where = line === 0 ? 'after the last event' : `${file}:${line}`;
  const object = `object ${id} (${size} bytes at ${hex(address)})`;
  if (what === 'misaligned')
    return `${where}: ${object} is misaligned: ${found} beyond a multiple of ${expected}`;
  const wrong = `byte ${offset} is ${hex(found, 2)}, not ${hex(expected, 2)}`;
  return `${where}: ${object} ${what === 'changed' ? 'has changed' : `was ${what}`}: ${wrong}`;
}

function verifiedLine({ options, tally, program }: Outcome): string {
  if (!options.verify) return 'no (--verify fills every object with a pattern of its own and checks it)';
  if (tally.corrupted > 0) return `${plural(tally.corrupted, 'check')} of ${count(tally.checks)} FAILED`;
  const all = tally.verified === program.objects ? 'all ' : '';
  return `${all}${plural(tally.verified, 'object')}: every byte was as it had been written (${plural(tally.checks, 'check')})`;
}

/** How much of their time the workers spent keeping the trace's order: none of it is the allocator's. */
function waitingLine({ seconds: wall, options, tally }: Outcome): string {
  const share = wall > 0 ? Math.min(1, tally.waited / 1000 / (wall * options.threads)) : 0;
  return `${(100 * share).toFixed(0)} % of the workers' time went into keeping the trace's order between them`;
}

function heapLine({ failure, problems }: Outcome): string {
  if (failure !== undefined) return 'the replay did not come to its end';
  if (problems.length === 0) return 'sound: validation found no problem, and nothing leaked';
  return `NOT SOUND: ${plural(problems.length, 'problem')}`;
}

/** The summary for people, with the slabinfo table; ends with a newline. */
export function toText(outcome: Outcome, parseSeconds: number): string {
  const { program, options, tally } = outcome;
  const line = (label: string, text: string): string => `  ${label.padEnd(LABEL)}${text}`;
  const threads =
    program.format === 'ftrace' ? plural(program.threads, 'CPU') : plural(program.threads, 'thread');
  const share = program.frees === 0 ? 0 : (100 * outcome.crossThreadFrees) / program.frees;
  const ratio =
    program.peakLive === 0
      ? ''
      : `, ${(outcome.peakFootprint / program.peakLive).toFixed(2)} times the peak live`;
  const skipped = reasons(program.skipped);
  const implied = reasons(program.implied);
  const lines = [
    `${printable(program.file)}: ${program.title === '' ? 'an allocation trace' : program.title}`,
    line(
      'replayed',
      `${plural(program.events, 'event')} of ${threads} on ${plural(options.threads, 'worker thread')}; ${plural(program.objects, 'object')}`,
    ),
    line(
      'time',
      `${seconds(outcome.seconds)}: ${count(rate(outcome))} events a second (reading the trace took ${seconds(parseSeconds)})`,
    ),
    ...(options.threads > 1 ? [line('waiting', waitingLine(outcome))] : []),
    line(
      'cross-thread',
      `${count(outcome.crossThreadFrees)} of ${plural(program.frees, 'free')} (${share.toFixed(1)} %) on another thread than the allocation`,
    ),
    line(
      'peak live',
      `${count(program.peakLive)} bytes (${bytes(program.peakLive)}) asked for and not yet freed`,
    ),
    line(
      'peak footprint',
      `${count(outcome.peakFootprint)} bytes (${bytes(outcome.peakFootprint)}) of heap in use${ratio}`,
    ),
    line(
      'left live',
      `${plural(program.endObjects, 'object')}, ${bytes(program.endLive)}: never freed by the trace, freed after it`,
    ),
    ...(skipped === '' ? [] : [line('skipped', skipped)]),
    ...(implied === '' ? [] : [line('implied', implied)]),
    line('verified', verifiedLine(outcome)),
    line('heap', heapLine(outcome)),
    ...tally.findings.map((f) => `    ${finding(printable(program.file), f)}`),
    ...outcome.problems.slice(0, 20).map(({ code, message }) => `    ${code}: ${printable(message)}`),
    '',
    formatSlabinfo(outcome.slabinfo, '3.0').trimEnd(),
    '',
  ];
  return `${lines.join('\n')}\n`;
}
