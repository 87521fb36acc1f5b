/** pair: an object is allocated and freed at once. */

import { type Kernel, outOfMemory, type Part } from '../kernel.ts';

export const pair: Kernel = {
  part({ subject, number }): Part {
    const [pairs, size] = [number('pairs'), number('size')];
    const kept = new Int32Array(1);
    const run = (): void => {
      let sum = 0;
      for (let i = 0; i < pairs; i++) {
        const address = subject.alloc(size);
        if (address === 0) outOfMemory();
        sum = (sum + address) | 0;
        subject.free(address);
      }
      kept[0] = sum;
    };
    return { run };
  },
};
