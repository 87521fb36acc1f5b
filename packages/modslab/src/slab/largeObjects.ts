/**
 * Slab debugging of large objects, which are runs of frames and in no cache: red zones and tracks, if the heap's option gives
 * `Z` or `U` to `kmalloc-large` (a block without names does).
 *
 *     │ object, as many bytes as were asked for │ zone: the rest of the last frame, at least ZONE_BYTES │
 *
 * The track is in words of the run's page descriptor that only slabs use, and so out of reach of the application:
 *
 *     RECIPROCAL  allocated by     STRIDE  allocated at     STATES  checksum of the two, of REQUESTED and of the frame
 *
 * A run whose checksum is wrong was published, but not made ready, by a thread that died: it is not checked.
 */

import { hex, SlabError } from '../memory/errors.ts';
import { H_DEBUG_LARGE, pageAt } from '../memory/layout.ts';
import type { Finding, SlabReport, TrackInfo } from '../memory/report.ts';
import { PAGE_RECIPROCAL, PAGE_REQUESTED, PAGE_RUN, PAGE_STATES, PAGE_STRIDE } from '../page/page.ts';
import { POISON_FREE, RED_ACTIVE } from './debugObject.ts';
import type { DebugContext } from './debugPart.ts';
import { SLAB, type SlabFlags } from './flags.ts';
import { ZONE_BYTES } from './objectLayout.ts';
import { findWrong } from './reporter.ts';
import { byWord, heapTime, readTrack } from './track.ts';
import { captured } from './tracked.ts';

/** Times that a finding must be made before it counts. */
const CONFIRMATIONS = 4;

export const LARGE_NAME = 'kmalloc-large';

export class LargeObjects {
  private readonly context: DebugContext;
  private readonly m: Int32Array;
  private readonly pageShift: number;
  /** 0: nothing of this is done. */
  readonly flags: SlabFlags;

  constructor(context: DebugContext) {
    const { metadata } = context;
    this.context = context;
    this.m = metadata.m;
    this.pageShift = metadata.layout.pageShift;
    this.flags = metadata.m[H_DEBUG_LARGE];
  }

  /** Bytes that a run must have besides those asked for. */
  get room(): number {
    return (this.flags & SLAB.RED_ZONE) === 0 ? 0 : ZONE_BYTES;
  }

  /** The run at frame `head`, which has just been handed out, is of `requested` bytes. */
  prepare(head: number, requested: number): void {
    if (this.flags === 0) return;
    const { m, context } = this;
    const page = pageAt(context.metadata.layout, head);
    const stack = (this.flags & SLAB.STORE_USER) === 0 ? 0 : captured(context);
    m[page + PAGE_REQUESTED] = requested;
    m[page + PAGE_RECIPROCAL] = byWord(stack, context.cpu.id);
    m[page + PAGE_STRIDE] = heapTime(m);
    const { zoneFrom, zoneTo } = this.zoneOf(head);
    if ((this.flags & SLAB.RED_ZONE) !== 0) context.data.views().u8.fill(RED_ACTIVE, zoneFrom, zoneTo);
    m[page + PAGE_STATES] = this.checksum(head);
  }

  /** The run at frame `head` is about to be freed; what the free throws once it is completed. */
  retire(head: number): SlabError | undefined {
    if (this.flags === 0) return undefined;
    const report = this.check(head);
    const { zoneTo, start } = this.zoneOf(head);
    this.m[pageAt(this.context.metadata.layout, head) + PAGE_STATES] = 0;
    if ((this.flags & SLAB.POISON) !== 0) this.context.data.views().u8.fill(POISON_FREE, start, zoneTo);
    if (report === undefined) return undefined;
    this.context.reporter.publish(report, true);
    const error = new SlabError(
      'EREDZONE',
      `${report.bug} (it is free now)\n${report.text}`,
      start,
      LARGE_NAME,
    );
    error.report = report;
    return error;
  }

  /** Looks at the zone of a live run, and puts it right; a report if it was not. */
  check(head: number): SlabReport | undefined {
    const { context } = this;
    if ((this.flags & SLAB.RED_ZONE) === 0) return undefined;
    const { u8 } = context.data.views();
    const { zoneFrom, zoneTo } = this.zoneOf(head);
    let findings: Finding[] = [];
    // Its owner may be freeing it, or giving it another size: then it is not ready.
    for (let i = 0; i < CONFIRMATIONS; i++) {
      if (!this.isReady(head)) return undefined;
      findings = [];
      findWrong(u8, 'Right Redzone', zoneFrom, zoneTo, RED_ACTIVE, findings);
      if (findings.length === 0 || !this.isReady(head)) return undefined;
    }
    const report = this.reportOf(head, findings);
    u8.fill(RED_ACTIVE, zoneFrom, zoneTo);
    return report;
  }

  /** Changes how many bytes a live run is of; false if it has no room for them. */
  resize(head: number, size: number): boolean {
    const { start, zoneTo } = this.zoneOf(head);
    if (size + this.room > zoneTo - start) return false;
    const report = this.check(head);
    if (report !== undefined) this.context.reporter.publish(report, false);
    const page = pageAt(this.context.metadata.layout, head);
    this.m[page + PAGE_STATES] = 0;
    this.m[page + PAGE_REQUESTED] = size;
    const { zoneFrom } = this.zoneOf(head);
    if ((this.flags & SLAB.RED_ZONE) !== 0) this.context.data.views().u8.fill(RED_ACTIVE, zoneFrom, zoneTo);
    this.m[page + PAGE_STATES] = this.checksum(head);
    return true;
  }

  /** Bytes that the user of a run may use. */
  usable(head: number): number {
    const page = pageAt(this.context.metadata.layout, head);
    const isZoned = (this.flags & SLAB.RED_ZONE) !== 0 && this.isReady(head);
    return isZoned ? this.m[page + PAGE_REQUESTED] : this.m[page + PAGE_RUN] * 2 ** this.pageShift;
  }

  /** Who allocated a live run; undefined if that was not recorded. */
  trackOf(head: number): TrackInfo | undefined {
    const { m, context } = this;
    const page = pageAt(context.metadata.layout, head);
    if ((this.flags & SLAB.STORE_USER) === 0 || !this.isReady(head)) return undefined;
    return readTrack(m, context.depot, m[page + PAGE_RECIPROCAL] >>> 0, m[page + PAGE_STRIDE] >>> 0);
  }

  /** Whether the run's zone and track are as `prepare` left them. */
  isReady(head: number): boolean {
    return this.m[pageAt(this.context.metadata.layout, head) + PAGE_STATES] === this.checksum(head);
  }

  private zoneOf(head: number): { start: number; zoneFrom: number; zoneTo: number } {
    const page = pageAt(this.context.metadata.layout, head);
    const start = head * 2 ** this.pageShift;
    const zoneTo = start + this.m[page + PAGE_RUN] * 2 ** this.pageShift;
    return { start, zoneFrom: Math.min(zoneTo, start + this.m[page + PAGE_REQUESTED]), zoneTo };
  }

  private checksum(head: number): number {
    const { m } = this;
    const page = pageAt(this.context.metadata.layout, head);
    let sum = head ^ 0x6c617267;
    for (const word of [PAGE_REQUESTED, PAGE_RECIPROCAL, PAGE_STRIDE])
      sum = Math.imul(sum ^ m[page + word], 0x01000193) ^ (sum >>> 15);
    return sum | 1;
  }

  private reportOf(head: number, findings: readonly Finding[]): SlabReport {
    const { m, context } = this;
    const page = pageAt(context.metadata.layout, head);
    const { start, zoneFrom, zoneTo } = this.zoneOf(head);
    const allocated = this.trackOf(head);
    const tail = Math.max(start, zoneFrom - 64);
    return context.reporter.make(
      {
        bug: 'Right Redzone overwritten',
        cache: LARGE_NAME,
        address: start,
        requested: m[page + PAGE_REQUESTED],
        size: zoneTo - start,
        slab: {
          address: start,
          objects: 1,
          used: 1,
          order: Math.ceil(Math.log2(m[page + PAGE_RUN])),
          pfn: head,
        },
        findings,
        ...(allocated && { allocated }),
        fixes: findings.map(
          ({ from, to }) => `Restoring Right Redzone ${hex(from)}-${hex(to - 1)}=${hex(RED_ACTIVE)}`,
        ),
      },
      [
        { label: 'Object', from: tail, to: zoneFrom },
        { label: 'Redzone', from: zoneFrom, to: Math.min(zoneTo, zoneFrom + 64) },
      ],
    );
  }
}
