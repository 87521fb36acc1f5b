/** batch: many objects are allocated, then freed in the same order. bulk: the same in groups, by bulk calls. */

import { type Kernel, outOfMemory, type Part } from '../kernel.ts';

export const batch: Kernel = {
  part({ subject, number }): Part {
    const [count, size] = [number('count'), number('size')];
    const objects = new Int32Array(count);
    const run = (): void => {
      for (let i = 0; i < count; i++) {
        const address = subject.alloc(size);
        if (address === 0) outOfMemory();
        objects[i] = address;
      }
      for (let i = 0; i < count; i++) subject.free(objects[i]);
    };
    return { run };
  },
};

export const bulk: Kernel = {
  part({ subject, number }): Part {
    const [groups, size] = [number('groups'), number('size')];
    const objects = new Int32Array(number('count'));
    const run = (): void => {
      for (let i = 0; i < groups; i++) {
        if (!subject.allocBulk(size, objects)) outOfMemory();
        subject.freeBulk(objects);
      }
    };
    return { run };
  },
};
