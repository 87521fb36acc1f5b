// Swaps objects with other workers: rounds 0 means until it is killed.
import { Heap } from '/modslab/index.js';

onmessage = ({ data: { handle, board, tag, rounds } }) => {
  // Held until this thread is gone: whoever gets the lock after that knows that it is.
  navigator.locks.request(`modslab-${tag}`, () => {
    work(handle, board, tag, rounds);
    return new Promise(() => {});
  });
};

function work(handle, board, tag, rounds) {
  const heap = Heap.attach(handle, { tag });
  if (rounds === 0) postMessage('ready');
  let wrong = 0;
  for (let i = 1; rounds === 0 || i <= rounds; i++) {
    const object = heap.kmalloc(8 + ((i * 37) % 500));
    if (object === 0) continue;
    heap.u32[object >>> 2] = object;
    const old = Atomics.exchange(board, (i * 7) % board.length, object | 0) >>> 0;
    if (old === 0) continue;
    if (heap.u32[old >>> 2] !== old) wrong++;
    heap.kfree(old);
  }
  heap.detach();
  postMessage(wrong);
}
