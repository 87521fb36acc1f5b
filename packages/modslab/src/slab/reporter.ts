/**
 * Reports of slab debugging, in the kernel's form and for programs (memory/report.ts). Each is counted in the header as
 * slub_kunit counts: one for what is wrong, one more for each thing that was put right.
 *
 * A report that is about the object of a call goes with the error that the call throws. Others (of `validate`, of an
 * allocation that got an object which somebody has written to after its free) are given to this thread's listeners, or
 * printed if it has none.
 */

import type { Cpu } from '../memory/cpu.ts';
import type { DataMemory } from '../memory/data.ts';
import { hex } from '../memory/errors.ts';
import { C_OBJECTS, C_ORDER, cacheAt, H_REPORTS, pageAt } from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import type { Finding, SlabReport, TrackInfo } from '../memory/report.ts';
import { COUNT_MASK, PAGE_CLAIM } from '../page/page.ts';
import type { CacheTable } from './cacheTable.ts';
import { type DebugObject, requestedOf } from './debugObject.ts';
import { SLAB } from './flags.ts';
import { TRACK_BYTES, ZONE_BYTES } from './objectLayout.ts';
import type { StackDepot } from './stackDepot.ts';
import { readTrack, T_ALLOCATED_AT, T_ALLOCATED_BY, T_FREED_AT, T_FREED_BY, trackIsTrue } from './track.ts';

export type ReportListener = (report: SlabReport) => void;

/** Bytes of an object that a report shows. */
const DUMP_BYTES = 256;
const DUMP_LINE = 16;
/** Bytes of a right zone that a report shows. */
const ZONE_SHOWN = 64;
const RULE = '='.repeat(77);

/** Where reports go that nobody listens to: the platform's console, if it has one. */
interface Host {
  readonly console?: { error(text: string): void };
}

/** The track of an object: who allocated it, who freed it. Empty if it was written over. */
export interface Tracks {
  readonly allocated?: TrackInfo;
  readonly freed?: TrackInfo;
}

export class Reporter {
  private readonly metadata: Metadata;
  private readonly cpu: Cpu;
  private readonly data: DataMemory;
  private readonly table: CacheTable;
  private readonly depot: StackDepot;
  private readonly listeners: Set<ReportListener> = new Set();

  constructor(metadata: Metadata, cpu: Cpu, data: DataMemory, table: CacheTable, depot: StackDepot) {
    this.metadata = metadata;
    this.cpu = cpu;
    this.data = data;
    this.table = table;
    this.depot = depot;
  }

  /** Registers a listener on this thread; a function that takes it out again. */
  listen(listener: ReportListener): () => void {
    if (typeof listener !== 'function') throw new TypeError('a listener of reports is a function');
    const registered: ReportListener = (report) => listener(report);
    this.listeners.add(registered);
    return () => void this.listeners.delete(registered);
  }

  /** Counts so many reports more. */
  count(reports: number): void {
    Atomics.add(this.metadata.m, H_REPORTS, reports);
  }

  tracksOf(object: DebugObject): Tracks {
    const { m } = this.metadata;
    const { u32 } = this.data.views();
    const { track } = object;
    if (track === 0 || !trackIsTrue(u32, track)) return {};
    const allocated = readTrack(m, this.depot, u32[track + T_ALLOCATED_BY], u32[track + T_ALLOCATED_AT]);
    const freed = readTrack(m, this.depot, u32[track + T_FREED_BY], u32[track + T_FREED_AT]);
    return { ...(allocated && { allocated }), ...(freed && { freed }) };
  }

  /** A report about an object, as it is now; counted. */
  report(
    object: DebugObject,
    bug: string,
    findings: readonly Finding[],
    fixes: readonly string[],
  ): SlabReport {
    const { m, layout } = this.metadata;
    const descriptor = cacheAt(layout, object.cache);
    const objects = m[descriptor + C_OBJECTS];
    const free = m[pageAt(layout, object.head) + PAGE_CLAIM] & COUNT_MASK;
    return this.make(
      {
        bug,
        cache: this.table.name(object.cache),
        address: object.address,
        requested: requestedOf(this.data.views().u32, object),
        size: object.size,
        slab: {
          address: object.head * 2 ** layout.pageShift,
          objects,
          used: objects - Math.min(objects, free),
          order: m[descriptor + C_ORDER],
          pfn: object.head,
        },
        findings,
        ...this.tracksOf(object),
        fixes,
      },
      dumpsOf(object, findings[0]?.from ?? object.address),
    );
  }

  /** A report, with the bytes that it shows; counted. */
  make(about: Omit<SlabReport, 'text' | 'cpu' | 'time'>, dumps: readonly Dump[]): SlabReport {
    this.count(Math.max(1, about.findings.length) + about.fixes.length);
    const { u8 } = this.data.views();
    const bytes = dumps.flatMap(({ label, from, to }) => hexLines(u8, label, from, to));
    return { ...about, cpu: this.cpu.id, time: Date.now(), text: textOf(about, bytes) };
  }

  /** Gives a report to this thread's listeners. `isThrown`: it goes with an error, so that it need not be printed. */
  publish(report: SlabReport, isThrown: boolean): void {
    for (const listener of [...this.listeners]) listener(report);
    if (this.listeners.size === 0 && !isThrown) (globalThis as Host).console?.error(report.text);
  }
}

/** Bytes that a report shows. */
export interface Dump {
  readonly label: string;
  readonly from: number;
  readonly to: number;
}

function textOf(report: Omit<SlabReport, 'text' | 'cpu' | 'time'>, bytes: readonly string[]): string {
  const { slab, address, requested, size } = report;
  const lines = [RULE, `BUG ${report.cache} (Not tainted): ${report.bug}`, '-'.repeat(77), ''];
  for (const { from, to, found, expected } of report.findings) {
    const place = `${hex(from)}-${hex(to - 1)} @offset=${from - slab.address}`;
    lines.push(`${place}. First byte ${hex(found)} instead of ${hex(expected)}`);
  }
  if (report.allocated !== undefined) lines.push(...trackLines('Allocated', report.allocated));
  if (report.freed !== undefined) lines.push(...trackLines('Freed', report.freed));
  lines.push(
    `Slab ${hex(slab.address)} objects=${slab.objects} used=${slab.used} order=${slab.order} pfn=${slab.pfn}`,
    `Object ${hex(address)} @offset=${address - slab.address} size=${size} requested=${requested}`,
    '',
    ...bytes,
  );
  for (const fix of report.fixes) lines.push(`FIX ${report.cache}: ${fix}`);
  return lines.join('\n');
}

/** The bytes around a place: what lies before the object, the object, its zone and its track. */
function dumpsOf(object: DebugObject, place: number): Dump[] {
  const { address, size, zoneEnd, track, hasLeft, flags } = object;
  const isZoned = (flags & SLAB.RED_ZONE) !== 0;
  const offset = Math.min(Math.max(0, place - address), Math.max(0, size - DUMP_BYTES));
  const start = address + (offset < DUMP_BYTES - DUMP_LINE ? 0 : offset & ~(DUMP_LINE - 1));
  const end = address + size;
  const dumps = [{ label: 'Object', from: start, to: Math.min(end, start + DUMP_BYTES) }];
  const label = isZoned ? 'Redzone' : 'Bytes b4';
  if (hasLeft) dumps.unshift({ label, from: address - ZONE_BYTES, to: address });
  if (isZoned) dumps.push({ label, from: end, to: Math.min(zoneEnd, end + ZONE_SHOWN) });
  if (track !== 0) dumps.push({ label: 'Track', from: zoneEnd, to: zoneEnd + TRACK_BYTES });
  return dumps;
}

function trackLines(what: string, track: TrackInfo): string[] {
  const [by = '(stack not recorded)', ...callers] = track.stack;
  const first = `${what} in ${by} age=${track.age} ms cpu=${track.cpu}`;
  return [first, ...callers.map((frame) => `  ${frame}`)];
}

function hexLines(u8: Uint8Array, label: string, from: number, to: number): string[] {
  const lines: string[] = [];
  for (let at = from; at < to; at += DUMP_LINE) {
    const bytes = Array.from(u8.subarray(at, Math.min(to, at + DUMP_LINE)));
    const digits = bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const text = bytes.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : '.')).join('');
    lines.push(
      `${label.padEnd(8)} ${at.toString(16).padStart(8, '0')}: ${digits.padEnd(3 * DUMP_LINE)} ${text}`,
    );
  }
  return lines;
}

/** Compares bytes with what they should be; adds what is wrong to the findings. */
export function findWrong(
  u8: Uint8Array,
  what: string,
  from: number,
  to: number,
  expected: number,
  findings: Finding[],
): void {
  let first = from;
  while (first < to && u8[first] === expected) first++;
  if (first === to) return;
  let last = to - 1;
  while (u8[last] === expected) last--;
  findings.push({ what, from: first, to: last + 1, found: u8[first], expected });
}
