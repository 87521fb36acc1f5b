/**
 * For tests and post-mortems: the kill points and fail points of the checked build, and the types of reports.
 *
 * @packageDocumentation
 */

export type { ReapReport } from './debug/reap.ts';
export type { Problem } from './debug/validate.ts';
export { FAIL_POINTS, KILL_POINTS, setFailPointHook, setKillPointHook } from './memory/assert.ts';
