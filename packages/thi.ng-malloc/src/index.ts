/**
 * Drop-in for @thi.ng/malloc on a modslab heap.
 *
 * @packageDocumentation
 */

export * from './api.ts';
export * from './native.ts';
export * from './pool.ts';
