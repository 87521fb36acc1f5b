/**
 * churn: a random one of many live objects is freed and another size allocated in its place; with `touch` the old object is
 * read and the new one written. scaling: first one thread does so alone, then all do, each in slots of its own.
 * access: no allocator at all, only the random accesses to memory that churn makes.
 */

import { type Context, type Kernel, outOfMemory, type Part } from '../kernel.ts';
import { EVEN_SIZES, MIXED_SIZES, SEED, seedOf, xorshift32 } from '../random.ts';

const nextRandom = xorshift32;

interface Churn {
  fill(): void;
  run(): void;
  drain(): void;
}

function slotOf(slots: number): (x: number) => number {
  const mask = slots - 1;
  if ((slots & mask) === 0) return (x) => x & mask;
  return (x) => (x & 0x7fffffff) % slots;
}

function untouched({ subject, number, index }: Context): Churn {
  const [slots, steps] = [number('slots'), number('steps')];
  const sizes = Int32Array.from(number('even') !== 0 ? EVEN_SIZES : MIXED_SIZES);
  const objects = new Int32Array(slots);
  const state = Int32Array.of(seedOf(index));
  const choose = slotOf(slots);

  const run = (): void => {
    let x = state[0];
    for (let i = 0; i < steps; i++) {
      x = nextRandom(x);
      const slot = choose(x);
      const old = objects[slot];
      if (old !== 0) subject.free(old);
      const address = subject.alloc(sizes[(x >>> 16) & 15]);
      if (address === 0) outOfMemory();
      objects[slot] = address;
    }
    state[0] = x;
  };
  return { run, ...ends(subject, objects, sizes, state) };
}

function touched({ subject, number, index }: Context): Churn {
  const [slots, steps] = [number('slots'), number('steps')];
  const sizes = Int32Array.from(number('even') !== 0 ? EVEN_SIZES : MIXED_SIZES);
  const objects = new Int32Array(slots);
  const state = Int32Array.of(seedOf(index), 0);
  const choose = slotOf(slots);
  const { i32 } = subject.views();

  const run = (): void => {
    let x = state[0];
    let sum = 0;
    for (let i = 0; i < steps; i++) {
      x = nextRandom(x);
      const slot = choose(x);
      const old = objects[slot];
      if (old !== 0) {
        sum = (sum + i32[old >> 2]) | 0;
        subject.free(old);
      }
      const address = subject.alloc(sizes[(x >>> 16) & 15]);
      if (address === 0) outOfMemory();
      i32[address >> 2] = x;
      objects[slot] = address;
    }
    state[0] = x;
    state[1] = sum;
  };
  return { run, ...ends(subject, objects, sizes, state) };
}

function ends(
  subject: Context['subject'],
  objects: Int32Array,
  sizes: Int32Array,
  state: Int32Array,
): { fill(): void; drain(): void } {
  const fill = (): void => {
    for (let slot = 0; slot < objects.length; slot++) {
      state[0] = nextRandom(state[0]);
      objects[slot] = subject.alloc(sizes[(state[0] >>> 16) & 15]);
      if (objects[slot] === 0) outOfMemory();
    }
  };
  const drain = (): void => {
    for (const address of objects) if (address !== 0) subject.free(address);
    objects.fill(0);
  };
  return { fill, drain };
}

/** Every slot is filled, in order; then as many random replacements, for the order of addresses to be random. */
function prepared(context: Context, churn: Churn): () => void {
  const [slots, steps] = [context.number('slots'), context.number('steps')];
  return () => {
    churn.fill();
    for (let step = 0; step < slots; step += steps) churn.run();
  };
}

export const churn: Kernel = {
  part(context): Part {
    const own = context.number('touch') !== 0 ? touched(context) : untouched(context);
    return { run: own.run, prepare: prepared(context, own), finish: own.drain };
  },
};

export const scaling: Kernel = {
  part(context): Part {
    const own = untouched(context);
    const { index, threads } = context;
    const calls = context.number('calls');
    const run = (phase: number): void => {
      const shares = phase === 0 ? (index === 0 ? threads : 0) : 1;
      for (let i = 0; i < shares * calls; i++) own.run();
    };
    return { run, prepare: prepared(context, own), finish: own.drain };
  },
};

export const access: Kernel = {
  part({ number }): Part {
    const steps = number('steps');
    const words = new Int32Array(new SharedArrayBuffer(number('bytes'))).fill(1);
    const mask = words.length - 1;
    const state = Int32Array.of(SEED, 0);
    const run = (): void => {
      let x = state[0];
      let sum = 0;
      for (let i = 0; i < steps; i++) {
        x = nextRandom(x);
        sum = (sum + words[x & mask]) | 0;
        words[x & mask] = x;
      }
      state[0] = x;
      state[1] = sum;
    };
    return { run };
  },
};
