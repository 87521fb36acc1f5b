// The live demo of the site: a heap in the reader's browser, its page frames drawn, workers that allocate and are killed.
import { Heap, SlabError } from 'modslab';
import { formatSlabinfo } from 'modslab/stat';

const MIB = 2 ** 20;
const SLOTS = 512;
const COLUMNS = 64;
const COLOURS = {
  free: '#8884',
  slab: '#4c9be8',
  parked: '#2c5d8f',
  large: '#e8a44c',
  pages: '#7ec97e',
  waiting: '#c97ec0',
  claimed: '#e05d5d',
};

const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

/** Fills `box` with the demo; returns what ends it. `base`: where the site is. */
export function start(box, base) {
  const isShared = globalThis.crossOriginIsolated === true;
  const heap = Heap.create({
    size: 2 * MIB,
    maxSize: 32 * MIB,
    pageSize: 16_384,
    cpus: 64,
    shared: isShared,
  });
  const board = new Int32Array(isShared ? new SharedArrayBuffer(4 * (2 + SLOTS)) : 2 + SLOTS);
  const mine = [];
  const workers = new Map();
  let [serial, kills, reaped] = [0, 0, 0];

  const canvas = element('canvas', { width: COLUMNS * 10 });
  const figures = element('p');
  const table = element('table');
  const log = element('div', { className: 'log' });
  const say = (text) => {
    log.textContent = text;
  };
  const guarded = (act) => () => {
    try {
      act();
    } catch (error) {
      say(error instanceof SlabError ? `${error.name}: ${error.message}` : String(error.stack));
    }
    draw();
  };
  const button = (text, act, disabled = false) =>
    element('button', { type: 'button', textContent: text, onclick: guarded(act), disabled });

  function allocate(n) {
    const before = performance.now();
    let done = 0;
    for (; done < n; done++) {
      const address = heap.kmalloc(16 << Math.floor(Math.random() * 9));
      if (address === 0) break;
      mine.push(address);
    }
    const ns = ((performance.now() - before) * 1e6) / Math.max(1, done);
    say(
      `${done} objects of 16 … 4096 bytes, ${ns.toFixed(0)} ns each; the last one at 0x${(mine[mine.length - 1] ?? 0).toString(16)}`,
    );
  }

  function free(share) {
    const n = Math.floor(mine.length * share);
    for (let i = 0; i < n; i++) {
      const index = Math.floor(Math.random() * mine.length);
      heap.kfree(mine[index]);
      mine[index] = mine[mine.length - 1];
      mine.pop();
    }
    if (share === 1) heap.shrink();
    say(`${n} objects freed${share === 1 ? ', what was cached is given back' : ''}`);
  }

  function freeTwice() {
    const address = heap.kmalloc(64);
    heap.kfree(address);
    heap.kfree(address);
  }

  function time() {
    const pairs = 2_000_000;
    const round = () => {
      const before = performance.now();
      for (let i = 0; i < pairs; i++) heap.kfree(heap.kmalloc(64));
      return ((performance.now() - before) * 1e6) / pairs;
    };
    round();
    say(
      `kmalloc(64) and kfree, all checks on: ${Math.min(round(), round()).toFixed(1)} ns a pair in this browser`,
    );
  }

  function startWorker() {
    const tag = ++serial;
    const worker = new Worker(`${base}demo/worker.js`, { type: 'module' });
    worker.onerror = (event) => say(`worker ${tag}: ${event.message}`);
    worker.postMessage({ handle: heap.handle, board, tag });
    workers.set(tag, worker);
    say(`worker ${tag} attaches: one more CPU of the heap`);
  }

  function killWorker() {
    const [tag, worker] = [...workers][0] ?? [];
    if (worker === undefined) return say('there is no worker');
    worker.terminate();
    workers.delete(tag);
    kills++;
    // terminate() does not say when the thread has ended; a browser ends a busy one within moments.
    setTimeout(
      guarded(() => {
        for (const { cpu, online, tag: theirs, generation } of heap.cpus()) {
          if (!online || theirs !== tag) continue;
          const report = heap.reap(cpu, generation);
          reaped += report.objects;
          say(
            `worker ${tag} was killed in the middle of its work; reap took back ${report.objects} objects that it had cached. validate(): ${heap.validate().length} problems`,
          );
        }
      }),
      500,
    );
  }

  function draw() {
    const { size, pageSize } = { size: heap.meminfo().size, pageSize: heap.pageSize };
    const frames = size / pageSize;
    const rows = Math.ceil(frames / COLUMNS);
    if (canvas.height !== rows * 10) canvas.height = rows * 10;
    const context = canvas.getContext('2d');
    context.clearRect(0, 0, canvas.width, canvas.height);
    for (let frame = 1; frame < frames; frame++) {
      const { flags, inuse, objects } = heap.virtToPage(frame * pageSize);
      const kind = Object.keys(COLOURS).findLast((name) => flags.includes(name)) ?? 'free';
      context.globalAlpha = kind === 'slab' && objects > 0 ? 0.35 + (0.65 * inuse) / objects : 1;
      context.fillStyle = COLOURS[kind];
      context.fillRect((frame % COLUMNS) * 10, Math.floor(frame / COLUMNS) * 10, 9, 9);
    }
    const { live, footprint } = heap.meminfo();
    const kib = (bytes) => `${Math.round(bytes / 1024).toLocaleString('en')} KiB`;
    const state = {
      size,
      live,
      footprint,
      isShared,
      workers: workers.size,
      kills,
      reaped,
      handed: Atomics.load(board, 0),
      wrong: Atomics.load(board, 1),
    };
    figures.textContent = `${kib(size)} of ${isShared ? 'shared' : 'plain'} memory, ${kib(live)} live in ${kib(footprint)} of pages, ${workers.size} workers, ${state.handed.toLocaleString('en')} objects handed over, ${state.wrong} wrong`;
    const rowsUsed = heap.slabinfo().filter((row) => row.slabs > 0);
    table.replaceChildren(
      element(
        'tr',
        {},
        ...['cache', 'objects', 'bytes each', 'slabs', 'partial'].map((textContent) =>
          element('th', { textContent }),
        ),
      ),
      ...rowsUsed.map(({ name, objects, objsize, slabs, partialSlabs }) =>
        element(
          'tr',
          {},
          ...[name, objects, objsize, slabs, partialSlabs].map((textContent) =>
            element('td', { textContent }),
          ),
        ),
      ),
    );
    window.demo = { ...state, rows: rowsUsed.length, text: log.textContent };
  }

  const hint = element('div', { className: 'hint' });
  if (!isShared) {
    console.warn(
      'modslab: this page is not cross-origin isolated, so its heap is for one thread, in plain memory',
    );
    hint.append(
      'This page is not cross-origin isolated, so the browser has no shared memory for it: the heap below is in plain memory, for this one thread. Everything but workers works the same. ',
      element('button', {
        type: 'button',
        textContent: 'Isolate this page by a service worker (loads it once more)',
        onclick: () => isolate(base),
      }),
    );
  }
  box.replaceChildren(
    ...(isShared ? [] : [hint]),
    element(
      'div',
      {},
      button('kmalloc 1,000 objects', () => allocate(1000)),
      button('kmalloc 1 MiB', () => {
        const address = heap.kmalloc(MIB);
        if (address !== 0) mine.push(address);
        say(address === 0 ? 'no memory' : `1 MiB at 0x${address.toString(16)}`);
      }),
      button('kfree half of them', () => free(0.5)),
      button('kfree all, shrink', () => free(1)),
      button('kfree one twice', freeTwice),
      button('slabinfo to the console', () => console.log(formatSlabinfo(heap.slabinfo(), '2.1'))),
      button('time it', time),
      button('start a worker', startWorker, !isShared),
      button('kill a worker, reap it', killWorker, !isShared),
    ),
    log,
    canvas,
    element(
      'p',
      { className: 'legend' },
      ...Object.entries(COLOURS).map(([name, colour]) => {
        const square = element('i');
        square.style.background = colour;
        return element('span', {}, square, name);
      }),
    ),
    figures,
    table,
  );
  allocate(500);
  draw();
  const timer = setInterval(draw, 200);
  return () => {
    clearInterval(timer);
    for (const worker of workers.values()) worker.terminate();
  };
}

async function isolate(base) {
  await navigator.serviceWorker.register(`${base}isolate.js`, { scope: base });
  await navigator.serviceWorker.ready;
  location.reload();
}
