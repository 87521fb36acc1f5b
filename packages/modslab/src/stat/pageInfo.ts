/** Page descriptors, read: one of them as people read it, or all of them as arrays for a map of the heap. */

import { hex } from '../memory/errors.ts';
import { C_OBJECTS, cacheAt, H_FRAMES, nodeOf, PAGE_WORDS, pageAt } from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';
import {
  COUNT_MASK,
  cacheOf,
  KIND_LARGE,
  KIND_NONE,
  KIND_PAGES,
  KIND_RCU,
  KIND_SLAB,
  KIND_SLAB_TAIL,
  KIND_TAIL,
  KIND_VMALLOC,
  kindOf,
  OWNER_PARKED,
  ownerOf,
  PAGE_CLAIM,
  PAGE_FLAGS,
  PAGE_HEAD,
  PAGE_RUN,
} from '../page/page.ts';

/** One page descriptor, read. */
export interface PageInfo {
  /** Page frame number: address / page size. */
  pfn: number;
  /** What the frame is: `free slab parked large pages tail waiting vmalloc claimed`. */
  flags: string;
  /** The name of the cache whose slab it carries. */
  cache?: string;
  /** Log2 of the frames of its slab or run, rounded up. */
  order: number;
  /** Objects that the slab or run has room for. */
  objects: number;
  /** Of these, those not free: live or in a sheaf. */
  inuse: number;
  /** The CPU that holds it at this moment. */
  cpu?: number;
  node: number;
}

/** The page descriptor of frame `pfn`. Cost: one lookup of vmem_map. */
export function pageInfo(metadata: Metadata, pfn: number, nameOf: (cache: number) => string): PageInfo {
  const { m, layout } = metadata;
  const page = pageAt(layout, pfn);
  const kind = kindOf(m[page + PAGE_FLAGS]);
  const isTail = kind === KIND_TAIL || kind === KIND_SLAB_TAIL;
  const head = isTail ? pageAt(layout, m[page + PAGE_HEAD]) : page;
  const cache = cacheOf(m[head + PAGE_FLAGS]);
  const claim = Atomics.load(m, head + PAGE_CLAIM);
  const owner = ownerOf(claim);
  const objects = cache === 0 ? 0 : m[cacheAt(layout, cache) + C_OBJECTS];
  const isRun = [KIND_LARGE, KIND_PAGES, KIND_VMALLOC].includes(kindOf(m[head + PAGE_FLAGS]));
  const info: PageInfo = {
    pfn,
    flags: pageFlags(kind, claim),
    order: kind === KIND_NONE ? 0 : Math.ceil(Math.log2(Math.max(1, m[head + PAGE_RUN]))),
    objects: isRun ? 1 : objects,
    inuse: isRun ? 1 : objects - Math.min(objects, claim & COUNT_MASK),
    node: nodeOf(layout, pfn),
  };
  if (cache !== 0) info.cache = nameOf(cache);
  if (owner !== 0 && owner !== OWNER_PARKED) info.cpu = owner - 1;
  return info;
}

function pageFlags(kind: number, claim: number): string {
  const owner = ownerOf(claim);
  const free = claim === 0 ? 'free' : '';
  const what = kind === KIND_NONE ? free : (KIND_INDEX[kind] ?? hex(kind));
  if (owner === 0) return what;
  const holder = owner === OWNER_PARKED ? 'parked' : 'claimed';
  return what === '' ? holder : `${what} ${holder}`;
}

/** What a frame can be, for a map; `FrameMap.kind` holds indices of this list. */
export const FRAME_KINDS = [
  'none',
  'free',
  'slab',
  'slab tail',
  'parked slab',
  'large',
  'pages',
  'tail',
  'waiting',
  'vmalloc',
  'claimed',
] as const;
export type FrameKind = (typeof FRAME_KINDS)[number];

/** Every frame of the heap: element i of each array is of frame i. Small enough to send to a page each second. */
export interface FrameMap {
  /** Index into `FRAME_KINDS`; frames that are not the heap's are 'none'. */
  readonly kind: Uint8Array;
  /** Cache number, 0: none. */
  readonly cache: Uint16Array;
  /** 1 + the CPU that holds the frame, 0: nobody. */
  readonly owner: Uint16Array;
  /** First frame of the slab or run that it belongs to; itself if free. */
  readonly head: Uint32Array;
  /** Objects that are not free, of the whole slab; 1 for a run. */
  readonly inuse: Uint16Array;
  /** Objects that the slab has; 1 for a run, 0 for a free frame. */
  readonly objects: Uint16Array;
}

const KIND_INDEX: Readonly<Record<number, FrameKind>> = {
  [KIND_SLAB]: 'slab',
  [KIND_SLAB_TAIL]: 'slab tail',
  [KIND_LARGE]: 'large',
  [KIND_PAGES]: 'pages',
  [KIND_TAIL]: 'tail',
  [KIND_RCU]: 'waiting',
  [KIND_VMALLOC]: 'vmalloc',
};

function frameKind(kind: number, claim: number): FrameKind {
  if (kind === KIND_NONE) return claim === 0 ? 'free' : 'claimed';
  if (kind === KIND_SLAB && ownerOf(claim) === OWNER_PARKED) return 'parked slab';
  return KIND_INDEX[kind] ?? 'claimed';
}

/** All frames up to the heap's present end. Cost: O(frames), plain loads. */
export function frameMap(metadata: Metadata): FrameMap {
  const { m, layout } = metadata;
  const end = Math.min(Atomics.load(m, H_FRAMES), layout.maxFrames);
  const map: FrameMap = {
    kind: new Uint8Array(end),
    cache: new Uint16Array(end),
    owner: new Uint16Array(end),
    head: new Uint32Array(end),
    inuse: new Uint16Array(end),
    objects: new Uint16Array(end),
  };
  for (let pfn = layout.startFrame; pfn < end; pfn++) {
    const page = pageAt(layout, pfn);
    const kind = kindOf(m[page + PAGE_FLAGS]);
    const isTail = kind === KIND_TAIL || kind === KIND_SLAB_TAIL;
    const first = isTail ? m[page + PAGE_HEAD] : pfn;
    // A tail whose head is elsewhere by now: the snapshot was taken in between.
    const head = first >= layout.startFrame && first < end ? first : pfn;
    const headPage = pageAt(layout, head);
    const cache = cacheOf(m[headPage + PAGE_FLAGS]);
    const claim = m[headPage + PAGE_CLAIM];
    const owner = ownerOf(claim);
    const isFree = kind === KIND_NONE;
    const objects = cache === 0 ? (isFree ? 0 : 1) : m[cacheAt(layout, cache) + C_OBJECTS];
    map.kind[pfn] = FRAME_KINDS.indexOf(frameKind(kind, claim));
    map.cache[pfn] = cache;
    map.owner[pfn] = owner === OWNER_PARKED ? 0 : owner;
    map.head[pfn] = head;
    map.objects[pfn] = objects;
    map.inuse[pfn] = cache === 0 ? objects : objects - Math.min(objects, claim & COUNT_MASK);
  }
  return map;
}

/** Names of a page descriptor's words, as page/page.ts draws them. */
const WORD_NAMES: readonly string[] = [
  'flags',
  'claim',
  'head',
  'run',
  'firstFree',
  'last',
  'requested',
  'base',
  'reciprocal',
  'stride',
  'states',
  'group',
  'user',
  'vpn',
  'grace',
  'source',
];

/** The words of the descriptor of frame `pfn` by name, as they are. */
export function pageWords({ m, layout }: Metadata, pfn: number): Record<string, number> {
  const page = pageAt(layout, pfn);
  return Object.fromEntries(
    Array.from({ length: PAGE_WORDS }, (_, word) => [WORD_NAMES[word], m[page + word]]),
  );
}
