// A leak, found from the heap's own report: which line allocated what is never freed. Run: node examples/find-a-leak.js
import { Heap } from 'modslab';
import { diffLeaks } from 'modslab/debug';

const heap = Heap.create({ debug: 'U,kmalloc-*' }); // who allocated each object of kmalloc's caches

/** Requests as they come in: each has a body and a header in shared memory. */
function openRequest(id) {
  return { id, body: heap.kmalloc(200), header: heap.kmalloc(60) };
}

/** The bug: the header of every third request is forgotten. */
function closeRequest(request) {
  heap.kfree(request.body);
  if (request.id % 3 !== 0) heap.kfree(request.header);
}

function serve(requests) {
  for (let id = 0; id < requests; id++) closeRequest(openRequest(id));
}

serve(30);
const before = heap.leaks();
serve(300);
for (const { cache, count, bytes, stack } of diffLeaks(before, heap.leaks())) {
  console.log(`${cache}: ${count} objects, ${bytes} bytes more than before, allocated in ${stack[0]}`);
}
heap.detach();
