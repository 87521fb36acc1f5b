/** malloc-large: 20 slots of 5 to 25 MiB; one after another is replaced by an object of another size. Nothing is touched. */

import { type Kernel, outOfMemory, type Part } from '../kernel.ts';
import { SEED, xorshift32 } from '../random.ts';

const nextRandom = xorshift32;

export const mallocLarge: Kernel = {
  part({ subject, number }): Part {
    const [slots, steps, least] = [number('slots'), number('steps'), number('smallest')];
    const span = number('largest') - least;
    const objects = new Int32Array(slots);
    const state = Int32Array.of(SEED);
    const run = (): void => {
      let x = state[0];
      for (let i = 0; i < steps; i++) {
        x = nextRandom(x);
        const slot = (x >>> 4) % slots;
        x = nextRandom(x);
        if (objects[slot] !== 0) subject.free(objects[slot]);
        const address = subject.alloc(least + ((x >>> 4) % span));
        if (address === 0) outOfMemory();
        objects[slot] = address;
      }
      state[0] = x;
    };
    const finish = (): void => {
      for (const address of objects) if (address !== 0) subject.free(address);
      objects.fill(0);
    };
    return { run, finish };
  },
};
