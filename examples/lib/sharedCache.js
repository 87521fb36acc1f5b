// A cache of strings in shared memory, used by any number of threads at once. Nobody ever waits.
//
// The table is set-associative: a key's hash names a set of WAYS slots, and a slot is three words:
//
//     entry      address of the entry, 0: empty or taken
//     hash       of its key, so that most slots are skipped without touching the entry
//     used       the tick of its last use: the smallest is evicted
//
// The one rule: who gets a non-zero address out of `entry` by Atomics.exchange owns that entry, alone, until it puts it
// back or frees it. A reader takes the entry, copies the value, and puts it back if the slot is still empty. A thread that
// meets an entry while another one has it sees a miss. A thread killed in between loses that one entry; nothing hangs.
import { GFP } from 'modslab';

const WAYS = 8;
const SLOT_WORDS = 3;
const [ENTRY, HASH, USED] = [0, 1, 2];
/** An entry: bytes of the key, bytes of the value, key, value. */
const HEADER_BYTES = 8;

const encoder = new TextEncoder();

function hashOf(key) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key[i], 0x01000193);
  return hash ^ (hash >>> 15) || 1;
}

export class SharedCache {
  /** Makes a table with room for about `capacity` entries (rounded up), or opens that of another thread. */
  constructor(heap, { capacity = 1024, table = 0, sets = 0 }) {
    this.heap = heap;
    this.sets = sets || 2 ** Math.ceil(Math.log2(Math.max(1, capacity / WAYS)));
    this.table = table || heap.kzalloc(4 + this.sets * WAYS * SLOT_WORDS * 4);
    if (this.table === 0) throw new Error('no memory for the table');
  }

  /** What another thread's constructor takes. */
  get handle() {
    return { table: this.table, sets: this.sets };
  }

  /** The value's bytes (a copy), or undefined. */
  get(text) {
    const key = encoder.encode(text);
    const hash = hashOf(key);
    const { heap } = this;
    for (let way = 0, slot = this.#set(hash); way < WAYS; way++, slot += SLOT_WORDS) {
      const words = heap.i32;
      if (words[slot + HASH] !== hash) continue;
      const entry = Atomics.exchange(words, slot + ENTRY, 0) >>> 0;
      if (entry === 0) continue;
      const value = this.#matches(entry, key) ? this.#value(entry) : undefined;
      words[slot + USED] = this.#tick();
      // Another thread may have filled the slot meanwhile: then this entry is nobody's.
      if (Atomics.compareExchange(words, slot + ENTRY, 0, entry | 0) !== 0) heap.kfree(entry);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  /** Keeps a value (a string or bytes), in place of the same key's old one or of the set's least recently used. */
  set(text, value) {
    const { heap } = this;
    const key = encoder.encode(text);
    const bytes = typeof value === 'string' ? encoder.encode(value) : value;
    const hash = hashOf(key);
    const entry = heap.kmalloc(HEADER_BYTES + key.length + bytes.length, GFP.NOWARN);
    if (entry === 0) return false; // a cache need not keep everything
    const words = heap.i32;
    words[entry >>> 2] = key.length;
    words[(entry >>> 2) + 1] = bytes.length;
    heap.u8.set(key, entry + HEADER_BYTES);
    heap.u8.set(bytes, entry + HEADER_BYTES + key.length);
    const slot = this.#victim(hash);
    words[slot + HASH] = hash;
    words[slot + USED] = this.#tick();
    const old = Atomics.exchange(words, slot + ENTRY, entry | 0) >>> 0;
    if (old !== 0) heap.kfree(old); // perhaps allocated by another thread
    return true;
  }

  /** Frees all that the cache holds. No other thread may use it any more. */
  destroy() {
    const { heap, table, sets } = this;
    for (let i = 0; i < sets * WAYS; i++) heap.kfree(heap.u32[(table >>> 2) + 1 + i * SLOT_WORDS + ENTRY]);
    heap.kfree(table);
  }

  #set(hash) {
    return (this.table >>> 2) + 1 + (hash & (this.sets - 1)) * WAYS * SLOT_WORDS;
  }

  #tick() {
    return Atomics.add(this.heap.i32, this.table >>> 2, 1);
  }

  /** The slot for a hash: its own, else an empty one, else the least recently used. */
  #victim(hash) {
    const words = this.heap.i32;
    const first = this.#set(hash);
    let oldest = first;
    for (let way = 0, slot = first; way < WAYS; way++, slot += SLOT_WORDS) {
      if (words[slot + HASH] === hash || words[slot + HASH] === 0) return slot;
      const older = (words[slot + USED] - words[oldest + USED]) | 0; // right also when the tick wraps
      if (older < 0) oldest = slot;
    }
    return oldest;
  }

  #matches(entry, key) {
    const { u32, u8 } = this.heap;
    if (u32[entry >>> 2] !== key.length) return false;
    for (let i = 0; i < key.length; i++) if (u8[entry + HEADER_BYTES + i] !== key[i]) return false;
    return true;
  }

  #value(entry) {
    const { u32, u8 } = this.heap;
    const start = entry + HEADER_BYTES + u32[entry >>> 2];
    return u8.slice(start, start + u32[(entry >>> 2) + 1]);
  }
}
