/**
 * start: from nothing to the first object. Values, in milliseconds: making a heap and allocating from it; joining it (as one
 * more CPU, here on the same thread). Cold: the process does this once, and its code has never run before.
 */

import type { Kernel, Part } from '../kernel.ts';

export const start: Kernel = {
  part({ create, number }): Part {
    const size = number('size');
    const measure = (): number[] => {
      const before = performance.now();
      const subject = create();
      subject.alloc(size);
      const between = performance.now();
      subject.join?.();
      const after = performance.now();
      return [between - before, after - between];
    };
    return { run: () => {}, measure };
  },
};
