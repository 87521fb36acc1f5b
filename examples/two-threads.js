// One thread allocates, another reads and frees. Run: node examples/two-threads.js
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { Heap } from 'modslab';

if (isMainThread) {
  const heap = Heap.create({ size: 16 << 20, maxSize: 256 << 20 });
  const addr = heap.kmalloc(100); // a byte offset in the heap; 0 if there is no memory
  const length = heap.writeString(addr, 'hello, worker');
  const worker = new Worker(new URL(import.meta.url), { workerData: { handle: heap.handle, addr, length } });
  worker.on('exit', () => {
    console.log(heap.meminfo().live, heap.validate()); // 0 []
    heap.detach();
  });
} else {
  const heap = Heap.attach(workerData.handle); // one more CPU of the same heap
  console.log(heap.readString(workerData.addr, workerData.length)); // hello, worker
  heap.kfree(workerData.addr); // freed where it was not allocated
  heap.detach();
}
