/**
 * Which object is live at an address of the traced machine: a hash table from 64-bit addresses to object ids.
 *
 * Kernel traces name objects by address, and an address comes back again and again. JavaScript has no 64-bit integer
 * that is cheap as a key (BigInt allocates, strings more so), so addresses are kept as two 32-bit halves in flat
 * arrays, open addressing with linear probing:
 *
 *     slot i:   hi[i]   lo[i]   object[i] = id + 1 of the live object, 0 when none is live
 *               used[i] = 1 once an address lives in this slot; it stays there, dead or not
 *
 * Entries are never moved or removed but at growth, so a probe may end at the first unused slot. At most half of the
 * slots are used.
 */

/** Slots to begin with; a power of two. */
const START = 4096;

export class AddressTable {
  #hi: Uint32Array = new Uint32Array(START);
  #lo: Uint32Array = new Uint32Array(START);
  #object: Uint32Array = new Uint32Array(START);
  #used: Uint8Array = new Uint8Array(START);
  #count = 0;

  /** The live object at the address, or −1. */
  get(hi: number, lo: number): number {
    return this.#object[this.#find(hi, lo)] - 1;
  }

  /** From now on `id` is the live object at the address. */
  set(hi: number, lo: number, id: number): void {
    if (this.#count * 2 >= this.#used.length) this.#grow();
    const slot = this.#find(hi, lo);
    if (this.#used[slot] === 0) {
      this.#used[slot] = 1;
      this.#hi[slot] = hi;
      this.#lo[slot] = lo;
      this.#count++;
    }
    this.#object[slot] = id + 1;
  }

  /** Nothing is live at the address any more. */
  clear(hi: number, lo: number): void {
    const slot = this.#find(hi, lo);
    if (this.#used[slot] !== 0) this.#object[slot] = 0;
  }

  /** The slot of the address, or the unused one where it belongs. */
  #find(hi: number, lo: number): number {
    const mask = this.#used.length - 1;
    const mixed = Math.imul(lo ^ Math.imul(hi, 0x9e3779b1), 0x85ebca6b);
    let slot = (mixed ^ (mixed >>> 15)) & mask;
    while (this.#used[slot] !== 0 && (this.#lo[slot] !== lo || this.#hi[slot] !== hi))
      slot = (slot + 1) & mask;
    return slot;
  }

  /** Twice the slots; addresses where nothing is live are forgotten. */
  #grow(): void {
    const [hi, lo, object] = [this.#hi, this.#lo, this.#object];
    const length = this.#used.length * 2;
    this.#hi = new Uint32Array(length);
    this.#lo = new Uint32Array(length);
    this.#object = new Uint32Array(length);
    this.#used = new Uint8Array(length);
    this.#count = 0;
    for (let i = 0; i < object.length; i++) if (object[i] !== 0) this.set(hi[i], lo[i], object[i] - 1);
  }
}
