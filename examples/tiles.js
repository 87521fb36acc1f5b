// A tile decoder: workers inflate compressed tiles of very different sizes into blocks of the heap, the main thread
// copies them into one upload buffer, as for a GPU, and frees them. Large blocks, allocated here and freed there, and in
// the end the figures of fragmentation. Run: node examples/tiles.js [--tiles 400] [--workers 2]
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { Heap } from 'modslab';

/** A tile's pixels: side × side, 4 bytes each. */
const sideOf = (tile) => 32 + ((tile * 97) % 12) * 32;
const pixelOf = (tile, i) => (tile * 31 + (i >>> 6)) & 0xff;

function compressed(tile) {
  const pixels = new Uint8Array(sideOf(tile) ** 2 * 4);
  for (let i = 0; i < pixels.length; i++) pixels[i] = pixelOf(tile, i);
  return deflateRawSync(pixels, { level: 1 });
}

if (isMainThread) {
  const { values } = parseArgs({ options: { tiles: { type: 'string' }, workers: { type: 'string' } } });
  const [tiles, workers] = [Number(values.tiles ?? 400), Number(values.workers ?? 2)];
  const heap = Heap.create({ size: 4 << 20, maxSize: 128 << 20, cpus: workers + 1 });
  const upload = new Uint8Array(sideOf(11) ** 2 * 4);
  let [next, uploaded, wrong] = [0, 0, 0];
  const take = ({ tile, address, bytes }) => {
    upload.set(heap.view(address, bytes));
    for (let i = 0; i < bytes; i += 997) if (upload[i] !== pixelOf(tile, i)) wrong++;
    heap.kvfree(address);
    uploaded += bytes;
  };
  await Promise.all(
    Array.from({ length: workers }, () => {
      const worker = new Worker(new URL(import.meta.url), { workerData: heap.handle });
      const more = () => worker.postMessage(next < tiles ? { tile: next, data: compressed(next++) } : {});
      // Two tiles in flight for each worker: it decodes one while the other is uploaded.
      more();
      more();
      worker.on('message', (message) => {
        take(message);
        more();
      });
      return new Promise((resolve, reject) => worker.on('exit', resolve).on('error', reject));
    }),
  );
  const { live, peakFootprint } = heap.meminfo();
  const largest = heap.buddyinfo().map(({ free }) => free.findLastIndex((runs) => runs > 0));
  console.log(`${tiles} tiles, ${(uploaded / 2 ** 20).toFixed(1)} MiB uploaded, ${wrong} wrong pixels`);
  console.log(
    `peak ${(peakFootprint / 2 ** 20).toFixed(1)} MiB, largest free run: order ${Math.max(...largest)}`,
  );
  console.log(`${live} bytes live, ${heap.validate().length} problems`);
} else {
  const heap = Heap.attach(workerData);
  parentPort.on('message', ({ tile, data }) => {
    if (tile === undefined) {
      heap.detach();
      parentPort.close();
      return;
    }
    const pixels = inflateRawSync(data);
    const address = heap.kvmalloc(pixels.length);
    if (address === 0) throw new Error(`no memory for tile ${tile}`);
    heap.u8.set(pixels, address);
    parentPort.postMessage({ tile, address, bytes: pixels.length });
  });
}
