/**
 * What can be wrong with a trace, said in one line.
 *
 * The command's contract is: bad input ends with exit status 2 and exactly one line on stderr that names the file and,
 * where there is one, the line. So whatever is quoted from a file (names, excerpts) passes through `printable`, which
 * leaves no line breaks and no terminal escapes, and keeps it short.
 */

/** Longest excerpt of a bad line that a message quotes, in characters: enough for a whole mtrace1 event. */
const EXCERPT = 60;

/** `text` on one line, without control characters, cut to `limit` characters. */
export function printable(text: string, limit = 4096): string {
  const cut = text.length > limit ? `${text.slice(0, limit)}…` : text;
  return cut.replace(
    /[^\x20-\x7e\u00a0-\u{10ffff}]/gu,
    (c) => `\\x${(c.codePointAt(0) ?? 0).toString(16).padStart(2, '0')}`,
  );
}

/** A trace that cannot be replayed. `message` is the whole line to print: `file:line: what`. */
export class TraceError extends Error {
  readonly file: string;
  /** Line of the file, from 1; undefined where the file could not be read at all. */
  readonly line: number | undefined;

  constructor(file: string, line: number | undefined, what: string) {
    super(`${printable(file)}:${line === undefined ? '' : `${line}:`} ${what}`);
    this.name = 'TraceError';
    this.file = file;
    this.line = line;
  }
}

/** The line that begins at `start`, quoted for a message. */
export function excerpt(bytes: Buffer, start: number): string {
  const newline = bytes.indexOf(10, start);
  const end = newline < 0 ? bytes.length : newline;
  const text = bytes.toString('latin1', start, Math.min(end, start + EXCERPT + 1));
  return `"${printable(text, EXCERPT)}"`;
}
