/**
 * Call stacks as the engines give them: the text of an Error's `stack`, taken apart. V8 writes "    at name (file:1:2)",
 * the others "name@file:1:2". Frames within modslab itself are left out: they say nothing about who asked.
 */

/** Frames of modslab's own that a stack may have on top. */
const OWN_DEPTH = 12;

/** What V8 has and the language's library does not declare. */
interface V8Error {
  stackTraceLimit?: number;
}

/** Where modslab's own modules are: their built form, and what source maps make of that. Empty if they are bundled away. */
const OWN_PLACES: readonly string[] = ownPlaces(String((import.meta as { url?: string }).url));

function ownPlaces(url: string): string[] {
  const place = /^(?:file:\/\/)?(.*[\\/])slab[\\/]callStack[.][jt]s/.exec(url)?.[1];
  return place === undefined ? [] : [place, place.replace(/dist\/(checked\/)?$/, 'src/')];
}

/** The text of the caller's stack, of about `depth` frames besides modslab's own. */
export function callStack(depth: number): string {
  const limited = Error as V8Error;
  const limit = limited.stackTraceLimit;
  if (limit !== undefined) limited.stackTraceLimit = depth + OWN_DEPTH;
  const text = new Error().stack ?? '';
  if (limit !== undefined) limited.stackTraceLimit = limit;
  return text;
}

/** The frames of a stack's text, the innermost first, modslab's own left out unless there are no others. */
export function framesOf(text: string, depth: number): string[] {
  const frames: string[] = [];
  for (const line of text.split('\n')) {
    const frame = /^\s+at (.*)$/.exec(line)?.[1] ?? (line.includes('@') ? line.replace('@', ' (') : '');
    if (frame !== '') frames.push(frame.includes(' (') && !frame.endsWith(')') ? `${frame})` : frame);
  }
  const others = frames.filter((frame) => !OWN_PLACES.some((place) => frame.includes(place)));
  return (others.length > 0 ? others : frames).slice(0, depth);
}
