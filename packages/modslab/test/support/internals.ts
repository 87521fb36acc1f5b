// The private parts of a heap, for tests that build layers by hand or break metadata on purpose.
import type { Heap } from 'modslab';
import type { Cpu } from '#src/memory/cpu.js';
import { attachCpu } from '#src/memory/cpu.js';
import { createDataBuffer, DataMemory } from '#src/memory/data.js';
import { createMetadata, type Metadata } from '#src/memory/metadata.js';
import { FrameAllocator } from '#src/page/pageAllocator.js';
import { type Sheaves, sheaved } from '#src/slab/sheaves.js';
import type { CacheSpec } from '#src/slab/slabAllocator.js';
import { Slabifier } from '#src/slab/slabifier.js';

export interface Internals {
  readonly metadata: Metadata;
  readonly thisCpu: Cpu;
  readonly pages: FrameAllocator;
  readonly slabifier: Slabifier;
  readonly sheaves: Sheaves;
}

export const internalsOf = (heap: Heap): Internals => heap as unknown as Internals;

/** One CPU's layers on a heap, without kmalloc. */
export interface Layers {
  readonly metadata: Metadata;
  readonly data: DataMemory;
  readonly cpu: Cpu;
  readonly pages: FrameAllocator;
  readonly slabifier: Slabifier;
  readonly sheaves: Sheaves;
}

export interface LayersOptions {
  frames?: number;
  maxFrames?: number;
  pageShift?: number;
  nodes?: number;
  caches?: number;
  dma?: { start: number; end: number };
}

/** Sets up metadata and data for `frames` frames from frame 1 on, and the layers of a first CPU. */
export function createLayers(options: LayersOptions = {}): Layers {
  const { frames = 64, pageShift = 12, nodes = 1, caches = 32, dma = { start: 0, end: 0 } } = options;
  const maxFrames = options.maxFrames ?? frames;
  const geometry = { pageShift, startFrame: 1, maxFrames, cpus: 4, nodes, caches };
  const metadata = createMetadata(geometry, frames, dma, true);
  const buffer = createDataBuffer(frames * 2 ** pageShift, maxFrames * 2 ** pageShift, true);
  return layersOn(metadata, new DataMemory(buffer, metadata));
}

/** The layers of one more CPU. */
export function layersOn(metadata: Metadata, data: DataMemory): Layers {
  const cpu = attachCpu(metadata);
  const pages = new FrameAllocator(metadata, cpu, data);
  const slabifier = new Slabifier(pages);
  return {
    metadata,
    data,
    cpu,
    pages,
    slabifier,
    sheaves: sheaved(slabifier),
  };
}

/** What a cache is created from, with everything at its default but name and size. */
export const spec = (name: string, size: number, more: Partial<CacheSpec> = {}): CacheSpec => ({
  name,
  size,
  align: 0,
  flags: 0,
  node: -1,
  useroffset: 0,
  usersize: size,
  ...more,
});
