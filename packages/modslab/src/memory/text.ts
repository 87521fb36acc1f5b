/**
 * UTF-8 in shared memory. Browsers' TextDecoder refuses shared views (whatwg/encoding#172) and resizable ones, so
 * bytes are copied out first. An AudioWorklet has neither TextEncoder nor TextDecoder: there, and only there, the
 * functions below do their work by hand, with U+FFFD for what is no UTF-8 and for halves of surrogate pairs.
 */

const encoder: TextEncoder | undefined = typeof TextEncoder === 'function' ? new TextEncoder() : undefined;
const decoder: TextDecoder | undefined =
  typeof TextDecoder === 'function' ? new TextDecoder('utf-8', { ignoreBOM: true }) : undefined;

const REPLACEMENT = 0xfffd;
/** The smallest code point of a sequence of 1, 2, 3 and 4 bytes: a smaller one is encoded too long. */
const SMALLEST: readonly number[] = [0, 0x80, 0x800, 0x10000];
const CODE_POINT_MAX = 0x10ffff;

/** The UTF-8 bytes of `text`, in memory of their own. */
export function encodeText(text: string): Uint8Array {
  return encoder === undefined ? encodeByHand(text) : encoder.encode(text);
}

/** The text of `length` bytes of UTF-8 at `start`, wherever the bytes live. Cost: O(length), one copy. */
export function decodeText(bytes: Uint8Array, start: number, length: number): string {
  const copy = bytes.slice(start, start + length);
  return decoder === undefined ? decodeByHand(copy) : decoder.decode(copy);
}

const isSurrogate = (code: number): boolean => code >= 0xd800 && code <= 0xdfff;

/** `encodeText` without a TextEncoder. */
export function encodeByHand(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of text) {
    const point = character.codePointAt(0) ?? 0;
    const code = isSurrogate(point) ? REPLACEMENT : point;
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
    else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    else
      bytes.push(
        0xf0 | (code >> 18),
        0x80 | ((code >> 12) & 63),
        0x80 | ((code >> 6) & 63),
        0x80 | (code & 63),
      );
  }
  return Uint8Array.from(bytes);
}

/** `decodeText` without a TextDecoder; each byte that begins no character becomes U+FFFD. */
export function decodeByHand(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; ) {
    const lead = bytes[i];
    const more = lead < 0x80 ? 0 : lead >> 5 === 6 ? 1 : lead >> 4 === 14 ? 2 : lead >> 3 === 30 ? 3 : -1;
    let code = more <= 0 ? lead : lead & (0x3f >> more);
    let n = 1;
    while (n <= more && i + n < bytes.length && bytes[i + n] >> 6 === 2) code = (code << 6) | (bytes[i + n++] & 63);
    const isWhole = more >= 0 && n === more + 1 && code >= SMALLEST[more] && code <= CODE_POINT_MAX;
    text += String.fromCodePoint(isWhole && !isSurrogate(code) ? code : REPLACEMENT);
    i += isWhole ? n : 1;
  }
  return text;
}
