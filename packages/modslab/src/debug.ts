/**
 * For tests and post-mortems: leaks compared, where traces go, the kill points and fail points of the checked build, and the
 * types of reports.
 *
 * @packageDocumentation
 */

export { diffLeaks, type LeakGroup } from './debug/leaks.ts';
export type { ReapReport } from './debug/reap.ts';
export type { Problem } from './debug/validate.ts';
export { FAIL_POINTS, KILL_POINTS, setFailPointHook, setKillPointHook } from './memory/assert.ts';
export type { Finding, SlabReport, TrackInfo } from './memory/report.ts';
export { setTraceOutput } from './slab/traced.ts';
