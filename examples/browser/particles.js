// The page: makes the heap, starts the two workers, and draws what it finds in the shared memory, without a message.
import { Heap } from '/modslab/index.js';
import { Mailbox, PARTICLE_BYTES } from '../lib/particles.js';

const LIMIT = 3000;
const context = document.querySelector('canvas').getContext('2d');
const output = document.querySelector('output');

function draw(heap, board) {
  const { width, height } = context.canvas;
  context.fillStyle = 'rgb(16 20 24 / 40%)';
  context.fillRect(0, 0, width, height);
  let drawn = 0;
  for (const side of [0, 1]) {
    const count = Atomics.load(board, side);
    const { u32, f32 } = heap;
    for (let i = 0; i < count; i++) {
      const particle = u32[(board[2 + side] >>> 2) + i];
      const at = particle >>> 2;
      context.fillStyle = side === 0 ? '#7dc4ff' : '#ffb86b';
      context.fillRect((f32[at + 1] + 1) * 0.5 * width, (1 - (f32[at + 2] + 1) * 0.5) * height, 3, 3);
      drawn++;
    }
  }
  const { live, footprint } = heap.meminfo();
  output.textContent = `${drawn} particles, ${live} bytes live in ${footprint} bytes of pages`;
  return drawn;
}

if (!crossOriginIsolated) {
  output.textContent = 'This page needs shared memory: serve it with node examples/serve.mjs';
  window.result = { drawn: 0, isolated: false };
} else {
  const heap = Heap.create({ size: 4 << 20, maxSize: 64 << 20, cpus: 3 });
  heap.createCache({ name: 'particle', size: PARTICLE_BYTES });
  const mailboxes = [0, 1].map(() => Mailbox.create(heap).address);
  // Two words of counts, two of where each worker publishes its particles' addresses.
  const board = new Int32Array(new SharedArrayBuffer(16));
  for (const side of [0, 1]) board[2 + side] = heap.kzalloc(8 * LIMIT);
  for (const side of [0, 1]) {
    const worker = new Worker('/browser/particles-worker.js', { type: 'module' });
    worker.postMessage({ handle: heap.handle, side, mailboxes, limit: LIMIT, board });
  }
  window.heap = heap;
  let frames = 0;
  const frame = () => {
    const drawn = draw(heap, board);
    window.result = { drawn, frames: ++frames, isolated: true, problems: heap.validate().length };
    requestAnimationFrame(frame);
  };
  frame();
}
