/**
 * What the transformed modules call in place of accesses to shared metadata (transform.ts), and the machine that this
 * makes: one memory, several CPUs, of which one runs at a time.
 *
 * A *location* is a word of the metadata, or one of its bytes: `word` or `words + byte`. An access comes in two calls. The
 * first says what is about to be done, and asks the explorer whether to stop before it; the second does it. What is about
 * to be done is kept in registers, which belong to the CPU that runs; the explorer saves and restores them when it
 * switches.
 *
 * The machine keeps, for the explorer:
 *
 *     a log of all writes, so that the memory can be put back as it was
 *     a hash of the memory, kept up to date with each write, so that states can be compared
 *     a hash of all that the running CPU has read and written in its present operation: as the code is deterministic,
 *     CPUs with equal hashes are at the same place, in equal states, local variables included
 *
 * Hashes have 53 bits. Two states that differ and have one hash would make the explorer miss one of them; with a million
 * states that is one chance in ten thousand.
 *
 * Defects can be seeded, to see whether they are found (`Defect`).
 */

/** What an access is. */
export const READ = 0;
export const WRITE = 1;
export const SWAP = 2;
export const UPDATE = 3;
export const TOUCH = 4;

/** A bug of the machine. */
export interface Defect {
  /** Compare-and-swaps of these locations are made as a load and, a stop later, a store. */
  readonly tornSwap?: (location: number) => boolean;
  /** Stores to these locations get lost. */
  readonly lostStore?: (location: number, value: number) => boolean;
}

/** What the explorer does when the running CPU comes to an access; true: stop before it. */
export type Arrival = (location: number, isWrite: boolean) => boolean;

let words: Int32Array = new Int32Array(0);
let bytes: Uint8Array = new Uint8Array(0);
let size = 0;
let dataLocation = 0;
let arrive: Arrival = () => false;
let quiet = 0;
let defect: Defect | undefined;

let kind = READ;
let location = 0;
let value = 0;
let expected = 0;
let operation = '';
let source: Uint8Array | undefined;
/** A torn compare-and-swap has read: what it found. */
let torn: number | undefined;

let history1 = 0;
let history2 = 0;
let memory1 = 0;
let memory2 = 0;

const LOG_MIN = 4096;
let log: Int32Array = new Int32Array(LOG_MIN);
let logged = 0;

function mix(a: number, b: number): number {
  let h = Math.imul(a ^ Math.imul(b, 0x9e3779b1), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  return h ^ (h >>> 13);
}

/** Mixes a number into a hash; for states of the explorer itself. */
export function mixInto(hash: number, more: number): number {
  return mix(hash + 0x165667b1, more);
}

function remember(what: number): void {
  history1 = mix(history1 + 0x27d4eb2f, what);
  history2 = mix(history2 + 0x61c88647, what ^ 0x5bd1e995);
}

const get = (at: number): number => (at < size ? words[at] : bytes[at - size]);

function set(at: number, to: number): void {
  const before = get(at);
  if (at < size) words[at] = to;
  else bytes[at - size] = to;
  const after = get(at);
  if (before === after) return;
  memory1 ^= mix(at, before) ^ mix(at, after);
  memory2 ^= mix(at + 0x3c6ef372, before ^ 0x1b873593) ^ mix(at + 0x3c6ef372, after ^ 0x1b873593);
  if (logged + 2 > log.length) {
    const longer = new Int32Array(2 * log.length);
    longer.set(log);
    log = longer;
  }
  log[logged++] = at;
  log[logged++] = before;
}

const ask = (isWrite: boolean): boolean => (quiet > 0 ? false : arrive(location, isWrite));

/** The location of a byte of the metadata. */
export function $byte(offset: number): number {
  return size + offset;
}

export function $at(at: number): boolean {
  kind = READ;
  location = at;
  return ask(false);
}

export function $read(): number {
  const found = get(location);
  remember(found);
  return found;
}

export function $put(at: number, to: number): boolean {
  if (typeof to !== 'number' || typeof at !== 'number') throw new TypeError('the transform missed a call');
  kind = WRITE;
  location = at;
  value = to;
  source = undefined;
  return ask(true);
}

/** A write to the location that was just read. */
export function $putBack(to: number): boolean {
  return $put(location, to);
}

export function $write(): number {
  if (source !== undefined) {
    for (let i = 0; i < source.length; i++) set(location + i, source[i]);
    source = undefined;
    remember(location);
    return 0;
  }
  if (defect?.lostStore?.(location, value) !== true) set(location, value);
  // A store tells the CPU nothing, but it is behind it now.
  remember(value);
  return value;
}

/** A run of bytes, written in one step. */
export function $bytes(from: ArrayLike<number>, offset: number): boolean {
  kind = WRITE;
  location = size + offset;
  source = Uint8Array.from(from);
  return ask(true);
}

/** The same, all bytes equal. */
export function $fill(byte: number, from: number, to: number): boolean {
  return $bytes(new Uint8Array(to - from).fill(byte), from);
}

/** `s.copyWithin(to, from, end)`, of bytes that nobody else writes: one step. */
export function $move(to: number, from: number, end: number): boolean {
  return $bytes(bytes.subarray(from, end), to);
}

export function $cas(at: number, wanted: number, to: number): boolean {
  kind = SWAP;
  location = at;
  expected = wanted;
  value = to;
  torn = undefined;
  if (quiet === 0 && defect?.tornSwap?.(at) === true) {
    const stop = ask(false);
    torn = get(at);
    return stop;
  }
  return ask(true);
}

export function $swap(): number {
  const found = torn ?? get(location);
  if (found === expected) set(location, value);
  remember(found);
  return found;
}

export function $update(how: string, at: number, by: number): boolean {
  kind = UPDATE;
  operation = how;
  location = at;
  value = by;
  return ask(true);
}

function updated(found: number): number {
  switch (operation) {
    case 'add':
      return found + value;
    case 'sub':
      return found - value;
    case 'and':
      return found & value;
    case 'or':
      return found | value;
    case 'xor':
      return found ^ value;
    default:
      return value;
  }
}

export function $updated(): number {
  const found = get(location);
  set(location, updated(found));
  remember(found);
  return found;
}

/** The data buffer is about to grow. */
export function $touch(): boolean {
  kind = TOUCH;
  location = dataLocation;
  return ask(true);
}

/** The length of the data buffer is about to be read. */
export function $size(): boolean {
  kind = READ;
  location = dataLocation;
  return ask(false);
}

/** `array.slice(from, to)`, of shared bytes or others: one step, remembered whole. */
export function $slice(array: Uint8Array, from: number, to: number): Uint8Array {
  const slice = array.slice(from, to);
  if (array.buffer === bytes.buffer) for (const byte of slice) remember(byte);
  return slice;
}

/** An access in code that cannot stop. */
export function $now(access: () => boolean): void {
  quiet++;
  access();
  quiet--;
}

/** Runs what would stop to its end at once. */
export function $quiet<T>(generator: Generator<undefined, T>): T {
  quiet++;
  try {
    for (;;) {
      const step = generator.next();
      if (step.done === true) return step.value;
    }
  } finally {
    quiet--;
  }
}

const isGenerator = (what: unknown): what is Generator<undefined, unknown> =>
  typeof what === 'object' &&
  what !== null &&
  Symbol.toStringTag in what &&
  what[Symbol.toStringTag] === 'Generator';

/** The result of calling something that may or may not be coloured. */
export function* $dynamic(what: unknown): Generator<undefined, unknown> {
  return isGenerator(what) ? yield* what : what;
}

/** The registers of a CPU that has stopped. */
export interface Registers {
  kind: number;
  location: number;
  value: number;
  expected: number;
  operation: string;
  source: Uint8Array | undefined;
  torn: number | undefined;
  history1: number;
  history2: number;
}

export const machine = {
  /** Sets the memory that everything is done on. */
  open(m: Int32Array, onArrival: Arrival, seeded?: Defect): void {
    words = m;
    bytes = new Uint8Array(m.buffer);
    size = m.length;
    dataLocation = size + bytes.length;
    arrive = onArrival;
    defect = seeded;
    logged = 0;
    memory1 = 0;
    memory2 = 0;
    quiet = 0;
  },
  /** Locations there are, the data buffer's size among them. */
  get locations(): number {
    return dataLocation + 1;
  },
  get dataLocation(): number {
    return dataLocation;
  },
  /** What the running CPU is about to do; for reports. */
  pending(): { op: string; value: string } {
    const names = ['read', 'write', 'swap', operation, 'grow'];
    return { op: names[kind], value: kind === SWAP ? `${expected} → ${value}` : String(value) };
  },
  /** What is at a location now; for reports. */
  peek(at: number): number {
    return at < dataLocation ? get(at) : 0;
  },
  save(): Registers {
    return { kind, location, value, expected, operation, source, torn, history1, history2 };
  },
  restore(registers: Registers): void {
    ({ kind, location, value, expected, operation, source, torn, history1, history2 } = registers);
  },
  /** A new operation begins, in a CPU whose private state has this hash. */
  begin(hash1: number, hash2: number): void {
    history1 = hash1;
    history2 = hash2;
  },
  /** What the present operation has read, as one number of the hash's first or second half. */
  history(half: 1 | 2): number {
    return half === 1 ? history1 : history2;
  },
  memory(half: 1 | 2): number {
    return half === 1 ? memory1 : memory2;
  },
  /** Takes back all writes since `open`. */
  undo(): void {
    while (logged > 0) {
      logged -= 2;
      const at = log[logged];
      if (at < size) words[at] = log[logged + 1];
      else bytes[at - size] = log[logged + 1];
    }
    memory1 = 0;
    memory2 = 0;
    quiet = 0;
  },
  /** All writes are forgotten, as the caller has put the memory back. */
  forget(): void {
    logged = 0;
    memory1 = 0;
    memory2 = 0;
    quiet = 0;
  },
};
