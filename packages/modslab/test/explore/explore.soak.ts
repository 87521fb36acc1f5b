/** The scenarios of explore.test.ts within larger bounds. Half an hour or so. */

import { exploreAll } from './explorations.ts';

exploreAll(
  [
    { preemptions: 2, kills: 0 },
    { preemptions: 1, kills: 1 },
    { preemptions: 3, kills: 0 },
    { preemptions: 2, kills: 1 },
  ],
  new Set(),
);
