/**
 * footprint: the memory that the first replay of a trace made resident. afterPeak: what objects of mixed sizes take at their
 * peak, and what is left when all are freed. idle: what a heap touches that nobody uses. share: how much of it is metadata.
 *
 * Linux only: bytes resident are read from /proc/self/statm. What the runtime itself takes in the meantime would be counted
 * too, so the same work is done before on a heap that is kept: by then everything is compiled and V8's own heap has its size.
 * Neither modslab nor the peers give memory back to the system, so what is resident at the end was the peak.
 */

import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Context, type Kernel, outOfMemory, type Part } from '../kernel.ts';
import { MIXED_SIZES, SEED, xorshift32 } from '../random.ts';
import type { Subject } from '../subjects/subject.ts';
import { loadTrace, replayer } from './trace.ts';

const PAGE = 4096;
/** V8 frees buffers on another thread, some time after the collection that found them. */
const SETTLE_MS = 50;
const COLLECTIONS = 2;
const nextRandom = xorshift32;

/** Bytes of this process that are in memory. */
function resident(): number {
  return Number(readFileSync('/proc/self/statm', 'latin1').split(' ')[1]) * PAGE;
}

/** What was read or made before must not be given back while something is measured. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let i = 0; i < COLLECTIONS; i++) collect();
}

/** Bytes resident, when nothing more is to be expected; read twice, so that the reading itself takes nothing new. */
async function residentNow(): Promise<number> {
  collectGarbage();
  await setTimeout(SETTLE_MS);
  resident();
  return resident();
}

export const footprint: Kernel = {
  part({ subject, create, text }: Context): Part {
    const words = loadTrace(text('file'));
    for (let i = 0; i < 2; i++) replayer(subject, words)();
    const measure = async (): Promise<number[]> => {
      const before = await residentNow();
      const fresh = create();
      replayer(fresh, words)();
      return [resident() - before];
    };
    return { run: () => {}, measure };
  },
};

function peak(subject: Subject, addresses: Int32Array): { rise(): void; fall(): void } {
  const sizes = Int32Array.from(MIXED_SIZES);
  const { i32 } = subject.views();
  const rise = (): void => {
    let x = SEED;
    for (let i = 0; i < addresses.length; i++) {
      x = nextRandom(x);
      const address = subject.alloc(sizes[(x >>> 16) & 15]);
      if (address === 0) outOfMemory();
      i32[address >> 2] = i;
      addresses[i] = address;
    }
  };
  const fall = (): void => {
    for (const address of addresses) subject.free(address);
  };
  return { rise, fall };
}

export const afterPeak: Kernel = {
  part({ subject, number }: Context): Part {
    const addresses = new Int32Array(number('objects'));
    const { rise, fall } = peak(subject, addresses);
    const measure = (): number[] => {
      rise();
      const most = subject.used?.() ?? Number.NaN;
      fall();
      return [most, subject.used?.() ?? Number.NaN];
    };
    return { run: () => {}, measure };
  },
};

export const idle: Kernel = {
  part({ create }: Context): Part {
    const kept = [create(), create()];
    const measure = async (): Promise<number[]> => {
      const before = await residentNow();
      kept.push(create());
      return [resident() - before];
    };
    return { run: () => {}, measure };
  },
};

export const metadataShare: Kernel = {
  part({ subject, number }: Context): Part {
    const [bytes, size] = [number('bytes'), number('size')];
    const measure = (): number[] => {
      for (let used = 0; used < bytes; used += size) if (subject.alloc(size) === 0) outOfMemory();
      return [(100 * (subject.metadata?.() ?? Number.NaN)) / (subject.used?.() ?? Number.NaN)];
    };
    return { run: () => {}, measure };
  },
};
