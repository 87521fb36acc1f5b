/**
 * Where a heap may begin in the memory of a WebAssembly module: the module's global `__heap_base`, which the linker sets
 * to the end of static data and stack.
 *
 * The heap must exist before the module is instantiated, since the module imports `malloc`; so the global is read from
 * the module's bytes. What is read of a binary, section after section:
 *
 *     "\0asm" 1 | id size payload | id size payload | …
 *     id 2  imports   module name, field name, kind, type         an imported global takes a number: how many there are
 *     id 6  globals   type, mutability, initialiser … 0x0b        number n: `i32.const VALUE`
 *     id 7  exports   name, kind, number                          `__heap_base` is global number n
 */

import { invalid } from '../memory/errors.ts';

/** What a module's heap base can be read from. */
export type WasmSource =
  | number
  | Uint8Array
  | ArrayBuffer
  | { readonly value: unknown }
  | { readonly exports: Readonly<Record<string, unknown>> }
  | Readonly<Record<string, unknown>>;

const HEAP_BASE = '__heap_base';
const MAGIC = 0x6d736100;
const SECTION_IMPORT = 2;
const SECTION_GLOBAL = 6;
const SECTION_EXPORT = 7;
const KIND_FUNCTION = 0;
const KIND_TABLE = 1;
const KIND_MEMORY = 2;
const KIND_GLOBAL = 3;
const KIND_TAG = 4;
const OP_END = 0x0b;
const OP_GLOBAL_GET = 0x23;
const OP_I32_CONST = 0x41;
const OP_I64_CONST = 0x42;
const OP_F32_CONST = 0x43;
const OP_F64_CONST = 0x44;
const OP_REF_NULL = 0xd0;
const OP_REF_FUNC = 0xd2;
const LIMITS_HAVE_MAXIMUM = 1;
/** Ten groups of seven bits carry 64. */
const LEB_BITS_MAX = 70;

const HOW_TO_EXPORT = 'link the module with --export=__heap_base';

/** Reads a binary from front to back. */
class Reader {
  readonly bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.bytes = bytes;
    this.at = at;
  }

  byte(): number {
    if (this.at >= this.bytes.length) invalid(`the WebAssembly module ends early, at byte ${this.at}`);
    return this.bytes[this.at++];
  }

  /** The low 32 bits, as an unsigned number, of a LEB128 number of up to 64 bits. */
  leb(signed: boolean = false): number {
    let value = 0;
    for (let shift = 0; shift < LEB_BITS_MAX; shift += 7) {
      const byte = this.byte();
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if ((byte & 0x80) !== 0) continue;
      const isNegative = signed && shift + 7 < 32 && (byte & 0x40) !== 0;
      return (isNegative ? value | (-1 << (shift + 7)) : value) >>> 0;
    }
    return invalid(`the WebAssembly module has a number without an end at byte ${this.at}`);
  }

  name(): string {
    const length = this.leb();
    const start = this.at;
    this.at += length;
    return String.fromCharCode(
      ...this.bytes.subarray(start, Math.min(this.at, start + HEAP_BASE.length + 1)),
    );
  }

  limits(): void {
    const flags = this.byte();
    this.leb();
    if ((flags & LIMITS_HAVE_MAXIMUM) !== 0) this.leb();
  }
}

/** How many globals the import section brings. */
function importedGlobals(reader: Reader): number {
  let globals = 0;
  for (let n = reader.leb(); n > 0; n--) {
    reader.name();
    reader.name();
    const kind = reader.byte();
    if (kind === KIND_FUNCTION) reader.leb();
    else if (kind === KIND_MEMORY) reader.limits();
    else if (kind === KIND_TABLE) {
      reader.byte();
      reader.limits();
    } else if (kind === KIND_TAG) {
      reader.byte();
      reader.leb();
    } else if (kind === KIND_GLOBAL) {
      reader.at += 2;
      globals++;
    } else invalid(`the WebAssembly module imports something of kind ${kind}, which is unknown`);
  }
  return globals;
}

/** The number that an initialiser gives, if it is one `i32.const`. */
function initialiser(reader: Reader): number | undefined {
  let value: number | undefined;
  for (let operations = 0; ; operations++) {
    const op = reader.byte();
    if (op === OP_END) return operations === 1 ? value : undefined;
    if (op === OP_I32_CONST) value = reader.leb(true);
    else if (op === OP_I64_CONST || op === OP_GLOBAL_GET || op === OP_REF_FUNC) reader.leb();
    else if (op === OP_F32_CONST) reader.at += 4;
    else if (op === OP_F64_CONST) reader.at += 8;
    else if (op === OP_REF_NULL) reader.byte();
    if (op !== OP_I32_CONST) value = undefined;
  }
}

function globalValues(reader: Reader): (number | undefined)[] {
  const values: (number | undefined)[] = [];
  for (let n = reader.leb(); n > 0; n--) {
    reader.at += 2;
    values.push(initialiser(reader));
  }
  return values;
}

/** The number of the exported global `__heap_base`, if there is one. */
function exportedHeapBase(reader: Reader): number | undefined {
  for (let n = reader.leb(); n > 0; n--) {
    const name = reader.name();
    const kind = reader.byte();
    const index = reader.leb();
    if (name === HEAP_BASE && kind === KIND_GLOBAL) return index;
  }
  return undefined;
}

function heapBaseInBinary(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 8 || view.getUint32(0, true) !== MAGIC) invalid('these bytes are no WebAssembly module');
  const reader = new Reader(bytes, 8);
  let imported = 0;
  let values: (number | undefined)[] = [];
  while (reader.at < bytes.length) {
    const id = reader.byte();
    const size = reader.leb();
    const end = reader.at + size;
    const section = new Reader(bytes, reader.at);
    if (id === SECTION_IMPORT) imported = importedGlobals(section);
    else if (id === SECTION_GLOBAL) values = globalValues(section);
    else if (id === SECTION_EXPORT) {
      const index = exportedHeapBase(section);
      if (index === undefined) break;
      return values[index - imported] ?? invalid('__heap_base is not a constant: is the module linked?');
    }
    reader.at = end;
  }
  return invalid(`the WebAssembly module exports no ${HEAP_BASE}: ${HOW_TO_EXPORT}`);
}

function heapBase(source: WasmSource): number {
  if (typeof source === 'number') return source;
  if (source instanceof Uint8Array) return heapBaseInBinary(source);
  if (source instanceof ArrayBuffer) return heapBaseInBinary(new Uint8Array(source));
  if (typeof source !== 'object' || source === null) {
    throw new TypeError(
      'a heap base is read from a module’s bytes, an instance, its exports, a global or a number',
    );
  }
  const exports = ('exports' in source ? source.exports : source) as Readonly<Record<string, unknown>>;
  const global = (HEAP_BASE in exports ? exports[HEAP_BASE] : exports) as { readonly value?: unknown };
  if (typeof global?.value !== 'number') invalid(`there is no export ${HEAP_BASE}: ${HOW_TO_EXPORT}`);
  return (global.value as number) >>> 0;
}

/**
 * The first byte that a heap may use in the memory of these modules, for the heap's option `start`: the largest
 * `__heap_base`. Each source is the bytes of a module (the one form that works before it is instantiated), an instance,
 * its exports, the global or a number. Throws `EINVAL` for a module that does not export it.
 */
export function heapBaseOf(...sources: readonly WasmSource[]): number {
  if (sources.length === 0) throw new TypeError('heapBaseOf takes at least one module');
  return Math.max(...sources.map(heapBase));
}
