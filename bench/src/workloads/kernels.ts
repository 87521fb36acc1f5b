/** Every kernel by its name; `native/workloads.h` is the C side's list. Kernels load no allocator. */

import type { Kernel } from '../kernel.ts';
import { allocTest } from './allocTest.ts';
import { batch, bulk } from './batch.ts';
import { cacheLines } from './cacheLines.ts';
import { access, churn, scaling } from './churn.ts';
import { afterPeak, footprint, idle, metadataShare } from './footprint.ts';
import { glibcSimple } from './glibcSimple.ts';
import { glibcThread } from './glibcThread.ts';
import { larson } from './larson.ts';
import { latency } from './latency.ts';
import { mallocLarge } from './mallocLarge.ts';
import { mstress } from './mstress.ts';
import { pair } from './pair.ts';
import { remote } from './remote.ts';
import { rptest } from './rptest.ts';
import { sh6bench } from './sh6bench.ts';
import { sh8bench } from './sh8bench.ts';
import { slabTest } from './slabTest.ts';
import { start } from './start.ts';
import { trace } from './trace.ts';
import { xmalloc } from './xmalloc.ts';

export const KERNELS: Readonly<Record<string, Kernel>> = {
  access,
  after_peak: afterPeak,
  alloc_test: allocTest,
  batch,
  bulk,
  cache_lines: cacheLines,
  churn,
  footprint,
  glibc_simple: glibcSimple,
  glibc_thread: glibcThread,
  idle,
  larson,
  latency,
  malloc_large: mallocLarge,
  metadata_share: metadataShare,
  mstress,
  pair,
  remote,
  rptest,
  scaling,
  sh6bench,
  sh8bench,
  slab_test: slabTest,
  start,
  trace,
  xmalloc,
};

export function kernelOf(name: string): Kernel {
  const kernel = KERNELS[name];
  if (kernel === undefined) throw new Error(`unknown kernel: ${name}`);
  return kernel;
}
