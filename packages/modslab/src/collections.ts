/**
 * Collections in shared memory that any thread of a heap uses at once, built on the heap's public calls: strings and byte
 * strings, a vector that grows, a hash map. Nobody waits for anybody, and a thread that is killed in the middle of a call
 * neither hangs nor corrupts them, nor loses memory for good.
 *
 * @packageDocumentation
 */

export { SharedMap, type SharedMapOptions } from './collections/sharedMap.ts';
export {
  bytesOf,
  createBytes,
  createString,
  equalBytes,
  lengthOf,
  stringOf,
} from './collections/sharedString.ts';
export { SharedVector, type SharedVectorOptions, type VectorElement } from './collections/sharedVector.ts';
