/**
 * A trace in the form that both sides read. Words of 32 bits, in the machine's byte order:
 *
 *   | magic | operations | objects | peak live bytes |  then for each operation  | kind | object | size | alignment |
 *
 * Every object is freed by the end. `native/trace.h` has the same numbers.
 */

export const MAGIC = 0x6d73_6c74;
export const HEADER_WORDS = 4;
export const ROW_WORDS = 4;
export const ALLOCATE = 0;
export const ZEROED = 1;
export const ALIGNED = 2;
export const REALLOCATE = 3;
export const RELEASE = 4;
