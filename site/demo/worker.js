// A thread of the demo: allocates and frees at random until it is told to stop, or is terminated.
import { Heap, SlabError } from 'modslab';

const SLOTS = 512;
const BURST = 2000;

globalThis.onmessage = ({ data: { handle, board, tag } }) => {
  const heap = Heap.attach(handle, { tag });
  let seed = tag;
  const random = (n) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * n);
  };
  const burst = () => {
    for (let i = 0; i < BURST; i++) {
      // Objects change hands on a board: who takes an address out frees it, whoever allocated it.
      const size = 16 << random(9);
      const fresh = heap.kmalloc(size);
      if (fresh !== 0) heap.u32[fresh >>> 2] = fresh;
      const old = Atomics.exchange(board, 2 + random(SLOTS), fresh | 0) >>> 0;
      if (old !== 0 && heap.u32[old >>> 2] !== old) Atomics.add(board, 1, 1);
      try {
        heap.kfree(old);
      } catch (error) {
        if (!(error instanceof SlabError)) throw error;
        Atomics.add(board, 1, 1);
      }
    }
    Atomics.add(board, 0, BURST);
    setTimeout(burst, 0);
  };
  burst();
};
