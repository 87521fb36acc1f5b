/**
 * UTF-8 in shared memory. Browsers' TextDecoder refuses shared views (whatwg/encoding#172) and resizable ones, so
 * bytes are copied out first.
 */

const encoder: TextEncoder = new TextEncoder();
const decoder: TextDecoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** The UTF-8 bytes of `text`, in memory of their own. */
export function encodeText(text: string): Uint8Array {
  return encoder.encode(text);
}

/** The text of `length` bytes of UTF-8 at `start`, wherever the bytes live. Cost: O(length), one copy. */
export function decodeText(bytes: Uint8Array, start: number, length: number): string {
  return decoder.decode(bytes.slice(start, start + length));
}
