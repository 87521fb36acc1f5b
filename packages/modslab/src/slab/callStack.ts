/**
 * Call stacks as the engines give them: the text of an Error's `stack`, taken apart. V8 writes "    at name (file:1:2)",
 * the others "name@file:1:2". Frames within modslab itself are left out: they say nothing about who asked.
 *
 * Making that text is most of the cost. V8 also gives a stack's call sites as objects, which is cheaper: a *fingerprint* of
 * their places tells a stack that was met before, so that only new ones need a text.
 */

/** Frames of modslab's own that a stack may have on top. */
const OWN_DEPTH = 12;

/** What V8 has and the language's library does not declare. */
interface V8Error {
  stackTraceLimit?: number;
  prepareStackTrace?: unknown;
}

interface CallSite {
  getPosition?(): number;
  getScriptNameOrSourceURL?(): string | null | undefined;
  getFunctionName(): string | null;
}

/** FNV-1a's, and another odd number for the other half. */
const LOW_PRIME = 0x01000193;
const HIGH_PRIME = 0x85ebca6b;
/** The high half has 21 bits, that both fit in the 53 of a number. */
const HIGH_SHIFT = 11;

/** Numbers of scripts (and, of frames without one, of functions), for fingerprints. */
const scripts: Map<string, number> = new Map();
const SCRIPTS_MAX = 4096;

function numberOf(name: string): number {
  let number = scripts.get(name);
  if (number === undefined) {
    // Forgotten names get new numbers, so that old fingerprints are met no more.
    number = (scripts.get('') ?? 0) + 1;
    if (scripts.size >= SCRIPTS_MAX) scripts.clear();
    scripts.set('', number);
    scripts.set(name, number);
  }
  return number;
}

const keepSites = (_: Error, sites: readonly CallSite[]): unknown => sites;

/** The caller's stack as objects; undefined where the engine is not V8, or does not let them be had. */
function callSites(depth: number): readonly CallSite[] | undefined {
  const v8 = Error as V8Error;
  const { stackTraceLimit, prepareStackTrace } = v8;
  if (stackTraceLimit === undefined || Object.isFrozen(Error)) return undefined;
  v8.stackTraceLimit = depth + OWN_DEPTH;
  v8.prepareStackTrace = keepSites;
  const sites: unknown = new Error().stack;
  v8.prepareStackTrace = prepareStackTrace;
  v8.stackTraceLimit = stackTraceLimit;
  return Array.isArray(sites) ? (sites as readonly CallSite[]) : undefined;
}

/**
 * A number of 53 bits that is the same for the same stack, in this thread, and for others most probably another; undefined
 * where stacks can be had as texts only.
 */
export function stackFingerprint(depth: number): number | undefined {
  const sites = callSites(depth);
  if (sites === undefined) return undefined;
  let low = 0x811c9dc5;
  let high = 0;
  for (const site of sites) {
    const position = site.getPosition?.();
    if (position === undefined) return undefined;
    const script = numberOf(site.getScriptNameOrSourceURL?.() || `\n${site.getFunctionName()}`);
    low = Math.imul(Math.imul(low ^ position, LOW_PRIME) ^ script, LOW_PRIME);
    high =
      Math.imul(Math.imul(high ^ (position + 1), HIGH_PRIME) ^ (low >>> HIGH_SHIFT), HIGH_PRIME) ^ script;
  }
  return (high >>> HIGH_SHIFT) * 2 ** 32 + (low >>> 0);
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
  const limit = Object.isFrozen(Error) ? undefined : limited.stackTraceLimit;
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

/** Stacks that are remembered at most, before all are forgotten. */
const REMEMBERED_MAX = 4096;

/** What has been made of stacks: of each, once. One thread's. */
export class StackMemo<T> {
  private readonly known: Map<string | number, T> = new Map();

  /** What `make` makes of the text of the caller's stack, or has made of it before. */
  of(depth: number, make: (text: string) => T): T {
    const stack = stackFingerprint(depth) ?? callStack(depth);
    const found = this.known.get(stack);
    if (found !== undefined) return found;
    const made = make(typeof stack === 'string' ? stack : callStack(depth));
    if (this.known.size >= REMEMBERED_MAX) this.known.clear();
    this.known.set(stack, made);
    return made;
  }
}
