/**
 * The heap's `debug` option, in the syntax of the kernel's `slab_debug=`: blocks of letters, each with the names of the
 * caches that it is for.
 *
 *     FZPU                       these for all caches
 *     FZ,kmalloc-*;P,dentry      these for kmalloc's caches, that one for dentry, nothing for others
 *     FZPU;-,kmalloc-*           these for all but kmalloc's
 *     ,dentry                    FZPU for dentry
 *     -                          nothing
 *
 * The first block that names a cache decides; a block without names is for those that none names. Letters are those of
 * `SLAB` in slab/flags.ts; `O` takes the ones away that would need slabs of a higher order. `kmalloc-large` stands for objects
 * of kmalloc that are too large for its caches.
 *
 * The text stands in the header of the metadata, so that a cache gets the same flags whichever thread creates it. What a cache
 * got is in its descriptor, for all threads alike.
 */

import { invalid } from '../memory/errors.ts';
import {
  DEBUG_TEXT_BYTES,
  H_BORN,
  H_DEBUG_LARGE,
  H_DEBUG_LENGTH,
  H_DEBUG_TEXT,
  H_FAIL_TIMES,
  H_SITE_SEED,
  H_STACK_DEPTH,
  H_TRACK_EVERY,
  WORD_SHIFT,
} from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import { decodeText, encodeText } from '../memory/text.ts';
import { SLAB, SLAB_DEBUG_ROOM, type SlabFlags } from './flags.ts';
import { slabGeometry } from './geometry.ts';

const LETTERS: Readonly<Record<string, SlabFlags>> = {
  f: SLAB.CONSISTENCY_CHECKS,
  z: SLAB.RED_ZONE,
  p: SLAB.POISON,
  u: SLAB.STORE_USER,
  t: SLAB.TRACE,
  a: SLAB.FAILSLAB,
  i: SLAB.INIT_ON_ALLOC,
  w: SLAB.INIT_ON_FREE,
  q: SLAB.QUARANTINE,
  g: SLAB.GENERATIONS,
  r: SLAB.RANDOM,
  s: SLAB.CALL_SITES,
};
/** What a block without letters means, as in Linux. */
const DEFAULT: SlabFlags = SLAB.CONSISTENCY_CHECKS | SLAB.RED_ZONE | SLAB.POISON | SLAB.STORE_USER;
/** The name that stands for large objects. */
const LARGE = 'kmalloc-large';
export const STACK_DEPTH_DEFAULT = 16;

interface Block {
  readonly flags: SlabFlags;
  /** Letter `O`: not what would raise the order of the slabs. */
  readonly keepsOrder: boolean;
  readonly names: readonly string[];
}

function parseBlock(text: string, whole: string): Block {
  const [letters, ...names] = text.split(',').map((part) => part.trim());
  let flags: SlabFlags = letters === '' ? DEFAULT : 0;
  for (const letter of letters.toLowerCase()) {
    const flag = LETTERS[letter];
    if (flag === undefined && letter !== 'o' && letters !== '-') {
      invalid(
        `debug '${whole}': '${letter}' is no option; they are F Z P U T A O (see slab_debug), I W Q G R S, and - alone`,
      );
    }
    flags |= flag ?? 0;
  }
  if (names.includes('')) invalid(`debug '${whole}': a cache's name is missing after a comma`);
  return { flags, keepsOrder: letters.toLowerCase().includes('o'), names };
}

function parse(text: string): Block[] {
  const blocks = text.split(';').filter((block) => block.trim() !== '');
  return blocks.map((block) => parseBlock(block, text));
}

/** Whether `pattern`, in which `*` stands for any characters, is the name. */
function matches(pattern: string, name: string): boolean {
  const [first, ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return name === first;
  const end = name.length - last.length;
  let at = first.length;
  if (at > end || !name.startsWith(first) || !name.endsWith(last)) return false;
  // Leftmost each: if the parts fit in any way, they fit so, and no choice is ever taken back.
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}

function blockFor(blocks: readonly Block[], name: string): Block | undefined {
  const named = blocks.find((block) => block.names.some((pattern) => matches(pattern, name)));
  return named ?? blocks.find((block) => block.names.length === 0);
}

/** Checks the option. Throws `TypeError` or `EINVAL`. */
export function checkDebugOption(text: unknown): string {
  if (typeof text !== 'string') throw new TypeError(`debug must be a string, not ${typeof text}`);
  if (encodeText(text).length > DEBUG_TEXT_BYTES) invalid(`debug has at most ${DEBUG_TEXT_BYTES} bytes`);
  parse(text);
  return text;
}

/** Writes the option into the header of a new heap. */
export function storeDebugOption(metadata: Metadata, text: string): void {
  const { m, s } = metadata;
  const bytes = encodeText(text);
  s.set(bytes, H_DEBUG_TEXT << WORD_SHIFT);
  m[H_DEBUG_LENGTH] = bytes.length;
  m[H_DEBUG_LARGE] = blockFor(parse(text), LARGE)?.flags ?? 0;
  m[H_BORN] = Math.floor(Date.now() / 1000);
  m[H_STACK_DEPTH] = STACK_DEPTH_DEFAULT;
  m[H_TRACK_EVERY] = 1;
  m[H_FAIL_TIMES] = -1;
  m[H_SITE_SEED] = Math.floor(Math.random() * 2 ** 32);
}

const parsed: WeakMap<Metadata, Block[]> = new WeakMap();

/** The flags that the heap's option gives the cache of that name. Cost: O(length of the option). */
export function debugFlagsFor(metadata: Metadata, name: string, size: number, align: number): SlabFlags {
  const { m, s, layout } = metadata;
  if (m[H_DEBUG_LENGTH] === 0) return 0;
  let blocks = parsed.get(metadata);
  if (blocks === undefined) {
    blocks = parse(decodeText(s, H_DEBUG_TEXT << WORD_SHIFT, m[H_DEBUG_LENGTH]));
    parsed.set(metadata, blocks);
  }
  const block = blockFor(blocks, name);
  if (block === undefined) return 0;
  const isKmalloc = /^kmalloc-\d+$/.test(name);
  const flags = isKmalloc ? block.flags : block.flags & ~SLAB.CALL_SITES;
  if (!block.keepsOrder) return flags;
  const plain = slabGeometry(size, align, 0, layout.pageShift);
  const larger = slabGeometry(size, align, flags, layout.pageShift);
  return larger.frames > plain.frames ? flags & ~(SLAB_DEBUG_ROOM | SLAB.POISON) : flags;
}
