/**
 * Call stacks as the engines give them: the text of an Error's `stack`, taken apart. V8 writes "    at name (file:1:2)",
 * the others "name@file:1:2". Frames within modslab itself are left out: they say nothing about who asked.
 *
 * Making that text is most of the cost. V8 also gives a stack's call sites as objects, which is cheaper: a *fingerprint* of
 * their places tells a stack that was met before, so that only new ones need a text.
 */

/** Frames of modslab's own that a stack may have on top: listeners and retries add some to the longest way from `kmalloc`. */
const OWN_DEPTH = 24;

/** What V8 has and the language's library does not declare. */
interface V8Error {
  stackTraceLimit?: number;
  prepareStackTrace?: unknown;
}

/** What all engines' call sites have, as far as it is used here. */
interface CallSite {
  getFileName(): string | null | undefined;
  getLineNumber(): number | null;
  getColumnNumber(): number | null;
  getFunctionName(): string | null;
  getTypeName(): string | null;
  isEval(): boolean;
  getEvalOrigin(): string | undefined;
}

const V8: V8Error = Error as V8Error;

/** Whether a setting can be changed: `Error` may be frozen, or the setting be an accessor of somebody's. */
function isFree(setting: keyof V8Error): boolean {
  const descriptor = Object.getOwnPropertyDescriptor(Error, setting);
  return descriptor === undefined ? Object.isExtensible(Error) : descriptor.writable === true;
}

const keepSites = (_: Error, sites: readonly CallSite[]): unknown => sites;

/**
 * `stack` of an Error made here, with up to `limit` frames; undefined where it cannot be had. The settings are restored
 * whatever happens, by assignments alone: the stack may be about to overflow.
 */
function stackOfError(limit: number, prepare?: typeof keepSites): unknown {
  if (!isFree('stackTraceLimit') || (prepare !== undefined && !isFree('prepareStackTrace'))) return undefined;
  const { stackTraceLimit, prepareStackTrace } = V8;
  const hadPrepare = Object.hasOwn(Error, 'prepareStackTrace');
  try {
    if (stackTraceLimit !== undefined) V8.stackTraceLimit = limit;
    if (prepare !== undefined) V8.prepareStackTrace = prepare;
    return new Error().stack;
  } catch {
    // A prepareStackTrace of the program's own may throw.
    return undefined;
  } finally {
    if (stackTraceLimit !== undefined) V8.stackTraceLimit = stackTraceLimit;
    if (prepare !== undefined) {
      if (hadPrepare) V8.prepareStackTrace = prepareStackTrace;
      else delete V8.prepareStackTrace;
    }
  }
}

/** FNV-1a's, and another odd number for the other half. */
const LOW_PRIME = 0x01000193;
const HIGH_PRIME = 0x85ebca6b;
/** The high half has 21 bits, that both fit in the 53 of a number. */
const HIGH_SHIFT = 11;

/** Numbers of names (of scripts; of functions, in frames without one), for fingerprints. */
const names: Map<string, number> = new Map();
const NAMES_MAX = 4096;
let namesEver = 0;

function numberOf(name: string): number {
  let number = names.get(name);
  if (number === undefined) {
    // Forgotten names get new numbers, so that old fingerprints are met no more.
    if (names.size >= NAMES_MAX) names.clear();
    number = ++namesEver;
    names.set(name, number);
  }
  return number;
}

/** What a call site's line and column are relative to. */
function scriptOf(site: CallSite): string {
  const file = site.getFileName();
  if (site.isEval()) return `${file} ${site.getEvalOrigin()}`;
  return file || `${site.getTypeName()}.${site.getFunctionName()}`;
}

/**
 * A number of 53 bits that is the same for the same stack, in this thread, and for others most probably another; undefined
 * where stacks can be had as texts only. It covers all frames that the text for `depth` has. (Of one method that objects of
 * several classes inherit, one class's name may be shown for another's.)
 */
export function stackFingerprint(depth: number): number | undefined {
  // One frame more than the text: this function is one more on top of it.
  const sites = stackOfError(depth + OWN_DEPTH + 1, keepSites);
  if (!Array.isArray(sites)) return undefined;
  let low = 0x811c9dc5 ^ depth;
  let high = 0;
  for (const site of sites as readonly CallSite[]) {
    const place = Math.imul(site.getLineNumber() ?? 0, LOW_PRIME) ^ (site.getColumnNumber() ?? 0);
    const script = numberOf(scriptOf(site));
    low = Math.imul(Math.imul(low ^ place, LOW_PRIME) ^ script, LOW_PRIME);
    high = Math.imul(Math.imul(high ^ (place + 1), HIGH_PRIME) ^ (low >>> HIGH_SHIFT), HIGH_PRIME) ^ script;
  }
  return (high >>> HIGH_SHIFT) * 2 ** 32 + (low >>> 0);
}

/** This module's address, and the folder of all: as it is built (or written), or in a bundle of modslab's own. */
const OWN_MODULE = /^(?:file:\/\/)?(.*[\\/])(?:slab[\\/]callStack[.][jt]s|bundle[\\/]modslab-[A-Z0-9]+[.]js)/;

/** Where modslab's own modules are: their built form, and what source maps make of that. Empty if they are bundled away. */
const OWN_PLACES: readonly string[] = ownPlaces(String((import.meta as { url?: string }).url));

function ownPlaces(url: string): string[] {
  const place = OWN_MODULE.exec(url)?.[1];
  return place === undefined ? [] : [place, place.replace(/dist\/(checked\/)?$/, 'src/')];
}

/** The text of the caller's stack, of about `depth` frames besides modslab's own; '' where there is none. */
export function callStack(depth: number): string {
  const text = stackOfError(depth + OWN_DEPTH);
  return typeof text === 'string' ? text : '';
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
