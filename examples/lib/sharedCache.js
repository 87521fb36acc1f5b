// A cache of strings in shared memory, used by any number of threads at once: a SharedMap (modslab/collections) that is kept
// at a number of entries. Nobody ever waits. A thread that is killed in the middle of a call holds nobody up.
//
// Which entry goes is decided as Redis does: of a few at a random place, the one that has not been used for longest.
import { GFP } from 'modslab';
import { SharedMap } from 'modslab/collections';

const SAMPLES = 16;

export class SharedCache {
  /** Makes a cache for `capacity` entries, or opens that of another thread (`handle`). */
  constructor(heap, { capacity = 1024, map = 0 }) {
    this.capacity = capacity;
    this.map = map === 0 ? SharedMap.create(heap) : SharedMap.open(heap, map);
  }

  /** What another thread's constructor takes. */
  get handle() {
    return { capacity: this.capacity, map: this.map.handle };
  }

  /** The value's bytes (a copy), or undefined. */
  get(key) {
    return this.map.get(key);
  }

  /** Keeps a value (a string or bytes). False without memory: a cache need not keep everything. */
  set(key, value) {
    if (!this.map.set(key, value, GFP.NOWARN)) return false;
    while (this.map.size > this.capacity && this.map.evict(SAMPLES));
    return true;
  }

  /** This thread is done with it. */
  close() {
    this.map.close();
  }

  /** Frees all that the cache holds. No other thread may use it any more. */
  destroy() {
    this.map.destroy();
  }
}
