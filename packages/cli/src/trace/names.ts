/**
 * Names that occur again and again in the bytes of a trace, numbered: 0 is the empty name, then 1, 2, … in order of
 * first appearance. A name becomes a string once; after that it is found by the hash of its bytes and compared with
 * them, which costs a tenth of decoding it.
 */

export class NameTable {
  readonly #bytes: Buffer[] = [Buffer.alloc(0)];
  readonly #next: number[] = [0];
  readonly #first: Map<number, number> = new Map();

  /** The name with this number, as it stands in the trace. */
  text(name: number): string {
    return this.#bytes[name].toString('latin1');
  }

  /** The number of the name that stands in `bytes` from `from` up to `end`. */
  number(bytes: Buffer, from: number, end: number): number {
    if (from === end) return 0;
    let hash = 0x811c9dc5 | 0;
    for (let p = from; p < end; p++) hash = Math.imul(hash ^ bytes[p], 0x01000193);
    const first = this.#first.get(hash) ?? 0;
    for (let name = first; name !== 0; name = this.#next[name])
      if (this.#is(name, bytes, from, end)) return name;
    const name = this.#bytes.push(Buffer.from(bytes.subarray(from, end))) - 1;
    this.#next.push(first);
    this.#first.set(hash, name);
    return name;
  }

  #is(name: number, bytes: Buffer, from: number, end: number): boolean {
    const known = this.#bytes[name];
    if (known.length !== end - from) return false;
    for (let i = 0; i < known.length; i++) if (known[i] !== bytes[from + i]) return false;
    return true;
  }
}
