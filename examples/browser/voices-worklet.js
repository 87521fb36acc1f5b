// The audio thread. Nothing here waits, grows the heap or makes an object for each sample or note: a voice is eight floats
// in shared memory.
//
//     phase   step   gain   decay   pan   age   (unused)   (unused)
import { GFP, Heap } from '/modslab/index.js';

const [QUANTA, VOICES, STARTED, STOLEN, RETIRED, , LATE, FAILED] = [0, 1, 2, 3, 4, 5, 6, 7];
const BOARD_WORDS = 8;
const RING = 256;
const MAX_VOICES = 64;
const [PHASE, STEP, GAIN, DECAY, PAN] = [0, 1, 2, 3, 4];

class Voices extends AudioWorkletProcessor {
  constructor({ processorOptions: { handle, board } }) {
    super();
    try {
      this.heap = Heap.attach(handle, { tag: 'audio' });
    } catch (error) {
      this.port.postMessage(String(error.stack));
      throw error;
    }
    this.cache = this.heap.cache('voice');
    this.board = board;
    this.voices = new Uint32Array(MAX_VOICES);
    this.count = 0;
    this.ring = 0;
    this.seed = 1;
    this.frame = -1;
  }

  /** A voice goes to the page, which frees it; if the ring is full the audio thread does that itself. */
  retire(index) {
    const voice = this.voices[index];
    this.voices[index] = this.voices[--this.count];
    const slot = BOARD_WORDS + (this.ring++ % RING);
    if (Atomics.compareExchange(this.board, slot, 0, voice | 0) !== 0) this.cache.free(voice);
    this.board[RETIRED]++;
  }

  start() {
    if (this.count === MAX_VOICES) {
      this.retire(0);
      this.board[STOLEN]++;
    }
    const voice = this.cache.alloc(GFP.NOWAIT);
    if (voice === 0) {
      this.board[FAILED]++;
      return;
    }
    this.seed = (Math.imul(this.seed, 1664525) + 1013904223) | 0;
    const { f32 } = this.heap;
    const at = voice >>> 2;
    f32[at + PHASE] = 0;
    f32[at + STEP] = ((2 * Math.PI * 110) / sampleRate) * 2 ** (((this.seed >>> 24) % 36) / 12);
    f32[at + GAIN] = 0.04;
    f32[at + DECAY] = 1 - 4 / sampleRate;
    f32[at + PAN] = (this.seed >>> 16 & 255) / 255;
    this.voices[this.count++] = voice;
    this.board[STARTED]++;
  }

  process(_inputs, [[left, right]]) {
    const { board, heap } = this;
    // A quantum that does not follow the one before is a glitch.
    if (this.frame >= 0 && currentFrame !== this.frame) board[LATE]++;
    this.frame = currentFrame + left.length;
    if (board[QUANTA]++ % 4 === 0) this.start();
    const { f32 } = heap;
    for (let i = this.count - 1; i >= 0; i--) {
      const at = this.voices[i] >>> 2;
      let [phase, gain] = [f32[at + PHASE], f32[at + GAIN]];
      const [step, decay, pan] = [f32[at + STEP], f32[at + DECAY], f32[at + PAN]];
      for (let n = 0; n < left.length; n++) {
        const sample = Math.sin(phase) * gain;
        left[n] += sample * (1 - pan);
        right[n] += sample * pan;
        phase += step;
        gain *= decay;
      }
      f32[at + PHASE] = phase;
      f32[at + GAIN] = gain;
      if (gain < 0.002) this.retire(i);
    }
    board[VOICES] = this.count;
    return true;
  }
}

registerProcessor('voices', Voices);
