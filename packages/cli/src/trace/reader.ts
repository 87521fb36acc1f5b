/**
 * What a reader of one trace format is to the source that feeds it.
 *
 * The source owns files, gzip and the cutting into lines; a reader owns one format. A reader never sees half a line:
 * `push` gets a run of complete ones, each with its newline. All errors of a reader are `TraceError`s.
 */
import type { Program } from '../replay/program.ts';

/** No line of any format comes near this many bytes (a header's command line may be long). */
export const MAX_LINE = 65_536;

export interface TraceReader {
  /** Lines read so far; in a TraceError, the line at fault. */
  line: number;
  /** Reads the complete lines in `bytes` from `from` up to `end`, which stands behind a newline. */
  push(bytes: Buffer, from: number, end: number): void;
  /** Makes the checks that need the whole file, and hands out the program. */
  finish(): Program;
}
