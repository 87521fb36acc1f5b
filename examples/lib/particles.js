// Particles as objects of a cache in shared memory, in Node and in browsers. A particle is six words:
//
//     next (in a mailbox)   x   y   vx   vy   life (steps left)
//
// A herd is one worker's half of the world. What crosses the middle goes into the other herd's mailbox, a stack that any
// thread pushes on by compare-and-swap and only its owner empties, all at once.
export const PARTICLE_BYTES = 24;
const [NEXT, X, Y, VX, VY, LIFE] = [0, 1, 2, 3, 4, 5];
const GRAVITY = 0.002;

export class Mailbox {
  constructor(heap, address) {
    this.heap = heap;
    this.address = address;
    this.taken = 0;
  }

  static create(heap) {
    return new Mailbox(heap, heap.kzalloc(8));
  }

  post(particle) {
    const words = this.heap.i32;
    const head = this.address >>> 2;
    for (;;) {
      const seen = Atomics.load(words, head);
      words[(particle >>> 2) + NEXT] = seen;
      if (Atomics.compareExchange(words, head, seen, particle | 0) === seen) return;
    }
  }

  /** One particle of the mailbox; 0 when it is empty. */
  take() {
    if (this.taken === 0) this.taken = Atomics.exchange(this.heap.i32, this.address >>> 2, 0) >>> 0;
    const particle = this.taken;
    if (particle !== 0) this.taken = this.heap.u32[(particle >>> 2) + NEXT];
    return particle;
  }
}

export class Herd {
  /** `side` 0: x below 0; 1: x above. `limit`: how many particles it has at once. */
  constructor(heap, side, mailboxes, limit) {
    this.heap = heap;
    this.cache = heap.cache('particle');
    this.side = side;
    this.inbox = new Mailbox(heap, mailboxes[side]);
    this.outbox = new Mailbox(heap, mailboxes[1 - side]);
    this.limit = limit;
    this.particles = new Uint32Array(2 * limit);
    this.count = 0;
    this.seed = 12345 + side;
    this.born = 0;
    this.died = 0;
    this.handedOver = 0;
  }

  step() {
    for (let particle = this.inbox.take(); particle !== 0; particle = this.inbox.take())
      this.#accept(particle);
    for (let i = 0; i < 20 && this.count < this.limit; i++) this.#bear();
    const { particles } = this;
    for (let i = this.count - 1; i >= 0; i--) {
      const fate = this.#move(particles[i]);
      if (fate === 'stays') continue;
      if (fate === 'dies') {
        this.cache.free(particles[i]); // perhaps born in the other herd
        this.died++;
      } else {
        this.outbox.post(particles[i]);
        this.handedOver++;
      }
      particles[i] = particles[--this.count];
    }
  }

  end() {
    for (let i = 0; i < this.count; i++) this.cache.free(this.particles[i]);
    this.died += this.count;
    this.count = 0;
  }

  #random() {
    this.seed = (Math.imul(this.seed, 1664525) + 1013904223) | 0;
    return (this.seed >>> 8) / 2 ** 24;
  }

  #accept(particle) {
    if (this.count < this.particles.length) this.particles[this.count++] = particle;
    else {
      this.cache.free(particle);
      this.died++;
    }
  }

  #bear() {
    const particle = this.cache.alloc();
    if (particle === 0) return;
    const { f32, i32 } = this.heap;
    const at = particle >>> 2;
    f32[at + X] = this.side === 0 ? -0.5 : 0.5;
    f32[at + Y] = -0.9;
    f32[at + VX] = (this.#random() - 0.5) * 0.03;
    f32[at + VY] = 0.04 + this.#random() * 0.03;
    i32[at + LIFE] = 30 + Math.floor(this.#random() * 200);
    this.particles[this.count++] = particle;
    this.born++;
  }

  #move(particle) {
    const { f32, i32 } = this.heap;
    const at = particle >>> 2;
    f32[at + VY] -= GRAVITY;
    f32[at + X] += f32[at + VX];
    f32[at + Y] += f32[at + VY];
    if (--i32[at + LIFE] <= 0 || f32[at + Y] < -1) return 'dies';
    return f32[at + X] < 0 === (this.side === 0) ? 'stays' : 'leaves';
  }
}
