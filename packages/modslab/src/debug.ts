/**
 * For tests and post-mortems: the kill points of the checked build, and the types of reports.
 *
 * @packageDocumentation
 */

export type { ReapReport } from './debug/reap.ts';
export type { Problem } from './debug/validate.ts';
export { KILL_POINTS, setKillPointHook } from './memory/assert.ts';
