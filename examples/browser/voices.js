// The page: makes the heap, starts the worklet, frees the voices that it has retired, and shows the counts.
import { Heap } from '/modslab/index.js';

const BOARD = ['quanta', 'voices', 'started', 'stolen', 'retired', 'freed', 'late', 'failed'];
const RING = 256;
const output = document.querySelector('pre');

async function play() {
  const heap = Heap.create({ size: 1 << 20, maxSize: 1 << 20, cpus: 4 });
  heap.createCache({ name: 'voice', size: 48 });
  const board = new Int32Array(new SharedArrayBuffer(4 * (BOARD.length + RING)));
  const audio = new AudioContext();
  await audio.audioWorklet.addModule('/browser/voices-worklet.js');
  const node = new AudioWorkletNode(audio, 'voices', {
    processorOptions: { handle: heap.handle, board },
    outputChannelCount: [2],
  });
  node.onprocessorerror = () => {
    window.result = { ...window.result, error: 'the processor has thrown' };
  };
  node.port.onmessage = ({ data }) => {
    window.result = { ...window.result, error: data };
  };
  node.connect(audio.destination);
  await audio.resume();
  const voices = heap.cache('voice');
  setInterval(() => {
    // Retired voices come through a ring: allocated on the audio thread, freed here.
    for (let i = 0; i < RING; i++) {
      const voice = Atomics.exchange(board, BOARD.length + i, 0) >>> 0;
      if (voice === 0) continue;
      voices.free(voice);
      Atomics.add(board, BOARD.indexOf('freed'), 1);
    }
    const counts = Object.fromEntries(BOARD.map((name, i) => [name, board[i]]));
    window.result = { ...counts, problems: heap.validate().length, error: window.result?.error };
    output.textContent = JSON.stringify(window.result, undefined, 1);
  }, 50);
}

if (crossOriginIsolated) document.querySelector('button').onclick = play;
else output.textContent = 'This page needs shared memory: serve it with node examples/serve.mjs';
