// A buffer overflow between two workers, found when the object is freed: which object, which byte, who allocated it.
// Run: node examples/find-an-overflow.js
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { Heap } from 'modslab';

/** The bug: room for the characters, but not for the 0 behind them. */
function copyText(heap, text) {
  const address = heap.kmalloc(text.length);
  heap.writeString(address, text);
  heap.u8[address + text.length] = 0;
  return address;
}

if (isMainThread) {
  // FZPU: checks, red zones, poison, users. Of all threads: the settings are the heap's.
  const heap = Heap.create({ debug: 'FZPU' });
  const addresses = ['one', 'two words', 'a text of twenty-four bytes'].map((text) => copyText(heap, text));
  const worker = new Worker(new URL(import.meta.url), { workerData: { handle: heap.handle, addresses } });
  worker.on('exit', () => {
    console.log(`${heap.reports} reports, and the heap goes on: ${heap.validate().length} problems`);
    heap.detach();
  });
} else {
  const heap = Heap.attach(workerData.handle);
  for (const address of workerData.addresses) {
    try {
      heap.kfree(address); // found here, on another thread than the one that wrote too far
    } catch ({ code, report }) {
      const [{ what, from, found }] = report.findings;
      const place = from - report.address;
      console.log(`${code} ${report.cache}: ${what}: byte ${place} of ${report.requested} is ${found}`);
      console.log(`  allocated in ${report.allocated.stack[0]}`);
    }
  }
  heap.detach();
}
