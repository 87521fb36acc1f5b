/**
 * The metadata buffer as this thread sees it: two views that never change, and the layout.
 *
 * Nothing but the allocator holds this buffer, so no write of the application can reach it. It has its full size from
 * the start, so views of it never grow stale and its accesses stay the fastest that the engine has.
 */

import { SlabError } from './errors.ts';
import {
  type Geometry,
  H_CACHES,
  H_CPUS,
  H_DMA_END,
  H_DMA_START,
  H_FRAMES,
  H_MAGIC,
  H_MAX_FRAMES,
  H_NODES,
  H_PAGE_SHIFT,
  H_START_FRAME,
  H_TRACE_HEAP,
  H_VERSION,
  HEADER_WORDS,
  type Layout,
  layoutOf,
  MAGIC,
  VERSION,
} from './layout.ts';

/** Views of the metadata buffer, and where its sections are. */
export interface Metadata {
  readonly buffer: ArrayBufferLike;
  /** All of it, as words. */
  readonly m: Int32Array;
  /** All of it, as bytes: the object states among them. */
  readonly s: Uint8Array;
  readonly layout: Layout;
}

/** Sets the bits `start … end - 1` of the bitmap at word `bitmap`. Plain stores: for set-up only. */
function setBits(m: Int32Array, bitmap: number, start: number, end: number): void {
  for (let bit = start; bit < end; ) {
    if ((bit & 31) === 0 && end - bit >= 32) {
      m[bitmap + (bit >>> 5)] = -1;
      bit += 32;
    } else {
      m[bitmap + (bit >>> 5)] |= 1 << (bit & 31);
      bit++;
    }
  }
}

/** Sets up the metadata of a new heap whose frames run from `geometry.startFrame` to `frames` (exclusive). */
export function createMetadata(
  geometry: Geometry,
  frames: number,
  dma: { start: number; end: number },
  shared: boolean,
): Metadata {
  const layout = layoutOf(geometry);
  const buffer = shared ? new SharedArrayBuffer(layout.totalBytes) : new ArrayBuffer(layout.totalBytes);
  const m = new Int32Array(buffer);
  m[H_PAGE_SHIFT] = geometry.pageShift;
  m[H_START_FRAME] = geometry.startFrame;
  m[H_MAX_FRAMES] = geometry.maxFrames;
  m[H_CPUS] = geometry.cpus;
  m[H_NODES] = geometry.nodes;
  m[H_CACHES] = geometry.caches;
  m[H_DMA_START] = dma.start;
  m[H_DMA_END] = dma.end;
  m[H_FRAMES] = frames;
  // Every frame's bit is set from the start; `frames` alone says which of them exist. So growth publishes one word.
  setBits(m, layout.freeBitmap, geometry.startFrame, geometry.maxFrames);
  m[H_VERSION] = VERSION;
  m[H_MAGIC] = MAGIC;
  return { buffer, m, s: new Uint8Array(buffer), layout };
}

/** Opens the metadata that another thread created. Throws `EVERSION` if it is none, or another layout's. */
export function openMetadata(buffer: ArrayBufferLike): Metadata {
  if (buffer.byteLength < HEADER_WORDS * 4)
    throw new SlabError('EVERSION', 'the handle holds no modslab metadata');
  const m = new Int32Array(buffer, 0, buffer.byteLength >>> 2);
  if (m[H_MAGIC] !== MAGIC) throw new SlabError('EVERSION', 'the handle holds no modslab metadata');
  if (m[H_VERSION] !== VERSION) {
    throw new SlabError(
      'EVERSION',
      `the heap has layout ${m[H_VERSION]}, this modslab has ${VERSION}: use one version`,
    );
  }
  const layout = layoutOf({
    pageShift: m[H_PAGE_SHIFT],
    startFrame: m[H_START_FRAME],
    maxFrames: m[H_MAX_FRAMES],
    cpus: m[H_CPUS],
    nodes: m[H_NODES],
    caches: m[H_CACHES],
  });
  if (layout.totalBytes > buffer.byteLength)
    throw new SlabError('EVERSION', 'the metadata buffer is cut short');
  return { buffer, m, s: new Uint8Array(buffer), layout };
}

/** A random number by which a heap is told from others, whoever asks: two threads have no object in common. */
export function heapNumber({ m }: Metadata): number {
  const random = 1 + Math.floor(Math.random() * 0x7ffffffe);
  return Atomics.compareExchange(m, H_TRACE_HEAP, 0, random) || random;
}
