// Particles over two workers, without a window (browser/particles.html draws them). Each particle is an object of a cache,
// born by one worker and, when it leaves that worker's half of the world, handed over to the other, which frees it in the
// end. The main thread reads positions while they move. Run: node examples/particles.js [--steps 300] [--particles 2000]
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Heap } from 'modslab';
import { Herd, Mailbox, PARTICLE_BYTES } from './lib/particles.js';

if (isMainThread) {
  const { values } = parseArgs({ options: { steps: { type: 'string' }, particles: { type: 'string' } } });
  const [steps, particles] = [Number(values.steps ?? 300), Number(values.particles ?? 2000)];
  const heap = Heap.create({ size: 4 << 20, maxSize: 64 << 20, cpus: 3 });
  heap.createCache({ name: 'particle', size: PARTICLE_BYTES });
  const mailboxes = [0, 1].map(() => Mailbox.create(heap).address);
  const results = await Promise.all(
    [0, 1].map((side) => {
      const data = { handle: heap.handle, side, steps, particles, mailboxes };
      const worker = new Worker(new URL(import.meta.url), { workerData: data });
      return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    }),
  );
  // What is still in the post belongs to nobody any more.
  let posted = 0;
  for (const address of mailboxes) {
    const box = new Mailbox(heap, address);
    for (let particle = box.take(); particle !== 0; particle = box.take()) {
      heap.cache('particle').free(particle);
      posted++;
    }
    heap.kfree(address);
  }
  const sum = (key) => results.reduce((total, result) => total + result[key], 0);
  console.log(`born ${sum('born')}, handed over ${sum('handedOver')}, died ${sum('died') + posted}`);
  console.log(`${heap.meminfo().live} bytes live, ${heap.validate().length} problems`);
} else {
  const { handle, side, steps, particles, mailboxes } = workerData;
  const heap = Heap.attach(handle);
  const herd = new Herd(heap, side, mailboxes, particles);
  for (let step = 0; step < steps; step++) herd.step();
  herd.end();
  const { born, died, handedOver } = herd;
  heap.detach();
  parentPort.postMessage({ born, died, handedOver });
}
