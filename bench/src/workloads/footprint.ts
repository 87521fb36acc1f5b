/**
 * footprint: the memory that the first replay of a trace touched. afterPeak: what objects of mixed sizes take at their
 * peak, and what is left when all are freed. idle: what a heap touches that nobody uses. share: how much of it is metadata.
 *
 * Touched are pages of 4 KiB of the allocator's buffers that hold anything but zeros (the replay writes no zero). The native
 * side reads what the kernel says is resident; here that would be V8's heap for the most part. Neither modslab nor the peers
 * give memory back to the system, so what is touched at the end was the peak.
 */

import { type Context, type Kernel, outOfMemory, type Part } from '../kernel.ts';
import { MIXED_SIZES, SEED, xorshift32 } from '../random.ts';
import { cannot, type Subject } from '../subjects/subject.ts';
import { loadTrace, replayer } from './trace.ts';

const nextRandom = xorshift32;

function touched(subject: Subject): number {
  return subject.touched?.() ?? cannot('buffers to look into');
}

export const footprint: Kernel = {
  part({ create, text }: Context): Part {
    const words = loadTrace(text('file'));
    const measure = (): number[] => {
      const fresh = create();
      replayer(fresh, words)();
      return [touched(fresh)];
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
    return { run: () => {}, measure: () => [touched(create())] };
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
