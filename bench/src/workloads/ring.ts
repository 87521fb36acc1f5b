/** The pointers of sh6bench and sh8bench. Slots `kept` … `keptEnd - 1` hold survivors of the previous cycle. */

import type { Subject } from '../subjects/subject.ts';

export interface Ring {
  put(address: number): void;
  drain(): void;
}

const [AT, KEPT, KEPT_END] = [0, 1, 2];

export function createRing(subject: Subject, size: number): Ring {
  const slots = new Int32Array(size);
  const state = Int32Array.of(0, size, size);

  const wrap = (): void => {
    const kept = state[KEPT_END] >= size ? 0 : state[KEPT_END];
    const end = Math.min(size, kept + ((size / 5) | 0));
    for (let i = 0; i < kept; i++) subject.free(slots[i]);
    for (let i = size - 1; i >= end; i--) subject.free(slots[i]);
    state[KEPT] = kept;
    state[KEPT_END] = end;
    state[AT] = kept === 0 ? end : 0;
  };
  const put = (address: number): void => {
    slots[state[AT]] = address;
    let at = state[AT] + 1;
    if (at === state[KEPT]) at = state[KEPT_END];
    state[AT] = at;
    if (at >= size) wrap();
  };
  /** What is live: the survivors, and what this cycle has filled. */
  const drain = (): void => {
    for (let i = 0; i < size; i++) {
      const survivor = i >= state[KEPT] && i < state[KEPT_END];
      const filled = i < state[AT];
      if (survivor || filled) subject.free(slots[i]);
    }
    state.set([0, size, size]);
  };
  return { put, drain };
}
