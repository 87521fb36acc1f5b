/** `@modslab/cli/expose`: a running program serves its heap's figures to its own user. */

export { connect, LiveError, type LiveHeap } from './live/client.ts';
export { type Exposed, type ExposeOptions, expose } from './live/expose.ts';
export type { LiveInfo } from './live/protocol.ts';
