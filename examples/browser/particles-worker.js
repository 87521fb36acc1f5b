import { Heap } from '/modslab/index.js';
import { Herd } from '../lib/particles.js';

onmessage = ({ data: { handle, side, mailboxes, limit, board } }) => {
  const heap = Heap.attach(handle, { tag: side });
  const herd = new Herd(heap, side, mailboxes, limit);
  setInterval(() => {
    herd.step();
    heap.u32.set(herd.particles.subarray(0, Math.min(herd.count, limit)), board[2 + side] >>> 2);
    Atomics.store(board, side, Math.min(herd.count, limit));
  }, 16);
};
