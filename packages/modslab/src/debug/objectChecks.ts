/**
 * What `validate()` looks at in caches with slab debugging: each object's zones, poison and track, and the states and count of
 * the slab. What is wrong is reported, at most one object a slab, as the kernel does; and put right, so that the next
 * validation finds nothing.
 *
 * The caller holds the slab, so what is FREE stays so. Live objects are other threads', which may be freeing one at this
 * moment: so what is found of one counts only if it is found each time, with the object ARMED before and after.
 */

import { addressOf } from '../memory/entry.ts';
import { hex } from '../memory/errors.ts';
import { C_GRANULES, C_OBJECTS, cacheAt, pageAt } from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import type { Finding, SlabReport } from '../memory/report.ts';
import { COUNT_MASK, FREE, isState, LIVE, PAGE_CLAIM, PAGE_FIRST_FREE } from '../page/page.ts';
import { firstEntryOf, firstStateAt } from '../slab/cacheTable.ts';
import type { DebugAllocator } from '../slab/debugAllocator.ts';
import { ARMED, type DebugObject, debugObject } from '../slab/debugObject.ts';

/** Times that a finding about a live object must be made before it counts. */
const CONFIRMATIONS = 4;

export class ObjectChecks {
  private readonly metadata: Metadata;
  private readonly debugging: DebugAllocator;
  readonly reports: SlabReport[] = [];

  constructor(metadata: Metadata, debugging: DebugAllocator) {
    this.metadata = metadata;
    this.debugging = debugging;
  }

  /** Checks the slab at frame `head`, which the caller holds; how many objects of it are FREE. */
  check(cache: number, head: number): number {
    const { m, layout } = this.metadata;
    const descriptor = cacheAt(layout, cache);
    const first = firstEntryOf(m, layout.pageShift, descriptor, head);
    const at = (index: number): DebugObject =>
      debugObject(this.metadata, cache, addressOf(first + Math.imul(index, m[descriptor + C_GRANULES])));
    const free = this.checkStates(cache, head, at);
    for (let index = 0; index < m[descriptor + C_OBJECTS]; index++) if (!this.isSound(at(index))) break;
    return free;
  }

  /** States that mean something, and as many FREE ones as are counted. */
  private checkStates(cache: number, head: number, at: (index: number) => DebugObject): number {
    const { m, s, layout } = this.metadata;
    const { reporter } = this.debugging.context;
    const page = pageAt(layout, head);
    const states = firstStateAt(m, cacheAt(layout, cache), head);
    let free = 0;
    for (let index = m[cacheAt(layout, cache) + C_OBJECTS] - 1; index >= 0; index--) {
      const state = s[states + index];
      if (state === FREE) {
        free++;
        m[page + PAGE_FIRST_FREE] = Math.min(m[page + PAGE_FIRST_FREE], index);
      }
      if (isState(state)) continue;
      this.publish(reporter.report(at(index), `Object state corrupt: ${hex(state)}`, [], []));
      // Lost, as in Linux what a broken free list led to: nobody has it, nobody gets it.
      s[states + index] = LIVE;
    }
    const counted = m[page + PAGE_CLAIM] & COUNT_MASK;
    if (free !== counted) {
      const bug = `Wrong object count: ${counted} free objects are counted, but ${free} are`;
      this.publish(reporter.report(at(0), bug, [], ['Object count adjusted']));
    }
    return free;
  }

  private isSound(object: DebugObject): boolean {
    const { debugging } = this;
    const state = this.metadata.s[object.state];
    if (state !== FREE && state !== ARMED) return true;
    const findings = state === FREE ? debugging.findingsOfFree(object) : this.findingsOfLive(object);
    if (findings.length === 0) return true;
    const report = debugging.reportOf(object, findings);
    debugging.restore(object, state === ARMED);
    this.publish(report);
    return false;
  }

  private findingsOfLive(object: DebugObject): Finding[] {
    const { s } = this.metadata;
    let findings: Finding[] = [];
    for (let i = 0; i < CONFIRMATIONS; i++) {
      findings = this.debugging.findingsOf(object);
      if (findings.length === 0 || Atomics.load(s, object.state) !== ARMED) return [];
    }
    return findings;
  }

  private publish(report: SlabReport): void {
    this.reports.push(report);
    this.debugging.context.reporter.publish(report, true);
  }
}
