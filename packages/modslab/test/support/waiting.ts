/** What a worker does that waits for memory. */

import { GFP } from 'modslab';
import { numberOf, type Scenarios } from './task.ts';

export const scenarios: Scenarios = {
  'wait.nofail': ({ heap, args }) => heap.kmalloc(numberOf(args, 'size'), GFP.NOFAIL),
};
