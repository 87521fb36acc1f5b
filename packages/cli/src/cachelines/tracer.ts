/**
 * Counts the cache lines that code touches, without a change to that code.
 *
 * Every typed array that an object reaches is replaced, in place, by a Proxy that notes which lines of 64 bytes its
 * accesses fall on; `Atomics` gets wrappers that note theirs and pass the real array on. So it is the real modules that
 * run, as they are built. Counting is on between `begin` and `end` only; code under it runs some hundred times slower.
 *
 * A line is counted from the beginning of its buffer: the big buffers are page-aligned, small arrays of a thread are
 * taken to begin on a line of their own.
 */

const LINE_SHIFT = 6;
/** Lines of a buffer that a key has room for. */
const KEYS_A_BUFFER = 2 ** 32;

type Typed =
  | Int32Array
  | Uint32Array
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Float64Array
  | Float32Array;

/** The name of the structure that a byte of a buffer belongs to. */
export type Region = (byte: number) => string;

const ATOMIC_CALLS = [
  'load',
  'store',
  'add',
  'sub',
  'and',
  'or',
  'xor',
  'exchange',
  'compareExchange',
] as const;

/** What an operation touched. */
export interface Touched {
  /** Distinct lines, by structure. */
  lines: Record<string, number>;
  total: number;
  atomics: number;
}

const isTyped = (value: unknown): value is Typed =>
  ArrayBuffer.isView(value) && !(value instanceof DataView) && !(value instanceof BigInt64Array);

export class LineTracer {
  private readonly proxies: Map<Typed, Typed> = new Map();
  private readonly originals: WeakMap<object, Typed> = new WeakMap();
  private readonly buffers: Map<ArrayBufferLike, number> = new Map();
  private readonly regions: Region[] = [];
  private readonly touched: Set<number> = new Set();
  private readonly restore: (() => void)[] = [];
  private atomics = 0;
  private on = false;

  constructor() {
    const calls = Atomics as unknown as Record<string, (...args: unknown[]) => unknown>;
    for (const name of ATOMIC_CALLS) {
      const original = calls[name];
      calls[name] = (array: unknown, index: unknown, ...rest: unknown[]): unknown => {
        const real = this.originals.get(array as object) ?? (array as Typed);
        if (this.on && this.originals.has(array as object)) {
          this.atomics++;
          this.note(real, Number(index), 1);
        }
        return original.call(Atomics, real, index, ...rest);
      };
      this.restore.push(() => {
        calls[name] = original;
      });
    }
  }

  /** Gives `Atomics` back its own calls. Traced objects must not be used any more. */
  dispose(): void {
    for (const undo of this.restore) undo();
  }

  /** Names the structures of a buffer. */
  name(buffer: ArrayBufferLike, region: Region): void {
    this.regions[this.bufferNumber(buffer)] = region;
  }

  /** A proxy of `array`; the same one each time. */
  wrap<T extends Typed>(array: T): T {
    if (this.originals.has(array)) return array;
    const known = this.proxies.get(array);
    if (known !== undefined) return known as T;
    this.bufferNumber(array.buffer);
    const proxy = new Proxy(array, this.handler()) as T;
    this.proxies.set(array, proxy);
    this.originals.set(proxy, array);
    return proxy;
  }

  /** Replaces every typed array that `root` reaches. Arrays not named before are named by their property. */
  traceAll(root: object): void {
    const seen = new Set<object>();
    const visit = (object: object): void => {
      if (seen.has(object)) return;
      seen.add(object);
      for (const key of Object.keys(object)) {
        const holder = object as Record<string, unknown>;
        const value = holder[key];
        if (typeof value !== 'object' || value === null || this.originals.has(value)) continue;
        if (isTyped(value)) {
          if (!this.buffers.has(value.buffer)) this.name(value.buffer, () => key);
          holder[key] = this.wrap(value);
        } else if (!ArrayBuffer.isView(value)) visit(value);
      }
    };
    visit(root);
  }

  /** Runs `operation` and says what it touched. */
  measure(operation: () => void): Touched {
    this.touched.clear();
    this.atomics = 0;
    this.on = true;
    try {
      operation();
    } finally {
      this.on = false;
    }
    const lines: Record<string, number> = {};
    for (const key of this.touched) {
      const buffer = Math.floor(key / KEYS_A_BUFFER);
      const name = this.regions[buffer]((key % KEYS_A_BUFFER) << LINE_SHIFT);
      lines[name] = (lines[name] ?? 0) + 1;
    }
    return { lines, total: this.touched.size, atomics: this.atomics };
  }

  private bufferNumber(buffer: ArrayBufferLike): number {
    let number = this.buffers.get(buffer);
    if (number === undefined) {
      number = this.buffers.size;
      this.buffers.set(buffer, number);
      this.regions[number] = () => 'other';
    }
    return number;
  }

  private note(array: Typed, index: number, length: number): void {
    const first = array.byteOffset + index * array.BYTES_PER_ELEMENT;
    const last = first + Math.max(1, length) * array.BYTES_PER_ELEMENT - 1;
    const base = this.bufferNumber(array.buffer) * KEYS_A_BUFFER;
    for (let line = first >>> LINE_SHIFT; line <= last >>> LINE_SHIFT; line++) this.touched.add(base + line);
  }

  private handler(): ProxyHandler<Typed> {
    return {
      get: (array, key): unknown => {
        if (typeof key === 'string' && key >= '0' && key <= '9~') {
          const index = Number(key);
          if (this.on) this.note(array, index, 1);
          return array[index];
        }
        const value: unknown = Reflect.get(array, key, array);
        return typeof value === 'function' ? this.method(array, String(key)) : value;
      },
      set: (array, key, value): boolean => {
        if (this.on) this.note(array, Number(key), 1);
        array[Number(key)] = Number(value);
        return true;
      },
    };
  }

  /** A method of the real array, which notes the elements that it is about. */
  private method(array: Typed, name: string): (...args: unknown[]) => unknown {
    return (...args) => {
      const real = args.map((arg) =>
        typeof arg === 'object' && arg !== null ? (this.originals.get(arg) ?? arg) : arg,
      );
      if (this.on) {
        const [from, length] = rangeOf(array, name, real);
        this.note(array, from, length);
      }
      const result = (array as unknown as Record<string, (...a: unknown[]) => unknown>)[name](...real);
      return name === 'subarray' && isTyped(result) ? this.wrap(result) : result;
    };
  }
}

/** First element and number of elements that a method touches. */
function rangeOf(array: Typed, name: string, args: unknown[]): [number, number] {
  if (name === 'set') return [Number(args[1] ?? 0), (args[0] as ArrayLike<number>).length];
  if (name === 'fill') {
    const from = Number(args[1] ?? 0);
    return [from, Number(args[2] ?? array.length) - from];
  }
  if (name === 'copyWithin') {
    const [to, from, end] = args.map(Number);
    return [Math.min(to, from), Math.max(to, from) - Math.min(to, from) + end - from];
  }
  return name === 'subarray' ? [Number(args[0] ?? 0), 1] : [0, array.length];
}
